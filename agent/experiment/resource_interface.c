/* SPDX-License-Identifier: Apache-2.0 */
/* host:interface: the network interfaces of this host. */
#include "experiment/resource_types.h"

static const struct resource_parameter parameters[] = {
	{.name = "name",
	 .description = "The interface, or a pattern such as eth*; all but loopback if not given"},
	{0},
};

const struct resource_type resource_host_interface = {
	.name = "host:interface",
	.description = "The network interfaces of this host, in faultd's own network namespace",
	.parameters = parameters,
	.has_arns = true,
	.fault_parameter = "interface",
	.together = true,
};
