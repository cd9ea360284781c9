/* SPDX-License-Identifier: Apache-2.0 */
/* The host API of api/README.md: who may ask, what is asked, what is answered. */
#ifndef FAULTD_API_API_H
#define FAULTD_API_API_H

#include "api/http.h"
#include "api/remote.h"
#include "experiment/experiments.h"
#include "fault/faults.h"

struct api {
	struct faults *faults;
	struct experiments *experiments;
	const struct policy *policy;
	const struct identity *identity; /* outlives it; may change in place */
	struct remote_log refused;
	struct fis_change *changes; /* of templates, under way; fis_templates.c's */
};

/* For struct http_service; `arg` is a struct api that outlives the server. */
void api_handle(struct http_request *q, void *arg);
size_t api_body_max(const char *path);

#endif
