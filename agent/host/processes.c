/* SPDX-License-Identifier: Apache-2.0 */
#include "host/processes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/proc.h"
#include "util/str.h"

#define ABOVE_MAX 64 /* how deep the caller may be */

/* Opening, reading and closing a file of /proc costs microseconds, and there may be ten thousand
 * processes: so the cheapest criterion is asked first, and the rest is read only of those that
 * pass. */
struct scan {
	const struct process_filter *filter;
	int proc; /* "/proc" */
	pid_t above[ABOVE_MAX];
	size_t n_above;
	bool fitted; /* the name did, of the last one: then the next may be its sibling */
	struct process_list list;
	size_t room;
};

/* Returns the length, 0 when there is nothing or nobody any more. */
static size_t read_file(int proc, pid_t pid, const char *file, char *buffer, size_t size)
{
	char path[48];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%d/%s", (int)pid, file);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buffer, size - 1);
	if (n < 0)
		n = 0;
	buffer[n] = '\0';
	return (size_t)n;
}

static bool read_owner(int proc, pid_t pid, uid_t *ret)
{
	struct stat st;
	char path[16];

	(void)snprintf(path, sizeof(path), "%d", (int)pid);
	if (fstatat(proc, path, &st, 0) < 0)
		return false;
	*ret = st.st_uid;
	return true;
}

static bool has_name(int proc, pid_t pid, const char *name)
{
	char comm[24];
	size_t n = read_file(proc, pid, "comm", comm, sizeof(comm));

	if (n > 0 && comm[n - 1] == '\n')
		comm[n - 1] = '\0';
	return n > 0 && str_eq(comm, name);
}

static void read_command(int proc, pid_t pid, char *buffer, size_t size)
{
	size_t n = read_file(proc, pid, "cmdline", buffer, size);

	while (n > 0 && buffer[n - 1] == '\0')
		n--;
	for (size_t i = 0; i < n; i++) {
		if (buffer[i] == '\0')
			buffer[i] = ' ';
	}
}

/* All but owner and command line. Returns false when it is gone meanwhile. */
static bool read_stat(int proc, pid_t pid, struct process *ret)
{
	struct proc_stat st;
	char line[1024];

	if (read_file(proc, pid, "stat", line, sizeof(line)) == 0 || proc_stat_parse(line, &st) < 0)
		return false;
	ret->pid = pid;
	ret->ppid = st.ppid;
	ret->start = st.start;
	ret->state = st.state;
	ret->kernel_thread = st.flags & PROC_KTHREAD;
	str_copy(ret->name, sizeof(ret->name), st.name);
	return true;
}

static bool is_above(const struct scan *s, pid_t pid)
{
	for (size_t i = 0; i < s->n_above; i++) {
		if (s->above[i] == pid)
			return true;
	}
	return false;
}

/* The name may change between the look at it and the look at all: what is in `ret` counts. After
 * one whose name fitted it is taken from there at once, as that is cheaper than both. */
static bool read_process(struct scan *s, pid_t pid, struct process *ret)
{
	const struct process_filter *f = s->filter;
	bool any = is_above(s, pid);
	bool named = !any && f->name && f->name[0];

	/* not all of the command line: it is most of the struct, and often not asked for */
	memset(ret, 0, offsetof(struct process, command) + 1);
	if (f->user && !any && (!read_owner(s->proc, pid, &ret->uid) || ret->uid != *f->user))
		return false;
	if (named && !s->fitted && !has_name(s->proc, pid, f->name))
		return false;
	if (f->commands || f->command_fits)
		read_command(s->proc, pid, ret->command, sizeof(ret->command));
	if (f->command_fits && !any && (!ret->command[0] || !f->command_fits(ret->command, f->arg)))
		return false;
	if (!read_stat(s->proc, pid, ret))
		return false;
	if (named) {
		s->fitted = str_eq(ret->name, f->name);
		if (!s->fitted)
			return false;
	}
	return (f->user && !any) || read_owner(s->proc, pid, &ret->uid);
}

