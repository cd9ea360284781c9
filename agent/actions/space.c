/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/space.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "actions/target.h"

static int refuse(const char *path, const char *allowed, const char *why, struct error *e)
{
	return error_field(e, "parameters.path", path, allowed, "%s %s", path, why);
}

/* What is protected by its mount point is so under any other name, too. */
static const char *protected_on(const struct mount_facts *m, const struct policy *policy)
{
	const struct name_list *list = &policy->protected_mounts;

	for (uint32_t i = 0; i < list->n; i++) {
		struct mount_facts other;

		if (str_eq(list->name[i], m->point))
			return list->name[i];
		if (mount_read(0, list->name[i], &other) == 0 &&
		    str_eq(other.point, list->name[i]) && other.filesystem == m->filesystem)
			return list->name[i];
	}
	return NULL;
}

static int check(const char *path, const struct mount_facts *m, const struct facts *facts,
		 struct error *e)
{
	const char *protected;
	char why[96];

	(void)snprintf(why, sizeof(why), "is on %s, which is no store of files", m->type);
	if (mount_is_pseudo(m))
		return refuse(path, "a path on a disk, a tmpfs or the like", why, e);
	if (m->read_only)
		return refuse(path, "a path that can be written to", "is mounted read-only", e);
	protected = protected_on(m, facts->policy);
	if (protected)
		return error_set(e, ERROR_DENIED, -EPERM,
				 "%s is on the file system of %s, which the policy protects", path,
				 protected);
	return 0;
}

static int look_at(pid_t pid, const char *path, const struct facts *facts, struct mount_facts *ret,
		   struct error *e)
{
	char why[128];
	int r = mount_read(pid, path, ret);

	if (r == 0)
		return check(path, ret, facts, e);
	if (r == -EINVAL)
		return refuse(path, "an absolute path", "does not begin with /", e);
	if (pid && (r == -EACCES || r == -EPERM))
		return error_set(e, ERROR_UNSUPPORTED, r,
				 "faultd lacks the privilege to look at %s in there "
				 "(CAP_SYS_PTRACE): %s",
				 path, strerror(-r));
	(void)snprintf(why, sizeof(why), "cannot be looked at%s: %s", pid ? " in there" : "",
		       mount_strerror(r));
	return refuse(path, "a file or directory that is there", why, e);
}

int space_look(const char *path, struct facts *facts, struct error *e)
{
	if (!facts->aimed)
		return look_at(0, path, facts, &facts->mount, e);
	for (size_t i = 0; i < facts->n_aims; i++) {
		struct aim *aim = &facts->aims[i];
		int r;

		if (aim->first_pid == 0)
			return error_set(e, ERROR_CONFLICT, -ESRCH,
					 "%s has no process whose files could be seen", aim->shown);
		r = look_at(aim->first_pid, path, facts, &aim->mount, e);
		if (r < 0)
			return r;
	}
	return 0;
}

size_t space_places(const struct facts *facts)
{
	return facts->aimed ? facts->n_aims : 1;
}

struct space_place space_place(const struct facts *facts, size_t i)
{
	if (facts->aimed)
		return (struct space_place){&facts->aims[i], &facts->aims[i].mount};
	return (struct space_place){NULL, &facts->mount};
}

int space_cannot_plan(int r, struct error *e)
{
	return error_set(e, ERROR_FAILED, r, "cannot plan: %s", strerror(-r));
}

struct step *space_add_worker(const struct space_place *place, const char *leaf, const char *kind,
			      const char *path, struct plan *plan, struct error *e)
{
	struct step *s = plan_add(plan, STEP_CHILD);

	if (!s) {
		(void)space_cannot_plan(-errno, e);
		return NULL;
	}
	if (!step_load_add(s, kind) || !step_load_add(s, "--path") || !step_load_add(s, path) ||
	    (place->aim && !target_add_load(place->aim, leaf, true, s))) {
		(void)space_cannot_plan(-ENAMETOOLONG, e);
		return NULL;
	}
	return s;
}

bool space_add_number(struct step *s, const char *option, double v)
{
	char text[48];

	/* A worker reads no exponents: EFS has 8 EiB free. */
	(void)snprintf(text, sizeof(text), v < 1e15 ? "%.15g" : "%.0f", v);
	return step_load_add(s, option) && step_load_add(s, text);
}
