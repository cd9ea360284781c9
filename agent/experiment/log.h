/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in an experiment, as FIS's log schema version 2 has it: eight kinds of record, one
 * JSON object each. They go to STATE_DIR/experiments/ID.ndjson (rotated by size, pruned by age), to
 * journald with fields, to whoever listens (GET /v1/events), and where the template's
 * logConfiguration says. Files are written in a thread of their own, apart from the store's: a disk
 * that hangs holds up neither the loop nor the other one. At most LOG_QUEUE_MAX records and
 * LOG_QUEUE_BYTES_MAX of them wait for the disk. */
#ifndef FAULTD_EXPERIMENT_LOG_H
#define FAULTD_EXPERIMENT_LOG_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <uv.h>

#include "util/err.h"

#define LOG_QUEUE_MAX       8192
#define LOG_QUEUE_BYTES_MAX (8u << 20)
#define LOG_READINGS_MAX    16

struct experiment_log; /* all of it: one for the daemon */
struct cloud;
struct identity;

/* `cloud` may be NULL: then nothing leaves the host. It and `identity` outlive the log. Returns 0,
 * or a negative errno: out of memory, of threads, of descriptors. */
int experiment_log_start(uv_loop_t *loop, const char *state_dir, struct cloud *cloud,
			 const struct identity *identity, struct experiment_log **ret);
/* What is queued is written, for at most 1 s; readings that are left are told -ECANCELED, from
 * within this. A thread that hangs in the disk is left behind. Then free, after the loop has run
 * once more. */
void experiment_log_stop(struct experiment_log *l);
void experiment_log_free(struct experiment_log *l);

/* The kinds, with their details as FIS names them (fis.md is FIS's page "experiment logging"). */
#define LOG_EXPERIMENT_START         "experiment-start"
#define LOG_TARGET_RESOLUTION_START  "target-resolution-start"
#define LOG_TARGET_RESOLUTION_DETAIL "target-resolution-detail"
#define LOG_TARGET_RESOLUTION_END    "target-resolution-end"
#define LOG_ACTION_START             "action-start"
#define LOG_ACTION_ERROR             "action-error"
#define LOG_ACTION_END               "action-end"
#define LOG_EXPERIMENT_END           "experiment-end"

/* Writes {"id","log_type","event_timestamp","version":"2","details"}; takes `details` (an object)
 * over (NULL: its maker was out of memory). `configuration`: the template's logConfiguration, or
 * NULL. A record that cannot be kept is counted and logged, never waited for. Of one experiment the
 * newest 8 to 16 MiB are kept. */
void experiment_log(struct experiment_log *l, const char *experiment_id, const char *type,
		    cJSON *details, const cJSON *configuration);

/* "2026-01-31T12:00:00Z" */
#define LOG_TIME_MAX 32
const char *experiment_log_time(const struct timespec *t, char ret[static LOG_TIME_MAX]);

/* Every record as it is made, one line without its newline. */
struct log_listener {
	struct log_listener *next;
	void (*record)(const char *experiment_id, const char *line, void *arg);
	void *arg;
};
void experiment_log_listen(struct experiment_log *l, struct log_listener *listener);
void experiment_log_unlisten(struct experiment_log *l, struct log_listener *listener);

/* How many records are in no file since the start. */
uint64_t experiment_log_lost(const struct experiment_log *l);

/* Reads all records of one experiment, oldest first, rotated files and what waits included: `text`
 * is NDJSON, "" when there are none, NULL with a negative errno when they cannot be read. Called on
 * the loop, not from within this, unless it is cancelled before. Returns 0, -EINVAL (no id is like
 * this), -EBUSY (LOG_READINGS_MAX of them wait), -ENOMEM or -ECANCELED (it has stopped). */
struct log_reading;
typedef void (*log_text_fn)(int r, const char *text, size_t length, void *arg);
int experiment_log_read(struct experiment_log *l, const char *experiment_id, log_text_fn done,
			void *arg, struct log_reading **ret);
void log_reading_cancel(struct log_reading *r); /* NULL: nothing */

/* Deletes the files of one that is kept no more. */
void experiment_log_delete(struct experiment_log *l, const char *experiment_id);

/* Deletes the files of experiments whose last record is older than this. */
void experiment_log_prune(struct experiment_log *l, time_t before);

#endif
