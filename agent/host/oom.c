/* SPDX-License-Identifier: Apache-2.0 */
#include "host/oom.h"

#include <inttypes.h>
#include <stdio.h>

#include "util/cleanup.h"

uint64_t oom_kills_read(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/vmstat", "re");
	char line[128];
	uint64_t n;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "oom_kill %" SCNu64, &n) == 1)
			return n;
	}
	return 0;
}
