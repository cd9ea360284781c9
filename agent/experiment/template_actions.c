/* SPDX-License-Identifier: Apache-2.0 */
/* A template's actions: what each does, what it is aimed at, and in what order. Targets have been
 * read before. */
#include <string.h>

#include "experiment/resource.h"
#include "experiment/schedule.h"
#include "experiment/template_read.h"
#include "util/duration.h"
#include "util/str.h"

#define DESCRIPTION_MAX 512

enum action_member { ACTION_ID, DESCRIPTION, PARAMETERS, TARGETS, START_AFTER, _MEMBER_MAX };

static const struct member action_members[_MEMBER_MAX] = {
	[ACTION_ID] = {"actionId", true},      [DESCRIPTION] = {"description", false},
	[PARAMETERS] = {"parameters", false},  [TARGETS] = {"targets", false},
	[START_AFTER] = {"startAfter", false},
};

static void read_kind(struct reading *r, const cJSON *json, const char *path,
		      struct template_action *a)
{
	char at[PROBLEM_PATH_MAX], value[PROBLEM_SHOWN_MAX];
	const char *id, *why;

	problem_path(at, path, "actionId");
	id = read_text(r, json, at, 1, 128, NO_BLANKS);
	a->kind = id ? catalogue_find(id) : NULL;
	if (!id || a->kind)
		return;
	problem_shown(id, value);
	why = catalogue_why_not(id);
	if (why)
		problems_add(r->problems, ERROR_UNSUPPORTED, at,
			     "%s cannot be done by one host: %s", value, why);
	else
		problems_add(r->problems, ERROR_VALIDATION, at,
			     "%s is no action; allowed: those that ListActions shows", value);
}

/* What it is aimed at */

static int find_target(const struct template *t, const char *name)
{
	for (size_t i = 0; i < t->n_targets; i++) {
		if (str_eq(t->targets[i].name, name))
			return (int)i;
	}
	return -1;
}

static void tell_key(struct reading *r, const char *path, const struct fis_action *kind)
{
	char known[160];
	struct text t = TEXT(known);

	text_add(&t, "%s", kind->n_keys ? "" : "none");
	for (size_t i = 0; i < kind->n_keys; i++)
		text_add(&t, "%s%s", i ? ", " : "", kind->keys[i].key);
	problems_add(r->problems, ERROR_VALIDATION, path, "unknown target key of %s; allowed: %s",
		     kind->id, known);
}

static void read_target(struct reading *r, const cJSON *json, const char *path,
			const struct resource_type *type, struct template_action *a)
{
	const char *name = read_text(r, json, path, 1, TEMPLATE_NAME_MAX, NO_BLANKS);
	const struct template_target *t;
	char value[PROBLEM_SHOWN_MAX];
	int i;

	if (!name)
		return;
	problem_shown(name, value);
	i = find_target(r->t, name);
	if (i < 0) {
		if (!r->targets_cut)
			problems_add(r->problems, ERROR_VALIDATION, path,
				     "%s is not among the targets", value);
		return;
	}
	a->target = i;
	t = &r->t->targets[i];
	if (t->type && type && t->type != type)
		problems_add(r->problems, ERROR_VALIDATION, path,
			     "target %s is of type %s; allowed: %s", value, t->type->name,
			     type->name);
}

/* Returns the type that the action is aimed at, also when it is not named as it should be. */
static const struct resource_type *read_aim(struct reading *r, const cJSON *json, const char *path,
					    struct template_action *a)
{
	const struct resource_type *type = NULL;
	char at[PROBLEM_PATH_MAX], one[PROBLEM_PATH_MAX];
	const cJSON *first;

	problem_path(at, path, "targets");
	first = read_object(r, json, at) ? json->child : NULL;
	if (!first && a->kind && a->kind->target_required && (!json || cJSON_IsObject(json)))
		problems_add(r->problems, ERROR_VALIDATION, at,
			     "required and not given: %s, the name of a target of type %s",
			     a->kind->keys[0].key, a->kind->keys[0].type->name);
	if (first && first->next)
		problems_add(r->problems, ERROR_VALIDATION, at, "%d of them; allowed: one",
			     cJSON_GetArraySize(json));
	if (first) {
		problem_path(one, at, first->string);
		type = a->kind ? fis_action_key(a->kind, first->string) : NULL;
		if (a->kind && !type)
			tell_key(r, one, a->kind);
		read_target(r, first, one, type, a);
		a->target_key = first->string;
	}
	if (!type && a->kind && a->kind->target_required)
		type = a->kind->keys[0].type;
	return type;
}

