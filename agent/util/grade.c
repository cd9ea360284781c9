/* SPDX-License-Identifier: Apache-2.0 */
#include "util/grade.h"

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void ramp_at(const struct grade *g, double to, uint64_t elapsed_ms, struct grade_point *ret)
{
	uint64_t steps = g->steps ? g->steps : 1, done;

	if (elapsed_ms >= g->over_ms)
		return;
	done = elapsed_ms * steps / g->over_ms;
	ret->value = g->from + (to - g->from) * (double)done / (double)steps;
	/* Rounded up: at that time the step has been reached. */
	ret->next_ms = ((done + 1) * g->over_ms + steps - 1) / steps;
}

static void wave_at(const struct grade *g, uint64_t elapsed_ms, struct grade_point *ret)
{
	uint64_t into = elapsed_ms % g->every_ms;

	ret->on = into < g->for_ms;
	/* What is off does not change until it is on again. */
	if (!ret->on)
		ret->next_ms = elapsed_ms - into + g->every_ms;
	else
		ret->next_ms = earlier(ret->next_ms, elapsed_ms - into + g->for_ms);
}

void grade_at(const struct grade *g, double to, uint64_t elapsed_ms, struct grade_point *ret)
{
	*ret = (struct grade_point){.value = to, .on = true, .next_ms = GRADE_NEVER};
	if (g->over_ms)
		ramp_at(g, to, elapsed_ms, ret);
	if (g->every_ms)
		wave_at(g, elapsed_ms, ret);
}
