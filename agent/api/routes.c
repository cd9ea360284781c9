/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "api/auth.h"
#include "api/fault_json.h"
#include "api/handlers.h"

static const struct route {
	const char *method;
	const char *path; /* "{}" stands for one part without a slash */
	void (*handle)(struct api *api, struct http_request *q, const char *id);
} routes[] = {
	{"POST", "/v1/faults", post_fault},        {"GET", "/v1/faults", get_faults},
	{"DELETE", "/v1/faults", delete_faults},   {"GET", "/v1/faults/{}", get_fault},
	{"DELETE", "/v1/faults/{}", delete_fault}, {"POST", "/v1/faults/{}/renew", renew_fault},
	{"POST", "/v1/recover", recover},          {"GET", "/v1/actions", get_actions},
	{"GET", "/v1/actions/{}", get_action},     {"GET", "/v1/events", stream_events},
	{"GET", "/v1/doctor", get_doctor},         {"GET", "/v1/status", get_status},
};

void answer_json(struct http_request *q, unsigned status, cJSON *o)
{
	char *text = o ? cJSON_PrintUnformatted(o) : NULL;

	cJSON_Delete(o);
	http_answer(q, status, NULL, text);
}

void answer_error(struct http_request *q, const struct error *e)
{
	cJSON *o = error_json(e);
	char *text = cJSON_PrintUnformatted(o);

	cJSON_Delete(o);
	http_answer(q, error_code_status(e->code), error_code_name(e->code), text);
}

/* Does `path` fit `pattern`? The part at "{}" goes to `id`. */
static bool fits(const char *pattern, const char *path, char *id, size_t size)
{
	const char *hole = strstr(pattern, "{}");
	size_t before = hole ? (size_t)(hole - pattern) : 0, n;

	id[0] = '\0';
	if (!hole)
		return str_eq(pattern, path);
	if (strncmp(pattern, path, before) != 0)
		return false;
	n = strcspn(path + before, "/");
	if (n == 0 || n >= size || !str_eq(hole + 2, path + before + n))
		return false;
	memcpy(id, path + before, n);
	id[n] = '\0';
	return true;
}

static int check_caller(struct api *api, struct http_request *q, struct error *e)
{
	gid_t gid;

	q->caller.in_group = group_lookup(api->policy->group, &gid) == 0 &&
			     peer_in_group(q->fd, q->caller.gid, gid);
	return policy_check_caller(&q->caller, geteuid(), e);
}

void api_handle(struct http_request *q, void *arg)
{
	struct api *api = arg;
	bool path_known = false;
	struct error e;
	char id[128];

	if (check_caller(api, q, &e) < 0) {
		answer_error(q, &e);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (!fits(routes[i].path, q->path, id, sizeof(id)))
			continue;
		path_known = true;
		if (str_eq(routes[i].method, q->method)) {
			routes[i].handle(api, q, id);
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
