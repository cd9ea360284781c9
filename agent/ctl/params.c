/* SPDX-License-Identifier: Apache-2.0 */
/* See params.h. */
#include <ctype.h>
#include <string.h>

#include "ctl/api.h"
#include "ctl/out.h"
#include "ctl/params.h"

#define NAME_MAX_COMPARED 64

char *kebab(const char *name)
{
	char *ret = must(malloc(2 * strlen(name) + 1)), *out = ret;

	for (const char *s = name; *s; s++) {
		bool upper = isupper((unsigned char)*s);
		bool starts = s > name && s[-1] != '-' &&
			      (!isupper((unsigned char)s[-1]) || islower((unsigned char)s[1]));

		if (upper && starts)
			*out++ = '-';
		*out++ = (char)tolower((unsigned char)*s);
	}
	*out = '\0';
	return ret;
}

static const cJSON *find_named(const cJSON *list, const char *name)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) if (strcmp(json_text(item, "name"), name) == 0) return item;
	return NULL;
}

static void add(struct params *p, const char *name, const cJSON *row)
{
	if (!*name)
		return;
	p->all = must(reallocarray(p->all, p->count + 1, sizeof(*p->all)));
	p->all[p->count++] = (struct param){
		.name = name,
		.kebab = kebab(name),
		.boolean = strcmp(json_text(row, "type"), "boolean") == 0,
	};
}

void params_of(const cJSON *action, const char *typed, struct params *ret)
{
	const cJSON *rows = json_list(action, "parameters"), *row, *name;
	const cJSON *alias = find_named(json_list(action, "aliases"), typed);

	*ret = (struct params){0};
	cJSON_ArrayForEach(row, rows) add(ret, json_text(row, "name"), row);
	cJSON_ArrayForEach(name, json_object(alias, "parameters"))
	{
		const char *native = cJSON_GetStringValue(name);

		add(ret, name->string, native ? find_named(rows, native) : NULL);
	}
}

void params_done(struct params *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->all[i].kebab);
	free(p->all);
	*p = (struct params){0};
}

static bool is_text(const char *text, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(text, name, len) == 0;
}

const struct param *params_find(const struct params *p, const char *text, size_t len)
{
	for (size_t i = 0; i < p->count; i++)
		if (is_text(text, len, p->all[i].name))
			return &p->all[i];
	for (size_t i = 0; i < p->count; i++)
		if (is_text(text, len, p->all[i].kebab))
			return &p->all[i];
	return NULL;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters to insert, delete or replace, without regard to case (Levenshtein). */
static size_t distance_of(const char *a, const char *b)
{
	size_t len = strnlen(b, NAME_MAX_COMPARED), row[NAME_MAX_COMPARED + 1];

	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 0; a[i] && i < NAME_MAX_COMPARED; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			bool same = tolower((unsigned char)a[i]) == tolower((unsigned char)b[j]);
			size_t replaced = diagonal + (same ? 0 : 1);

			diagonal = row[j + 1];
			row[j + 1] = smaller(replaced, smaller(row[j], diagonal) + 1);
		}
	}
	return row[len];
}

void nearest(const char *text, const char *candidate, const char **best, size_t *distance)
{
	size_t d = distance_of(text, candidate), len = strlen(text);

	/* What begins as the candidate does is a half-typed name. */
	if (len >= 3 && strncmp(text, candidate, len) == 0)
		d = 1;
	if (d > 1 + len / 3 || (*best && d >= *distance))
		return;
	*best = candidate;
	*distance = d;
}
