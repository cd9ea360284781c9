/* SPDX-License-Identifier: Apache-2.0 */
/* network-blackhole: the victim sees every matching packet vanish.
 * Changed and put back as for network-loss, of which it is the 100 % case with its own defaults. */
#include "actions/network.h"

struct network_blackhole {
	struct network network;
};

static const struct row rows[] = {NETWORK_ROWS(struct network_blackhole, "both"),
				  NETWORK_VISIBLE_ROW(struct network_blackhole)};

static int look(const void *params, struct facts *facts, struct error *e)
{
	return network_look(&((const struct network_blackhole *)params)->network, facts, e);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	static const struct network_effect all = {.verdict = VERDICT_DROP, .percent = 100};

	return network_plan(&((const struct network_blackhole *)params)->network, &all, facts, plan,
			    e);
}

static void describe(const void *params, struct text *t)
{
	text_add(t, "drop all ");
	network_describe(&((const struct network_blackhole *)params)->network, t);
}

static const struct alias_row ssm_rows[] = {
	{.name = "Protocol", .row = "protocol", .required = true},
	{.name = "Port", .row = "ports", .required = true},
	{.name = "TrafficType", .row = "direction", .def = "ingress"},
	{.name = "Interface",
	 .row = "interface",
	 .def = "ALL"}, /* the document has none: its rule is the host's */
	{.name = "DurationSeconds", .row = "duration", .required = true},
	{.name = "InstallDependencies", .row = ""}, /* there are none to install */
	{0}};
static const struct alias aliases[] = {{"AWSFIS-Run-Network-Blackhole-Port", ssm_rows}, {0}};

extern const struct action action_network_blackhole;
const struct action action_network_blackhole = {
	.name = "network-blackhole",
	.summary = "Drop all matching packets of an interface",
	.description =
		"Every matching packet is dropped, silently unless asked. ARP, neighbour discovery, DHCP, "
		"metadata addresses and the caller's SSH connection are spared.",
	.hold = HOLD_KERNEL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct network_blackhole),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
	.composition = "composes: what any of them matches is dropped",
};
