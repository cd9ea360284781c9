/* SPDX-License-Identifier: Apache-2.0 */
/* network-blackhole: the victim sees every matching packet vanish.
 * Changed and put back as for network-loss, of which it is the 100 % case with its own defaults. */
#include "actions/fis.h"
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

/* FIS has no interface here, for its rules are the host's. */
static const struct alias_row ssm_rows[] = {
	{.name = "Protocol", .row = "protocol", .required = true},
	{.name = "Port", .row = "ports", .required = true},
	{.name = "TrafficType", .row = "direction", .def = "ingress"},
	{.name = "Interface", .row = "interface", .def = "ALL"},
	FIS_SSM_ROWS,
	{0}};
static const struct alias_row ssm_ecs_rows[] = {
	{.name = "Protocol", .row = "protocol", .def = "tcp"},
	{.name = "Port", .row = "ports", .required = true},
	{.name = "TrafficType", .row = "direction", .required = true},
	{.name = "Interface", .row = "interface", .def = "ALL"},
	FIS_SSM_ECS_ROWS,
	FIS_SSM_ROWS,
	{0}};
static const struct alias_row ecs_rows[] = {
	{.name = "protocol", .row = "protocol", .def = "tcp"},
	{.name = "port", .row = "ports", .required = true},
	{.name = "trafficType", .row = "direction", .required = true},
	{.name = "interface", .row = "interface", .def = "ALL"},
	FIS_ECS_ROWS,
	{0}};
static const struct alias_row eks_rows[] = {
	{.name = "protocol", .row = "protocol", .required = true},
	{.name = "port", .row = "ports", .required = true},
	{.name = "trafficType", .row = "direction", .required = true},
	{.name = "interface", .row = "interface", .def = "ALL"},
	FIS_EKS_ROWS,
	{0}};
static const struct alias aliases[] = {{"AWSFIS-Run-Network-Blackhole-Port", ssm_rows},
				       {"AWSFIS-Run-Network-Blackhole-Port-ECS", ssm_ecs_rows},
				       {"aws:ecs:task-network-blackhole-port", ecs_rows},
				       {"aws:eks:pod-network-blackhole-port", eks_rows},
				       {0}};

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
