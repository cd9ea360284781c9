/* SPDX-License-Identifier: Apache-2.0 */
/* network-partition: the victim and some peers do not reach each other any more, on any interface.
 * Changed and put back as for network-loss. */
#include <string.h>

#include "actions/network.h"

struct network_partition {
	struct network network;
	bool spare_subnets;
};

static const struct row rows[] = {
	NETWORK_ROWS_OF(struct network_partition, "ALL", "both", true),
	NETWORK_VISIBLE_ROW(struct network_partition),
	{.name = "spareSubnets",
	 .type = ROW_BOOLEAN,
	 FIELD(struct network_partition, spare_subnets),
	 .def = "false",
	 .text = "never packets exchanged with the interfaces' own subnets, unless peers names them closer"},
};

static int add_subnet(const char *address, void *arg)
{
	return cidr_list_add(arg, address);
}

struct looking {
	struct facts *facts;
	size_t interface;
};

/* Inside the interface's place. */
static int read_subnets(void *arg)
{
	const struct looking *l = arg;

	return interface_addresses(l->facts->interfaces[l->interface].index, add_subnet,
				   &l->facts->subnets);
}

static int look_subnets(struct facts *facts, struct error *e)
{
	for (size_t i = 0; i < facts->n_interfaces; i++) {
		struct looking l = {facts, i};
		int r = network_place_run(&facts->places[facts->place_of[i]], read_subnets, &l, e);

		if (r < 0)
			return error_set(e, ERROR_FAILED, r,
					 "cannot read the interfaces' addresses: %s", strerror(-r));
	}
	return 0;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct network_partition *p = params;
	const struct peer_list *peers = &p->network.peers;
	int r;

	/* Through an alias they can be missing all the same. */
	if (!peers->all && peers->cidrs.n == 0 && peers->names.n == 0)
		return error_field(e, "parameters.peers", "",
				   "addresses, prefixes, names of hosts or sets, ALL",
				   "required and not given");
	r = network_look(&p->network, facts, e);
	return r == 0 && p->spare_subnets ? look_subnets(facts, e) : r;
}

/* A prefix that is in both lists would be refused: whom peers names so is cut off. */
static int spare_subnets(const struct cidr_list *subnets, struct network *n, struct error *e)
{
	struct cidr_list *to = &n->exclude_peers.cidrs;

	for (uint32_t i = 0; i < subnets->n; i++) {
		const struct cidr *c = &subnets->cidr[i];

		if (cidr_list_has(&n->peers.cidrs, c) || cidr_list_has(to, c))
			continue;
		if (to->n == CIDRS_MAX)
			return error_field(e, "parameters.spareSubnets", "true", "false",
					   "the interfaces have too many addresses");
		to->cidr[to->n++] = *c;
	}
	return 0;
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	static const struct network_effect all = {.verdict = VERDICT_DROP, .percent = 100};
	struct network n = ((const struct network_partition *)params)->network;
	int r = spare_subnets(&facts->subnets, &n, e);

	return r < 0 ? r : network_plan(&n, &all, facts, plan, e);
}

static void describe(const void *params, struct text *t)
{
	const struct network_partition *p = params;

	text_add(t, "drop all ");
	network_describe(&p->network, t);
	if (p->spare_subnets)
		text_add(t, ", but not within their own subnets");
}

/* FIS denies at the border of the subnet, by a network ACL: within it nothing changes. Each scope
 * is a set of the networks file here, but for all; with prefix-list the identifier is. */
static const struct alias_row connectivity_rows[] = {
	{.name = "scope", .row = "peers", .from = "prefix-list", .to = NULL},
	{.name = "prefixListIdentifier", .row = "peers"},
	{.name = "interface", .row = "interface", .def = "ALL"}, /* a target subnet's */
	{.name = "spareSubnets", .row = "spareSubnets", .def = "true"},
	{0}};
static const struct alias aliases[] = {{"aws:network:disrupt-connectivity", connectivity_rows},
				       {0}};

extern const struct action action_network_partition;
const struct action action_network_partition = {
	.name = "network-partition",
	.summary = "Cut this host off from some peers, both ways",
	.description =
		"Every packet exchanged with the peers is dropped, on all interfaces but loopback, silently unless asked. "
		"With a direction it is a partition of one way. ARP, neighbour discovery, DHCP, metadata addresses and the "
		"caller's SSH connection are spared.",
	.hold = HOLD_KERNEL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct network_partition),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
	.composition = "composes: what any of them matches is dropped",
};
