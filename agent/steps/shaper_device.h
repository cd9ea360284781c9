/* SPDX-License-Identifier: Apache-2.0 */
/* The device of a shaper, found and deleted: for faultd and guardian, on the stack.
 *
 * It is an ifb, or one end of a veth pair of ours. Both carry the shaper's id in their names, and
 * nothing else tells which it is. */
#ifndef FAULTD_STEPS_SHAPER_DEVICE_H
#define FAULTD_STEPS_SHAPER_DEVICE_H

#include <stdint.h>
#include <stdio.h>

#include "plan/step.h"

#define SHAPER_NAME_SIZE 16
#define LOOPBACK_IFINDEX 1 /* in every namespace (Linux 2.6.39) */

static inline void shaper_name(const struct step_shaper *p, char name[SHAPER_NAME_SIZE])
{
	(void)snprintf(name, SHAPER_NAME_SIZE, "faultd-%08x", (unsigned)p->id);
}

/* Of the pair's other end. */
static inline void shaper_peer_name(const struct step_shaper *p, char name[SHAPER_NAME_SIZE])
{
	(void)snprintf(name, SHAPER_NAME_SIZE, "faultd_%08x", (unsigned)p->id);
}

static inline uint32_t shaper_mark(const struct step_shaper *p)
{
	return (uint32_t)p->id & 0xffff;
}

/* Where its filter is: in the direction of the fault, except that what leaves through lo is taken
 * when it arrives there. See shaper.c. */
static inline uint32_t shaper_side(const struct step_shaper *p)
{
	return p->hook.ifindex == LOOPBACK_IFINDEX ? CLASSIFY_INGRESS : (uint32_t)p->hook.direction;
}

struct link_seen {
	uint32_t ifindex, peer; /* 0: none */
	char kind[16];          /* of a virtual one: "veth" */
};

/* By name, or by index where that is NULL. Returns 1, 0 when there is none (then all is 0), or a
 * negative errno. */
int link_look(const char *name, uint32_t ifindex, struct link_seen *ret);

/* Returns 1 and its index, 0 when there is no device of that name or it is not ours (then *ret is 0
 * or its index), or a negative errno. */
int shaper_device_find(const struct step_shaper *p, uint32_t *ret);

/* Deletes it, and with it its peer. Returns 0 (deleted, absent, or not ours) or a negative errno.
 */
int shaper_device_delete(const struct step_shaper *p);

#endif
