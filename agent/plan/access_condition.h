/* SPDX-License-Identifier: Apache-2.0 */
/* The Condition of a statement: operators, the keys they ask for, and whether they hold. A part of
 * plan/access; pure. */
#ifndef FAULTD_PLAN_ACCESS_CONDITION_H
#define FAULTD_PLAN_ACCESS_CONDITION_H

#include "plan/access.h"

/* Patterns of statements: "*" is any text, "?" any character. */
bool access_pattern_fits(const char *pattern, const char *text, bool ignore_case);

/* "PATH.NAME", for errors; one that is too long is cut. Returns `ret`. */
#define ACCESS_PATH_MAX 96
const char *access_path(const char *path, const char *name, char ret[static ACCESS_PATH_MAX]);

/* Each member of `o` must be one of `known` (ends with NULL), and be there once. `path` names `o`
 * in the error. Returns 0 or -EINVAL. */
int access_check_members(const cJSON *o, const char *const *known, const char *path,
			 struct error *e);

/* Is this Condition one we know all of? What is not known is refused, never ignored: returns 0 or
 * -EINVAL and the error. */
int access_condition_check(const cJSON *condition, const char *path, struct error *e);

/* Does it hold? `condition` NULL: always. `caller` NULL: nobody asks but faultd itself. */
bool access_condition_holds(const cJSON *condition, const struct access_question *q,
			    const struct caller *caller);

#endif
