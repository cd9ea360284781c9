/* SPDX-License-Identifier: Apache-2.0 */
/* cpu-stress: the victim sees CPUs that are busy to an exact percentage, or a cgroup whose quota is
 * used up to it.
 * Changed on the host: nothing but processes; one pinned faultd-load worker per CPU runs a closed
 * loop, inside the cgroup when there is one. Put back by killing them; they also die with faultd
 * and at their own deadline. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "actions/fis.h"
#include "actions/grade.h"
#include "actions/target.h"

enum cpu_mode { MODE_ADD, MODE_TOTAL };

struct cpu_stress {
	double percent;
	int mode;
	char cpus[128];
	struct grading grading;
	struct target target;
};

static const char *const modes[] = {"add", "total", NULL};

static const struct row rows[] = {
	{.name = "percent",
	 .type = ROW_NUMBER,
	 FIELD(struct cpu_stress, percent),
	 .def = "100",
	 .min = 1,
	 .max = 100,
	 .unit = "%",
	 .text = "load on each chosen CPU; in a cgroup with a CPU quota, the share of the quota"},
	{.name = "cpus",
	 .type = ROW_STRING,
	 FIELD_STRING(struct cpu_stress, cpus),
	 .def = "all",
	 .text = "all, how many, or which: a count such as 2, or a list such as 0,2-3 or 0-0; in a cgroup, of those it may run on"},
	{.name = "mode",
	 .type = ROW_ENUM,
	 FIELD(struct cpu_stress, mode),
	 .def = "add",
	 .values = modes,
	 .text = "add: this much more than there is; total: this much in all, others' load included (not in a cgroup)"},
	GRADE_ROWS(struct cpu_stress, "percent"),
	TARGET_ROWS(struct cpu_stress),
};

struct cpu_choice {
	const struct cpu_list *there;
	bool chosen[CPUS_MAX];
};

static bool is_there(const struct cpu_list *cpus, uint64_t cpu)
{
	for (uint32_t i = 0; i < cpus->n; i++) {
		if (cpus->cpu[i] == cpu)
			return true;
	}
	return false;
}

static int choose_item(const char *item, void *arg)
{
	struct cpu_choice *c = arg;
	char first_text[16];
	size_t n = strcspn(item, "-");
	uint64_t first, last;

	if (n >= sizeof(first_text))
		return -EINVAL;
	memcpy(first_text, item, n);
	first_text[n] = '\0';
	if (str_to_u64(first_text, &first) < 0 ||
	    str_to_u64(item[n] ? item + n + 1 : first_text, &last) < 0)
		return -EINVAL;
	if (first > last)
		return -EINVAL;
	if (last >= CPUS_MAX)
		return -ENXIO;
	for (uint64_t i = first; i <= last; i++) {
		if (!is_there(c->there, i))
			return -ENXIO;
		c->chosen[i] = true;
	}
	return 0;
}

static int choose_count(struct cpu_choice *c, uint64_t count)
{
	if (count < 1 || count > c->there->n)
		return -ENXIO;
	for (uint64_t i = 0; i < count; i++)
		c->chosen[c->there->cpu[i]] = true;
	return 0;
}

/* Returns 0, -EINVAL (not a choice) or -ENXIO (a CPU that is not there). */
static int choose(const char *text, const struct cpu_list *there, struct cpu_choice *ret)
{
	uint64_t count;

	*ret = (struct cpu_choice){.there = there};
	if (str_eq(text, "all"))
		return choose_count(ret, there->n);
	if (str_to_u64(text, &count) == 0)
		return choose_count(ret, count);
	return str_each_item(text, choose_item, ret);
}

static int check_choice(const struct cpu_stress *p, const struct cpu_list *cpus, const char *whose,
			struct error *e)
{
	struct cpu_choice choice;
	char allowed[64];
	int r = choose(p->cpus, cpus, &choice);

