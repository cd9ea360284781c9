/* SPDX-License-Identifier: Apache-2.0 */
/* A signal that cannot be taken back, to a process named by pid and start time. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/proc.h"

int kill_apply(struct step *s, const struct step_env *env, struct error *e)
{
	_cleanup_close_ int pidfd = proc_open((pid_t)s->process.pid, s->process.start);
	int r = pidfd < 0 ? pidfd : proc_signal(pidfd, (int)s->process.signal);

	s->process.sent_boot_ns = boot_ns();
	if (r == -ESRCH) {
		s->process.gone = true; /* an outcome, which the result shows; not a failure */
		return 0;
	}
	if (r < 0)
		return error_set(e, r == -EPERM ? ERROR_UNSUPPORTED : ERROR_FAILED, r,
				 "cannot signal process %" PRIu64 " (%s): %s", s->process.pid,
				 s->process.name,
				 r == -EPERM ? "faultd lacks the privilege (CAP_KILL)"
					     : strerror(-r));
	return 0;
}
