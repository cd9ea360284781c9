/* SPDX-License-Identifier: Apache-2.0 */
/* The two streams: every event of every fault and record of every experiment, and one attached
 * fault, which ends with its client. */
#include <stdio.h>
#include <stdlib.h>

#include "api/fault_json.h"
#include "api/handlers.h"

#define FIGURES_MS 1000

struct stream {
	struct fault_listener listener;
	struct log_listener records; /* of a stream of everything */
	struct http_request *q;
	struct api *api;
	struct fault *fault; /* attached to; NULL: all of them */
	bool started;
	uv_timer_t *figures;
};

static void free_handle(uv_handle_t *h)
{
	free(h);
}

/* Takes `line` over; NULL (out of memory) adds nothing. */
static void add(struct stream *s, char *line)
{
	if (line)
		(void)http_stream_add(s->q, line);
	free(line);
}

/* Leaves the stream to the connection, which empties and ends it. */
static void detach(struct stream *s)
{
	faults_unlisten(s->api->faults, &s->listener);
	if (s->records.record)
		experiment_log_unlisten(experiments_log(s->api->experiments), &s->records);
	if (s->figures) {
		(void)uv_timer_stop(s->figures);
		uv_close((uv_handle_t *)s->figures, free_handle);
	}
	s->q->data = NULL;
	s->q->gone = NULL;
	free(s);
}

static void on_stream_gone(struct http_request *q)
{
	struct stream *s = q->data;
	struct fault *f = s->fault;

	detach(s);
	if (f)
		fault_end(f, "client gone");
}

static struct stream *new_stream(struct api *api, struct http_request *q, struct fault *f,
				 fault_event_fn event)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s) {
		http_answer(q, 500, NULL, NULL);
		return NULL;
	}
	*s = (struct stream){
		.q = q, .api = api, .fault = f, .listener = {.event = event, .arg = s}};
	q->data = s;
	q->gone = on_stream_gone;
	http_watch_client(q);
	faults_listen(api->faults, &s->listener);
	return s;
}

static void on_any_event(struct fault *f, void *arg)
{
	add(arg, fault_event_line(f));
}

/* FIS's record as it is, in an event of ours. */
static void on_any_record(const char *experiment_id, const char *line, void *arg)
{
	char *event = NULL;

	if (asprintf(&event, "{\"event\":\"record\",\"id\":\"%s\",\"record\":%s}", experiment_id,
		     line) < 0)
		event = NULL;
	add(arg, event);
}

void stream_events(struct api *api, struct http_request *q, const char *id)
{
	struct stream *s = new_stream(api, q, NULL, on_any_event);

	if (!s)
		return;
	s->records = (struct log_listener){.record = on_any_record, .arg = s};
	experiment_log_listen(experiments_log(api->experiments), &s->records);
	http_stream_begin(q);
}

static void on_figures(uv_timer_t *t)
{
	struct stream *s = t->data;

	add(s, fault_figures_line(s->fault));
}

static void start_figures(struct stream *s, uv_loop_t *loop)
{
	s->figures = calloc(1, sizeof(*s->figures));
	if (!s->figures)
		return; /* the fault does not depend on being shown */
	(void)uv_timer_init(loop, s->figures);
	s->figures->data = s;
	(void)uv_timer_start(s->figures, on_figures, FIGURES_MS, FIGURES_MS);
}

static void start(struct stream *s)
{
	struct figure unused[FIGURES_MAX];

	s->started = true;
	http_stream_begin(s->q);
	add(s, fault_whole_line(s->fault, "start"));
	(void)fault_figures(s->fault,
			    unused); /* the first sample, for the next to be compared with */
	start_figures(s, faults_loop(s->api->faults));
}

static void end(struct stream *s)
{
	struct http_request *q = s->q;

	add(s, fault_whole_line(s->fault, "end"));
	detach(s);
	http_stream_end(q);
}

static bool is_at_its_end(const struct fault *f)
{
	return f->state == FAULT_DONE || f->state == FAULT_FAILED || f->state == FAULT_STUCK;
}

/* Nothing was applied: an ordinary error instead of a stream. */
static void refuse(struct stream *s)
{
	struct http_request *q = s->q;
	struct fault *f = s->fault;

	detach(s);
	answer_start(q, f, 201);
}

static void on_fault_event(struct fault *f, void *arg)
{
	struct stream *s = arg;

	if (f != s->fault)
		return;
	if (!s->started && f->state == FAULT_ACTIVE)
		start(s);
	if (s->started)
		add(s, fault_event_line(f));
	if (s->started && is_at_its_end(f))
		end(s);
	else if (is_at_its_end(f))
		refuse(s);
}

void stream_fault(struct api *api, struct http_request *q, struct fault *f)
{
	struct stream *s = new_stream(api, q, f, on_fault_event);

	if (!s) {
		fault_end(f, "client gone");
		return;
	}
	f->attached = true;
	/* The same token again: join it where it stands. */
	if (f->state == FAULT_ACTIVE || is_at_its_end(f)) {
		start(s);
		if (is_at_its_end(f))
			end(s);
	}
}
