/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "api/auth.h"
#include "api/fault_json.h"
#include "api/handlers.h"
#include "api/match.h"
#include "faultd/limits.h"

#define ID_MAX 2048 /* an ARN */

static const struct route routes[] = {
	{"POST", "/v1/faults", post_fault, NULL},
	{"GET", "/v1/faults", get_faults, "faultd:Read"},
	{"DELETE", "/v1/faults", delete_faults, "faultd:StopFault"},
	{"GET", "/v1/faults/{}", get_fault, "faultd:Read"},
	{"DELETE", "/v1/faults/{}", delete_fault, "faultd:StopFault"},
	{"POST", "/v1/faults/{}/renew", renew_fault, NULL},
	{"POST", "/v1/recover", recover, "faultd:Recover"},
	{"GET", "/v1/actions", get_actions, "faultd:Read"},
	{"GET", "/v1/actions/{}", get_action, "faultd:Read"},
	{"GET", "/v1/events", stream_events, "faultd:Read"},
	{"GET", "/v1/experiments/{}/log", get_experiment_log, "faultd:Read"},
	{"POST", "/v1/templates/validate", validate_template, "faultd:Read"},
	{"GET", "/v1/doctor", get_doctor, "faultd:Read"},
	{"GET", "/v1/status", get_status, "faultd:Read"},
};

void answer_json(struct http_request *q, unsigned status, cJSON *o)
{
	char *text = o ? cJSON_PrintUnformatted(o) : NULL;

	cJSON_Delete(o);
	http_answer(q, status, NULL, text);
}

/* By the first part of the path. */
static bool is_fis(const char *path)
{
	static const char *const parts[] = {"experimentTemplates", "experiments",  "actions",
					    "targetResourceTypes", "safetyLevers", "tags"};
	size_t n;

	if (path[0] != '/')
		return false;
	n = strcspn(path + 1, "/");
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (strlen(parts[i]) == n && strncmp(parts[i], path + 1, n) == 0)
			return true;
	}
	return false;
}

size_t api_body_max(const char *path)
{
	return is_fis(path) ? FIS_BODY_MAX : REQUEST_BODY_MAX;
}

static cJSON *fis_error_json(const struct error *e)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "message", e->message);
	return o;
}

void answer_error(struct http_request *q, const struct error *e)
{
	cJSON *o = q->remote || is_fis(q->path) ? fis_error_json(e) : error_json(e);
	char *text = cJSON_PrintUnformatted(o);

	cJSON_Delete(o);
	http_answer(q, error_code_status(e->code), error_code_name(e->code), text);
}

static void answer_refused(struct http_request *q)
{
	struct error e;

	if (q->refused == ERROR_TOO_LARGE)
		error_set_text(&e, q->refused, "body: larger than %zu bytes",
			       api_body_max(q->path));
	else if (q->refused == ERROR_UNAVAILABLE)
		error_set_text(&e, q->refused,
			       "body: larger than %d bytes, and %d such are being read already; "
			       "try again",
			       REQUEST_BODY_MAX, LARGE_BODIES_MAX);
	else
		error_set_text(&e, q->refused, "the URI holds a NUL (%%00)");
	answer_error(q, &e);
}

static int check_caller(struct api *api, struct http_request *q, struct error *e)
{
	gid_t gid;

	if (q->remote) {
		if (!is_fis(q->path))
			return error_set(e, ERROR_NOT_FOUND, -ENOENT, "no such path: %.128s",
					 q->path);
		if (remote_admit(q, api->policy, api->identity, &api->refused, e) < 0)
			return -EACCES;
		return policy_check_caller(api->policy, &q->caller, geteuid(), e);
	}
	peer_groups(q->fd, &q->caller);
	q->caller.in_group =
		group_lookup(api->policy->group, &gid) == 0 && caller_has_group(&q->caller, gid);
	return policy_check_caller(api->policy, &q->caller, geteuid(), e);
}

static int check_action(const struct api *api, const struct http_request *q, const char *action,
			struct error *e)
{
	const struct access_question question = {.action = action, .resource = "*"};

	return action ? access_check_caller(api->policy->access, &q->caller, geteuid(), &question,
					    e)
		      : 0;
}

void api_handle(struct http_request *q, void *arg)
{
	char id[ID_MAX + 1];
	const struct match_hole holes[MATCH_HOLES] = {{id, sizeof(id)},
						      {q->second_id, sizeof(q->second_id)}};
	struct api *api = arg;
	bool path_known = false;
	struct error e;

	if (q->refused != ERROR_NONE) {
		answer_refused(q);
		return;
	}
	if (check_caller(api, q, &e) < 0) {
		answer_error(q, &e);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(routes) + n_fis_routes; i++) {
		const struct route *r =
			i < ARRAY_SIZE(routes) ? &routes[i] : &fis_routes[i - ARRAY_SIZE(routes)];

		if (!match_path(r->path, q->path, holes))
			continue;
		path_known = true;
		if (str_eq(r->method, q->method)) {
			if (check_action(api, q, r->action, &e) < 0)
				answer_error(q, &e);
			else
				r->handle(api, q, id);
			return;
		}
	}
	if (path_known)
		(void)error_set(&e, ERROR_METHOD, -EINVAL, "%.16s is not a method of %.64s",
				q->method, q->path);
	else
		(void)error_set(&e, ERROR_NOT_FOUND, -ENOENT, "no such path: %.128s", q->path);
	answer_error(q, &e);
}
