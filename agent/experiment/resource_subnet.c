/* SPDX-License-Identifier: Apache-2.0 */
/* aws:ec2:subnet: the subnet of this host, as far as this host is in it. */
#include "experiment/resource_types.h"

static const struct resource_parameter parameters[] = {
	{.name = "availabilityZoneIdentifier",
	 .description = "Only if this host is in this availability zone (us-east-1a or use1-az1)"},
	{.name = "vpc", .description = "Only if this host is in this VPC: its id or its ARN"},
	{0},
};

const struct resource_type resource_ec2_subnet = {
	.name = "aws:ec2:subnet",
	.description =
		"The subnet this host is in, if the configuration or the instance's metadata say which. A fault "
		"is aimed at this host's interfaces in it, and at no other host",
	.parameters = parameters,
	.has_arns = true,
	.fault_parameter = "interface",
	.together = true,
};
