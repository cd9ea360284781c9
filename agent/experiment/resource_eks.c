/* SPDX-License-Identifier: Apache-2.0 */
/* aws:eks:pod: the pods of Kubernetes that run on this host. */
#include "experiment/resource_types.h"

#include "util/str.h"

static const char *refuse_selector(const char *value)
{
	return str_eq(value, "podName") || str_eq(value, "deploymentName") ||
			       str_eq(value, "labelSelector")
		       ? NULL
		       : "allowed: podName, deploymentName, labelSelector";
}

static const struct resource_parameter rows[] = {
	{.name = "clusterIdentifier",
	 .description = "The cluster's name or ARN, for the record: a node is in one cluster only",
	 .required = true},
	{.name = "namespace", .description = "The pods' namespace", .required = true},
	{.name = "selectorType",
	 .description =
		 "podName, deploymentName, or, where the runtime keeps labels in files, labelSelector",
	 .required = true,
	 .refuse = refuse_selector},
	{.name = "selectorValue",
	 .description =
		 "The pod's name, the deployment's name, or labels such as app=web,tier!=test",
	 .required = true},
	{.name = "targetContainerName",
	 .description = "Which of a pod's containers; needed when it has several"},
	{.name = "availabilityZoneIdentifier",
	 .description = "Only if this host is in this availability zone (us-east-1a or use1-az1)"},
	{0},
};

const struct resource_type resource_eks_pod = {
	.name = "aws:eks:pod",
	.description = "The pods of Kubernetes that run on this host, as the kubelet's files tell",
	.parameters = rows,
	.fault_parameter = "container",
};
