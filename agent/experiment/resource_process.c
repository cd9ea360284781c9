/* SPDX-License-Identifier: Apache-2.0 */
/* host:process: the processes of this host, but for kernel threads and faultd's own. */
#include "experiment/resource_types.h"

static const struct resource_parameter parameters[] = {
	{.name = "name",
	 .description =
		 "Processes of exactly this name (the first 15 characters, as in ps -o comm)"},
	{.name = "pattern",
	 .description =
		 "Processes whose command line matches this extended regular expression (without {} and "
		 "back-references)"},
	{.name = "user",
	 .description = "Processes of this user, a name of /etc/passwd or a number"},
	{0},
};

const struct resource_type resource_host_process = {
	.name = "host:process",
	.description = "The processes of this host, but for kernel threads and faultd's own",
	.parameters = parameters,
	.has_arns = true,
	.fault_parameter = "pid",
	.together = true,
};