	if (r == 0)
		return 0;
	if (cpus->n == 0)
		return error_set(e, ERROR_UNSUPPORTED, -ENXIO, "%s has no CPU that faultd may use",
				 whose);
	(void)snprintf(allowed, sizeof(allowed), "all, 1 to %u, or a list out of CPUs %u to %u",
		       cpus->n, cpus->cpu[0], cpus->cpu[cpus->n - 1]);
	if (r == -ENXIO)
		return error_field(e, "parameters.cpus", p->cpus, allowed, "%s is more than %s has",
				   p->cpus, whose);
	return error_field(e, "parameters.cpus", p->cpus, allowed,
			   "%s is neither a count nor a list", p->cpus);
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct cpu_stress *p = params;
	int r = grading_check(&p->grading, 1, 100, e);

	if (r == 0 && p->mode == MODE_TOTAL && target_is_given(&p->target))
		return error_field(e, "parameters.mode", "total", "add",
				   "total is what a whole CPU does, not a cgroup");
	if (r == 0)
		r = target_look(&p->target, facts, e);
	for (size_t i = 0; i < facts->n_aims && r == 0; i++)
		r = check_choice(p, &facts->aims[i].cpus, facts->aims[i].shown, e);
	if (r < 0 || facts->aimed)
		return r;
	r = cpu_list_read(&facts->cpus);
	if (r < 0)
		return error_set(e, ERROR_UNSUPPORTED, r, "cannot read the CPUs of this host: %s",
				 strerror(-r));
	return check_choice(p, &facts->cpus, "this host", e);
}

/* The workers that make the load, and what one of them has to do of each percent asked for. */
struct crew {
	unsigned cpu[CPUS_MAX]; /* what may be used */
	unsigned n_cpus;
	unsigned n;     /* workers */
	unsigned first; /* index of the CPU that the first one is pinned to */
	double share;
};

/* A quota is used by as few workers as can, since each has a CPU that it may not share fairly. */
static int crew_up(const struct cpu_stress *p, const struct cpu_list *cpus, double quota,
		   struct crew *ret)
{
	double most = fmax(isnan(p->grading.from) ? 0 : p->grading.from,
			   grading_end(&p->grading, p->percent));
	struct cpu_choice choice;
	int r = choose(p->cpus, cpus, &choice);

	*ret = (struct crew){.share = 1};
	for (unsigned i = 0; r == 0 && i < CPUS_MAX; i++) {
		if (choice.chosen[i])
			ret->cpu[ret->n_cpus++] = i;
	}
	ret->n = ret->n_cpus;
	if (quota > 0 && quota < ret->n_cpus) {
		ret->n = (unsigned)fmax(1, ceil(quota * most / 100 - 1e-9));
		ret->share = quota / ret->n;
	}
	return r == 0 && ret->n_cpus == 0 ? -ENXIO : r;
}

/* What a worker takes for its least. */
#define PERCENT_LEAST 0.1

static int add_worker(const struct cpu_stress *p, const struct crew *crew, unsigned i,
		      struct step *s)
{
	unsigned at = crew->first + i; /* less than twice n_cpus */
	struct grading scaled = p->grading;
	double percent = grading_end(&p->grading, p->percent) * crew->share;

	scaled.from *= crew->share;
	(void)snprintf(s->child.load, sizeof(s->child.load),
		       "cpu --cpu %u --percent %.6g --mode %s",
		       crew->cpu[at < crew->n_cpus ? at : at - crew->n_cpus],
		       fmax(percent, PERCENT_LEAST), modes[p->mode]);
	return grading_add_load(&scaled, s) ? 0 : -ENAMETOOLONG;
}

static int cannot_plan(int r, struct error *e)
{
	return error_set(e, ERROR_FAILED, r, "cannot plan: %s", strerror(-r));
}

/* `aim` NULL: on the host. */
static int add_crew(const struct cpu_stress *p, const struct crew *crew, const struct aim *aim,
		    const char *leaf, struct plan *plan, struct error *e)
{
	for (unsigned i = 0; i < crew->n; i++) {
		struct step *s = plan_add(plan, STEP_CHILD);
		int r = s ? add_worker(p, crew, i, s) : -errno;

		if (r == 0 && aim && !target_add_load(aim, leaf, false, s))
			r = -ENAMETOOLONG;
		if (r < 0)
			return cannot_plan(r, e);
	}
	return 0;
}

