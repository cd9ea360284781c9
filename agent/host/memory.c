/* SPDX-License-Identifier: Apache-2.0 */
#include "host/memory.h"

#include <errno.h>
#include <stdio.h>

#include "util/cleanup.h"
#include "util/meminfo.h"

int memory_read(uint64_t *ret_total, uint64_t *ret_available)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/meminfo", "re");
	char text[MEMINFO_TEXT_MAX];
	size_t n;
	int r;

	if (!f)
		return -errno;
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	r = meminfo_find(text, "MemTotal", ret_total);
	return r < 0 ? r : meminfo_find(text, "MemAvailable", ret_available);
}
