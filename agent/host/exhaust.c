/* SPDX-License-Identifier: Apache-2.0 */
#include "host/exhaust.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "util/cleanup.h"
#include "util/gauge.h"
#include "util/str.h"

int descriptors_read(pid_t pid, struct descriptors *ret)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct rlimit limit;
	char path[32];

	memset(ret, 0, sizeof(*ret));
	if (prlimit(pid, RLIMIT_NOFILE, NULL, &limit) < 0)
		return -errno;
	ret->limit = limit.rlim_cur;
	ret->hard = limit.rlim_max;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	for (const struct dirent *d = readdir(dir); d; d = readdir(dir)) {
		uint64_t number;

		if (str_to_u64(d->d_name, &number) < 0)
			continue;
		ret->used++;
		if (number < DESCRIPTORS_SHOWN)
			bit_set(ret->open, number);
	}
	return 0;
}

uint64_t descriptors_limit_for(const struct descriptors *d, uint64_t room)
{
	uint64_t number = 0, shown = 0;

	/* With no room left the limit may be as low as the first one that is free. */
	for (; number < DESCRIPTORS_SHOWN; number++) {
		if (bit_get(d->open, number))
			shown++;
		else if (room-- == 0)
			return number;
	}
	return DESCRIPTORS_SHOWN + (d->used - shown) + room;
}
