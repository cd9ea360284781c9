/* SPDX-License-Identifier: Apache-2.0 */
/* network-corrupt: one bit of a share of the victim's packets is not what was sent.
 * Changed and put back as for network-latency. */
#include "actions/shaping.h"

struct network_corrupt {
	struct network network;
	double percent;
	double correlation;
	struct grading grading;
};

static const struct row rows[] = {
	CHANCE_ROWS(struct network_corrupt, "5", "corrupted"),
	NETWORK_ROWS(struct network_corrupt, "egress"),
	GRADE_ROWS(struct network_corrupt, "percent"),
};

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct network_corrupt *p = params;
	int r = grading_check(&p->grading, 0.001, 100, e);

	return r < 0 ? r : shaping_look(&p->network, facts, e);
}

static bool graded(const void *params, struct grade *ret, double *ret_to)
{
	const struct network_corrupt *p = params;

	return grading_of(&p->grading, p->percent, ret, ret_to);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct network_corrupt *p = params;
	const struct netem netem = {.corrupt = netem_chance(facts->grade),
				    .corrupt_correlation = netem_chance(p->correlation)};

	return shaping_plan(&p->network, 100, &netem, facts, plan, e);
}

static void describe(const void *params, struct text *t)
{
	const struct network_corrupt *p = params;

	text_add(t, "corrupt %.6g %% of ", grading_end(&p->grading, p->percent));
	network_describe(&p->network, t);
	grading_describe(&p->grading, t);
}

extern const struct action action_network_corrupt;
const struct action action_network_corrupt = {
	.name = "network-corrupt",
	.summary = "Corrupt a share of the packets of an interface",
	.description =
		"One bit of a matching packet is inverted, by chance, behind its IP and link headers or in them. What "
		"leaves has its checksum by then, so its receiver drops what checksums cover; what arrives may have been "
		"checked before, and then an application sees it. ARP, neighbour discovery, DHCP, metadata addresses and "
		"the caller's SSH connection are spared. Needs netem.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct network_corrupt),
	.look = look,
	.plan = plan,
	.describe = describe,
	.graded = graded,
	.composition =
		"composes: a packet that several match goes through the first; each ends by itself",
};
