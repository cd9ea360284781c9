/* SPDX-License-Identifier: Apache-2.0 */
/* network-loss: the victim sees a share of its packets vanish, as on a lossy network.
 * Changed on the host: a classifier on the interface (TCX link, or clsact and a filter) and a rule
 * in it. Put back by clearing the rule, then detaching; the rule itself ends at the deadline in any
 * case. Models other than bernoulli are netem's: changed and put back as for network-latency. */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "actions/fis.h"
#include "actions/shaping.h"

enum model { MODEL_BERNOULLI, MODEL_RANDOM, MODEL_STATE, MODEL_GILBERT_ELLIOTT, _MODEL_MAX };

static const char *const models[] = {"bernoulli", "random", "state", "gilbert-elliott", NULL};

#define PERCENT_DEFAULT       "7" /* of FIS */
#define PERCENT_DEFAULT_VALUE 7

struct network_loss {
	struct network network;
	int model; /* enum model */
	double percent;
	double correlation;
	double p13, p31, p32, p23, p14;         /* NAN: not given */
	double p, r, loss_in_bad, loss_in_good; /* likewise */
	struct grading grading;
};

/* Of one model, so without a default: NAN is not given. */
#define MODEL_ROW(row, member, what)                                                               \
	{                                                                                          \
		.name = row, .type = ROW_QUANTITY, FIELD(struct network_loss, member), .max = 100, \
		.unit = "%", .text = what                                                          \
	}

static const struct row rows[] = {
	{.name = "percent",
	 .type = ROW_NUMBER,
	 FIELD(struct network_loss, percent),
	 .def = PERCENT_DEFAULT,
	 .min = 0.001,
	 .max = 100,
	 .unit = "%",
	 .text = "share of the matching packets that is dropped, each by chance (bernoulli, random)"},
	{.name = "model",
	 .type = ROW_ENUM,
	 FIELD(struct network_loss, model),
	 .def = "bernoulli",
	 .values = models,
	 .text = "which are lost: bernoulli: each for itself; the others are netem's: random: with "
		 "correlation, state: 4-state Markov, gilbert-elliott: bursts"},
	{.name = "correlation",
	 .type = ROW_QUANTITY,
	 FIELD(struct network_loss, correlation),
	 .max = 100,
	 .unit = "%",
	 .text = "random: how much chance repeats itself; a small share gets smaller by it"},
	MODEL_ROW("p13", p13, "state: good to lossy, per packet"),
	MODEL_ROW("p31", p31, "state: lossy to good; not given: 100 - p13"),
	MODEL_ROW("p32", p32, "state: lossy to a gap within the burst; not given: 0"),
	MODEL_ROW("p23", p23, "state: such a gap to lossy; not given: 100"),
	MODEL_ROW("p14", p14, "state: a single loss while good; not given: 0"),
	MODEL_ROW("p", p, "gilbert-elliott: good to bad, per packet"),
	MODEL_ROW("r", r, "gilbert-elliott: bad to good; not given: 100 - p"),
	MODEL_ROW("lossInBad", loss_in_bad,
		  "gilbert-elliott: lost while bad (1-h); not given: 100"),
	MODEL_ROW("lossInGood", loss_in_good,
		  "gilbert-elliott: lost while good (1-k); not given: 0"),
	NETWORK_ROWS(struct network_loss, "egress"),
	NETWORK_VISIBLE_ROW(struct network_loss),
	GRADE_ROWS(struct network_loss, "percent"),
};

/* What belongs to which model; `needed`: the model is nothing without it. */
struct model_row {
	const char *field;
	size_t offset;
	enum model model;
	bool needed;
};

static const struct model_row model_rows[] = {
	{"parameters.correlation", offsetof(struct network_loss, correlation), MODEL_RANDOM, false},
	{"parameters.p13", offsetof(struct network_loss, p13), MODEL_STATE, true},
	{"parameters.p31", offsetof(struct network_loss, p31), MODEL_STATE, false},
	{"parameters.p32", offsetof(struct network_loss, p32), MODEL_STATE, false},
	{"parameters.p23", offsetof(struct network_loss, p23), MODEL_STATE, false},
	{"parameters.p14", offsetof(struct network_loss, p14), MODEL_STATE, false},
	{"parameters.p", offsetof(struct network_loss, p), MODEL_GILBERT_ELLIOTT, true},
	{"parameters.r", offsetof(struct network_loss, r), MODEL_GILBERT_ELLIOTT, false},
	{"parameters.lossInBad", offsetof(struct network_loss, loss_in_bad), MODEL_GILBERT_ELLIOTT,
	 false},
	{"parameters.lossInGood", offsetof(struct network_loss, loss_in_good),
	 MODEL_GILBERT_ELLIOTT, false},
};

