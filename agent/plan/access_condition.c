/* SPDX-License-Identifier: Apache-2.0 */
/* Operators are IAM's. A key that is not there makes a plain operator false, a negated one true,
 * and one with IfExists true. Keys with several values need IAM's set operators, for what a plain
 * one would mean then is anybody's guess. */
#include "plan/access_condition.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plan/policy.h"

#define IF_EXISTS  "IfExists"
#define ALL_VALUES "ForAllValues:"
#define ANY_VALUE  "ForAnyValue:"

static bool same_character(char a, char b, bool ignore_case)
{
	return a == b || (ignore_case && tolower((unsigned char)a) == tolower((unsigned char)b));
}

bool access_pattern_fits(const char *pattern, const char *text, bool ignore_case)
{
	const char *star = NULL, *from = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			from = text;
		} else if (*pattern &&
			   (*pattern == '?' || same_character(*pattern, *text, ignore_case))) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

/* What is there against what the statement wants; both are texts. */
typedef bool (*compare_fn)(const char *actual, const char *wanted);

static bool read_number(const char *s, double *ret)
{
	char *end;

	if (!*s || isspace((unsigned char)*s))
		return false;
	*ret = strtod(s, &end);
	return *end == '\0' && isfinite(*ret);
}

static bool equals(const char *actual, const char *wanted)
{
	return str_eq(actual, wanted);
}

static bool equals_ignore_case(const char *actual, const char *wanted)
{
	return strcasecmp(actual, wanted) == 0;
}

static bool like(const char *actual, const char *wanted)
{
	return access_pattern_fits(wanted, actual, false);
}

#define NUMERIC(name, operator)                                                            \
	static bool name(const char *actual, const char *wanted)                           \
	{                                                                                  \
		double a, w;                                                               \
                                                                                           \
		return read_number(actual, &a) && read_number(wanted, &w) && a operator w; \
	}
NUMERIC(number_equals, ==)
NUMERIC(number_less, <)
NUMERIC(number_less_equals, <=)
NUMERIC(number_greater, >)
NUMERIC(number_greater_equals, >=)

enum wanted_kind { WANTED_TEXT, WANTED_NUMBER, WANTED_BOOL };

static const struct operation {
	const char *name;
	compare_fn compare; /* NULL: of Null, which asks whether the key is there */
	bool negated;
	enum wanted_kind wanted;
} operations[] = {
	{"StringEquals", equals, false, WANTED_TEXT},
	{"StringNotEquals", equals, true, WANTED_TEXT},
	{"StringEqualsIgnoreCase", equals_ignore_case, false, WANTED_TEXT},
	{"StringNotEqualsIgnoreCase", equals_ignore_case, true, WANTED_TEXT},
	{"StringLike", like, false, WANTED_TEXT},
	{"StringNotLike", like, true, WANTED_TEXT},
	{"NumericEquals", number_equals, false, WANTED_NUMBER},
	{"NumericNotEquals", number_equals, true, WANTED_NUMBER},
	{"NumericLessThan", number_less, false, WANTED_NUMBER},
	{"NumericLessThanEquals", number_less_equals, false, WANTED_NUMBER},
	{"NumericGreaterThan", number_greater, false, WANTED_NUMBER},
	{"NumericGreaterThanEquals", number_greater_equals, false, WANTED_NUMBER},
	{"Bool", equals_ignore_case, false, WANTED_BOOL},
	{"Null", NULL, false, WANTED_BOOL},
};

#define OPERATORS_ALLOWED                                                      \
	"String(Not)Equals(IgnoreCase), String(Not)Like, Numeric(Not)Equals, " \
	"NumericLessThan(Equals), NumericGreaterThan(Equals), Bool, Null; IfExists"
#define KEYS_ALLOWED                                                                   \
	"aws:ResourceTag/KEY, aws:RequestTag/KEY, aws:TagKeys, fis:Operations, "       \
	"fis:Percentage, fis:Service, fis:Targets, fis:Duration, fis:Parameter/NAME, " \
	"faultd:Uid"

static const char *const keys[] = {"fis:Percentage", "fis:Service", "fis:Duration", "faultd:Uid"};
static const char *const keys_with_name[] = {"aws:ResourceTag/", "aws:RequestTag/",
					     "fis:Parameter/"};
static const char *const keys_of_many[] = {"aws:TagKeys", "fis:Operations", "fis:Targets"};

/* An operator as it is written: with what may stand before and behind its name. */
struct asked {
	const struct operation *operation;
	bool all, any, if_exists;
};

