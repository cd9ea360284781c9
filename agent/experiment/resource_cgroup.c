/* SPDX-License-Identifier: Apache-2.0 */
/* host:cgroup: the control groups of this host. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "experiment/resource_types.h"
#include "util/cleanup.h"

static const struct resource_parameter rows[] = {
	{.name = "path",
	 .description =
		 "The cgroup's path below its hierarchy's root, or a pattern (/system.slice/web-*.service)"},
	{0},
};

struct search {
	const struct identity *id;
	char wanted[CGROUP_PATH_MAX]; /* a plain path, or … */
	const char *pattern;          /* "": all */
	struct own_cgroups own;
	struct resource_list *found;
	struct error *e;
	bool told; /* what went wrong, in e */
};

/* "0::/system.slice/faultd.service", "4:memory:/system.slice/faultd.service" (cgroups(7)) */
static void take_own(char *line, struct own_cgroups *ret)
{
	char *path = strchr(line, ':');

	path = path ? strchr(path + 1, ':') : NULL;
	if (!path || ret->n == ARRAY_SIZE(ret->path))
		return;
	path++;
	path[strcspn(path, "\n")] = '\0';
	if (!str_eq(path, "/") && str_copy(ret->path[ret->n], CGROUP_PATH_MAX, path))
		ret->n++;
}

void resource_own_cgroups(const struct identity *id, struct own_cgroups *ret)
{
	_cleanup_fclose_ FILE *f = resource_open(id, "/proc/self/cgroup");
	char line[CGROUP_PATH_MAX + 64];

	ret->n = 0;
	while (f && fgets(line, sizeof(line), f))
		take_own(line, ret);
}

bool resource_is_own_cgroup(const struct own_cgroups *own, const char *path)
{
	for (size_t i = 0; i < own->n; i++) {
		if (resource_is_inside(path, own->path[i]))
			return true;
	}
	return strstr(path, "/faultd.service") || strstr(path, "/faultd-guardian.service");
}

bool resource_holds_own(const struct own_cgroups *own, const char *path)
{
	for (size_t i = 0; i < own->n; i++) {
		if (resource_is_inside(own->path[i], path))
			return true;
	}
	return false;
}

/* The children in turn of one that matches do not. */
static bool fits(const struct search *s, const char *path)
{
	if (s->wanted[0])
		return str_eq(path, s->wanted);
	return !s->pattern[0] || fnmatch(s->pattern, path, FNM_PATHNAME | FNM_NOESCAPE) == 0;
}

static int add_cgroup(const char *path, void *arg)
{
	struct search *s = arg;
	char arn[ARN_MAX];
	struct resource *r;
	int result;

	if (!fits(s, path) || resource_is_own_cgroup(&s->own, path) ||
	    resource_holds_own(&s->own, path))
		return 0;
	result = resource_add(s->found, identity_host_arn(s->id, "cgroup", path, arn), path, &r,
			      s->e);
	if (r && result == 0 && !resource_set(r->properties, "Path", path))
		result = resource_no_memory(s->e);
	s->told = result < 0;
	return result;
}

static int find(const cJSON *parameters, const struct identity *id, struct resource_list *ret,
		struct error *e)
{
	const char *path = resource_parameter(parameters, "path");
	struct search s = {.id = id, .pattern = path, .found = ret, .e = e};
	struct cgroup_layout l;
	int r = resource_cgroups(id, &l, e);

	if (r < 0)
		return r;
	r = path[0] ? cgroup_find(&l, path, s.wanted) : 0;
	if (r == -ENOENT && !strpbrk(path, "*?["))
		return 0;
	if (r == -EINVAL)
		return error_field(
			e, "parameters.path", path,
			"a path below the root of its hierarchy, without .., or a pattern",
			"%s is not", path);
	if (r < 0)
		s.wanted[0] = '\0';
	resource_own_cgroups(id, &s.own);
	r = cgroup_each(&l, add_cgroup, &s);
	return r < 0 && !s.told
		       ? error_set(e, ERROR_FAILED, r, "cannot read the cgroups of this host: %s",
				   strerror(-r))
		       : r;
}

const struct resource_type resource_host_cgroup = {
	.name = "host:cgroup",
	.description =
		"The control groups of this host, of version 1 or 2, but for those faultd runs in",
	.parameters = rows,
	.has_arns = true,
	.fault_parameter = "cgroup",
	.find = find,
};
