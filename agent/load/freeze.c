/* SPDX-License-Identifier: Apache-2.0 */
/* A file system that stands still: what is written to it waits, what is read goes on. Not a load as
 * such, but FIFREEZE waits for what is being written, and whoever waits there cannot be killed. It
 * is thawed by whoever undoes the fault; if nobody does, from here, soon after the deadline. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load/hold.h"
#include "load/load.h"
#include "load/report.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define LATE_MS 2000 /* after the deadline: then nobody else has thawed it */

struct freeze_args {
	const char *path;
	uint64_t device;
};

static const struct load_option options[] = {
	{"path", "PATH", "the mount point", LOAD_OPTION_TEXT, offsetof(struct freeze_args, path)},
	{"device", "DEV", "st_dev of that file system: any other is left alone", LOAD_OPTION_UINT,
	 offsetof(struct freeze_args, device), 0, 1e18},
	{0},
};

/* Standing in it keeps it from being unmounted, and shows the way to it. */
static int open_it(const struct freeze_args *a)
{
	_cleanup_close_ int fd = open(a->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != a->device)
		return -ESTALE;
	return fchdir(fd) < 0 ? -errno : steal_fd(&fd);
}

/* Blocked, SIGCONT is kept for sigtimedwait() although it would be ignored. False at the deadline.
 */
static bool wait_for_sign(const struct hold *hold)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCONT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	for (;;) {
		uint64_t now = boot_ns();
		uint64_t left = hold->deadline_boot_ns > now ? hold->deadline_boot_ns - now : 0;
		const struct timespec ts = {.tv_sec = (time_t)(left / NSEC_PER_SEC),
					    .tv_nsec = (long)(left % NSEC_PER_SEC)};

		if (left == 0)
			return false;
		if (sigtimedwait(&set, NULL, &ts) == SIGCONT)
			return true;
	}
}

static const char *reason(int error)
{
	switch (error) {
	case EBUSY:
		return "it is frozen already, by someone else";
	case EOPNOTSUPP:
		return "this type of file system cannot be frozen";
	case EPERM:
		return "the privilege is missing (CAP_SYS_ADMIN)";
	case ESTALE:
		return "another file system has been mounted there";
	default:
		return strerror(error);
	}
}

static int freeze_run(const struct hold *hold, const void *args)
{
	const struct freeze_args *a = args;
	struct hold late = *hold;
	_cleanup_close_ int fd = open_it(a);

	if (fd < 0)
		return report_failure("cannot freeze %s: %s", a->path, reason(-fd));
	if (!wait_for_sign(hold))
		return EXIT_SUCCESS;
	if (ioctl(fd, FIFREEZE, 0) < 0)
		return report_failure("cannot freeze %s: %s", a->path, reason(errno));
	report_ready();
	late.deadline_boot_ns += LATE_MS * NSEC_PER_MSEC;
	while (hold_sleep(&late, UINT64_MAX))
		;
	return ioctl(fd, FITHAW, 0) == 0 || errno == EINVAL ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct load_kind load_freeze = {
	.name = "freeze",
	.summary = "freeze a file system at SIGCONT, thaw it after the deadline",
	.options = options,
	.args_size = sizeof(struct freeze_args),
	.run = freeze_run,
};
