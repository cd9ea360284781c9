/* SPDX-License-Identifier: Apache-2.0 */
/* memory-stress: the victim sees less memory: on the host, or below the limit of a cgroup.
 * Changed on the host: nothing but processes; faultd-load workers hold pages that are really there.
 * Put back by killing them; they also die with faultd and at their own deadline, and are the first
 * that the OOM killer takes. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "actions/figures.h"
#include "actions/action.h"
#include "actions/fis.h"
#include "actions/grade.h"
#include "actions/target.h"
#include "host/memory.h"
#include "util/duration.h"

#define BYTES_MIN 1048576.0
#define BYTES_MAX 562949953421312.0 /* 512 TiB */

enum memory_of { OF_AUTO, OF_TOTAL, OF_AVAILABLE, OF_LIMIT };
enum memory_mode { MODE_ADD, MODE_TOTAL };

struct memory_stress {
	double percent;
	uint64_t bytes;
	int of;
	int mode;
	int64_t workers;
	uint64_t reserve;
	struct target target;
	struct grading grading;
};

static const char *const ofs[] = {"auto", "total", "available", "limit", NULL};
static const char *const modes[] = {"add", "total", NULL};

static const struct row rows[] = {
	{.name = "percent",
	 .type = ROW_NUMBER,
	 FIELD(struct memory_stress, percent),
	 .min = 1,
	 .max = 100,
	 .unit = "%",
	 .text = "how much of the memory; this or bytes"},
	{.name = "bytes",
	 .type = ROW_BYTES,
	 FIELD(struct memory_stress, bytes),
	 .min = BYTES_MIN,
	 .max = BYTES_MAX,
	 .text = "how much memory"},
	{.name = "of",
	 .type = ROW_ENUM,
	 FIELD(struct memory_stress, of),
	 .def = "auto",
	 .values = ofs,
	 .text = "what percent is of: all memory of the host, what is available at the start, the "
		 "limit of the cgroup; auto: the limit if there is one, else total"},
	{.name = "mode",
	 .type = ROW_ENUM,
	 FIELD(struct memory_stress, mode),
	 .def = "add",
	 .values = modes,
	 .text = "add: this much more than there is; total: this much in all, others' memory "
		 "included, as it grows and shrinks"},
	{.name = "workers",
	 .type = ROW_INTEGER,
	 FIELD(struct memory_stress, workers),
	 .def = "1",
	 .min = 1,
	 .max = 64,
	 .text = "processes that share the load"},
	{.name = "reserve",
	 .type = ROW_BYTES,
	 FIELD(struct memory_stress, reserve),
	 .def = "64MiB",
	 .max = BYTES_MAX,
	 .text = "always left available to others, on the host and below every limit; 0: nothing "
		 "is spared, and the OOM killer may come"},
	TARGET_ROWS(struct memory_stress),
	GRADE_ROWS(struct memory_stress, "percent or bytes"),
};

static int check_amount(const struct memory_stress *p, struct error *e)
{
	if (p->percent == 0 && p->bytes == 0)
		return error_field(e, "parameters.percent", "", "1 to 100, or bytes in its place",
				   "required");
	if (p->percent != 0 && p->bytes != 0)
		return error_field(e, "parameters.bytes", "", "one of percent and bytes",
				   "not together with percent");
	if (p->bytes)
		return grading_check(&p->grading, BYTES_MIN, BYTES_MAX, e);
	return grading_check(&p->grading, 1, 100, e);
}

