/* SPDX-License-Identifier: Apache-2.0 */
/* The end of this boot. In order it is asked of systemd by the signals of systemd(1), which need no
 * bus; at once it is reboot(2). A panic is asked of the kernel, and nothing is written first. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "steps/kinds.h"
#include "util/cleanup.h"

#define SYNC_WAIT_MS 10000 /* a disk that does not answer must not keep the host up */

static int ask_systemd(const struct step_power *p)
{
	return kill(1, SIGRTMIN + (p->how == POWER_REBOOT ? 5 : 4)) < 0 ? -errno : 0;
}

/* Waits until the writer's end is closed: sync(2) is done, or its process died. */
static void wait_for_sync(void)
{
	int done[2];
	struct pollfd p;

	if (pipe2(done, O_CLOEXEC) < 0)
		return;
	if (fork() == 0) {
		sync();
		_exit(0);
	}
	(void)close(done[1]);
	p = (struct pollfd){.fd = done[0], .events = POLLIN};
	(void)poll(&p, 1, SYNC_WAIT_MS);
}

/* In a process of its own: faultd's loop goes on while what is in memory is written. It does
 * without everything that another thread may have held locked. */
static int at_once(const struct step_power *p)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid < 0 ? -errno : 0;
	/* The guardian, whose connection is one of these, sees faultd's end and not this one's. */
	(void)syscall(SYS_close_range, 0U, ~0U, 0U);
	(void)setsid();
	wait_for_sync();
	_exit(reboot(p->how == POWER_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF) < 0);
}

static int panic_now(void)
{
	_cleanup_close_ int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "c", 1) < 0 ? -errno : 0;
}

int power_apply(struct step *s, const struct step_env *env, struct error *e)
{
	int r = s->power.how == POWER_PANIC ? panic_now()
		: s->power.force            ? at_once(&s->power)
					    : ask_systemd(&s->power);
	char what[128] = "";
	struct text t = TEXT(what);

	if (r == 0)
		return 0;
	step_describe(s, &t);
	return error_set(e, r == -EPERM ? ERROR_UNSUPPORTED : ERROR_FAILED, r, "cannot %s: %s",
			 what, strerror(-r));
}
