/* SPDX-License-Identifier: Apache-2.0 */
/* What an action asks for, as the conditions of statements see it: its parameters by the action's
 * own names and with its defaults, so that neither an alias, nor a document, nor another way to
 * write a value gets past a condition. */
#ifndef FAULTD_EXPERIMENT_ACTION_VALUES_H
#define FAULTD_EXPERIMENT_ACTION_VALUES_H

#include "actions/action.h"
#include "experiment/template.h"
#include "plan/access.h"

#define ACTION_VALUES_MAX 96
#define ACTION_MOVED_MAX  4

struct action_values {
	struct access_value value[ACTION_VALUES_MAX];
	size_t n;
	char key[ACTION_VALUES_MAX][96];
	char service[64], duration[24];
	cJSON *texts; /* owned */

	/* A ramp: which values it moves, and where they are otherwise; and its ends */
	struct {
		size_t i;
		const char *value;
	} moved[ACTION_MOVED_MAX];
	const char *end[2];
	size_t n_moved, n_ends, at;
};

/* Of a fault: "fis:Parameter/NAME" for each of the action's parameters, "fis:Duration" unless it is
 * 0. Returns 0 and values to be released, or -ENOMEM. */
int action_values_of_fault(const struct action *a, const void *params, uint64_t duration_ms,
			   struct action_values *ret);

/* Of an action of a template: these (of a fault whose parameters are complete without its target),
 * those that are given under other names, "fis:Service", "fis:Percentage", "fis:Targets" (ARNs). */
int action_values_of_template(const struct template *t, const struct template_action *a,
			      struct action_values *ret);

/* A ramp is asked for at each of its ends, too: puts the next one in the place of what it moves.
 * false: there is no more, and all is as at first. */
bool action_values_next(struct action_values *v);

void action_values_done(struct action_values *v);

#endif
