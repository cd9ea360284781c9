/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/fis_values.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/fis_parameters.h"

#define VALUE_MAX 1024 /* characters, FIS's ExperimentTemplateActionParameter */

/* Sentences */

#define ITEMS_ROOM 8 /* for the comma and the mark that there are more */

void fis_add_name(struct text *t, const char *name)
{
	if (t->cut)
		return;
	text_add(t, "%s", t->length ? ", " : "");
	if (t->length + strlen(name) + ITEMS_ROOM <= t->size) {
		text_add(t, "%s", name);
		return;
	}
	text_add(t, "…");
	t->cut = true;
}

void fis_tell(const struct fis_reading *in, const char *name, const char *format, ...)
{
	char path[PROBLEM_PATH_MAX], text[sizeof(((struct problem *)0)->text)];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	problems_add(in->problems, ERROR_VALIDATION, problem_path(path, in->path, name), "%s",
		     text);
}

static bool is_array_of_texts(const cJSON *value)
{
	const cJSON *item;

	if (!cJSON_IsArray(value) || !value->child)
		return false;
	cJSON_ArrayForEach(item, value)
	{
		if (!cJSON_IsString(item))
			return false;
	}
	return true;
}

/* Is it of the form that FIS takes? Tells if not. */
static bool check_form(const struct fis_reading *in, const cJSON *value)
{
	size_t n = cJSON_IsString(value) ? str_characters(value->valuestring) : 0;

	if (in->document && (cJSON_IsString(value) || is_array_of_texts(value)))
		return true;
	if (!in->document && n >= 1 && n <= VALUE_MAX)
		return true;
	if (in->document)
		fis_tell(in, value->string, "neither text nor a list of texts");
	else if (cJSON_IsString(value))
		fis_tell(in, value->string, "%zu characters; allowed: 1 to %d", n, VALUE_MAX);
	else
		fis_tell(in, value->string, "not text; allowed: text, also for numbers: \"50\"");
	return false;
}

/* A dialect's parameters */

int fis_dialect_open(struct fis_dialect *d, const struct action *a, const struct alias *alias)
{
	d->action = a;
	d->alias = alias;
	d->n = action_rows(a, alias, d->rows, &d->size);
	d->params = malloc(d->size);
	return d->params ? 0 : -ENOMEM;
}

void fis_dialect_close(struct fis_dialect *d)
{
	free(d->params);
	d->params = NULL;
}

/* Does the target say what this parameter would? */
static bool is_targets(const struct fis_dialect *d, const char *name)
{
	const char *carrier = d->target ? d->target->fault_parameter : NULL;

	return carrier &&
	       (str_eq(carrier, name) || (fis_parameter_aims(carrier) && fis_parameter_aims(name)));
}

static void tell_unknown(const struct fis_reading *in, const struct fis_dialect *d,
			 const char *name)
{
	char known[240] = "";
	struct text t = TEXT(known);

	for (size_t i = 0; i < in->n_special; i++)
		fis_add_name(&t, in->special[i]);
	for (size_t i = 0; i < d->n; i++) {
		if (!is_targets(d, d->rows[i].name))
			fis_add_name(&t, d->rows[i].name);
	}
	fis_tell(in, name, "unknown parameter; allowed: %s", known[0] ? known : "none");
}

/* A value that the dialect says differently is translated by action_parse(), and right. */
static bool is_translated(const struct fis_dialect *d, const cJSON *value)
{
	for (const struct alias_row *r = d->alias ? d->alias->rows : NULL; r && r->name; r++) {
		if (r->from && str_eq(r->name, value->string))
			return cJSON_IsString(value) && str_eq(r->from, value->valuestring);
	}
	return false;
}

/* One value alone, so that all that are wrong are told. */
static int check_value(const struct fis_reading *in, const struct fis_dialect *d,
		       const struct row *row, const cJSON *value)
{
	cJSON *alone, *copy;
	struct error e = {0};

	if (is_translated(d, value))
		return 0;
	alone = cJSON_CreateObject();
	copy = cJSON_Duplicate(value, true);
	if (!alone || !copy || !cJSON_AddItemToObject(alone, row->name, copy)) {
		cJSON_Delete(alone);
		cJSON_Delete(copy);
		return -ENOMEM;
	}
	if (schema_parse(row, 1, alone, "", d->params, d->size, &e) < 0)
		problems_add_error(in->problems, in->path, "", &e);
	cJSON_Delete(alone);
	return 0;
}

