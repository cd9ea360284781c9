/* SPDX-License-Identifier: Apache-2.0 */
/* disk-throttle: processes of a cgroup get only so many bytes or operations per second from a disk.
 * Changed on the host: the line of the disk in io.max (cgroup v2) or in blkio.throttle.* (v1). Put
 * back by writing what was there, unless somebody has changed it meanwhile. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "actions/action.h"
#include "actions/grade.h"
#include "actions/protect.h"
#include "actions/target.h"
#include "util/duration.h"

enum limit { READ_BYTES, WRITE_BYTES, READ_IOPS, WRITE_IOPS, _LIMIT_MAX };

struct disk_throttle {
	char path[256];
	char device[64];
	uint64_t read_bytes, write_bytes;
	int64_t read_iops, write_iops;
	struct grading grading;
	struct target target;
};

#define BYTES_MOST 9007199254740991.0 /* whole in a double */
#define IOPS_MOST  4294967294.0       /* one more is "max" to the kernel */

static const struct row rows[] = {
	{.name = "path",
	 .type = ROW_STRING,
	 FIELD_STRING(struct disk_throttle, path),
	 .text = "the disk that this file or directory is on"},
	{.name = "device",
	 .type = ROW_STRING,
	 FIELD_STRING(struct disk_throttle, device),
	 .text = "the disk itself: /dev/nvme0n1, or its numbers such as 259:0; a partition means its disk"},
	{.name = "readBytes",
	 .type = ROW_BYTES,
	 FIELD(struct disk_throttle, read_bytes),
	 .min = 1,
	 .max = BYTES_MOST,
	 .text = "bytes read per second, at most"},
	{.name = "writeBytes",
	 .type = ROW_BYTES,
	 FIELD(struct disk_throttle, write_bytes),
	 .min = 1,
	 .max = BYTES_MOST,
	 .text = "bytes written per second, at most"},
	{.name = "readIops",
	 .type = ROW_INTEGER,
	 FIELD(struct disk_throttle, read_iops),
	 .min = 1,
	 .max = IOPS_MOST,
	 .text = "reads per second, at most"},
	{.name = "writeIops",
	 .type = ROW_INTEGER,
	 FIELD(struct disk_throttle, write_iops),
	 .min = 1,
	 .max = IOPS_MOST,
	 .text = "writes per second, at most"},
	GRADE_ROWS(struct disk_throttle, "readBytes, writeBytes, readIops or writeIops"),
	TARGET_ROWS(struct disk_throttle),
};

static const struct {
	const char *word; /* in io.max */
	const char *file; /* of v1 */
	const char *shown;
	double most;
} limits[_LIMIT_MAX] = {
	[READ_BYTES] = {"rbps", "blkio.throttle.read_bps_device", "read", BYTES_MOST},
	[WRITE_BYTES] = {"wbps", "blkio.throttle.write_bps_device", "written", BYTES_MOST},
	[READ_IOPS] = {"riops", "blkio.throttle.read_iops_device", "reads", IOPS_MOST},
	[WRITE_IOPS] = {"wiops", "blkio.throttle.write_iops_device", "writes", IOPS_MOST},
};

/* 0: not given */
static uint64_t limit_given(const struct disk_throttle *p, enum limit l)
{
	const uint64_t given[_LIMIT_MAX] = {p->read_bytes, p->write_bytes, (uint64_t)p->read_iops,
					    (uint64_t)p->write_iops};

	return given[l];
}

static unsigned count_limits(const struct disk_throttle *p, enum limit *ret_first)
{
	unsigned n = 0;

	for (enum limit l = _LIMIT_MAX; l-- > 0;) {
		if (!limit_given(p, l))
			continue;
		*ret_first = l;
		n++;
	}
	return n;
}

