/* SPDX-License-Identifier: Apache-2.0 */
/* Doing and undoing the steps of plan/step.h. One file per kind; the two tables are in
 * step_run.c (faultd: everything) and undo_alone.c (guardian: what nobody else takes back). */
#ifndef FAULTD_STEPS_STEP_RUN_H
#define FAULTD_STEPS_STEP_RUN_H

#include <stdbool.h>

#include "plan/step.h"
#include "util/err.h"

struct classifiers;
struct stopped;

/* What faultd lends to a step. */
struct step_env {
	const char *load_path; /* of faultd-load */
	struct classifiers *classifiers;
	struct stopped *stopped;   /* the processes that faults of ours hold */
	uint64_t deadline_boot_ns; /* of the fault */
	uint64_t start_boot_ns;    /* of the fault: what ramps and waves count from */
};

/* Reads what is there now, before the change, into the step: what undoing will need to know.
 * Returns 1 when the step learned something, 0, or a negative errno and the error. */
int step_prepare(struct step *s, const struct step_env *env, struct error *e);

/* Changes the host. On failure nothing is left behind that undo would not take back; the error says
 * what failed and why. Returns as step_prepare(): 1 when the step learned something. */
int step_apply(struct step *s, const struct step_env *env, struct error *e);

/* Has what was applied taken effect? Asked until it has, before the fault is active. Returns 0,
 * -EAGAIN (not yet: ask again), or another errno and the error. Never waits. */
int step_settle(struct step *s, const struct step_env *env, struct error *e);

/* A ramp's next value, in two parts with the journal between them. First takes over the value of
 * `fresh`, which does the same as `s` with another one; what undoing has to know of the value
 * before is kept. Returns false when there is nothing to change. Then changes the host. */
bool step_prepare_update(struct step *s, const struct step *fresh);
int step_update(struct step *s, const struct step_env *env, struct error *e);

/* Takes the change back, also one that never happened or is half done, and makes sure by reading
 * the kernel back. Adds to `note` what was found changed by others and left alone.
 * Never waits long. Returns 0; -EINPROGRESS when it was asked for and takes its time: call again
 * soon; or another negative errno: then it may be called again. */
int step_undo(struct step *s, const struct step_env *env, struct text *note);

/* The same for a dead faultd's step, allocating nothing. May wait, for a second at most. */
int step_undo_alone(struct step *s, struct text *note);

/* What a shaper counts now. Returns false when it is not there. */
bool shaper_read(const struct step *s, struct shaper_counters *ret);

#endif
