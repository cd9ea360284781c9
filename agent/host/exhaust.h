/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors of one process: how many it may have, and which numbers are taken. Read only.
 * What the host and cgroups have is in util/gauge.h. */
#ifndef FAULTD_HOST_EXHAUST_H
#define FAULTD_HOST_EXHAUST_H

#include <stdint.h>
#include <sys/types.h>

#define DESCRIPTORS_SHOWN 32768

struct descriptors {
	uint64_t limit; /* the soft limit: of the number, not the count */
	uint64_t hard;
	uint64_t used;                         /* how many are open */
	uint64_t open[DESCRIPTORS_SHOWN / 64]; /* a bit for each number below DESCRIPTORS_SHOWN */
};

/* Returns 0, -ESRCH, or another negative errno. */
int descriptors_read(pid_t pid, struct descriptors *ret);

/* The highest limit with which no more than `room` can be opened: the kernel gives the lowest
 * number that is free, and refuses those from the limit on. Numbers from DESCRIPTORS_SHOWN on are
 * taken to be in use without a gap. Pure. */
uint64_t descriptors_limit_for(const struct descriptors *d, uint64_t room);

#endif
