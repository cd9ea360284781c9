/* SPDX-License-Identifier: Apache-2.0 */
/* How interfaces stand on each other, and which way packets go. */
#ifndef FAULTD_HOST_LINKS_H
#define FAULTD_HOST_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/str.h"

#define LINKS_ABOVE_MAX 32

/* An interface and all that stands on it: the bridge or bond it is in, its VLANs, macvlans … */
struct links_above {
	uint32_t ifindex[LINKS_ABOVE_MAX]; /* itself first */
	size_t n;
};

/* Returns 0, -E2BIG or another errno. */
int links_above(uint32_t ifindex, struct links_above *ret);

bool links_above_has(const struct links_above *above, uint32_t ifindex);

/* A VLAN on it that is up and would go down with it. Returns 1 and its name, 0, or a negative
 * errno. One that was moved to another network namespace is not seen. */
int link_vlan(uint32_t ifindex, char *name, size_t size);

/* Does the kernel itself act on IPv6 router advertisements there? Returns 1, 0 or a negative
 * errno. */
int link_takes_advertisements(uint32_t ifindex);

/* Does a default route of the main table go over one of them? Returns 1, 0 or a negative errno. */
int route_default_over(const struct links_above *above);

/* The interface by which packets to this address (IPv4 mapped) go. Returns 0 or a negative errno.
 */
int route_to(const uint8_t address[16], uint32_t *ret_ifindex);

#endif
