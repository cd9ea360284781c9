/* SPDX-License-Identifier: Apache-2.0 */
/* Experiment log records on their way to AWS, as a template's logConfiguration says: to CloudWatch
 * Logs (stream "/aws/fis/EXPERIMENT-ID" of the group, a second after the first record) and to S3
 * (objects "PREFIX/AWSLogs/ACCOUNT/fis/REGION/EXPERIMENT-ID/YYYY/MM/DD/…log", a minute after).
 * Records are kept in memory, bounded, and sent in batches; what cannot be delivered is counted and
 * logged, never waited for. */
#ifndef FAULTD_EXPERIMENT_LOG_CLOUD_H
#define FAULTD_EXPERIMENT_LOG_CLOUD_H

#include <cjson/cJSON.h>
#include <stdint.h>

struct cloud;
struct identity;
struct log_cloud;

/* Both outlive it, and it is stopped before `cloud` is. Nothing is asked before the first record.
 * Returns 0 or a negative errno. */
int log_cloud_start(struct cloud *cloud, const struct identity *identity, struct log_cloud **ret);
/* Gives up what is not delivered, and says how much that was. Free after the loop has run once
 * more.
 */
void log_cloud_stop(struct log_cloud *l);
void log_cloud_free(struct log_cloud *l);

/* One record of an experiment: `line` is its JSON without a newline, copied; `time_ms` is on
 * CLOCK_REALTIME. `configuration`: the template's logConfiguration (its cloudWatchLogsConfiguration
 * and s3Configuration are read with the experiment's first record); one that names no destination,
 * or NULL, sends nothing. */
void log_cloud_add(struct log_cloud *l, const cJSON *configuration, const char *experiment_id,
		   const char *line, int64_t time_ms);

/* The experiment is over: what is left of it is sent now, and it is forgotten when that is done. */
void log_cloud_end(struct log_cloud *l, const char *experiment_id);

#endif
