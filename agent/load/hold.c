/* SPDX-License-Identifier: Apache-2.0 */
/* The ties of a worker. Order matters: nothing may be done before the kernel has been told to kill
 * this process with its parent, and that promise is empty if the parent went before that. */
#include "load/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/grade.h"

#ifndef SYS_close_range
#define SYS_close_range 436 /* 5.9; the same number everywhere */
#endif

/* A score that cannot be written is not worth ending for. */
static void offer_to_oom_killer(void)
{
	static const char score[] = "1000";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, score, sizeof(score) - 1) < 0) {
		/* ignoring */
	}
	(void)close(fd);
}

static int reset_scheduling(void)
{
	const struct sched_param param = {.sched_priority = 0};

	if (sched_setscheduler(0, SCHED_OTHER, &param) < 0)
		return -errno;
	if (setpriority(PRIO_PROCESS, 0, 0) < 0)
		return -errno;
	return 0;
}

static int reset_signals(void)
{
	sigset_t none;

	/* Fails for SIGKILL, SIGSTOP and the two that libc keeps to itself: as it should. */
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		(void)signal(sig, SIG_DFL);
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

static int close_inherited(void)
{
	return syscall(SYS_close_range, STDERR_FILENO + 1U, ~0U, 0U) < 0 ? -errno : 0;
}

int hold_tie(const struct hold *hold, const char **ret_what)
{
	static const struct {
		int (*reset)(void);
		const char *what;
	} inherited[] = {
		{reset_scheduling, "return to SCHED_OTHER at nice 0"},
		{reset_signals, "unblock signals"},
		{close_inherited, "close inherited files"},
	};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
		*ret_what = "ask to be killed with the parent";
		return -errno;
	}
	if ((uint64_t)getppid() != hold->parent)
		return HOLD_ORPHAN;

	offer_to_oom_killer();
	(void)prctl(PR_SET_NAME, "faultd-load"); /* cannot fail with a readable string */

	for (size_t i = 0; i < sizeof(inherited) / sizeof(inherited[0]); i++) {
		int r = inherited[i].reset();

		if (r < 0) {
			*ret_what = inherited[i].what;
			return r;
		}
	}
	return 0;
}

bool hold_sleep(const struct hold *hold, uint64_t until_boot_ns)
{
	uint64_t until =
		until_boot_ns < hold->deadline_boot_ns ? until_boot_ns : hold->deadline_boot_ns;
	const struct timespec ts = {
		.tv_sec = (time_t)(until / NSEC_PER_SEC),
		.tv_nsec = (long)(until % NSEC_PER_SEC),
	};

	while (boot_ns() < until) {
		if (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &ts, NULL) == 0)
			break;
	}
	return boot_ns() < hold->deadline_boot_ns;
}

void hold_grade(const struct hold *hold, const struct grade *g, double to, struct grade_point *ret,
		uint64_t *next_boot_ns)
{
	uint64_t now = boot_ns();
	uint64_t since = now > hold->start_boot_ns ? now - hold->start_boot_ns : 0;

	grade_at(g, to, since / NSEC_PER_MSEC, ret);
	*next_boot_ns = ret->next_ms == GRADE_NEVER
				? UINT64_MAX
				: hold->start_boot_ns + ret->next_ms * NSEC_PER_MSEC;
}
