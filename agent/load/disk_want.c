/* SPDX-License-Identifier: Apache-2.0 */
#include "load/disk_want.h"

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t asked_for(enum disk_of of, double value, const struct disk_space *s)
{
	double share = value / 100;

	switch (of) {
	case DISK_FILESYSTEM:
		return minus((uint64_t)(share * (double)(s->used + s->available)),
			     minus(s->used, s->held));
	case DISK_FREE:
		return (uint64_t)(share * (double)s->free_at_first);
	case DISK_BYTES:
		break;
	}
	return (uint64_t)value;
}

uint64_t disk_wanted(enum disk_of of, double value, uint64_t reserve, const struct disk_space *s)
{
	uint64_t most = minus(s->held + s->available, reserve);
	uint64_t wanted = asked_for(of, value, s);

	if (wanted > most)
		wanted = most;
	return wanted - wanted % s->block;
}