/* What is available is what others left: a share of that is no amount in all. */
static int check_of(const struct memory_stress *p, const struct facts *facts, struct error *e)
{
	if (p->mode == MODE_TOTAL && p->of == OF_AVAILABLE && p->percent != 0)
		return error_field(e, "parameters.of", "available", "total or limit",
				   "not with mode total");
	if (p->of == OF_LIMIT && !facts->aimed && !facts->skipped)
		return error_field(e, "parameters.of", "limit",
				   "total or available, or a unit, cgroup or container",
				   "the host has no limit");
	return 0;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct memory_stress *p = params;
	int r = check_amount(p, e);

	if (r < 0)
		return r;
	r = memory_read(&facts->memory.total, &facts->memory.available);
	if (r < 0)
		return error_set(e, ERROR_UNSUPPORTED, r, "cannot read the memory of this host: %s",
				 strerror(-r));
	r = target_look(&p->target, facts, e);
	return r < 0 ? r : check_of(p, facts, e);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool is_limited(const struct aim *aim)
{
	return aim && aim->limits.memory != CGROUP_NO_LIMIT;
}

static int check_aim(const struct memory_stress *p, const struct facts *facts,
		     const struct aim *aim, struct error *e)
{
	uint64_t most = is_limited(aim) ? aim->limits.memory : facts->memory.total;
	char given[32], allowed[64];
	struct text g = TEXT(given), a = TEXT(allowed);

	if (p->of == OF_LIMIT && !is_limited(aim))
		return error_field(e, "parameters.of", "limit", "total or available",
				   "%s has no memory limit", aim ? aim->shown : "the host");
	if (p->reserve < most)
		return 0;
	bytes_print(p->reserve, &g);
	text_add(&a, "less than ");
	bytes_print(most, &a);
	return error_field(e, "parameters.reserve", given, allowed, "%s leaves nothing of %s",
			   given, aim ? aim->shown : "the host");
}

/* What 100 % is. */
static uint64_t whole(const struct memory_stress *p, const struct facts *facts,
		      const struct aim *aim)
{
	const struct cgroup_limits *l = is_limited(aim) ? &aim->limits : NULL;
	uint64_t left = facts->memory.available;

	if (p->of == OF_LIMIT || (p->of == OF_AUTO && l))
		return l ? l->memory : 0;
	if (p->of != OF_AVAILABLE)
		return facts->memory.total;
	if (l)
		left = min_u64(left, l->memory > l->memory_used ? l->memory - l->memory_used : 0);
	return left;
}

static int add_worker(const struct memory_stress *p, const struct aim *aim, const char *leaf,
		      uint64_t bytes, const struct grading *grading, struct plan *plan,
		      struct error *e)
{
	struct step *s = plan_add(plan, STEP_CHILD);
	bool fits = true;

	if (!s)
		return error_set(e, ERROR_FAILED, -errno, "cannot plan: %s", strerror(errno));
	(void)snprintf(s->child.load, sizeof(s->child.load),
		       "memory --bytes %" PRIu64 " --mode %s --reserve %" PRIu64, bytes,
		       modes[p->mode], p->reserve);
	if (p->workers > 1) {
		char n[8];

		(void)snprintf(n, sizeof(n), "%d", (int)p->workers);
		fits = step_load_add(s, "--workers") && step_load_add(s, n);
	}
	if (aim)
		fits = fits && step_load_add(s, "--of") &&
		       step_load_add(s, leaf[0] ? "parent" : "cgroup") &&
		       target_add_load(aim, leaf, false, s);
	if (fits && grading_add_load(grading, s))
		return 0;
	return error_set(e, ERROR_FAILED, -ENAMETOOLONG, "the path of %s is too long",
			 aim ? aim->shown : "the host");
}

/* In `total` each worker is told the amount of all, and makes its part of the difference. */
static int plan_aim(const struct memory_stress *p, const struct facts *facts, const struct aim *aim,
		    struct plan *plan, struct error *e)
{
	uint64_t n = (uint64_t)p->workers, shares = p->mode == MODE_ADD ? n : 1;
	double unit = p->percent != 0 ? (double)whole(p, facts, aim) / 100 : 1;
	double value = p->percent != 0 ? p->percent : (double)p->bytes;
	struct grading grading = p->grading;
	char leaf[CGROUP_PATH_MAX] = "";
	uint64_t bytes;
	int r = check_aim(p, facts, aim, e);

	if (r == 0 && aim)
		r = target_add_leaf(aim, facts, plan, leaf, e);
	bytes = (uint64_t)(grading_end(&p->grading, value) * unit);
	grading.from = floor(grading.from * unit / (double)shares);
	for (uint64_t i = 0; r == 0 && i < n; i++)
		r = add_worker(p, aim, leaf, bytes / shares + (i < bytes % shares), &grading, plan,
			       e);
	return r;
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct memory_stress *p = params;
	int r = check_amount(p, e);

	if (r == 0)
		r = check_of(p, facts, e);
	if (r < 0 || facts->skipped)
		return r;
	if (!facts->aimed)
		return plan_aim(p, facts, NULL, plan, e);
	for (size_t i = 0; r == 0 && i < facts->n_aims; i++)
		r = plan_aim(p, facts, &facts->aims[i], plan, e);
	return r;
}

/* A ramp in bytes is not read as a plain number. */
static void describe_grading(const struct memory_stress *p, struct text *t)
{
	struct grading waves = p->grading;

	if (p->bytes && waves.over_ms) {
		text_add(t, ", from ");
		bytes_print(isnan(waves.from) ? 0 : (uint64_t)waves.from, t);
		text_add(t, " in %d step%s over ", (int)waves.steps, waves.steps == 1 ? "" : "s");
		duration_print(waves.over_ms, t);
		waves.over_ms = 0;
	}
	grading_describe(&waves, t);
}

static void describe(const void *params, struct text *t)
{
	static const char *const of[] = {" of the memory", " of the host's memory",
					 " of the memory available", " of the memory limit"};
	const struct memory_stress *p = params;
	double end = grading_end(&p->grading, p->percent != 0 ? p->percent : (double)p->bytes);

	text_add(t, p->mode == MODE_ADD ? "hold " : "hold, with others, ");
	if (p->percent != 0)
		text_add(t, "%.6g %%%s", end, of[p->of]);
	else
		bytes_print((uint64_t)end, t);
	target_describe(&p->target, t);
	describe_grading(p, t);
}

static size_t figures(const struct load_report_sum *sum, double seconds, struct figure *ret,
		      size_t room)
{
	static const struct counter_figure shown[] = {
		{LOAD_HELD, "held", "bytes", "held", false},
		{LOAD_WANTED, "wanted", "bytes", "wanted", false},
		{LOAD_YIELDED, "yielded", "times", "gave way", false},
	};

	return figures_of(shown, ARRAY_SIZE(shown), sum, seconds, ret, room);
}

static const struct alias_row ssm_rows[] = {
	{.name = "Percent", .row = "percent", .required = true},
	{.name = "Workers", .row = "workers", .def = "1"},
	{.name = "DurationSeconds", .row = "duration", .required = true},
	{.name = "InstallDependencies", .row = ""},      /* there are none to install */
	{.name = "of", .row = "of", .def = "available"}, /* that is what it does */
	{0}};
static const struct alias_row eks_rows[] = {{.name = "percent", .row = "percent", .def = "80"},
					    {.name = "workers", .row = "workers", .def = "1"},
					    {.name = "of", .row = "of", .def = "available"},
					    FIS_EKS_STRESS_ROWS,
					    {.name = "cgroup", .row = "cgroup"},
					    {0}};
static const struct alias aliases[] = {
	{"AWSFIS-Run-Memory-Stress", ssm_rows}, {"aws:eks:pod-memory-stress", eks_rows}, {0}};

extern const struct action action_memory_stress;
const struct action action_memory_stress = {
	.name = "memory-stress",
	.summary = "Hold memory, exactly as much as asked for",
	.description =
		"Workers hold pages that are really there, on the host or inside a cgroup. They leave "
		"the reserve to others at any time, give memory back when others wait for it, and are "
		"the first that the OOM killer takes: that is a result, not an error. (With reserve 0, "
		"in a cgroup whose memory.oom.group is set, it takes all of that cgroup.) They die "
		"when the fault ends, with faultd, and at their own deadline.",
	.hold = HOLD_CHILD,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct memory_stress),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
	.figures = figures,
	.oom_is_outcome = true,
	.composition =
		"composes: with mode add the amounts add up; with mode total the larger counts",
};