static int check_model_row(const struct network_loss *p, const struct model_row *row,
			   struct error *e)
{
	double v = *(const double *)(const void *)((const char *)p + row->offset);
	bool given = !isnan(v);
	char shown[32] = "", allowed[64];

	if (given)
		(void)snprintf(shown, sizeof(shown), "%.15g", v);
	(void)snprintf(allowed, sizeof(allowed), "with model %s only", models[row->model]);
	if (given && row->model != (enum model)p->model)
		return error_field(e, row->field, shown, allowed, "no part of model %s",
				   models[p->model]);
	if (row->needed && row->model == (enum model)p->model && (!given || v <= 0))
		return error_field(e, row->field, shown, "above 0 to 100", "required with model %s",
				   models[p->model]);
	return 0;
}

static double or_else(double v, double otherwise)
{
	return isnan(v) ? otherwise : v;
}

/* A state is left with one chance for each other: together no more than certainty. */
static int check_sum(const char *field, double a, double b, const char *names, struct error *e)
{
	char shown[32], allowed[64];

	if (a + b <= 100)
		return 0;
	(void)snprintf(shown, sizeof(shown), "%.15g", a);
	(void)snprintf(allowed, sizeof(allowed), "%s together at most 100", names);
	return error_field(e, field, shown, allowed, "%s are more than 100 %% together", names);
}

static bool has_share(const struct network_loss *p)
{
	return p->model == MODEL_BERNOULLI || p->model == MODEL_RANDOM;
}

static int check_model(const struct network_loss *p, struct error *e)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(model_rows) && r == 0; i++)
		r = check_model_row(p, &model_rows[i], e);
	if (r == 0 && !has_share(p) && p->grading.over_ms)
		r = error_field(e, "parameters.over", "", "with models bernoulli and random only",
				"model %s has no percent that could rise", models[p->model]);
	if (r == 0 && p->model != MODEL_BERNOULLI && p->network.visible)
		r = error_field(e, "parameters.visible", "true", "with model bernoulli only",
				"netem drops behind the sender's back");
	if (r == 0 && p->model == MODEL_STATE)
		r = check_sum("parameters.p13", p->p13, or_else(p->p14, 0), "p13 and p14", e);
	if (r == 0 && p->model == MODEL_STATE)
		r = check_sum("parameters.p31", or_else(p->p31, 100 - p->p13), or_else(p->p32, 0),
			      "p31 and p32", e);
	if (r == 0 && !has_share(p) && p->percent != PERCENT_DEFAULT_VALUE)
		r = error_field(e, "parameters.percent", "",
				"with models bernoulli and random only", "no part of model %s",
				models[p->model]);
	return r;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct network_loss *p = params;
	int r = grading_check(&p->grading, 0.001, 100, e);

	if (r == 0)
		r = check_model(p, e);
	if (r < 0)
		return r;
	return p->model == MODEL_BERNOULLI ? network_look(&p->network, facts, e)
					   : shaping_look(&p->network, facts, e);
}

/* A rule's threshold can be written over, and netem's as well, so faultd itself drives the ramp. */
static bool graded(const void *params, struct grade *ret, double *ret_to)
{
	const struct network_loss *p = params;

	return grading_of(&p->grading, p->percent, ret, ret_to);
}

