/* SPDX-License-Identifier: Apache-2.0 */
/* network-loss: the victim sees a share of its packets vanish, as on a lossy network.
 * Changed on the host: a classifier on the interface (TCX link, or clsact and a filter) and a rule
 * in it. Put back by clearing the rule, then detaching; the rule itself ends at the deadline in any
 * case. */
#include "actions/grade.h"
#include "actions/network.h"

struct network_loss {
	struct network network;
	double percent;
	struct grading grading;
};

static const struct row rows[] = {
	{.name = "percent",
	 .type = ROW_NUMBER,
	 FIELD(struct network_loss, percent),
	 .def = "7",
	 .min = 0.001,
	 .max = 100,
	 .unit = "%",
	 .text = "share of the matching packets that is dropped, each by chance"},
	NETWORK_ROWS(struct network_loss, "egress"),
	NETWORK_VISIBLE_ROW(struct network_loss),
	GRADE_ROWS(struct network_loss, "percent"),
};

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct network_loss *p = params;
	int r = grading_check(&p->grading, 0.001, 100, e);

	return r < 0 ? r : network_look(&p->network, facts, e);
}

/* A rule's threshold can be written over, so faultd itself drives the ramp. */
static bool graded(const void *params, struct grade *ret, double *ret_to)
{
	const struct network_loss *p = params;

	return grading_of(&p->grading, p->percent, ret, ret_to);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct network_loss *p = params;
	const struct network_effect effect = {.verdict = VERDICT_DROP, .percent = facts->grade};

	return network_plan(&p->network, &effect, facts, plan, e);
}

static void describe(const void *params, struct text *t)
{
	const struct network_loss *p = params;

	text_add(t, "drop %.6g %% of ", grading_end(&p->grading, p->percent));
	network_describe(&p->network, t);
	grading_describe(&p->grading, t);
}

static const struct alias_row loss_rows[] = {
	{.name = "LossPercent", .row = "percent", .def = "7"},
	{.name = "Interface", .row = "interface", .def = "DEFAULT"},
	{.name = "DurationSeconds", .row = "duration", .required = true},
	{.name = "InstallDependencies", .row = ""}, /* there are none to install */
	{0}};
static const struct alias_row sources_rows[] = {
	{.name = "LossPercent", .row = "percent", .def = "7"},
	{.name = "Interface", .row = "interface", .def = "DEFAULT"},
	{.name = "Sources", .row = "peers"},
	{.name = "TrafficType", .row = "direction", .def = "ingress"},
	{.name = "DurationSeconds", .row = "duration", .required = true},
	{.name = "InstallDependencies", .row = ""},
	{0}};
static const struct alias aliases[] = {{"AWSFIS-Run-Network-Packet-Loss", loss_rows},
				       {"AWSFIS-Run-Network-Packet-Loss-Sources", sources_rows},
				       {0}};

extern const struct action action_network_loss;
const struct action action_network_loss = {
	.name = "network-loss",
	.summary = "Drop a share of the packets of an interface",
	.description =
		"Matching packets are dropped by chance, silently unless asked. ARP, neighbour discovery, DHCP, "
		"metadata addresses and the caller's SSH connection are spared. A packet is what the kernel "
		"hands to the interface: one that the card is to split counts once.",
	.hold = HOLD_KERNEL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct network_loss),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
	.graded = graded,
	.composition =
		"composes: each fault drops its own share of what the others let through, and ends by itself",
};
