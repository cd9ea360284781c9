/* SPDX-License-Identifier: Apache-2.0 */
/* What a shaper does to the packets that are sent through it: the parameters of the netem and tbf
 * qdiscs (tc-netem(8), tc-tbf(8)), in units of their own. Data only. */
#ifndef FAULTD_PLAN_NETEM_H
#define FAULTD_PLAN_NETEM_H

#include <stdbool.h>
#include <stdint.h>

enum netem_distribution {
	DISTRIBUTION_UNIFORM,
	DISTRIBUTION_NORMAL,
	DISTRIBUTION_PARETO,
	DISTRIBUTION_PARETONORMAL,
	_DISTRIBUTION_MAX,
};

enum netem_loss_model {
	LOSS_RANDOM,         /* each packet by chance, or like the one before it */
	LOSS_STATE,          /* 4-state Markov model */
	LOSS_GILBERT_ELLIOT, /* two states */
	_LOSS_MODEL_MAX,
};

/* A chance is what netem takes: 0 never … UINT32_MAX always; see netem_chance(). */
struct netem {
	uint64_t delay_ns;
	uint64_t jitter_ns;
	uint32_t delay_correlation;
	uint32_t distribution; /* enum netem_distribution; of the jitter */

	uint32_t loss_model;              /* enum netem_loss_model */
	uint32_t loss, loss_correlation;  /* LOSS_RANDOM; 0: none */
	uint32_t p13, p31, p32, p23, p14; /* LOSS_STATE */
	uint32_t ge_p, ge_r, ge_h, ge_k1; /* LOSS_GILBERT_ELLIOT: to bad, to good; the chances of
					     tc's 1-h and 1-k: lost while bad, while good */

	uint32_t duplicate, duplicate_correlation;
	uint32_t corrupt, corrupt_correlation; /* one bit of the packet */
	/* The others wait for the delay; these, or each gap-th, go at once. */
	uint32_t reorder, reorder_correlation, gap;

	uint64_t rate_bytes;  /* per second, by tbf; 0: unlimited */
	uint64_t burst_bytes; /* of tbf; 0: what it needs at that rate */
	uint64_t queue_ms;    /* the longest a packet waits for its turn at that rate */
};

static inline uint32_t netem_chance(double percent)
{
	return percent >= 100.0 ? UINT32_MAX : (uint32_t)(percent / 100.0 * UINT32_MAX + 0.5);
}

/* Is there anything for netem, or is it the rate alone? (All fields but the rate's three.) */
static inline bool netem_is_needed(const struct netem *n)
{
	return n->delay_ns || n->jitter_ns || n->loss_model != LOSS_RANDOM || n->loss ||
	       n->duplicate || n->corrupt || n->reorder;
}

#endif
