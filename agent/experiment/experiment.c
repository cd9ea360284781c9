/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/experiment.h"

#include <stdlib.h>

#include "experiment/internal.h"
#include "util/clock.h"
#include "util/str.h"

bool experiment_is_over(const struct experiment *x)
{
	return run_status_is_over(x->status);
}

int64_t timespec_us(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000 + t->tv_nsec / 1000;
}

void experiment_free(struct experiment *x)
{
	if (!x)
		return;
	life_free(x);
	watch_conditions_stop(x);
	for (size_t i = 0; i < x->template->n_actions; i++) {
		run_free(x, i);
		while (x->actions[i].faults) {
			struct experiment_fault *f = x->actions[i].faults;

			x->actions[i].faults = f->next;
			free(f);
		}
	}
	for (size_t i = 0; i < x->template->n_targets; i++)
		resource_list_done(&x->targets[i].resources);
	template_unref(x->template);
	cJSON_Delete(x->tags);
	free(x->client_token);
	free(x);
}

/* Seconds since the epoch, as a number: FIS's timestamps. */
static void add_time(cJSON *o, const char *name, const struct timespec *t)
{
	if (t->tv_sec)
		cJSON_AddNumberToObject(o, name, (double)timespec_us(t) / 1e6);
}

static void add_copy(cJSON *o, const cJSON *from, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(from, name);

	if (v)
		cJSON_AddItemToObject(o, name, cJSON_Duplicate(v, true));
}

static cJSON *add_state(cJSON *o, enum run_status status, const char *reason)
{
	cJSON *state = cJSON_AddObjectToObject(o, "state");

	cJSON_AddStringToObject(state, "status", run_status_name(status));
	if (reason[0])
		cJSON_AddStringToObject(state, "reason", reason);
	return state;
}

static void add_experiment_state(cJSON *o, const struct experiment *x, const struct identity *id)
{
	cJSON *state = add_state(o, x->status, x->reason), *error;

	if (!x->error.code[0])
		return;
	error = cJSON_AddObjectToObject(state, "error");
	cJSON_AddStringToObject(error, "accountId", id->account);
	cJSON_AddStringToObject(error, "code", x->error.code);
	cJSON_AddStringToObject(error, "location", x->error.location);
}

static void add_options(cJSON *o, const struct experiment *x)
{
	cJSON *options = cJSON_AddObjectToObject(o, "experimentOptions");

	cJSON_AddStringToObject(options, "accountTargeting", "single-account");
	cJSON_AddStringToObject(options, "emptyTargetResolutionMode",
				x->template->empty == EMPTY_RESOLUTION_SKIP ? "skip" : "fail");
	cJSON_AddStringToObject(options, "actionsMode", x->skip_all ? "skip-all" : "run-all");
}

/* The template's actions, each with how it stands. */
static void add_actions(cJSON *o, const struct experiment *x)
{
	const cJSON *from = cJSON_GetObjectItemCaseSensitive(x->template->json, "actions");
	cJSON *all = cJSON_AddObjectToObject(o, "actions");

	for (size_t i = 0; i < x->template->n_actions; i++) {
		const struct experiment_action *a = &x->actions[i];
		const char *name = x->template->actions[i].name;
		cJSON *copy = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(from, name), true);

		(void)add_state(copy, a->status, a->reason);
		add_time(copy, "startTime", &a->started_at);
		add_time(copy, "endTime", &a->ended_at);
		cJSON_AddItemToObject(all, name, copy);
	}
}

static cJSON *print_head(const struct experiment *x, const struct identity *id)
{
	cJSON *o = cJSON_CreateObject();
	char arn[ARN_MAX];

	if (!o)
		return NULL;
	cJSON_AddStringToObject(o, "id", x->id);
	cJSON_AddStringToObject(o, "arn", identity_fis_arn(id, "experiment", x->id, arn));
	cJSON_AddStringToObject(o, "experimentTemplateId", x->template->id);
	add_experiment_state(o, x, id);
	add_time(o, "creationTime", &x->created_at);
	cJSON_AddItemToObject(o, "tags", cJSON_Duplicate(x->tags, true));
	add_options(o, x);
	return o;
}

cJSON *experiment_print_summary(const struct experiment *x, const struct identity *id)
{
	return print_head(x, id);
}

cJSON *experiment_print(const struct experiment *x, const struct identity *id)
{
	const cJSON *json = x->template->json;
	cJSON *o = print_head(x, id);

	if (!o)
		return NULL;
	cJSON_AddStringToObject(o, "roleArn", x->template->role_arn);
	add_copy(o, json, "targets");
	add_actions(o, x);
	add_copy(o, json, "stopConditions");
	add_copy(o, json, "logConfiguration");
	add_time(o, "startTime", &x->started_at);
	add_time(o, "endTime", &x->ended_at);
	cJSON_AddNumberToObject(o, "targetAccountConfigurationsCount", 0);
	return o;
}

cJSON *experiment_print_targets(const struct experiment *x, const char *target_name)
{
	cJSON *array = cJSON_CreateArray();

	for (size_t i = 0; i < x->template->n_targets; i++) {
		const struct template_target *t = &x->template->targets[i];
		const struct resource_list *l = &x->targets[i].resources;

		if (target_name && !str_eq(t->name, target_name))
			continue;
		for (size_t j = 0; j < l->n; j++) {
			cJSON *o = cJSON_CreateObject();

			cJSON_AddStringToObject(o, "resourceType", t->type->name);
			cJSON_AddStringToObject(o, "targetName", t->name);
			cJSON_AddItemToObject(o, "targetInformation",
					      cJSON_Duplicate(l->resource[j].information, true));
			cJSON_AddItemToArray(array, o);
		}
	}
	return array;
}

static void add_faults(cJSON *o, const struct experiment *x)
{
	cJSON *faults = cJSON_AddObjectToObject(o, "faults");

	for (size_t i = 0; i < x->template->n_actions; i++) {
		cJSON *ids = x->actions[i].faults
				     ? cJSON_AddArrayToObject(faults, x->template->actions[i].name)
				     : NULL;

		for (const struct experiment_fault *f = x->actions[i].faults; f; f = f->next)
			cJSON_AddItemToArray(ids, cJSON_CreateString(f->id));
	}
}

cJSON *experiment_save(const struct experiment *x, const struct identity *id)
{
	cJSON *o = cJSON_CreateObject();

	if (!o)
		return NULL;
	cJSON_AddItemToObject(o, "experiment", experiment_print(x, id));
	cJSON_AddItemToObject(o, "resolvedTargets", experiment_print_targets(x, NULL));
	cJSON_AddStringToObject(o, "clientToken", x->client_token);
	add_faults(o, x);
	return o;
}
