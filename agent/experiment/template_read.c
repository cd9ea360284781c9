/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/template_read.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "util/str.h"

#define TAG_KEY_MAX   128
#define TAG_VALUE_MAX 256

const cJSON no_members = {.type = cJSON_Object};

static const char *type_of(const cJSON *json)
{
	if (cJSON_IsObject(json))
		return "an object";
	if (cJSON_IsArray(json))
		return "a list";
	if (cJSON_IsString(json))
		return "text";
	if (cJSON_IsNumber(json))
		return "a number";
	return cJSON_IsBool(json) ? "true or false" : "null";
}

static void tell_type(struct reading *r, const cJSON *json, const char *path, const char *allowed)
{
	problems_add(r->problems, ERROR_VALIDATION, path, "%s; allowed: %s", type_of(json),
		     allowed);
}

bool read_object(struct reading *r, const cJSON *json, const char *path)
{
	if (json && !cJSON_IsObject(json))
		tell_type(r, json, path, "an object");
	return cJSON_IsObject(json);
}

bool read_array(struct reading *r, const cJSON *json, const char *path)
{
	if (json && !cJSON_IsArray(json))
		tell_type(r, json, path, "a list");
	return cJSON_IsArray(json);
}

static void tell_unknown(struct reading *r, const char *path, const struct member *members,
			 size_t n)
{
	char known[240];
	struct text t = TEXT(known);

	for (size_t i = 0; i < n; i++)
		text_add(&t, "%s%s", i ? ", " : "", members[i].name);
	problems_add(r->problems, ERROR_VALIDATION, path, "unknown member; allowed: %s", known);
}

bool read_members(struct reading *r, const cJSON *json, const char *path,
		  const struct member *members, size_t n, const cJSON **ret)
{
	char at[PROBLEM_PATH_MAX];

	memset(ret, 0, n * sizeof(*ret));
	if (!read_object(r, json, path))
		return false;
	for (const cJSON *c = json->child; c && !problems_are_full(r->problems); c = c->next) {
		size_t i = 0;

		while (i < n && !str_eq(members[i].name, c->string))
			i++;
		if (i == n)
			tell_unknown(r, problem_path(at, path, c->string), members, n);
		else if (ret[i])
			problems_add(r->problems, ERROR_VALIDATION,
				     problem_path(at, path, c->string), "given twice");
		else
			ret[i] = c;
	}
	for (size_t i = 0; i < n; i++) {
		if (members[i].required && !ret[i])
			problems_add(r->problems, ERROR_VALIDATION,
				     problem_path(at, path, members[i].name),
				     "required and not given");
	}
	return true;
}

const char *read_text(struct reading *r, const cJSON *json, const char *path, size_t least,
		      size_t most, enum blanks blanks)
{
	size_t n;

	if (!json)
		return NULL;
	if (!cJSON_IsString(json)) {
		tell_type(r, json, path, "text");
		return NULL;
	}
	n = str_characters(json->valuestring);
	if (n < least || n > most) {
		problems_add(r->problems, ERROR_VALIDATION, path,
			     "%zu characters; allowed: %zu to %zu", n, least, most);
		return NULL;
	}
	if (blanks == NO_BLANKS && strpbrk(json->valuestring, " \t\r\n\v\f")) {
		problems_add(r->problems, ERROR_VALIDATION, path,
			     "has a blank in it; allowed: none");
		return NULL;
	}
	return json->valuestring;
}

int read_choice(struct reading *r, const cJSON *json, const char *path, const char *const *values)
{
	char known[120], shown[PROBLEM_SHOWN_MAX];
	struct text t = TEXT(known);

	if (!cJSON_IsString(json)) {
		tell_type(r, json, path, "text");
		return -1;
	}
	for (int i = 0; values[i]; i++) {
		if (str_eq(values[i], json->valuestring))
			return i;
		text_add(&t, "%s%s", i ? ", " : "", values[i]);
	}
	problem_shown(json->valuestring, shown);
	problems_add(r->problems, ERROR_VALIDATION, path, "%s is none of them; allowed: %s", shown,
		     known);
	return -1;
}

bool check_name(struct reading *r, const char *name, const char *path)
{
	size_t n = strlen(name);
	bool ok = n <= TEMPLATE_NAME_MAX && isalpha((unsigned char)name[0]);

	for (size_t i = 0; ok && i < n; i++)
		ok = isalnum((unsigned char)name[i]) || name[i] == '-' || name[i] == '_';
	if (!ok)
		problems_add(
			r->problems, ERROR_VALIDATION, path,
			"not a name; allowed: 1 to %d letters, digits, - and _, a letter first",
			TEMPLATE_NAME_MAX);
	return ok;
}

static bool is_repeated(const cJSON *object, const cJSON *member)
{
	for (const cJSON *c = object->child; c != member; c = c->next) {
		if (str_eq(c->string, member->string))
			return true;
	}
	return false;
}

static void check_tag(struct reading *r, const cJSON *all, const cJSON *tag, const char *path,
		      bool own)
{
	char at[PROBLEM_PATH_MAX];
	size_t n = str_characters(tag->string);

	problem_path(at, path, tag->string);
	if (n < 1 || n > TAG_KEY_MAX)
		problems_add(r->problems, ERROR_VALIDATION, at,
			     "a key of %zu characters; allowed: 1 to %d", n, TAG_KEY_MAX);
	else if (own && strncasecmp(tag->string, "aws:", 4) == 0)
		problems_add(r->problems, ERROR_VALIDATION, at,
			     "keys that begin with aws: are AWS's");
	else if (is_repeated(all, tag))
		problems_add(r->problems, ERROR_VALIDATION, at, "given twice");
	else
		(void)read_text(r, tag, at, 0, TAG_VALUE_MAX, BLANKS);
}

void read_tags(struct reading *r, const cJSON *json, const char *path, bool own)
{
	int n;

	if (!read_object(r, json, path))
		return;
	n = cJSON_GetArraySize(json);
	if (n > TEMPLATE_TAGS_MAX) {
		problems_add(r->problems, ERROR_VALIDATION, path, "%d tags; allowed: %d", n,
			     TEMPLATE_TAGS_MAX);
		return;
	}
	for (const cJSON *c = json->child; c; c = c->next)
		check_tag(r, json, c, path, own);
}

void template_check_tags(const cJSON *tags, const char *path, struct problems *problems)
{
	struct reading r = {.problems = problems};

	read_tags(&r, tags, path, true);
}
