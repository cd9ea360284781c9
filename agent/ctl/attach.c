/* SPDX-License-Identifier: Apache-2.0 */
/* See attach.h. Owns the exchange with the daemon while a fault is held; the daemon owns the
 * fault: whatever happens here, the connection closes and the fault is undone. Must never claim
 * that the host was put back unless the daemon said so. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ctl/api.h"
#include "ctl/attach.h"
#include "ctl/exit.h"
#include "ctl/fault.h"
#include "ctl/out.h"
#include "faultd/limits.h"
#include "util/clock.h"

#define DRAW_MS  200
#define TIME_MAX 1e12 /* ms: beyond any duration, far below what overflows */

struct attached {
	struct ctl *ctl;
	char id[FAULT_ID_MAX + 1];
	char action[ACTION_NAME_MAX + 1];
	char state[32];
	uint64_t started, deadline; /* on boot_ns(); deadline 0: none known */
	double length_ms;
	cJSON *figures;
	uint64_t lease_ns, renew_at; /* lease_ns 0: no lease */
	bool renewing, interrupted, stopping;
	bool ended; /* code says how */
	int code;
};

static int end(struct attached *s, int code)
{
	s->ended = true;
	s->code = code;
	return 1;
}

static void copy_text(char *to, size_t size, const char *text)
{
	(void)snprintf(to, size, "%s", text);
}

static void take_time_left(struct attached *s, const cJSON *obj)
{
	double ms = json_number(obj, "remainingMs", -1);

	if (ms >= 0 && ms < TIME_MAX)
		s->deadline = boot_ns() + (uint64_t)(ms * (double)NSEC_PER_MSEC);
}

/* Lines for what is not a terminal, where a log is read afterwards. */
static bool plain(const struct attached *s)
{
	return !s->ctl->json && !out_is_terminal();
}

static bool drawing(const struct attached *s)
{
	return !s->ctl->json && out_is_terminal() && s->id[0];
}

static int on_start(struct attached *s, const cJSON *event)
{
	const cJSON *fault = json_object(event, "fault");
	const char *id = json_text(fault, "id"), *what = json_text(fault, "description");

	if (!*id || strlen(id) > FAULT_ID_MAX)
		return -EBADMSG;
	copy_text(s->id, sizeof(s->id), id);
	copy_text(s->action, sizeof(s->action), json_text(fault, "action"));
	copy_text(s->state, sizeof(s->state), json_text(fault, "state"));
	s->length_ms = json_number(fault, "durationMs", 0);
	take_time_left(s, fault);
	if (json_number(fault, "leaseRemainingMs", -1) >= 0) {
		/* Only the answer to a renewal tells how long the lease is. */
		s->lease_ns = LEASE_MIN_MS * NSEC_PER_MSEC;
		s->renew_at = boot_ns();
	}
	if (s->ctl->json)
		return 0;
	_cleanup_(freep) char *length = human_length(s->length_ms);
	out_line(PLAIN, "%s %s: %s%s%s%s", s->id, s->action, plain(s) ? "active: " : "", what,
		 s->length_ms > 0 ? " for " : "", s->length_ms > 0 ? length : "");
	return 0;
}

static int on_state(struct attached *s, const cJSON *event)
{
	const char *state = json_text(event, "state"), *reason = json_text(event, "reason");
	bool last = strcmp(state, "done") == 0 || strcmp(state, "failed") == 0;

	if (!*state || strcmp(json_text(event, "id"), s->id) != 0 || strcmp(state, s->state) == 0)
		return 0;
	copy_text(s->state, sizeof(s->state), state);
	take_time_left(s, event);
	/* The end, which follows at once, says these better. */
	if (plain(s) && !last)
		out_line(PLAIN, "%s %s: %s%s%s%s", s->id, s->action, state, *reason ? " (" : "",
			 reason, *reason ? ")" : "");
	return 0;
}

