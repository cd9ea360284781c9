/* SPDX-License-Identifier: Apache-2.0 */
/* What actions share whose packets go through netem: rows, what the kernel must have, the plan. */
#ifndef FAULTD_ACTIONS_SHAPING_H
#define FAULTD_ACTIONS_SHAPING_H

#include "actions/grade.h"
#include "actions/network.h"

#define DELAY_MAX_MS  600000 /* longer than any timeout that waits for it */
#define JITTER_MAX_MS 2147   /* netem keeps it in 31 bits of nanoseconds, and cuts off silently */

#define RATE_MIN  8000 /* bit/s: one packet takes 1.5 s */
#define RATE_MAX  1e12
#define BURST_MIN 2000
#define BURST_MAX 0x1p30

struct delaying {
	double delay_ms;
	double jitter_ms;
	double correlation; /* percent */
	int distribution;   /* enum netem_distribution */
};

extern const char *const netem_distributions[];

/* The rows, for a params struct whose member `delaying` is a struct delaying.
 *
 * On correlation: netem (Linux 6.1) correlates random numbers of 32 bits, and takes them
 * modulo the table's size, or twice the jitter in nanoseconds. Only the uncorrelated low bits are
 * left, unless that is about 2^32. */
#define DELAY_ROWS(params, default_delay)                                                                     \
	{.name = "delay",                                                                                     \
	 .type = ROW_QUANTITY,                                                                                \
	 FIELD(params, delaying.delay_ms),                                                                    \
	 .def = default_delay,                                                                                \
	 .max = DELAY_MAX_MS,                                                                                 \
	 .unit = UNIT_MS,                                                                                     \
	 .text = "how long a packet is kept: 200ms, 1.5s, 500us, or a number of milliseconds"},               \
		{.name = "jitter",                                                                            \
		 .type = ROW_QUANTITY,                                                                        \
		 FIELD(params, delaying.jitter_ms),                                                           \
		 .def = "0",                                                                                  \
		 .max = JITTER_MAX_MS,                                                                        \
		 .unit = UNIT_MS,                                                                             \
		 .text = "standard deviation of the delay, or its range to both sides when uniform; packets " \
			 "overtake each other"},                                                              \
		{.name = "correlation",                                                                       \
		 .type = ROW_NUMBER,                                                                          \
		 FIELD(params, delaying.correlation),                                                         \
		 .def = "0",                                                                                  \
		 .max = 100,                                                                                  \
		 .unit = "%",                                                                                 \
		 .text = "how much a delay should be like the one before; handed to netem, where it "         \
			 "shows only with the uniform distribution and a jitter of seconds"},                 \
	{                                                                                                     \
		.name = "distribution", .type = ROW_ENUM, FIELD(params, delaying.distribution),               \
		.def = "normal", .values = netem_distributions,                                               \
		.text = "of the delay, when there is jitter"                                                  \
	}

/* For actions that are nothing but one of netem's chances. */
#define CHANCE_ROWS(params, default_percent, what)                                                               \
	{.name = "percent",                                                                                      \
	 .type = ROW_NUMBER,                                                                                     \
	 FIELD(params, percent),                                                                                 \
	 .def = default_percent,                                                                                 \
	 .min = 0.001,                                                                                           \
	 .max = 100,                                                                                             \
	 .unit = "%",                                                                                            \
	 .text = "share of the matching packets that is " what ", each by chance"},                              \
	{                                                                                                        \
		.name = "correlation", .type = ROW_NUMBER, FIELD(params, correlation), .def = "0",               \
		.max = 100, .unit = "%",                                                                         \
		.text = "how much chance repeats itself from packet to packet; a small share gets smaller by it" \
	}

struct chance_fault {
	struct network network;
	double percent;
	double correlation;
	struct grading grading;
};

#define CHANCE_FAULT_ROWS(default_percent, what)                 \
	CHANCE_ROWS(struct chance_fault, default_percent, what), \
		NETWORK_ROWS(struct chance_fault, "egress"),     \
		GRADE_ROWS(struct chance_fault, "percent")

/* Of these actions, for their descriptors; describing begins with a verb of their own. */
int chance_look(const void *params, struct facts *facts, struct error *e);
bool chance_graded(const void *params, struct grade *ret, double *ret_to);
void chance_describe(const char *verb, const struct chance_fault *p, struct text *t);

/* Refuses a correlation of nothing, and with `g` what never delays anything. Returns 0 or -EINVAL.
 */
int delaying_check(const struct delaying *d, const struct grading *g, struct error *e);

/* `delay_ms`: now; ramps change it. */
void delaying_fill(const struct delaying *d, double delay_ms, struct netem *ret);

/* "200 ms, jitter 10 ms (normal)" */
void delaying_describe(const struct delaying *d, double delay_ms, struct text *t);

/* network_look(), and what netem needs of the kernel. */
int shaping_look(const struct network *n, struct facts *facts, struct error *e);

/* Sends `percent` of the packets that match through `netem`. */
int shaping_plan(const struct network *n, double percent, const struct netem *netem,
		 const struct facts *facts, struct plan *plan, struct error *e);

/* "50 % of tcp packets leaving eth0" */
void shaping_describe(const struct network *n, struct text *t);

#endif
