/* SPDX-License-Identifier: Apache-2.0 */
/* Where packets are impaired: in the network namespace of the host, of a container, or of any
 * other; and whose they are. */
#ifndef FAULTD_ACTIONS_NETWORK_PLACE_H
#define FAULTD_ACTIONS_NETWORK_PLACE_H

#include "actions/target.h"

struct network_aim {
	char netns[NETNS_PATH_MAX]; /* "blue", "/run/netns/blue", "pid:12", or "" */
	char user[33];
	struct target target;
};

/* The rows, for a params struct whose member `aim` is a struct network_aim: which namespaces, and
 * whose packets in them. */
#define NETWORK_NAMESPACE_ROWS(params, aim)                                                                       \
	TARGET_ROWS_AT(params, aim.target),                                                                       \
	{                                                                                                         \
		.name = "netns", .type = ROW_STRING, FIELD_STRING(params, aim.netns),                             \
		.text = "in this network namespace: a name under /run/netns, the path of its file, or pid:NUMBER" \
	}
#define NETWORK_PLACE_ROWS(params, aim)                                                   \
	NETWORK_NAMESPACE_ROWS(params, aim),                                              \
	{                                                                                 \
		.name = "user", .type = ROW_STRING, FIELD_STRING(params, aim.user),       \
		.text = "only what sockets of this user send, by name or number (egress)" \
	}

/* Resolves it into facts->places, at least one unless facts->skipped, and facts->user. A target is
 * entered when its first process has a network namespace other than faultd's; else it is told by
 * its cgroup, which only egress can do. Several targets in one namespace are one place. */
int network_places_look(const struct network_aim *aim, struct facts *facts, struct error *e);

/* The same for what belongs to a whole namespace and to no cgroup, such as an interface: a target
 * in faultd's own namespace is refused. */
int network_namespaces_look(const struct network_aim *aim, struct facts *facts, struct error *e);

/* Calls `run` inside the place. Returns what it did, or a negative errno and the error. */
int network_place_run(const struct network_place *place, int (*run)(void *arg), void *arg,
		      struct error *e);

/* " in container 3f1c…", " in the network namespace blue", " of user 33" */
void network_places_describe(const struct network_aim *aim, struct text *t);

#endif
