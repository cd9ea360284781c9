/* SPDX-License-Identifier: Apache-2.0 */
/* A template's targets. What is on the host is not asked: that is at the experiment's start. */
#include <stdlib.h>
#include <string.h>

#include "experiment/arn.h"
#include "experiment/resource.h"
#include "experiment/template_read.h"
#include "util/str.h"

/* FIS has no such bounds, but one on the whole. */
#define FILTERS_MAX       50
#define FILTER_VALUES_MAX 50

#define PARAMETER_VALUE_MAX 1024

int template_selection(const char *text, enum selection_kind *ret, unsigned *ret_n)
{
	static const struct {
		const char *begin;
		enum selection_kind kind;
		uint64_t most;
	} forms[] = {{"COUNT(", SELECT_COUNT, 1000000}, {"PERCENT(", SELECT_PERCENT, 100}};

	*ret = SELECT_ALL;
	*ret_n = 0;
	if (str_eq(text, "ALL"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		size_t begin = strlen(forms[i].begin), n = strlen(text);
		char number[16] = "";
		uint64_t v;

		if (!str_starts(text, forms[i].begin) || text[n - 1] != ')' || n - begin > 16)
			continue;
		memcpy(number, text + begin, n - 1 - begin);
		if (str_to_u64(number, &v) < 0 || v < 1 || v > forms[i].most)
			return -EINVAL;
		*ret = forms[i].kind;
		*ret_n = (unsigned)v;
		return 0;
	}
	return -EINVAL;
}

static void read_selection(struct reading *r, const cJSON *json, const char *path,
			   struct template_target *t)
{
	char at[PROBLEM_PATH_MAX], shown[PROBLEM_SHOWN_MAX];
	const char *text;

	problem_path(at, path, "selectionMode");
	text = read_text(r, json, at, 1, 64, NO_BLANKS);
	if (!text || template_selection(text, &t->selection, &t->selection_n) == 0)
		return;
	problem_shown(text, shown);
	problems_add(r->problems, ERROR_VALIDATION, at,
		     "%s is no selection; allowed: ALL, COUNT(n), PERCENT(n of 1 to 100)", shown);
}

static void tell_types(struct reading *r, const char *path, const char *name)
{
	char known[240], shown[PROBLEM_SHOWN_MAX];
	struct text t = TEXT(known);

	for (size_t i = 0; i < n_resource_types; i++)
		text_add(&t, "%s%s", i ? ", " : "", resource_types[i]->name);
	problem_shown(name, shown);
	problems_add(r->problems, ERROR_VALIDATION, path, "%s is no type of resource; allowed: %s",
		     shown, known);
}

static void read_type(struct reading *r, const cJSON *json, const char *path,
		      struct template_target *t)
{
	char at[PROBLEM_PATH_MAX];
	const char *name, *why;

	problem_path(at, path, "resourceType");
	name = read_text(r, json, at, 1, 128, NO_BLANKS);
	t->type = name ? resource_type_find(name) : NULL;
	if (!name || t->type)
		return;
	why = resource_type_why_not(name);
	if (why)
		problems_add(r->problems, ERROR_UNSUPPORTED, at, "there is no %s on one host: %s",
			     name, why);
	else
		tell_types(r, at, name);
}

static void read_arns(struct reading *r, const cJSON *json, const char *path,
		      struct template_target *t)
{
	char at[PROBLEM_PATH_MAX], one[PROBLEM_PATH_MAX];
	size_t i = 0;

	problem_path(at, path, "resourceArns");
	if (!read_array(r, json, at))
		return;
	if (cJSON_GetArraySize(json) > (int)ARRAY_SIZE(t->arns))
		problems_add(r->problems, ERROR_VALIDATION, at, "%d ARNs; allowed: %zu",
			     cJSON_GetArraySize(json), ARRAY_SIZE(t->arns));
	for (const cJSON *c = json->child; c && i < ARRAY_SIZE(t->arns); c = c->next, i++) {
		const char *arn = read_text(r, c, problem_path_at(one, at, i), 20, 2048, NO_BLANKS);

		if (!arn)
			continue;
		if (!arn_resource(arn, NULL))
			problems_add(
				r->problems, ERROR_VALIDATION, one,
				"not an ARN; allowed: arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE");
		t->arns[t->n_arns++] = arn;
	}
	if (t->n_arns && t->type && !t->type->has_arns)
		problems_add(r->problems, ERROR_VALIDATION, at,
			     "%s has no ARNs; allowed: parameters, filters", t->type->name);
}

static void read_target_tags(struct reading *r, const cJSON *json, const char *path,
			     struct template_target *t)
{
	char at[PROBLEM_PATH_MAX];

	problem_path(at, path, "resourceTags");
	read_tags(r, json, at, false);
	if (!cJSON_IsObject(json) || !json->child)
		return;
	t->tags = json;
	if (t->type && !t->type->has_tags)
		problems_add(r->problems, ERROR_VALIDATION, at,
			     "tags of %s are not known on a host; allowed: %s%sfilters",
			     t->type->name, t->type->has_arns ? "resourceArns, " : "",
			     t->type->parameters ? "parameters, " : "");
}

static void read_filter_values(struct reading *r, const cJSON *json, const char *path,
			       struct template_filter *f)
{
	char at[PROBLEM_PATH_MAX], one[PROBLEM_PATH_MAX];
	int n;

	problem_path(at, path, "values");
	if (!read_array(r, json, at))
		return;
	n = cJSON_GetArraySize(json);
	if (n < 1 || n > FILTER_VALUES_MAX) {
		problems_add(r->problems, ERROR_VALIDATION, at, "%d values; allowed: 1 to %d", n,
			     FILTER_VALUES_MAX);
		return;
	}
	f->values = calloc((size_t)n, sizeof(*f->values));
	if (!f->values) {
		r->out_of_memory = true;
		return;
	}
	for (const cJSON *c = json->child; c; c = c->next, f->n_values++)
		f->values[f->n_values] =
			read_text(r, c, problem_path_at(one, at, f->n_values), 1, 128, BLANKS);
}

static void read_filter(struct reading *r, const cJSON *json, const char *path,
			struct template_filter *f)
{
	static const struct member members[] = {{"path", true}, {"values", true}};
	const cJSON *m[ARRAY_SIZE(members)];
	char at[PROBLEM_PATH_MAX];

	if (!read_members(r, json, path, members, ARRAY_SIZE(members), m))
		return;
	f->path = read_text(r, m[0], problem_path(at, path, "path"), 1, 256, NO_BLANKS);
	read_filter_values(r, m[1], path, f);
	if (f->path &&
	    (f->path[0] == '.' || f->path[strlen(f->path) - 1] == '.' || strstr(f->path, "..")))
		problems_add(
			r->problems, ERROR_VALIDATION, at,
			"not a path; allowed: names with dots between them, such as State.Name");
}

static void read_filters(struct reading *r, const cJSON *json, const char *path,
			 struct template_target *t)
{
	char at[PROBLEM_PATH_MAX], one[PROBLEM_PATH_MAX];
	int n;

	problem_path(at, path, "filters");
	if (!read_array(r, json, at))
		return;
	n = cJSON_GetArraySize(json);
	if (n > FILTERS_MAX) {
		problems_add(r->problems, ERROR_VALIDATION, at, "%d filters; allowed: %d", n,
			     FILTERS_MAX);
		return;
	}
	t->filters = n ? calloc((size_t)n, sizeof(*t->filters)) : NULL;
	if (n && !t->filters) {
		r->out_of_memory = true;
		return;
	}
	for (const cJSON *c = json->child; c; c = c->next, t->n_filters++)
		read_filter(r, c, problem_path_at(one, at, t->n_filters),
			    &t->filters[t->n_filters]);
}

static void tell_parameter(struct reading *r, const char *path, const struct resource_type *type)
{
	char known[200];
	struct text t = TEXT(known);

	text_add(&t, "%s", type->parameters ? "" : "none");
	for (const struct resource_parameter *p = type->parameters; p && p->name; p++)
		text_add(&t, "%s%s", p == type->parameters ? "" : ", ", p->name);
	problems_add(r->problems, ERROR_VALIDATION, path, "unknown parameter of %s; allowed: %s",
		     type->name, known);
}

/* Returns its bit among the type's parameters; 0: unknown, which is told. */
static uint32_t read_parameter(struct reading *r, const cJSON *json, const char *path,
			       const struct resource_type *type)
{
	const struct resource_parameter *p = resource_parameter_find(type, json->string);
	char at[PROBLEM_PATH_MAX];
	const char *text, *why;

	problem_path(at, path, json->string);
	if (!p) {
		tell_parameter(r, at, type);
		return 0;
	}
	text = read_text(r, json, at, 1, PARAMETER_VALUE_MAX, BLANKS);
	why = text && p->refuse ? p->refuse(text) : NULL;
	if (why)
		problems_add(r->problems, ERROR_VALIDATION, at, "%s", why);
	return UINT32_C(1) << (p - type->parameters);
}

static void read_parameters(struct reading *r, const cJSON *json, const char *path,
			    struct template_target *t)
{
	char at[PROBLEM_PATH_MAX], one[PROBLEM_PATH_MAX];
	uint32_t seen = 0;

	problem_path(at, path, "parameters");
	t->parameters = read_object(r, json, at) ? json : &no_members;
	if (!t->type)
		return;
	for (const cJSON *c = t->parameters->child; c && !problems_are_full(r->problems);
	     c = c->next) {
		uint32_t bit = read_parameter(r, c, at, t->type);

		if (seen & bit)
			problems_add(r->problems, ERROR_VALIDATION,
				     problem_path(one, at, c->string), "given twice");
		seen |= bit;
	}
	for (const struct resource_parameter *p = t->type->parameters; p && p->name; p++) {
		if (p->required && !(seen >> (p - t->type->parameters) & 1))
			problems_add(r->problems, ERROR_VALIDATION, problem_path(one, at, p->name),
				     "required of %s and not given", t->type->name);
	}
}

/* Nothing at all would mean all there are: of processes, say. Of the host there is one. */
static void check_criteria(struct reading *r, const char *path, const struct template_target *t)
{
	char known[80];
	struct text s = TEXT(known);

	if (t->n_arns && (t->tags || t->n_filters))
		problems_add(r->problems, ERROR_VALIDATION, path,
			     "resourceArns and %s; allowed: either",
			     t->tags ? "resourceTags" : "filters");
	if (!t->type || !t->type->fault_parameter || t->n_arns || t->tags || t->n_filters ||
	    t->parameters->child)
		return;
	text_add(&s, "%s%s%sfilters", t->type->has_arns ? "resourceArns, " : "",
		 t->type->has_tags ? "resourceTags, " : "",
		 t->type->parameters ? "parameters, " : "");
	problems_add(r->problems, ERROR_VALIDATION, path,
		     "nothing says which %s is meant; allowed: at least one of %s", t->type->name,
		     known);
}

static void read_target(struct reading *r, const cJSON *json, const char *path,
			struct template_target *t)
{
	static const struct member members[] = {
		{"resourceType", true},  {"selectionMode", true}, {"resourceArns", false},
		{"resourceTags", false}, {"filters", false},      {"parameters", false},
	};
	const cJSON *m[ARRAY_SIZE(members)];
	size_t before = problems_count(r->problems);

	t->parameters = &no_members;
	if (!read_members(r, json, path, members, ARRAY_SIZE(members), m))
		return;
	read_type(r, m[0], path, t);
	read_selection(r, m[1], path, t);
	read_arns(r, m[2], path, t);
	read_target_tags(r, m[3], path, t);
	read_filters(r, m[4], path, t);
	read_parameters(r, m[5], path, t);
	if (before == problems_count(r->problems))
		check_criteria(r, path, t);
}

static bool is_there(const struct template *t, const char *name)
{
	for (size_t i = 0; i < t->n_targets; i++) {
		if (str_eq(t->targets[i].name, name))
			return true;
	}
	return false;
}

void read_targets(struct reading *r, const cJSON *json)
{
	char path[PROBLEM_PATH_MAX];
	int n;

	if (!read_object(r, json, "targets"))
		return;
	n = cJSON_GetArraySize(json);
	r->targets_cut = n > TEMPLATE_TARGETS_MAX;
	if (r->targets_cut)
		problems_add(r->problems, ERROR_VALIDATION, "targets", "%d targets; allowed: %d", n,
			     TEMPLATE_TARGETS_MAX);
	for (const cJSON *c = json->child; c && r->t->n_targets < TEMPLATE_TARGETS_MAX;
	     c = c->next) {
		struct template_target *t = &r->t->targets[r->t->n_targets];

		problem_path(path, "targets", c->string);
		if (is_there(r->t, c->string)) {
			problems_add(r->problems, ERROR_VALIDATION, path, "given twice");
			if (problems_are_full(r->problems))
				return;
			continue;
		}
		(void)check_name(r, c->string, path);
		r->t->n_targets++;
		t->name = c->string;
		read_target(r, c, path, t);
	}
}
