/* SPDX-License-Identifier: Apache-2.0 */
/* host:mount: the file systems that are mounted on this host. */
#include "experiment/resource_types.h"

static const struct resource_parameter parameters[] = {
	{.name = "path", .description = "The mount point, or a pattern such as /data/*"},
	{.name = "type", .description = "The file system's type, such as ext4, or a pattern"},
	{0},
};

const struct resource_type resource_host_mount = {
	.name = "host:mount",
	.description =
		"The file systems that are mounted on this host, but for those that store no files (proc, sysfs "
		"and the like), unless type names theirs",
	.parameters = parameters,
	.has_arns = true,
	.fault_parameter = "path",
};
