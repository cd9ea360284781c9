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
#include <unistd.h>

#include "util/cleanup.h"
#include "util/proc.h"
#include "util/str.h"

static void read_command(pid_t pid, char *buffer, size_t size)
{
	char path[64];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	buffer[0] = '\0';
	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, buffer, size - 1);
	if (n <= 0)
		return;
	buffer[n] = '\0';
	while (n > 0 && buffer[n - 1] == '\0')
		n--;
	for (ssize_t i = 0; i < n; i++) {
		if (buffer[i] == '\0')
			buffer[i] = ' ';
	}
}

/* Returns 0, or -ESRCH when it is gone meanwhile. */
static int read_process(pid_t pid, bool commands, struct process *ret)
{
	struct proc_stat st;
	struct stat owner;
	char path[32];
	int r;

	r = proc_stat_read(pid, &st);
	if (r < 0)
		return -ESRCH;
	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &owner) < 0)
		return -ESRCH;
	*ret = (struct process){
		.pid = pid,
		.ppid = st.ppid,
		.uid = owner.st_uid,
		.start = st.start,
		.state = st.state,
		.kernel_thread = st.flags & PROC_KTHREAD,
	};
	str_copy(ret->name, sizeof(ret->name), st.name);
	if (commands)
		read_command(pid, ret->command, sizeof(ret->command));
	return 0;
}

static int grow(struct process_list *list, size_t *room)
{
	size_t more = *room ? *room * 2 : 256;
	struct process *p;

	if (list->n < *room)
		return 0;
	p = reallocarray(list->process, more, sizeof(*p));
	if (!p)
		return -ENOMEM;
	list->process = p;
	*room = more;
	return 0;
}

int process_list_read(bool commands, struct process_list *ret)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc");
	struct process_list list = {0};
	size_t room = 0;

	if (!dir)
		return -errno;
	for (struct dirent *d = readdir(dir); d; d = readdir(dir)) {
		int r;

		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		r = grow(&list, &room);
		if (r < 0) {
			process_list_done(&list);
			return r;
		}
		if (read_process((pid_t)atoi(d->d_name), commands, &list.process[list.n]) == 0)
			list.n++;
	}
	*ret = list;
	return 0;
}

void process_list_done(struct process_list *list)
{
	free(list->process);
	*list = (struct process_list){0};
}

const struct process *process_list_find(const struct process_list *list, pid_t pid)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->process[i].pid == pid)
			return &list->process[i];
	}
	return NULL;
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
