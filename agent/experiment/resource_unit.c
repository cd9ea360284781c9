/* SPDX-License-Identifier: Apache-2.0 */
/* host:unit: the services of systemd that run, but for faultd's own. */
#include "experiment/resource_types.h"

static const struct resource_parameter parameters[] = {
	{.name = "unit",
	 .description = "The unit, or a pattern such as web-*.service; all services if not given"},
	{0},
};

const struct resource_type resource_host_unit = {
	.name = "host:unit",
	.description = "The units of systemd that run on this host, but for faultd's own",
	.parameters = parameters,
	.has_arns = true,
	.fault_parameter = "unit",
};