static int check_limits(const struct disk_throttle *p, struct error *e)
{
	enum limit first = 0;
	unsigned n = count_limits(p, &first);
	int r;

	if (n == 0)
		return error_field(e, "parameters.writeBytes", "",
				   "readBytes, writeBytes, readIops or writeIops",
				   "no limit is given");
	r = grading_check(&p->grading, 1, limits[first].most, e);
	if (r < 0 || !p->grading.over_ms)
		return r;
	if (n > 1)
		return error_field(e, "parameters.over", "", "one limit",
				   "a ramp goes from one value to another, and %u limits are given",
				   n);
	if (isnan(p->grading.from) || p->grading.from < 1)
		return error_field(e, "parameters.from", "", "1 or more",
				   "required: the limit that the ramp begins at");
	return 0;
}

/* The disk */

/* "259:0". Returns 0 or -EINVAL. */
static int parse_numbers(const char *text, dev_t *ret)
{
	const char *colon = strchr(text, ':');
	char first[16];
	uint64_t major_number, minor_number;
	size_t n = colon ? (size_t)(colon - text) : sizeof(first);

	if (n >= sizeof(first))
		return -EINVAL;
	memcpy(first, text, n);
	first[n] = '\0';
	if (str_to_u64(first, &major_number) < 0 || str_to_u64(colon + 1, &minor_number) < 0 ||
	    major_number > UINT32_MAX || minor_number > UINT32_MAX)
		return -EINVAL;
	*ret = makedev((unsigned)major_number, (unsigned)minor_number);
	return 0;
}

static int look_device(const struct disk_throttle *p, struct mount_facts *ret, struct error *e)
{
	char sysfs[64];
	struct stat st;
	dev_t device;

	if (p->device[0] == '/') {
		if (stat(p->device, &st) < 0 || !S_ISBLK(st.st_mode))
			return error_field(e, "parameters.device", p->device,
					   "a block device such as /dev/sda",
					   "%s is no block device", p->device);
		device = st.st_rdev;
	} else if (parse_numbers(p->device, &device) < 0) {
		return error_field(e, "parameters.device", p->device,
				   "/dev/… or numbers such as 8:0", "%s is no device", p->device);
	}
	(void)snprintf(sysfs, sizeof(sysfs), "/sys/dev/block/%u:%u", major(device), minor(device));
	if (access(sysfs, F_OK) < 0)
		return error_field(e, "parameters.device", p->device, "a disk that is there",
				   "there is no disk %u:%u", major(device), minor(device));
	mount_find_disk(device, ret);
	return 0;
}

static int look_path(const struct disk_throttle *p, struct mount_facts *ret, struct error *e)
{
	int r = mount_read(0, p->path, ret);

	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EINVAL)
		return error_field(e, "parameters.path", p->path, "an absolute path that is there",
				   "%s is not there", p->path);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot look at %s: %s", p->path,
				 mount_strerror(r));
	if (ret->major == 0)
		return error_field(e, "parameters.path", p->path, "a path on a disk, or device",
				   "%s is on no disk that can be told (%s)", p->path, ret->type);
	return 0;
}

static int look_disk(const struct disk_throttle *p, struct facts *facts, struct error *e)
{
	if (!p->path[0] == !p->device[0])
		return error_field(e, p->path[0] ? "parameters.device" : "parameters.path", "",
				   "path or device", "%s",
				   p->path[0] ? "path is given as well" : "required, or device");
	return p->path[0] ? look_path(p, &facts->mount, e) : look_device(p, &facts->mount, e);
}

/* The cgroups */

static int check_file(const struct cgroup_hierarchy *h, const char *cgroup, struct error *e)
{
	char path[CGROUP_MOUNT_MAX + CGROUP_PATH_MAX + 48];
	const char *slash = strrchr(cgroup, '/');
	int r = cgroup_file_path(h, cgroup, h->v2 ? "io.max" : limits[0].file, path, sizeof(path));

	if (r == 0 && access(path, F_OK) == 0)
		return 0;
	if (!h->v2)
		return error_set(e, ERROR_CONFLICT, -ENOENT,
				 "%s is not in the blkio hierarchy (%s): its I/O cannot be limited",
				 cgroup, h->mount);
	return error_set(e, ERROR_CONFLICT, -ENOENT,
			 "the io controller is not enabled for %s: write +io to "
			 "%s%.*s/cgroup.subtree_control, or set IOAccounting=yes on its unit",
			 cgroup, h->mount, slash ? (int)(slash - cgroup) : 0, cgroup);
}

