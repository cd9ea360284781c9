/* SPDX-License-Identifier: Apache-2.0 */
/* Where the records of one experiment go, and how they are said there: CloudWatch Logs and S3.
 * Makes requests and reads answers; who sends them, and when again, is log_cloud.c's. */
#ifndef FAULTD_EXPERIMENT_LOG_DESTINATION_H
#define FAULTD_EXPERIMENT_LOG_DESTINATION_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/cloud.h"
#include "experiment/template.h"

struct identity;

#define LOG_RECORD_MAX      (200 * 1024) /* of one line */
#define LOG_BATCH_BYTES     (400 * 1024) /* quoted in JSON twice as much, and 1 MiB is the bound */
#define LOG_BATCH_COUNT     2000
#define LOG_WHY_MAX         256
#define LOG_URL_MAX         4096 /* a prefix may have 700 bytes, percent-encoded three times that */
#define LOG_REQUEST_HEADERS 3

struct log_record {
	struct log_record *next;
	int64_t time_ms; /* CLOCK_REALTIME */
	size_t length;
	char line[]; /* terminated */
};

enum log_destination_kind { LOG_TO_CLOUDWATCH, LOG_TO_S3, _LOG_DESTINATION_MAX };

struct log_destination {
	enum log_destination_kind kind;
	char experiment_id[TEMPLATE_ID_MAX];
	char partition[32], region[32], account[16];
	char name[513];   /* of the log group, or of the bucket */
	char prefix[701]; /* S3: "" or without slashes at its ends */
	bool stream_made; /* CloudWatch: the experiment's stream is there */
};

/* What the template's logConfiguration says of this kind. Returns 1 when it is named, 0 when it is
 * not, -EINVAL and `why` when it is named and cannot be right. */
int log_destination_read(enum log_destination_kind kind, const cJSON *configuration,
			 const struct identity *identity, const char *experiment_id,
			 struct log_destination *ret, char why[static LOG_WHY_MAX]);

/* "CloudWatch Logs group NAME", "S3 bucket NAME" */
const char *log_destination_what(const struct log_destination *d, char *to, size_t size);

/* How many records, from the first on, go into one request; at least one. */
size_t log_destination_batch(const struct log_destination *d, const struct log_record *first);

struct log_request {
	char url[LOG_URL_MAX];
	const char *headers[LOG_REQUEST_HEADERS];
	char *body;             /* malloc'd */
	struct cloud_call call; /* but for its time-out */
};

/* The next request: the stream's making, or the batch. `name` tells S3's objects from each other;
 * the same for the same batch tried again. Returns 0 and a request to be released, or a negative
 * errno. */
int log_destination_request(const struct log_destination *d, const struct cloud *cloud,
			    const struct log_record *first, size_t n, uint64_t name,
			    struct log_request *ret);
void log_request_done(struct log_request *q);

enum log_outcome {
	LOG_DELIVERED, /* but for *lost of them, which were refused one by one: `why` */
	LOG_STREAM_MADE,
	LOG_TRY_AGAIN, /* `why` */
	LOG_REFUSED,   /* and so would be all others: `why` */
};
enum log_outcome log_destination_outcome(const struct log_destination *d,
					 const struct fetch_answer *a, size_t n, size_t *lost,
					 char why[static LOG_WHY_MAX]);

#endif
