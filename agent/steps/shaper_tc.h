/* SPDX-License-Identifier: Apache-2.0 */
/* What a shaper is made of, each made by one request to the kernel: an ifb device or a veth pair,
 * netem and tbf as its qdiscs, the program of the filter that leads there. */
#ifndef FAULTD_STEPS_SHAPER_TC_H
#define FAULTD_STEPS_SHAPER_TC_H

#include <stdbool.h>
#include <stdint.h>

#include "plan/step.h"
#include "util/nl.h"

#define LINK_HEADER_MAX 64 /* bytes of a packet that its MTU does not count */

/* How much the queues hold. Never the kernel's defaults: netem's 1000 packets are 10 ms of a fast
 * interface, and what is beyond them is dropped. */
struct shaper_sizes {
	uint32_t netem_packets;
	uint32_t burst_bytes;
	uint32_t queue_bytes;
};

/* `speed_mbit` of the interface; 0: unknown. */
struct shaper_sizes shaper_sizes_of(const struct netem *n, uint32_t mtu, uint32_t speed_mbit);

/* Makes the device, down: an ifb or, where `ret_peer` is not NULL, a veth pair. Returns 0, -EEXIST,
 * -EOPNOTSUPP (no ifb, no veth), or another errno. */
int shaper_device_add(const struct step_shaper *p, uint32_t *ret_ifindex, uint32_t *ret_peer);
int shaper_device_up(uint32_t ifindex);

/* The options of a qdisc, into a message that has its TCA_KIND. `table`: of the jitter, or NULL. */
void shaper_put_netem(struct nl_request *q, const struct netem *n, uint32_t packets,
		      const int16_t *table);
void shaper_put_tbf(struct nl_request *q, uint64_t rate_bytes, const struct shaper_sizes *sizes);

/* Adds the qdiscs, or gives those that are there new values: what they hold stays. Returns 0,
 * -ENOENT (the kernel has no netem, or no tbf) or another errno. */
int shaper_netem_set(uint32_t ifindex, const struct netem *n, const struct shaper_sizes *sizes,
		     bool add);
int shaper_tbf_set(uint32_t ifindex, uint64_t rate_bytes, const struct shaper_sizes *sizes,
		   bool add);

/* Is there a netem below a tbf, or in its place? */
static inline bool shaper_has_netem(const struct netem *n)
{
	return netem_is_needed(n) || n->rate_bytes == 0;
}

/* Returns 0, -ENODEV when there is no such qdisc, or another errno. */
int shaper_count(uint32_t ifindex, struct shaper_counters *ret);

/* Loads the program of the mark filter. Returns its descriptor or a negative errno. */
int mark_program_load(uint32_t mark, uint32_t direction);

#endif
