/* SPDX-License-Identifier: Apache-2.0 */
/* Verifies AWS Signature Version 4 of a request that has been read whole. Pure but for libcrypto.
 * Source: IAM User Guide, "Create a signed AWS API request". */
#ifndef FAULTD_API_SIGV4_H
#define FAULTD_API_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "plan/access.h"
#include "util/err.h"

#define SIGV4_SKEW_S      300 /* the date may be off by so much, either way */
#define SIGV4_HEADERS_MAX 64

struct sigv4_header {
	const char *name;
	const char *value;
};

struct sigv4_request {
	const char *method;
	const char *raw_path;  /* as it was sent, percent-encoding and all, without the query */
	const char *raw_query; /* what stands behind "?", as it was sent; "" */
	const struct sigv4_header *headers;
	size_t n_headers;
	const char *body;
	size_t body_length;
};

/* Is it signed by one of the configured keys, for service "fis" and this region, now, over this
 * body? Returns 0 and the key; or -EACCES and the error, whose message is FIS's own ("The security
 * token included in the request is invalid.", "Signature expired: …", "The request signature we
 * calculated does not match …"); or -ENOMEM and the error. Which of it failed takes no different
 * time where that would tell of secrets. */
int sigv4_verify(const struct sigv4_request *q, const struct access *access, const char *region,
		 time_t now, const struct access_key **ret, struct error *e);

#endif
