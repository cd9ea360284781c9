/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping a systemd unit. Accepted jobs go on by themselves, so all that waits here is done by
 * asking again. */
#include <errno.h>
#include <string.h>

#include "steps/kinds.h"
#include "steps/manager.h"
#include "util/clock.h"

#define STARTING_US 2000000 /* a unit that is still starting then is left to systemd */
#define GIVE_UP_US  4000000 /* what is down then is looked at as if it had run */

static bool is_one_of(const char *state, const char *const *states)
{
	for (; *states; states++) {
		if (str_eq(state, *states))
			return true;
	}
	return false;
}

static bool is_up(const char *state)
{
	static const char *const up[] = {"active", "reloading", "refreshing", NULL};

	return is_one_of(state, up);
}

static bool is_down(const char *state)
{
	static const char *const down[] = {"inactive", "failed", NULL};

	return is_one_of(state, down);
}

static uint64_t mono_us(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000;
}

static int cannot(struct error *e, int r, const char *what, const struct step *s)
{
	const char *why = r == -ENOENT      ? "there is no such unit"
			  : r == -ENOTCONN  ? "systemd is not the init system here"
			  : r == -ESHUTDOWN ? "the host is going down"
			  : r == -EPERM     ? "it is masked, or refuses to be stopped by hand"
			  : r == -EIO       ? "systemd refused"
					    : strerror(-r);

	return error_set(e, r == -ENOTCONN ? ERROR_UNSUPPORTED : ERROR_FAILED, r,
			 "cannot %s the unit %s: %s", what, s->unit.name, why);
}

int unit_prepare(struct step *s, const struct step_env *env, struct error *e)
{
	char state[MANAGER_STATE_MAX];
	int r = manager_unit_state(s->unit.name, state);

	if (r < 0)
		return cannot(e, r, "see", s);
	s->unit.was_active = is_up(state) || str_eq(state, "activating");
	return 1;
}

int unit_apply(struct step *s, const struct step_env *env, struct error *e)
{
	int r;

	if (!s->unit.was_active)
		return 0;
	s->unit.stopped_us = mono_us();
	r = manager_stop_unit(s->unit.name);
	return r < 0 ? cannot(e, r, "stop", s) : 0;
}

/* Down, or it has been since and somebody (its socket, perhaps) started it again. */
int unit_settle(struct step *s, const struct step_env *env, struct error *e)
{
	char state[MANAGER_STATE_MAX];
	struct manager_unit_times times = {0};
	int r;

	if (!s->unit.was_active)
		return 0;
	r = manager_unit_state(s->unit.name, state);
	if (r == 0 && !is_down(state))
		r = manager_unit_times(s->unit.name, &times);
	if (r == -ETIMEDOUT)
		return -EAGAIN;
	if (r < 0)
		return cannot(e, r, "see", s);
	/* One that nobody refers to is forgotten when it stops, its times too. */
	return is_down(state) || times.enter_us >= s->unit.stopped_us ||
			       times.exit_us >= s->unit.stopped_us
		       ? 0
		       : -EAGAIN;
}

/* It is asked to start also when it runs: a stop that is still queued is taken back by that.
 * Returns -EINPROGRESS when it was accepted: that goes on record before it is waited for. */
static int ask(struct step *s, struct text *note)
{
	int r;

	s->unit.started_us = mono_us();
	r = unit_undo_alone(s, note);
	if (r < 0)
		s->unit.started_us = 0;
	if (r < 0 || note->length) /* which says why there is nothing to wait for */
		return r;
	s->unit.released = true;
	return -EINPROGRESS;
}

/* It runs: and had come up since our stop, before we asked? */
static void note_others(const struct step *s, struct text *note)
{
	struct manager_unit_times times = {0};

	if (manager_unit_times(s->unit.name, &times) == 0 && times.exit_us >= s->unit.stopped_us &&
	    times.exit_us < s->unit.started_us)
		text_add(note, "%s had been started by someone else", s->unit.name);
}

/* Is it running, or has it run since it was asked to? Returns 0, -EINPROGRESS, or another errno. */
static int started(struct step *s, struct text *note)
{
	uint64_t since_us = mono_us() - s->unit.started_us;
	char state[MANAGER_STATE_MAX];
	struct manager_unit_times times = {0};
	bool over;
	int r = manager_unit_state(s->unit.name, state);

	if (r == 0 && is_up(state))
		note_others(s, note);
	if (r == 0 && (is_up(state) || (str_eq(state, "activating") && since_us > STARTING_US)))
		return 0;
	if (r == 0)
		r = manager_unit_times(s->unit.name, &times);
	if (r < 0)
		return r == -ETIMEDOUT ? -EINPROGRESS : r;
	over = since_us > GIVE_UP_US ||
	       (times.exit_us >= s->unit.started_us && times.enter_us >= times.exit_us);
	/* One that does its work and ends did start. */
	if (over && str_eq(state, "inactive")) {
		text_add(note, "%s was started and has ended by itself", s->unit.name);
		return 0;
	}
	if (!over || !str_eq(state, "failed"))
		return -EINPROGRESS;
	s->unit.started_us = 0; /* the next try asks again */
	return -EIO;
}

int unit_undo(struct step *s, const struct step_env *env, struct text *note)
{
	if (!s->unit.was_active)
		return 0;
	if (!s->unit.started_us)
		return ask(s, note);
	return started(s, note);
}
