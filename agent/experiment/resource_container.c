/* SPDX-License-Identifier: Apache-2.0 */
/* host:container: the containers that run on this host, of any runtime. */
#include "experiment/resource_types.h"

static const struct resource_parameter parameters[] = {
	{.name = "name",
	 .description =
		 "Only containers of this name (a pattern such as web-*), where it is known"},
	{0},
};

const struct resource_type resource_host_container = {
	.name = "host:container",
	.description =
		"The containers that run on this host. Their tags are the labels that Docker, containerd and "
		"CRI-O keep in files; of others there are none",
	.parameters = parameters,
	.has_arns = true,
	.has_tags = true,
	.fault_parameter = "container",
};
