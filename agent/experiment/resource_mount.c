/* SPDX-License-Identifier: Apache-2.0 */
/* host:mount: the file systems that are mounted on this host. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/resource_types.h"
#include "util/cleanup.h"

static const struct resource_parameter rows[] = {
	{.name = "path", .description = "The mount point, or a pattern such as /data/*"},
	{.name = "type", .description = "The file system's type, such as ext4, or a pattern"},
	{0},
};

/* What is mounted over at its own point is not to be reached any more. The table's order says
 * nothing about what is mounted above whom: an initramfs moves what it mounted below the root that
 * comes after. */
static void drop_covered(struct mount_table *t, const char *point)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (str_eq(t->mount[i].point, point))
			continue;
		if (n != i)
			t->mount[n] = t->mount[i];
		n++;
	}
	t->n = n;
}

static int add_mount(struct mount_table *t, const struct mount_line *m)
{
	drop_covered(t, m->point);
	if (t->n == t->room) {
		size_t room = t->room ? t->room * 2 : 32;
		struct mount_line *more = reallocarray(t->mount, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->mount = more;
		t->room = room;
	}
	t->mount[t->n++] = *m;
	return 0;
}

int resource_mounts(const struct identity *id, struct mount_table *ret, struct error *e)
{
	_cleanup_fclose_ FILE *f = resource_open(id, "/proc/self/mountinfo");
	_cleanup_free_
	char *line = NULL;
	size_t size = 0;
	int r = f ? 0 : -errno;

	/* What is longer than its room cannot be aimed at; what is no such line is none. */
	while (r == 0 && getline(&line, &size, f) > 0) {
		struct mount_line m;

		if (mount_line_parse(line, &m) == 0)
			r = add_mount(ret, &m);
	}
	if (r == 0 && ferror(f))
		r = -EIO;
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot read the mounts of this host: %s",
				 strerror(-r))
		     : 0;
}

void mount_table_done(struct mount_table *t)
{
	free(t->mount);
}

/* Asking them for their size, as mount_read() does, could take half a second for each that does not
 * answer: their types say enough. */
static bool is_pseudo(const char *type)
{
	static const char *const types[] = {
		"autofs",     "binfmt_misc", "bpf",         "cgroup",    "cgroup2",
		"configfs",   "debugfs",     "devpts",      "devtmpfs",  "efivarfs",
		"fusectl",    "fuse.lxcfs",  "fuse.portal", "hugetlbfs", "mqueue",
		"nsfs",       "proc",        "pstore",      "ramfs",     "rpc_pipefs",
		"securityfs", "selinuxfs",   "squashfs",    "sysfs",     "tracefs",
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (str_eq(types[i], type))
			return true;
	}
	return false;
}

/* Where a host of cgroup v1 has a tmpfs. */
static bool is_below_sys(const char *point)
{
	return str_starts(point, "/sys/") || str_starts(point, "/proc/");
}

static bool fits(const struct mount_line *m, const char *path, const char *type)
{
	if (path[0] && !str_eq(m->point, path) && !resource_fits_pattern(m->point, path))
		return false;
	if (!type[0])
		return !is_pseudo(m->type) && (!is_below_sys(m->point) || str_eq(m->point, path));
	return str_eq(m->type, type) ||
	       (!is_pseudo(m->type) && resource_fits_pattern(m->type, type));
}

static bool describe(cJSON *p, const struct mount_line *m)
{
	char device[32];
	struct text t = TEXT(device);

	text_add(&t, "%u:%u", m->major, m->minor);
	return resource_set(p, "Path", m->point) && resource_set(p, "Type", m->type) &&
	       resource_set(p, "Source", m->source) && resource_set(p, "Device", device);
}

static int find(const cJSON *parameters, const struct identity *id, struct resource_list *ret,
		struct error *e)
{
	__attribute__((cleanup(mount_table_done))) struct mount_table t = {0};
	const char *path = resource_parameter(parameters, "path");
	const char *type = resource_parameter(parameters, "type");
	char arn[ARN_MAX];
	int result = resource_mounts(id, &t, e);

	for (size_t i = 0; i < t.n && result == 0; i++) {
		const struct mount_line *m = &t.mount[i];
		struct resource *r;

		if (!fits(m, path, type))
			continue;
		result = resource_add(ret, identity_host_arn(id, "mount", m->point, arn), m->point,
				      &r, e);
		if (r && result == 0 && !describe(r->properties, m))
			result = resource_no_memory(e);
	}
	return result;
}

const struct resource_type resource_host_mount = {
	.name = "host:mount",
	.description =
		"The file systems that are mounted on this host, but for those that store no files (proc, sysfs "
		"and the like), unless type names theirs",
	.parameters = rows,
	.has_arns = true,
	.fault_parameter = "path",
	.find = find,
};
