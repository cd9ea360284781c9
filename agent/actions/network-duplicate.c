/* SPDX-License-Identifier: Apache-2.0 */
/* network-duplicate: a share of the victim's packets comes twice.
 * Changed and put back as for network-latency. */
#include "actions/shaping.h"

struct network_duplicate {
	struct network network;
	double percent;
	double correlation;
	struct grading grading;
};

static const struct row rows[] = {
	CHANCE_ROWS(struct network_duplicate, "5", "sent twice"),
	NETWORK_ROWS(struct network_duplicate, "egress"),
	GRADE_ROWS(struct network_duplicate, "percent"),
};

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct network_duplicate *p = params;
	int r = grading_check(&p->grading, 0.001, 100, e);

	return r < 0 ? r : shaping_look(&p->network, facts, e);
}

static bool graded(const void *params, struct grade *ret, double *ret_to)
{
	const struct network_duplicate *p = params;

	return grading_of(&p->grading, p->percent, ret, ret_to);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct network_duplicate *p = params;
	const struct netem netem = {.duplicate = netem_chance(facts->grade),
				    .duplicate_correlation = netem_chance(p->correlation)};

	return shaping_plan(&p->network, 100, &netem, facts, plan, e);
}

static void describe(const void *params, struct text *t)
{
	const struct network_duplicate *p = params;

	text_add(t, "duplicate %.6g %% of ", grading_end(&p->grading, p->percent));
	network_describe(&p->network, t);
	grading_describe(&p->grading, t);
}

extern const struct action action_network_duplicate;
const struct action action_network_duplicate = {
	.name = "network-duplicate",
	.summary = "Duplicate a share of the packets of an interface",
	.description =
		"A matching packet comes a second time, by chance, right after the first. ARP, neighbour discovery, "
		"DHCP, metadata addresses and the caller's SSH connection are spared. Needs netem.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct network_duplicate),
	.look = look,
	.plan = plan,
	.describe = describe,
	.graded = graded,
	.composition =
		"composes: a packet that several match goes through the first; each ends by itself",
};
