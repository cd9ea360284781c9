/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces of the namespace faultd runs in. */
#ifndef FAULTD_HOST_INTERFACES_H
#define FAULTD_HOST_INTERFACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/str.h"

struct interface {
	char name[16];
	uint32_t index;
	uint32_t type; /* ARPHRD_*, if_arp.h */
	bool up;
};

/* Returns 0, -ENODEV when there is none of that name, or another errno. */
int interface_find(const char *name, struct interface *ret);

/* The one that carries the default route with the lowest metric, IPv4 first.
 * Returns 0, -ENOENT when there is no default route, or another errno. */
int interface_default(struct interface *ret);

/* Calls `each` for every interface; what it returns other than 0 ends it. */
int interface_each(int (*each)(const struct interface *i, void *arg), void *arg);

/* The names of all, separated by commas, for an error that says what is allowed. */
void interface_names(struct text *t);

/* Bytes of link header in front of the network header: 14 or 0. -EOPNOTSUPP: the classifier does
 * not know this type of link. */
int interface_l2_length(const struct interface *i);

/* Calls `each` for every address of the interface with its prefix, "10.0.0.5/24"; what it returns
 * other than 0 ends it. */
int interface_addresses(uint32_t ifindex, int (*each)(const char *address, void *arg), void *arg);

/* Its MTU, and its speed in Mbit/s; 0: unknown, as of many virtual ones. */
uint32_t interface_mtu(const char *name);
uint32_t interface_speed_mbit(const char *name);

/* Does this interface have a clsact qdisc? Returns 1, 0, -EADDRINUSE (an ingress qdisc has its
 * place), or another errno. */
int interface_has_clsact(uint32_t ifindex);

#endif
