/* SPDX-License-Identifier: Apache-2.0 */
/* Which cgroups are whose: what tasks, pods and containers have in common. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiment/resource_types.h"
#include "util/cleanup.h"

struct search {
	const struct identity *id;
	const struct cgroup_layout *layout;
	struct owned_list *found;
	struct own_cgroups own;
};

bool resource_is_inside(const char *path, const char *other)
{
	size_t n = strlen(other);

	return strncmp(path, other, n) == 0 && (path[n] == '/' || !path[n]);
}

/* "/NAMESPACE/NAME" may be any cgroup: a container's has a bundle of that name. */
static bool is_really_named(const struct identity *id, const char *path)
{
	char below[CGROUP_PATH_MAX + 64], bundle[RESOURCE_PATH_MAX];

	if (strstr(path, "/lxc") || strstr(path, "/machine"))
		return true;
	(void)snprintf(below, sizeof(below), "/run/containerd/io.containerd.runtime.v2.task%s",
		       path);
	return access(resource_path(id, below, bundle), F_OK) == 0;
}

static bool has_processes(const struct cgroup_layout *l, const char *path)
{
	_cleanup_free_
	pid_t *pids = NULL;
	size_t n = 0;

	return cgroup_pids(l, path, true, &pids, &n) == 0 && n > 0;
}

static int add_cgroup(const char *path, void *arg)
{
	const struct search *s = arg;
	struct owned_list *l = s->found;
	struct owned_cgroup o;

	o.owner = cgroup_owner(path, o.name);
	if (o.owner == CGROUP_OF_NOBODY ||
	    (o.owner == CGROUP_OF_NAMED && !is_really_named(s->id, path)) ||
	    resource_holds_own(&s->own, path) || !has_processes(s->layout, path))
		return 0;
	(void)str_copy(o.path, sizeof(o.path), path);
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 32;
		struct owned_cgroup *more = reallocarray(l->cgroup, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->cgroup = more;
		l->room = room;
	}
	l->cgroup[l->n++] = o;
	return 0;
}

int resource_owned_cgroups(const struct identity *id, struct owned_list *ret, struct error *e)
{
	struct cgroup_layout l, one = {.n = 1};
	const struct cgroup_hierarchy *h;
	struct search s = {.id = id, .layout = &one, .found = ret};
	int r = resource_cgroups(id, &l, e);

	if (r < 0)
		return r;
	/* Every runtime puts its containers where memory is counted: of a dozen hierarchies of v1
	 * that one is enough. */
	h = cgroup_hierarchy_of(&l, CGROUP_MEMORY);
	if (h)
		one.hierarchy[0] = *h;
	else
		one = l;
	resource_own_cgroups(id, &s.own);
	r = cgroup_each(&one, add_cgroup, &s);
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot read the cgroups of this host: %s",
				 strerror(-r))
		     : 0;
}

void owned_list_done(struct owned_list *l)
{
	free(l->cgroup);
}