static bool read_operator(const char *text, struct asked *ret)
{
	size_t n;

	*ret = (struct asked){.all = str_starts(text, ALL_VALUES),
			      .any = str_starts(text, ANY_VALUE)};
	text += ret->all ? strlen(ALL_VALUES) : ret->any ? strlen(ANY_VALUE) : 0;
	for (size_t i = 0; i < ARRAY_SIZE(operations) && !ret->operation; i++) {
		n = strlen(operations[i].name);
		if (strncmp(text, operations[i].name, n) != 0)
			continue;
		ret->if_exists = str_eq(text + n, IF_EXISTS);
		if (text[n] == '\0' || (ret->if_exists && operations[i].compare))
			ret->operation = &operations[i];
	}
	return ret->operation && (ret->operation->compare || (!ret->all && !ret->any));
}

static bool is_listed(const char *const *list, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(list[i], key))
			return true;
	}
	return false;
}

static bool is_key(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys_with_name); i++) {
		if (str_starts(key, keys_with_name[i]) && key[strlen(keys_with_name[i])])
			return true;
	}
	return is_listed(keys, ARRAY_SIZE(keys), key);
}

static int check_key(const char *key, const struct asked *a, const char *path, struct error *e)
{
	bool many = is_listed(keys_of_many, ARRAY_SIZE(keys_of_many), key);

	if (!many && !is_key(key))
		return error_field(e, path, key, KEYS_ALLOWED, "no such key");
	if (!a->operation->compare)
		return 0;
	if (many && !a->all && !a->any)
		return error_field(e, path, key, ALL_VALUES "… or " ANY_VALUE "…",
				   "%s may have several values", key);
	if (!many && (a->all || a->any))
		return error_field(e, path, key, "a plain operator", "%s has one value", key);
	return 0;
}

/* A value as text; IAM takes numbers and booleans for their texts. NULL: it is none of these. */
static const char *text_of(const cJSON *value, char buffer[static 32])
{
	if (cJSON_IsString(value))
		return value->valuestring;
	if (cJSON_IsBool(value))
		return cJSON_IsTrue(value) ? "true" : "false";
	if (!cJSON_IsNumber(value))
		return NULL;
	(void)snprintf(buffer, 32, "%.15g", value->valuedouble);
	return buffer;
}

static int check_value(const cJSON *value, const struct operation *o, const char *path,
		       struct error *e)
{
	char buffer[32];
	const char *s = text_of(value, buffer);
	double number;

	if (!s)
		return error_field(e, path, "", "a text, or an array of texts", "not a text");
	if (strstr(s, "${"))
		return error_field(e, path, s, "a text without ${…}", "has a policy variable");
	if (o->wanted == WANTED_NUMBER && !read_number(s, &number))
		return error_field(e, path, s, "a number", "%s is no number", s);
	if (o->wanted == WANTED_BOOL && strcasecmp(s, "true") != 0 && strcasecmp(s, "false") != 0)
		return error_field(e, path, s, "true or false", "%s is neither", s);
	return 0;
}

static int check_values(const cJSON *values, const struct operation *o, const char *path,
			struct error *e)
{
	int r = 0;

	if (!cJSON_IsArray(values))
		return check_value(values, o, path, e);
	if (!values->child)
		return error_field(e, path, "", "one at least", "has no values");
	for (const cJSON *v = values->child; v && r == 0; v = v->next)
		r = check_value(v, o, path, e);
	return r;
}

const char *access_path(const char *path, const char *name, char ret[static ACCESS_PATH_MAX])
{
	struct text t = {.data = ret, .size = ACCESS_PATH_MAX};

	text_add(&t, "%s.", path);
	text_add_escaped(&t, name);
	return ret;
}

int access_check_members(const cJSON *o, const char *const *known, const char *path,
			 struct error *e)
{
	char inner[ACCESS_PATH_MAX], all[160];
	struct text names = TEXT(all);

	if (!cJSON_IsObject(o))
		return error_field(e, path, "", "an object", "not an object");
	for (size_t i = 0; known && known[i]; i++)
		text_add(&names, "%s%s", i ? ", " : "", known[i]);
	for (const cJSON *c = o->child; c; c = c->next) {
		bool is_known = !known;

		(void)access_path(path, c->string, inner);
		for (size_t i = 0; known && known[i]; i++)
			is_known |= str_eq(known[i], c->string);
		if (!is_known)
			return error_field(e, inner, c->string, all, "unknown field");
		for (const cJSON *d = o->child; d != c; d = d->next) {
			if (str_eq(d->string, c->string))
				return error_field(e, inner, c->string, "each field once",
						   "given twice");
		}
	}
	return 0;
}

