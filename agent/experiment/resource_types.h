/* SPDX-License-Identifier: Apache-2.0 */
/* What the types of resources share. Only resource*.c know this. */
#ifndef FAULTD_EXPERIMENT_RESOURCE_TYPES_H
#define FAULTD_EXPERIMENT_RESOURCE_TYPES_H

#include <stdio.h>

#include "experiment/resource.h"
#include "host/cgroups.h"

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

/* `path` of the host, as `id` says where it is: "/proc/self/mountinfo". Returns `ret`. */
#define RESOURCE_PATH_MAX 4096
const char *resource_path(const struct identity *id, const char *path,
			  char ret[static RESOURCE_PATH_MAX]);
/* NULL: errno says why. */
FILE *resource_open(const struct identity *id, const char *path);

/* Hierarchies of cgroups. Returns 0 or a negative errno and the error. */
int resource_cgroups(const struct identity *id, struct cgroup_layout *ret, struct error *e);

#endif