static int look_cgroups(struct facts *facts, struct error *e)
{
	const struct cgroup_hierarchy *h;
	int r = facts->aimed ? 0 : cgroup_layout_read(&facts->cgroups);

	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot read the mounts: %s", strerror(-r));
	h = cgroup_hierarchy_of(&facts->cgroups, CGROUP_IO);
	if (!h)
		return error_set(
			e, ERROR_UNSUPPORTED, -ENOSYS,
			"this host has no cgroup controller for I/O (io of v2, blkio of v1)");
	if (!facts->aimed && h->v2)
		return error_field(e, "parameters.cgroup", "", "unit, cgroup or container",
				   "required: cgroup v2 has no limits for the host as a whole");
	if (!facts->aimed)
		return check_file(h, "/", e);
	for (size_t i = 0; i < facts->n_aims && r == 0; i++)
		r = check_file(h, facts->aims[i].path, e);
	return r;
}

/* Without a target the whole host is slowed, faultd and whoever would stop it included: not on the
 * disk of anything that is needed for that. */
static int check_protected(const struct disk_throttle *p, const struct facts *facts,
			   struct error *e)
{
	struct mount_facts root;
	const char *why = NULL;

	if (p->path[0] && policy_protects_mount(facts->policy, facts->mount.point))
		why = "it is protected by the policy";
	else if (facts->aimed)
		return 0;
	else if (p->path[0])
		why = protect_mount(facts->mount.point, facts->mount.device, facts);
	if (!why && !facts->aimed && mount_read(0, "/", &root) == 0 && root.major != 0 &&
	    root.major == facts->mount.major && root.minor == facts->mount.minor)
		why = "the root is on it";
	if (!why)
		return 0;
	return error_set(e, ERROR_DENIED, -EACCES, "%s is protected: %s",
			 p->path[0] ? p->path : p->device, why);
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct disk_throttle *p = params;
	int r = check_limits(p, e);

	if (r == 0)
		r = look_disk(p, facts, e);
	if (r == 0)
		r = target_look(&p->target, facts, e);
	if (r == 0)
		r = check_protected(p, facts, e);
	return r < 0 || facts->skipped ? r : look_cgroups(facts, e);
}

/* The plan */

static uint64_t limit_now(const struct disk_throttle *p, enum limit l, const struct facts *facts)
{
	if (!p->grading.over_ms)
		return limit_given(p, l);
	return facts->grade < 1 ? 1 : (uint64_t)(facts->grade + 0.5);
}

static struct step *add_attr(struct plan *plan, const struct facts *facts, const char *cgroup,
			     const char *file)
{
	const struct cgroup_hierarchy *h = cgroup_hierarchy_of(&facts->cgroups, CGROUP_IO);
	struct step *s = plan_add(plan, STEP_ATTR);

	if (!s)
		return NULL;
	if (!h || cgroup_file_path(h, cgroup, file, s->attr.path, sizeof(s->attr.path)) < 0) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	(void)snprintf(s->attr.key, sizeof(s->attr.key), "%u:%u", facts->mount.major,
		       facts->mount.minor);
	return s;
}

/* Only the words that are asked for: the others are, and stay, somebody else's. */
static int plan_v2(const struct disk_throttle *p, const struct facts *facts, const char *cgroup,
		   struct plan *plan)
{
	struct step *s = add_attr(plan, facts, cgroup, "io.max");
	struct text t;

	if (!s)
		return -errno;
	t = TEXT(s->attr.want);
	for (enum limit l = 0; l < _LIMIT_MAX; l++) {
		if (limit_given(p, l))
			text_add(&t, "%s%s=%" PRIu64, t.length ? " " : "", limits[l].word,
				 limit_now(p, l, facts));
	}
	return 0;
}

