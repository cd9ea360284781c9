/* SPDX-License-Identifier: Apache-2.0 */
/* host:cgroup: the control groups of this host. */
#include "experiment/resource_types.h"

static const struct resource_parameter parameters[] = {
	{.name = "path",
	 .description =
		 "The cgroup's path below its hierarchy's root, or a pattern (/system.slice/web-*.service)"},
	{0},
};

const struct resource_type resource_host_cgroup = {
	.name = "host:cgroup",
	.description = "The control groups of this host, of version 1 or 2, but for faultd's own",
	.parameters = parameters,
	.has_arns = true,
	.fault_parameter = "cgroup",
};
