/* SPDX-License-Identifier: Apache-2.0 */
/* network-reorder: packets of the victim arrive in another order than they were sent in.
 * All wait for a moment, but for a share that goes at once and so overtakes those before it.
 * Changed and put back as for network-latency. */
#include <errno.h>

#include "actions/shaping.h"

struct network_reorder {
	struct network network;
	double percent;
	double correlation;
	int64_t gap;
	double delay_ms;
	struct grading grading;
};

static const struct row rows[] = {
	CHANCE_ROWS(struct network_reorder, "25", "sent at once, ahead of those that wait"),
	{.name = "gap",
	 .type = ROW_INTEGER,
	 FIELD(struct network_reorder, gap),
	 .def = "1",
	 .min = 1,
	 .max = 1000000,
	 .text = "only each so-manieth packet may go ahead; 5 with percent 100: exactly each fifth"},
	{.name = "delay",
	 .type = ROW_QUANTITY,
	 FIELD(struct network_reorder, delay_ms),
	 .def = "10ms",
	 .min = 0.001,
	 .max = DELAY_MAX_MS,
	 .unit = UNIT_MS,
	 .text = "how long the others wait: what is sent within it can be overtaken"},
	NETWORK_ROWS(struct network_reorder, "egress"),
	GRADE_ROWS(struct network_reorder, "percent"),
};

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct network_reorder *p = params;
	int r = grading_check(&p->grading, 0.001, 100, e);

	if (r == 0 && p->percent >= 100 && p->gap == 1 && !p->grading.over_ms)
		r = error_field(e, "parameters.percent", "100", "below 100, or gap above 1",
				"all would go at once, in order");
	return r < 0 ? r : shaping_look(&p->network, facts, e);
}

static bool graded(const void *params, struct grade *ret, double *ret_to)
{
	const struct network_reorder *p = params;

	return grading_of(&p->grading, p->percent, ret, ret_to);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct network_reorder *p = params;
	struct netem netem = {.reorder = netem_chance(facts->grade),
			      .reorder_correlation = netem_chance(p->correlation),
			      .gap = (uint32_t)p->gap};

	delaying_fill(&(struct delaying){0}, p->delay_ms, &netem);
	return shaping_plan(&p->network, 100, &netem, facts, plan, e);
}

static void describe(const void *params, struct text *t)
{
	const struct network_reorder *p = params;

	text_add(t, "let %.6g %% of ", grading_end(&p->grading, p->percent));
	if (p->gap > 1)
		text_add(t, "each %lldth of ", (long long)p->gap);
	network_describe(&p->network, t);
	text_add(t, " go ahead of the others, which wait for %.6g ms", p->delay_ms);
	grading_describe(&p->grading, t);
}

extern const struct action action_network_reorder;
const struct action action_network_reorder = {
	.name = "network-reorder",
	.summary = "Let a share of the packets of an interface overtake the others",
	.description =
		"Matching packets wait for `delay`, but for a share that goes at once, by chance, and so ahead of those "
		"that were sent up to that time before. ARP, neighbour discovery, DHCP, metadata addresses and the "
		"caller's SSH connection are spared. Needs netem.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct network_reorder),
	.look = look,
	.plan = plan,
	.describe = describe,
	.graded = graded,
	.composition =
		"composes: a packet that several match goes through the first; each ends by itself",
};
