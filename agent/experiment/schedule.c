/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/schedule.h"

#include <stdint.h>

static const char *const names[_RUN_STATUS_MAX] = {
	[RUN_PENDING] = "pending",     [RUN_INITIATING] = "initiating", [RUN_RUNNING] = "running",
	[RUN_COMPLETED] = "completed", [RUN_STOPPING] = "stopping",     [RUN_STOPPED] = "stopped",
	[RUN_FAILED] = "failed",       [RUN_CANCELLED] = "cancelled",   [RUN_SKIPPED] = "skipped",
};

const char *run_status_name(enum run_status s)
{
	return names[s];
}

bool run_status_is_over(enum run_status s)
{
	return s == RUN_COMPLETED || s == RUN_STOPPED || s == RUN_FAILED || s == RUN_CANCELLED ||
	       s == RUN_SKIPPED;
}

static bool is_under_way(enum run_status s)
{
	return s == RUN_INITIATING || s == RUN_RUNNING || s == RUN_STOPPING;
}

static bool may_start(const struct schedule_action *actions, const struct schedule_action *a)
{
	if (a->status != RUN_PENDING)
		return false;
	for (size_t i = 0; i < a->n_after; i++) {
		enum run_status s = actions[a->after[i]].status;

		if (s != RUN_COMPLETED && s != RUN_SKIPPED)
			return false;
	}
	return true;
}

size_t schedule_ready(const struct schedule_action *actions, size_t n, size_t parallel, size_t *ret,
		      size_t room)
{
	size_t under_way = 0, found = 0;

	for (size_t i = 0; i < n; i++)
		under_way += is_under_way(actions[i].status);
	for (size_t i = 0; i < n && found < room && under_way + found < parallel; i++) {
		if (may_start(actions, &actions[i]))
			ret[found++] = i;
	}
	return found;
}

/* Takes away what nothing that is left has to wait for, until nothing changes: what then remains is
 * in a cycle or behind one. */
int schedule_find_cycle(const struct schedule_action *actions, size_t n)
{
	uint64_t left = n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
	bool changed = true;
	size_t at = 0;

	while (changed) {
		changed = false;
		for (size_t i = 0; i < n; i++) {
			bool waits = false;

			for (size_t j = 0; j < actions[i].n_after; j++)
				waits |= left >> actions[i].after[j] & 1;
			if ((left >> i & 1) && !waits) {
				left &= ~(UINT64_C(1) << i);
				changed = true;
			}
		}
	}
	if (!left)
		return -1;
	while (!(left >> at & 1))
		at++;
	/* From behind a cycle one comes into it by going back as often as there are actions. */
	for (size_t step = 0; step < n; step++) {
		for (size_t j = 0; j < actions[at].n_after; j++) {
			if (left >> actions[at].after[j] & 1) {
				at = actions[at].after[j];
				break;
			}
		}
	}
	return (int)at;
}

bool schedule_is_over(const struct schedule_action *actions, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!run_status_is_over(actions[i].status))
			return false;
	}
	return true;
}
