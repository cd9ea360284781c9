/* SPDX-License-Identifier: Apache-2.0 */
/* What FIS's actions take besides the rows of ours: how long, and what can be honoured by nobody
 * but AWS. */
#ifndef FAULTD_EXPERIMENT_FIS_PARAMETERS_H
#define FAULTD_EXPERIMENT_FIS_PARAMETERS_H

#include <stdbool.h>
#include <stdint.h>

#include "experiment/catalogue.h"

/* How an action's parameter `duration` is said. */
struct fis_duration_rule {
	bool takes, required;
	bool ours; /* "30s" too */
	uint64_t least_ms;
};
struct fis_duration_rule fis_duration_rule(const struct fis_action *a);

/* A parameter that FIS has here and that cannot be honoured: why not; else NULL. */
const char *fis_parameter_why_not(const struct fis_action *a, const char *name);

/* Of these an action takes one: which part of the host is meant. */
bool fis_parameter_aims(const char *name);

/* Is it how FIS's target is carried here, and no parameter of FIS's: a task's `container`? */
bool fis_parameter_is_target(const struct fis_action *a, const char *name);

#endif
