/* SPDX-License-Identifier: Apache-2.0 */
/* host:unit: a unit of systemd is not as it should be. systemd may take its time, so that it is
 * asked in a thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/probe_rounds.h"
#include "host/units.h"
#include "util/str.h"

/* As systemd names them; what is not loaded is inactive. One that reloads is active (refreshing:
 * systemd 257, of mounts). */
static const char *const states[] = {"active",       "inactive",    "failed", "activating",
				     "deactivating", "maintenance", NULL};

struct unit_params {
	char unit[UNIT_NAME_SIZE];
	int state; /* an index into states */
	uint64_t period_ms;
	int unreadable;
};

static const struct row rows[] = {
	{.name = "unit",
	 .type = ROW_STRING,
	 FIELD_STRING(struct unit_params, unit),
	 .required = true,
	 .text = "The unit; without a suffix a service."},
	{.name = "state",
	 .type = ROW_ENUM,
	 FIELD(struct unit_params, state),
	 .def = "active",
	 .values = states,
	 .text = "The state it should be in."},
	{.name = "period",
	 .type = ROW_DURATION,
	 FIELD(struct unit_params, period_ms),
	 .def = "1s",
	 .min = 100,
	 .max = 3600000,
	 .text = "How often systemd is asked."},
	PROBE_UNREADABLE_ROW(struct unit_params, unreadable),
};

struct unit_state {
	struct rounds rounds;
	uv_work_t work;
	char name[UNIT_NAME_SIZE];
	/* The thread's, until it is done */
	int r;
	char active[24];
};

static int check(const void *from, struct error *e)
{
	const struct unit_params *c = from;
	char name[UNIT_NAME_SIZE];

	if (strpbrk(c->unit, "*?[/"))
		return error_field(e, "unit", c->unit, "the name of one unit",
				   "%.100s is a pattern or a path", c->unit);
	if (!unit_name_complete(c->unit, name))
		return error_field(e, "unit", c->unit, "at most 255 bytes",
				   "with its suffix it is too long");
	return 0;
}

static void look(uv_work_t *work)
{
	struct unit_state *s = work->data;
	const char *name = s->name;
	struct unit_list list = {0};

	s->r = units_find(&name, 1, &list);
	str_copy(s->active, sizeof(s->active), list.n ? list.unit[0].active : "inactive");
	unit_list_done(&list);
}

static bool is_as_wanted(const char *active, const char *wanted)
{
	if (str_eq(wanted, "active") &&
	    (str_eq(active, "reloading") || str_eq(active, "refreshing")))
		return true;
	return str_eq(active, wanted);
}

static const char *why_not(int r)
{
	return r == -ENOTCONN    ? "systemd is not the init system here"
	       : r == -ETIMEDOUT ? "systemd does not answer"
				 : strerror(-r);
}

static void on_looked(uv_work_t *work, int status)
{
	struct unit_state *s = work->data;
	struct probe *p = s->rounds.p;
	const struct unit_params *c = p->params;
	int r = status < 0 ? status : s->r;

	if (r < 0)
		probe_cannot_read(p, "%s: %s", s->name, why_not(r));
	else
		probe_tell(p, is_as_wanted(s->active, states[c->state]) ? PROBE_FINE : PROBE_FIRED,
			   "%s: %s; allowed: %s", s->name, s->active, states[c->state]);
	rounds_answered(&s->rounds);
}

static void ask(struct probe *p)
{
	struct unit_state *s = p->state;

	(void)uv_queue_work(p->env->loop, &s->work, look, on_looked);
}

static int start(struct probe *p, struct error *e)
{
	const struct unit_params *c = p->params;
	struct unit_state *s = calloc(1, sizeof(*s));

	if (!s)
		return error_set(e, ERROR_FAILED, -ENOMEM, "host:unit: out of memory");
	(void)unit_name_complete(c->unit, s->name); /* checked */
	s->work.data = s;
	p->state = s;
	rounds_start(&s->rounds, p, c->period_ms, ask);
	return 0;
}

static void stop(struct probe *p)
{
	struct unit_state *s = p->state;

	if (s->rounds.asking)
		(void)uv_cancel(
			(uv_req_t *)&s->work); /* one that runs takes UNITS_ASK_MS at most */
	rounds_stop(&s->rounds);
}

const struct probe_type probe_type_unit = {
	.source = "host:unit",
	.description = "A unit of systemd is not in the state it should be in.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct unit_params),
	.check = check,
	.start = start,
	.stop = stop,
};
