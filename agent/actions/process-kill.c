/* SPDX-License-Identifier: Apache-2.0 */
/* process-kill: the victims get a signal and mostly die.
 * Nothing is put back: what a signal led to cannot be undone. With `interval` the selection is made
 * again and again until the deadline, so that a supervisor's restarts are killed too. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "actions/select.h"
#include "util/proc.h"

struct process_kill {
	struct selection selection;
	char signal[16];
	uint64_t interval_ms;
};

static const struct row rows[] = {
	SELECT_ROWS(struct process_kill),
	{.name = "signal",
	 .type = ROW_STRING,
	 FIELD_STRING(struct process_kill, signal),
	 .def = "SIGTERM",
	 .text = "the signal, a name or a number"},
	{.name = "interval",
	 .type = ROW_DURATION,
	 FIELD(struct process_kill, interval_ms),
	 .min = 100,
	 .max = 3600000,
	 .text = "select and signal again every so often, until the deadline"},
};

static int signal_of(const struct process_kill *p)
{
	int signal = 0;

	return signal_from_name(p->signal, &signal) < 0 ? 0 : signal;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct process_kill *p = params;
	int signal = signal_of(p);

	if (signal == 0)
		return error_field(e, "parameters.signal", p->signal,
				   "a name such as SIGTERM, or 1 to 64", "%s is no signal",
				   p->signal);
	if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU)
		return error_field(e, "parameters.signal", p->signal, "a signal that does not stop",
				   "%s stops a process for ever; process-pause continues it again",
				   p->signal);
	return select_look(&p->selection, false, facts, e);
}

struct planning {
	const struct process_kill *p;
	struct plan *plan;
};

static int add(const struct process *process, void *arg)
{
	const struct planning *g = arg;
	struct step *s = plan_add(g->plan, STEP_KILL);

	if (!s)
		return -errno;
	s->process.pid = (uint64_t)process->pid;
	s->process.start = process->start;
	s->process.signal = (uint64_t)signal_of(g->p);
	(void)str_copy(s->process.name, sizeof(s->process.name), process->name);
	return 0;
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct process_kill *p = params;
	struct planning g = {p, plan};
	int r = select_each(&p->selection, facts, add, &g);

	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot plan: %s", strerror(-r)) : 0;
}

static void describe(const void *params, struct text *t)
{
	const struct process_kill *p = params;

	text_add(t, "send %s to ", signal_name(signal_of(p)));
	select_describe(&p->selection, t);
}

static uint64_t interval(const void *params)
{
	return ((const struct process_kill *)params)->interval_ms;
}

static const struct alias_row ssm_rows[] = {
	{.name = "ProcessName", .row = "name", .required = true},
	{.name = "Signal", .row = "signal", .def = "SIGTERM"},
	{.name = "InstallDependencies", .row = ""}, /* there are none to install */
	{0}};
static const struct alias_row ecs_rows[] = {
	{.name = "processName", .row = "name", .required = true},
	{.name = "signal", .row = "signal", .def = "SIGTERM"},
	{.name = "container", .row = "container"}, /* FIS has it among the targets */
	{.name = "installDependencies", .row = ""},
	{0}};
static const struct alias aliases[] = {
	{"AWSFIS-Run-Kill-Process", ssm_rows}, {"aws:ecs:task-kill-process", ecs_rows}, {0}};

extern const struct action action_process_kill;
const struct action action_process_kill = {
	.name = "process-kill",
	.summary = "Send a signal to processes, once or again and again",
	.description =
		"The chosen processes get the signal through a pidfd, so that a reused pid is never hit. The "
		"result lists each and what it led to. Protected processes are refused.",
	.hold = HOLD_NONE,
	.duration = DURATION_OPTIONAL,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct process_kill),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
	.interval_ms = interval,
	.composition = "composes: each fault signals what it selects",
};
