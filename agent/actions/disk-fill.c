/* SPDX-License-Identifier: Apache-2.0 */
/* disk-fill: the victim sees a file system that is full, or nearly.
 * Changed on the host: nothing but a process, and space in files without a name, which a
 * faultd-load worker keeps open. Put back by killing it: the kernel frees the space. It also dies
 * with faultd and at its own deadline, so that a full disk cannot be in the way of its own undoing.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "actions/figures.h"
#include "actions/grade.h"
#include "actions/space.h"
#include "actions/target.h"

enum fill_of { OF_FILESYSTEM, OF_FREE };

struct disk_fill {
	char path[256];
	double percent;
	int of;
	uint64_t bytes;
	uint64_t reserve;
	struct grading grading;
	struct target target;
};

static const char *const ofs[] = {"filesystem", "free", NULL};

static const struct row rows[] = {
	{.name = "path",
	 .type = ROW_STRING,
	 FIELD_STRING(struct disk_fill, path),
	 .def = "/",
	 .text = "anything on the file system to fill"},
	{.name = "percent",
	 .type = ROW_NUMBER,
	 FIELD(struct disk_fill, percent),
	 .min = 0.1,
	 .max = 100,
	 .unit = "%",
	 .text = "how full; this or bytes is required"},
	{.name = "of",
	 .type = ROW_ENUM,
	 FIELD(struct disk_fill, of),
	 .def = "filesystem",
	 .values = ofs,
	 .text = "filesystem: df shows this percentage in the end, and the fill follows what others take and free; free: this share of what is free now is taken"},
	{.name = "bytes",
	 .type = ROW_BYTES,
	 FIELD(struct disk_fill, bytes),
	 .text = "how much is taken, in place of percent"},
	{.name = "reserve",
	 .type = ROW_BYTES,
	 FIELD(struct disk_fill, reserve),
	 .text = "what stays free, whatever is asked for and whoever else takes space: the fill gives way"},
	GRADE_ROWS(struct disk_fill, "percent or bytes"),
	TARGET_ROWS(struct disk_fill),
};

static double end_of(const struct disk_fill *p)
{
	return grading_end(&p->grading, p->bytes ? (double)p->bytes : p->percent);
}

/* The most it takes at any time. */
static double most_of(const struct disk_fill *p)
{
	return fmax(isnan(p->grading.from) ? 0 : p->grading.from, end_of(p));
}

static int check_amount(const struct disk_fill *p, struct error *e)
{
	if (p->bytes && p->percent > 0)
		return error_field(e, "parameters.bytes", NULL, "percent or bytes",
				   "not together with percent");
	if (!p->bytes && p->percent <= 0 && isnan(p->grading.to))
		return error_field(e, "parameters.percent", NULL,
				   "percent (0.1 to 100) or bytes (such as 2GiB)",
				   "one of the two is required");
	return grading_check(&p->grading, p->bytes ? 1 : 0.1, p->bytes ? 1e15 : 100, e);
}

/* A fill that would take nothing is a mistake, not a fault. */
static int check_full(const struct disk_fill *p, const struct mount_facts *m, struct error *e)
{
	double whole = (double)m->used + (double)m->available;

	if (p->bytes || p->of != OF_FILESYSTEM || (double)m->used < whole * most_of(p) / 100)
		return 0;
	return error_set(e, ERROR_CONFLICT, -EALREADY,
			 "the file system of %s is %.4g %% full already", p->path,
			 whole > 0 ? 100 * (double)m->used / whole : 100);
}

static int check_room(const struct disk_fill *p, const struct mount_facts *m, struct error *e)
{
	uint64_t room = m->available > p->reserve ? m->available - p->reserve : 0;
	char shown[32], allowed[64];
	struct text t = TEXT(shown), a = TEXT(allowed);

	if (room < m->block) {
		bytes_print(m->available, &t);
		return error_set(e, ERROR_CONFLICT, -ENOSPC,
				 "nothing to take on the file system of %s: %s available", p->path,
				 shown);
	}
	if (!p->bytes || most_of(p) <= (double)room)
		return 0;
	bytes_print((uint64_t)most_of(p), &t);
	text_add(&a, "at most ");
	bytes_print(room, &a);
	return error_field(e, "parameters.bytes", shown, allowed,
			   "%s is more than there is to take", shown);
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct disk_fill *p = params;
	int r = check_amount(p, e);

	if (r == 0)
		r = target_look(&p->target, facts, e);
	if (r == 0)
		r = space_look(p->path, facts, e);
	for (size_t i = 0; r == 0 && i < space_places(facts); i++) {
		r = check_full(p, space_place(facts, i).mount, e);
		if (r == 0)
			r = check_room(p, space_place(facts, i).mount, e);
	}
	return r;
}

