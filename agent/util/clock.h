/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks: CLOCK_BOOTTIME for every deadline (it runs through suspend and no one can
 * step it), CLOCK_REALTIME only for what people read. */
#ifndef FAULTD_UTIL_CLOCK_H
#define FAULTD_UTIL_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_SEC  1000000000ULL

static inline uint64_t timespec_ns(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * NSEC_PER_SEC + (uint64_t)ts->tv_nsec;
}

/* Nanoseconds of any clock; cannot fail for the clocks used here. */
static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = {0};

	(void)clock_gettime(clock, &ts);
	return timespec_ns(&ts);
}

static inline uint64_t boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

#endif
