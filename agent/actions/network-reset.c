/* SPDX-License-Identifier: Apache-2.0 */
/* network-reset: the victim's TCP connections are refused, and break, as if the peer, or a firewall
 * between, had ended them.
 * Changed on the host: a classifier and a rule, as for network-loss, that turns matching segments
 * into RSTs to their senders, put back as for network-loss; and connections that there are, which
 * the kernel is asked to end: that is for good. */
#include "actions/network.h"

enum how { HOW_ANSWER, HOW_CUT, HOW_BOTH };

static const char *const hows[] = {"answer", "cut", "both", NULL};

struct network_reset {
	int how;                /* enum how */
	struct network network; /* its protocol is not read: TCP */
};

static const struct row rows[] = {
	{.name = "how",
	 .type = ROW_ENUM,
	 FIELD(struct network_reset, how),
	 .def = "answer",
	 .values = hows,
	 .text = "segments are answered with resets while the fault lasts, the connections of this host are "
		 "ended once at its start, or both"},
	NETWORK_LINK_ROWS(struct network_reset, "DEFAULT", "egress"),
	NETWORK_PORTS_ROW(struct network_reset, NULL),
	NETWORK_PEER_ROWS(struct network_reset, false),
	NETWORK_CONNECTIONS_ROW(struct network_reset),
	NETWORK_FLOW_ROWS(struct network_reset),
	NETWORK_PACKETS_ROW(struct network_reset),
};

static struct network tcp_of(const void *params)
{
	struct network n = ((const struct network_reset *)params)->network;

	n.protocol = PROTOCOL_TCP;
	return n;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct network_reset *p = params;
	struct network n = tcp_of(params);

	if (p->how != HOW_ANSWER && n.connections == CONNECTIONS_NEW)
		return error_field(e, "parameters.how", hows[p->how],
				   "answer, or connections other than new",
				   "a connection that is there is not new");
	return network_look(&n, facts, e);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct network_reset *p = params;
	struct network n = tcp_of(params);
	const struct network_effect reset = {.verdict = VERDICT_RESET, .percent = n.packets};
	int r = 0;

	if (p->how != HOW_CUT)
		r = network_plan(&n, &reset, facts, plan, e);
	if (p->how != HOW_ANSWER && r == 0)
		r = network_plan_cut(&n, &reset, facts, plan, e);
	return r;
}

static void describe(const void *params, struct text *t)
{
	static const char *const verbs[] = {"answer ", "end the connections of ",
					    "end the connections of, and answer "};
	const struct network_reset *p = params;
	struct network n = tcp_of(params);

	text_add(t, "%s", verbs[p->how]);
	if (n.packets < 100)
		text_add(t, "%.6g %% of ", n.packets);
	network_describe(&n, t);
	if (p->how != HOW_CUT)
		text_add(t, " with resets");
}

extern const struct action action_network_reset;
const struct action action_network_reset = {
	.name = "network-reset",
	.summary = "Answer TCP segments with resets",
	.description =
		"Every matching TCP segment is answered with a RST to its sender and goes no further: connections are "
		"refused when they are opened, and end with ECONNRESET when they are used. Idle ones are left alone, and "
		"the other end learns nothing unless its segments match too (direction both). Fragments, IPv4 with options "
		"and IPv6 with extension headers are dropped without an answer. Metadata addresses and the caller's SSH "
		"connection are spared.",
	.hold = HOLD_KERNEL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct network_reset),
	.look = look,
	.plan = plan,
	.describe = describe,
	.composition =
		"composes: a packet is dropped, reset or answered by one of the faults that it matches",
};
