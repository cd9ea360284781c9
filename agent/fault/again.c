/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to an active fault: it looks for new victims, a ramp rises, waves come and go. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fault/internal.h"
#include "util/clock.h"
#include "util/crash_point.h"
#include "util/log.h"

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
	struct facts facts = fault_facts(f);
	struct plan fresh = {0};
	size_t first = f->plan.n;
	int r;

	facts.seed = boot_ns();
	facts.so_far = &f->plan;
	facts.since_ticks = f->requested_boot_ns / (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
	r = f->action->look(f->params, &facts, e);

	if (r == 0 && !facts.skipped)
		r = f->action->plan(f->params, &facts, &fresh, e);
	if (r == 0)
		r = take_new_steps(f, &fresh, e);
	/* What was taken is applied also when not all could be. */
	if (f->plan.n > first) {
		struct error apply_error;
		int applied = fault_apply_from(f, first, &apply_error);

		if (r == 0 && applied < 0)
			*e = apply_error;
		r = r < 0 ? r : applied;
	}
	plan_done(&fresh);
	facts_done(&facts);
	return r;
}

void fault_note_once(struct fault *f, const char *text)
{
	if (f->n_notes > 0 && str_eq(f->notes[f->n_notes - 1], text))
		return;
	log_fault(LEVEL_WARNING, f->id, f->action->name, "looked again: %s", text);
	fault_note(f, text);
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
	if (bad)
		fault_note_once(f, e.message);
	fault_set_interval(f);
}

static bool same_steps(const struct plan *a, const struct plan *b)
{
	for (size_t i = 0; a->n == b->n && i < a->n; i++) {
		if (!step_same(&a->steps[i], &b->steps[i]))
			return false;
	}
	return a->n == b->n;
}

/* The new value is on record before it is written. */
static int update_step(struct fault *f, size_t i, const struct step *fresh, struct error *e)
{
	struct step_env env = fault_env(f);
	struct step *s = &f->plan.steps[i];
	int r;

	if (!step_prepare_update(s, fresh))
		return 0;
	r = journal_file_step(&f->journal, i, s);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot write the journal: %s", strerror(-r));
	crash_point("before an update");
	r = step_update(s, &env, e);
	crash_point("after an update");
	return r;
}

static int apply_anew(struct fault *f, const struct plan *fresh, struct error *e)
{
	for (size_t i = 0; i < fresh->n; i++) {
		int r;

		fault_add_counts(&f->plan.steps[i], &f->past);
		f->plan.steps[i] = fresh->steps[i];
		r = journal_file_step(&f->journal, i, &f->plan.steps[i]);
		if (r < 0)
			return error_set(e, ERROR_FAILED, r, "cannot write the journal: %s",
					 strerror(-r));
	}
	return fault_apply_from(f, 0, e);
}

/* Between two waves nothing is owed: the journal begins anew, or hours of waves would fill /run. */
static int take_value(struct fault *f, const struct plan *fresh, struct error *e)
{
	int r = f->is_off ? journal_file_restart(&f->journal) : 0;

	if (r == 0)
		r = journal_file_reserve(&f->journal, fresh->n);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot write the journal: %s", strerror(-r));
	if (!f->is_off) {
		for (size_t i = 0; i < fresh->n && r == 0; i++)
			r = update_step(f, i, &fresh->steps[i], e);
		return r;
	}
	f->is_off = false;
	return apply_anew(f, fresh, e);
}

/* Plans again with the present value, and with what names mean by now: the same targets, or it is
 * left as it is. */
static int regrade(struct fault *f, double value, struct error *e)
{
	struct facts facts = fault_facts(f);
	struct plan fresh = {0};
	int r;

	facts.grade = value;
	facts.so_far = &f->plan;
	r = f->action->look(f->params, &facts, e);
	if (r == 0)
		r = f->action->plan(f->params, &facts, &fresh, e);
	if (r == 0 && !same_steps(&f->plan, &fresh))
		r = error_set(e, ERROR_FAILED, -ESTALE, "what is aimed at has changed");
	if (r == 0)
		r = take_value(f, &fresh, e);
	plan_done(&fresh);
	facts_done(&facts);
	return r;
}

void fault_set_grade(struct fault *f, struct grade_point *ret)
{
	uint64_t now = boot_ns();

	grade_at(&f->grade, f->grade_to, (now - f->start_boot_ns) / NSEC_PER_MSEC, ret);
	f->grade_boot_ns =
		ret->next_ms == GRADE_NEVER ? 0 : f->start_boot_ns + ret->next_ms * NSEC_PER_MSEC;
}

/* A wave ends. What is not undone at once is asked again until it is, before anything else. */
static int turn_off(struct fault *f)
{
	int r = fault_undo_steps(f);

	f->is_off = true;
	f->is_turning_off = r == -EINPROGRESS;
	if (f->is_turning_off)
		f->grade_boot_ns = boot_ns() + UNDO_PAUSE_MS * NSEC_PER_MSEC;
	else if (r < 0)
		fault_end(f, "could not be turned off");
	return r;
}

/* Between two waves there is nothing to change: the next one is planned anew. */
int fault_plan_anew(struct fault *f, struct error *e)
{
	struct grade_point point = {.value = f->grade_to};

	if (f->is_off)
		return 0;
	if (f->has_grade)
		grade_at(&f->grade, f->grade_to, (boot_ns() - f->start_boot_ns) / NSEC_PER_MSEC,
			 &point);
	/* A wave that has just ended is the alarm's to turn off, with the value it had. */
	return f->has_grade && !point.on ? 0 : regrade(f, point.value, e);
}

/* The ramp's next value, or a wave that comes or goes. A fault that can no longer do so ends. */
void fault_regrade(struct fault *f)
{
	struct grade_point point;
	struct error e = {0};

	fault_set_grade(f, &point);
	if ((!point.on || f->is_turning_off) && (turn_off(f) < 0 || !point.on))
		return;
	if (regrade(f, point.value, &e) == 0)
		return;
	f->error = e;
	fault_end(f, e.message);
}
