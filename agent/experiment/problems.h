/* SPDX-License-Identifier: Apache-2.0 */
/* All that is wrong with a template, told at once: who fixes one mistake at a time tries twenty
 * times. Bounded. */
#ifndef FAULTD_EXPERIMENT_PROBLEMS_H
#define FAULTD_EXPERIMENT_PROBLEMS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/err.h"

#define PROBLEMS_MAX     64
#define PROBLEM_PATH_MAX 160

struct problem {
	char path[PROBLEM_PATH_MAX];
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

/* How many were told. */
static inline size_t problems_count(const struct problems *p)
{
	return p->n + p->dropped;
}

/* One more would only be counted: whoever walks what anybody sent may stop. */
static inline bool problems_are_full(const struct problems *p)
{
	return p->n == PROBLEMS_MAX || p->dropped > 0;
}

/* An error about a field, of schema_parse() with `prefix`, in what is at `path`: "PREFIX.percent"
 * is told at "PATH.percent". */
void problems_add_error(struct problems *p, const char *path, const char *prefix,
			const struct error *e);

/* "actions.stress" and "actions.stress[2]"; a name is escaped, and shortened to 64 bytes. Both
 * return `ret`. */
const char *problem_path(char ret[static PROBLEM_PATH_MAX], const char *parent, const char *name);
const char *problem_path_at(char ret[static PROBLEM_PATH_MAX], const char *parent, size_t i);

/* A value as it is quoted: escaped, and shortened. */
#define PROBLEM_SHOWN_MAX 65
void problem_shown(const char *text, char ret[static PROBLEM_SHOWN_MAX]);

/* FIS's error members: "message" (at most 1024 bytes, as many problems as fit, the number first),
 * and "problems": [{"path","message"}…] with all of them. NULL: out of memory. */
cJSON *problems_print(const struct problems *p);

/* The first one as an error of the request path, when only one line can be told. */
void problems_error(const struct problems *p, struct error *e);

#endif
