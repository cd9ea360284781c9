/* SPDX-License-Identifier: Apache-2.0 */
/* cpu-stress: the victim sees CPUs that are busy to an exact percentage.
 * Changed on the host: nothing but processes; one pinned faultd-load worker per CPU runs a closed
 * loop. Put back by killing them; they also die with faultd and at their own deadline. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "actions/action.h"

enum cpu_mode { MODE_ADD, MODE_TOTAL };

struct cpu_stress {
	double percent;
	int mode;
	char cpus[128];
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
	 .text = "load on each chosen CPU"},
	{.name = "cpus",
	 .type = ROW_STRING,
	 FIELD_STRING(struct cpu_stress, cpus),
	 .def = "all",
	 .text = "all, how many, or which: a count such as 2, or a list such as 0,2-3 or 0-0"},
	{.name = "mode",
	 .type = ROW_ENUM,
	 FIELD(struct cpu_stress, mode),
	 .def = "add",
	 .values = modes,
	 .text = "add: this much more than there is; total: this much in all, others' load included"},
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

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct cpu_stress *p = params;
	struct cpu_choice choice;
	char allowed[64];
	int r = cpu_list_read(&facts->cpus);

	if (r < 0)
		return error_set(e, ERROR_UNSUPPORTED, r, "cannot read the CPUs of this host: %s",
				 strerror(-r));
	r = choose(p->cpus, &facts->cpus, &choice);
	if (r == 0)
		return 0;
	(void)snprintf(allowed, sizeof(allowed), "all, 1 to %u, or a list out of CPUs %u to %u",
		       facts->cpus.n, facts->cpus.cpu[0], facts->cpus.cpu[facts->cpus.n - 1]);
	return error_field(e, "parameters.cpus", p->cpus, allowed, "%s %s", p->cpus,
			   r == -ENXIO ? "is more than this host has"
				       : "is neither a count nor a list");
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct cpu_stress *p = params;
	struct cpu_choice choice;
	int r = choose(p->cpus, &facts->cpus, &choice);

	if (r < 0)
		return error_set(e, ERROR_VALIDATION, r, "parameters.cpus: not a choice of CPUs");
	for (unsigned i = 0; i < CPUS_MAX; i++) {
		struct step *s;

		if (!choice.chosen[i])
			continue;
		s = plan_add(plan, STEP_CHILD);
		if (!s)
			return error_set(e, ERROR_FAILED, -errno, "cannot plan: %s",
					 strerror(errno));
		(void)snprintf(s->child.load, sizeof(s->child.load),
			       "cpu --cpu %u --percent %.6g --mode %s", i, p->percent,
			       modes[p->mode]);
	}
	return 0;
}

static void describe(const void *params, struct text *t)
{
	const struct cpu_stress *p = params;
	uint64_t count;

	if (p->mode == MODE_TOTAL)
		text_add(t, "%.6g %% load in all on ", p->percent);
	else
		text_add(t, "%.6g %% more load on ", p->percent);
	if (str_eq(p->cpus, "all"))
		text_add(t, "every CPU");
	else if (str_to_u64(p->cpus, &count) == 0)
		text_add(t, "%s CPU%s", p->cpus, count == 1 ? "" : "s");
	else
		text_add(t, "CPUs %s", p->cpus);
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
	{.name = "installDependencies", .row = ""},
	{0}};
static const struct alias aliases[] = {
	{"AWSFIS-Run-CPU-Stress", ssm_rows}, {"aws:ecs:task-cpu-stress", ecs_rows}, {0}};

extern const struct action action_cpu_stress;
const struct action action_cpu_stress = {
	.name = "cpu-stress",
	.summary = "Keep CPUs busy to an exact percentage",
	.description =
		"One pinned worker per chosen CPU burns the given share of it in a closed loop. The workers "
		"die when the fault ends, with faultd, and at their own deadline.",
	.hold = HOLD_CHILD,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct cpu_stress),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
};
