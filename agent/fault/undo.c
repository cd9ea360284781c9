/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of a fault's life: its steps are undone, backwards, until all are. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/internal.h"
#include "steps/worker.h"
#include "util/clock.h"
#include "util/crash_point.h"
#include "util/log.h"

#define RETRY_FIRST_MS 100
#define RETRY_MOST_MS  10000
#define PATIENCE_MS    5000 /* with an undo in progress; then the fault is stuck, and goes on */

static bool is_released(const struct step *s)
{
	return s->kind == STEP_UNIT && s->unit.released;
}

/* Its end needs nobody any more: systemd starts the unit, the worker runs no more code. */
static bool ends_alone(const struct step *s)
{
	return is_released(s) || (s->kind == STEP_CHILD && s->child.killed);
}

/* Returns 0, -EINPROGRESS, or another errno. */
static int undo_step(struct fault *f, size_t i)
{
	struct step_env env = fault_env(f);
	struct step *s = &f->plan.steps[i];
	char note[TEXT_MAX] = "";
	struct text t = TEXT(note);
	bool ended_alone = ends_alone(s);
	int r;

	if (s->state == STEP_PLANNED || s->state == STEP_UNDONE)
		return 0;
	guardian_link_beat(f->owner->guardian);
	if (f->undo_asked != i + 1) /* to ask again is no new step of its life */
		crash_point("before an undo");
	r = step_undo(s, &env, &t);
	f->undo_asked = r == -EINPROGRESS ? i + 1 : 0;
	if (r != -EINPROGRESS)
		crash_point("after an undo");
	if (t.length > 0)
		fault_note(f, note);
	/* What goes on without us is off the record: the guardian need not mind how long it takes.
	 */
	if (!ended_alone && ends_alone(s))
		(void)journal_file_mark(&f->journal, JOURNAL_UNDONE, i);
	if (r == -EINPROGRESS)
		return r;
	if (r < 0) {
		s->state = STEP_FAILED;
		log_fault(LEVEL_ERROR, f->id, f->action->name, "step %zu could not be undone: %s",
			  i, strerror(-r));
		return r;
	}
	/* What cannot be taken back stays applied, for the result. */
	if (step_hold(s->kind) != HOLD_NONE)
		s->state = STEP_UNDONE;
	if (!ends_alone(s))
		(void)journal_file_mark(&f->journal, JOURNAL_UNDONE, i);
	return 0;
}

/* One failure hides what is merely in progress. */
static int worse(int a, int b)
{
	return a == 0 || (a == -EINPROGRESS && b < 0) ? b : a;
}

static void try_again_later(struct fault *f)
{
	char text[TEXT_MAX];

	f->retry_ms = f->retry_ms == 0 ? RETRY_FIRST_MS : f->retry_ms * 2;
	if (f->retry_ms > RETRY_MOST_MS)
		f->retry_ms = RETRY_MOST_MS;
	f->wait_boot_ns = boot_ns() + f->retry_ms * NSEC_PER_MSEC;
	(void)snprintf(text, sizeof(text), "not put back, next try in %" PRIu64 " ms", f->retry_ms);
	fault_set_state(f, FAULT_STUCK, text);
	alarm_set(f->owner);
}

/* A worker that got its SIGKILL is off the record: however long the kernel takes with it (memory to
 * be freed, a write that has to come back), nobody could do more. */
static void release_worker(struct fault *f, size_t i)
{
	struct step_child *c = &f->plan.steps[i].child;
	int r = worker_kill(&c->pid, c->start, 0);

	if ((r < 0 && r != -EINPROGRESS) || c->killed)
		return;
	c->killed = true;
	(void)journal_file_mark(&f->journal, JOURNAL_UNDONE, i);
}

/* What ends at once, before anything that takes time: packets flow again before a detach waits for
 * the kernel, up to 20 ms a hook; all workers die side by side. */
int fault_release(struct fault *f)
{
	int r = 0;

	for (size_t i = f->plan.n; i-- > 0;) {
		struct step *s = &f->plan.steps[i];

		if (s->kind == STEP_CHILD && s->state != STEP_PLANNED && s->state != STEP_UNDONE)
			release_worker(f, i);
		else if (s->kind == STEP_RULE)
			r = worse(r, undo_step(f, i));
	}
	return r;
}

/* All of them drain at the same time. */
static int drain_shapers(struct fault *f)
{
	int r = 0;

	for (size_t i = f->plan.n; i-- > 0;) {
		if (f->plan.steps[i].kind == STEP_SHAPER)
			r = worse(r, undo_step(f, i));
	}
	return r;
}

