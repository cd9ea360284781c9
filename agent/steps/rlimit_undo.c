/* SPDX-License-Identifier: Apache-2.0 */
/* Raising a limit again that we have lowered, if it still has a value of ours. A limit is
 * inherited: what descends from the process and started meanwhile has it too. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>

#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/proc.h"

#define GENERATIONS_MAX 64

static bool is_ours(const struct step_rlimit *l, uint64_t value)
{
	return value == l->want || value == l->want_before;
}

/* A hard limit that was lowered meanwhile is somebody's will. */
static int raise_limit(const struct step_rlimit *l, pid_t pid, struct rlimit now)
{
	now.rlim_cur = l->was < now.rlim_max ? l->was : now.rlim_max;
	return prlimit(pid, (__rlimit_resource_t)l->resource, &now, NULL) < 0 ? -errno : 0;
}

/* `ret_found`: the value it had. */
static int put_back(const struct step_rlimit *l, pid_t pid, uint64_t *ret_found)
{
	struct rlimit now;

	if (prlimit(pid, (__rlimit_resource_t)l->resource, NULL, &now) < 0)
		return -errno;
	*ret_found = now.rlim_cur;
	return now.rlim_cur != l->was && is_ours(l, now.rlim_cur) ? raise_limit(l, pid, now) : 0;
}

static bool descends(const struct step_rlimit *l, pid_t pid)
{
	struct proc_stat st;

	if (proc_stat_read(pid, &st) < 0 || st.start < l->since)
		return false;
	for (int i = 0; i < GENERATIONS_MAX && st.ppid > 1; i++) {
		if ((uint64_t)st.ppid == l->pid)
			return true;
		if (proc_stat_read(st.ppid, &st) < 0)
			return false;
	}
	return false;
}

/* Which value of a ramp it inherited depends on when it started. */
static bool is_inherited(const struct step_rlimit *l, uint64_t value)
{
	return value != l->was && value >= l->lowest && value <= l->highest;
}

/* One that has ended meanwhile, or has become another user's, is nothing to fail for. */
static void put_back_heir(const struct step_rlimit *l, const char *name)
{
	struct rlimit now;
	uint64_t pid;

	if (str_to_u64(name, &pid) < 0 || pid == l->pid ||
	    prlimit((pid_t)pid, (__rlimit_resource_t)l->resource, NULL, &now) < 0)
		return;
	if (is_inherited(l, now.rlim_cur) && descends(l, (pid_t)pid))
		(void)raise_limit(l, (pid_t)pid, now);
}

/* Without readdir(3), which allocates. */
static int put_back_heirs(const struct step_rlimit *l)
{
	_cleanup_close_ int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct dirent64) char buffer[4096];
	ssize_t n = fd < 0 ? -1 : getdents64(fd, buffer, sizeof(buffer));

	for (; n > 0; n = getdents64(fd, buffer, sizeof(buffer))) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *d = (const void *)(buffer + at);

			put_back_heir(l, d->d_name);
			at += d->d_reclen;
		}
	}
	return n < 0 ? -errno : 0;
}

int rlimit_undo_alone(struct step *s, struct text *note)
{
	const struct step_rlimit *l = &s->rlimit;
	_cleanup_close_ int pidfd = proc_open((pid_t)l->pid, l->start);
	uint64_t found = l->was;
	int r = pidfd < 0 ? pidfd : put_back(l, (pid_t)l->pid, &found);

	if (r < 0)
		return r == -ESRCH ? 0 : r;
	if (found != l->was && !is_ours(l, found))
		text_add(note,
			 "the limit of process %" PRIu64 " (%s) was changed by someone else to "
			 "%" PRIu64 " and left so",
			 l->pid, l->name, found);
	return put_back_heirs(l);
}
