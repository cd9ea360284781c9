/* SPDX-License-Identifier: Apache-2.0 */
/* An impairment that grows, shrinks, comes and goes: a ramp from one value to another in equal
 * steps, and waves of on and off. Pure; times are since the start of the fault. */
#ifndef FAULTD_UTIL_GRADE_H
#define FAULTD_UTIL_GRADE_H

#include <stdbool.h>
#include <stdint.h>

struct grade {
	double from;
	uint64_t over_ms;  /* 0: no ramp, the end value from the start */
	uint64_t steps;    /* of the ramp: so many equal rises, the last to the end value */
	uint64_t every_ms; /* 0: no waves */
	uint64_t for_ms;   /* how long of each `every_ms` it is on */
};

#define GRADE_NEVER UINT64_MAX

struct grade_point {
	double value;
	bool on;
	uint64_t next_ms; /* when value or `on` changes next; GRADE_NEVER */
};

/* A ramp of n steps holds `from` first, then rises at over/n, 2 over/n …, and reaches `to` at
 * `over`. It goes on rising while a wave is off. */
void grade_at(const struct grade *g, double to, uint64_t elapsed_ms, struct grade_point *ret);

/* Does it change with time at all? */
static inline bool grade_is_flat(const struct grade *g)
{
	return g->over_ms == 0 && g->every_ms == 0;
}

#endif
