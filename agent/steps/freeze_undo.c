/* SPDX-License-Identifier: Apache-2.0 */
/* Thawing. The worker goes first: one that is still inside FIFREEZE would freeze after our thaw.
 *
 * FITHAW is asked for once: since 6.8 the kernel counts who holds a file system frozen, and a
 * snapshot (LVM, device mapper) taken meanwhile counts as user space does, so that a second FITHAW
 * would take that one's away. What it says: 0: thawed (6.6 and 6.7: also while others still hold
 * it); EINVAL: not frozen, or (since 6.8) ours is taken back and others still hold it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/proc.h"

#define ALONE_WAIT_MS 1000

static int open_if_device(const char *path, uint64_t device)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return st.st_dev == device ? steal_fd(&fd) : -ENOENT;
}

/* The worker stands in the frozen directory: that leads there also when it has been unmounted
 * lazily or something is mounted over it. */
static int open_by_worker(const struct step_freeze *f)
{
	char path[48];
	_cleanup_close_ int pidfd = proc_open((pid_t)f->pid, f->start);

	if (pidfd < 0)
		return pidfd;
	(void)snprintf(path, sizeof(path), "/proc/%" PRIu64 "/cwd", f->pid);
	return open_if_device(path, f->device);
}

/* Returns a descriptor or -1. */
static int open_frozen(const struct step_freeze *f)
{
	int fd = open_if_device(f->path, f->device);

	if (fd < 0)
		fd = open_by_worker(f);
	return fd < 0 ? -1 : fd;
}

static int thaw(const struct step_freeze *f, struct text *note)
{
	if (f->device == 0)
		return 0; /* the worker said why it did not freeze it */
	if (f->frozen_fd == 0) {
		text_add(note, "%s is another file system now, or gone: nothing thawed", f->path);
		return 0;
	}
	if (ioctl(f->frozen_fd - 1, FITHAW, 0) == 0 || errno == EINVAL)
		return 0;
	return -errno;
}

static void close_frozen(struct step_freeze *f)
{
	if (f->frozen_fd)
		(void)close(f->frozen_fd - 1);
	f->frozen_fd = 0;
}

int freeze_thaw(struct step *s, int wait_ms, struct text *note)
{
	struct step_freeze *f = &s->freeze;
	uint64_t pid = f->pid; /* kept for the next try */
	int r;

	if (pid == 0)
		return 0; /* the worker was never told to freeze, and has died with faultd */
	if (f->frozen_fd == 0)
		f->frozen_fd = open_frozen(f) + 1; /* while the worker still shows the way */
	r = worker_kill(&pid, f->start, wait_ms);
	if (r < 0)
		return r;
	r = thaw(f, note);
	close_frozen(f);
	return r;
}

int freeze_undo_alone(struct step *s, struct text *note)
{
	int r = freeze_thaw(s, ALONE_WAIT_MS, note);

	close_frozen(&s->freeze); /* what is not done is asked for with another step */
	return r;
}
