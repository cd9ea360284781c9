/* SPDX-License-Identifier: Apache-2.0 */
/* What faultd and this host are: catalogue, doctor, status. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/handlers.h"
#include "experiment/store.h"
#include "host/features.h"

void get_actions(struct api *api, struct http_request *q, const char *id)
{
	cJSON *o = cJSON_CreateObject();
	cJSON *array = cJSON_AddArrayToObject(o, "actions");

	for (size_t i = 0; i < n_actions; i++)
		cJSON_AddItemToArray(array, action_print(actions[i], false));
	answer_json(q, 200, o);
}

void get_action(struct api *api, struct http_request *q, const char *id)
{
	const struct alias *alias;
	const struct action *a = action_find(id, &alias);
	struct error e;

	if (a) {
		answer_json(q, 200, action_print(a, true));
		return;
	}
	(void)error_set(&e, ERROR_NOT_FOUND, -ENOENT, "no action %s", id);
	answer_error(q, &e);
}

static cJSON *check_json(const char *name, enum check_status status, const char *detail)
{
	static const char *const names[] = {"ok", "limited", "missing"};
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "name", name);
	cJSON_AddStringToObject(o, "status", names[status]);
	cJSON_AddStringToObject(o, "detail", detail);
	return o;
}

static cJSON *check_guardian(const struct faults *faults)
{
	if (!faults_guardian_connected(faults))
		return check_json("guardian", CHECK_MISSING,
				  "not connected: no fault is accepted until it is");
	if (!faults_guardian_answers(faults))
		return check_json(
			"guardian", CHECK_MISSING,
			"connected, but it does not answer: no fault is accepted until it does");
	return check_json("guardian", CHECK_OK, "connected: it puts the host back if faultd dies");
}

static cJSON *check_store(const struct experiments *experiments)
{
	int r = experiments_store_health(experiments);
	char text[160];

	if (r == 0)
		return check_json("store", CHECK_OK, "templates and experiments are kept on disk");
	(void)snprintf(text, sizeof(text), "what experiments do is not kept on disk: %s",
		       store_strerror(r));
	return check_json("store", CHECK_LIMITED, text);
}

static cJSON *check_lever(const struct lever *lever)
{
	char text[640];

	if (lever->status == LEVER_DISENGAGED)
		return check_json("lever", CHECK_OK, "disengaged: faults may begin");
	(void)snprintf(text, sizeof(text), "%s: no fault may begin: %s",
		       lever_status_name(lever->status), lever->reason);
	return check_json("lever", CHECK_LIMITED, text);
}

void get_doctor(struct api *api, struct http_request *q, const char *id)
{
	cJSON *o = cJSON_CreateObject();
	cJSON *array = cJSON_AddArrayToObject(o, "checks");
	struct check checks[CHECKS_MAX];
	size_t n = features_check(faults_guardian_pid(api->faults), checks);

	cJSON_AddItemToArray(array, check_guardian(api->faults));
	cJSON_AddItemToArray(array, check_lever(experiments_lever(api->experiments)));
	cJSON_AddItemToArray(array, check_store(api->experiments));
	for (size_t i = 0; i < n; i++)
		cJSON_AddItemToArray(
			array, check_json(checks[i].name, checks[i].status, checks[i].detail));
	answer_json(q, 200, o);
}

void get_status(struct api *api, struct http_request *q, const char *id)
{
	cJSON *o = cJSON_CreateObject(), *g;

	cJSON_AddStringToObject(o, "version", FAULTD_VERSION);
	cJSON_AddNumberToObject(o, "pid", getpid());
	cJSON_AddNumberToObject(o, "openFaults", (double)faults_count_open(api->faults));
	cJSON_AddNumberToObject(o, "stuckFaults", (double)faults_count_stuck(api->faults));
	g = cJSON_AddObjectToObject(o, "guardian");
	cJSON_AddBoolToObject(g, "connected", faults_guardian_connected(api->faults));
	cJSON_AddNumberToObject(g, "pid", faults_guardian_pid(api->faults));
	cJSON_AddBoolToObject(o, "privileged", feature_net_privilege());
	cJSON_AddNumberToObject(o, "activeExperiments",
				(double)experiments_count_active(api->experiments));
	cJSON_AddStringToObject(o, "lever",
				lever_status_name(experiments_lever(api->experiments)->status));
	answer_json(q, 200, o);
}
