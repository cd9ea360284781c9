/* SPDX-License-Identifier: Apache-2.0 */
/* network-corrupt: one bit of a share of the victim's packets is not what was sent.
 * Changed and put back as for network-latency. */
#include "actions/shaping.h"

static const struct row rows[] = {CHANCE_FAULT_ROWS("5", "corrupted")};

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct chance_fault *p = params;
	const struct netem netem = {.corrupt = netem_chance(facts->grade),
				    .corrupt_correlation = netem_chance(p->correlation)};

	return shaping_plan(&p->network, 100, &netem, facts, plan, e);
}

static void describe(const void *params, struct text *t)
{
	chance_describe("corrupt", params, t);
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
	.params_size = sizeof(struct chance_fault),
	.look = chance_look,
	.plan = plan,
	.describe = describe,
	.graded = chance_graded,
	.composition =
		"composes: a packet that several match goes through the first; each ends by itself",
};
