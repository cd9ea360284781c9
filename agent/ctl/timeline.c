/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/timeline.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ctl/api.h"
#include "ctl/fault.h"
#include "ctl/fis.h"
#include "util/duration.h"

#define ACTIONS_MAX 20
#define NAME_WIDTH  20 /* unless there is room for more */
#define TEXT_WIDTH  30 /* of state and time left */
#define GAPS        4  /* between these and the bar */
#define CELLS_MIN   10 /* of a bar; where there are less, there is none */
#define CELLS_MAX   60

struct span {
	const char *name, *status, *reason;
	double start, end; /* seconds since the epoch; end 0: not known */
	bool known;        /* when it starts: it did, or what it starts after says so */
};

struct chart {
	const cJSON *actions;
	struct span span[ACTIONS_MAX];
	size_t n;
	double from, to;
	size_t name_columns, cells; /* how wide each is drawn */
	bool utf8;
};

static double duration_of(const cJSON *action)
{
	uint64_t ms;

	if (duration_parse(json_text(json_object(action, "parameters"), "duration"), &ms) < 0)
		return 0;
	return (double)ms / 1000;
}

static bool is_over(const char *status)
{
	return strcmp(status, "pending") != 0 && strcmp(status, "initiating") != 0 &&
	       strcmp(status, "running") != 0 && strcmp(status, "stopping") != 0;
}

static const struct span *find(const struct chart *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->span[i].name, name) == 0)
			return &c->span[i];
	}
	return NULL;
}

/* One that has not started will when the last of those before it has ended. */
static void plan(struct chart *c, struct span *s, const cJSON *action, double now)
{
	const cJSON *after;
	double start = c->from;

	cJSON_ArrayForEach(after, json_list(action, "startAfter"))
	{
		const struct span *before =
			cJSON_IsString(after) ? find(c, after->valuestring) : NULL;

		if (!before || !before->known)
			return;
		if (before->end > start)
			start = before->end;
	}
	s->known = true;
	s->start = start > now || is_over(s->status) ? start : now;
	s->end = s->start + duration_of(action);
}

static void measure(struct span *s, const cJSON *action, double now)
{
	s->start = json_time(action, "startTime", 0);
	if (s->start <= 0)
		return;
	s->known = true;
	s->end = json_time(action, "endTime", 0);
	if (s->end > 0)
		return;
	s->end = s->start + duration_of(action);
	if (s->end < now)
		s->end = now;
}

static void fill(struct chart *c, double now)
{
	const cJSON *action;

	cJSON_ArrayForEach(action, c->actions)
	{
		struct span *s = &c->span[c->n];
		const cJSON *state = json_object(action, "state");

		if (c->n == ACTIONS_MAX)
			break;
		*s = (struct span){.name = action->string,
				   .status = json_text(state, "status"),
				   .reason = json_text(state, "reason")};
		measure(s, action, now);
		c->n++;
	}
	/* Those that wait, as far as what they wait for is known: as often as there are actions. */
	for (size_t round = 0; round < c->n; round++) {
		size_t i = 0;

		cJSON_ArrayForEach(action, c->actions)
		{
			if (i < c->n && !c->span[i].known && !is_over(c->span[i].status))
				plan(c, &c->span[i], action, now);
			i++;
		}
	}
	for (size_t i = 0; i < c->n; i++) {
		if (c->span[i].known && c->span[i].end > c->to)
			c->to = c->span[i].end;
	}
}

static size_t column(const struct chart *c, double at)
{
	double whole = c->to - c->from;
	size_t cells = c->cells;
	double part = whole > 0 ? (at - c->from) / whole : 0;

	return (size_t)(part < 0 ? 0 : part > 1 ? (double)cells : part * (double)cells + 0.5);
}

/* Past, to come, and before or after it. */
static char *draw_bar(const struct chart *c, const struct span *s, double now)
{
	size_t from = column(c, s->start), to = column(c, s->end), cells = c->cells;
	size_t at = column(c, now), length;
	char *text = NULL;
	FILE *f = must(open_memstream(&text, &length));

	if (s->known && to == from)
		to = from < cells ? from + 1 : from;
	for (size_t i = 0; i < cells; i++) {
		if (!s->known || i < from || i >= to)
			fputs(c->utf8 ? "·" : ".", f);
		else if (i < at || is_over(s->status))
			fputs(c->utf8 ? "█" : "#", f);
		else
			fputs(c->utf8 ? "░" : "-", f);
	}
	fclose(f);
	return must(text);
}

static char *time_text(const struct span *s, double now)
{
	bool waits = strcmp(s->status, "pending") == 0;

	if (is_over(s->status))
		return textf("%s", strcmp(s->status, "completed") == 0 ? "" : s->reason);
	if (waits && s->known && s->start > now) {
		_cleanup_(freep) char *in = human_time((s->start - now) * 1000);

		return textf("in %s", in);
	}
	if (waits || s->end <= now)
		return textf("%s", "");
	_cleanup_(freep) char *left = human_time((s->end - now) * 1000);
	return textf("%s left", left);
}

static char *draw_line(const struct chart *c, const struct span *s, double now)
{
	_cleanup_(freep) char *name = out_fitted(s->name, c->name_columns);
	_cleanup_(freep) char *bar = draw_bar(c, s, now);
	_cleanup_(freep) char *time = time_text(s, now);

	return textf("  %s %s%s%-10s %s", name, bar, *bar ? " " : "", s->status, time);
}

static char *draw_head(const cJSON *x, double from, double now)
{
	const cJSON *state = json_object(x, "state");
	const char *status = json_text(state, "status"), *reason = json_text(state, "reason");
	double end = json_time(x, "endTime", 0);
	_cleanup_(freep) char *time = human_time(((end > 0 ? end : now) - from) * 1000);

	return textf("%s  %s  %s%s%s", json_text(x, "id"), status, time, *reason ? "  " : "",
		     reason);
}

/* What a bar needs not is for names. */
static void lay_out(struct chart *c, size_t columns)
{
	size_t most = columns > NAME_WIDTH + TEXT_WIDTH + GAPS + CELLS_MAX
			      ? columns - TEXT_WIDTH - GAPS - CELLS_MAX
			      : NAME_WIDTH;
	size_t used;

	for (size_t i = 0; i < c->n; i++) {
		size_t w = out_width(c->span[i].name);

		if (w > c->name_columns)
			c->name_columns = w < most ? w : most;
	}
	used = c->name_columns + TEXT_WIDTH + GAPS;
	c->cells = columns >= used + CELLS_MIN ? columns - used : 0;
	if (c->cells > CELLS_MAX)
		c->cells = CELLS_MAX;
}

char **timeline_draw(const cJSON *experiment, double now, size_t columns, bool utf8)
{
	struct chart c = {.actions = json_object(experiment, "actions"), .utf8 = utf8};
	char **lines;

	c.from = json_time(experiment, "startTime", json_time(experiment, "creationTime", now));
	c.to = now;
	fill(&c, now);
	lay_out(&c, columns);
	lines = must(calloc(c.n + 2, sizeof(*lines)));
	lines[0] = draw_head(experiment, c.from, now);
	for (size_t i = 0; i < c.n; i++)
		lines[i + 1] = draw_line(&c, &c.span[i], now);
	return lines;
}

void timeline_free(char **lines)
{
	for (size_t i = 0; lines && lines[i]; i++)
		free(lines[i]);
	free(lines);
}
