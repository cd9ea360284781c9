/* SPDX-License-Identifier: Apache-2.0 */
/* process-pause: the victims stand still, their connections stay open.
 * Changed on the host: each gets SIGSTOP. Put back by SIGCONT, unless it had been stopped before or
 * is gone; pid and start time are in the journal, so the guardian can do it too. Whole cgroups are
 * frozen instead, with all that is or comes to be in them, which nobody in there can see: put back
 * by thawing. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "actions/protect.h"
#include "actions/select.h"

struct process_pause {
	struct selection selection;
	bool children;
	uint64_t interval_ms;
};

static const struct row rows[] = {
	SELECT_ROWS(struct process_pause),
	{.name = "children",
	 .type = ROW_BOOLEAN,
	 FIELD(struct process_pause, children),
	 .def = "false",
	 .text = "pause what descends from them as well"},
	{.name = "interval",
	 .type = ROW_DURATION,
	 FIELD(struct process_pause, interval_ms),
	 .min = 100,
	 .max = 3600000,
	 .text = "look again every so often: descendants of the targets that are new by then are paused too, and without count, percent and selectionMode new matches"},
};

/* A freezer has what is in the cgroup, not what descends from it elsewhere; where one of them has
 * none, all get signals. */
static bool freezes(const struct process_pause *p, const struct facts *facts)
{
	if (!select_is_whole(&p->selection) || p->children)
		return false;
	for (size_t i = 0; i < facts->n_aims; i++) {
		if (!facts->aims[i].freezer[0])
			return false;
	}
	return true;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct process_pause *p = params;
	int r = select_look(&p->selection, p->children || facts->so_far, facts, e);
	char buffer[160];

	if (r < 0 || !freezes(p, facts))
		return r;
	for (size_t i = 0; i < facts->n_aims; i++) {
		const struct aim *aim = &facts->aims[i];
		const char *why = protect_cgroup(aim->path, facts, buffer, sizeof(buffer));

		if (why)
			return error_set(e, ERROR_DENIED, -EACCES, "%s is protected: %s",
					 aim->shown, why);
	}
	return 0;
}

struct planning {
	const struct facts *facts;
	struct plan *plan;
};

static int add(const struct process *process, void *arg)
{
	const struct planning *g = arg;
	struct step *s = plan_add(g->plan, STEP_SIGNAL);

	if (!s)
		return -errno;
	s->process.pid = (uint64_t)process->pid;
	s->process.start = process->start;
	s->process.signal = SIGSTOP;
	(void)str_copy(s->process.name, sizeof(s->process.name), process->name);
	if (plan_has(&(struct plan){.steps = g->plan->steps, .n = g->plan->n - 1}, s))
		g->plan->n--;
	return 0;
}

static int add_freeze(const struct aim *aim, const struct planning *g)
{
	size_t n = strlen(aim->freezer), v1 = strlen("freezer.state");
	struct step *s = plan_add(g->plan, STEP_ATTR);

	if (!s)
		return -errno;
	(void)str_copy(s->attr.path, sizeof(s->attr.path), aim->freezer);
	(void)str_copy(s->attr.want, sizeof(s->attr.want),
		       n > v1 && str_eq(aim->freezer + n - v1, "freezer.state") ? "FROZEN" : "1");
	return plan_claim(g->plan, "freezer of %s", aim->path);
}

static int freeze(const struct planning *g)
{
	int r = 0;

	for (size_t i = 0; i < g->facts->n_aims && r == 0; i++)
		r = add_freeze(&g->facts->aims[i], g);
	return r;
}

/* Is it one that this fault has paused already, and still the same process? */
static bool is_target(const struct plan *plan, const struct process_list *list, pid_t pid)
{
	const struct process *now = process_list_find(list, pid);

	for (size_t i = 0; now && i < plan->n; i++) {
		const struct step_process *p = &plan->steps[i].process;

		if (plan->steps[i].kind == STEP_SIGNAL && p->pid == (uint64_t)pid &&
		    p->start == now->start)
			return true;
	}
	return false;
}

static bool has_target_above(const struct planning *g, const struct plan *targets,
			     const struct process *p)
{
	const struct process_list *list = &g->facts->processes;

	for (int depth = 0; depth < 256 && p && p->ppid > 1; depth++) {
		if (is_target(targets, list, p->ppid))
			return true;
		p = process_list_find(list, p->ppid);
	}
	return false;
}

/* Those that started at `since_ticks` or later. */
static int add_descendants(const struct planning *g, const struct plan *targets,
			   uint64_t since_ticks)
{
	for (size_t i = 0; i < g->facts->processes.n; i++) {
		const struct process *p = &g->facts->processes.process[i];
		int r;

		if (p->state == 'Z' || p->start < since_ticks || protect_process(p, g->facts) ||
		    !has_target_above(g, targets, p))
			continue;
		r = add(p, (void *)g);
		if (r < 0)
			return r;
	}
	return 0;
}

static int cannot_plan(int r, struct error *e)
{
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot plan: %s", strerror(-r)) : 0;
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct process_pause *p = params;
	struct planning g = {facts, plan};
	bool first = !facts->so_far;
	bool whole = !p->selection.count && !p->selection.percent &&
		     !selection_mode_chooses(p->selection.target.selection_mode);
	int r = 0;

	if (facts->aimed && freezes(p, facts))
		return cannot_plan(freeze(&g), e);
	if (first || whole)
		r = select_each(&p->selection, facts, add, &g);
	if (r == 0 && first && p->children)
		r = add_descendants(&g, plan, 0);
	if (r == 0 && !first)
		r = add_descendants(&g, facts->so_far, p->children ? 0 : facts->since_ticks);
	return cannot_plan(r, e);
}

static void describe(const void *params, struct text *t)
{
	const struct process_pause *p = params;

	text_add(t, "pause ");
	select_describe(&p->selection, t);
	if (p->children || p->interval_ms)
		text_add(t, " and what descends from them");
}

static uint64_t interval(const void *params)
{
	return ((const struct process_pause *)params)->interval_ms;
}

extern const struct action action_process_pause;
const struct action action_process_pause = {
	.name = "process-pause",
	.summary = "Stop processes and continue them at the end",
	.description =
		"The chosen processes get SIGSTOP, and SIGCONT when the fault ends. One that was stopped before "
		"is left as it was. With a unit, cgroup or container and nothing that chooses among its processes "
		"its cgroup is frozen instead, and thawed at the end. Protected processes are refused.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct process_pause),
	.look = look,
	.plan = plan,
	.describe = describe,
	.interval_ms = interval,
	.composition =
		"composes: a process stands still until the last of them ends; exclusive: one freeze per cgroup",
};
