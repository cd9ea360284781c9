/* SPDX-License-Identifier: Apache-2.0 */
#include "util/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/str.h"

int proc_stat_parse(const char *line, struct proc_stat *ret)
{
	/* The name may itself hold blanks and parentheses: it ends at the last ')'. */
	const char *open = strchr(line, '('), *close = strrchr(line, ')');
	unsigned long long utime, stime, start;
	size_t n;
	int pid, ppid, pgrp;

	if (!open || !close || close < open || sscanf(line, "%d", &pid) != 1)
		return -EBADMSG;
	if (sscanf(close + 1,
		   " %c %d %d %*d %*d %*d %lu %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu",
		   &ret->state, &ppid, &pgrp, &ret->flags, &utime, &stime, &start) != 7)
		return -EBADMSG;
	n = (size_t)(close - open - 1);
	if (n >= sizeof(ret->name))
		n = sizeof(ret->name) - 1;
	memcpy(ret->name, open + 1, n);
	ret->name[n] = '\0';
	ret->pid = pid;
	ret->ppid = ppid;
	ret->pgrp = pgrp;
	ret->start = start;
	ret->cpu_ticks = utime + stime;
	return 0;
}

int proc_stat_read(pid_t pid, struct proc_stat *ret)
{
	char path[64], line[1024];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, line, sizeof(line) - 1);
	if (n < 0)
		return -errno;
	line[n] = '\0';
	return proc_stat_parse(line, ret);
}

int proc_open(pid_t pid, uint64_t start)
{
	_cleanup_close_ int fd = -1;
	struct proc_stat st = {0};
	int r;

	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	/* The pidfd pins the process; if the start time fits now, it is the one. */
	r = proc_stat_read(pid, &st);
	if (r < 0)
		return r;
	if (st.start != start)
		return -ESRCH;
	return steal_fd(&fd);
}

int proc_signal(int pidfd, int signal)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int proc_wait_exit(int pidfd, int timeout_ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int r;

	do
		r = poll(&p, 1, timeout_ms);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

int signal_from_name(const char *name, int *ret)
{
	uint64_t number;

	if (str_to_u64(name, &number) == 0) {
		if (number < 1 || number > 64)
			return -EINVAL;
		*ret = (int)number;
		return 0;
	}
	if (str_starts(name, "SIG"))
		name += 3;
	for (int i = 1; i < NSIG; i++) {
		const char *abbrev = sigabbrev_np(i);

		if (abbrev && str_eq(abbrev, name)) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *signal_name(int signal)
{
	static char buffer[16];
	const char *abbrev = sigabbrev_np(signal);

	if (abbrev)
		(void)snprintf(buffer, sizeof(buffer), "SIG%s", abbrev);
	else
		(void)snprintf(buffer, sizeof(buffer), "signal %d", signal);
	return buffer;
}