static int add_process(struct scan *s, pid_t pid)
{
	struct process_list *list = &s->list;

	if (list->n == s->room) {
		size_t more = s->room ? s->room * 2 : 64;
		struct process *p = reallocarray(list->process, more, sizeof(*p));

		if (!p)
			return -ENOMEM;
		list->process = p;
		s->room = more;
	}
	if (read_process(s, pid, &list->process[list->n]))
		list->n++;
	return 0;
}

static void find_above(struct scan *s)
{
	struct process p = {.ppid = s->filter->and_above};

	while (p.ppid > 0 && s->n_above < ARRAY_SIZE(s->above) && read_stat(s->proc, p.ppid, &p))
		s->above[s->n_above++] = p.pid;
}

static int by_number(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

/* Threads too have a directory in /proc, which is not listed, but no pidfd. */
static bool is_process(pid_t pid)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd >= 0;
}

static int scan_pids(struct scan *s)
{
	size_t n = s->filter->n_pids;
	_cleanup_free_
	pid_t *pid = calloc(n + s->n_above + 1, sizeof(*pid));
	int r = pid ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	if (n > 0)
		memcpy(pid, s->filter->pid, n * sizeof(*pid));
	memcpy(pid + n, s->above, s->n_above * sizeof(*pid));
	n += s->n_above;
	qsort(pid, n, sizeof(*pid), by_number);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (pid[i] > 0 && (i == 0 || pid[i] != pid[i - 1]) && is_process(pid[i]))
			r = add_process(s, pid[i]);
	}
	return r;
}

static int scan_all(struct scan *s, DIR *dir)
{
	int r = 0;

	for (struct dirent *d = readdir(dir); d && r == 0; d = readdir(dir)) {
		if (isdigit((unsigned char)d->d_name[0]))
			r = add_process(s, (pid_t)atoi(d->d_name));
	}
	return r;
}

static int by_pid(const void *a, const void *b)
{
	return by_number(&((const struct process *)a)->pid, &((const struct process *)b)->pid);
}

static bool is_sorted(const struct process_list *list)
{
	for (size_t i = 1; i < list->n; i++) {
		if (list->process[i].pid <= list->process[i - 1].pid)
			return false;
	}
	return true;
}

int process_list_read_some(const struct process_filter *filter, struct process_list *ret)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc");
	struct scan s = {.filter = filter};
	int r;

	if (!dir)
		return -errno;
	s.proc = dirfd(dir);
	find_above(&s);
	r = filter->pid ? scan_pids(&s) : scan_all(&s, dir);
	if (r < 0) {
		process_list_done(&s.list);
		return r;
	}
	s.list.sorted = is_sorted(&s.list);
	*ret = s.list;
	return 0;
}

int process_list_read(bool commands, struct process_list *ret)
{
	const struct process_filter everything = {.commands = commands};

	return process_list_read_some(&everything, ret);
}

void process_list_done(struct process_list *list)
{
	free(list->process);
	*list = (struct process_list){0};
}

const struct process *process_list_find(const struct process_list *list, pid_t pid)
{
	const struct process wanted = {.pid = pid};

	if (list->sorted && list->n > 0)
		return bsearch(&wanted, list->process, list->n, sizeof(wanted), by_pid);
	for (size_t i = 0; i < list->n; i++) {
		if (list->process[i].pid == pid)
			return &list->process[i];
	}
	return NULL;
}

bool process_is_contained(pid_t pid)
{
	char path[40];
	struct stat own, its;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	return stat(path, &its) == 0 && stat("/proc/self/ns/pid", &own) == 0 &&
	       (its.st_ino != own.st_ino || its.st_dev != own.st_dev);
}

int user_lookup(const char *name, uid_t *ret)
{
	_cleanup_fclose_ FILE *f = NULL;
	uint64_t number;

	if (str_to_u64(name, &number) == 0 && number < UINT32_MAX) {
		*ret = (uid_t)number;
		return 0;
	}
	f = fopen("/etc/passwd", "re");
	for (struct passwd *p = f ? fgetpwent(f) : NULL; p; p = fgetpwent(f)) {
		if (str_eq(p->pw_name, name)) {
			*ret = p->pw_uid;
			return 0;
		}
	}
	return -ENOENT;
}
