/* SPDX-License-Identifier: Apache-2.0 */
/* The table of types, and lists of resources. */
#include "experiment/resource.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/resource_types.h"
#include "util/cleanup.h"
#include "util/str.h"

/* Sorted by name. */
const struct resource_type *const resource_types[] = {
	&resource_ebs_volume,     &resource_ec2_instance,   &resource_ec2_subnet,
	&resource_ecs_task,       &resource_eks_pod,        &resource_host_cgroup,
	&resource_host_container, &resource_host_interface, &resource_host_mount,
	&resource_host_process,   &resource_host_unit,
};
const size_t n_resource_types = ARRAY_SIZE(resource_types);

const struct resource_type *resource_type_find(const char *name)
{
	for (size_t i = 0; i < n_resource_types; i++) {
		if (str_eq(resource_types[i]->name, name))
			return resource_types[i];
	}
	return NULL;
}

#define IN_SERVICE(of) "it belongs to " of ", which no single host can change"

const char *resource_type_why_not(const char *name)
{
	static const struct {
		const char *name, *why;
	} others[] = {
		{"aws:arc:zonal-shift-managed-resource", IN_SERVICE("ARC")},
		{"aws:directconnect:virtual-interface", IN_SERVICE("Direct Connect")},
		{"aws:dsql:cluster", IN_SERVICE("Aurora DSQL")},
		{"aws:dynamodb:encrypted-global-table", IN_SERVICE("DynamoDB")},
		{"aws:dynamodb:global-table", IN_SERVICE("DynamoDB")},
		{"aws:ec2:autoscaling-group", IN_SERVICE("EC2 Auto Scaling")},
		{"aws:ec2:spot-instance",
		 "notices of interruption come from EC2; host:host-shutdown ends an instance"},
		{"aws:ec2:transit-gateway", IN_SERVICE("the VPC")},
		{"aws:ec2:vpc-endpoint",
		 "it belongs to the VPC; host:network-partition cuts this host off from its addresses"},
		{"aws:ecs:cluster",
		 "a cluster is many hosts; aws:ecs:task means the tasks on this one"},
		{"aws:eks:cluster",
		 "a cluster is many hosts; aws:eks:pod means the pods on this one"},
		{"aws:eks:nodegroup",
		 "a node group is many hosts; aws:ec2:instance means this one"},
		{"aws:elasticache:redis-replicationgroup", IN_SERVICE("ElastiCache")},
		{"aws:elasticache:replicationgroup", IN_SERVICE("ElastiCache")},
		{"aws:iam:role", "errors of AWS's API are made by AWS, for whoever has the role"},
		{"aws:kinesis:stream", IN_SERVICE("Kinesis")},
		{"aws:lambda:function", IN_SERVICE("Lambda")},
		{"aws:memorydb:multi-region-cluster", IN_SERVICE("MemoryDB")},
		{"aws:rds:cluster", IN_SERVICE("RDS")},
		{"aws:rds:db", IN_SERVICE("RDS")},
		{"aws:s3:bucket", IN_SERVICE("S3")},
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (str_eq(others[i].name, name))
			return others[i].why;
	}
	return NULL;
}

const struct resource_parameter *resource_parameter_find(const struct resource_type *t,
							 const char *name)
{
	for (const struct resource_parameter *p = t->parameters; p && p->name; p++) {
		if (str_eq(p->name, name))
			return p;
	}
	return NULL;
}

/* Printing */

static bool print_parameter(cJSON *to, const struct resource_parameter *p)
{
	cJSON *one = cJSON_AddObjectToObject(to, p->name);

	return one && cJSON_AddStringToObject(one, "description", p->description) &&
	       cJSON_AddBoolToObject(one, "required", p->required);
}

cJSON *resource_type_print(const struct resource_type *t, bool full)
{
	cJSON *o = cJSON_CreateObject(), *parameters;
	bool ok = cJSON_AddStringToObject(o, "resourceType", t->name) &&
		  cJSON_AddStringToObject(o, "description", t->description);

	parameters = ok && full ? cJSON_AddObjectToObject(o, "parameters") : NULL;
	ok = ok && (parameters || !full);
	for (const struct resource_parameter *p = t->parameters; full && ok && p && p->name; p++)
		ok = print_parameter(parameters, p);
	if (ok)
		return o;
	cJSON_Delete(o);
	return NULL;
}

