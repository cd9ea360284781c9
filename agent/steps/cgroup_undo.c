/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the cgroup is killed, then it is removed. All its processes are workers of ours: it is
 * faultd's own, and a load forks nothing that leaves it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "steps/attr.h"
#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/proc.h"

#define ALONE_WAIT_MS 1000

static int file_path(const struct step_cgroup *c, const char *file, char *ret, size_t size)
{
	return snprintf(ret, size, "%s/%s", c->path, file) >= (int)size ? -ENAMETOOLONG : 0;
}

/* cgroup.kill is of v2 and Linux 5.14. Returns -ENOENT where there is none. */
static int kill_at_once(const struct step_cgroup *c)
{
	char path[sizeof(c->path) + 16];
	_cleanup_close_ int fd = -1;
	int r = file_path(c, "cgroup.kill", path, sizeof(path));

	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, "1", 1) < 0 ? -errno : 0;
}

/* Reads the beginning of cgroup.procs, as much as there is room for: the rest has its turn when
 * these are gone. */
static int read_members(const struct step_cgroup *c, char *ret, size_t size)
{
	char path[sizeof(c->path) + 16];
	_cleanup_close_ int fd = -1;
	ssize_t n;
	char *end;
	int r = file_path(c, "cgroup.procs", path, sizeof(path));

	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, ret, size - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	end = strrchr(ret, '\n'); /* a number may be cut */
	if (end)
		end[1] = '\0';
	return 0;
}

static bool is_member(const char *members, uint64_t pid)
{
	for (const char *line = members; *line; line += strspn(line, "\n")) {
		char *end;

		if (strtoull(line, &end, 10) == pid)
			return true;
		line = end + strcspn(end, "\n");
	}
	return false;
}

/* The pidfd pins the process; if the pid is still listed then, it is a member. */
static void kill_member(const struct step_cgroup *c, uint64_t pid)
{
	char members[4096] = "";
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);

	if (fd >= 0 && read_members(c, members, sizeof(members)) == 0 && is_member(members, pid))
		(void)proc_signal(fd, SIGKILL); /* what is left shows at rmdir() */
}

static int kill_each(const struct step_cgroup *c)
{
	char members[4096] = "";
	int r = read_members(c, members, sizeof(members));

	if (r < 0)
		return r;
	for (char *line = members; *line; line += strspn(line, "\n")) {
		char *end;
		uint64_t pid = strtoull(line, &end, 10);

		if (pid > 0) /* 0: of another pid namespace */
			kill_member(c, pid);
		line = end + strcspn(end, "\n");
	}
	return 0;
}

static int try_remove(const struct step_cgroup *c)
{
	int r;

	if (rmdir(c->path) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY)
		return -errno;
	r = kill_at_once(c);
	if (r == -ENOENT)
		r = kill_each(c);
	if (r < 0 && r != -ENOENT && r != -ENODEV)
		return r;
	if (rmdir(c->path) == 0 || errno == ENOENT)
		return 0;
	return errno == EBUSY ? -EINPROGRESS : -errno;
}

int cgroup_remove(const struct step *s, int wait_ms)
{
	const struct timespec pause = {.tv_nsec = 2 * NSEC_PER_MSEC};
	uint64_t until = boot_ns() + (uint64_t)wait_ms * NSEC_PER_MSEC;
	int r;

	if (!s->cgroup.made)
		return 0;
	while ((r = try_remove(&s->cgroup)) == -EINPROGRESS && boot_ns() < until)
		(void)nanosleep(&pause, NULL);
	return r;
}

int cgroup_undo_alone(struct step *s, struct text *note)
{
	return cgroup_remove(s, ALONE_WAIT_MS);
}
