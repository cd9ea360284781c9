/* SPDX-License-Identifier: Apache-2.0 */
/* network-rate: the victim sees a slow link. What is beyond the rate waits, at most so long, and is
 * dropped then.
 * Changed on the host: a classifier on the interface, a rule in it that marks packets, and a filter
 * that redirects them to a device with a tbf qdisc. Put back by clearing the rule, then
 * deleting filter and device; the rule itself ends at the deadline in any case. */
#include <math.h>

#include "actions/shaping.h"

struct network_rate {
	struct network network;
	double rate;
	uint64_t burst;
	uint64_t queue_ms;
	struct grading grading;
};

static const struct row rows[] = {
	{.name = "rate",
	 .type = ROW_QUANTITY,
	 FIELD(struct network_rate, rate),
	 .required = true,
	 .min = RATE_MIN,
	 .max = RATE_MAX,
	 .unit = UNIT_RATE,
	 .text = "what all matching packets get together, in each direction"},
	{.name = "burst",
	 .type = ROW_BYTES,
	 FIELD(struct network_rate, burst),
	 .min = BURST_MIN,
	 .max = BURST_MAX,
	 .unit = "bytes",
	 .text = "so much passes at once after a pause; by default what comes in 10 ms, at least 10 KiB"},
	{.name = "queue",
	 .type = ROW_DURATION,
	 FIELD(struct network_rate, queue_ms),
	 .def = "200ms",
	 .min = 1,
	 .max = 60000,
	 .text = "the longest that a packet waits for its turn; what would wait longer is dropped"},
	NETWORK_PACKETS_ROW(struct network_rate),
	NETWORK_ROWS(struct network_rate, "egress"),
	GRADE_ROWS(struct network_rate, "rate"),
};

/* From nothing on, as other ramps begin, would be no link at all. */
static int check_ramp(const struct grading *g, struct error *e)
{
	const char *allowed = RATE_ALLOWED ", 8kbit at least";

	if (!g->over_ms)
		return 0;
	if (isnan(g->from))
		return error_field(e, "parameters.from", "", allowed, "required with over");
	if (g->from < RATE_MIN)
		return error_field(e, "parameters.from", "", allowed, "too slow");
	if (g->to < RATE_MIN) /* not when it is absent: NAN */
		return error_field(e, "parameters.to", "", allowed, "too slow");
	return 0;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct network_rate *p = params;
	int r = grading_check(&p->grading, RATE_MIN, RATE_MAX, e);

	if (r == 0)
		r = check_ramp(&p->grading, e);
	return r < 0 ? r : network_look_shaping(&p->network, false, facts, e);
}

/* The qdisc takes a new rate in place, so faultd itself drives the ramp. */
static bool graded(const void *params, struct grade *ret, double *ret_to)
{
	const struct network_rate *p = params;

	return grading_of(&p->grading, p->rate, ret, ret_to);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct network_rate *p = params;
	const struct network_effect effect = {
		.verdict = VERDICT_SHAPE,
		.percent = p->network.packets,
		.netem = {.rate_bytes = (uint64_t)(facts->grade / 8),
			  .burst_bytes = p->burst,
			  .queue_ms = p->queue_ms},
	};

	return network_plan(&p->network, &effect, facts, plan, e);
}

static void describe(const void *params, struct text *t)
{
	const struct network_rate *p = params;

	text_add(t, "limit ");
	if (p->network.packets < 100)
		text_add(t, "%.6g %% of ", p->network.packets);
	network_describe(&p->network, t);
	text_add(t, " to ");
	rate_print(grading_end(&p->grading, p->rate), t);
	grading_describe(&p->grading, t);
}

extern const struct action action_network_rate;
const struct action action_network_rate = {
	.name = "network-rate",
	.summary = "Limit the rate of packets of an interface",
	.description =
		"Matching packets share a token bucket of their own in each direction and on each interface: those "
		"beyond the rate wait, and are dropped when the queue is full. The interface's own queueing "
		"disciplines are not touched. ARP, neighbour discovery, DHCP, metadata addresses and the caller's SSH "
		"connection are spared.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct network_rate),
	.look = look,
	.plan = plan,
	.describe = describe,
	.graded = graded,
	.composition =
		"composes: each fault has a bucket of its own; a packet that two match is in that of the first",
};
