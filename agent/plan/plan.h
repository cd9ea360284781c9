/* SPDX-License-Identifier: Apache-2.0 */
/* An ordered, bounded list of steps. A dry run prints it, the journal keeps it, undoing walks it
 * backwards. */
#ifndef FAULTD_PLAN_PLAN_H
#define FAULTD_PLAN_PLAN_H

#include "plan/step.h"

#define CLAIMS_MAX     64
#define CLAIM_TEXT_MAX 384 /* what is claimed, and the path of a cgroup */

struct plan {
	struct step *steps;
	size_t n;
	size_t room;
	/* What no other open fault may have claimed as well: "disk-fill of 8:1" */
	char *claims[CLAIMS_MAX]; /* owned */
	size_t n_claims;
};

void plan_done(struct plan *p);

/* Adds a zeroed step of this kind. NULL when STEPS_MAX is reached (errno E2BIG) or memory is short
 * (errno ENOMEM). The pointer is good until the next call. */
struct step *plan_add(struct plan *p, enum step_kind kind);

/* Claims something that two faults cannot both change. Returns 0, -E2BIG or -ENOMEM. */
int plan_claim(struct plan *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first claim that both have; NULL: none. */
const char *plan_conflict(const struct plan *a, const struct plan *b);

/* Makes room for `n` more steps, so that adding them cannot fail. Returns 0, -E2BIG or -ENOMEM. */
int plan_reserve(struct plan *p, size_t n);

/* Does the plan have a step that changes the same thing as `s`? */
bool plan_has(const struct plan *p, const struct step *s);

#endif
