/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of a memory load: how much to hold now, so that others always keep their reserve
 * and are not kept waiting for memory. Pure: no clock, no kernel. */
#ifndef FAULTD_LOAD_MEMORY_CONTROL_H
#define FAULTD_LOAD_MEMORY_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#define MEMORY_BLOCK_BYTES (2ULL << 20) /* a huge page */
#define MEMORY_CHUNK_BYTES (64ULL << 20)

/* More of the time than this somebody waited for memory: that is pressure. */
#define MEMORY_STALL_MAX 0.1

/* What there is now. */
struct memory_sample {
	uint64_t now_ns;
	uint64_t available; /* by the host and every limit above us, whichever leaves least */
	uint64_t used;      /* by all, ourselves included */
	double stall;       /* the share of the time since the last such reading; negative: none */
};

struct memory_control {
	bool total;       /* others count towards what is wanted */
	uint64_t reserve; /* always left to others; 0: nothing is spared, the OOM killer may come */
	unsigned workers; /* that share the load, and all that is given back */

	uint64_t cap; /* no more than this, since others needed some; UINT64_MAX */
	uint64_t raise_ns;
	uint64_t calm_ns; /* how long the cap stays as it is */
	bool grew;        /* since the last reading of stalls, which may have been our own */
	bool paused;
	uint64_t yielded; /* how often some was given back */
};

void memory_control_init(struct memory_control *c, bool total, uint64_t reserve, unsigned workers);

/* What this worker would hold if there were enough. `want`: its own load; with `total`, that of all
 * on the host or in the cgroup. */
uint64_t memory_control_wish(const struct memory_control *c, uint64_t want, uint64_t held,
			     const struct memory_sample *s);

/* What it may hold now: `wish`, or less. Call it anew before each chunk. */
uint64_t memory_control_goal(struct memory_control *c, uint64_t wish, uint64_t held,
			     const struct memory_sample *s);

/* The most to fill before looking again: little when little is left. */
uint64_t memory_control_chunk(const struct memory_control *c, const struct memory_sample *s);

/* How long to sleep until looking again: short when others could soon reach the reserve. */
uint64_t memory_control_interval(const struct memory_control *c, const struct memory_sample *s);

#endif
