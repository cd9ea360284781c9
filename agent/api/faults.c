/* SPDX-License-Identifier: Apache-2.0 */
/* Start, show, stop. A start is answered when the fault is applied, a stop when it is undone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	} else if (r == 1 && f->state != FAULT_JOURNALED && f->state != FAULT_APPLYING) {
		answer_start(q, f, 200);
	} else {
		wait_for_start(api, q, f);
	}
}

/* A start that waits for its names to be resolved. */
struct asking {
	struct request request;
	struct resolving *resolving;
	struct http_request *q;
	struct api *api;
};

static void free_asking(struct asking *a)
{
	request_done(&a->request);
	free(a);
}

/* Nobody wants it any more, and nothing was done. */
static void on_asking_gone(struct http_request *q)
{
	struct asking *a = q->data;

	q->data = NULL;
	q->gone = NULL;
	resolve_cancel(a->resolving);
	free_asking(a);
}

static void on_resolved(void *arg)
{
	struct asking *a = arg;

	a->q->data = NULL;
	a->q->gone = NULL;
	http_unwatch_client(a->q);
	begin(a->api, a->q, &a->request);
	free_asking(a);
}

static void wait_for_names(struct asking *a)
{
	a->q->data = a;
	a->q->gone = on_asking_gone;
	http_watch_client(a->q);
}

void post_fault(struct api *api, struct http_request *q, const char *id)
{
	struct asking *a = calloc(1, sizeof(*a));
	struct error e;
	int r;

	if (!a) {
		http_answer(q, 500, NULL, NULL);
		return;
	}
	a->q = q;
	a->api = api;
	r = request_parse(q->body, q->body_length, &a->request, &e);
	if (r == 0 && !may_request_fault(api, q, &a->request, &e))
		r = -EACCES;
	if (r == 0)
		r = faults_resolve(api->faults, &a->request, on_resolved, a, &a->resolving, &e);
	if (r > 0) {
		wait_for_names(a);
		return;
	}
	if (r < 0)
		answer_error(q, &e);
	else
		begin(api, q, &a->request);
	free_asking(a);
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

/* A stop that waits until what it ended is undone; mostly it is by the time it is asked. One that
 * is stuck is answered as that, rather than kept waiting for. */
struct stopping {
	struct fault_listener listener;
	struct http_request *q;
	struct api *api;
	bool single; /* one fault is the answer, not a list */
	size_t n;
	char id[][FAULT_ID_MAX];
};

static bool is_undone(const struct stopping *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct fault *f = faults_find(s->api->faults, s->id[i]);

		if (f && f->state == FAULT_UNDOING)
			return false;
	}
	return true;
}

static void answer_stop(const struct stopping *s)
{
	cJSON *o, *array;

	if (s->single) {
		struct fault *f = faults_find(s->api->faults, s->id[0]);

		answer_json(s->q, 200, f ? fault_json(f, true) : NULL);
		return;
	}
	o = cJSON_CreateObject();
	array = cJSON_AddArrayToObject(o, "faults");
	for (size_t i = 0; i < s->n; i++) {
		struct fault *f = faults_find(s->api->faults, s->id[i]);

		if (f)
			cJSON_AddItemToArray(array, fault_json(f, false));
	}
	answer_json(s->q, 200, o);
}

static void on_stop_gone(struct http_request *q)
{
	struct stopping *s = q->data;

	faults_unlisten(s->api->faults, &s->listener);
	q->data = NULL;
	q->gone = NULL;
	free(s);
}

static void on_stop_event(struct fault *f, void *arg)
{
	struct stopping *s = arg;

	if (!is_undone(s))
		return;
	answer_stop(s);
	on_stop_gone(s->q);
}

static struct stopping *new_stopping(struct api *api, struct http_request *q, size_t room)
{
	struct stopping *s = calloc(1, sizeof(*s) + room * FAULT_ID_MAX);

	if (!s) {
		http_answer(q, 500, NULL, NULL);
		return NULL;
	}
	s->q = q;
	s->api = api;
	s->listener = (struct fault_listener){.event = on_stop_event, .arg = s};
	return s;
}

static void add_id(struct stopping *s, const struct fault *f)
{
	(void)str_copy(s->id[s->n++], FAULT_ID_MAX, f->id);
}

/* After everything was ended. */
static void answer_or_wait(struct stopping *s)
{
	if (is_undone(s)) {
		answer_stop(s);
		free(s);
		return;
	}
	s->q->data = s;
	s->q->gone = on_stop_gone;
	faults_listen(s->api->faults, &s->listener);
}

void delete_fault(struct api *api, struct http_request *q, const char *id)
{
	struct fault *f = find(api, q, id);
	struct stopping *s = f ? new_stopping(api, q, 1) : NULL;
	char reason[48];

	if (!s)
		return;
	s->single = true;
	add_id(s, f);
	fault_end(f, stopped_by(q, reason, sizeof(reason)));
	answer_or_wait(s);
}

static void end_all(struct api *api, struct http_request *q, bool retry)
{
	struct stopping *s = new_stopping(api, q, faults_count_open(api->faults));
	char reason[48];

	if (!s)
		return;
	for (struct fault *f = faults_first(api->faults); f; f = f->next) {
		if (fault_is_open(f))
			add_id(s, f);
	}
	/* What has more to begin would begin it when this is over. */
	experiments_stop_all(api->experiments, stopped_by(q, reason, sizeof(reason)));
	faults_stop_all(api->faults, reason);
	if (retry)
		faults_retry(api->faults);
	answer_or_wait(s);
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
	int r;

	if (!f)
		return;
	/* To renew is to go on starting it. */
	if (!may_start_fault(api, q, f->action, f->params, f->duration_ms, &e)) {
		answer_error(q, &e);
		return;
	}
	r = fault_renew(f);
	if (r == 0) {
		answer_json(q, 200, fault_json(f, false));
		return;
	}
	(void)error_set(&e, r == -ENOENT ? ERROR_VALIDATION : ERROR_CONFLICT, r, "fault %s %s",
			f->id, r == -ENOENT ? "has no lease" : "is no longer active");
	answer_error(q, &e);
}
