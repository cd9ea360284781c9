/* SPDX-License-Identifier: Apache-2.0 */
/* Start, show, stop. A start is answered when the fault is applied, a stop when it is undone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/fault_json.h"
#include "api/handlers.h"
#include "plan/request.h"

/* A start that waits for its fault to be applied. */
struct starting {
	struct fault_listener listener;
	struct http_request *q;
	struct api *api;
	struct fault *fault;
};

static void stop_waiting(struct starting *s)
{
	faults_unlisten(s->api->faults, &s->listener);
	s->q->data = NULL;
	s->q->gone = NULL;
	free(s);
}

/* What a start came to. One that ended before it was applied has not been what was asked for. */
void answer_start(struct http_request *q, struct fault *f, unsigned status)
{
	struct error e = f->error;

	if (f->applied_ns == 0 && e.code == ERROR_NONE)
		(void)error_set(&e, ERROR_CONFLICT, 0, "ended before it was applied: %s",
				f->reason);
	if (f->state == FAULT_STUCK)
		(void)error_set(&e, ERROR_FAILED, 0,
				"%.400s; fault %s is not put back yet and is tried again",
				f->error.message, f->id);
	if (f->applied_ns == 0)
		answer_error(q, &e);
	else
		answer_json(q, status, fault_json(f, true));
}

static void on_start_event(struct fault *f, void *arg)
{
	struct starting *s = arg;
	struct http_request *q = s->q;

	if (f != s->fault || f->state == FAULT_APPLYING || f->state == FAULT_UNDOING)
		return;
	stop_waiting(s);
	answer_start(q, f, 201);
}

static void on_start_gone(struct http_request *q)
{
	stop_waiting(q->data);
}

static void wait_for_start(struct api *api, struct http_request *q, struct fault *f)
{
	struct starting *s = calloc(1, sizeof(*s));

	if (!s) {
		http_answer(q, 500, NULL, NULL);
		return;
	}
	*s = (struct starting){
		.q = q, .api = api, .fault = f, .listener = {.event = on_start_event, .arg = s}};
	q->data = s;
	q->gone = on_start_gone;
	faults_listen(api->faults, &s->listener);
}

static void begin(struct api *api, struct http_request *q, const struct request *request)
{
	struct fault *f;
	struct error e;
	int r = faults_request(api->faults, request, &q->caller, &f, &e);

	if (r < 0) {
		answer_error(q, &e);
	} else if (r == 2) {
		answer_json(q, 200, fault_json(f, true));
		fault_free(f);
	} else if (request->attach) {
		stream_fault(api, q, f);
	} else if (r == 1 && f->state != FAULT_JOURNALED) {
		answer_start(q, f, 200);
	} else {
		wait_for_start(api, q, f);
	}
}

void post_fault(struct api *api, struct http_request *q, const char *id)
{
	struct request request;
	struct error e;

	if (request_parse(q->body, q->body_length, &request, &e) < 0) {
		answer_error(q, &e);
		return;
	}
	begin(api, q, &request);
	request_done(&request);
}

void get_faults(struct api *api, struct http_request *q, const char *id)
{
	cJSON *o = cJSON_CreateObject();
	cJSON *array = cJSON_AddArrayToObject(o, "faults");

	/* Newest first as they come; the open ones before the finished. */
	for (int open = 1; open >= 0; open--) {
		for (struct fault *f = faults_first(api->faults); f; f = f->next) {
			if (fault_is_open(f) == open)
				cJSON_AddItemToArray(array, fault_json(f, false));
		}
	}
	answer_json(q, 200, o);
}

static struct fault *find(struct api *api, struct http_request *q, const char *id)
{
	struct fault *f = faults_find(api->faults, id);
	struct error e;

	if (!f) {
		(void)error_set(&e, ERROR_NOT_FOUND, -ENOENT, "no fault %s", id);
		answer_error(q, &e);
	}
	return f;
}

void get_fault(struct api *api, struct http_request *q, const char *id)
{
	struct fault *f = find(api, q, id);

	if (f)
		answer_json(q, 200, fault_json(f, true));
}

static const char *stopped_by(const struct http_request *q, char *buffer, size_t size)
{
	(void)snprintf(buffer, size, "stopped by uid %u", (unsigned)q->caller.uid);
	return buffer;
}

/* Undoing takes place before fault_end() returns, so the answer can be given at once; a fault whose
 * undo fails is answered as stuck rather than kept waiting for. */
void delete_fault(struct api *api, struct http_request *q, const char *id)
{
	struct fault *f = find(api, q, id);
	char reason[48];

	if (!f)
		return;
	fault_end(f, stopped_by(q, reason, sizeof(reason)));
	answer_json(q, 200, fault_json(f, true));
}

static void end_all(struct api *api, struct http_request *q, bool retry)
{
	cJSON *o = cJSON_CreateObject();
	cJSON *array = cJSON_AddArrayToObject(o, "faults");
	struct fault *touched[512];
	char reason[48];
	size_t n = 0;

	for (struct fault *f = faults_first(api->faults); f; f = f->next) {
		if (fault_is_open(f) && n < ARRAY_SIZE(touched))
			touched[n++] = f;
	}
	(void)faults_stop_all(api->faults, stopped_by(q, reason, sizeof(reason)));
	if (retry)
		faults_retry(api->faults);
	for (size_t i = 0; i < n; i++)
		cJSON_AddItemToArray(array, fault_json(touched[i], false));
	answer_json(q, 200, o);
}

void delete_faults(struct api *api, struct http_request *q, const char *id)
{
	end_all(api, q, false);
}

void recover(struct api *api, struct http_request *q, const char *id)
{
	end_all(api, q, true);
}

void renew_fault(struct api *api, struct http_request *q, const char *id)
{
	struct fault *f = find(api, q, id);
	struct error e;
	int r = f ? fault_renew(f) : 0;

	if (!f)
		return;
	if (r == 0) {
		answer_json(q, 200, fault_json(f, false));
		return;
	}
	(void)error_set(&e, r == -ENOENT ? ERROR_VALIDATION : ERROR_CONFLICT, r, "fault %s %s",
			f->id, r == -ENOENT ? "has no lease" : "is no longer active");
	answer_error(q, &e);
}
