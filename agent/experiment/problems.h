/* SPDX-License-Identifier: Apache-2.0 */
/* All that is wrong with a template, told at once: who fixes one mistake at a time tries twenty
 * times. Bounded. */
#ifndef FAULTD_EXPERIMENT_PROBLEMS_H
#define FAULTD_EXPERIMENT_PROBLEMS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/err.h"

#define PROBLEMS_MAX 64

struct problem {
	char path[160];
	char text[320];
};

struct problems {
	struct problem *problem; /* owned */
	size_t n;
	size_t dropped;       /* that did not fit */
	enum error_code code; /* of the first: ERROR_VALIDATION, _QUOTA, _UNSUPPORTED, _NOT_FOUND */
};

/* Adds one; `code` counts when it is the first. */
void problems_add(struct problems *p, enum error_code code, const char *path, const char *format,
		  ...) __attribute__((format(printf, 4, 5)));
void problems_done(struct problems *p);

/* FIS's error members: "message" (at most 1024 bytes, as many problems as fit, the number first),
 * and "problems": [{"path","message"}…] with all of them. NULL: out of memory. */
cJSON *problems_print(const struct problems *p);

/* The first one as an error of the request path, when only one line can be told. */
void problems_error(const struct problems *p, struct error *e);

#endif