static int on_figures(struct attached *s, const cJSON *event)
{
	cJSON *figures = cJSON_Duplicate(json_list(event, "figures"), true);

	take_time_left(s, event);
	if (figures) {
		cJSON_Delete(s->figures);
		s->figures = figures;
	}
	return 0;
}

static char *end_text(const struct attached *s, const cJSON *fault, int code)
{
	const cJSON *last = json_list(fault, "figures");
	_cleanup_(freep) char *outcome = fault_outcome(fault);
	_cleanup_(freep) char *figures = figures_text(cJSON_GetArraySize(last) ? last : s->figures);
	_cleanup_(freep) char *ran =
		human_time((double)(boot_ns() - s->started) / (double)NSEC_PER_MSEC);

	return textf("%s%s%s%s: %s%s; held %s%s%s", s->id, *s->id ? " " : "", s->action,
		     *s->id ? "" : "the fault",
		     code == EXIT_INTERRUPTED ? "interrupted, rolled back: " : "", outcome, ran,
		     *figures ? "; " : "", figures);
}

/* Returns 1: the stream has nothing more to say. */
static int finish(struct attached *s, const cJSON *fault)
{
	int code = fault_exit(fault);

	if (s->interrupted && strcmp(json_text(fault, "state"), "done") == 0)
		code = EXIT_INTERRUPTED;
	_cleanup_(freep) char *text = end_text(s, fault, code);
	if (code != EXIT_DONE && code != EXIT_INTERRUPTED)
		out_error("%s", text);
	else if (!s->ctl->json)
		out_line(PLAIN, "%s", text);
	if (!s->ctl->json) {
		fault_print_results(fault);
		fault_print_notes(fault);
	}
	return end(s, code);
}

static int on_end(struct attached *s, const cJSON *event)
{
	const cJSON *fault = json_object(event, "fault");

	return *json_text(fault, "state") ? finish(s, fault) : -EBADMSG;
}

static const struct {
	const char *name;
	int (*take)(struct attached *s, const cJSON *event);
} events[] = {
	{"start", on_start},
	{"state", on_state},
	{"figures", on_figures},
	{"end", on_end},
};

static int on_line(void *data, const char *line, size_t len)
{
	struct attached *s = data;
	_cleanup_(json_freep) cJSON *event = json_parse(line, len);
	const char *name = json_text(event, "event");

	if (!*name && (s->id[0] || !*json_text(event, "state")))
		return -EBADMSG;
	if (s->ctl->json)
		out_json(line, len);
	/* Not a stream: the fault that had this token, which is over. */
	if (!*name)
		return finish(s, event);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (strcmp(events[i].name, name) == 0)
			return events[i].take(s, event);
	return 0;
}

static int on_signal(void *data, int number)
{
	struct attached *s = data;

	(void)number;
	if (s->interrupted) {
		out_note("left: faultd undoes the fault as this connection closes");
		return end(s, EXIT_INTERRUPTED);
	}
	s->interrupted = true;
	out_note("stopping: faultd undoes the fault (once more to leave without waiting)");
	return 0;
}

static void on_stopped(void *data, int r, const struct http_answer *answer)
{
	struct attached *s = data;
	_cleanup_(json_freep) cJSON *json = r == 0 ? json_parse(answer->body, answer->len) : NULL;

	if (r == 0 && answer->status < 400) {
		if (strcmp(json_text(json, "state"), "stuck") == 0)
			finish(s, json);
		return;
	}
	/* It had ended already: the end is on its way. */
	if (r == 0 && (answer->status == 404 || answer->status == 409))
		return;
	if (r == 0)
		api_refusal(s->ctl, answer);
	out_error("could not ask faultd to stop the fault: leaving, which undoes it as this "
		  "connection closes");
	end(s, r == 0 ? EXIT_INTERRUPTED : EXIT_LOST);
}

