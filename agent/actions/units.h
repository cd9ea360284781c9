/* SPDX-License-Identifier: Apache-2.0 */
/* Units that a fault stops, with what systemd stops along with them, so that all of it is started
 * again. */
#ifndef FAULTD_ACTIONS_UNITS_H
#define FAULTD_ACTIONS_UNITS_H

#include "actions/action.h"
#include "host/units.h"

/* Completes `list` by what goes down with it and puts those that run into facts->unit. Refuses what
 * is protected. Returns 0 or a negative errno and the error. */
int units_look(struct unit_list *list, struct facts *facts, struct error *e);

/* Asked `again`: the units the fault has already. */
void units_take_over(struct facts *facts);

/* Adds a step and a claim for each. Returns 0 or a negative errno and the error. */
int units_plan(const struct facts *facts, struct plan *plan, struct error *e);

/* The error of host/units.h. Returns r. */
int units_cannot(struct error *e, int r);

/* Refuses those that run and must not be stopped: by their name, by what runs in them, or because
 * systemd would not start them again. Returns 0 or a negative errno and the error. */
int units_check(const struct unit_list *list, const struct facts *facts, struct error *e);

#endif
