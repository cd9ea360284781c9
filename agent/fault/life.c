/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a fault after it was planned: journal, apply, look again, undo. Every change of state
 * goes through fault_set_state(), which logs it and tells the listeners. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/internal.h"
#include "util/clock.h"
#include "util/crash_point.h"
#include "util/log.h"

#define RETRY_FIRST_MS 100
#define RETRY_MOST_MS  10000

void fault_set_state(struct fault *f, enum fault_state state, const char *what)
{
	enum log_level level = state == FAULT_STUCK    ? LEVEL_ERROR
			       : state == FAULT_FAILED ? LEVEL_WARNING
						       : LEVEL_INFO;

	f->state = state;
	log_fault(level, f->id, f->action->name, "%s%s%s", fault_state_name(state),
		  what[0] ? ": " : "", what);
	for (struct fault_listener *l = f->owner->listeners, *next; l; l = next) {
		next = l->next;
		l->event(f, l->arg);
	}
	if (!fault_is_open(f))
		faults_after_end(f);
}

static struct step_env env_of(const struct fault *f)
{
	struct step_env env = f->owner->env;

	env.deadline_boot_ns = f->deadline_boot_ns;
	return env;
}

/* One step: what is there is read and journalled, then `begin`, the change, `did`. The error says
 * which step it was. */
static int apply_step(struct fault *f, size_t i, struct error *e)
{
	struct step_env env = env_of(f);
	struct step *s = &f->plan.steps[i];
	int r = step_prepare(s, &env, e);

	if (r < 0)
		return r;
	if (r > 0)
		r = journal_file_step(&f->journal, i, s);
	if (r >= 0)
		r = journal_file_mark(&f->journal, JOURNAL_BEGIN, i);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot write the journal: %s", strerror(-r));
	s->state = STEP_APPLYING;
	guardian_link_beat(f->owner->guardian);
	crash_point("before a step");
	r = step_apply(s, &env, e);
	crash_point("after a step");
	if (r < 0)
		return r;
	s->state = STEP_APPLIED;
	if (r > 0)
		r = journal_file_step(&f->journal, i, s);
	if (r >= 0)
		r = journal_file_mark(&f->journal, JOURNAL_DID, i);
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot write the journal: %s", strerror(-r))
		     : 0;
}

/* Applies the steps from `first` on. The first failure ends it; what was done is the caller's to
 * undo. */
static int apply_from(struct fault *f, size_t first, struct error *e)
{
	for (size_t i = first; i < f->plan.n; i++) {
		int r = apply_step(f, i, e);

		if (r < 0)
			return r;
		watch_step(f, i);
	}
	return 0;
}

void fault_fail(struct fault *f, const struct error *e)
{
	f->error = *e;
	f->has_failed = true;
	fault_end(f, e->message);
}

static bool nothing_was_hit(const struct fault *f)
{
	for (size_t i = 0; i < f->plan.n; i++) {
		const struct step *s = &f->plan.steps[i];

		if ((s->kind != STEP_SIGNAL && s->kind != STEP_KILL) || !s->process.gone)
			return false;
	}
	return true;
}

static void set_interval(struct fault *f)
{
	uint64_t ms = f->action->interval_ms ? f->action->interval_ms(f->params) : 0;

	f->interval_boot_ns = ms ? boot_ns() + ms * NSEC_PER_MSEC : 0;
}

void fault_apply(struct fault *f)
{
	struct error e = {0};
	char text[TEXT_MAX];
	struct text t = TEXT(text);

	fault_set_state(f, FAULT_APPLYING, "");
	if (apply_from(f, 0, &e) < 0) {
		fault_fail(f, &e);
		return;
	}
	if (nothing_was_hit(f)) {
		(void)error_set(&e, ERROR_FAILED, -ESRCH,
				"every process that was chosen vanished before it was signalled");
		fault_fail(f, &e);
		return;
	}
	f->applied_ns = boot_ns() - f->requested_boot_ns;
	set_interval(f);
	f->action->describe(f->params, &t);
	text_add(&t, " for ");
	text_add(&t, "%" PRIu64 " ms", fault_remaining_ms(f));
	fault_set_state(f, FAULT_ACTIVE, text);
	if (f->watches == NULL && f->action->duration == DURATION_OPTIONAL &&
	    f->interval_boot_ns == 0)
		fault_end(f, "completed");
	alarm_set(f->owner);
}

/* Moves the steps of `fresh` that the fault does not have yet into its plan, planned and
 * journalled. */