static int plan_v1(const struct disk_throttle *p, const struct facts *facts, const char *cgroup,
		   struct plan *plan)
{
	for (enum limit l = 0; l < _LIMIT_MAX; l++) {
		struct step *s;

		if (!limit_given(p, l))
			continue;
		s = add_attr(plan, facts, cgroup, limits[l].file);
		if (!s)
			return -errno;
		(void)snprintf(s->attr.want, sizeof(s->attr.want), "%" PRIu64,
			       limit_now(p, l, facts));
	}
	return 0;
}

static int plan_one(const struct disk_throttle *p, const struct facts *facts, const char *cgroup,
		    struct plan *plan)
{
	const struct cgroup_hierarchy *h = cgroup_hierarchy_of(&facts->cgroups, CGROUP_IO);
	int r = plan_claim(plan, "limits of disk %u:%u in %s", facts->mount.major,
			   facts->mount.minor, cgroup);

	if (r < 0)
		return r;
	return h && h->v2 ? plan_v2(p, facts, cgroup, plan) : plan_v1(p, facts, cgroup, plan);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct disk_throttle *p = params;
	int r = 0;

	if (!facts->aimed)
		r = plan_one(p, facts, "/", plan);
	for (size_t i = 0; i < facts->n_aims && r == 0; i++)
		r = plan_one(p, facts, facts->aims[i].path, plan);
	if (r == -E2BIG)
		return error_set(e, ERROR_QUOTA, r, "at most %d cgroups at a time", CLAIMS_MAX);
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot plan: %s", strerror(-r)) : 0;
}

static void print_limit(enum limit l, double value, struct text *t)
{
	if (l == READ_BYTES || l == WRITE_BYTES) {
		bytes_print((uint64_t)value, t);
		text_add(t, "/s %s", limits[l].shown);
	} else {
		text_add(t, "%.15g %s/s", value, limits[l].shown);
	}
}

static void describe_limit(const struct disk_throttle *p, enum limit l, struct text *t)
{
	const struct grading *g = &p->grading;

	if (!g->over_ms) {
		print_limit(l, (double)limit_given(p, l), t);
		return;
	}
	print_limit(l, grading_end(g, (double)limit_given(p, l)), t);
	text_add(t, ", from ");
	print_limit(l, g->from, t);
	text_add(t, " in %" PRId64 " step%s over ", g->steps, g->steps == 1 ? "" : "s");
	duration_print(g->over_ms, t);
}

static void describe(const void *params, struct text *t)
{
	const struct disk_throttle *p = params;
	const struct grading waves = {.every_ms = p->grading.every_ms, .for_ms = p->grading.for_ms};
	const char *separator = " to ";

	text_add(t, "limit the disk %s%s", p->path[0] ? "of " : "",
		 p->path[0] ? p->path : p->device);
	target_describe(&p->target, t);
	for (enum limit l = 0; l < _LIMIT_MAX; l++) {
		if (!limit_given(p, l))
			continue;
		text_add(t, "%s", separator);
		separator = ", ";
		describe_limit(p, l, t);
	}
	grading_describe(&waves, t);
}

static bool graded(const void *params, struct grade *ret, double *ret_to)
{
	const struct disk_throttle *p = params;
	enum limit first = 0;

	(void)count_limits(p, &first);
	return grading_of(&p->grading, (double)limit_given(p, first), ret, ret_to);
}

extern const struct action action_disk_throttle;
const struct action action_disk_throttle = {
	.name = "disk-throttle",
	.summary = "Let a cgroup read and write a disk only so fast",
	.description =
		"The kernel makes the processes of the cgroup wait for the disk beyond so many bytes or operations "
		"per second (io.max; on cgroup v1 blkio.throttle.*). What was set before is put back at the end, "
		"unless somebody else has changed it. On cgroup v1 only reads and direct or synced writes are "
		"limited, what is written back later is not; the limit holds for the processes in the cgroup "
		"itself, not for those in cgroups below it; and without a target it is that of the root cgroup. "
		"Cgroup v2 needs a target.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct disk_throttle),
	.look = look,
	.plan = plan,
	.describe = describe,
	.graded = graded,
	.composition = "exclusive: one per cgroup and disk",
};
