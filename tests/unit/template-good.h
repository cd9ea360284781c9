/* SPDX-License-Identifier: Apache-2.0 */
/* Of test-template.c: templates as FIS takes them, and ours. */
/* CPU stress with an alarm, as in FIS's user guide */
"{\"description\":\"Test CPU stress predefined SSM document\",\"targets\":{\"instances\":{\"resourceType\":\"aws:ec2:instance\","
	"\"resourceTags\":{\"env\":\"test\"},\"selectionMode\":\"COUNT(1)\"}},\"actions\":{\"testCpuStress\":{\"actionId\":\"aws:ssm:send-command\","
	"\"parameters\":{\"duration\":\"PT3M\",\"documentArn\":\"arn:aws:ssm:us-east-1::document/AWSFIS-Run-CPU-Stress\","
	"\"documentParameters\":\"{\\\"DurationSeconds\\\": \\\"120\\\", \\\"InstallDependencies\\\": \\\"True\\\", \\\"CPU\\\": \\\"0\\\","
	" \\\"LoadPercent\\\": \\\"80\\\"}\"},\"targets\":{\"Instances\":\"instances\"}}},\"stopConditions\":[{\"source\":\"aws:cloudwatch:alarm\","
	"\"value\":\"arn:aws:cloudwatch:us-east-1:111122223333:alarm:HighCPU\"}],\"roleArn\":\"arn:aws:iam::111122223333:role/FISRole\","
	"\"tags\":{\"Name\":\"cpu\"}}",
	/* EC2 stress: CPU, then memory, disk and latency */
	"{\"description\":\"EC2 stress\",\"targets\":{\"instances\":{\"resourceType\":\"aws:ec2:instance\",\"resourceTags\":{\"env\":\"test\"},"
	"\"selectionMode\":\"PERCENT(100)\",\"filters\":[{\"path\":\"State.Name\",\"values\":[\"running\"]}]}},\"actions\":{\"cpu\":{\"actionId\":\"aws:ssm:send"
	"-command\",\"parameters\":{\"duration\":\"PT5M\",\"documentArn\":\"arn:aws:ssm:us-east-1::document/AWSFIS-Run-CPU-Stress\","
	"\"documentParameters\":\"{\\\"DurationSeconds\\\": \\\"300\\\", \\\"LoadPercent\\\": \\\"100\\\"}\"},\"targets\":{\"Instances\":\"instances\"}},"
	"\"memory\":{\"actionId\":\"aws:ssm:send-command\",\"parameters\":{\"duration\":\"PT5M\",\"documentArn\":\"arn:aws:ssm:us-east-1::document/AWSFIS-"
	"Run-Memory-Stress\",\"documentParameters\":\"{\\\"DurationSeconds\\\": \\\"300\\\", \\\"Percent\\\": \\\"80\\\", \\\"Workers\\\": \\\"1\\\"}\"},"
	"\"targets\":{\"Instances\":\"instances\"},\"startAfter\":[\"cpu\"]},\"disk\":{\"actionId\":\"aws:ssm:send-command\","
	"\"parameters\":{\"duration\":\"PT5M\",\"documentArn\":\"arn:aws:ssm:us-east-1::document/AWSFIS-Run-Disk-Fill\","
	"\"documentParameters\":\"{\\\"DurationSeconds\\\": \\\"300\\\", \\\"Percent\\\": \\\"90\\\"}\"},\"targets\":{\"Instances\":\"instances\"},"
	"\"startAfter\":[\"memory\"]},\"latency\":{\"actionId\":\"aws:ssm:send-command\",\"parameters\":{\"duration\":\"PT5M\","
	"\"documentArn\":\"arn:aws:ssm:us-east-1::document/AWSFIS-Run-Network-Latency-Sources\",\"documentParameters\":\"{\\\"DurationSeconds\\\": \\\"3"
	"00\\\", \\\"Sources\\\": \\\"10.0.0.0/8,example.com\\\", \\\"DelayMilliseconds\\\": \\\"300\\\", \\\"JitterMilliseconds\\\": \\\"10\\\","
	" \\\"TrafficType\\\": \\\"egress\\\", \\\"FlowsPercent\\\": \\\"50\\\", \\\"Interface\\\": \\\"DEFAULT\\\"}\"},\"targets\":{\"Instances\":\"instances\"},"
	"\"startAfter\":[\"disk\"]}},\"stopConditions\":[{\"source\":\"aws:cloudwatch:alarm\",\"value\":\"arn:aws:cloudwatch:us-east-1:111122223333:alar"
	"m:HighCPU\"}],\"roleArn\":\"arn:aws:iam::111122223333:role/FISRole\",\"logConfiguration\":{\"logSchemaVersion\":2,"
	"\"cloudWatchLogsConfiguration\":{\"logGroupArn\":\"arn:aws:logs:us-east-1:111122223333:log-group:/fis/x:*\"},"
	"\"s3Configuration\":{\"bucketName\":\"fis-logs\",\"prefix\":\"runs/\"}},\"experimentOptions\":{\"accountTargeting\":\"single-account\","
	"\"emptyTargetResolutionMode\":\"fail\"}}",
	/* ECS, EC2 and EKS network faults at once: cross-AZ slowdown */
	"{\"description\":\"Cross AZ traffic slowdown\",\"targets\":{\"ecs\":{\"resourceType\":\"aws:ecs:task\",\"parameters\":{\"cluster\":\"arn:aws:ecs:us"
	"-east-1:111122223333:cluster/web\"},\"selectionMode\":\"ALL\"},\"eks\":{\"resourceType\":\"aws:eks:pod\",\"parameters\":{\"clusterIdentifier\":\"a"
	"rn:aws:eks:us-east-1:111122223333:cluster/k\",\"namespace\":\"default\",\"selectorType\":\"labelSelector\",\"selectorValue\":\"app=front\"},"
	"\"selectionMode\":\"ALL\"},\"instances\":{\"resourceType\":\"aws:ec2:instance\",\"resourceTags\":{\"env\":\"test\"},"
	"\"selectionMode\":\"COUNT(1)\"}},\"actions\":{\"ecs-latency\":{\"actionId\":\"aws:ecs:task-network-latency\",\"description\":\"to the other zones"
	"\",\"parameters\":{\"duration\":\"PT15M\",\"delayMilliseconds\":\"200\",\"jitterMilliseconds\":\"0\",\"sources\":\"10.0.1.0/24,"
	"10.0.2.0/24\",\"installDependencies\":\"true\",\"useEcsFaultInjectionEndpoints\":\"true\"},\"targets\":{\"Tasks\":\"ecs\"}},"
	"\"eks-latency\":{\"actionId\":\"aws:eks:pod-network-latency\",\"parameters\":{\"duration\":\"PT15M\",\"delayMilliseconds\":\"200\","
	"\"jitterMilliseconds\":\"10\",\"sources\":\"10.0.1.0/24\",\"interface\":\"DEFAULT\",\"kubernetesServiceAccount\":\"fis-sa\","
	"\"maxErrorsPercent\":\"100\",\"flowsPercent\":\"50\"},\"targets\":{\"Pods\":\"eks\"}},\"ec2-loss\":{\"actionId\":\"aws:ssm:send-command\","
	"\"parameters\":{\"duration\":\"PT15M\",\"documentArn\":\"arn:aws:ssm:us-east-1::document/AWSFIS-Run-Network-Packet-Loss-Sources\","
	"\"documentParameters\":\"{\\\"DurationSeconds\\\": \\\"900\\\", \\\"Sources\\\": \\\"10.0.1.0/24\\\", \\\"LossPercent\\\": \\\"15\\\","
	" \\\"TrafficType\\\": \\\"ingress\\\"}\"},\"targets\":{\"Instances\":\"instances\"}}},\"stopConditions\":[{\"source\":\"none\"}],"
	"\"roleArn\":\"arn:aws:iam::111122223333:role/FISRole\",\"experimentOptions\":{\"accountTargeting\":\"single-account\","
	"\"emptyTargetResolutionMode\":\"skip\"},\"logConfiguration\":{\"logSchemaVersion\":2}}",
	/* EKS stress */
	"{\"description\":\"Pods under pressure\",\"targets\":{\"pods\":{\"resourceType\":\"aws:eks:pod\",\"selectionMode\":\"COUNT(2)\","
	"\"parameters\":{\"clusterIdentifier\":\"k\",\"namespace\":\"shop\",\"selectorType\":\"deploymentName\",\"selectorValue\":\"cart\","
	"\"targetContainerName\":\"app\"}}},\"actions\":{\"cpu\":{\"actionId\":\"aws:eks:pod-cpu-stress\",\"parameters\":{\"duration\":\"PT5M\","
	"\"percent\":\"80\",\"workers\":\"0\",\"kubernetesServiceAccount\":\"fis-sa\",\"fisPodSecurityPolicy\":\"restricted\"},"
	"\"targets\":{\"Pods\":\"pods\"}},\"memory\":{\"actionId\":\"aws:eks:pod-memory-stress\",\"parameters\":{\"duration\":\"PT5M\","
	"\"percent\":\"80\",\"workers\":\"1\",\"kubernetesServiceAccount\":\"fis-sa\"},\"targets\":{\"Pods\":\"pods\"},\"startAfter\":[\"cpu\"]},"
	"\"port\":{\"actionId\":\"aws:eks:pod-network-blackhole-port\",\"parameters\":{\"duration\":\"PT1M\",\"port\":\"5432\","
	"\"protocol\":\"tcp\",\"trafficType\":\"egress\",\"kubernetesServiceAccount\":\"fis-sa\"},\"targets\":{\"Pods\":\"pods\"},"
	"\"startAfter\":[\"cpu\",\"memory\"]}},\"stopConditions\":[{\"source\":\"none\"}],\"roleArn\":\"arn:aws:iam::111122223333:role/FISRole\"}",
	/* ECS tasks: stress, kill, black hole */
	"{\"description\":\"Tasks\",\"targets\":{\"tasks\":{\"resourceType\":\"aws:ecs:task\",\"resourceArns\":[\"arn:aws:ecs:us-east-1:111122223333:task/"
	"web/0123456789abcdef0123456789abcdef\"],\"selectionMode\":\"ALL\"}},\"actions\":{\"cpu\":{\"actionId\":\"aws:ecs:task-cpu-stress\","
	"\"parameters\":{\"duration\":\"PT2M\",\"percent\":\"90\"},\"targets\":{\"Tasks\":\"tasks\"}},\"io\":{\"actionId\":\"aws:ecs:task-io-stress\","
	"\"parameters\":{\"duration\":\"PT2M\",\"percent\":\"80\",\"workers\":\"2\"},\"targets\":{\"Tasks\":\"tasks\"}},\"kill\":{\"actionId\":\"aws:ecs:task-kill-p"
	"rocess\",\"parameters\":{\"processName\":\"nginx\",\"signal\":\"SIGKILL\"},\"targets\":{\"Tasks\":\"tasks\"},\"startAfter\":[\"cpu\","
	"\"io\"]},\"hole\":{\"actionId\":\"aws:ecs:task-network-blackhole-port\",\"parameters\":{\"duration\":\"PT1M\",\"port\":\"443\","
	"\"trafficType\":\"egress\"},\"targets\":{\"Tasks\":\"tasks\"},\"startAfter\":[\"kill\"]}},\"stopConditions\":[{\"source\":\"none\"}],"
	"\"roleArn\":\"arn:aws:iam::111122223333:role/FISRole\"}",
	/* EBS pause, with waits and an alarm that must be fine */
	"{\"description\":\"Pause a volume\",\"targets\":{\"volume\":{\"resourceType\":\"aws:ec2:ebs-volume\",\"resourceArns\":[\"arn:aws:ec2:us-east-1:11"
	"1122223333:volume/vol-0123456789abcdef0\"],\"selectionMode\":\"ALL\"}},\"actions\":{\"steady\":{\"actionId\":\"aws:cloudwatch:assert-alarm-sta"
	"te\",\"parameters\":{\"alarmArns\":\"arn:aws:cloudwatch:us-east-1:111122223333:alarm:a\",\"alarmStates\":\"OK,"
	"INSUFFICIENT_DATA\"}},\"pause\":{\"actionId\":\"aws:ebs:pause-volume-io\",\"parameters\":{\"duration\":\"PT45S\"},"
	"\"targets\":{\"Volumes\":\"volume\"},\"startAfter\":[\"steady\"]},\"recover\":{\"actionId\":\"aws:fis:wait\",\"parameters\":{\"duration\":\"PT5M\"},"
	"\"startAfter\":[\"pause\"]}},\"stopConditions\":[{\"source\":\"none\"}],\"roleArn\":\"arn:aws:iam::111122223333:role/FISRole\"}",
	/* Connectivity, reboot */
	"{\"description\":\"AZ is away\",\"targets\":{\"subnet\":{\"resourceType\":\"aws:ec2:subnet\",\"parameters\":{\"vpc\":\"vpc-1\"},"
	"\"selectionMode\":\"ALL\"},\"instance\":{\"resourceType\":\"aws:ec2:instance\",\"selectionMode\":\"ALL\"}},\"actions\":{\"cut\":{\"actionId\":\"aws:net"
	"work:disrupt-connectivity\",\"parameters\":{\"duration\":\"PT2M\",\"scope\":\"all\"},\"targets\":{\"Subnets\":\"subnet\"}},"
	"\"boot\":{\"actionId\":\"aws:ec2:reboot-instances\",\"targets\":{\"Instances\":\"instance\"},\"startAfter\":[\"cut\"]}},"
	"\"stopConditions\":[{\"source\":\"none\"}],\"roleArn\":\"arn:aws:iam::111122223333:role/FISRole\"}",
	/* Actions of ours, on what only a host has */
	"{\"description\":\"Host\",\"targets\":{\"web\":{\"resourceType\":\"host:unit\",\"parameters\":{\"unit\":\"nginx.service\"},"
	"\"selectionMode\":\"ALL\"},\"workers\":{\"resourceType\":\"host:process\",\"parameters\":{\"name\":\"worker\"},\"selectionMode\":\"PERCENT(50)\"},"
	"\"data\":{\"resourceType\":\"host:mount\",\"parameters\":{\"path\":\"/srv/*\"},\"selectionMode\":\"COUNT(1)\"},\"nics\":{\"resourceType\":\"host:interf"
	"ace\",\"filters\":[{\"path\":\"Name\",\"values\":[\"eth1\",\"eth2\"]}],\"selectionMode\":\"ALL\"}},\"actions\":{\"stress\":{\"actionId\":\"host:cpu-stress"
	"\",\"parameters\":{\"duration\":\"30s\",\"percent\":\"50\"},\"targets\":{\"Units\":\"web\"}},\"kill\":{\"actionId\":\"host:process-kill\","
	"\"parameters\":{\"signal\":\"SIGKILL\"},\"targets\":{\"Processes\":\"workers\"},\"startAfter\":[\"stress\"]},\"freeze\":{\"actionId\":\"host:disk-freez"
	"e\",\"parameters\":{\"duration\":\"2s\"},\"targets\":{\"Mounts\":\"data\"}},\"lose\":{\"actionId\":\"host:network-loss\","
	"\"parameters\":{\"duration\":\"PT1M\",\"percent\":\"12.5\"},\"targets\":{\"Interfaces\":\"nics\"}},\"rest\":{\"actionId\":\"host:wait\","
	"\"parameters\":{\"duration\":\"500ms\"},\"startAfter\":[\"freeze\",\"lose\"]}},\"stopConditions\":[{\"source\":\"host:psi\","
	"\"value\":\"resource=memory kind=some stall=150ms window=1s\"},{\"source\":\"aws:cloudwatch:alarm\",\"value\":\"arn:aws:cloudwatch:us-east-1:"
	"111122223333:alarm:HighCPU\"}],\"roleArn\":\"arn:aws:iam::111122223333:role/FISRole\"}",
