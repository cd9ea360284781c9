/* SPDX-License-Identifier: Apache-2.0 */
#include "api/match.h"

#include <string.h>

#include "util/str.h"

/* Takes `n` bytes at `*path`. */
static bool take(const char **path, size_t n, const struct match_hole *to)
{
	if (n == 0 || n >= to->size)
		return false;
	memcpy(to->text, *path, n);
	to->text[n] = '\0';
	*path += n;
	return true;
}

bool match_path(const char *pattern, const char *path, const struct match_hole holes[MATCH_HOLES])
{
	size_t hole = 0;

	for (size_t i = 0; i < MATCH_HOLES; i++)
		holes[i].text[0] = '\0';
	while (*pattern) {
		if (str_starts(pattern, "{+}"))
			return take(&path, strlen(path), &holes[hole]);
		if (str_starts(pattern, "{}")) {
			if (hole == MATCH_HOLES || !take(&path, strcspn(path, "/"), &holes[hole++]))
				return false;
			pattern += 2;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	return *path == '\0';
}