static void fill_netem(const struct network_loss *p, double percent, struct netem *ret)
{
	switch ((enum model)p->model) {
	case MODEL_STATE:
		*ret = (struct netem){.loss_model = LOSS_STATE,
				      .p13 = netem_chance(p->p13),
				      .p31 = netem_chance(or_else(p->p31, 100 - p->p13)),
				      .p32 = netem_chance(or_else(p->p32, 0)),
				      .p23 = netem_chance(or_else(p->p23, 100)),
				      .p14 = netem_chance(or_else(p->p14, 0))};
		break;
	case MODEL_GILBERT_ELLIOTT:
		*ret = (struct netem){.loss_model = LOSS_GILBERT_ELLIOT,
				      .ge_p = netem_chance(p->p),
				      .ge_r = netem_chance(or_else(p->r, 100 - p->p)),
				      .ge_h = netem_chance(or_else(p->loss_in_bad, 100)),
				      .ge_k1 = netem_chance(or_else(p->loss_in_good, 0))};
		break;
	default:
		*ret = (struct netem){.loss = netem_chance(percent),
				      .loss_correlation = netem_chance(or_else(p->correlation, 0))};
	}
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct network_loss *p = params;
	const struct network_effect effect = {.verdict = VERDICT_DROP, .percent = facts->grade};
	struct netem netem;

	if (p->model == MODEL_BERNOULLI)
		return network_plan(&p->network, &effect, facts, plan, e);
	fill_netem(p, facts->grade, &netem);
	return shaping_plan(&p->network, 100, &netem, facts, plan, e);
}

static void describe(const void *params, struct text *t)
{
	const struct network_loss *p = params;

	if (has_share(p))
		text_add(t, "drop %.6g %% of ", grading_end(&p->grading, p->percent));
	else
		text_add(t, "drop some of ");
	network_describe(&p->network, t);
	if (p->model != MODEL_BERNOULLI)
		text_add(t, " by netem's model %s", models[p->model]);
	grading_describe(&p->grading, t);
}

static const struct alias_row ssm_rows[] = {
	{.name = "LossPercent", .row = "percent", .def = PERCENT_DEFAULT},
	{.name = "Interface", .row = "interface", .def = "DEFAULT"},
	FIS_SSM_ROWS,
	{0}};
static const struct alias_row ssm_sources_rows[] = {
	{.name = "LossPercent", .row = "percent", .def = PERCENT_DEFAULT},
	{.name = "FlowsPercent", .row = "flows", .def = "100"},
	{.name = "Sources", .row = "peers", .required = true},
	{.name = "TrafficType", .row = "direction", .def = "ingress"},
	{.name = "Interface", .row = "interface", .def = "DEFAULT"},
	FIS_SSM_ROWS,
	{0}};
static const struct alias_row ssm_ecs_rows[] = {
	{.name = "LossPercent", .row = "percent", .def = PERCENT_DEFAULT},
	{.name = "FlowsPercent", .row = "flows", .def = "100"},
	{.name = "Sources", .row = "peers", .def = "ALL"},
	FIS_SSM_ECS_ROWS,
	FIS_SSM_ROWS,
	{0}};
static const struct alias_row ecs_rows[] = {
	{.name = "lossPercent", .row = "percent", .def = PERCENT_DEFAULT},
	{.name = "flowsPercent", .row = "flows", .def = "100"},
	{.name = "sources", .row = "peers", .def = "ALL"},
	FIS_ECS_ROWS,
	{0}};
static const struct alias_row eks_rows[] = {
	{.name = "lossPercent", .row = "percent", .def = PERCENT_DEFAULT},
	{.name = "flowsPercent", .row = "flows", .def = "100"},
	{.name = "sources", .row = "peers", .def = "ALL"},
	{.name = "interface", .row = "interface", .def = "DEFAULT"},
	FIS_EKS_ROWS,
	{0}};
static const struct alias aliases[] = {{"AWSFIS-Run-Network-Packet-Loss", ssm_rows},
				       {"AWSFIS-Run-Network-Packet-Loss-Sources", ssm_sources_rows},
				       {"AWSFIS-Run-Network-Packet-Loss-ECS", ssm_ecs_rows},
				       {"aws:ecs:task-network-packet-loss", ecs_rows},
				       {"aws:eks:pod-network-packet-loss", eks_rows},
				       {0}};

extern const struct action action_network_loss;
const struct action action_network_loss = {
	.name = "network-loss",
	.summary = "Drop a share of the packets of an interface",
	.description =
		"Matching packets are dropped by chance, silently unless asked: by faultd's own classifier, each for "
		"itself, or by one of netem's models, when the kernel has netem. ARP, neighbour discovery, DHCP, "
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
