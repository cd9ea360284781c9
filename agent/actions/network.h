/* SPDX-License-Identifier: Apache-2.0 */
/* What the actions on packets share: which interface, direction and packets, and the steps that put
 * the classifier there. */
#ifndef FAULTD_ACTIONS_NETWORK_H
#define FAULTD_ACTIONS_NETWORK_H

#include "actions/action.h"
#include "actions/network_place.h"

enum network_direction { DIRECTION_EGRESS, DIRECTION_INGRESS, DIRECTION_BOTH };

/* Indices into network_connections. */
enum network_connections { CONNECTIONS_ALL, CONNECTIONS_NEW, CONNECTIONS_ESTABLISHED };

struct network {
	struct name_list interface;
	int direction; /* enum network_direction */
	int protocol;  /* index into network_protocols */
	struct port_list ports;
	struct port_list source_ports;
	struct peer_list peers;
	struct peer_list exclude_peers;
	int connections; /* enum network_connections */
	double flows;    /* percent */
	uint64_t resolve_every_ms;
	bool visible;
	double packets; /* percent that is impaired, by chance */
	bool allow_lockout;
	struct network_aim aim;
};

/* What happens to the packets that match. */
struct network_effect {
	enum classify_verdict verdict;
	double percent;                     /* of them; by chance */
	uint8_t rcode;                      /* VERDICT_ANSWER */
	const struct classify_names *names; /* NULL: not only DNS queries */
	struct netem netem;                 /* VERDICT_SHAPE */
};

/* Indices into network_protocols. */
enum network_protocol { PROTOCOL_ANY, PROTOCOL_TCP, PROTOCOL_UDP };

extern const char *const network_directions[];
extern const char *const network_protocols[];
extern const char *const network_connections[];

/* The rows, for a params struct whose member `network` is a struct network. NETWORK_ROWS are those
 * of most actions; the others choose. */
#define NETWORK_LINK_ROWS(params, default_interface, default_direction)                           \
	{.name = "interface",                                                                     \
	 .type = ROW_NAMES,                                                                       \
	 FIELD(params, network.interface),                                                        \
	 .def = default_interface,                                                                \
	 .text = "interfaces; DEFAULT is the one of the default route, ALL is all but loopback"}, \
	{                                                                                         \
		.name = "direction", .type = ROW_ENUM, FIELD(params, network.direction),          \
		.def = default_direction, .values = network_directions,                           \
		.text = "packets that leave, arrive, or both"                                     \
	}

#define NETWORK_PROTOCOL_ROW(params, allowed)                                            \
	{                                                                                \
		.name = "protocol", .type = ROW_ENUM, FIELD(params, network.protocol),   \
		.def = "any", .values = allowed, .text = "only packets of this protocol" \
	}

#define NETWORK_PORTS_ROW(params, default_ports)                                  \
	{                                                                         \
		.name = "ports", .type = ROW_PORTS, FIELD(params, network.ports), \
		.def = default_ports, .text = "only packets to these ports"       \
	}

#define NETWORK_PEER_ROWS(params, peers_needed)                                                                      \
	{.name = "sourcePorts",                                                                                      \
	 .type = ROW_PORTS,                                                                                          \
	 FIELD(params, network.source_ports),                                                                        \
	 .text = "only packets from these ports"},                                                                   \
		{.name = "peers",                                                                                    \
		 .type = ROW_PEERS,                                                                                  \
		 FIELD(params, network.peers),                                                                       \
		 .required = peers_needed,                                                                           \
		 .text = "only packets exchanged with these: addresses, prefixes, names of hosts or sets, ALL"},     \
		{.name = "excludePeers",                                                                             \
		 .type = ROW_PEERS,                                                                                  \
		 FIELD(params, network.exclude_peers),                                                               \
		 .text = "never packets exchanged with these; of peers and excludePeers the longer prefix decides"}, \
	{                                                                                                            \
		.name = "resolveEvery", .type = ROW_DURATION,                                                        \
		FIELD(params, network.resolve_every_ms), .def = "10s", .min = 1000,                                  \
		.max = DURATION_MAX_S * 1000.0,                                                                      \
		.text = "how often names of hosts are resolved again while the fault is active"                      \
	}

#define NETWORK_CONNECTIONS_ROW(params)                                                             \
	{                                                                                           \
		.name = "connections", .type = ROW_ENUM, FIELD(params, network.connections),        \
		.def = "all", .values = network_connections,                                        \
		.text = "only TCP segments with SYN, which open connections, or only those without" \
	}

#define NETWORK_FLOW_ROWS(params)                                                                                    \
	{.name = "flows",                                                                                            \
	 .type = ROW_NUMBER,                                                                                         \
	 FIELD(params, network.flows),                                                                               \
	 .def = "100",                                                                                               \
	 .min = 0.001,                                                                                               \
	 .max = 100,                                                                                                 \
	 .unit = "%",                                                                                                \
	 .text = "share of the flows (connections, and the like of other protocols) that is hit"},                   \
		NETWORK_PLACE_ROWS(params, network.aim),                                                             \
	{                                                                                                            \
		.name = "allowLockout", .type = ROW_BOOLEAN, FIELD(params, network.allow_lockout),                   \
		.def = "false",                                                                                      \
		.text = "do not spare neighbour discovery, DHCP, metadata addresses and the caller's SSH connection" \
	}

#define NETWORK_ROWS_OF(params, default_interface, default_direction, peers_needed)               \
	NETWORK_LINK_ROWS(params, default_interface, default_direction),                          \
		NETWORK_PROTOCOL_ROW(params, network_protocols), NETWORK_PORTS_ROW(params, NULL), \
		NETWORK_PEER_ROWS(params, peers_needed), NETWORK_CONNECTIONS_ROW(params),         \
		NETWORK_FLOW_ROWS(params)
#define NETWORK_ROWS(params, default_direction) \
	NETWORK_ROWS_OF(params, "DEFAULT", default_direction, false)

/* For actions that drop. */
#define NETWORK_VISIBLE_ROW(params)                                                                                \
	{                                                                                                          \
		.name = "visible", .type = ROW_BOOLEAN, FIELD(params, network.visible),                            \
		.def = "false",                                                                                    \
		.text = "the local sender notices a drop on egress; by default it sees what a lossy network shows" \
	}

/* For actions whose own chance is not this one. */
#define NETWORK_PACKETS_ROW(params)                                                                                \
	{                                                                                                          \
		.name = "packets", .type = ROW_NUMBER, FIELD(params, network.packets),                             \
		.def = "100", .min = 0.001, .max = 100, .unit = "%",                                               \
		.text = "share of the matching packets that is impaired, each by chance; the others are untouched" \
	}

int network_look(const struct network *n, struct facts *facts, struct error *e);

/* The same, and refuses what shapers need and the kernel lacks. `netem`: is more than tbf needed?
 */
int network_look_shaping(const struct network *n, bool netem, struct facts *facts, struct error *e);

/* Adds, for every interface and direction, the steps that attach the classifier, make the shaper
 * (VERDICT_SHAPE) and write the rule. */
int network_plan(const struct network *n, const struct network_effect *effect,
		 const struct facts *facts, struct plan *plan, struct error *e);

/* Adds, for every interface and direction, the step that ends at once the TCP connections whose
 * packets network_plan() would write a rule for; to be called after it. */
int network_plan_cut(const struct network *n, const struct network_effect *effect,
		     const struct facts *facts, struct plan *plan, struct error *e);

/* "tcp packets to ports 80,443 leaving eth0 …" */
void network_describe(const struct network *n, struct text *t);

#endif