static int check_operator(const cJSON *item, const char *path, struct error *e)
{
	char inner[ACCESS_PATH_MAX];
	struct asked a;
	int r;

	if (!read_operator(item->string, &a))
		return error_field(e, path, item->string, OPERATORS_ALLOWED,
				   "no such operator here: %s", item->string);
	r = access_check_members(item, NULL, path, e);
	if (r == 0 && !item->child)
		r = error_field(e, path, "", "one at least", "names no key");
	for (const cJSON *key = item->child; key && r == 0; key = key->next) {
		r = check_key(key->string, &a, access_path(path, key->string, inner), e);
		if (r == 0)
			r = check_values(key, a.operation, inner, e);
	}
	return r;
}

int access_condition_check(const cJSON *condition, const char *path, struct error *e)
{
	int r = access_check_members(condition, NULL, path, e);

	for (const cJSON *item = r == 0 ? condition->child : NULL; item && r == 0;
	     item = item->next) {
		char inner[ACCESS_PATH_MAX];

		r = check_operator(item, access_path(path, item->string, inner), e);
	}
	return r;
}

/* What is asked, with what it takes to tell a key's values. */
struct context {
	const struct access_question *q;
	char uid[16]; /* "": the caller has none */
};

static const char *tag_value(const cJSON *tags, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(tags, key);

	return cJSON_IsString(v) ? v->valuestring : NULL;
}

static const char *value_of_question(const struct access_question *q, const char *key, size_t i)
{
	for (size_t k = 0; k < q->n_values; k++) {
		if (str_eq(q->values[k].key, key) && i-- == 0)
			return q->values[k].value;
	}
	return NULL;
}

/* The i-th value of a key, or NULL when it has no more. */
static const char *value_at(const struct context *c, const char *key, size_t i)
{
	if (str_eq(key, "faultd:Uid"))
		return i == 0 && c->uid[0] ? c->uid : NULL;
	if (str_starts(key, "aws:ResourceTag/"))
		return i == 0 ? tag_value(c->q->resource_tags, strchr(key, '/') + 1) : NULL;
	if (str_starts(key, "aws:RequestTag/"))
		return i == 0 ? tag_value(c->q->request_tags, strchr(key, '/') + 1) : NULL;
	if (str_eq(key, "aws:TagKeys")) {
		for (const cJSON *t = c->q->request_tags ? c->q->request_tags->child : NULL; t;
		     t = t->next) {
			if (i-- == 0)
				return t->string;
		}
	}
	return value_of_question(c->q, key, i);
}

/* Is `actual` what is wanted: one of them, or, negated, none of them? */
static bool is_wanted(const struct operation *o, const char *actual, const cJSON *wanted)
{
	const cJSON *w = cJSON_IsArray(wanted) ? wanted->child : wanted;
	char buffer[32];

	for (; w; w = cJSON_IsArray(wanted) ? w->next : NULL) {
		if (o->compare(actual, text_of(w, buffer)))
			return !o->negated;
	}
	return o->negated;
}

static bool key_is_absent_as_wanted(const cJSON *wanted, bool absent)
{
	const cJSON *w = cJSON_IsArray(wanted) ? wanted->child : wanted;
	char buffer[32];

	return (strcasecmp(text_of(w, buffer), "true") == 0) == absent;
}

static bool key_holds(const struct asked *a, const struct context *c, const cJSON *key)
{
	const char *actual = value_at(c, key->string, 0);

	if (!a->operation->compare)
		return key_is_absent_as_wanted(key, !actual);
	if (!actual)
		return a->if_exists || a->all || (a->operation->negated && !a->any);
	for (size_t i = 0; (actual = value_at(c, key->string, i)); i++) {
		if (is_wanted(a->operation, actual, key) != a->all)
			return !a->all;
	}
	return a->all;
}

bool access_condition_holds(const cJSON *condition, const struct access_question *q,
			    const struct caller *caller)
{
	struct context c = {.q = q};

	if (caller && !caller->key[0])
		(void)snprintf(c.uid, sizeof(c.uid), "%u", (unsigned)caller->uid);
	for (const cJSON *item = condition ? condition->child : NULL; item; item = item->next) {
		struct asked a;

		if (!read_operator(item->string, &a))
			return false; /* cannot be: it was checked */
		for (const cJSON *key = item->child; key; key = key->next) {
			if (!key_holds(&a, &c, key))
				return false;
		}
	}
	return true;
}
