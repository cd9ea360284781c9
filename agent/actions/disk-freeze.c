/* SPDX-License-Identifier: Apache-2.0 */
/* disk-freeze: the victim sees a disk that hangs: what it writes to the file system, or syncs,
 * waits; what it reads goes on as long as that needs no writing.
 * Changed on the host: the file system is frozen (FIFREEZE). Put back by thawing it; what had been
 * waiting is then written. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "actions/action.h"
#include "actions/protect.h"

struct disk_freeze {
	char path[256];
};

static const struct row rows[] = {
	{.name = "path",
	 .type = ROW_STRING,
	 FIELD_STRING(struct disk_freeze, path),
	 .text = "required: a directory, or a file, on the file system to be frozen"},
};

static int cannot_look(const struct disk_freeze *p, int r, struct error *e)
{
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EINVAL)
		return error_field(e, "parameters.path", p->path, "an absolute path that is there",
				   "%s", p->path[0] ? "it is not there" : "required");
	return error_set(e, ERROR_FAILED, r, "cannot look at %s: %s", p->path, mount_strerror(r));
}

/* The worker and who thaws go by the mount point: a subvolume has a number of its own. */
static int read_point(struct mount_facts *m)
{
	struct stat st;

	if (stat(m->point, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	m->device = st.st_dev;
	return 0;
}

/* Subvolumes, and overlays that write to the file system, have other numbers. */
static bool holds(const struct mount_facts *m, const char *path)
{
	struct mount_facts other;

	return path && mount_read(0, path, &other) == 0 && other.filesystem == m->filesystem;
}

static const char *why_not(const struct mount_facts *m, const struct facts *facts)
{
	const char *needed[] = {"/",
				"/usr",
				"/etc",
				"/var/log",
				"/proc/self/exe",
				facts->runtime_dir,
				facts->state_dir};
	const char *why = protect_mount(m->point, m->device, facts);

	for (size_t i = 0; !why && i < ARRAY_SIZE(needed); i++) {
		if (holds(m, needed[i]))
			why = "the host and faultd need what is on it";
	}
	return why;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct disk_freeze *p = params;
	struct mount_facts *m = &facts->mount;
	const char *why;
	int r = mount_read(0, p->path, m);

	if (r == 0)
		r = read_point(m);
	if (r < 0)
		return cannot_look(p, r, e);
	why = why_not(m, facts);
	if (!why)
		return 0;
	return error_set(e, ERROR_DENIED, -EPERM, "%s must not be frozen: %s", m->point, why);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct mount_facts *m = &facts->mount;
	struct step *s = plan_add(plan, STEP_FREEZE);
	int r;

	if (!s)
		return error_set(e, ERROR_FAILED, -errno, "cannot plan: %s", strerror(errno));
	(void)str_copy(s->freeze.path, sizeof(s->freeze.path), m->point);
	s->freeze.device = m->device;
	r = plan_claim(plan, "file system %u:%u (%s)", major(m->filesystem), minor(m->filesystem),
		       m->type);
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot plan: %s", strerror(-r)) : 0;
}

static void describe(const void *params, struct text *t)
{
	text_add(t, "freeze the file system of %s", ((const struct disk_freeze *)params)->path);
}

static const struct alias_row ebs_rows[] = {{.name = "path", .row = "path", .required = true}, {0}};
static const struct alias aliases[] = {{"aws:ebs:pause-volume-io", ebs_rows}, {0}};

extern const struct action action_disk_freeze;
const struct action action_disk_freeze = {
	.name = "disk-freeze",
	.summary = "Freeze a file system, so that what writes to it hangs",
	.description =
		"What is dirty is written out, then the file system is frozen: whoever writes, syncs or creates "
		"on it waits in the kernel (state D) and cannot be killed; reading goes on. It is thawed at "
		"the end, and what waited is done. Refused for the root, for what faultd needs to put the "
		"host back, for types that cannot be frozen (tmpfs, overlay), and while someone else has it "
		"frozen. Unlike the pause of an EBS volume it stops neither reads nor other file systems of "
		"the same disk.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct disk_freeze),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
	.composition = "exclusive: one per file system",
};
