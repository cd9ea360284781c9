/* SPDX-License-Identifier: Apache-2.0 */
/* How one CloudWatch alarm stands, metric or composite: DescribeAlarms in the region of its ARN. */
#ifndef FAULTD_EXPERIMENT_ALARM_READ_H
#define FAULTD_EXPERIMENT_ALARM_READ_H

#include <uv.h>

#include "util/err.h"

#define ALARM_WHY_MAX 320

struct cloud;

/* Is this the ARN of an alarm? Returns 0, or -EINVAL and the error. Pure. */
int alarm_arn_check(const char *arn, struct error *e);
/* "high-cpu" in it; the ARN must have been checked. */
const char *alarm_arn_name(const char *arn);

/* `state`: "OK", "ALARM" or "INSUFFICIENT_DATA"; NULL: it cannot be told, and `why`, one line. What
 * may pass (a lost connection, throttling, an error of the service's own) is tried again, all
 * together for at most 7 s, and 2 s more when credentials do not come. Called on the loop, never
 * from within alarm_read(). Returns 0 or a negative errno. */
typedef void (*alarm_read_fn)(const char *state, const char *why, void *arg);
struct alarm_reading;
int alarm_read(uv_loop_t *loop, struct cloud *cloud, const char *arn, alarm_read_fn done, void *arg,
	       struct alarm_reading **ret);
/* `done` is not called. Handles close; the loop has to run once more. NULL: nothing. */
void alarm_reading_cancel(struct alarm_reading *x);

#endif
