/* SPDX-License-Identifier: Apache-2.0 */
/* What actions of AWS FIS have in common: rows of their alias tables. */
#ifndef FAULTD_ACTIONS_FIS_H
#define FAULTD_ACTIONS_FIS_H

#include "actions/action.h"

/* SSM documents: the script's own duration; there are no dependencies to install. */
#define FIS_SSM_ROWS                                                      \
	{.name = "DurationSeconds", .row = "duration", .required = true}, \
	{                                                                 \
		.name = "InstallDependencies", .row = ""                  \
	}

/* The documents for the ECS agent's endpoints. What they take is not published: it is what the
 * action takes that calls them, and the heartbeat of their caller. */
#define FIS_SSM_ECS_ROWS                            \
	{                                           \
		.name = "FISActionState", .row = "" \
	}

/* `container` is among the targets in FIS. How the fault is made is faultd's own business. */
#define FIS_ECS_ROWS                                                                           \
	{.name = "container", .row = "container"}, {.name = "installDependencies", .row = ""}, \
	{                                                                                      \
		.name = "useEcsFaultInjectionEndpoints", .row = ""                             \
	}

/* How a pod is started that makes the fault: here it is faultd. */
#define FIS_EKS_ROWS                                                                              \
	{.name = "container", .row = "container"},                                                \
		{.name = "kubernetesServiceAccount", .row = ""},                                  \
		{.name = "fisPodContainerImage", .row = ""}, {.name = "fisPodLabels", .row = ""}, \
		{.name = "fisPodAnnotations", .row = ""},                                         \
	{                                                                                         \
		.name = "maxErrorsPercent", .row = ""                                             \
	}

/* The actions on packets have no such parameter: they need a privileged pod. */
#define FIS_EKS_STRESS_ROWS                               \
	FIS_EKS_ROWS,                                     \
	{                                                 \
		.name = "fisPodSecurityPolicy", .row = "" \
	}

#endif