static int plan_host(const struct cpu_stress *p, const struct facts *facts, struct plan *plan,
		     struct error *e)
{
	struct crew crew;
	int r = crew_up(p, &facts->cpus, 0, &crew);

	if (r < 0)
		return error_set(e, ERROR_VALIDATION, r, "parameters.cpus: not a choice of CPUs");
	return add_crew(p, &crew, NULL, "", plan, e);
}

/* Workers of several cgroups are spread over the CPUs. */
static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct cpu_stress *p = params;
	uint64_t workers = facts->seed % CPUS_MAX;
	int r = 0;

	if (!facts->aimed)
		return plan_host(p, facts, plan, e);
	for (size_t i = 0; i < facts->n_aims && r == 0; i++) {
		const struct aim *aim = &facts->aims[i];
		char leaf[CGROUP_PATH_MAX];
		struct crew crew;

		r = crew_up(p, &aim->cpus, aim->limits.cpus, &crew);
		if (r < 0)
			return error_set(e, ERROR_VALIDATION, r,
					 "parameters.cpus: not a choice of CPUs");
		if (crew.n < crew.n_cpus)
			crew.first = (unsigned)(workers % crew.n_cpus);
		workers += crew.n;
		r = target_add_leaf(aim, facts, plan, leaf, e);
		if (r == 0)
			r = add_crew(p, &crew, aim, leaf, plan, e);
	}
	return r;
}

static void describe(const void *params, struct text *t)
{
	const struct cpu_stress *p = params;
	double percent = grading_end(&p->grading, p->percent);
	uint64_t count;

	if (target_is_given(&p->target))
		text_add(t, "%.6g %% of what may be used of ", percent);
	else if (p->mode == MODE_TOTAL)
		text_add(t, "%.6g %% load in all on ", percent);
	else
		text_add(t, "%.6g %% more load on ", percent);
	if (str_eq(p->cpus, "all"))
		text_add(t, "every CPU");
	else if (str_to_u64(p->cpus, &count) == 0)
		text_add(t, "%s CPU%s", p->cpus, count == 1 ? "" : "s");
	else
		text_add(t, "CPUs %s", p->cpus);
	target_describe(&p->target, t);
	grading_describe(&p->grading, t);
}

static const struct alias_row ssm_rows[] = {
	{.name = "LoadPercent", .row = "percent", .def = "100"},
	{.name = "CPU", .row = "cpus", .def = "all", .from = "0", .to = "all"},
	{.name = "DurationSeconds", .row = "duration", .required = true},
	{.name = "InstallDependencies", .row = ""}, /* there are none to install */
	{0}};
static const struct alias_row ecs_rows[] = {
	{.name = "percent", .row = "percent", .def = "100"},
	{.name = "workers", .row = "cpus", .def = "all", .from = "0", .to = "all"},
	{.name = "container", .row = "container"}, /* FIS has it among the targets */
	{.name = "installDependencies", .row = ""},
	{0}};
static const struct alias_row eks_rows[] = {
	{.name = "percent", .row = "percent", .def = "100"},
	{.name = "workers", .row = "cpus", .def = "all", .from = "0", .to = "all"},
	FIS_EKS_STRESS_ROWS,
	{0}};
static const struct alias aliases[] = {{"AWSFIS-Run-CPU-Stress", ssm_rows},
				       {"aws:ecs:task-cpu-stress", ecs_rows},
				       {"aws:eks:pod-cpu-stress", eks_rows},
				       {0}};

extern const struct action action_cpu_stress;
const struct action action_cpu_stress = {
	.name = "cpu-stress",
	.summary = "Keep CPUs busy to an exact percentage, or a cgroup's quota",
	.description =
		"One pinned worker per chosen CPU burns the given share of it in a closed loop. In a cgroup that "
		"has a CPU quota it is the share of the quota, by as many workers as that takes; the workers run "
		"inside the cgroup. They die when the fault ends, with faultd, and at their own deadline.",
	.hold = HOLD_CHILD,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct cpu_stress),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
	.composition = "composes: the loads add up, to what the CPUs or the quota can give",
};
