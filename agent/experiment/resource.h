/* SPDX-License-Identifier: Apache-2.0 */
/* What experiments aim at: resource types, what of each type is on this host, and the choice among
 * them. One const descriptor per type in its own file (resource_*.c), one line in the table. */
#ifndef FAULTD_EXPERIMENT_RESOURCE_H
#define FAULTD_EXPERIMENT_RESOURCE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "experiment/identity.h"
#include "util/err.h"

#define RESOURCE_ARN_MAX   512
#define RESOURCE_VALUE_MAX 512
#define RESOURCES_MAX      4096 /* found, before the choice */
#define RESOURCES_USED_MAX 64   /* chosen, per target */

struct resource {
	char arn[RESOURCE_ARN_MAX];
	/* How a fault is aimed at it: the value of the type's parameter ("4711", "nginx.service",
	 * a container's id, a mount point); "": the host. */
	char value[RESOURCE_VALUE_MAX];
	cJSON *properties; /* as its Describe call of FIS's would show it, for filters; owned */
	cJSON *tags;       /* an object of strings; owned, NULL: none */
	/* ResolvedTarget.targetInformation, and resolved_targets of the log: an object of strings,
	 * {"arn"}, or of a pod, which has no ARN, {"pod_name", "namespace", "cluster_arn",
	 * "target_container_name"}; owned */
	cJSON *information;
};

struct resource_list {
	struct resource *resource;
	size_t n, room;
};
void resource_list_done(struct resource_list *l);
/* Adds a zeroed one. NULL: RESOURCES_MAX is reached (errno E2BIG) or memory is short. */
struct resource *resource_list_add(struct resource_list *l);

struct resource_parameter {
	const char *name;
	const char *description;
	bool required;
	/* Why this value can be of no use on any host, for a refusal when the template is made: a
	 * sentence without a full stop; NULL: it can. May be NULL itself. Pure. */
	const char *(*refuse)(const char *value);
};

/* One type. */
struct resource_type {
	const char *name; /* "aws:ec2:instance", "host:process" */
	const char *description;
	const struct resource_parameter *parameters; /* ends with name NULL; may be NULL */
	bool has_arns, has_tags;                     /* can be told by these (pods can not) */
	/* Which parameter of ours a fault is aimed by: "container"; "pid"; "interface"; NULL: the
	 * host itself, nothing is added. An action that has no such row cannot be aimed at this. */
	const char *fault_parameter;
	/* One fault for all that were chosen, their values separated by commas, if the action's row
	 * is a list (ROW_NAMES, ROW_NUMBERS; resource-exhaust takes one pid); else one for each. */
	bool together;
	/* Finds all there are on this host that fit `parameters` (an object of strings). Reads, and
	 * changes nothing. Returns 0 (also when there are none) or a negative errno and the error.
	 */
	int (*find)(const cJSON *parameters, const struct identity *id, struct resource_list *ret,
		    struct error *e);
	/* Is it this one's ARN? NULL: those are equal as text. */
	bool (*is_arn)(const struct resource *r, const char *arn);
};

extern const struct resource_type *const resource_types[];
extern const size_t n_resource_types;
const struct resource_type *resource_type_find(const char *name); /* NULL: unknown */

/* A type that FIS has and one host has none of ("aws:rds:cluster"): why, for the refusal; or NULL.
 */
const char *resource_type_why_not(const char *name);

/* NULL: it has no such parameter. */
const struct resource_parameter *resource_parameter_find(const struct resource_type *t,
							 const char *name);

/* Resolves a template's target: finds, takes those with these ARNs, tags and filters, and chooses
 * by selectionMode, the same with the same seed. Returns 0 (also when nothing is left) or a
 * negative errno and the error: -ENOENT, an ARN that names nothing here. */
struct template_target;
int resource_resolve(const struct template_target *t, const struct identity *id, uint64_t seed,
		     struct resource_list *ret, struct error *e);

/* Does any value at the dotted path equal one of `values`? Arrays on the way are looked through.
 * Pure. */
bool resource_filter_fits(const cJSON *properties, const char *path, const char *const *values,
			  size_t n_values);

/* FIS's TargetResourceType and TargetResourceTypeSummary. NULL: out of memory. */
cJSON *resource_type_print(const struct resource_type *t, bool full);

#endif
