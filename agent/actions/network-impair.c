/* SPDX-License-Identifier: Apache-2.0 */
/* network-impair: the victim's packets meet several things at once, as on a bad line: they are
 * late, lost, doubled, corrupted, out of order, or too many. Each packet of the fault goes through
 * all of it. Changed and put back as for network-latency. */
#include <math.h>

#include "actions/shaping.h"

struct network_impair {
	struct network network;
	struct delaying delaying;
	double loss, duplicate, corrupt, reorder;
	double rate; /* NAN: unlimited */
	uint64_t burst;
};

#define SHARE_ROW(member, what)                                                                   \
	{                                                                                         \
		.name = #member, .type = ROW_NUMBER, FIELD(struct network_impair, member),        \
		.def = "0", .max = 100, .unit = "%", .text = "share of the packets that is " what \
	}

static const struct row rows[] = {
	DELAY_ROWS(struct network_impair, "0"),
	SHARE_ROW(loss, "dropped"),
	SHARE_ROW(duplicate, "sent twice"),
	SHARE_ROW(corrupt, "corrupted, by one bit"),
	SHARE_ROW(reorder, "not delayed, and so overtakes others; with delay only"),
	{.name = "rate",
	 .type = ROW_QUANTITY,
	 FIELD(struct network_impair, rate),
	 .min = RATE_MIN,
	 .max = RATE_MAX,
	 .unit = UNIT_RATE,
	 .text = "what all matching packets get together, in each direction; not given: no limit"},
	{.name = "burst",
	 .type = ROW_BYTES,
	 FIELD(struct network_impair, burst),
	 .min = BURST_MIN,
	 .max = BURST_MAX,
	 .unit = "bytes",
	 .text = "with rate: so much passes at once after a pause; by default what comes in 10 ms"},
	NETWORK_ROWS(struct network_impair, "egress"),
	NETWORK_PACKETS_ROW(struct network_impair),
};

#define QUEUE_MS 200 /* as network-rate has it */

static void fill(const struct network_impair *p, struct netem *ret)
{
	*ret = (struct netem){.loss = netem_chance(p->loss),
			      .duplicate = netem_chance(p->duplicate),
			      .corrupt = netem_chance(p->corrupt),
			      .reorder = netem_chance(p->reorder),
			      .gap = p->reorder > 0,
			      .burst_bytes = p->burst};
	if (!isnan(p->rate)) {
		ret->rate_bytes = (uint64_t)(p->rate / 8);
		ret->queue_ms = QUEUE_MS;
	}
	delaying_fill(&p->delaying, p->delaying.delay_ms, ret);
}

static int check(const struct network_impair *p, const struct netem *netem, struct error *e)
{
	int r = delaying_check(&p->delaying, NULL, e);

	if (r < 0)
		return r;
	if (!netem_is_needed(netem) && !netem->rate_bytes)
		return error_field(e, "parameters.delay", "",
				   "at least one of delay, jitter, loss, duplicate, corrupt, rate",
				   "nothing would be impaired");
	if (p->reorder > 0 && p->delaying.delay_ms <= 0)
		return error_field(e, "parameters.reorder", "", "0, or with a delay",
				   "without delay nobody waits who could be overtaken");
	if (p->burst && !netem->rate_bytes)
		return error_field(e, "parameters.burst", "", "with rate only",
				   "of what is not limited there are no bursts");
	return 0;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct network_impair *p = params;
	struct netem netem;
	int r;

	fill(p, &netem);
	r = check(p, &netem, e);
	return r < 0 ? r : network_look_shaping(&p->network, netem_is_needed(&netem), facts, e);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct network_impair *p = params;
	struct netem netem;

	fill(p, &netem);
	return shaping_plan(&p->network, p->network.packets, &netem, facts, plan, e);
}

static void describe_share(const char *what, double percent, const char **between, struct text *t)
{
	if (percent <= 0)
		return;
	text_add(t, "%s %s %.6g %%", *between, what, percent);
	*between = ",";
}

static void describe(const void *params, struct text *t)
{
	const struct network_impair *p = params;
	const char *between = ":";

	text_add(t, "impair ");
	shaping_describe(&p->network, t);
	if (p->delaying.delay_ms > 0 || p->delaying.jitter_ms > 0) {
		text_add(t, "%s delay ", between);
		delaying_describe(&p->delaying, p->delaying.delay_ms, t);
		between = ",";
	}
	describe_share("loss", p->loss, &between, t);
	describe_share("duplicate", p->duplicate, &between, t);
	describe_share("corrupt", p->corrupt, &between, t);
	describe_share("reorder", p->reorder, &between, t);
	if (!isnan(p->rate)) {
		text_add(t, "%s rate ", between);
		rate_print(p->rate, t);
	}
}

extern const struct action action_network_impair;
const struct action action_network_impair = {
	.name = "network-impair",
	.summary = "Delay, drop, duplicate, corrupt, reorder and limit packets at once",
	.description =
		"Every matching packet goes through all that is asked for, in one netem on a device of the fault's own "
		"beside the interface, whose queues are as before. ARP, neighbour discovery, DHCP, metadata addresses and "
		"the caller's SSH connection are spared. Needs netem.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct network_impair),
	.look = look,
	.plan = plan,
	.describe = describe,
	.composition =
		"composes: a packet that several match goes through the first; each ends by itself",
};
