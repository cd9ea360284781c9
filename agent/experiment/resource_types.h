/* SPDX-License-Identifier: Apache-2.0 */
/* What the types of resources share. Only resource*.c know this. */
#ifndef FAULTD_EXPERIMENT_RESOURCE_TYPES_H
#define FAULTD_EXPERIMENT_RESOURCE_TYPES_H

#include <stdio.h>

#include "experiment/resource.h"
#include "host/cgroups.h"
#include "host/interfaces.h"
#include "host/mounts.h"

extern const struct resource_type resource_ebs_volume;
extern const struct resource_type resource_ec2_instance;
extern const struct resource_type resource_ec2_subnet;
extern const struct resource_type resource_ecs_task;
extern const struct resource_type resource_eks_pod;
extern const struct resource_type resource_host_cgroup;
extern const struct resource_type resource_host_container;
extern const struct resource_type resource_host_interface;
extern const struct resource_type resource_host_mount;
extern const struct resource_type resource_host_process;
extern const struct resource_type resource_host_unit;

/* The value of a parameter; "": it is not given. */
const char *resource_parameter(const cJSON *parameters, const char *name);

/* Adds one of this ARN and value, with an empty object of properties and {"arn"} as information.
 * What is no UTF-8, or too long, cannot be aimed at through JSON and is left out: then 0 is
 * returned and `*ret` is NULL. Returns 0 or a negative errno and the error. */
int resource_add(struct resource_list *l, const char *arn, const char *value, struct resource **ret,
		 struct error *e);

/* Sets properties: true, or false when memory is short. Text that is "" is not known and left out;
 * what is no UTF-8 in it becomes '?'. */
bool resource_set(cJSON *object, const char *name, const char *text);
bool resource_set_number(cJSON *object, const char *name, double number);

int resource_no_memory(struct error *e);

/* Interfaces of faultd's namespace, but for what faultd has made itself. */
#define RESOURCE_INTERFACES_MAX 1024
struct interface_list {
	struct interface *interface; /* owned */
	size_t n, room;
};
/* Returns 0 or a negative errno and the error. */
int resource_interfaces(struct interface_list *ret, struct error *e);
void interface_list_done(struct interface_list *l);

/* Leaves those for which `keeps` is true, in their order; or the first `n`. */
void resource_list_keep(struct resource_list *l,
			bool (*keeps)(const struct resource *r, const void *arg), const void *arg);
void resource_list_cut(struct resource_list *l, size_t n);

/* Does `text` match a pattern of *, ? and []? Backslashes are characters like any other. */
bool resource_fits_pattern(const char *text, const char *pattern);

/* Is this host in that zone, by its name or its id? "": yes. */
bool resource_is_in_zone(const struct identity *id, const char *zone);

/* `path` of the host, as `id` says where it is: "/proc/self/mountinfo". Returns `ret`. */
#define RESOURCE_PATH_MAX 4096
const char *resource_path(const struct identity *id, const char *path,
			  char ret[static RESOURCE_PATH_MAX]);
/* NULL: errno says why. */
FILE *resource_open(const struct identity *id, const char *path);

/* The mounts that can be reached: of several at one place the last. Returns 0 or a negative errno
 * and the error. */
struct mount_table {
	struct mount_line *mount; /* owned */
	size_t n, room;
};
int resource_mounts(const struct identity *id, struct mount_table *ret, struct error *e);
void mount_table_done(struct mount_table *t);

/* Hierarchies of cgroups. Returns 0 or a negative errno and the error. */
int resource_cgroups(const struct identity *id, struct cgroup_layout *ret, struct error *e);

/* The cgroups of containers, tasks and pods that have processes, in the order of their paths: what
 * is inside comes after what it is inside of. */
struct owned_cgroup {
	enum cgroup_owner owner;
	char name[CGROUP_PATH_MAX]; /* id, UID or name */
	char path[CGROUP_PATH_MAX];
};
struct owned_list {
	struct owned_cgroup *cgroup; /* owned */
	size_t n, room;
};
/* Returns 0 or a negative errno and the error. */
int resource_owned_cgroups(const struct identity *id, struct owned_list *ret, struct error *e);
void owned_list_done(struct owned_list *l);
bool resource_is_inside(const char *path, const char *other); /* or the same */

/* Where faultd itself runs, in any hierarchy, but for roots. */
struct own_cgroups {
	char path[CGROUP_HIERARCHIES_MAX][CGROUP_PATH_MAX];
	size_t n;
};
void resource_own_cgroups(const struct identity *id, struct own_cgroups *ret);
/* Is it one of these, inside one, or a unit of faultd's? And does it hold one, so that whatever is
 * aimed at it would be refused? */
bool resource_is_own_cgroup(const struct own_cgroups *own, const char *path);
bool resource_holds_own(const struct own_cgroups *own, const char *path);

#endif
