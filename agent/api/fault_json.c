/* SPDX-License-Identifier: Apache-2.0 */
#include "api/fault_json.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "util/clock.h"
#include "util/proc.h"

static void add_time(cJSON *o, const char *name, const struct timespec *t)
{
	char text[40];
	struct tm tm;

	(void)gmtime_r(&t->tv_sec, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	cJSON_AddStringToObject(o, name, text);
}

/* Text that may hold the name of a process, and so any bytes. */
static void add_any_text(cJSON *o, const char *name, const char *text)
{
	char copy[1024];

	(void)str_copy(copy, sizeof(copy), text);
	str_make_utf8(copy);
	cJSON_AddStringToObject(o, name, copy);
}

/* Three decimals: what a person reads, and what a double prints without noise. */
static double rounded(double v)
{
	return round(v * 1000.0) / 1000.0;
}

static void add_counters(cJSON *o, const struct fault *f, const struct step *s)
{
	struct classify_counters c;

	if (!fault_rule_counters(f, s, &c))
		return;
	cJSON_AddNumberToObject(o, "matched", (double)c.matched);
	cJSON_AddNumberToObject(o, "dropped", (double)c.dropped);
}

static cJSON *step_json(const struct fault *f, size_t index)
{
	const struct step *s = &f->plan.steps[index];
	cJSON *o = cJSON_CreateObject();
	char buffer[1024];
	struct text t = TEXT(buffer);

	cJSON_AddNumberToObject(o, "index", (double)index);
	cJSON_AddStringToObject(o, "kind", step_kind_name(s->kind));
	cJSON_AddStringToObject(o, "hold", hold_name(step_hold(s->kind)));
	cJSON_AddStringToObject(o, "state", step_state_name(s->state));
	step_describe(s, &t);
	add_any_text(o, "text", buffer);
	t = TEXT(buffer);
	step_describe_undo(s, &t);
	cJSON_AddStringToObject(o, "undo", buffer);
	add_counters(o, f, s);
	return o;
}

static const char *outcome(const struct step *s)
{
	if (s->process.gone)
		return "gone before the signal";
	return s->process.exited_after_ms ? "exited" : "still running";
}

static cJSON *result_json(const struct step *s)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "pid", (double)s->process.pid);
	add_any_text(o, "name", s->process.name);
	cJSON_AddStringToObject(o, "signal", signal_name((int)s->process.signal));
	cJSON_AddStringToObject(o, "outcome", outcome(s));
	if (s->process.exited_after_ms)
		cJSON_AddNumberToObject(o, "afterMs", (double)s->process.exited_after_ms);
	return o;
}

static void add_steps(cJSON *o, const struct fault *f)
{
	cJSON *steps = cJSON_AddArrayToObject(o, "steps");
	cJSON *results = cJSON_AddArrayToObject(o, "results");

	for (size_t i = 0; i < f->plan.n; i++) {
		const struct step *s = &f->plan.steps[i];

		cJSON_AddItemToArray(steps, step_json(f, i));
		if (s->kind == STEP_KILL && (s->state == STEP_APPLIED || s->process.gone))
			cJSON_AddItemToArray(results, result_json(s));
	}
}

static void add_figures(cJSON *o, struct fault *f)
{
	cJSON *array = cJSON_AddArrayToObject(o, "figures");
	struct figure figures[FIGURES_MAX];
	size_t n = fault_figures(f, figures);

	for (size_t i = 0; i < n; i++) {
		cJSON *g = cJSON_CreateObject();

		cJSON_AddStringToObject(g, "name", figures[i].name);
		cJSON_AddNumberToObject(g, "value", round(figures[i].value * 100.0) / 100.0);
		cJSON_AddStringToObject(g, "unit", figures[i].unit);
		cJSON_AddStringToObject(g, "text", figures[i].text);
		cJSON_AddItemToArray(array, g);
	}
}

