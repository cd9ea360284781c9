/* SPDX-License-Identifier: Apache-2.0 */
/* One process, named so that it cannot be mistaken: pid and start time; acted on by pidfd only. */
#ifndef FAULTD_UTIL_PROC_H
#define FAULTD_UTIL_PROC_H

#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>

/* What /proc/PID/stat says. `start` is in clock ticks since boot, which with the pid identifies a
 * process for as long as the machine is up (proc_pid_stat(5), field 22). */
struct proc_stat {
	pid_t pid;
	pid_t ppid;
	pid_t pgrp;
	char state;    /* R S D T t Z X I … */
	char name[16]; /* comm, at most 15 characters */
	unsigned long flags;
	uint64_t start;
	uint64_t cpu_ticks; /* user and system */
};

/* Reads it without allocating. Returns 0, -ESRCH when there is no such process, or another errno.
 */
int proc_stat_read(pid_t pid, struct proc_stat *ret);

/* Parses the text of /proc/PID/stat. Returns 0 or -EBADMSG. */
int proc_stat_parse(const char *line, struct proc_stat *ret);

/* Opens a pidfd and makes sure it is the process that started at `start`.
 * Returns the descriptor (caller closes), -ESRCH when that process is gone, or another errno. */
int proc_open(pid_t pid, uint64_t start);

/* Signals through a pidfd. Returns 0 or a negative errno (-ESRCH: gone). */
int proc_signal(int pidfd, int signal);

/* Waits until the process behind `pidfd` has exited. Returns 1 when it has, 0 after `timeout_ms`,
 * or a negative errno. */
int proc_wait_exit(int pidfd, int timeout_ms);

/* PF_KTHREAD of include/linux/sched.h, seen in field 9 of /proc/PID/stat. */
#define PROC_KTHREAD 0x00200000UL

/* "SIGTERM", "TERM" or "15" -> 15. Returns 0 or -EINVAL. */
int signal_from_name(const char *name, int *ret);

/* 15 -> "SIGTERM"; never NULL. */
const char *signal_name(int signal);

#endif
