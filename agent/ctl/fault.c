/* SPDX-License-Identifier: Apache-2.0 */
/* See fault.h. Members may be missing or of the wrong type: they then print as nothing. */
#include <stdio.h>
#include <string.h>

#include "ctl/api.h"
#include "ctl/exit.h"
#include "ctl/fault.h"
#include "ctl/out.h"
#include "util/str.h"

#define TIME_MAX_MS 1000000000000LL
#define WHOLE_MAX   1e15 /* every whole number below is exact in a double */

static const struct {
	const char *state;
	enum colour colour;
} state_colours[] = {
	{"active", GREEN},  {"applying", GREEN}, {"applied", GREEN}, {"undoing", YELLOW},
	{"failed", YELLOW}, {"stuck", RED},      {"done", DIM},      {"undone", DIM},
};

static enum colour state_colour(const char *state)
{
	for (size_t i = 0; i < sizeof(state_colours) / sizeof(state_colours[0]); i++)
		if (strcmp(state_colours[i].state, state) == 0)
			return state_colours[i].colour;
	return PLAIN;
}

char *human_time(double ms)
{
	long long tenths = ms < 0 ? 0 : ms > TIME_MAX_MS ? TIME_MAX_MS / 100 : (long long)ms / 100;
	long long seconds = tenths / 10;

	if (seconds < 60)
		return textf("%lld.%llds", seconds, tenths % 10);
	if (seconds < 3600)
		return textf("%lldm%02llds", seconds / 60, seconds % 60);
	return textf("%lldh%02lldm", seconds / 3600, seconds / 60 % 60);
}

char *human_length(double ms)
{
	bool whole = ms >= 0 && ms < 60000 && (long long)ms % 1000 == 0;

	return whole ? textf("%llds", (long long)ms / 1000) : human_time(ms);
}

static char *human_ms(double ms)
{
	return ms < 1000 ? textf("%.1f ms", ms) : textf("%.1f s", ms / 1000);
}

static bool is_state(const cJSON *fault, const char *state)
{
	return strcmp(json_text(fault, "state"), state) == 0;
}

static bool is_open(const cJSON *fault)
{
	return !is_state(fault, "done") && !is_state(fault, "failed") &&
	       !is_state(fault, "planned");
}

static char *time_left(const cJSON *fault)
{
	double ms = json_number(fault, "remainingMs", -1);

	return ms >= 0 && is_open(fault) ? human_time(ms) : textf("-");
}

static char *state_and_reason(const cJSON *fault)
{
	const char *state = json_text(fault, "state"), *reason = json_text(fault, "reason");

	return *reason ? textf("%s (%s)", state, reason) : textf("%s", state);
}

void fault_print_list(const cJSON *faults)
{
	static const char *const heads[] = {"ID", "ACTION", "LEFT", "STATE", "WHAT"};
	struct table t = {.columns = 5};
	const cJSON *fault;

	for (size_t i = 0; i < t.columns; i++)
		table_cell(&t, BOLD, "%s", heads[i]);
	cJSON_ArrayForEach(fault, faults)
	{
		_cleanup_(freep) char *left = time_left(fault), *state = state_and_reason(fault);

		table_cell(&t, PLAIN, "%s", json_text(fault, "id"));
		table_cell(&t, PLAIN, "%s", json_text(fault, "action"));
		table_cell(&t, PLAIN, "%s", left);
		table_cell(&t, state_colour(json_text(fault, "state")), "%s", state);
		table_cell(&t, PLAIN, "%s", json_text(fault, "description"));
	}
	table_print(&t, 0);
}

static bool is_fraction(const cJSON *value)
{
	double d = value ? value->valuedouble : 0;

	return cJSON_IsNumber(value) && d > -WHOLE_MAX && d < WHOLE_MAX &&
	       d != (double)(long long)d;
}

/* "1.50 GiB", "12 B": what is counted in bytes is seldom wanted to the last one. */
static void put_bytes(FILE *to, double bytes, const char *per)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t i = 0;

	for (; bytes >= 1024 && i + 1 < ARRAY_SIZE(units); i++)
		bytes /= 1024;
	fprintf(to, "%.*f %s%s", i ? 2 : 0, bytes, units[i], per);
}

