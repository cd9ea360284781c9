/* SPDX-License-Identifier: Apache-2.0 */
/* The first half of a fault's life after it was planned: applied, settled, active. Every change of
 * state goes through fault_set_state(), which logs it and tells the listeners. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/internal.h"
#include "host/oom.h"
#include "util/clock.h"
#include "util/crash_point.h"
#include "util/log.h"

#define SETTLE_FIRST_US 500
#define SETTLE_MOST_US  20000

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

struct step_env fault_env(const struct fault *f)
{
	struct step_env env = f->owner->env;

	env.deadline_boot_ns = f->deadline_boot_ns;
	env.start_boot_ns = f->start_boot_ns;
	return env;
}

/* One step: what is there is read and journalled, then `begin`, the change, `did`. The error says
 * which step it was. */
int fault_apply_step(struct fault *f, size_t i, struct error *e)
{
	struct step_env env = fault_env(f);
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
int fault_apply_from(struct fault *f, size_t first, struct error *e)
{
	for (size_t i = first; i < f->plan.n; i++) {
		int r = fault_apply_step(f, i, e);

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
	return f->plan.n > 0;
}

void fault_set_interval(struct fault *f)
{
	uint64_t ms = f->action->interval_ms ? f->action->interval_ms(f->params) : 0;

	f->interval_boot_ns = ms ? boot_ns() + ms * NSEC_PER_MSEC : 0;
}

static void become_active(struct fault *f)
{
	char text[TEXT_MAX];
	struct text t = TEXT(text);

	f->applied_ns = boot_ns() - f->requested_boot_ns - f->delayed_ns;
	fault_set_interval(f);
	fault_set_resolve(f);
	f->action->describe(f->params, &t);
	text_add(&t, " for %" PRIu64 " ms", fault_remaining_ms(f));
	fault_set_state(f, FAULT_ACTIVE, text);
	if (f->state == FAULT_ACTIVE && f->watches == NULL &&
	    f->action->duration == DURATION_OPTIONAL && f->interval_boot_ns == 0)
		fault_end(f, "completed");
	alarm_set(f->owner);
}

/* Returns 0, -EAGAIN when one of them has yet to take effect, or another errno and the error. A
 * systemd that does not answer is waited for at each unit: a beat for each. */
static int settle_steps(struct fault *f, struct error *e)
{
	struct step_env env = fault_env(f);
	int r = 0;

	for (size_t i = 0; i < f->plan.n; i++) {
		int settled;

		guardian_link_beat(f->owner->guardian);
		settled = step_settle(&f->plan.steps[i], &env, e);

		if (settled < 0 && settled != -EAGAIN)
			return settled;
		r = settled < 0 ? settled : r;
	}
	return r;
}

void fault_settle(struct fault *f)
{
	struct error e = {0};
	int r = settle_steps(f, &e);

	if (r == -EAGAIN) {
		f->settle_us = f->settle_us ? f->settle_us * 2 : SETTLE_FIRST_US;
		if (f->settle_us > SETTLE_MOST_US)
			f->settle_us = SETTLE_MOST_US;
		f->wait_boot_ns = boot_ns() + f->settle_us * 1000;
		alarm_set(f->owner);
	} else if (r < 0) {
		fault_fail(f, &e);
	} else if (nothing_was_hit(f)) {
		(void)error_set(&e, ERROR_FAILED, -ESRCH,
				"every process that was chosen vanished before it was signalled");
		fault_fail(f, &e);
	} else {
		become_active(f);
	}
}

static void apply_now(struct fault *f)
{
	struct grade_point point;
	struct error e = {0};

	f->start_boot_ns = boot_ns();
	f->oom_kills = oom_kills_read();
	fault_set_state(f, FAULT_APPLYING, "");
	if (f->has_grade)
		fault_set_grade(f, &point);
	if (fault_apply_from(f, 0, &e) < 0)
		fault_fail(f, &e);
	else
		fault_settle(f);
}

/* An action that waits first is active meanwhile: to stop it is to abort it. */
static void delay(struct fault *f, uint64_t ms)
{
	char text[64];

	f->begin_boot_ns = boot_ns() + ms * NSEC_PER_MSEC;
	f->delayed_ns = ms * NSEC_PER_MSEC;
	f->applied_ns = boot_ns() - f->requested_boot_ns;
	(void)snprintf(text, sizeof(text), "in %" PRIu64 " ms, unless it is stopped", ms);
	fault_set_state(f, FAULT_ACTIVE, text);
	alarm_set(f->owner);
}

void fault_begin(struct fault *f)
{
	f->begin_boot_ns = 0;
	f->applied_ns = 0;
	apply_now(f);
}

void fault_apply(struct fault *f)
{
	uint64_t ms = f->action->delay_ms ? f->action->delay_ms(f->params) : 0;

	if (f->skipped) {
		f->applied_ns = boot_ns() - f->requested_boot_ns;
		fault_set_state(f, FAULT_ACTIVE, "nothing matches");
		fault_end(f, "skipped: the target resolved to nothing");
	} else if (ms) {
		delay(f, ms);
	} else {
		apply_now(f);
	}
}
