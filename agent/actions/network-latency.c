/* SPDX-License-Identifier: Apache-2.0 */
/* network-latency: the victim's packets take longer, by a fixed time or one that varies.
 * Changed on the host: a classifier on the interface, a device of the fault's own with netem
 * on it, the clsact filter that sends there what the classifier marks, and a rule. The interface's
 * own queues are not touched. Put back in reverse; the rule ends at the deadline in any case, and
 * netem has nothing to do from then on. */
#include "actions/fis.h"
#include "actions/shaping.h"

struct network_latency {
	struct network network;
	struct delaying delaying;
	struct grading grading;
};

static const struct row rows[] = {
	DELAY_ROWS(struct network_latency, "200ms"),
	NETWORK_ROWS(struct network_latency, "egress"),
	NETWORK_PACKETS_ROW(struct network_latency),
	GRADE_ROWS(struct network_latency, "delay"),
};

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct network_latency *p = params;
	int r = grading_check(&p->grading, 0, DELAY_MAX_MS, e);

	if (r == 0)
		r = delaying_check(&p->delaying, &p->grading, e);
	return r < 0 ? r : shaping_look(&p->network, facts, e);
}

static bool graded(const void *params, struct grade *ret, double *ret_to)
{
	const struct network_latency *p = params;

	return grading_of(&p->grading, p->delaying.delay_ms, ret, ret_to);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct network_latency *p = params;
	struct netem netem = {0};

	delaying_fill(&p->delaying, facts->grade, &netem);
	return shaping_plan(&p->network, p->network.packets, &netem, facts, plan, e);
}

static void describe(const void *params, struct text *t)
{
	const struct network_latency *p = params;

	text_add(t, "delay ");
	shaping_describe(&p->network, t);
	text_add(t, " by ");
	delaying_describe(&p->delaying, grading_end(&p->grading, p->delaying.delay_ms), t);
	grading_describe(&p->grading, t);
}

static const struct alias_row ssm_rows[] = {
	{.name = "DelayMilliseconds", .row = "delay", .def = "200"},
	{.name = "Interface", .row = "interface", .def = "DEFAULT"},
	FIS_SSM_ROWS,
	{0}};
static const struct alias_row ssm_sources_rows[] = {
	{.name = "DelayMilliseconds", .row = "delay", .def = "200"},
	{.name = "JitterMilliseconds", .row = "jitter", .def = "10"},
	{.name = "FlowsPercent", .row = "flows", .def = "100"},
	{.name = "Sources", .row = "peers", .required = true},
	{.name = "TrafficType", .row = "direction", .def = "ingress"},
	{.name = "Interface", .row = "interface", .def = "DEFAULT"},
	FIS_SSM_ROWS,
	{0}};
static const struct alias_row ssm_ecs_rows[] = {
	{.name = "DelayMilliseconds", .row = "delay", .def = "200"},
	{.name = "JitterMilliseconds", .row = "jitter", .def = "10"},
	{.name = "FlowsPercent", .row = "flows", .def = "100"},
	{.name = "Sources", .row = "peers", .def = "ALL"},
	FIS_SSM_ECS_ROWS,
	FIS_SSM_ROWS,
	{0}};
static const struct alias_row ecs_rows[] = {
	{.name = "delayMilliseconds", .row = "delay", .def = "200"},
	{.name = "jitterMilliseconds", .row = "jitter", .def = "10"},
	{.name = "flowsPercent", .row = "flows", .def = "100"},
	{.name = "sources", .row = "peers", .def = "ALL"},
	FIS_ECS_ROWS,
	{0}};
static const struct alias_row eks_rows[] = {
	{.name = "delayMilliseconds", .row = "delay", .def = "200"},
	{.name = "jitterMilliseconds", .row = "jitter", .def = "10"},
	{.name = "flowsPercent", .row = "flows", .def = "100"},
	{.name = "sources", .row = "peers", .def = "ALL"},
	{.name = "interface", .row = "interface", .def = "DEFAULT"},
	FIS_EKS_ROWS,
	{0}};
static const struct alias aliases[] = {{"AWSFIS-Run-Network-Latency", ssm_rows},
				       {"AWSFIS-Run-Network-Latency-Sources", ssm_sources_rows},
				       {"AWSFIS-Run-Network-Latency-ECS", ssm_ecs_rows},
				       {"aws:ecs:task-network-latency", ecs_rows},
				       {"aws:eks:pod-network-latency", eks_rows},
				       {0}};

extern const struct action action_network_latency;
const struct action action_network_latency = {
	.name = "network-latency",
	.summary = "Delay packets of an interface, by a fixed time or one that varies",
	.description =
		"Matching packets wait in netem, on a device of the fault's own beside the interface, whose queues "
		"are as before. With jitter each waits for a time of its own, so that packets overtake each other. "
		"ARP, neighbour discovery, DHCP, metadata addresses and the caller's SSH connection are spared. "
		"Needs netem.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct network_latency),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
	.graded = graded,
	.composition =
		"composes: a packet that several match is delayed by the first; each ends by itself",
};
