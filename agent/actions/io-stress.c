/* SPDX-License-Identifier: Apache-2.0 */
/* io-stress: the victim sees a disk that is busy with the reads and writes of others.
 * Changed on the host: nothing but processes, and space in files without a name; each faultd-load
 * worker reads and writes one of its own, in order and at random, with syncs. Put back by killing
 * them: the kernel frees the space. They also die with faultd and at their own deadline. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "actions/figures.h"
#include "actions/fis.h"
#include "actions/grade.h"
#include "actions/space.h"
#include "actions/target.h"

#define WORKERS_MAX 64

struct io_stress {
	char path[256];
	int64_t workers;
	double percent;
	uint64_t bytes;
	struct grading grading;
	struct target target;
};

static const struct row rows[] = {
	{.name = "path",
	 .type = ROW_STRING,
	 FIELD_STRING(struct io_stress, path),
	 .def = "/",
	 .text = "anything on the file system to read and write on"},
	{.name = "workers",
	 .type = ROW_INTEGER,
	 FIELD(struct io_stress, workers),
	 .def = "1",
	 .min = 1,
	 .max = WORKERS_MAX,
	 .text = "how many read and write at the same time"},
	{.name = "percent",
	 .type = ROW_NUMBER,
	 FIELD(struct io_stress, percent),
	 .def = "80",
	 .min = 0.1,
	 .max = 100,
	 .unit = "%",
	 .text = "how much all workers together work on, of what is free; 5 % of the file system, at most 1GiB, always stay free"},
	{.name = "bytes",
	 .type = ROW_BYTES,
	 FIELD(struct io_stress, bytes),
	 .text = "how much all workers together work on, in place of percent; a worker has at least 1MiB"},
	GRADE_ROWS(struct io_stress, "percent or bytes"),
	TARGET_ROWS(struct io_stress),
};

/* So that nobody else is left without: what is worked on is no fault by itself. */
static uint64_t reserve(const struct mount_facts *m)
{
	uint64_t share = m->size / 20;

	return share < 1ULL << 30 ? share : 1ULL << 30;
}

static uint64_t room(const struct mount_facts *m)
{
	return m->available > reserve(m) ? m->available - reserve(m) : 0;
}

static int check_room(const struct io_stress *p, const struct mount_facts *m, struct error *e)
{
	uint64_t least = (uint64_t)p->workers << 20;
	char shown[32], free[64];
	struct text t = TEXT(shown), f = TEXT(free);

	if (room(m) < least) {
		bytes_print(m->available, &t);
		return error_set(e, ERROR_CONFLICT, -ENOSPC,
				 "the file system of %s is too full to work on: %s available, some "
				 "of which has to stay free",
				 p->path, shown);
	}
	if (p->bytes <= room(m))
		return 0;
	bytes_print(p->bytes, &t);
	text_add(&f, "at most ");
	bytes_print(room(m), &f);
	return error_field(e, "parameters.bytes", shown, free, "%s is more than there is room for",
			   shown);
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct io_stress *p = params;
	int r = grading_check(&p->grading, p->bytes ? 1 : 0.1, p->bytes ? 1e15 : 100, e);

	if (r == 0)
		r = target_look(&p->target, facts, e);
	if (r == 0)
		r = space_look(p->path, facts, e);
	for (size_t i = 0; r == 0 && i < space_places(facts); i++)
		r = check_room(p, space_place(facts, i).mount, e);
	return r;
}

static int add_worker(const struct io_stress *p, const struct space_place *place, const char *leaf,
		      struct plan *plan, struct error *e)
{
	struct step *s = space_add_worker(place, leaf, "io", p->path, plan, e);
	double value = grading_end(&p->grading, p->bytes ? (double)p->bytes : p->percent);
	bool fits;

