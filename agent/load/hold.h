/* SPDX-License-Identifier: Apache-2.0 */
/* What ties a worker down: it dies with its parent, ends at its own deadline, and is the first to
 * go when memory runs out. None of it needs anyone else to be alive. */
#ifndef FAULTD_LOAD_HOLD_H
#define FAULTD_LOAD_HOLD_H

#include <stdbool.h>
#include <stdint.h>

struct hold {
	uint64_t parent;           /* process id */
	uint64_t deadline_boot_ns; /* CLOCK_BOOTTIME */
	uint64_t start_boot_ns;    /* when the fault began: what ramps and waves count from */
};

#define HOLD_ORPHAN 1

/* Ties the calling process, which must have one thread; the kernel kills it when the *thread* that
 * started it ends. Also undoes what was inherited: scheduling, signals, files above stderr.
 * Returns 0, HOLD_ORPHAN if the parent is gone already (end, quietly), or a negative errno with
 * `ret_what` naming what could not be done. */
int hold_tie(const struct hold *hold, const char **ret_what) __attribute__((warn_unused_result));

/* Sleeps until that time or the deadline. False when the deadline has come. */
bool hold_sleep(const struct hold *hold, uint64_t until_boot_ns);

/* What a ramp or wave asks for now; `next_boot_ns`: when it changes, UINT64_MAX for never. */
struct grade;
struct grade_point;
void hold_grade(const struct hold *hold, const struct grade *g, double to, struct grade_point *ret,
		uint64_t *next_boot_ns);

#endif
