/* SPDX-License-Identifier: Apache-2.0 */
/* The wall clock against the boot clock. Both run at the same rate whatever adjtimex(2) says, and
 * nobody can step the boot clock: so their difference changes only when somebody sets the wall
 * clock, and putting the difference back puts the time right without a second lost. Libc only. */
#ifndef FAULTD_STEPS_CLOCK_H
#define FAULTD_STEPS_CLOCK_H

#include <stdint.h>

#include "plan/step.h"

/* How far from the planned position the clock may be and still count as where we put it. */
#define CLOCK_OURS_NS 100000000

/* CLOCK_REALTIME - CLOCK_BOOTTIME, to about a microsecond. */
int64_t clock_difference(void);

/* Moves the wall clock by so much at once, and makes sure. Returns 0 or a negative errno. */
int clock_move(int64_t by_ns);

/* Is `deviation` (of the present difference from `base_ns`) what a step with this offset makes? */
static inline bool clock_is_near(int64_t deviation, int64_t offset)
{
	int64_t off = deviation - offset;

	return off <= CLOCK_OURS_NS && off >= -CLOCK_OURS_NS;
}

#endif