	if (!s)
		return -ENAMETOOLONG;
	fits = space_add_number(s, "--value", value);
	if (!p->bytes)
		fits = fits && space_add_number(s, "--percent-of", (double)place->mount->available);
	fits = fits && space_add_number(s, "--workers", (double)p->workers) &&
	       space_add_number(s, "--reserve", (double)reserve(place->mount)) &&
	       grading_add_load(&p->grading, s);
	return fits ? 0 : space_cannot_plan(-ENAMETOOLONG, e);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct io_stress *p = params;

	for (size_t i = 0; i < space_places(facts); i++) {
		struct space_place place = space_place(facts, i);
		char leaf[CGROUP_PATH_MAX] = "";
		int r = place.aim ? target_add_leaf(place.aim, facts, plan, leaf, e) : 0;

		for (int64_t w = 0; r == 0 && w < p->workers; w++)
			r = add_worker(p, &place, leaf, plan, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static void describe(const void *params, struct text *t)
{
	const struct io_stress *p = params;
	double end = grading_end(&p->grading, p->bytes ? (double)p->bytes : p->percent);

	text_add(t, "%d worker%s reading and writing ", (int)p->workers,
		 p->workers == 1 ? "" : "s");
	if (p->bytes)
		bytes_print((uint64_t)end, t);
	else
		text_add(t, "%.6g %% of what is free", end);
	text_add(t, " on the file system of ");
	text_add_escaped(t, p->path);
	target_describe(&p->target, t);
	grading_describe(&p->grading, t);
}

static size_t figures(const struct load_report_sum *sum, double seconds, struct figure *ret,
		      size_t room)
{
	static const struct counter_figure shown[] = {
		{LOAD_READS, "reads", "/s", "reads", true},
		{LOAD_READ_BYTES, "readRate", "bytes/s", "read", true},
		{LOAD_WRITES, "writes", "/s", "writes", true},
		{LOAD_WRITTEN_BYTES, "writeRate", "bytes/s", "written", true},
		{LOAD_SYNCS, "syncs", "/s", "syncs", true},
		{LOAD_HELD, "held", "bytes", "worked on", false},
		{LOAD_YIELDED, "yielded", "times", "gave way", false},
	};

	return figures_of(shown, ARRAY_SIZE(shown), sum, seconds, ret, room);
}

static const struct alias_row ssm_rows[] = {
	{.name = "Workers", .row = "workers", .def = "1"},
	{.name = "Percent", .row = "percent", .def = "80"},
	{.name = "DurationSeconds", .row = "duration", .required = true},
	{.name = "InstallDependencies", .row = ""}, /* there are none to install */
	{0}};
static const struct alias_row ecs_rows[] = {
	{.name = "workers", .row = "workers", .def = "1"},
	{.name = "percent", .row = "percent", .def = "80"},
	{.name = "container", .row = "container"}, /* FIS has it among the targets */
	{.name = "installDependencies", .row = ""},
	{0}};
static const struct alias_row eks_rows[] = {{.name = "workers", .row = "workers", .def = "1"},
					    {.name = "percent", .row = "percent", .def = "80"},
					    FIS_EKS_STRESS_ROWS,
					    {0}};
static const struct alias aliases[] = {{"AWSFIS-Run-IO-Stress", ssm_rows},
				       {"aws:ecs:task-io-stress", ecs_rows},
				       {"aws:eks:pod-io-stress", eks_rows},
				       {0}};

extern const struct action action_io_stress;
const struct action action_io_stress = {
	.name = "io-stress",
	.summary = "Keep a disk busy with reads and writes",
	.description =
		"Each worker reads and writes a scratch file of its own on the file system of path, in order and "
		"at random, 4 to 256 KiB at a time, with a sync after every 48 writes; past the page cache where the "
		"file system can (O_DIRECT). The file has no name, and its space is free again when the worker ends: "
		"with the fault, with faultd, or at its own deadline. When others fill the disk meanwhile, the "
		"workers give way.",
	.hold = HOLD_CHILD,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct io_stress),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
	.figures = figures,
	.composition = "composes: each has workers of its own",
};
