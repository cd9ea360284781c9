/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroup is entered first: in a container's mount namespace the hierarchies may look otherwise.
 * On cgroup v1 a path may exist in some hierarchies only, so it is entered wherever it is. */
#include "load/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/proc.h"
#include "util/str.h"

static int write_self(const char *path)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, "0", 1) < 0 ? -errno : 0;
}

/* Returns 1 when entered, 0 when the hierarchy does not have it, or a negative errno. */
static int enter_hierarchy(const char *mount, const char *cgroup)
{
	char path[1024];
	int r;

	if (snprintf(path, sizeof(path), "%s/%s/cgroup.procs", mount,
		     cgroup + strspn(cgroup, "/")) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	r = write_self(path);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int enter_cgroup(const char *cgroup)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	bool entered = false;
	int r = 0;

	if (!mounts)
		return -errno;
	for (const struct mntent *m = getmntent(mounts); m && r >= 0; m = getmntent(mounts)) {
		if (!str_eq(m->mnt_type, "cgroup") && !str_eq(m->mnt_type, "cgroup2"))
			continue;
		r = enter_hierarchy(m->mnt_dir, cgroup);
		entered |= r > 0;
	}
	(void)endmntent(mounts);
	return r < 0 ? r : entered ? 0 : -ENOENT;
}

/* A pidfd stands for all namespaces of a process at once (setns(2), Linux 5.8). */
static int enter_namespaces(const char *process)
{
	_cleanup_close_ int pidfd = -1;
	char pid_text[16];
	const char *colon = strchr(process, ':');
	uint64_t pid, start;

	if (!colon || (size_t)(colon - process) >= sizeof(pid_text))
		return -EINVAL;
	memcpy(pid_text, process, (size_t)(colon - process));
	pid_text[colon - process] = '\0';
	if (str_to_u64(pid_text, &pid) < 0 || str_to_u64(colon + 1, &start) < 0)
		return -EINVAL;
	pidfd = proc_open((pid_t)pid, start);
	if (pidfd < 0)
		return pidfd;
	return setns(pidfd, CLONE_NEWNS | CLONE_NEWNET) < 0 ? -errno : 0;
}

int place_enter(const struct place *place, const char **ret_what)
{
	int r;

	if (place->cgroup) {
		*ret_what = "enter the cgroup";
		r = enter_cgroup(place->cgroup);
		if (r < 0)
			return r;
	}
	if (place->process) {
		*ret_what = "enter the namespaces of the process";
		r = enter_namespaces(place->process);
		if (r < 0)
			return r;
	}
	return 0;
}
