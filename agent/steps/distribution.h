/* SPDX-License-Identifier: Apache-2.0 */
/* The tables by which netem shapes jitter (tc-netem(8), distribution): equally likely deviations
 * from the mean, in units of the jitter divided by DISTRIBUTION_SCALE. Pure. */
#ifndef FAULTD_STEPS_DISTRIBUTION_H
#define FAULTD_STEPS_DISTRIBUTION_H

#include <stdint.h>

#include "plan/netem.h"

#define DISTRIBUTION_SIZE  4096
#define DISTRIBUTION_SCALE 8192 /* NETEM_DIST_SCALE */

/* For every shape but DISTRIBUTION_UNIFORM, for which netem needs no table. */
void distribution_fill(enum netem_distribution shape, int16_t table[DISTRIBUTION_SIZE]);

#endif
