/* SPDX-License-Identifier: Apache-2.0 */
/* aws:ecs:task: the tasks of ECS that run on this host. */
#include "experiment/resource_types.h"

static const char *refuse_service(const char *value)
{
	return "which service a task belongs to is not told to its host; say cluster, filters or ARNs";
}

static const struct resource_parameter parameters[] = {
	{.name = "cluster", .description = "Only tasks of this cluster: its name or its ARN"},
	{.name = "service",
	 .description = "Refused: which service a task belongs to is not told to its host",
	 .refuse = refuse_service},
	{0},
};

const struct resource_type resource_ecs_task = {
	.name = "aws:ecs:task",
	.description =
		"The tasks of Amazon ECS that run on this host, each with all its containers. Their tags are "
		"not told to the host",
	.parameters = parameters,
	.has_arns = true,
	.fault_parameter = "container",
};
