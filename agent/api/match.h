/* SPDX-License-Identifier: Apache-2.0 */
/* Paths against the patterns of routes. Pure. */
#ifndef FAULTD_API_MATCH_H
#define FAULTD_API_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#define MATCH_HOLES 2

/* What stands at a pattern's holes. */
struct match_hole {
	char *text;
	size_t size;
};

/* Does the decoded `path` fit `pattern`, in which "{}" stands for one part without a slash and
 * "{+}" for all the rest, slashes included? Neither is ever empty, and what is too long for its
 * hole does not fit. A hole that the pattern does not have becomes "". */
bool match_path(const char *pattern, const char *path, const struct match_hole holes[MATCH_HOLES]);

#endif
