/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a faultd-load worker, for faultd and the guardian: killed by pidfd. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/proc.h"

#define ALONE_WAIT_MS 2000

int worker_kill(uint64_t *pid, uint64_t start, int wait_ms)
{
	_cleanup_close_ int pidfd = -1;
	int r;

	if (*pid == 0)
		return 0; /* never ran, or its end was seen; an unseen child dies of its parent's
			     death */
	pidfd = proc_open((pid_t)*pid, start);
	if (pidfd >= 0) {
		r = proc_signal(pidfd, SIGKILL);
		if (r < 0 && r != -ESRCH)
			return r;
		r = proc_wait_exit(pidfd, wait_ms);
		if (r <= 0)
			return r < 0 ? r : -EINPROGRESS;
	} else if (pidfd != -ESRCH) {
		return pidfd;
	}
	/* Another faultd's orphan is not ours to wait for: ECHILD. */
	(void)waitpid((pid_t)*pid, NULL, WNOHANG);
	*pid = 0;
	return 0;
}

int child_undo_alone(struct step *s, struct text *note)
{
	int r = worker_kill(&s->child.pid, s->child.start, ALONE_WAIT_MS);

	return r == -EINPROGRESS ? -ETIMEDOUT : r;
}
