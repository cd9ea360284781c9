/* SPDX-License-Identifier: Apache-2.0 */
/* The actions of FIS that one host cannot do (API of 2020-12-01, the actions reference of 2026), so
 * that a template with one of them is refused with the reason. */
#include "experiment/catalogue.h"
#include "util/str.h"

#define API   "AWS answers its own API with the error, for a role; nothing on this host is asked"
#define CLOUD "it is done to AWS's service, out of reach of a host"

static const struct {
	const char *id, *why;
} not_here[] = {
	{"aws:arc:start-zonal-autoshift",
	 "traffic is shifted by AWS's load balancers and Route 53, out of reach of a host"},
	{"aws:directconnect:virtual-interface-disconnect",
	 "the BGP session is between AWS's routers and yours, out of reach of a host"},
	{"aws:dsql:cluster-connection-failure", CLOUD},
	{"aws:dynamodb:global-table-pause-replication", CLOUD},
	{"aws:ebs:volume-io-latency",
	 "AWS delays the I/O inside EBS; no action here can delay the requests of one volume (host:disk-throttle limits their rate)"},
	{"aws:ec2:api-insufficient-instance-capacity-error", API},
	{"aws:ec2:asg-insufficient-instance-capacity-error", API},
	{"aws:ec2:send-spot-instance-interruptions",
	 "the notice comes from the instance's metadata service, which is AWS's"},
	{"aws:ec2:terminate-instances",
	 "a host cannot delete itself, only go down: aws:ec2:stop-instances or host:host-shutdown"},
	{"aws:ecs:drain-container-instances",
	 "tasks are moved by the ECS scheduler, which is not on this host"},
	{"aws:ecs:stop-task",
	 "a task is stopped by the ECS scheduler, which is not on this host; aws:ecs:task-kill-process ends its processes"},
	{"aws:eks:inject-kubernetes-custom-resource",
	 "it is done by the cluster's API server, which is not on this host"},
	{"aws:eks:pod-delete",
	 "pods are deleted by the cluster's API server, which is not on this host; host:process-kill with the key Pods ends its processes"},
	{"aws:eks:terminate-nodegroup-instances",
	 "a host cannot delete itself, only go down: aws:ec2:stop-instances or host:host-shutdown"},
	{"aws:elasticache:interrupt-cluster-az-power", CLOUD},
	{"aws:elasticache:replicationgroup-interrupt-az-power", CLOUD},
	{"aws:fis:inject-api-internal-error", API},
	{"aws:fis:inject-api-throttle-error", API},
	{"aws:fis:inject-api-unavailable-error", API},
	{"aws:kinesis:stream-expired-iterator-exception", API},
	{"aws:kinesis:stream-provisioned-throughput-exception", API},
	{"aws:lambda:invocation-add-delay",
	 "functions run in AWS Lambda with an extension of FIS's, not on this host"},
	{"aws:lambda:invocation-error",
	 "functions run in AWS Lambda with an extension of FIS's, not on this host"},
	{"aws:lambda:invocation-http-integration-response",
	 "functions run in AWS Lambda with an extension of FIS's, not on this host"},
	{"aws:memorydb:multi-region-cluster-pause-replication", CLOUD},
	{"aws:network:disrupt-vpc-endpoint",
	 "the endpoint's security groups are AWS's; host:network-partition drops what this host exchanges with its addresses"},
	{"aws:network:route-table-disrupt-cross-region-connectivity",
	 "route tables are AWS's; host:network-partition drops what this host exchanges with the other Region's prefixes"},
	{"aws:network:transit-gateway-disrupt-cross-region-connectivity",
	 "transit gateways are AWS's; host:network-partition drops what this host exchanges with the other Region's prefixes"},
	{"aws:rds:failover-db-cluster", CLOUD},
	{"aws:rds:reboot-db-instances", CLOUD},
	{"aws:s3:bucket-pause-replication", CLOUD},
	{"aws:ssm:start-automation-execution",
	 "runbooks are run by AWS Systems Manager; of its documents only AWSFIS-Run-… are known here, to aws:ssm:send-command"},
};

const char *catalogue_why_not(const char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(not_here); i++) {
		if (str_eq(not_here[i].id, id))
			return not_here[i].why;
	}
	return NULL;
}
