/* SPDX-License-Identifier: Apache-2.0 */
/* SIGSTOP, taken back by SIGCONT. The process is named by pid and start time and reached by pidfd,
 * so that a reused pid is never touched. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>

#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/proc.h"

static bool is_stopped(char state)
{
	return state == 'T' || state == 't';
}

int signal_undo_alone(struct step *s, struct text *note)
{
	_cleanup_close_ int pidfd = -1;
	struct proc_stat st = {0};
	int r;

	if (s->process.was_stopped)
		return 0;
	pidfd = proc_open((pid_t)s->process.pid, s->process.start);
	if (pidfd == -ESRCH)
		return 0;
	if (pidfd < 0)
		return pidfd;
	if (proc_stat_read((pid_t)s->process.pid, &st) == 0 && !is_stopped(st.state) &&
	    st.state != 'Z')
		text_add(note, "process %" PRIu64 " (%s) had been continued by someone else",
			 s->process.pid, s->process.name);
	/* Also when it runs: its SIGSTOP may still be pending, and SIGCONT takes that back as well.
	 */
	r = proc_signal(pidfd, SIGCONT);
	/* What we may not signal we have not stopped. */
	if (r == -EPERM && !is_stopped(st.state))
		return 0;
	return r == -ESRCH ? 0 : r;
}
