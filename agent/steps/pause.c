/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping a process. Several faults may hold the same one: it goes on with the last of them. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "steps/kinds.h"
#include "steps/stopped.h"
#include "util/cleanup.h"
#include "util/proc.h"

/* One that was stopped before us is not ours to continue; one that another fault of ours stopped
 * is. */
int signal_prepare(struct step *s, const struct step_env *env, struct error *e)
{
	struct proc_stat st;

	if (proc_stat_read((pid_t)s->process.pid, &st) < 0 ||
	    (st.state != 'T' && st.state != 't') || stopped_is_held(env->stopped, &s->process))
		return 0;
	s->process.was_stopped = 1;
	return 1;
}

static int stop(const struct step *s)
{
	_cleanup_close_ int pidfd = proc_open((pid_t)s->process.pid, s->process.start);

	return pidfd < 0 ? pidfd : proc_signal(pidfd, (int)s->process.signal);
}

int signal_apply(struct step *s, const struct step_env *env, struct error *e)
{
	int r;

	if (s->process.was_stopped)
		return 0;
	/* Counted first: what cannot be counted is not stopped. */
	r = stopped_take(env->stopped, &s->process);
	s->process.held = r == 0;
	if (r == 0)
		r = stop(s);
	if (r < 0 && s->process.held) {
		(void)stopped_drop(env->stopped, &s->process);
		s->process.held = false;
	}
	if (r == -ESRCH) {
		s->process.gone = true;
		return 0;
	}
	if (r < 0)
		return error_set(
			e, r == -EPERM ? ERROR_UNSUPPORTED : ERROR_FAILED, r,
			"cannot stop process %" PRIu64 " (%s): %s", s->process.pid, s->process.name,
			r == -EPERM ? "faultd lacks the privilege (CAP_KILL)" : strerror(-r));
	return 0;
}

int signal_undo(struct step *s, const struct step_env *env, struct text *note)
{
	int r = 0;

	if (!s->process.held)
		return 0;
	if (!stopped_drop(env->stopped, &s->process)) {
		s->process.held = false;
		return 0;
	}
	r = signal_undo_alone(s, note);
	if (r < 0)
		(void)stopped_take(env->stopped,
				   &s->process); /* to be tried again; there is room for it */
	else
		s->process.held = false;
	return r;
}