static void on_renewed(void *data, int r, const struct http_answer *answer)
{
	struct attached *s = data;
	_cleanup_(json_freep) cJSON *json = r == 0 ? json_parse(answer->body, answer->len) : NULL;
	double ms = json_number(json, "leaseRemainingMs", -1);

	s->renewing = false;
	/* A lost connection or an end shows in the stream, sooner and better. */
	if (r == 0 && answer->status >= 400 && answer->status != 404 && answer->status != 409)
		out_error("the lease was not renewed: %s", json_text(json, "message"));
	if (r == 0 && ms > LEASE_MIN_MS && ms < TIME_MAX)
		s->lease_ns = (uint64_t)(ms * (double)NSEC_PER_MSEC);
	s->renew_at = boot_ns() + s->lease_ns / 3;
}

static int start_about(struct attached *s, const char *method, const char *suffix, http_done *done)
{
	_cleanup_(freep) char *path = must(http_path("/v1/faults/", s->id, suffix));

	return http_start(s->ctl->http, method, path, done, s);
}

static void draw(const struct attached *s, uint64_t now)
{
	double left = s->deadline > now ? (double)(s->deadline - now) / (double)NSEC_PER_MSEC : 0;
	double so_far = (double)(now - s->started) / (double)NSEC_PER_MSEC;
	bool timed = s->deadline && s->length_ms > 0;
	_cleanup_(freep) char *time = human_time(timed ? left : so_far);
	_cleanup_(freep) char *figures = figures_text(s->figures);
	_cleanup_(freep) char *text = NULL;

	if (s->stopping || strcmp(s->state, "active") != 0)
		text = textf("%s ...", s->stopping ? "stopping" : s->state);
	else
		text = textf("%s %s  %s", time, timed ? "left" : "so far", figures);
	out_progress(timed ? 1 - left / s->length_ms : -1, text);
}

static void wait_at_most(int *wait_ms, uint64_t ms)
{
	if (ms < (uint64_t)*wait_ms)
		*wait_ms = (int)ms;
}

static int keep_lease(struct attached *s, uint64_t now, int *wait_ms)
{
	if (!s->lease_ns || s->renewing)
		return 0;
	if (now < s->renew_at) {
		wait_at_most(wait_ms, (s->renew_at - now) / NSEC_PER_MSEC + 1);
		return 0;
	}
	s->renewing = true;
	return start_about(s, "POST", "/renew", on_renewed);
}

static int on_tick(void *data, int *ret_wait_ms)
{
	struct attached *s = data;
	uint64_t now = boot_ns();
	int r = 0;

	if (s->ended)
		return 1;
	if (s->interrupted && !s->stopping && s->id[0]) {
		s->stopping = true;
		r = start_about(s, "DELETE", "", on_stopped);
	}
	if (r == 0)
		r = keep_lease(s, now, ret_wait_ms);
	if (drawing(s)) {
		draw(s, now);
		wait_at_most(ret_wait_ms, DRAW_MS);
	}
	return r;
}

/* The stream is over and no end was seen. */
static int lost(const struct attached *s, int r)
{
	const char *then = "it or the guardian puts the host back (see 'faultctl list')";

	switch (r) {
	case 0:
	case -ECONNRESET:
		out_error("the connection to faultd was lost; the guardian puts the host back "
			  "(see 'faultctl list')");
		return EXIT_LOST;
	case -EBADMSG:
		out_error("cannot read what faultd sends: connection closed; %s", then);
		return EXIT_LOST;
	case -EMSGSIZE:
		out_error("faultd sends more than a line may hold: connection closed; %s", then);
		return EXIT_LOST;
	default:
		return api_unreachable(s->ctl, r);
	}
}

int attach(struct ctl *ctl, const char *body)
{
	struct attached s = {.ctl = ctl, .started = boot_ns()};
	const struct http_watcher watcher = {on_line, on_signal, on_tick, &s};
	struct http_answer answer = {0};
	int r = http_stream(ctl->http, "POST", "/v1/faults", body, &watcher, &answer);

	out_progress_clear();
	if (!s.ended) {
		bool refused = r == 0 && answer.status >= 400;

		s.code = refused ? api_refusal(ctl, &answer) : lost(&s, r);
	}
	http_answer_done(&answer);
	cJSON_Delete(s.figures);
	return s.code;
}
