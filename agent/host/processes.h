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
	bool aimed;     /* in a cgroup that the fault is aimed at; not known to the scan */
	bool contained; /* in another PID namespace than ours; asked for with process_is_contained()
			 */
	char name[16];
	char command[512]; /* arguments separated by blanks, shortened; "" when not asked for */
};

struct process_list {
	struct process *process;
	size_t n;
	bool sorted; /* by pid: process_list_find() need not look at each */
};

/* Scans /proc; command lines are read only when `commands`. Processes that vanish meanwhile are
 * left out, zombies are kept. Returns 0 or a negative errno; release with process_list_done(). */
int process_list_read(bool commands, struct process_list *ret);
void process_list_done(struct process_list *list);

/* Which processes: all criteria that are given must hold. */
struct process_filter {
	const pid_t *pid; /* only these, in any order; NULL: all there are */
	size_t n_pids;
	const uid_t *user; /* NULL: any */
	const char *name;  /* exactly this; NULL or "": any */
	/* Does the command line fit? It is never asked about an empty one, which does not. NULL:
	 * any. */
	bool (*command_fits)(const char *command, void *arg);
	void *arg;
	bool commands; /* fill `command` (command_fits alone fills it as well) */
	/* This one and all it descends from are in the list whatever the criteria say; 0: none */
	pid_t and_above;
};

/* As process_list_read(), but only for what passes the filter: of others no more is read than it
 * takes to know that, and with `pid` they are not even looked at. What is in the list is complete,
 * but for `command` when nobody asked. Not in the list are descendants of what passes. */
int process_list_read_some(const struct process_filter *filter, struct process_list *ret);

const struct process *process_list_find(const struct process_list *list, pid_t pid);

/* Does it run in a PID namespace of its own, as in a container? False when that cannot be told. */
bool process_is_contained(pid_t pid);

/* A user name (from /etc/passwd only: a directory service could block the loop) or number.
 * Returns 0 or -ENOENT. */
int user_lookup(const char *name, uid_t *ret);

#endif
