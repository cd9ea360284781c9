/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups as this host has them: v2, v1, or v1 with an empty v2 beside it ("hybrid"). Read
 * only. A cgroup is named by its path below the root of its hierarchy ("/docker/3f1c…"), which is
 * the same in every hierarchy that has it. Sources: the kernel's admin-guide/cgroup-v2.rst and
 * admin-guide/cgroup-v1/. */
#ifndef FAULTD_HOST_CGROUPS_H
#define FAULTD_HOST_CGROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "host/cpus.h"

#define CGROUP_PATH_MAX        320
#define CGROUP_MOUNT_MAX       128
#define CGROUP_HIERARCHIES_MAX 24

enum cgroup_controller {
	CGROUP_CPU,
	CGROUP_CPUSET,
	CGROUP_MEMORY,
	CGROUP_IO, /* "blkio" on v1 */
	CGROUP_PIDS,
	CGROUP_FREEZER, /* on v2 no controller: every cgroup has cgroup.freeze (5.2) */
	_CGROUP_CONTROLLER_MAX,
};

struct cgroup_hierarchy {
	char mount[CGROUP_MOUNT_MAX];
	bool v2;
	uint32_t controllers; /* bits: 1 << enum cgroup_controller; on v2 those the root offers */
};

/* The hierarchies that are mounted. */
struct cgroup_layout {
	struct cgroup_hierarchy hierarchy[CGROUP_HIERARCHIES_MAX];
	size_t n;
};

/* Reads /proc/self/mountinfo, which, unlike mounts, tells the mounts of one hierarchy from each
 * other and a whole one from a bind mount of a part: each hierarchy is listed once. Returns 0 (also
 * when there is none), or a negative errno. */
int cgroup_layout_read(struct cgroup_layout *ret);

/* The same from a text such as /proc/self/mountinfo. The mounts it names are looked at. */
int cgroup_layout_parse(FILE *mountinfo, struct cgroup_layout *ret);

/* The hierarchy that has the controller; NULL: none. v2 wins where it really has it: one that can
 * do nothing but freeze (a hybrid host) leaves CGROUP_FREEZER to a v1 freezer. */
const struct cgroup_hierarchy *cgroup_hierarchy_of(const struct cgroup_layout *l,
						   enum cgroup_controller controller);

/* "MOUNT/path/FILE". Returns 0 or -ENAMETOOLONG. */
int cgroup_file_path(const struct cgroup_hierarchy *h, const char *path, const char *file,
		     char *ret, size_t size);

/* Calls `each` once for every cgroup of any hierarchy but the roots, in the order of strcmp(),
 * whatever the number of hierarchies that have it; what it returns other than 0 ends it. Paths of
 * CGROUP_PATH_MAX and more are left out. Returns what `each` did, or a negative errno (-E2BIG: more
 * than 65536). */
int cgroup_each(const struct cgroup_layout *l, int (*each)(const char *path, void *arg), void *arg);

/* The same for those below a plain path; one that is not there has none. */
int cgroup_each_below(const struct cgroup_layout *l, const char *from,
		      int (*each)(const char *path, void *arg), void *arg);

/* Is there such a cgroup? `path` may also begin with a mount ("/sys/fs/cgroup/…") or lack its
 * slash: it is made plain. Returns 0 and the plain path ("/" for a root), -ENOENT, or -EINVAL ("",
 * ".", "..", too long). */
int cgroup_find(const struct cgroup_layout *l, const char *path, char ret[static CGROUP_PATH_MAX]);

/* Does the last part of `path` name a container, pod or ECS task that `wanted` means? `wanted` is
 * - an id (an ECS task's and a pod's UID too), whole or the beginning, 4 characters at least; also
 *   as Kubernetes shows it, "containerd://ID";
 * - a name, whole or a beginning that ends where a word of it ends: "web" means web and web-1, not
 *   webhook, and "web-1" does not mean web-12; with a scheme, "lxc://web", exactly this;
 * - the ARN of an ECS task, with or without its cluster, whose id must fit whole.
 * Understood are the paths that Docker, containerd (ctr, nerdctl, CRI), CRI-O, Podman, Kubernetes,
 * ECS, LXC and systemd-nspawn make, with the cgroupfs and the systemd driver. The names of LXC,
 * nspawn and ctr are in their paths; of the others it is the ids only. Pure. */
bool cgroup_is_container(const char *path, const char *wanted);

/* Whose the last part of `path` says it is, by the same understanding. `ret_name` is the id, UID or
 * name; "": nobody's. Pure. */
enum cgroup_owner {
	CGROUP_OF_NOBODY,
	CGROUP_OF_CONTAINER, /* its id of 64 digits */
	CGROUP_OF_NAMED,     /* a container that people named: LXC, nspawn, ctr */
	CGROUP_OF_TASK,      /* of ECS */
	CGROUP_OF_POD,       /* its UID, with hyphens */
};
enum cgroup_owner cgroup_owner(const char *path, char ret_name[static CGROUP_PATH_MAX]);

/* Is this cgroup that of the systemd unit: is the last part of its path the unit's name? Pure. */
bool cgroup_is_unit(const char *path, const char *unit);

/* The processes in it and (`deep`) below it, of all hierarchies that have it, each once and
 * ascending; malloc'd, NULL when there are none. Returns 0 or a negative errno (-ENOENT: no such
 * cgroup). */
int cgroup_pids(const struct cgroup_layout *l, const char *path, bool deep, pid_t **ret,
		size_t *ret_n);

#define CGROUP_NO_LIMIT UINT64_MAX

/* What binds a cgroup: the tightest of its own limits and those above it. */
struct cgroup_limits {
	double cpus;     /* the quota, in CPUs; 0: none */
	uint64_t memory; /* bytes; CGROUP_NO_LIMIT */
	uint64_t
		memory_used; /* by the cgroup that has the tightest limit; without one, by itself */
	uint64_t pids;       /* CGROUP_NO_LIMIT */
	uint64_t pids_used;
};

/* Fills what it can read; what is not there is no limit. The root of a v1 hierarchy counts as one
 * above. Returns 0 or -ENAMETOOLONG. */
int cgroup_limits_read(const struct cgroup_layout *l, const char *path, struct cgroup_limits *ret);

/* The CPUs it may run on, out of `all`. Returns 0 or -ENAMETOOLONG. */
int cgroup_cpus_read(const struct cgroup_layout *l, const char *path, const struct cpu_list *all,
		     struct cpu_list *ret);

/* cgroup v2: has it controllers enabled for what is below it? Then no process may be in it itself
 * (the "no internal processes" rule), except in the root. */
bool cgroup_is_inner(const struct cgroup_layout *l, const char *path);

/* How sockets of cgroup v2 are told: the id of the cgroup, and how many are above it. Returns 0,
 * -ENOENT (no v2 is mounted, or it is not there), -EXDEV (the hierarchy begins below its root, so
 * that the depth is not known: a cgroup namespace), or another errno. */
int cgroup_id(const struct cgroup_layout *l, const char *path, uint64_t *ret_id,
	      uint32_t *ret_level);

/* The ids of the cgroup of v2 that has this one, and of all below it; malloc'd. Returns 0, -ENOENT
 * (it is not there any more), or another errno. */
int cgroup_ids_below(const struct cgroup_layout *l, uint64_t id, uint64_t **ret, size_t *ret_n);

#endif