/* Of what is accepted because there is nothing to do, too, FIS takes these two only. */
static void check_boolean(const struct fis_reading *in, const cJSON *value)
{
	static const char *const names[] = {"InstallDependencies", "installDependencies",
					    "useEcsFaultInjectionEndpoints"};
	static const char *const values[] = {"true", "false", "True", "False"};
	bool is_one = false, ok = false;
	char text[PROBLEM_SHOWN_MAX] = "";

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		is_one = is_one || str_eq(names[i], value->string);
	for (size_t i = 0; is_one && i < ARRAY_SIZE(values); i++)
		ok = ok || (cJSON_IsString(value) && str_eq(values[i], value->valuestring));
	if (!is_one || ok)
		return;
	problem_shown(cJSON_IsString(value) ? value->valuestring : "a list", text);
	fis_tell(in, value->string, "%s is neither; allowed: true, false", text);
}

/* The bit of a name: rows first, then what is special. -1: unknown. */
static int index_of(const struct fis_reading *in, const struct fis_dialect *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++) {
		if (str_eq(d->rows[i].name, name))
			return (int)i;
	}
	for (size_t i = 0; i < in->n_special; i++) {
		if (str_eq(in->special[i], name))
			return ACTION_ROWS_MAX + (int)i;
	}
	return -1;
}

static int check_given(const struct fis_reading *in, const struct fis_dialect *d,
		       const cJSON *value, uint64_t *seen)
{
	const char *name = value->string;
	const char *why = in->document ? NULL : fis_parameter_why_not(in->action, name);
	int i = index_of(in, d, name);
	char path[PROBLEM_PATH_MAX];

	if (why) {
		problems_add(in->problems, ERROR_UNSUPPORTED, problem_path(path, in->path, name),
			     "%s", why);
	} else if (i < 0 || (d->alias && is_targets(d, name))) {
		tell_unknown(in, d, name);
	} else if (*seen >> i & 1) {
		fis_tell(in, name, "given twice");
	} else {
		*seen |= UINT64_C(1) << i;
		if (is_targets(d, name)) {
			fis_tell(in, name,
				 "not with a target: what it is aimed at is resolved from %s",
				 d->target->name);
			return 0;
		}
		if (check_form(in, value) && i < ACTION_ROWS_MAX) {
			check_boolean(in, value);
			return check_value(in, d, &d->rows[i], value);
		}
	}
	return 0;
}

/* What is required, asked of nothing: so that the sentence is the row's own. */
static void check_missing(const struct fis_reading *in, const struct fis_dialect *d, uint64_t seen)
{
	for (size_t i = 0; i < d->n; i++) {
		struct error e = {0};

		if ((seen >> i & 1) || !d->rows[i].required || is_targets(d, d->rows[i].name))
			continue;
		if (schema_parse(&d->rows[i], 1, NULL, "", d->params, d->size, &e) < 0)
			problems_add_error(in->problems, in->path, "", &e);
	}
}

/* What contradicts each other. The target's value, which is not known yet, is one that every list,
 * text or number takes. */
static int check_together(const struct fis_reading *in, const struct fis_dialect *d,
			  const cJSON *values, uint64_t *ret_ms)
{
	const char *carrier = d->target ? d->target->fault_parameter : NULL;
	cJSON *all = cJSON_Duplicate(values, true);
	struct error e = {0};
	int r;

	for (size_t i = 0; i < in->n_special; i++)
		cJSON_DeleteItemFromObjectCaseSensitive(all, in->special[i]);
	if (!all || (carrier && index_of(in, d, carrier) >= 0 &&
		     !cJSON_AddStringToObject(all, carrier, "1"))) {
		cJSON_Delete(all);
		return -ENOMEM;
	}
	*ret_ms = 0;
	r = action_parse(d->action, d->alias, all, d->params, ret_ms, &e);
	cJSON_Delete(all);
	if (r < 0)
		problems_add_error(in->problems, in->path, "parameters", &e);
	return r == -ENOMEM ? r : 0;
}

int fis_check_values(const struct fis_reading *in, const struct fis_dialect *d, const cJSON *values,
		     uint64_t *ret_ms)
{
	size_t before = problems_count(in->problems);
	uint64_t seen = 0;
	int r = 0;

	_Static_assert(ACTION_ROWS_MAX + FIS_SPECIAL_MAX < 64, "a bit for each");
	for (const cJSON *v = values->child; r == 0 && v; v = v->next) {
		if (problems_are_full(in->problems))
			return 0;
		r = check_given(in, d, v, &seen);
	}
	check_missing(in, d, seen);
	if (r == 0 && d->action && before == problems_count(in->problems))
		r = check_together(in, d, values, ret_ms);
	return r;
}

/* Special parameters */

const char *fis_text_of(const struct fis_reading *in, const cJSON *values, const char *name,
			const char *required)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(values, name);

	if (!v && required)
		fis_tell(in, name, "required and not given; allowed: %s", required);
	return v && cJSON_IsString(v) && v->valuestring[0] ? v->valuestring : NULL;
}
