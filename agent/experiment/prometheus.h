/* SPDX-License-Identifier: Apache-2.0 */
/* One sample out of the text that Prometheus scrapes (its exposition format 0.0.4, and OpenMetrics
 * as far as it is the same). Pure. */
#ifndef FAULTD_EXPERIMENT_PROMETHEUS_H
#define FAULTD_EXPERIMENT_PROMETHEUS_H

#include <stdbool.h>

#define PROMETHEUS_WANTED "NAME or NAME{LABEL=\"VALUE\",…}"

/* Is it a name, with or without labels? */
bool prometheus_is_sample(const char *sample);

/* The value of the one series that has the name and all these labels, whichever others it has.
 * Returns 0 (the value may be infinite or not a number), -ENOENT (no such series), -ENOTUNIQ
 * (several), -EINVAL (not a sample), or -EBADMSG (the line cannot be understood). */
int prometheus_find(const char *text, const char *sample, double *ret);

#endif