static void add_times(cJSON *o, const struct fault *f)
{
	add_time(o, "createdAt", &f->created_at);
	cJSON_AddNumberToObject(o, "durationMs", (double)f->duration_ms);
	cJSON_AddNumberToObject(o, "remainingMs", (double)fault_remaining_ms(f));
	if (f->lease_ms) {
		uint64_t now = boot_ns();

		cJSON_AddNumberToObject(o, "leaseMs", (double)f->lease_ms);
		cJSON_AddNumberToObject(o, "leaseRemainingMs",
					f->lease_boot_ns > now && fault_is_open(f)
						? (double)(f->lease_boot_ns - now) / NSEC_PER_MSEC
						: 0);
	}
	if (f->applied_ns)
		cJSON_AddNumberToObject(o, "appliedMs", rounded((double)f->applied_ns / 1e6));
	if (f->undone_ns)
		cJSON_AddNumberToObject(o, "undoneMs", rounded((double)f->undone_ns / 1e6));
}

cJSON *error_json(const struct error *e)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "code", error_code_name(e->code));
	add_any_text(o, "message", e->message);
	if (e->field[0]) {
		cJSON_AddStringToObject(o, "field", e->field);
		cJSON_AddStringToObject(o, "value", e->value);
		cJSON_AddStringToObject(o, "allowed", e->allowed);
	}
	return o;
}

static void add_caller(cJSON *o, const struct fault *f)
{
	cJSON *c = cJSON_AddObjectToObject(o, "caller");

	cJSON_AddNumberToObject(c, "pid", f->caller.pid);
	cJSON_AddNumberToObject(c, "uid", f->caller.uid);
}

cJSON *fault_json(struct fault *f, bool full)
{
	cJSON *o = cJSON_CreateObject(), *notes;
	char buffer[512];
	struct text t = TEXT(buffer);

	if (!o)
		return NULL;
	if (f->id[0])
		cJSON_AddStringToObject(o, "id", f->id);
	cJSON_AddStringToObject(o, "action", f->action->name);
	cJSON_AddStringToObject(o, "state", fault_state_name(f->state));
	add_any_text(o, "reason", f->reason);
	f->action->describe(f->params, &t);
	cJSON_AddStringToObject(o, "description", buffer);
	cJSON_AddItemToObject(o, "parameters",
			      schema_print(f->action->rows, f->action->n_rows, f->params));
	cJSON_AddStringToObject(o, "hold", hold_name(f->action->hold));
	cJSON_AddBoolToObject(o, "irreversible", action_is_irreversible(f->action));
	cJSON_AddBoolToObject(o, "attached", f->attached);
	if (full)
		cJSON_AddNumberToObject(o, "seed", (double)f->seed);
	cJSON_AddStringToObject(o, "clientToken", f->client_token);
	add_caller(o, f);
	add_times(o, f);
	if (full)
		add_steps(o, f);
	add_figures(o, f);
	notes = cJSON_AddArrayToObject(o, "notes");
	for (unsigned i = 0; i < f->n_notes; i++) {
		str_make_utf8(f->notes[i]);
		cJSON_AddItemToArray(notes, cJSON_CreateString(f->notes[i]));
	}
	if (f->error.code != ERROR_NONE)
		cJSON_AddItemToObject(o, "error", error_json(&f->error));
	return o;
}

static char *print_line(cJSON *o)
{
	char *text = o ? cJSON_PrintUnformatted(o) : NULL;

	cJSON_Delete(o);
	return text;
}

char *fault_event_line(const struct fault *f)
{
	cJSON *o = cJSON_CreateObject();
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	cJSON_AddStringToObject(o, "event", "state");
	add_time(o, "time", &now);
	cJSON_AddStringToObject(o, "id", f->id);
	cJSON_AddStringToObject(o, "action", f->action->name);
	cJSON_AddStringToObject(o, "state", fault_state_name(f->state));
	add_any_text(o, "reason", f->reason);
	cJSON_AddNumberToObject(o, "remainingMs", (double)fault_remaining_ms(f));
	return print_line(o);
}

char *fault_figures_line(struct fault *f)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "event", "figures");
	cJSON_AddStringToObject(o, "id", f->id);
	cJSON_AddNumberToObject(o, "remainingMs", (double)fault_remaining_ms(f));
	add_figures(o, f);
	return print_line(o);
}

char *fault_whole_line(struct fault *f, const char *event)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "event", event);
	cJSON_AddItemToObject(o, "fault", fault_json(f, true));
	return print_line(o);
}
