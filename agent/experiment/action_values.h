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

struct action_values {
	struct access_value value[ACTION_VALUES_MAX];
	size_t n;
	char key[ACTION_VALUES_MAX][96];
	char service[64], duration[24];
	cJSON *texts; /* owned */
};

/* Of a fault: "fis:Parameter/NAME" for each of the action's parameters, "fis:Duration" unless it is
 * 0. Returns 0 and values to be released, or -ENOMEM. */
int action_values_of_fault(const struct action *a, const void *params, uint64_t duration_ms,
			   struct action_values *ret);

/* Of an action of a template: these (of a fault whose parameters are complete without its target),
 * those that are given under other names, "fis:Service", "fis:Percentage", "fis:Targets" (ARNs). */
int action_values_of_template(const struct template *t, const struct template_action *a,
			      struct action_values *ret);

void action_values_done(struct action_values *v);

#endif
