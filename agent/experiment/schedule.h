/* SPDX-License-Identifier: Apache-2.0 */
/* The states of experiments and actions, and which action may start when. Pure. */
#ifndef FAULTD_EXPERIMENT_SCHEDULE_H
#define FAULTD_EXPERIMENT_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

/* As FIS names them; RUN_SKIPPED is an action's only. */
enum run_status {
	RUN_PENDING,
	RUN_INITIATING,
	RUN_RUNNING,
	RUN_COMPLETED,
	RUN_STOPPING,
	RUN_STOPPED,
	RUN_FAILED,
	RUN_CANCELLED,
	RUN_SKIPPED,
	_RUN_STATUS_MAX,
};

const char *run_status_name(enum run_status s);
bool run_status_is_over(enum run_status s);

/* One action, to the schedule. */
struct schedule_action {
	enum run_status status;
	const size_t *after;
	size_t n_after;
};

/* Which actions may start now: pending, all they start after completed or skipped, and at most
 * `parallel` under way. Fills indices, in their order, returns how many of `room`. */
size_t schedule_ready(const struct schedule_action *actions, size_t n, size_t parallel, size_t *ret,
		      size_t room);

/* Is there a cycle? Returns the index of an action in it, or -1. `n` at most 64. */
int schedule_find_cycle(const struct schedule_action *actions, size_t n);

/* Are all of them over? */
bool schedule_is_over(const struct schedule_action *actions, size_t n);

#endif
