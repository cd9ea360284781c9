/* SPDX-License-Identifier: Apache-2.0 */
/* aws:ec2:ebs-volume: the volumes that are attached to this host and have something mounted. */
#include "experiment/resource_types.h"

static const struct resource_parameter rows[] = {
	{.name = "availabilityZoneIdentifier",
	 .description = "Only if this host is in this availability zone (us-east-1a or use1-az1)"},
	{0},
};

const struct resource_type resource_ebs_volume = {
	.name = "aws:ec2:ebs-volume",
	.description =
		"EBS volumes that are attached to this host as NVMe devices and mounted. A fault is aimed at "
		"the mount point; of several on one volume, at that of its largest partition",
	.parameters = rows,
	.has_arns = true,
	.fault_parameter = "path",
};
