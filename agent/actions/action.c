/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/action.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/clock.h"

#define ALIAS_ROWS_MAX 16

/* The registry: written by meson from the list in actions/meson.build. */
#define ACTION(symbol) extern const struct action symbol;
#include "actions_list.h"
#undef ACTION

const struct action *const actions[] = {
#define ACTION(symbol) &(symbol),
#include "actions_list.h"
#undef ACTION
};
const size_t n_actions = ARRAY_SIZE(actions);

void facts_done(struct facts *f)
{
	process_list_done(&f->processes);
}

const struct action *action_find(const char *name, const struct alias **ret_alias)
{
	*ret_alias = NULL;
	for (size_t i = 0; i < n_actions; i++) {
		if (str_eq(actions[i]->name, name))
			return actions[i];
		for (const struct alias *a = actions[i]->aliases; a && a->name; a++) {
			if (str_eq(a->name, name)) {
				*ret_alias = a;
				return actions[i];
			}
		}
	}
	return NULL;
}

/* An alias' parameters that are no row of ours. */
struct alias_extra {
	int64_t seconds;
	char ignored[64];
};

static const struct row seconds_row = {.type = ROW_INTEGER,
				       FIELD(struct alias_extra, seconds),
				       .min = 1,
				       .max = DURATION_MAX_S,
				       .unit = "s",
				       .text = "duration in seconds"};

static const struct row *own_row(const struct action *a, const char *name)
{
	for (size_t i = 0; i < a->n_rows; i++) {
		if (str_eq(a->rows[i].name, name))
			return &a->rows[i];
	}
	return NULL;
}

/* Our rows under their names, in the order of the alias. What is no row of ours stays out: it goes
 * through `parse_extra`. */
static size_t alias_rows(const struct action *a, const struct alias *alias, struct row *ret)
{
	size_t n = 0;

	for (const struct alias_row *r = alias->rows; r->name && n < ALIAS_ROWS_MAX; r++) {
		const struct row *own = own_row(a, r->row);

		if (!own)
			continue;
		ret[n] = *own;
		ret[n].name = r->name;
		ret[n].required = r->required;
		if (r->def)
			ret[n].def = r->def;
		n++;
	}
	return n;
}

/* Applies "their 0 is our all": replaces the value, or takes it out when ours is to be absent. */
static void translate(const struct alias_row *r, cJSON *parameters)
{
	cJSON *v = cJSON_GetObjectItemCaseSensitive(parameters, r->name);
	char number[32] = "";

	if (!r->from || !v)
		return;
	if (cJSON_IsNumber(v))
		(void)snprintf(number, sizeof(number), "%.15g", v->valuedouble);
	if (!str_eq(cJSON_IsString(v) ? v->valuestring : number, r->from))
		return;
	if (r->to)
		(void)cJSON_ReplaceItemInObjectCaseSensitive(parameters, r->name,
							     cJSON_CreateString(r->to));
	else
		cJSON_DeleteItemFromObjectCaseSensitive(parameters, r->name);
}

/* Takes what is no row of ours out of `parameters`: the duration, and what asks for nothing. */
static int take_extra(const struct alias *alias, cJSON *parameters, uint64_t *ret_ms,
		      struct error *e)
{
	for (const struct alias_row *r = alias->rows; r->name; r++) {
		cJSON *one, *v;
		struct alias_extra extra;
		struct row row = seconds_row;
		int result;

		if (str_eq(r->row, ""))
			cJSON_DeleteItemFromObjectCaseSensitive(parameters, r->name);
		if (!str_eq(r->row, "duration"))
			continue;
		v = cJSON_DetachItemFromObjectCaseSensitive(parameters, r->name);
		one = cJSON_CreateObject();
		if (v)
			cJSON_AddItemToObject(one, r->name, v);
		row.name = r->name;
		row.required = r->required;
		result = schema_parse(&row, 1, one, "parameters", &extra, sizeof(extra), e);
		cJSON_Delete(one);
		if (result < 0)
			return result;
		*ret_ms = (uint64_t)extra.seconds * 1000;
	}
	return 0;
}

static int parse_alias(const struct action *a, const struct alias *alias, const cJSON *parameters,
		       void *ret, uint64_t *ret_ms, struct error *e)
{
	struct row rows[ALIAS_ROWS_MAX];
	cJSON *copy = cJSON_Duplicate(parameters, true);
	void *defaults = ret;
	size_t n;
	int r;

	if (!copy)
		return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	for (const struct alias_row *t = alias->rows; t->name; t++)
		translate(t, copy);
	n = alias_rows(a, alias, rows);
	r = take_extra(alias, copy, ret_ms, e);
	/* Rows the alias does not have keep our defaults: they are appended when nobody can give
	 * them. */
	for (size_t i = 0; r == 0 && i < a->n_rows; i++) {
		bool mapped = false;

		for (const struct alias_row *t = alias->rows; t->name; t++)
			mapped |= str_eq(t->row, a->rows[i].name);
		if (!mapped && n < ALIAS_ROWS_MAX && a->rows[i].def &&
		    !cJSON_GetObjectItemCaseSensitive(copy, a->rows[i].name))
			rows[n++] = a->rows[i];
	}
	if (r == 0)
		r = schema_parse(rows, n, copy, "parameters", defaults, a->params_size, e);
	cJSON_Delete(copy);
	return r;
}

int action_parse(const struct action *a, const struct alias *alias, const cJSON *parameters,
		 void *ret, uint64_t *ret_duration_ms, struct error *e)
{
	if (alias)
		return parse_alias(a, alias, parameters, ret, ret_duration_ms, e);
	return schema_parse(a->rows, a->n_rows, parameters, "parameters", ret, a->params_size, e);
}

static cJSON *print_aliases(const struct action *a)
{
	cJSON *array = cJSON_CreateArray();

	for (const struct alias *alias = a->aliases; alias && alias->name; alias++) {
		cJSON *o = cJSON_CreateObject();
		cJSON *parameters;

		cJSON_AddStringToObject(o, "name", alias->name);
		parameters = cJSON_AddObjectToObject(o, "parameters");
		for (const struct alias_row *r = alias->rows; r->name; r++)
			cJSON_AddStringToObject(parameters, r->name, r->row);
		cJSON_AddItemToArray(array, o);
	}
	return array;
}

cJSON *action_print(const struct action *a, bool full)
{
	cJSON *o = cJSON_CreateObject();

	if (!o)
		return NULL;
	cJSON_AddStringToObject(o, "name", a->name);
	cJSON_AddStringToObject(o, "summary", a->summary);
	cJSON_AddStringToObject(o, "hold", hold_name(a->hold));
	cJSON_AddBoolToObject(o, "irreversible", action_is_irreversible(a));
	cJSON_AddBoolToObject(o, "durationRequired", a->duration == DURATION_REQUIRED);
	cJSON_AddItemToObject(o, "parameters", schema_describe(a->rows, a->n_rows));
	cJSON_AddItemToObject(o, "aliases", print_aliases(a));
	if (full) {
		cJSON_AddStringToObject(o, "description", a->description);
		cJSON_AddItemToObject(o, "schema", schema_json_schema(a->rows, a->n_rows));
	}
	return o;
}
