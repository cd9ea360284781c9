/* SPDX-License-Identifier: Apache-2.0 */
/* What is logged of an experiment, in the words of FIS's log schema version 2. What cJSON gives is
 * not looked at here: it takes NULL everywhere, so that of a record that there is no memory for a
 * member is missing, and nothing else happens. */
#include <stdlib.h>

#include "experiment/internal.h"
#include "util/str.h"

#define TARGETS_PER_PAGE 100

static void record(struct experiment *x, const char *type, cJSON *details)
{
	experiment_log(x->owner->log, x->id, type, details,
		       cJSON_GetObjectItemCaseSensitive(x->template->json, "logConfiguration"));
}

static void add_time(cJSON *o, const char *name, const struct timespec *t)
{
	char text[LOG_TIME_MAX];

	cJSON_AddStringToObject(o, name, experiment_log_time(t, text));
}

static void add_now(cJSON *o, const char *name)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_REALTIME, &now);
	add_time(o, name, &now);
}

static void add_state(cJSON *o, const char *name, enum run_status status, const char *reason)
{
	cJSON *state = cJSON_AddObjectToObject(o, name);

	cJSON_AddStringToObject(state, "status", run_status_name(status));
	cJSON_AddStringToObject(state, "reason", reason);
}

void record_experiment_start(struct experiment *x)
{
	cJSON *d = cJSON_CreateObject();

	cJSON_AddStringToObject(d, "experiment_template_id", x->template->id);
	add_time(d, "experiment_start_time", &x->started_at);
	record(x, LOG_EXPERIMENT_START, d);
}

void record_experiment_end(struct experiment *x)
{
	cJSON *d = cJSON_CreateObject();

	add_time(d, "experiment_end_time", &x->ended_at);
	add_state(d, "experiment_state", x->status, x->reason);
	record(x, LOG_EXPERIMENT_END, d);
}

void record_resolution_start(struct experiment *x, size_t target)
{
	cJSON *d = cJSON_CreateObject();

	add_now(d, "target_resolution_start_time");
	cJSON_AddStringToObject(d, "target_name", x->template->targets[target].name);
	record(x, LOG_TARGET_RESOLUTION_START, d);
}

static cJSON *resolution(struct experiment *x, size_t target, const struct error *e)
{
	cJSON *d = cJSON_CreateObject();

	add_now(d, "target_resolution_end_time");
	cJSON_AddStringToObject(d, "target_name", x->template->targets[target].name);
	cJSON_AddStringToObject(d, "target_type", x->template->targets[target].type->name);
	if (e)
		cJSON_AddStringToObject(d, "error_information", e->message);
	return d;
}

static void record_detail(struct experiment *x, size_t target, const struct error *e)
{
	cJSON *d = resolution(x, target, e);

	cJSON_AddStringToObject(d, "account_id", x->owner->identity.account);
	cJSON_AddNumberToObject(d, "resolved_targets_count",
				(double)x->targets[target].resources.n);
	cJSON_AddStringToObject(d, "status", e ? "failed" : "completed");
	record(x, LOG_TARGET_RESOLUTION_DETAIL, d);
}

/* A pod has no ARN: FIS names it by what it is. */
static cJSON *print_target(const struct resource *r)
{
	cJSON *o;

	if (!r->arn[0])
		return cJSON_Duplicate(r->information, true);
	o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "arn", r->arn);
	return o;
}

void record_resolution_end(struct experiment *x, size_t target, const struct error *e)
{
	const struct resource_list *l = &x->targets[target].resources;
	size_t pages = l->n ? (l->n + TARGETS_PER_PAGE - 1) / TARGETS_PER_PAGE : 1;

	record_detail(x, target, e);
	for (size_t page = 0; page < pages; page++) {
		cJSON *d = resolution(x, target, e);
		cJSON *array = cJSON_AddArrayToObject(d, "resolved_targets");

		for (size_t i = page * TARGETS_PER_PAGE;
		     i < l->n && i < (page + 1) * TARGETS_PER_PAGE; i++)
			cJSON_AddItemToArray(array, print_target(&l->resource[i]));
		cJSON_AddNumberToObject(d, "page", (double)page + 1);
		cJSON_AddNumberToObject(d, "total_pages", (double)pages);
		record(x, LOG_TARGET_RESOLUTION_END, d);
	}
}

static cJSON *action_details(struct experiment *x, size_t i)
{
	const struct template_action *a = &x->template->actions[i];
	cJSON *d = cJSON_CreateObject();

	cJSON_AddStringToObject(d, "action_name", a->name);
	cJSON_AddStringToObject(d, "action_id", a->kind->id);
	return d;
}

void record_action_start(struct experiment *x, size_t i)
{
	const struct template_action *a = &x->template->actions[i];
	cJSON *d = action_details(x, i), *targets;

	add_time(d, "action_start_time", &x->actions[i].started_at);
	targets = cJSON_AddObjectToObject(d, "action_targets");
	if (a->target >= 0)
		cJSON_AddStringToObject(targets, a->target_key,
					x->template->targets[a->target].name);
	cJSON_AddItemToObject(d, "parameters", cJSON_Duplicate(a->parameters, true));
	record(x, LOG_ACTION_START, d);
}

static void record_action_error(struct experiment *x, size_t i)
{
	cJSON *d = action_details(x, i);

	cJSON_AddStringToObject(d, "account_id", x->owner->identity.account);
	add_state(d, "action_state", x->actions[i].status, x->actions[i].reason);
	record(x, LOG_ACTION_ERROR, d);
}

void record_action_end(struct experiment *x, size_t i)
{
	cJSON *d = action_details(x, i);

	if (x->actions[i].status == RUN_FAILED)
		record_action_error(x, i);
	add_time(d, "action_end_time", &x->actions[i].ended_at);
	add_state(d, "action_state", x->actions[i].status, x->actions[i].reason);
	record(x, LOG_ACTION_END, d);
}

void record_interrupted_action(struct experiments *all, const char *id, const cJSON *action,
			       const cJSON *configuration)
{
	static const char *const types[] = {LOG_ACTION_ERROR, LOG_ACTION_END};
	const cJSON *action_id = cJSON_GetObjectItemCaseSensitive(action, "actionId");
	const cJSON *state = cJSON_GetObjectItemCaseSensitive(action, "state");

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		cJSON *d = cJSON_CreateObject();

		cJSON_AddStringToObject(d, "action_name", action->string ? action->string : "");
		cJSON_AddItemToObject(d, "action_id", cJSON_Duplicate(action_id, true));
		if (i == 0)
			cJSON_AddStringToObject(d, "account_id", all->identity.account);
		else
			add_now(d, "action_end_time");
		cJSON_AddItemToObject(d, "action_state", cJSON_Duplicate(state, true));
		experiment_log(all->log, id, types[i], d, configuration);
	}
}

void record_interrupted(struct experiments *all, const char *id, const char *reason,
			const cJSON *configuration)
{
	cJSON *d = cJSON_CreateObject();

	add_now(d, "experiment_end_time");
	add_state(d, "experiment_state", RUN_FAILED, reason);
	experiment_log(all->log, id, LOG_EXPERIMENT_END, d, configuration);
}