static int take_new_steps(struct fault *f, const struct plan *fresh, struct error *e)
{
	for (size_t i = 0; i < fresh->n; i++) {
		struct step *s;
		int r;

		if (plan_has(&f->plan, &fresh->steps[i]))
			continue;
		s = plan_add(&f->plan, fresh->steps[i].kind);
		if (!s)
			return error_set(e, ERROR_QUOTA, -errno, "a fault has at most %d steps",
					 STEPS_MAX);
		*s = fresh->steps[i];
		r = journal_file_reserve(&f->journal, 1);
		if (r == 0)
			r = journal_file_step(&f->journal, f->plan.n - 1, s);
		if (r < 0) {
			f->plan.n--;
			return error_set(e, ERROR_FAILED, r, "cannot write the journal: %s",
					 strerror(-r));
		}
	}
	return 0;
}

static int look_again(struct fault *f, struct error *e)
{
	struct faults *all = f->owner;
	struct facts facts = {.policy = all->policy,
			      .caller_pid = f->caller.pid,
			      .own_pids = {getpid(), guardian_link_pid(all->guardian)},
			      .seed = boot_ns(),
			      .so_far = &f->plan,
			      .since_ticks = f->requested_boot_ns * (uint64_t)sysconf(_SC_CLK_TCK) /
					     NSEC_PER_SEC};
	struct plan fresh = {0};
	size_t first = f->plan.n;
	int r = f->action->look(f->params, &facts, e);

	if (r == 0)
		r = f->action->plan(f->params, &facts, &fresh, e);
	if (r == 0)
		r = take_new_steps(f, &fresh, e);
	/* What was taken is applied also when not all could be. */
	if (f->plan.n > first) {
		struct error apply_error;
		int applied = apply_from(f, first, &apply_error);

		if (r == 0 && applied < 0)
			*e = apply_error;
		r = r < 0 ? r : applied;
	}
	plan_done(&fresh);
	facts_done(&facts);
	return r;
}

/* What cannot be reached this time (a protected process turned up, no memory) is told once and
 * left; the fault goes on to its deadline. With no room for a step more there is nothing to go on
 * with. */
void fault_look_again(struct fault *f)
{
	struct error e = {0};
	bool bad = look_again(f, &e) < 0;

	if (bad && e.code == ERROR_QUOTA) {
		f->error = e;
		fault_end(f, e.message);
		return;
	}
	if (bad && (f->n_notes == 0 || !str_eq(f->notes[f->n_notes - 1], e.message))) {
		log_fault(LEVEL_WARNING, f->id, f->action->name, "looked again: %s", e.message);
		fault_note(f, e.message);
	}
	set_interval(f);
}

static bool undo_step(struct fault *f, size_t i)
{
	struct step_env env = env_of(f);
	struct step *s = &f->plan.steps[i];
	char note[TEXT_MAX] = "";
	struct text t = TEXT(note);
	int r;

	if (s->state == STEP_PLANNED || s->state == STEP_UNDONE)
		return true;
	guardian_link_beat(f->owner->guardian);
	crash_point("before an undo");
	r = step_undo(s, &env, &t);
	crash_point("after an undo");
	if (t.length > 0) {
		fault_note(f, note);
	}
	if (r < 0) {
		s->state = STEP_FAILED;
		log_fault(LEVEL_ERROR, f->id, f->action->name, "step %zu could not be undone: %s",
			  i, strerror(-r));
		return false;
	}
	/* What cannot be taken back stays applied, for the result. */
	if (step_hold(s->kind) != HOLD_NONE)
		s->state = STEP_UNDONE;
	(void)journal_file_mark(&f->journal, JOURNAL_UNDONE, i);
	return true;
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

/* Packets flow again before anything is detached: a detach waits for the kernel, up to 20 ms a
 * hook. */
bool fault_clear_rules(struct fault *f)
{
	bool good = true;

	for (size_t i = f->plan.n; i-- > 0;) {
		if (f->plan.steps[i].kind == STEP_RULE)
			good &= undo_step(f, i);
	}
	return good;
}

/* The last before the first; one failure stops no other. */
static bool undo_all(struct fault *f)
{
	bool good = fault_clear_rules(f);

	for (size_t i = f->plan.n; i-- > 0;)
		good &= undo_step(f, i);
	return good;
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

void fault_undo(struct fault *f)
{
	char text[TEXT_MAX + 64];

	watch_stop(f);
	fault_set_state(f, FAULT_UNDOING, f->reason);
	if (!undo_all(f)) {
		try_again_later(f);
		return;
	}
	journal_file_finish(&f->journal);
	f->undone_ns = boot_ns() - f->ending_boot_ns;
	shrink(f);
	(void)snprintf(text, sizeof(text), "%s, %s after %.1f ms", f->reason,
		       action_is_irreversible(f->action) ? "over" : "put back",
		       (double)f->undone_ns / 1e6);
	fault_set_state(f, f->has_failed ? FAULT_FAILED : FAULT_DONE, text);
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
