/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a faultd-load worker, seen from outside. */
#ifndef FAULTD_STEPS_WORKER_H
#define FAULTD_STEPS_WORKER_H

#include "faultd/load-report.h"
#include "steps/step_run.h"

/* faultd-load as a child of ours: spawned with its ties, its ready pipe and (`report` not NULL) its
 * report page. Returns 0, or a negative errno and the error. */
int worker_start(const char *load, const struct step_env *env, uint64_t *ret_pid,
		 uint64_t *ret_start, int *ret_ready_fd, struct load_report **report,
		 struct error *e);
/* Has it said that it is ready? Returns 0, -EAGAIN, or another errno and the error, with the reason
 * it gave. `ready_fd` is one more than the descriptor, and 0 afterwards. */
int worker_settle(int *ready_fd, const char *load, struct error *e);
/* Kills it and waits, at most so long. Returns 0 (gone: `pid` is 0 from then on), -EINPROGRESS, or
 * another errno. Without allocation; also for one whose faultd is dead. */
int worker_kill(uint64_t *pid, uint64_t start, int wait_ms);

#endif
