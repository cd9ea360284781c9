/* SPDX-License-Identifier: Apache-2.0 */
/* The routes' handlers. `id` is what stands at the first "{}" or "{+}" of the route's path, else
 * ""; what stands at the second is q->second_id. */
#ifndef FAULTD_API_HANDLERS_H
#define FAULTD_API_HANDLERS_H

#include <cjson/cJSON.h>

#include "actions/action.h"
#include "api/api.h"
#include "plan/request.h"

struct route {
	const char *method;
	const char *path; /* "{}": one part, without a slash; "{+}": all the rest, with slashes */
	void (*handle)(struct api *api, struct http_request *q, const char *id);
	const char *action; /* that its caller must be allowed; NULL: the handler asks */
};

extern const struct route fis_routes[]; /* fis_routes.c */
extern const size_t n_fis_routes;

void answer_json(struct http_request *q, unsigned status, cJSON *o); /* takes `o` over */

/* The error in the form that this path's clients know: FIS's has the one member "message". */
void answer_error(struct http_request *q, const struct error *e);

/* faults.c */
void post_fault(struct api *api, struct http_request *q, const char *id);
void get_faults(struct api *api, struct http_request *q, const char *id);
void get_fault(struct api *api, struct http_request *q, const char *id);
void delete_fault(struct api *api, struct http_request *q, const char *id);
void delete_faults(struct api *api, struct http_request *q, const char *id);
void renew_fault(struct api *api, struct http_request *q, const char *id);
void recover(struct api *api, struct http_request *q, const char *id);

void answer_start(struct http_request *q, struct fault *f, unsigned status);

/* may.c: may this caller start a fault of this action? `params`: of a->params_size.
 * false: the error says so. */
bool may_start_fault(struct api *api, const struct http_request *q, const struct action *a,
		     const void *params, uint64_t duration_ms, struct error *e);
bool may_request_fault(struct api *api, const struct http_request *q, const struct request *request,
		       struct error *e);

/* stream.c */
void stream_events(struct api *api, struct http_request *q, const char *id);
void stream_fault(struct api *api, struct http_request *q, struct fault *f);

/* experiment_log.c */
void get_experiment_log(struct api *api, struct http_request *q, const char *id);
void validate_template(struct api *api, struct http_request *q, const char *id);

/* host.c */
void get_actions(struct api *api, struct http_request *q, const char *id);
void get_action(struct api *api, struct http_request *q, const char *id);
void get_doctor(struct api *api, struct http_request *q, const char *id);
void get_status(struct api *api, struct http_request *q, const char *id);

#endif
