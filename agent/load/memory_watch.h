/* SPDX-License-Identifier: Apache-2.0 */
/* What a memory load has to know of others: memory of the host and of the cgroups above it, and how
 * long others wait for memory (PSI). Opened once, then read a few times a second. */
#ifndef FAULTD_LOAD_MEMORY_WATCH_H
#define FAULTD_LOAD_MEMORY_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/memory_control.h"

#define MEMORY_LEVELS_MAX 16

enum memory_of {
	MEMORY_OF_HOST,
	MEMORY_OF_CGROUP, /* that this process is in */
	MEMORY_OF_PARENT, /* the one above it, when its own was only made for the load */
};

/* One cgroup on the way to the root. */
struct memory_level {
	int limit_fd, usage_fd, stat_fd;
};

struct memory_watch {
	int meminfo_fd;
	int pressure_fd;         /* -1: this kernel has no PSI, or it is off */
	bool in_cgroup;          /* `used` is that of a cgroup */
	const char *reclaimable; /* the line of memory.stat */
	struct memory_level level[MEMORY_LEVELS_MAX];
	size_t n_levels;

	uint64_t stalled_us, stalled_at_ns, stalled_next_ns;
};

/* `of`: whose memory the load is a part of. The limits of the cgroups this process is in hold in
 * any case. Returns 0 or a negative errno, with `ret_what` naming what could not be done. */
int memory_watch_open(struct memory_watch *w, enum memory_of of, const char **ret_what);

/* Returns 0 or a negative errno. */
int memory_watch_read(struct memory_watch *w, struct memory_sample *ret);

/* Is there swap? */
bool memory_watch_swap(const struct memory_watch *w);

#endif
