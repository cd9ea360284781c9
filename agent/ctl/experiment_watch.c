/* SPDX-License-Identifier: Apache-2.0 */
/* See experiment_watch.h. The log's stream says that something happened and when it is over; how it
 * stands is asked beside it. */
#include "ctl/experiment_watch.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ctl/exit.h"
#include "ctl/fis.h"
#include "ctl/timeline.h"

#define DRAW_MS 200

struct watching {
	struct ctl *ctl;
	const char *id;
	enum watch_mode mode;
	enum { WORDS, RECORDS, SILENCE } says; /* RECORDS: of --json, nothing else */
	bool interrupted, stopping, refused, left;
	bool stale, asking; /* something happened since it was asked */
	cJSON *experiment;
};

static void draw(const struct watching *w)
{
	char **lines;

	if (!w->experiment)
		return;
	lines = timeline_draw(w->experiment, now_seconds(), out_columns(), out_is_utf8());
	out_block(lines);
	timeline_free(lines);
}

static bool drawing(const struct watching *w)
{
	return !w->ctl->json && w->says == WORDS && out_is_terminal();
}

static const char *detail(const cJSON *record, const char *state, const char *key)
{
	return json_text(json_object(json_object(record, "details"), state), key);
}

/* A line for what is not a terminal. */
static void say(const cJSON *record)
{
	const char *type = json_text(record, "log_type");
	const cJSON *details = json_object(record, "details");
	const char *when = json_text(record, "event_timestamp");

	if (strcmp(type, "action-start") == 0)
		out_line(PLAIN, "%s  %s started (%s)", when, json_text(details, "action_name"),
			 json_text(details, "action_id"));
	else if (strcmp(type, "action-end") == 0)
		out_line(PLAIN, "%s  %s %s: %s", when, json_text(details, "action_name"),
			 detail(record, "action_state", "status"),
			 detail(record, "action_state", "reason"));
	else if (strcmp(type, "target-resolution-detail") == 0)
		out_line(PLAIN, "%s  target %s: %.0f of %s", when,
			 json_text(details, "target_name"),
			 json_number(details, "resolved_targets_count", 0),
			 json_text(details, "target_type"));
	else if (strcmp(type, "experiment-end") == 0)
		out_line(PLAIN, "%s  experiment %s: %s", when,
			 detail(record, "experiment_state", "status"),
			 detail(record, "experiment_state", "reason"));
}

static int on_line(void *data, const char *line, size_t len)
{
	struct watching *w = data;
	_cleanup_(json_freep) cJSON *record = json_parse(line, len);

	if (!cJSON_IsObject(record))
		return -EBADMSG;
	w->stale = true;
	if (w->ctl->json && w->says != SILENCE)
		out_json(line, len);
	else if (!drawing(w) && w->says == WORDS)
		say(record);
	return ferror(stdout) ? 1 : 0;
}

static void interrupt(struct watching *w)
{
	w->interrupted = true;
	out_note("stopping the experiment (once more to leave without waiting)");
}

static int on_signal(void *data, int number)
{
	struct watching *w = data;

	if (w->mode != WATCH_OWNED || w->interrupted) {
		w->left = true;
		return 1;
	}
	interrupt(w);
	return 0;
}

static void take(struct watching *w, const struct http_answer *answer)
{
	cJSON *json = json_parse(answer->body, answer->len);
	cJSON *x = cJSON_DetachItemFromObjectCaseSensitive(json, "experiment");

	if (cJSON_IsObject(x)) {
		cJSON_Delete(w->experiment);
		w->experiment = x;
	} else {
		cJSON_Delete(x);
	}
	cJSON_Delete(json);
}

static void on_experiment(void *data, int r, const struct http_answer *answer)
{
	struct watching *w = data;

	w->asking = false;
	if (r == 0 && answer->status < 400)
		take(w, answer);
}

static void on_stopped(void *data, int r, const struct http_answer *answer)
{
	struct watching *w = data;

	if (r < 0)
		(void)api_unreachable(w->ctl, r);
	else if (answer->status >= 400)
		(void)api_refusal(w->ctl, answer);
	w->refused = r < 0 || answer->status >= 400;
	w->stale = true;
}

static int start_about(struct watching *w, const char *method, http_done *done)
{
	_cleanup_(freep) char *path = must(http_path("/experiments/", w->id, ""));

	return http_start(w->ctl->http, method, path, done, w);
}

static int on_tick(void *data, int *ret_wait_ms)
{
	struct watching *w = data;
	int r = 0;

	if (w->interrupted && !w->stopping) {
		w->stopping = true;
		r = start_about(w, "DELETE", on_stopped);
	}
	if (r == 0 && w->stale && !w->asking && drawing(w)) {
		w->stale = false;
		w->asking = true;
		r = start_about(w, "GET", on_experiment);
	}
	if (drawing(w)) {
		draw(w);
		if (*ret_wait_ms > DRAW_MS)
			*ret_wait_ms = DRAW_MS;
	}
	return r;
}

static int code_of(const struct watching *w)
{
	const char *status = json_text(json_object(w->experiment, "state"), "status");

	if (w->interrupted && strcmp(status, "stopped") == 0)
		return EXIT_INTERRUPTED;
	return strcmp(status, "completed") == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* How it stands at the end. */
static int finish(struct watching *w)
{
	struct answer a = {0};
	int r = ask_about(w->ctl, "GET", "/experiments/", w->id, "", &a);

	if (r)
		return r;
	take(w, &a.raw);
	if (drawing(w))
		draw(w);
	answer_done(&a);
	return code_of(w);
}

static int leave(const struct watching *w)
{
	if (w->mode == WATCH)
		return EXIT_DONE;
	out_note("left: the experiment %s; see 'faultctl experiment show %s'",
		 w->refused ? "goes on" : "is being stopped", w->id);
	return EXIT_INTERRUPTED;
}

static int ended(struct watching *w, int r, const struct http_answer *answer)
{
	if (w->left)
		return leave(w);
	if (r > 0)
		return EXIT_DONE; /* nobody reads any more */
	if (r == 0 && answer->status >= 400)
		return api_refusal(w->ctl, answer);
	if (r == 0)
		return finish(w);
	if (r != -ECONNRESET)
		return api_unreachable(w->ctl, r);
	out_error("the connection to faultd was lost; what the experiment did is undone if faultd "
		  "ended");
	return EXIT_LOST;
}

static int follow(struct watching *w)
{
	const struct http_watcher watcher = {on_line, on_signal, on_tick, w};
	_cleanup_(freep) char *path =
		must(http_path("/v1/experiments/", w->id, "/log?follow=true"));
	struct http_answer answer = {0};
	int r;

	w->stale = true;
	if (w->mode == WATCH_STOPPED)
		interrupt(w);
	r = ended(w, http_stream(w->ctl->http, "GET", path, NULL, &watcher, &answer), &answer);
	http_answer_done(&answer);
	cJSON_Delete(w->experiment);
	return r;
}

int watch_experiment(struct ctl *ctl, const char *id, enum watch_mode mode)
{
	return follow(&(struct watching){.ctl = ctl, .id = id, .mode = mode, .says = WORDS});
}

int await_experiment(struct ctl *ctl, const char *id, enum watch_mode mode)
{
	return follow(&(struct watching){.ctl = ctl, .id = id, .mode = mode, .says = RECORDS});
}

int await_silently(struct ctl *ctl, const char *id, enum watch_mode mode)
{
	return follow(&(struct watching){.ctl = ctl, .id = id, .mode = mode, .says = SILENCE});
}