/* Of figures in a row that count the same, only the first says what. */
static void put_figure(FILE *to, const cJSON *figure, const char *unit_before)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(figure, "value");
	const char *text = json_text(figure, "text"), *unit = json_text(figure, "unit");
	_cleanup_(freep) char *plain = json_plain(value);

	fprintf(to, "%s ", *text ? text : json_text(figure, "name"));
	if (strncmp(unit, "bytes", strlen("bytes")) == 0) {
		put_bytes(to, json_number(figure, "value", 0), unit + strlen("bytes"));
		return;
	}
	if (is_fraction(value))
		fprintf(to, "%.2f", value->valuedouble);
	else
		fputs(plain, to);
	if (strcmp(unit, unit_before) != 0 || strcmp(unit, "packets") != 0)
		fprintf(to, "%s%s", *unit ? " " : "", unit);
}

char *figures_text(const cJSON *figures)
{
	const cJSON *figure;
	const char *unit = "";
	char *text = NULL;
	size_t len;
	FILE *to = must(open_memstream(&text, &len));

	cJSON_ArrayForEach(figure, figures)
	{
		if (!cJSON_IsObject(figure))
			continue;
		fputs(ftell(to) > 0 ? ", " : "", to);
		put_figure(to, figure, unit);
		unit = json_text(figure, "unit");
	}
	fclose(to);
	return must(text);
}

static char *put_back_text(const cJSON *fault)
{
	double ms = json_number(fault, "undoneMs", -1);

	if (strncmp(json_text(fault, "reason"), "skipped", strlen("skipped")) == 0)
		return textf("nothing was done");
	if (json_true(fault, "irreversible"))
		return textf("what it did cannot be undone");
	if (ms < 0)
		return textf("the host was put back");
	_cleanup_(freep) char *took = human_ms(ms);
	return textf("put back in %s", took);
}

char *fault_outcome(const cJSON *fault)
{
	const char *error = json_text(json_object(fault, "error"), "message");
	_cleanup_(freep) char *state = state_and_reason(fault);

	if (is_state(fault, "stuck"))
		return textf("%s%s%s; the host is NOT put back: faultd keeps trying, "
			     "'faultctl recover' tries now",
			     state, *error ? ": " : "", error);
	if (is_open(fault))
		return textf("%s, not undone yet", *state ? state : "unknown state");
	_cleanup_(freep) char *back = put_back_text(fault);
	return textf("%s%s%s%s %s", state, *error ? ": " : "", error, *error ? ";" : ",", back);
}

int fault_exit(const cJSON *fault)
{
	static const char *const as_asked[] = {"deadline", "completed", "stopped by ", "oomKilled",
					       "skipped"};
	const char *reason = json_text(fault, "reason");

	if (is_state(fault, "stuck"))
		return EXIT_STUCK;
	if (!is_state(fault, "done"))
		return EXIT_FAILED;
	for (size_t i = 0; i < ARRAY_SIZE(as_asked); i++) {
		if (strncmp(reason, as_asked[i], strlen(as_asked[i])) == 0)
			return EXIT_DONE;
	}
	return EXIT_FAILED;
}

/* One column for each key that any of the results has, in the order they come. */
#define RESULT_COLUMNS_MAX 12

static size_t result_columns(const cJSON *results, const char **keys)
{
	const cJSON *result, *value;
	size_t n = 0, i;

	cJSON_ArrayForEach(result, results)
	{
		if (!cJSON_IsObject(result))
			continue;
		cJSON_ArrayForEach(value, result)
		{
			for (i = 0; i < n && strcmp(keys[i], value->string) != 0; i++)
				;
			if (i == n && n < RESULT_COLUMNS_MAX)
				keys[n++] = value->string;
		}
	}
	return n;
}

void fault_print_results(const cJSON *fault)
{
	const cJSON *results = json_list(fault, "results"), *result;
	const char *keys[RESULT_COLUMNS_MAX] = {0};
	struct table t = {.columns = result_columns(results, keys)};

	if (t.columns == 0)
		return;
	for (size_t i = 0; i < t.columns && keys[i]; i++)
		table_cell(&t, BOLD, "%s", strcmp(keys[i], "afterMs") == 0 ? "after ms" : keys[i]);
	cJSON_ArrayForEach(result, results)
	{
		for (size_t i = 0; cJSON_IsObject(result) && i < t.columns; i++) {
			const cJSON *value = cJSON_GetObjectItemCaseSensitive(result, keys[i]);
			_cleanup_(freep) char *text = json_plain(value);

			table_cell(&t, PLAIN, "%s", text);
		}
	}
	table_print(&t, 2);
}

void fault_print_notes(const cJSON *fault)
{
	const cJSON *note;

	cJSON_ArrayForEach(note, json_list(fault, "notes")) if (cJSON_IsString(note))
		out_line(YELLOW, "note: %s", note->valuestring);
}

