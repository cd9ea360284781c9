/* SPDX-License-Identifier: Apache-2.0 */
/* clock-skew: the victims see a wall clock that is wrong, at once or more and more.
 * Changed on the host: CLOCK_REALTIME is moved by the offset, after the NTP services that would put
 * it right were stopped. Put back by moving it to where the boot clock says it would be, to the
 * microsecond, and starting those services. Deadlines of faultd are on the boot clock, which stays.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "actions/units.h"
#include "host/features.h"
#include "util/duration.h"

#define _cleanup_units_ __attribute__((cleanup(unit_list_done)))

#define OFFSET_MAX_MS (365 * 86400000LL)
#define OFFSET_ALLOWED \
	"a duration with or without a sign, such as 5m, +1.5s or -2h30m, at most 365d"

struct clock_skew {
	char offset[40];
	char from[40];
	uint64_t over_ms;
	int64_t steps;
};

static const struct row rows[] = {
	{.name = "offset",
	 .type = ROW_STRING,
	 FIELD_STRING(struct clock_skew, offset),
	 .required = true,
	 .text = "how far ahead the clock is to be, or with a minus behind: 5m, -2h30m"},
	{.name = "from",
	 .type = ROW_STRING,
	 FIELD_STRING(struct clock_skew, from),
	 .def = "0s",
	 .text = "drift: the offset it begins with",
	 .in_place_of = "offset"},
	{.name = "over",
	 .type = ROW_DURATION,
	 FIELD(struct clock_skew, over_ms),
	 .min = 100,
	 .max = DURATION_MAX_S * 1000.0,
	 .text = "drift: how long it takes to reach the offset"},
	{.name = "steps",
	 .type = ROW_INTEGER,
	 FIELD(struct clock_skew, steps),
	 .min = 1,
	 .max = 1000,
	 .def = "10",
	 .text = "drift: in how many equal steps"},
};

/* Services whose work is to set the clock, as Debian, Fedora, SUSE and Ubuntu name them. */
static const char *const ntp_services[] = {
	"chrony.service", "chronyd.service", "systemd-timesyncd.service", "ntp.service",
	"ntpd.service",   "ntpsec.service",  "openntpd.service",          "phc2sys.service"};

/* And what runs in them; at most 15 characters of a name exist. */
static const char *const ntp_programs[] = {"chronyd", "systemd-timesyn", "ntpd", "phc2sys"};

static int read_offset(const char *text, int64_t *ret_ms)
{
	bool has_sign = text[0] == '-' || text[0] == '+';
	uint64_t ms;
	int r = duration_parse(text + has_sign, &ms);

	if (r < 0)
		return r;
	if (ms > OFFSET_MAX_MS)
		return -ERANGE;
	*ret_ms = text[0] == '-' ? -(int64_t)ms : (int64_t)ms;
	return 0;
}

static int refuse_offset(const char *field, const char *value, int r, struct error *e)
{
	return error_field(e, field, value, OFFSET_ALLOWED, "%s %s", value,
			   r == -ERANGE ? "is too far" : "is no offset");
}

static int check(const struct clock_skew *p, struct error *e)
{
	int64_t offset, from;
	int r = read_offset(p->offset, &offset);

	if (r < 0)
		return refuse_offset("parameters.offset", p->offset, r, e);
	r = read_offset(p->from, &from);
	if (r < 0)
		return refuse_offset("parameters.from", p->from, r, e);
	if (from != 0 && !p->over_ms)
		return error_field(e, "parameters.over", "", "a duration such as 1h",
				   "required with from");
	if (offset == from)
		return error_field(e, "parameters.offset", p->offset,
				   "another one than it begins with", "would change nothing");
	return 0;
}

static bool is_ntp(const struct process *process)
{
	for (size_t i = 0; i < ARRAY_SIZE(ntp_programs); i++) {
		if (process->state != 'Z' && str_eq(process->name, ntp_programs[i]))
			return true;
	}
	return false;
}

