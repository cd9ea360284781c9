/* SPDX-License-Identifier: Apache-2.0 */
/* Types of resources and sources of stop conditions that find and watch nothing. */
#include <stdio.h>
#include <string.h>

#include "experiment/identity.h"
#include "experiment/probe.h"
#include "experiment/resource.h"

static const struct resource_parameter ebs_parameters[] = {
	{"availabilityZoneIdentifier", "", false}, {0}};
static const struct resource_parameter task_parameters[] = {
	{"cluster", "", false}, {"service", "", false}, {0}};
static const struct resource_parameter pod_parameters[] = {{"clusterIdentifier", "", true},
							   {"namespace", "", true},
							   {"selectorType", "", true},
							   {"selectorValue", "", true},
							   {"targetContainerName", "", false},
							   {"availabilityZoneIdentifier", "", false},
							   {0}};
static const struct resource_parameter subnet_parameters[] = {
	{"availabilityZoneIdentifier", "", false}, {"vpc", "", false}, {0}};

static const struct resource_type types[] = {
	{.name = "aws:ec2:instance", .has_arns = true, .has_tags = true},
	{.name = "aws:ec2:ebs-volume",
	 .parameters = ebs_parameters,
	 .has_arns = true,
	 .has_tags = true,
	 .fault_parameter = "path"},
	{.name = "aws:ecs:task",
	 .parameters = task_parameters,
	 .has_arns = true,
	 .has_tags = true,
	 .fault_parameter = "container"},
	{.name = "aws:eks:pod", .parameters = pod_parameters, .fault_parameter = "container"},
	{.name = "aws:ec2:subnet",
	 .parameters = subnet_parameters,
	 .has_arns = true,
	 .has_tags = true,
	 .fault_parameter = "interface",
	 .together = true},
	{.name = "host:process", .has_arns = true, .fault_parameter = "pid", .together = true},
	{.name = "host:unit", .has_arns = true, .fault_parameter = "unit"},
	{.name = "host:container", .has_arns = true, .has_tags = true, .fault_parameter = "container"},
	{.name = "host:cgroup", .has_arns = true, .fault_parameter = "cgroup"},
	{.name = "host:interface", .has_arns = true, .fault_parameter = "interface", .together = true},
	{.name = "host:mount", .has_arns = true, .fault_parameter = "path"},
};

const struct resource_type *resource_type_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	}
	return NULL;
}

const char *resource_type_why_not(const char *name)
{
	return strcmp(name, "aws:rds:cluster") == 0 ? "databases are AWS's, out of reach of a host"
						    : NULL;
}

const char *identity_fis_arn(const struct identity *id, const char *kind, const char *name,
			     char ret[static ARN_MAX])
{
	(void)snprintf(ret, ARN_MAX, "arn:%s:fis:%s:%s:%s/%s", id->partition, id->region,
		       id->account, kind, name);
	return ret;
}

static const struct probe_type probes[] = {{.source = "aws:cloudwatch:alarm"},
					   {.source = "host:psi"}};

const struct probe_type *probe_type_find(const char *source)
{
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		if (strcmp(probes[i].source, source) == 0)
			return &probes[i];
	}
	return NULL;
}

int probe_parse(const struct probe_type *t, const char *value, const char *path, void **ret,
		struct problems *problems)
{
	const char *begins = t == &probes[0] ? "arn:aws:cloudwatch:" : "resource=";

	if (strncmp(value, begins, strlen(begins)) == 0)
		return 0;
	problems_add(problems, ERROR_VALIDATION, path, "does not begin with %s", begins);
	return -EINVAL;
}
