/* SPDX-License-Identifier: Apache-2.0 */
/* An ordered, bounded list of steps. A dry run prints it, the journal keeps it, undoing walks it
 * backwards. */
#ifndef FAULTD_PLAN_PLAN_H
#define FAULTD_PLAN_PLAN_H

#include "plan/step.h"

struct plan {
	struct step *steps;
	size_t n;
	size_t room;
};

void plan_done(struct plan *p);

/* Adds a zeroed step of this kind. NULL when STEPS_MAX is reached (errno E2BIG) or memory is short
 * (errno ENOMEM). The pointer is good until the next call. */
struct step *plan_add(struct plan *p, enum step_kind kind);

/* Makes room for `n` more steps, so that adding them cannot fail. Returns 0, -E2BIG or -ENOMEM. */
int plan_reserve(struct plan *p, size_t n);

/* Does the plan have a step that changes the same thing as `s`? */
bool plan_has(const struct plan *p, const struct step *s);

#endif
