/* SPDX-License-Identifier: Apache-2.0 */
/* A request to start a fault: JSON text -> struct. The parameters stay a tree here, for the rows
 * that check them belong to the action. Pure. */
#ifndef FAULTD_PLAN_REQUEST_H
#define FAULTD_PLAN_REQUEST_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "faultd/limits.h"
#include "plan/peers.h"
#include "plan/schema.h"
#include "util/err.h"

struct request {
	char action[ACTION_NAME_MAX];
	char client_token[CLIENT_TOKEN_MAX + 1]; /* "" when not given */
	uint64_t duration_ms;                    /* 0 when not given */
	uint64_t lease_ms;                       /* 0 when not given */
	bool dry_run;
	bool attach;
	bool confirm;
	cJSON *parameters;         /* an object; owned */
	struct resolved *resolved; /* names in it, when somebody has resolved them; owned */
};

/* Returns 0 and a request to be released with request_done(), or a negative errno and the error. */
int request_parse(const char *text, size_t length, struct request *ret, struct error *e);
void request_done(struct request *q);

#endif
