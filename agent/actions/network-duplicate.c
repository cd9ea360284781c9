/* SPDX-License-Identifier: Apache-2.0 */
/* network-duplicate: a share of the victim's packets comes twice.
 * Changed and put back as for network-latency. */
#include "actions/shaping.h"

static const struct row rows[] = {CHANCE_FAULT_ROWS("5", "sent twice")};

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct chance_fault *p = params;
	const struct netem netem = {.duplicate = netem_chance(facts->grade),
				    .duplicate_correlation = netem_chance(p->correlation)};

	return shaping_plan(&p->network, 100, &netem, facts, plan, e);
}

static void describe(const void *params, struct text *t)
{
	chance_describe("duplicate", params, t);
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
	.params_size = sizeof(struct chance_fault),
	.look = chance_look,
	.plan = plan,
	.describe = describe,
	.graded = chance_graded,
	.composition =
		"composes: a packet that several match goes through the first; each ends by itself",
};