static void read_parameters(struct reading *r, const cJSON *json, const char *path,
			    const struct resource_type *type, struct template_action *a)
{
	char at[PROBLEM_PATH_MAX];
	struct fis_call call;

	problem_path(at, path, "parameters");
	if (json && !read_object(r, json, at))
		return;
	if (json)
		a->parameters = json;
	if (!a->kind)
		return;
	switch (fis_call_parse(a->kind, type, a->parameters, at, &call, r->problems)) {
	case 0:
		a->duration_ms = call.action_ms;
		fis_call_done(&call);
		break;
	case -ENOMEM:
		r->out_of_memory = true;
		break;
	default:
		break;
	}
}

/* Order */

static int find_action(const struct template *t, const char *name)
{
	for (size_t i = 0; i < t->n_actions; i++) {
		if (str_eq(t->actions[i].name, name))
			return (int)i;
	}
	return -1;
}

static void read_one_after(struct reading *r, const cJSON *json, const char *path,
			   struct template_action *a, uint32_t *seen)
{
	const char *name = read_text(r, json, path, 1, TEMPLATE_NAME_MAX, NO_BLANKS);
	char value[PROBLEM_SHOWN_MAX];
	int i;

	if (!name)
		return;
	problem_shown(name, value);
	i = find_action(r->t, name);
	if (i < 0) {
		if (!r->actions_cut)
			problems_add(r->problems, ERROR_VALIDATION, path,
				     "%s is not among the actions", value);
	} else if (&r->t->actions[i] == a) {
		problems_add(r->problems, ERROR_VALIDATION, path, "%s cannot start after itself",
			     value);
	} else if (*seen >> i & 1) {
		problems_add(r->problems, ERROR_VALIDATION, path, "%s is given twice", value);
	} else {
		*seen |= UINT32_C(1) << i;
		a->after[a->n_after++] = (size_t)i;
	}
}

static void read_after(struct reading *r, const cJSON *json, const char *path,
		       struct template_action *a)
{
	char at[PROBLEM_PATH_MAX], one[PROBLEM_PATH_MAX];
	uint32_t seen = 0;
	size_t i = 0;

	_Static_assert(TEMPLATE_ACTIONS_MAX <= 32, "a bit for each");
	problem_path(at, path, "startAfter");
	if (!read_array(r, json, at))
		return;
	for (const cJSON *c = json->child; c && !problems_are_full(r->problems); c = c->next)
		read_one_after(r, c, problem_path_at(one, at, i++), a, &seen);
}

static void read_action(struct reading *r, const cJSON *json, const char *path,
			struct template_action *a)
{
	const cJSON *m[_MEMBER_MAX];
	const struct resource_type *type;
	char at[PROBLEM_PATH_MAX];

	if (!read_members(r, json, path, action_members, _MEMBER_MAX, m))
		return;
	read_kind(r, m[ACTION_ID], path, a);
	(void)read_text(r, m[DESCRIPTION], problem_path(at, path, "description"), 1,
			DESCRIPTION_MAX, BLANKS);
	type = read_aim(r, m[TARGETS], path, a);
	read_parameters(r, m[PARAMETERS], path, type, a);
	read_after(r, m[START_AFTER], path, a);
}

/* All of them together */

/* Adds the names on the way from `i` back to `to`, that first. A way there is. */
static bool add_way(const struct template *t, size_t i, size_t to, uint32_t *seen,
		    struct text *text)
{
	const struct template_action *a = &t->actions[i];

	*seen |= UINT32_C(1) << i;
	for (size_t k = 0; k < a->n_after; k++) {
		size_t before = text->length;

		if (a->after[k] != to && (*seen >> a->after[k] & 1))
			continue;
		text_add(text, ", which starts after %s", t->actions[a->after[k]].name);
		if (a->after[k] == to || add_way(t, a->after[k], to, seen, text))
			return true;
		text->length = before;
		text->data[before] = '\0';
		text->cut = false;
	}
	return false;
}

static bool tell_cycle(struct reading *r)
{
	struct schedule_action order[TEMPLATE_ACTIONS_MAX] = {0};
	char way[300] = "", path[PROBLEM_PATH_MAX];
	struct text t = TEXT(way);
	uint32_t seen = 0;
	int i;

	for (size_t k = 0; k < r->t->n_actions; k++) {
		order[k].after = r->t->actions[k].after;
		order[k].n_after = r->t->actions[k].n_after;
	}
	i = schedule_find_cycle(order, r->t->n_actions);
	if (i < 0)
		return false;
	(void)add_way(r->t, (size_t)i, (size_t)i, &seen, &t);
	problem_path(path, "actions", r->t->actions[i].name);
	problems_add(r->problems, ERROR_VALIDATION, problem_path(path, path, "startAfter"),
		     "a circle: %s%s", r->t->actions[i].name, way);
	return true;
}

