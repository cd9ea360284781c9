/* SPDX-License-Identifier: Apache-2.0 */
/* Of test-catalogue.c: action, target key, parameters, and all that is wrong with them. */
{"host:cpu-stress", NULL, "{}",
 "p.duration: required and not given; allowed: a number with its unit, such as 500ms, 30s, 5m, 1h, 1m30s or PT5M\n"},
	{"host:cpu-stress", NULL, "{\"percent\":\"150\",\"cpuz\":\"1\",\"duration\":\"5\"}",
	 "p.percent: 150 is out of range; allowed: 1 to 100\n"
	 "p.cpuz: unknown parameter; allowed: duration, percent, cpus, mode, from, to, over, steps, every, for, unit, cgroup, container, selectionMode, seed, emptyTargetResolutionMode\n"
	 "p.duration: 5 has no unit; allowed: a number with its unit, such as 500ms, 30s, 5m, 1h, 1m30s or PT5M\n"},
	{"host:cpu-stress", NULL, "{\"percent\":50,\"duration\":\"5 s\"}",
	 "p.percent: not text; allowed: text, also for numbers: \"50\"\n"
	 "p.duration: 5 s is not a duration; allowed: a number with its unit, such as 500ms, 30s, 5m, 1h, 1m30s or PT5M\n"},
	{"host:cpu-stress", NULL, "{\"duration\":\"13h\",\"percent\":\"\"}",
	 "p.percent: 0 characters; allowed: 1 to 1024\n"
	 "p.duration: 13h is out of range; allowed: 100ms to 12h\n"},
	{"host:cpu-stress", "Containers",
	 "{\"duration\":\"1s\",\"container\":\"x\",\"unit\":\"y\",\"cgroup\":\"/z\"}",
	 "p.container: not with a target: what it is aimed at is resolved from host:container\n"
	 "p.unit: not with a target: what it is aimed at is resolved from host:container\n"
	 "p.cgroup: not with a target: what it is aimed at is resolved from host:container\n"},
	{"host:kernel-panic", NULL, "{\"duration\":\"1m\"}",
	 "p.duration: unknown parameter; allowed: delay\n"},
	{"host:wait", NULL, "{\"duration\":\"0s\",\"percent\":\"1\"}",
	 "p.percent: unknown parameter; allowed: duration\n"
	 "p.duration: 0s is out of range; allowed: 1ms to 12h\n"},
	{"aws:fis:wait", NULL, "{\"duration\":\"5m\"}",
	 "p.duration: 5m is not a duration; allowed: ISO 8601, such as PT5M or PT1H30M\n"},
	{"aws:fis:wait", NULL, "{\"duration\":\"PT59S\"}",
	 "p.duration: PT59S is out of range; allowed: 1m to 12h\n"},
	{"aws:fis:wait", NULL, "{\"duration\":\"PT12H0.001S\"}",
	 "p.duration: PT12H0.001S is out of range; allowed: 1m to 12h\n"},
	{"aws:fis:wait", NULL, "{\"duration\":\"60\"}",
	 "p.duration: 60 has no unit; allowed: ISO 8601, such as PT5M or PT1H30M\n"},
	{"aws:fis:wait", NULL, "{\"duration\":\"P9999999D\"}",
	 "p.duration: P9999999D is out of range; allowed: 1m to 12h\n"},
	{"aws:ebs:pause-volume-io", "Volumes", "{\"duration\":\"PT0.5S\",\"path\":\"/data\"}",
	 "p.path: unknown parameter; allowed: duration\n"
	 "p.duration: PT0.5S is out of range; allowed: 1s to 12h\n"},
	{"aws:ec2:reboot-instances", "Instances", "{\"duration\":\"PT5M\"}",
	 "p.duration: unknown parameter; allowed: none\n"},
	{"aws:ec2:stop-instances", "Instances",
	 "{\"startInstancesAfterDuration\":\"PT5M\",\"completeIfInstancesTerminated\":\"true\"}",
	 "p.startInstancesAfterDuration: a host that is off cannot start itself again; leave it out, and start the host from elsewhere\n"
	 "p.completeIfInstancesTerminated: means something with startInstancesAfterDuration only, which a host that is off cannot do\n"},
	{"aws:ecs:task-network-blackhole-port", "Tasks",
	 "{\"port\":\"0\",\"trafficType\":\"both ways\",\"container\":\"x\"}",
	 "p.port: 0 is out of range; allowed: ports from 1 to 65535, or ranges, such as 443,8000-8010\n"
	 "p.trafficType: both ways is not one of them; allowed: egress, ingress, both\n"
	 "p.container: unknown parameter; allowed: duration, protocol, port, trafficType, interface, installDependencies, useEcsFaultInjectionEndpoints\n"
	 "p.duration: required and not given; allowed: ISO 8601, such as PT5M or PT1H30M\n"},
	{"aws:eks:pod-cpu-stress", "Pods", "{\"duration\":\"PT1M\",\"maxErrorsPercent\":\"101\"}",
	 "p.maxErrorsPercent: 101 is out of range; allowed: 0 to 100\n"},
	{"aws:network:disrupt-connectivity", "Subnets",
	 "{\"duration\":\"PT1M\",\"scope\":\"all\",\"prefixListIdentifier\":\"pl-1\"}",
	 "p.prefixListIdentifier: contradicts scope; allowed: with scope prefix-list only\n"},
	{"aws:ssm:send-command", "Instances", "{}",
	 "p.documentArn: required and not given; allowed: arn:aws:ssm:REGION::document/AWSFIS-Run-…\n"
	 "p.duration: required and not given; allowed: ISO 8601, such as PT5M or PT1H30M\n"},
	{"aws:ssm:send-command", "Instances",
	 "{\"documentArn\":\"AWSFIS-Run-CPU-Stress\",\"duration\":\"PT1M\",\"documentVersion\":\"newest\"}",
	 "p.documentArn: AWSFIS-Run-CPU-Stress is not a document's ARN; allowed: arn:aws:ssm:REGION::document/AWSFIS-Run-…\n"
	 "p.documentVersion: newest is no version; allowed: a number, $DEFAULT, $LATEST\n"},
	{"aws:ssm:send-command", "Instances",
	 "{\"documentArn\":\"arn:aws:ssm:us-east-1::document/AWS-RunShellScript\",\"duration\":\"PT1M\",\"document\":\"x\"}",
	 "p.document: unknown parameter; allowed: documentArn, documentParameters, documentVersion, duration\n"
	 "p.documentArn: AWS-RunShellScript is not known here; allowed: AWSFIS-Run-… of CPU-Stress, Disk-Fill, IO-Stress, Memory-Stress, Network-Blackhole-Port, Network-Blackhole-Port-ECS, Network-Latency, Network-Latency-Sources, Network-Latency-ECS, Network-Packet-Loss, Network-Packet-Loss-Sources, Network-Packet-Loss-ECS, Kill-Process\n"},
	{"aws:ssm:send-command", "Instances",
	 "{" DOCUMENT
	 "\"documentParameters\":\"{\\\"DurationSeconds\\\":\\\"60\\\",\\\"LoadPercent\\\":\\\"101\\\",\\\"CPUs\\\":\\\"1\\\",\\\"CPU\\\":[\\\"0\\\",\\\"1\\\"],\\\"InstallDependencies\\\":true}\"}",
	 "p.documentParameters.LoadPercent: 101 is out of range; allowed: 1 to 100\n"
	 "p.documentParameters.CPUs: unknown parameter; allowed: LoadPercent, CPU, DurationSeconds, InstallDependencies\n"
	 "p.documentParameters.CPU: an array is not a single value; allowed: text of 1 to 127 bytes\n"
	 "p.documentParameters.InstallDependencies: neither text nor a list of texts\n"},
	{"aws:ssm:send-command", "Instances", "{" DOCUMENT "\"documentParameters\":\"[1]\"}",
	 "p.documentParameters: not a JSON object; allowed: a JSON object, as text\n"},
	{"aws:ssm:send-command", "Instances",
	 "{" DOCUMENT "\"documentParameters\":\"{\\\"a\\\":\"}",
	 "p.documentParameters: not JSON (at byte 4 of 5); allowed: a JSON object, as text\n"},
	{"aws:ssm:send-command", "Instances", "{" DOCUMENT "\"documentParameters\":\"{}\"}",
	 "p.documentParameters.DurationSeconds: required and not given; allowed: 1 to 43200\n"},
	{"aws:ssm:send-command", "Instances",
	 "{" DOCUMENT "\"documentParameters\":\"{\\\"DurationSeconds\\\":60}\"}",
	 "p.documentParameters.DurationSeconds: neither text nor a list of texts\n"},
	{"aws:ssm:send-command", "Instances",
	 "{" DOCUMENT
	 "\"documentParameters\":\"{\\\"DurationSeconds\\\":[\\\"60\\\",\\\"61\\\"]}\"}",
	 "p.documentParameters.DurationSeconds: an array is not a single value; allowed: 1 to 43200\n"},
	{"aws:ssm:send-command", "Instances",
	 "{" DOCUMENT "\"documentParameters\":\"{\\\"DurationSeconds\\\":\\\"43201\\\"}\"}",
	 "p.documentParameters.DurationSeconds: 43201 is out of range; allowed: 1 to 43200\n"},
	{"aws:cloudwatch:assert-alarm-state", NULL, "{}",
	 "p.alarmArns: required and not given; allowed: 1 to 5 ARNs of alarms, separated by commas\n"
	 "p.alarmStates: required and not given; allowed: OK, ALARM, INSUFFICIENT_DATA\n"},
	{"aws:cloudwatch:assert-alarm-state", NULL,
	 "{\"alarmArns\":\"a,\",\"alarmStates\":\"ok,\"}",
	 "p.alarmArns: a is not an alarm's ARN; allowed: arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME\n"
	 "p.alarmArns: an empty text is not an alarm's ARN; allowed: arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME\n"
	 "p.alarmStates: ok is no state; allowed: OK, ALARM, INSUFFICIENT_DATA\n"
	 "p.alarmStates: an empty text is no state; allowed: OK, ALARM, INSUFFICIENT_DATA\n"},
	{"aws:cloudwatch:assert-alarm-state", NULL,
	 "{\"alarmArns\":\"arn:aws:cloudwatch:r:1:alarm:0,arn:aws:cloudwatch:r:1:alarm:1,arn:aws:cloudwatch:r:1:alarm:2,arn:aws:cloudwatch:r:1:alarm:3,arn:aws:cloudwatch:r:1:alarm:4,arn:aws:cloudwatch:r:1:alarm:5\",\"alarmStates\":\"OK\",\"duration\":\"PT1M\"}",
	 "p.duration: unknown parameter; allowed: alarmArns, alarmStates\n"
	 "p.alarmArns: too many; allowed: 1 to 5\n"},
	{"host:process-kill", NULL, "{\"name\":\"x\",\"interval\":\"1s\"}",
	 "p.duration: required with interval and not given; allowed: a number with its unit, such as 500ms, 30s, 5m, 1h, 1m30s or PT5M\n"},
	{"aws:ecs:task-cpu-stress", "Tasks",
	 "{\"duration\":\"PT1M\",\"installDependencies\":\"yes\"}",
	 "p.installDependencies: yes is neither; allowed: true, false\n"},
	{"aws:fis:wait", NULL, "{\"duration\":\"PT1M\",\"duration\":\"PT2M\"}",
	 "p.duration: given twice\n"},
