/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/action.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

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
	free(f->aims);
	free(f->kept);
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

/* Where an alias' parameters go that are no row of ours: behind the action's own struct. */
struct alias_extra {
	int64_t seconds;
	char ignored[1024]; /* such as labels of a pod */
};

static size_t extra_offset(const struct action *a)
{
	return (a->params_size + 7) / 8 * 8;
}

static const struct row *own_row(const struct action *a, const char *name)
{
	for (size_t i = 0; i < a->n_rows; i++) {
		if (str_eq(a->rows[i].name, name))
			return &a->rows[i];
	}
	return NULL;
}

/* The alias' parameters as rows: ours under their names and defaults, the duration in seconds, and
 * what is accepted because there is nothing to do. `extra`: offset of the struct alias_extra. */
static size_t alias_rows(const struct action *a, const struct alias *alias, size_t extra,
			 struct row *ret)
{
	size_t n = 0;

	for (const struct alias_row *r = alias->rows; r->name && n < ALIAS_ROWS_MAX; r++, n++) {
		const struct row *own = own_row(a, r->row);

		if (own)
			ret[n] = *own;
		else if (str_eq(r->row, "duration"))
			ret[n] = (struct row){.type = ROW_INTEGER,
					      .unit = "s",
					      .min = 1,
					      .max = DURATION_MAX_S,
					      .text = "how long, in seconds",
					      .offset = extra +
							offsetof(struct alias_extra, seconds)};
		else
			ret[n] = (struct row){.type = ROW_STRING,
					      .size = sizeof(((struct alias_extra *)0)->ignored),
					      .text = "accepted: there is nothing to do here",
					      .offset = extra +
							offsetof(struct alias_extra, ignored)};
		ret[n].name = r->name;
		ret[n].required = r->required;
		if (r->def)
			ret[n].def = r->def;
	}
	return n;
}

/* Applies "their 0 is our all": replaces the value, or takes it out when ours is to be absent.
 * Returns 0 or -ENOMEM. */
static int translate(const struct alias_row *r, cJSON *parameters)
{
	cJSON *v = cJSON_GetObjectItemCaseSensitive(parameters, r->name), *to;
	char number[32] = "";

	if (!r->from || !v)
		return 0;
	if (cJSON_IsNumber(v))
		(void)snprintf(number, sizeof(number), "%.15g", v->valuedouble);
	if (!str_eq(cJSON_IsString(v) ? v->valuestring : number, r->from))
		return 0;
	if (!r->to) {
		cJSON_DeleteItemFromObjectCaseSensitive(parameters, r->name);
		return 0;
	}
	to = cJSON_CreateString(r->to);
	/* It goes in without a name, when there is no memory for that. */
	if (!cJSON_ReplaceItemInObjectCaseSensitive(parameters, r->name, to) || !to->string)
		return -ENOMEM;
	return 0;
}

/* Two of theirs that are one of ours, such as a scope and what it is the name of. */
static int check_once(const struct alias *alias, const cJSON *parameters, struct error *e)
{
	for (const struct alias_row *a = alias->rows; a->name; a++) {
		for (const struct alias_row *b = a + 1; b->name; b++) {
			char field[96], allowed[96];

			if (!*a->row || !str_eq(a->row, b->row) ||
			    !cJSON_HasObjectItem(parameters, a->name) ||
			    !cJSON_HasObjectItem(parameters, b->name))
				continue;
			(void)snprintf(field, sizeof(field), "parameters.%s", b->name);
			(void)snprintf(allowed, sizeof(allowed), "with %s %s only", a->name,
				       a->from ? a->from : "absent");
			return error_field(e, field, "", allowed, "contradicts %s", a->name);
		}
	}
	return 0;
}

static bool is_mapped(const struct alias *alias, const char *row)
{
	for (const struct alias_row *r = alias->rows; r->name; r++) {
		if (str_eq(r->row, row))
			return true;
	}
	return false;
}

/* What the other dialect cannot say has our defaults. */
static int set_unmapped(const struct action *a, const struct alias *alias, void *ret,
			struct error *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->n_rows; i++) {
		if (!is_mapped(alias, a->rows[i].name))
			r = schema_set_default(&a->rows[i], ret, e);
	}
	return r;
}

static int parse_alias(const struct action *a, const struct alias *alias, const cJSON *parameters,
		       void *ret, uint64_t *ret_ms, struct error *e)
{
	size_t extra = extra_offset(a), size = extra + sizeof(struct alias_extra);
	cJSON *copy = cJSON_Duplicate(parameters, true);
	_cleanup_free_
	char *wide = malloc(size);
	struct row rows[ALIAS_ROWS_MAX];
	int r = copy && wide ? 0 : -ENOMEM;

	for (const struct alias_row *t = alias->rows; r == 0 && t->name; t++)
		r = translate(t, copy);
	if (r < 0)
		(void)error_set(e, ERROR_FAILED, r, "out of memory");
	if (r == 0)
		r = check_once(alias, copy, e);
	if (r == 0)
		r = schema_parse(rows, alias_rows(a, alias, extra, rows), copy, "parameters", wide,
				 size, e);
	cJSON_Delete(copy);
	if (r < 0)
		return r;
	memcpy(ret, wide, a->params_size);
	*ret_ms = (uint64_t)((struct alias_extra *)(void *)(wide + extra))->seconds * 1000;
	return set_unmapped(a, alias, ret, e);
}

size_t action_rows(const struct action *a, const struct alias *alias,
		   struct row ret[static ACTION_ROWS_MAX], size_t *ret_size)
{
	size_t extra = extra_offset(a);

	*ret_size = extra + sizeof(struct alias_extra);
	if (alias)
		return alias_rows(a, alias, extra, ret);
	for (size_t i = 0; i < a->n_rows && i < ACTION_ROWS_MAX; i++)
		ret[i] = a->rows[i];
	return a->n_rows;
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
	if (a->composition)
		cJSON_AddStringToObject(o, "composition", a->composition);
	cJSON_AddItemToObject(o, "parameters", schema_describe(a->rows, a->n_rows));
	cJSON_AddItemToObject(o, "aliases", print_aliases(a));
	if (full) {
		cJSON_AddStringToObject(o, "description", a->description);
		cJSON_AddItemToObject(o, "schema", schema_json_schema(a->rows, a->n_rows));
	}
	return o;
}
