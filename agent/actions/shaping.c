/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/shaping.h"

#include <errno.h>
#include <math.h>

const char *const netem_distributions[] = {"uniform", "normal", "pareto", "paretonormal", NULL};

static double longest(const struct delaying *d, const struct grading *g)
{
	double end = grading_end(g, d->delay_ms);

	return end < g->from ? g->from : end; /* `from` may be no number, and is not more then */
}

int delaying_check(const struct delaying *d, const struct grading *g, struct error *e)
{
	if (d->jitter_ms > 0)
		return 0;
	if (d->correlation > 0)
		return error_field(e, "parameters.correlation", "", "0, or jitter above 0",
				   "without jitter every delay is the same");
	if (d->distribution != DISTRIBUTION_NORMAL) /* the default */
		return error_field(
			e, "parameters.distribution", netem_distributions[d->distribution],
			"absent, or jitter above 0", "without jitter every delay is the same");
	if (g && longest(d, g) <= 0)
		return error_field(e, "parameters.delay", "0", "delay or jitter above 0",
				   "nothing would be delayed");
	return 0;
}

void delaying_fill(const struct delaying *d, double delay_ms, struct netem *ret)
{
	ret->delay_ns = (uint64_t)llround(delay_ms * 1e6);
	ret->jitter_ns = (uint64_t)llround(d->jitter_ms * 1e6);
	ret->delay_correlation = netem_chance(d->correlation);
	ret->distribution = (uint32_t)d->distribution;
}

void delaying_describe(const struct delaying *d, double delay_ms, struct text *t)
{
	text_add(t, "%.6g ms", delay_ms);
	if (d->jitter_ms > 0)
		text_add(t, ", jitter %.6g ms (%s)", d->jitter_ms,
			 netem_distributions[d->distribution]);
}

int shaping_look(const struct network *n, struct facts *facts, struct error *e)
{
	return network_look_shaping(n, true, facts, e);
}

int shaping_plan(const struct network *n, double percent, const struct netem *netem,
		 const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct network_effect effect = {
		.verdict = VERDICT_SHAPE, .percent = percent, .netem = *netem};

	return network_plan(n, &effect, facts, plan, e);
}

void shaping_describe(const struct network *n, struct text *t)
{
	if (n->packets < 100)
		text_add(t, "%.6g %% of ", n->packets);
	network_describe(n, t);
}

int chance_look(const void *params, struct facts *facts, struct error *e)
{
	const struct chance_fault *p = params;
	int r = grading_check(&p->grading, 0.001, 100, e);

	return r < 0 ? r : shaping_look(&p->network, facts, e);
}

bool chance_graded(const void *params, struct grade *ret, double *ret_to)
{
	const struct chance_fault *p = params;

	return grading_of(&p->grading, p->percent, ret, ret_to);
}

void chance_describe(const char *verb, const struct chance_fault *p, struct text *t)
{
	text_add(t, "%s %.6g %% of ", verb, grading_end(&p->grading, p->percent));
	network_describe(&p->network, t);
	grading_describe(&p->grading, t);
}