/* One that nobody here could stop and start again would put the clock right at once. */
static int refuse_programs(struct facts *facts, struct error *e)
{
	int r = process_list_read(false, &facts->processes);

	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot read /proc: %s", strerror(-r));
	for (size_t i = 0; i < facts->processes.n; i++) {
		const struct process *p = &facts->processes.process[i];

		if (is_ntp(p))
			return error_set(
				e, ERROR_CONFLICT, -EBUSY,
				"%s (process %d) sets this host's clock, and is no service "
				"that could be stopped meanwhile",
				p->name, (int)p->pid);
	}
	return 0;
}

static int look_for_services(struct facts *facts, struct error *e)
{
	_cleanup_units_ struct unit_list list = {0};
	int r = units_find(ntp_services, ARRAY_SIZE(ntp_services), &list);

	if (r < 0 && r != -ENOTCONN)
		return units_cannot(e, r);
	r = r == 0 ? units_look(&list, facts, e) : 0;
	if (r == 0 && facts->unit.n == 0)
		r = refuse_programs(facts, e);
	return r;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct clock_skew *p = params;
	int r = check(p, e);

	if (r < 0)
		return r;
	if (!feature_capability(CAP_SYS_TIME))
		return error_set(e, ERROR_UNSUPPORTED, -EPERM,
				 "faultd lacks the privilege to set the clock (CAP_SYS_TIME)");
	/* The services are stopped already when a drift goes on. */
	if (facts->so_far) {
		units_take_over(facts);
		return 0;
	}
	return look_for_services(facts, e);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct clock_skew *p = params;
	int64_t offset_ms = 0;
	struct step *s;
	int r = check(p, e);

	if (r == 0)
		r = units_plan(facts, plan, e);
	if (r < 0)
		return r;
	(void)read_offset(p->offset, &offset_ms);
	s = plan_add(plan, STEP_CLOCK);
	if (!s || plan_claim(plan, "clock") < 0)
		return error_set(e, ERROR_FAILED, -ENOMEM, "cannot plan: out of memory");
	if (p->over_ms)
		s->clock.offset_ns = (uint64_t)(int64_t)(facts->grade * 1e6);
	else
		s->clock.offset_ns = (uint64_t)(offset_ms * 1000000);
	return 0;
}

static void describe_offset(const char *text, struct text *t)
{
	int64_t ms = 0;

	(void)read_offset(text, &ms);
	duration_print((uint64_t)(ms < 0 ? -ms : ms), t);
	text_add(t, "%s", ms == 0 ? "" : ms < 0 ? " behind" : " ahead");
}

static void describe(const void *params, struct text *t)
{
	const struct clock_skew *p = params;

	text_add(t, "set the wall clock ");
	describe_offset(p->offset, t);
	if (!p->over_ms)
		return;
	text_add(t, ", from ");
	describe_offset(p->from, t);
	text_add(t, " in %lld step%s over ", (long long)p->steps, p->steps == 1 ? "" : "s");
	duration_print(p->over_ms, t);
}

static bool graded(const void *params, struct grade *ret, double *ret_to)
{
	const struct clock_skew *p = params;
	int64_t from = 0, to = 0;

	(void)read_offset(p->from, &from);
	(void)read_offset(p->offset, &to);
	*ret = (struct grade){
		.from = (double)from, .over_ms = p->over_ms, .steps = (uint64_t)p->steps};
	*ret_to = (double)to;
	return p->over_ms > 0;
}

extern const struct action action_clock_skew;
const struct action action_clock_skew = {
	.name = "clock-skew",
	.summary = "Set the wall clock ahead or behind, at once or drifting",
	.description =
		"Moves the wall clock of the whole host, containers included, and stops the NTP services that run "
		"meanwhile. At the end the clock is put where it would have been without the fault, so no time is "
		"lost, and the services are started again; a clock that somebody else has set is left alone. Timers "
		"that are due by the wrong time (cron, systemd calendar timers) do run. The hardware clock is not "
		"written.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct clock_skew),
	.look = look,
	.plan = plan,
	.describe = describe,
	.graded = graded,
	.composition = "exclusive: one per host",
};
