/* SPDX-License-Identifier: Apache-2.0 */
#include "util/meminfo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int meminfo_find(const char *text, const char *name, uint64_t *ret)
{
	size_t n = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		uint64_t kib;

		line += *line == '\n';
		if (strncmp(line, name, n) != 0 || line[n] != ':')
			continue;
		if (sscanf(line + n + 1, "%" SCNu64, &kib) != 1)
			return -ENOENT;
		*ret = kib * 1024;
		return 0;
	}
	return -ENOENT;
}
