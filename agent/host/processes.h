/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of this host, as one scan of /proc saw them. */
#ifndef FAULTD_HOST_PROCESSES_H
#define FAULTD_HOST_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;
	pid_t ppid;
	uid_t uid;
	uint64_t start; /* clock ticks since boot */
	char state;     /* R S D T t Z X I */
	bool kernel_thread;
	bool aimed; /* in a cgroup that the fault is aimed at; not known to the scan */
	char name[16];
	char command[512]; /* arguments separated by blanks, shortened; "" when not asked for */
};

struct process_list {
	struct process *process;
	size_t n;
};

/* Scans /proc; command lines are read only when `commands`. Processes that vanish meanwhile are
 * left out, zombies are kept. Returns 0 or a negative errno; release with process_list_done(). */
int process_list_read(bool commands, struct process_list *ret);
void process_list_done(struct process_list *list);

const struct process *process_list_find(const struct process_list *list, pid_t pid);

/* A user name (from /etc/passwd only: a directory service could block the loop) or number.
 * Returns 0 or -ENOENT. */
int user_lookup(const char *name, uid_t *ret);

#endif
