/* SPDX-License-Identifier: Apache-2.0 */
#include "load/share.h"

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* 2^63 is more of anything than there can be, and what a double can still be turned into. */
static uint64_t whole(double v)
{
	return v <= 0 ? 0 : v >= 0x1p63 ? 1ULL << 63 : (uint64_t)v;
}

uint64_t share_want(const struct share *s, const struct gauge *g, uint64_t held)
{
	/* What is read may be older than what was just taken. */
	uint64_t others = less(g->used, held);
	uint64_t room = less(less(g->limit, others), s->reserve);
	uint64_t asked = whole(s->value);

	if (s->percent)
		asked = less(whole((double)g->limit * s->value / 100), others);
	return asked < room ? asked : room;
}
