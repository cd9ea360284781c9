/* SPDX-License-Identifier: Apache-2.0 */
/* The actions of an experiment on a line of time: one bar for each, from when it starts (or will)
 * to when it ends, with its state and the time that is left. Knows JSON of FIS's Experiment, and
 * text. */
#ifndef FAULTD_CTL_TIMELINE_H
#define FAULTD_CTL_TIMELINE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* The lines for people, as they stand at `now` (seconds since the epoch), NULL-terminated;
 * `columns` wide at most. To be freed with timeline_free(). */
char **timeline_draw(const cJSON *experiment, double now, size_t columns, bool utf8);
void timeline_free(char **lines);

#endif
