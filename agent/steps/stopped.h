/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that faults of ours have stopped, and how many faults hold each: a process that two
 * of them stop goes on when the second ends. */
#ifndef FAULTD_STEPS_STOPPED_H
#define FAULTD_STEPS_STOPPED_H

#include <stdbool.h>

#include "plan/step.h"

struct stopped;

struct stopped *stopped_new(void); /* NULL: out of memory */
struct stopped *stopped_free(struct stopped *all);

bool stopped_is_held(const struct stopped *all, const struct step_process *p);

/* Counts one more holder. Returns 0 or -ENOMEM. */
int stopped_take(struct stopped *all, const struct step_process *p);

/* Counts one holder less. Returns true when it was the last. */
bool stopped_drop(struct stopped *all, const struct step_process *p);

#endif