static int add_worker(const struct disk_fill *p, const struct space_place *place, struct plan *plan,
		      const struct facts *facts, struct error *e)
{
	char leaf[CGROUP_PATH_MAX] = "";
	int r = place->aim ? target_add_leaf(place->aim, facts, plan, leaf, e) : 0;
	struct step *s;
	bool fits;

	if (r < 0)
		return r;
	s = space_add_worker(place, leaf, "disk", p->path, plan, e);
	if (!s)
		return -ENAMETOOLONG;
	fits = space_add_number(s, "--value", end_of(p)) && step_load_add(s, "--of") &&
	       step_load_add(s, p->bytes ? "bytes" : ofs[p->of]);
	if (p->reserve)
		fits = fits && space_add_number(s, "--reserve", (double)p->reserve);
	return fits && grading_add_load(&p->grading, s) ? 0 : space_cannot_plan(-ENAMETOOLONG, e);
}

/* Several places may be one file system. */
static bool was_before(const struct facts *facts, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (space_place(facts, k).mount->filesystem ==
		    space_place(facts, i).mount->filesystem)
			return true;
	}
	return false;
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct disk_fill *p = params;

	for (size_t i = 0; i < space_places(facts); i++) {
		struct space_place place = space_place(facts, i);
		int r;

		if (was_before(facts, i))
			continue;
		r = plan_claim(plan, "disk-fill of %u:%u", major(place.mount->filesystem),
			       minor(place.mount->filesystem));
		if (r < 0)
			return space_cannot_plan(r, e);
		r = add_worker(p, &place, plan, facts, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static void describe(const void *params, struct text *t)
{
	const struct disk_fill *p = params;

	if (p->bytes) {
		text_add(t, "take ");
		bytes_print((uint64_t)end_of(p), t);
		text_add(t, " of");
	} else if (p->of == OF_FREE) {
		text_add(t, "take %.6g %% of what is free on", end_of(p));
	} else {
		text_add(t, "fill");
	}
	text_add(t, " the file system of ");
	text_add_escaped(t, p->path);
	if (!p->bytes && p->of == OF_FILESYSTEM)
		text_add(t, " to %.6g %%", end_of(p));
	if (p->reserve) {
		text_add(t, ", but for ");
		bytes_print(p->reserve, t);
	}
	target_describe(&p->target, t);
	grading_describe(&p->grading, t);
}

static size_t figures(const struct load_report_sum *sum, double seconds, struct figure *ret,
		      size_t room)
{
	static const struct counter_figure shown[] = {
		{LOAD_HELD, "held", "bytes", "taken", false},
		{LOAD_WANTED, "wanted", "bytes", "wanted", false},
		{LOAD_YIELDED, "yielded", "times", "gave way", false},
	};

	return figures_of(shown, ARRAY_SIZE(shown), sum, seconds, ret, room);
}

static const struct alias_row ssm_rows[] = {
	{.name = "Percent", .row = "percent", .def = "95"},
	{.name = "DurationSeconds", .row = "duration", .required = true},
	{.name = "InstallDependencies", .row = ""}, /* there are none to install */
	{0}};
static const struct alias aliases[] = {{"AWSFIS-Run-Disk-Fill", ssm_rows}, {0}};

extern const struct action action_disk_fill;
const struct action action_disk_fill = {
	.name = "disk-fill",
	.summary = "Take the free space of a file system",
	.description =
		"A worker takes space on the file system of path, in files that have no name. 100 % is where df says "
		"100 %: nothing is left but what the file system keeps for root. The kernel frees the space when the "
		"worker ends: with the fault, with faultd, or at its own deadline; nothing has to be written or "
		"deleted for that. A tmpfs is filled with memory.",
	.hold = HOLD_CHILD,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct disk_fill),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
	.figures = figures,
	.composition = "exclusive: one per file system",
};