/* Lists */

static void resource_done(struct resource *r)
{
	cJSON_Delete(r->properties);
	cJSON_Delete(r->tags);
	cJSON_Delete(r->information);
}

void resource_list_done(struct resource_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		resource_done(&l->resource[i]);
	free(l->resource);
	*l = (struct resource_list){0};
}

void resource_list_cut(struct resource_list *l, size_t n)
{
	while (l->n > n)
		resource_done(&l->resource[--l->n]);
}

void resource_list_keep(struct resource_list *l,
			bool (*keeps)(const struct resource *r, const void *arg), const void *arg)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct resource *r = &l->resource[i];

		if (!keeps(r, arg))
			resource_done(r);
		else if (n++ != i)
			l->resource[n - 1] = *r;
	}
	l->n = n;
}

struct resource *resource_list_add(struct resource_list *l)
{
	if (l->n == RESOURCES_MAX) {
		errno = E2BIG;
		return NULL;
	}
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 16;
		struct resource *r = reallocarray(l->resource, room, sizeof(*r));

		if (!r)
			return NULL;
		l->resource = r;
		l->room = room;
	}
	l->resource[l->n] = (struct resource){0};
	return &l->resource[l->n++];
}

int resource_no_memory(struct error *e)
{
	return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
}

static bool fill(struct resource *r, const char *arn, const char *value)
{
	(void)str_copy(r->arn, sizeof(r->arn), arn);
	(void)str_copy(r->value, sizeof(r->value), value);
	r->properties = cJSON_CreateObject();
	r->information = cJSON_CreateObject();
	return r->properties && r->information &&
	       (!arn[0] || cJSON_AddStringToObject(r->information, "arn", arn));
}

int resource_add(struct resource_list *l, const char *arn, const char *value, struct resource **ret,
		 struct error *e)
{
	*ret = NULL;
	if (strlen(arn) + 1 >= RESOURCE_ARN_MAX || strlen(value) >= RESOURCE_VALUE_MAX ||
	    !str_is_utf8(value, strlen(value)))
		return 0;
	*ret = resource_list_add(l);
	if (!*ret && errno == E2BIG)
		return error_set(
			e, ERROR_QUOTA, -E2BIG,
			"more than %d are found on this host: say more closely which by the "
			"target's parameters",
			RESOURCES_MAX);
	return *ret && fill(*ret, arn, value) ? 0 : resource_no_memory(e);
}

/* Properties */

const char *resource_parameter(const cJSON *parameters, const char *name)
{
	const char *value =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(parameters, name));

	return value ? value : "";
}

bool resource_set(cJSON *object, const char *name, const char *text)
{
	char line[4096];

	if (!text[0])
		return true;
	(void)str_copy(line, sizeof(line), text);
	str_make_utf8(line);
	return cJSON_AddStringToObject(object, name, line);
}

bool resource_set_number(cJSON *object, const char *name, double number)
{
	return cJSON_AddNumberToObject(object, name, number);
}

bool resource_fits_pattern(const char *text, const char *pattern)
{
	return fnmatch(pattern, text, FNM_NOESCAPE) == 0;
}

bool resource_is_in_zone(const struct identity *id, const char *zone)
{
	return !zone[0] || str_eq(zone, id->availability_zone) ||
	       str_eq(zone, id->availability_zone_id);
}

/* Files of the host */

const char *resource_path(const struct identity *id, const char *path,
			  char ret[static RESOURCE_PATH_MAX])
{
	int n = snprintf(ret, RESOURCE_PATH_MAX, "%s%s", id->root ? id->root : "", path);

	if (n < 0 || n >= RESOURCE_PATH_MAX)
		ret[0] = '\0'; /* names nothing */
	return ret;
}

FILE *resource_open(const struct identity *id, const char *path)
{
	char full[RESOURCE_PATH_MAX];

	return fopen(resource_path(id, path, full), "re");
}

int resource_cgroups(const struct identity *id, struct cgroup_layout *ret, struct error *e)
{
	_cleanup_fclose_ FILE *f = resource_open(id, "/proc/self/mountinfo");
	int r = f ? cgroup_layout_parse(f, ret) : -errno;

	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot read the cgroups of this host: %s",
				 strerror(-r))
		     : 0;
}