/* A step, and below it what takes it back: beside each other they are longer than a line. */
static void print_step(const cJSON *step, bool plan)
{
	const char *state = json_text(step, "state"), *undo = json_text(step, "undo");
	_cleanup_(freep) char *number = textf("  %.0f.  ", json_number(step, "index", 0) + 1);
	size_t at = strlen(number);

	out_put(PLAIN, "%s", number);
	if (!plan)
		out_put(state_colour(state), "%-9s", state);
	at += plan ? 0 : strlen(state) < 9 ? 9 : strlen(state);
	out_wrapped(at, at, "%s", json_text(step, "text"));
	out_wrapped(0, at, "%s%s; held by %s", *undo ? "undo: " : "no undo", undo,
		    json_text(step, "hold"));
}

static void print_steps(const cJSON *fault, bool plan)
{
	const cJSON *steps = json_list(fault, "steps"), *step;

	if (cJSON_GetArraySize(steps))
		out_line(BOLD, plan ? "steps, in this order, undone backwards:" : "steps");
	cJSON_ArrayForEach(step, steps) print_step(step, plan);
}

static void row(struct table *t, const char *name, char *text)
{
	_cleanup_(freep) char *owned = text;

	if (!*owned)
		return;
	table_cell(t, DIM, "%s", name);
	table_cell(t, PLAIN, "%s", owned);
}

static char *parameters_text(const cJSON *fault)
{
	const cJSON *value;
	char *text = NULL;
	size_t len;
	FILE *to = must(open_memstream(&text, &len));

	cJSON_ArrayForEach(value, json_object(fault, "parameters"))
	{
		_cleanup_(freep) char *plain = json_plain(value);

		fprintf(to, "%s%s=%s", ftell(to) > 0 ? " " : "", value->string, plain);
	}
	fclose(to);
	return must(text);
}

static char *duration_text(const cJSON *fault)
{
	double ms = json_number(fault, "durationMs", 0);
	_cleanup_(freep) char *length = human_length(ms), *left = time_left(fault);

	if (ms <= 0)
		return textf("%s", "");
	return *left == '-' ? textf("%s", length) : textf("%s, %s left", length, left);
}

static char *lease_text(const cJSON *fault)
{
	double ms = json_number(fault, "leaseRemainingMs", -1);
	_cleanup_(freep) char *left = human_time(ms);

	return ms < 0 ? textf("%s", "") : textf("%s left", left);
}

static char *took_text(const cJSON *fault, const char *key)
{
	double ms = json_number(fault, key, -1);

	return ms < 0 ? textf("%s", "") : human_ms(ms);
}

static char *caller_text(const cJSON *fault)
{
	const cJSON *caller = json_object(fault, "caller");

	return textf("%s by uid %.0f, pid %.0f%s", json_text(fault, "createdAt"),
		     json_number(caller, "uid", -1), json_number(caller, "pid", -1),
		     json_true(fault, "attached") ? ", attached" : "");
}

void fault_print(const cJSON *fault)
{
	const char *state = json_text(fault, "state");
	struct table t = {.columns = 2};

	out_put(BOLD, "%s  %s  ", json_text(fault, "id"), json_text(fault, "action"));
	_cleanup_(freep) char *text = state_and_reason(fault);
	out_line(state_colour(state), "%s", text);
	row(&t, "what", textf("%s", json_text(fault, "description")));
	row(&t, "parameters", parameters_text(fault));
	row(&t, "started", caller_text(fault));
	row(&t, "duration", duration_text(fault));
	row(&t, "lease", lease_text(fault));
	row(&t, "token", textf("%s", json_text(fault, "clientToken")));
	row(&t, "held by", textf("%s", json_text(fault, "hold")));
	row(&t, "undo", textf("%s", json_true(fault, "irreversible") ? "not possible" : ""));
	row(&t, "applied in", took_text(fault, "appliedMs"));
	row(&t, "put back in", took_text(fault, "undoneMs"));
	row(&t, "figures", figures_text(json_list(fault, "figures")));
	row(&t, "error", textf("%s", json_text(json_object(fault, "error"), "message")));
	table_print(&t, 2);
	print_steps(fault, false);
	fault_print_results(fault);
	fault_print_notes(fault);
}

void fault_print_plan(const cJSON *plan)
{
	_cleanup_(freep) char *duration = duration_text(plan);

	out_put(BOLD, "%s: ", json_text(plan, "action"));
	out_line(PLAIN, "would %s%s%s", json_text(plan, "description"), *duration ? " for " : "",
		 duration);
	print_steps(plan, true);
	fault_print_results(plan);
	if (json_true(plan, "irreversible"))
		out_line(RED, "This cannot be undone.");
	fault_print_notes(plan);
}