/* The last before the first; one failure stops no other. But what is in progress is waited for:
 * what was done before it may be what it stands on. Not what goes on without us: systemd knows what
 * a unit stands on. */
static int undo_all(struct fault *f)
{
	int r = fault_release(f), starting = 0, one = 0;

	r = worse(r, drain_shapers(f));

	for (size_t i = f->plan.n; i-- > 0 && one != -EINPROGRESS;) {
		one = undo_step(f, i);
		if (one == -EINPROGRESS && is_released(&f->plan.steps[i])) {
			starting = one;
			one = 0;
		}
		r = worse(r, one);
	}
	return worse(starting, r);
}

int fault_undo_steps(struct fault *f)
{
	return undo_all(f);
}

/* A finished fault is only looked at: what it will not need again goes. */
static void shrink(struct fault *f)
{
	struct step *steps =
		f->plan.n ? reallocarray(f->plan.steps, f->plan.n, sizeof(*steps)) : NULL;

	if (!steps)
		return;
	f->plan.steps = steps;
	f->plan.room = f->plan.n;
}

static void note_and_log(struct fault *f, const char *text)
{
	log_fault(LEVEL_WARNING, f->id, f->action->name, "%s", text);
	fault_note(f, text);
}

/* A fault that met no packet proved nothing; whoever reads of it should know. */
static void note_no_packets(struct fault *f)
{
	struct packet_counts c = f->past;
	bool has_rules = false, has_cuts = false;
	uint64_t cut = 0;

	for (size_t i = 0; i < f->plan.n; i++) {
		const struct step *s = &f->plan.steps[i];

		fault_add_counts(s, &c);
		has_rules |= s->kind == STEP_RULE;
		has_cuts |= s->kind == STEP_CUT;
		cut += s->kind == STEP_CUT ? s->cut.cut : 0;
	}
	if ((!has_rules && !has_cuts) || f->has_failed || !f->applied_ns)
		return;
	if (!has_rules && cut == 0)
		note_and_log(f, "no connection matched");
	else if (has_rules && c.rules.matched == 0)
		note_and_log(f, "no packet matched");
	else if (c.rules.shaped && !c.shapers.sent && !c.shapers.dropped)
		note_and_log(f, "packets matched, but none was shaped: filters of others in "
				"clsact decided before");
}

static void become_done(struct fault *f)
{
	char text[TEXT_MAX + 64];

	journal_file_finish(&f->journal);
	note_no_packets(f);
	f->undone_ns = boot_ns() - f->ending_boot_ns;
	shrink(f);
	(void)snprintf(text, sizeof(text), "%s, %s after %.1f ms", f->reason,
		       action_is_irreversible(f->action) ? "over" : "put back",
		       (double)f->undone_ns / 1e6);
	fault_set_state(f, f->has_failed ? FAULT_FAILED : FAULT_DONE, text);
}

void fault_undo_on(struct fault *f)
{
	int r = undo_all(f);
	uint64_t now = boot_ns();

	if (r == 0) {
		become_done(f);
	} else if (r == -EINPROGRESS && now < f->undo_boot_ns + PATIENCE_MS * NSEC_PER_MSEC) {
		f->wait_boot_ns = now + UNDO_PAUSE_MS * NSEC_PER_MSEC;
		alarm_set(f->owner);
	} else {
		try_again_later(f);
	}
}

void fault_undo(struct fault *f)
{
	watch_stop(f);
	fault_stop_resolving(f);
	f->undo_boot_ns = boot_ns();
	fault_set_state(f, FAULT_UNDOING, f->reason);
	fault_undo_on(f);
}

void fault_end(struct fault *f, const char *reason)
{
	if (f->state != FAULT_JOURNALED && f->state != FAULT_APPLYING && f->state != FAULT_ACTIVE)
		return;
	(void)str_copy(f->reason, sizeof(f->reason), reason);
	f->ending_boot_ns = boot_ns();
	f->arm_number = 0;
	fault_undo(f);
	alarm_set(f->owner);
}

int fault_renew(struct fault *f)
{
	if (f->lease_ms == 0)
		return -ENOENT;
	if (f->state != FAULT_ACTIVE)
		return -ESTALE;
	f->lease_boot_ns = boot_ns() + f->lease_ms * NSEC_PER_MSEC;
	alarm_set(f->owner);
	return 0;
}