/* How long it takes until this one is over, at least; `done` are the sums that are known. */
static uint64_t longest_ms(const struct template *t, size_t i, uint64_t *sums, uint32_t *done)
{
	const struct template_action *a = &t->actions[i];
	uint64_t most = 0;

	if (*done >> i & 1)
		return sums[i];
	for (size_t k = 0; k < a->n_after; k++) {
		uint64_t ms = longest_ms(t, a->after[k], sums, done);

		most = ms > most ? ms : most;
	}
	sums[i] = most + a->duration_ms;
	*done |= UINT32_C(1) << i;
	return sums[i];
}

static void check_length(struct reading *r)
{
	uint64_t sums[TEMPLATE_ACTIONS_MAX] = {0}, most = 0;
	char shown_ms[32];
	struct text t = TEXT(shown_ms);
	uint32_t done = 0;
	size_t last = 0;

	for (size_t i = 0; i < r->t->n_actions; i++) {
		uint64_t ms = longest_ms(r->t, i, sums, &done);

		last = ms > most ? i : last;
		most = ms > most ? ms : most;
	}
	if (most <= TEMPLATE_DURATION_MAX_S * UINT64_C(1000))
		return;
	duration_print(most, &t);
	problems_add(r->problems, ERROR_QUOTA, "actions",
		     "%s until %s is over, one after another; allowed: 12h for an experiment",
		     shown_ms, r->t->actions[last].name);
}

static void check_unused(struct reading *r)
{
	uint32_t used = 0;
	char path[PROBLEM_PATH_MAX];

	_Static_assert(TEMPLATE_TARGETS_MAX <= 32, "a bit for each");
	for (size_t i = 0; i < r->t->n_actions; i++) {
		if (r->t->actions[i].target >= 0)
			used |= UINT32_C(1) << r->t->actions[i].target;
	}
	for (size_t i = 0; i < r->t->n_targets; i++) {
		if (!(used >> i & 1))
			problems_add(r->problems, ERROR_VALIDATION,
				     problem_path(path, "targets", r->t->targets[i].name),
				     "no action has this target");
	}
}

/* Names first: one may start after any other. */
static void read_names(struct reading *r, const cJSON *json,
		       const cJSON *ret[static TEMPLATE_ACTIONS_MAX])
{
	char path[PROBLEM_PATH_MAX];

	for (const cJSON *c = json->child; c && r->t->n_actions < TEMPLATE_ACTIONS_MAX;
	     c = c->next) {
		problem_path(path, "actions", c->string);
		if (find_action(r->t, c->string) >= 0) {
			problems_add(r->problems, ERROR_VALIDATION, path, "given twice");
			if (problems_are_full(r->problems))
				return;
			continue;
		}
		(void)check_name(r, c->string, path);
		ret[r->t->n_actions] = c;
		r->t->actions[r->t->n_actions++] = (struct template_action){
			.name = c->string, .target = -1, .parameters = &no_members};
	}
}

void read_actions(struct reading *r, const cJSON *json)
{
	const cJSON *found[TEMPLATE_ACTIONS_MAX] = {NULL};
	char path[PROBLEM_PATH_MAX];
	int n;

	if (!read_object(r, json, "actions"))
		return;
	n = cJSON_GetArraySize(json);
	r->actions_cut = n > TEMPLATE_ACTIONS_MAX;
	if (n == 0)
		problems_add(r->problems, ERROR_VALIDATION, "actions", "none; allowed: 1 to %d",
			     TEMPLATE_ACTIONS_MAX);
	if (r->actions_cut)
		problems_add(r->problems, ERROR_QUOTA, "actions", "%d actions; allowed: %d", n,
			     TEMPLATE_ACTIONS_MAX);
	read_names(r, json, found);
	for (size_t i = 0; i < r->t->n_actions && found[i]; i++)
		read_action(r, found[i], problem_path(path, "actions", found[i]->string),
			    &r->t->actions[i]);
	if (n > 0 && !r->actions_cut && !r->targets_cut)
		check_unused(r);
	if (!tell_cycle(r))
		check_length(r);
}
