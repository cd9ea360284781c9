/* SPDX-License-Identifier: Apache-2.0 */
/* experiment/catalogue, experiment/fis_call: FIS's actions as this host has them, and what their
 * parameters come to. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "experiment/action_values.h"
#include "experiment/catalogue.h"
#include "experiment/identity.h"

static int make(void **state)
{
	return catalogue_make();
}

static int done(void **state)
{
	catalogue_free();
	return 0;
}

static const char *text(const cJSON *o, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
}

/* Sorted, without repeats, all to be found, and as FIS bounds them. */
static void test_catalogue(void **state)
{
	assert_true(catalogue_size() == n_actions + 19);
	for (size_t i = 0; i < catalogue_size(); i++) {
		const struct fis_action *a = catalogue_at(i);

		assert_true(i == 0 || strcmp(catalogue_at(i - 1)->id, a->id) < 0);
		assert_ptr_equal(catalogue_find(a->id), a);
		assert_null(catalogue_why_not(a->id));
		assert_true(strlen(a->id) < 128 && strlen(a->description) <= 512);
	}
	assert_null(catalogue_find(""));
	assert_null(catalogue_find("aws:ecs:task-cpu"));
	assert_null(catalogue_find("host:aws:fis:wait"));
	for (size_t i = 0; i < n_actions; i++) {
		char id[128] = "host:";

		assert_non_null(catalogue_find(strcat(id, actions[i]->name)));
	}
}

/* The actions of FIS that the issue names are there, with the one target key of their service. */
static void test_fis_actions(void **state)
{
	static const struct {
		const char *id, *key, *type;
	} expected[] = {
		{"aws:cloudwatch:assert-alarm-state", NULL, NULL},
		{"aws:ebs:pause-volume-io", "Volumes", "aws:ec2:ebs-volume"},
		{"aws:ec2:reboot-instances", "Instances", "aws:ec2:instance"},
		{"aws:ec2:stop-instances", "Instances", "aws:ec2:instance"},
		{"aws:ecs:task-cpu-stress", "Tasks", "aws:ecs:task"},
		{"aws:ecs:task-io-stress", "Tasks", "aws:ecs:task"},
		{"aws:ecs:task-kill-process", "Tasks", "aws:ecs:task"},
		{"aws:ecs:task-network-blackhole-port", "Tasks", "aws:ecs:task"},
		{"aws:ecs:task-network-latency", "Tasks", "aws:ecs:task"},
		{"aws:ecs:task-network-packet-loss", "Tasks", "aws:ecs:task"},
		{"aws:eks:pod-cpu-stress", "Pods", "aws:eks:pod"},
		{"aws:eks:pod-io-stress", "Pods", "aws:eks:pod"},
		{"aws:eks:pod-memory-stress", "Pods", "aws:eks:pod"},
		{"aws:eks:pod-network-blackhole-port", "Pods", "aws:eks:pod"},
		{"aws:eks:pod-network-latency", "Pods", "aws:eks:pod"},
		{"aws:eks:pod-network-packet-loss", "Pods", "aws:eks:pod"},
		{"aws:fis:wait", NULL, NULL},
		{"aws:network:disrupt-connectivity", "Subnets", "aws:ec2:subnet"},
		{"aws:ssm:send-command", "Instances", "aws:ec2:instance"},
	};
	size_t n = 0;

	for (size_t i = 0; i < COUNT(expected); i++) {
		const struct fis_action *a = catalogue_find(expected[i].id);

		assert_non_null(a);
		assert_int_equal(a->n_keys, expected[i].key ? 1 : 0);
		assert_int_equal(a->target_required, expected[i].key != NULL);
		if (expected[i].key) {
			assert_string_equal(a->keys[0].key, expected[i].key);
			assert_string_equal(a->keys[0].type->name, expected[i].type);
			assert_ptr_equal(fis_action_key(a, expected[i].key), a->keys[0].type);
		}
		assert_null(fis_action_key(a, "Roles"));
	}
	for (size_t i = 0; i < catalogue_size(); i++)
		n += strncmp(catalogue_at(i)->id, "aws:", 4) == 0;
	assert_int_equal(n, COUNT(expected));
}

/* Whatever a target is told by, the action has it: faults are aimed by it. */
static void test_keys(void **state)
{
	for (size_t i = 0; i < catalogue_size(); i++) {
		const struct fis_action *a = catalogue_at(i);

		for (size_t k = 0; k < a->n_keys; k++) {
			const char *carrier = a->keys[k].type->fault_parameter;
			struct row rows[ACTION_ROWS_MAX];
			size_t size, n, found = 0;

			if (!carrier)
				continue;
			n = action_rows(a->action, a->alias, rows, &size);
			for (size_t r = 0; r < n; r++)
				found += strcmp(rows[r].name, carrier) == 0;
			if (found != 1)
				fail_msg("%s has no %s for its %s", a->id, carrier, a->keys[k].key);
		}
	}
	assert_non_null(fis_action_key(catalogue_find("host:process-kill"), "Processes"));
	assert_non_null(fis_action_key(catalogue_find("host:process-kill"), "Tasks"));
	assert_null(fis_action_key(catalogue_find("host:process-kill"), "Interfaces"));
	assert_non_null(fis_action_key(catalogue_find("host:network-loss"), "Interfaces"));
	assert_non_null(fis_action_key(catalogue_find("host:disk-freeze"), "Mounts"));
	assert_non_null(fis_action_key(catalogue_find("host:service-stop"), "Units"));
	assert_null(fis_action_key(catalogue_find("host:service-stop"), "Containers"));
	assert_int_equal(catalogue_find("host:wait")->n_keys, 0);
}

static void test_lists(void **state)
{
	static const struct {
		const char *id, *key;
		bool takes_list;
	} cases[] = {
		{"host:process-kill", "Processes", true},
		{"host:resource-exhaust", "Processes", false}, /* one pid */
		{"host:network-loss", "Interfaces", true},
		{"host:network-loss", "Units", false},
		{"host:network-loss", "Instances", false},
		{"aws:network:disrupt-connectivity", "Subnets", true},
		{"aws:ssm:send-command", "Instances", false},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct fis_action *a = catalogue_find(cases[i].id);

		assert_int_equal(fis_action_takes_list(a, fis_action_key(a, cases[i].key)),
				 cases[i].takes_list);
	}
}

static void test_why_not(void **state)
{
	assert_non_null(
		strstr(catalogue_why_not("aws:fis:inject-api-throttle-error"), "its own API"));
	assert_non_null(catalogue_why_not("aws:rds:failover-db-cluster"));
	assert_non_null(catalogue_why_not("aws:ecs:stop-task"));
	assert_null(catalogue_why_not("aws:rds:no-such-thing"));
	assert_null(catalogue_why_not("aws:ecs:task-cpu-stress"));
}

/* Parameters as GetAction tells them. */

static const struct fis_parameter *find(const struct fis_parameter *p, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(p[i].name, name) == 0)
			return &p[i];
	}
	return NULL;
}

static void test_parameters(void **state)
{
	struct fis_parameter p[FIS_PARAMETERS_MAX];
	size_t n;

	for (size_t i = 0; i < catalogue_size(); i++) {
		n = fis_action_parameters(catalogue_at(i), p);
		assert_true(n <= FIS_PARAMETERS_MAX);
		for (size_t k = 0; k < n; k++) {
			assert_true(p[k].description[0] && strlen(p[k].name) <= 64);
			assert_ptr_equal(find(p, n, p[k].name), &p[k]);
		}
	}
	n = fis_action_parameters(catalogue_find("aws:ecs:task-network-blackhole-port"), p);
	assert_null(find(p, n, "container"));
	assert_true(find(p, n, "port")->required && find(p, n, "duration")->required);
	assert_false(find(p, n, "protocol")->required);
	n = fis_action_parameters(catalogue_find("aws:ebs:pause-volume-io"), p);
	assert_int_equal(n, 1);
	assert_string_equal(p[0].name, "duration");
	assert_int_equal(fis_action_parameters(catalogue_find("aws:ec2:reboot-instances"), p), 0);
	assert_int_equal(fis_action_parameters(catalogue_find("aws:ec2:stop-instances"), p), 0);
	assert_int_equal(fis_action_parameters(catalogue_find("host:kernel-panic"), p) > 0, true);
	n = fis_action_parameters(catalogue_find("aws:eks:pod-memory-stress"), p);
	assert_non_null(find(p, n, "kubernetesServiceAccount"));
	assert_null(find(p, n, "cgroup"));
	n = fis_action_parameters(catalogue_find("host:process-kill"), p);
	assert_false(find(p, n, "duration")->required);
	n = fis_action_parameters(catalogue_find("host:service-stop"), p);
	assert_non_null(find(p, n, "unit"));
}

static void test_print(void **state)
{
	static const struct identity id = {
		.partition = "aws", .region = "eu-west-1", .account = "111122223333"};

	for (size_t i = 0; i < catalogue_size(); i++) {
		cJSON *full = catalogue_print(catalogue_at(i), &id);
		cJSON *summary = catalogue_print_summary(catalogue_at(i), &id);

		assert_int_equal(cJSON_GetArraySize(full), 6);
		assert_int_equal(cJSON_GetArraySize(summary), 5);
		cJSON_Delete(cJSON_DetachItemFromObject(full, "parameters"));
		assert_true(cJSON_Compare(full, summary, true));
		cJSON_Delete(full);
		cJSON_Delete(summary);
	}
	cJSON *o = catalogue_print(catalogue_find("aws:fis:wait"), &id);
	const cJSON *duration =
		cJSON_GetObjectItem(cJSON_GetObjectItem(o, "parameters"), "duration");

	assert_string_equal(text(o, "arn"),
			    "arn:aws:fis:eu-west-1:111122223333:action/aws:fis:wait");
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(duration, "required")));
	cJSON_Delete(o);
	o = catalogue_print(catalogue_find("aws:ssm:send-command"), &id);
	assert_string_equal(
		text(cJSON_GetObjectItem(cJSON_GetObjectItem(o, "targets"), "Instances"),
		     "resourceType"),
		"aws:ec2:instance");
	cJSON_Delete(o);
}

/* What parameters come to. `target`: the key, or NULL. `problems`: one a line, "PATH: TEXT". */

struct outcome {
	int r;
	struct fis_call call;
	char told[4096];
};

static void parse(const char *id, const char *key, const char *json, struct outcome *ret)
{
	const struct fis_action *a = catalogue_find(id);
	struct problems problems = {0};
	cJSON *parameters = cJSON_Parse(json);
	struct text t = TEXT(ret->told);

	assert_non_null(a);
	assert_non_null(parameters);
	ret->told[0] = '\0';
	ret->r = fis_call_parse(a, key ? fis_action_key(a, key) : NULL, parameters, "p", &ret->call,
				&problems);
	for (size_t i = 0; i < problems.n; i++)
		text_add(&t, "%s: %s\n", problems.problem[i].path, problems.problem[i].text);
	assert_int_equal(ret->r<0, problems.n> 0);
	problems_done(&problems);
	cJSON_Delete(parameters);
}

/* It is a request that faults_request() will take, when the target has been added. */
static void check_request(const struct fis_call *call, const struct resource_type *target)
{
	const struct alias *alias;
	const struct action *a = action_find(call->action, &alias);
	cJSON *parameters = cJSON_Duplicate(call->parameters, true);
	struct error e = {0};
	uint64_t ms = 0;
	void *params;

	assert_non_null(a);
	params = malloc(a->params_size);
	if (target && target->fault_parameter)
		cJSON_AddStringToObject(parameters, target->fault_parameter, "1");
	if (action_parse(a, alias, parameters, params, &ms, &e) < 0)
		fail_msg("%s: %s", call->action, e.message);
	assert_true(ms == 0 || ms == call->fault_ms);
	assert_true(call->fault_ms || a->duration == DURATION_OPTIONAL);
	free(params);
	cJSON_Delete(parameters);
}

static void test_good(void **state)
{
	static const struct {
		const char *id, *key, *parameters;
		const char *action, *printed; /* of the request that comes of it */
		uint64_t fault_ms, action_ms;
	} cases[] = {
		{"host:cpu-stress", NULL, "{\"percent\":\"50\",\"duration\":\"30s\"}", "cpu-stress",
		 "{\"percent\":\"50\"}", 30000, 30000},
		{"host:cpu-stress", "Containers", "{\"duration\":\"PT1M\"}", "cpu-stress", "{}",
		 60000, 60000},
		{"host:network-loss", "Interfaces", "{\"ports\":\"80,443\",\"duration\":\"500ms\"}",
		 "network-loss", "{\"ports\":\"80,443\"}", 500, 500},
		{"host:process-kill", "Processes", "{}", "process-kill", "{}", 0, 0},
		{"host:process-kill", NULL,
		 "{\"name\":\"x\",\"interval\":\"1s\",\"duration\":\"9s\"}", "process-kill",
		 "{\"name\":\"x\",\"interval\":\"1s\"}", 9000, 9000},
		{"host:disk-freeze", "Mounts", "{\"duration\":\"1s\"}", "disk-freeze", "{}", 1000,
		 1000},
		{"host:wait", NULL, "{\"duration\":\"5ms\"}", "", "null", 0, 5},
		{"aws:fis:wait", NULL, "{\"duration\":\"PT12H\"}", "", "null", 0, 43200000},
		{"aws:ecs:task-cpu-stress", "Tasks",
		 "{\"duration\":\"PT5M\",\"percent\":\"80\",\"workers\":\"0\",\"installDependencies\":\"True\"}",
		 "aws:ecs:task-cpu-stress",
		 "{\"percent\":\"80\",\"workers\":\"0\",\"installDependencies\":\"True\"}", 300000,
		 300000},
		{"aws:ecs:task-kill-process", "Tasks", "{\"processName\":\"nginx\"}",
		 "aws:ecs:task-kill-process", "{\"processName\":\"nginx\"}", 0, 0},
		{"aws:ecs:task-network-latency", "Tasks",
		 "{\"duration\":\"PT2M\",\"delayMilliseconds\":\"100\",\"jitterMilliseconds\":\"0\",\"sources\":\"10.0.0.0/16,example.com\",\"useEcsFaultInjectionEndpoints\":\"true\"}",
		 "aws:ecs:task-network-latency",
		 "{\"delayMilliseconds\":\"100\",\"jitterMilliseconds\":\"0\",\"sources\":\"10.0.0.0/16,example.com\",\"useEcsFaultInjectionEndpoints\":\"true\"}",
		 120000, 120000},
		{"aws:eks:pod-memory-stress", "Pods",
		 "{\"duration\":\"PT1M\",\"percent\":\"80\",\"workers\":\"1\",\"kubernetesServiceAccount\":\"fis\",\"maxErrorsPercent\":\"20\"}",
		 "aws:eks:pod-memory-stress",
		 "{\"percent\":\"80\",\"workers\":\"1\",\"kubernetesServiceAccount\":\"fis\",\"maxErrorsPercent\":\"20\"}",
		 60000, 60000},
		{"aws:ebs:pause-volume-io", "Volumes", "{\"duration\":\"PT1S\"}",
		 "aws:ebs:pause-volume-io", "{}", 1000, 1000},
		{"aws:ec2:reboot-instances", "Instances", "{}", "aws:ec2:reboot-instances", "{}", 0,
		 0},
		{"aws:network:disrupt-connectivity", "Subnets",
		 "{\"duration\":\"PT2M\",\"scope\":\"prefix-list\",\"prefixListIdentifier\":\"pl-1\"}",
		 "aws:network:disrupt-connectivity",
		 "{\"scope\":\"prefix-list\",\"prefixListIdentifier\":\"pl-1\"}", 120000, 120000},
		{"aws:ssm:send-command", "Instances",
		 "{\"documentArn\":\"arn:aws:ssm:us-east-1::document/AWSFIS-Run-CPU-Stress\",\"documentParameters\":\"{\\\"DurationSeconds\\\": \\\"120\\\", \\\"InstallDependencies\\\": \\\"True\\\", \\\"CPU\\\": [\\\"0\\\"]}\",\"duration\":\"PT3M\"}",
		 "AWSFIS-Run-CPU-Stress",
		 "{\"DurationSeconds\":\"120\",\"InstallDependencies\":\"True\",\"CPU\":\"0\"}",
		 120000, 180000},
		{"aws:ssm:send-command", "Instances",
		 "{\"documentArn\":\"arn:aws-cn:ssm:cn-north-1:123456789012:document/AWSFIS-Run-Kill-Process\",\"documentVersion\":\"$LATEST\",\"documentParameters\":\"{\\\"ProcessName\\\":\\\"a\\\"}\",\"duration\":\"PT1M\"}",
		 "AWSFIS-Run-Kill-Process", "{\"ProcessName\":\"a\"}", 0, 60000},
		{"aws:ssm:send-command", "Instances",
		 "{\"documentArn\":\"arn:aws:ssm:us-east-1::document/AWSFIS-Run-Network-Latency-Sources\",\"documentParameters\":\"{\\\"Sources\\\":[\\\"10.0.0.1\\\",\\\"10.0.0.2\\\"],\\\"DurationSeconds\\\":\\\"60\\\"}\",\"duration\":\"PT1M\"}",
		 "AWSFIS-Run-Network-Latency-Sources",
		 "{\"Sources\":[\"10.0.0.1\",\"10.0.0.2\"],\"DurationSeconds\":\"60\"}", 60000,
		 60000},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct outcome o;
		char *printed;

		parse(cases[i].id, cases[i].key, cases[i].parameters, &o);
		if (o.r < 0)
			fail_msg("%s %s: %s", cases[i].id, cases[i].parameters, o.told);
		assert_string_equal(o.call.action, cases[i].action);
		if (o.call.action[0])
			check_request(&o.call, cases[i].key
						       ? fis_action_key(catalogue_find(cases[i].id),
									cases[i].key)
						       : NULL);
		assert_int_equal(o.call.fault_ms, cases[i].fault_ms);
		assert_int_equal(o.call.action_ms, cases[i].action_ms);
		printed = cJSON_PrintUnformatted(o.call.parameters);
		assert_string_equal(printed ? printed : "null", cases[i].printed);
		free(printed);
		fis_call_done(&o.call);
	}
}

/* Every action of ours with every target it can have: nothing it carries is asked for. */
static void test_targets(void **state)
{
	for (size_t i = 0; i < catalogue_size(); i++) {
		const struct fis_action *a = catalogue_at(i);

		for (size_t k = 0; a->kind == FIS_FAULT && k < a->n_keys; k++) {
			const char *carrier = a->keys[k].type->fault_parameter;
			struct outcome o;
			char asked[80];

			parse(a->id, a->keys[k].key, "{}", &o);
			(void)snprintf(asked, sizeof(asked), "p.%s: ", carrier ? carrier : "?");
			assert_null(strstr(o.told, asked));
			fis_call_done(&o.call);
		}
	}
}

static const char *value_of(const struct action_values *v, const char *parameter)
{
	char key[96];

	(void)snprintf(key, sizeof(key), "fis:Parameter/%s", parameter);
	for (size_t i = 0; i < v->n; i++) {
		if (strcmp(v->value[i].key, key) == 0)
			return v->value[i].value;
	}
	return NULL;
}

/* What conditions see of a fault: each end of a ramp in the place of what it moves. */
static void test_ramp_values(void **state)
{
	static const struct {
		const char *action, *parameters, *key;
		const char *seen[4];
	} cases[] = {
		{"cpu-stress", "{\"percent\":10}", "percent", {"10"}},
		{"cpu-stress",
		 "{\"percent\":10,\"to\":90,\"over\":\"1s\"}",
		 "percent",
		 {"10", "90"}},
		{"cpu-stress",
		 "{\"percent\":10,\"from\":5,\"to\":\"90\",\"over\":\"1s\"}",
		 "percent",
		 {"10", "5", "90"}},
		{"cpu-stress",
		 "{\"percent\":10,\"to\":90,\"over\":\"1s\"}",
		 "cpus",
		 {"all", "all"}},
		{"cpu-stress", "{\"to\":90,\"over\":\"1s\"}", "percent", {"100", "90"}},
		{"network-latency",
		 "{\"delay\":\"10ms\",\"to\":\"2s\",\"over\":\"1s\"}",
		 "delay",
		 {"10", "2000"}},
		{"network-rate",
		 "{\"rate\":\"10mbit\",\"from\":\"9kbit\",\"over\":\"1s\"}",
		 "rate",
		 {"10000000", "9000"}},
		{"memory-stress",
		 "{\"bytes\":\"1MiB\",\"to\":\"2MiB\",\"over\":\"1s\"}",
		 "bytes",
		 {"1048576", "2097152"}},
		{"disk-throttle",
		 "{\"path\":\"/\",\"writeIops\":5,\"from\":7,\"over\":\"1s\"}",
		 "writeIops",
		 {"5", "7"}},
		{"clock-skew", "{\"offset\":\"1m\",\"over\":\"1s\"}", "offset", {"1m"}},
		{"clock-skew",
		 "{\"offset\":\"1m\",\"from\":\"-1h\",\"over\":\"1s\"}",
		 "offset",
		 {"1m", "-1h"}},
		{"resource-exhaust",
		 "{\"resource\":\"pids\",\"count\":5,\"to\":70,\"over\":\"1s\"}",
		 "count",
		 {"5", "70"}},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct action *a =
			action_find(cases[i].action, &(const struct alias *){NULL});
		cJSON *given = cJSON_Parse(cases[i].parameters);
		void *params = calloc(1, a->params_size);
		struct action_values v;
		struct error e = {0};
		uint64_t ms;

		if (action_parse(a, NULL, given, params, &ms, &e) < 0)
			fail_msg("%s: %s", cases[i].parameters, e.message);
		assert_int_equal(action_values_of_fault(a, params, 0, &v), 0);
		for (int again = 0; again < 2; again++) {
			for (size_t k = 0; cases[i].seen[k]; k++) {
				assert_string_equal(value_of(&v, cases[i].key), cases[i].seen[k]);
				assert_int_equal(action_values_next(&v),
						 cases[i].seen[k + 1] != NULL);
			}
		}
		action_values_done(&v);
		free(params);
		cJSON_Delete(given);
	}
}

static const struct row *row_of(const struct action *a, const char *name)
{
	for (size_t i = 0; i < a->n_rows; i++) {
		if (strcmp(a->rows[i].name, name) == 0)
			return &a->rows[i];
	}
	return NULL;
}

/* Every action with a ramp says what it moves, and that is among its parameters. */
static void test_ramps_move_something(void **state)
{
	static const char *const ends[] = {"from", "to"};
	size_t ramps = 0;

	for (size_t i = 0; i < n_actions; i++) {
		if (!row_of(actions[i], "over"))
			continue;
		ramps++;
		for (size_t k = 0; k < COUNT(ends); k++) {
			char words[128] = "";
			size_t n = 0;

			if (!row_of(actions[i], ends[k]))
				continue; /* a clock drifts to its offset */
			assert_non_null(row_of(actions[i], ends[k])->in_place_of);
			(void)snprintf(words, sizeof(words), "%s",
				       row_of(actions[i], ends[k])->in_place_of);
			for (char *w = strtok(words, ", "); w; w = strtok(NULL, ", "))
				n += row_of(actions[i], w) != NULL;
			assert_true(n > 0);
		}
	}
	assert_true(ramps > 5);
}

/* Of a template's action: also by its own names and with its defaults when the target says what is
 * required. */
static void test_values_with_a_target(void **state)
{
	static const struct {
		const char *id, *type, *parameters, *key, *seen;
	} cases[] = {
		{"host:disk-fill", "host:mount", "{\"percent\":\"91.0\",\"duration\":\"1s\"}",
		 "percent", "91"},
		{"host:disk-fill", "host:mount", "{\"percent\":\"91.0\",\"duration\":\"1s\"}",
		 "path", NULL},
		{"aws:ecs:task-network-latency", "aws:ecs:task", "{\"duration\":\"PT1M\"}", "delay",
		 "200"},
		{"aws:ecs:task-network-latency", "aws:ecs:task", "{\"duration\":\"PT1M\"}",
		 "container", NULL},
		{"aws:ssm:send-command", "aws:ec2:instance",
		 "{\"documentArn\":\"arn:aws:ssm:us-east-1::document/AWSFIS-Run-CPU-Stress\",\"documentParameters\":\"{\\\"DurationSeconds\\\":\\\"120\\\",\\\"LoadPercent\\\":\\\"7\\\"}\",\"duration\":\"PT1M\"}",
		 "percent", "7"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		cJSON *given = cJSON_Parse(cases[i].parameters);
		struct template t = {
			.targets = {{.type = resource_type_find(cases[i].type)}},
			.n_targets = 1,
			.actions = {{.kind = catalogue_find(cases[i].id), .parameters = given}},
			.n_actions = 1};
		struct action_values v;
		const char *seen;

		assert_non_null(given);
		assert_non_null(t.targets[0].type);
		assert_int_equal(action_values_of_template(&t, &t.actions[0], &v), 0);
		seen = value_of(&v, cases[i].key);
		if (cases[i].seen) {
			assert_non_null(seen);
			assert_string_equal(seen, cases[i].seen);
		} else {
			assert_null(seen);
		}
		assert_false(action_values_next(&v));
		action_values_done(&v);
		cJSON_Delete(given);
	}
}

/* Parameters of every action, with values of any kind: what is accepted is a request that
 * faults_request() takes, the rest has a reason. */

static const char *const any_value[] = {
	"1",
	"0",
	"50",
	"100",
	"-1",
	"12.5",
	"101",
	"true",
	"False",
	"ALL",
	"eth0",
	"PT1M",
	"PT5S",
	"30s",
	"12h",
	"500ms",
	"tcp",
	"egress",
	"both",
	"80",
	"80,90",
	"443-1",
	"a b",
	"\xc3\xa4",
	"10.0.0.0/8",
	"10mbit",
	"512MiB",
	"{}",
	"[]",
	"all",
	"SIGTERM",
	"x.service",
	"/data",
	",",
	"files",
	"{\"DurationSeconds\":\"60\",\"Percent\":[\"5\"],\"LoadPercent\":\"9\",\"ProcessName\":\"x\"}",
	"{\"DurationSeconds\":\"60\",\"Sources\":[\"a\",\"::1\"],\"Port\":\"1\",\"Protocol\":\"udp\"}",
	"arn:aws:ssm:us-east-1::document/AWSFIS-Run-CPU-Stress",
	"arn:aws:ssm:us-east-1::document/AWSFIS-Run-Network-Latency-Sources",
	"arn:aws:ssm:us-east-1::document/AWSFIS-Run-Memory-Stress",
};

static cJSON *any_parameters(const struct fis_action *a, uint64_t *seed)
{
	struct fis_parameter p[FIS_PARAMETERS_MAX];
	size_t n = fis_action_parameters(a, p);
	cJSON *o = cJSON_CreateObject();

	for (size_t i = 0; i < n; i++) {
		size_t chance = p[i].required ? 10 : 1;

		if (random_below(seed, 11) < chance)
			cJSON_AddStringToObject(o, p[i].name,
						any_value[random_below(seed, COUNT(any_value))]);
	}
	if (cJSON_HasObjectItem(o, "duration") && random_below(seed, 4))
		cJSON_ReplaceItemInObject(o, "duration", cJSON_CreateString("PT2M"));
	return o;
}

static void test_any(void **state)
{
	uint64_t seed = 11;
	size_t accepted = 0, refused = 0;

	for (size_t i = 0; i < 600 * catalogue_size(); i++) {
		const struct fis_action *a = catalogue_at(i % catalogue_size());
		size_t k = random_below(&seed, a->n_keys + 1);
		const struct resource_type *type = k < a->n_keys ? a->keys[k].type : NULL;
		cJSON *parameters = any_parameters(a, &seed);
		struct problems problems = {0};
		struct fis_call call;

		if (fis_call_parse(a, type, parameters, "p", &call, &problems) == 0) {
			if (call.action[0])
				check_request(&call, type);
			accepted++;
		} else {
			assert_true(problems.n > 0 && problems.problem[0].text[0]);
			refused++;
		}
		fis_call_done(&call);
		problems_done(&problems);
		cJSON_Delete(parameters);
	}
	assert_true(accepted > 2000 && refused > 2000);
}

static void test_max_errors(void **state)
{
	struct outcome o;

	parse("aws:eks:pod-cpu-stress", "Pods",
	      "{\"duration\":\"PT1M\",\"maxErrorsPercent\":\"30\"}", &o);
	assert_int_equal(o.call.max_errors_percent, 30);
	fis_call_done(&o.call);
}

static void test_assertion(void **state)
{
	struct outcome o;

	parse("aws:cloudwatch:assert-alarm-state", NULL,
	      "{\"alarmArns\":\"arn:aws:cloudwatch:us-east-1:111122223333:alarm:a, arn:aws:cloudwatch:us-east-1:111122223333:alarm:b c\",\"alarmStates\":\"OK,INSUFFICIENT_DATA\"}",
	      &o);
	assert_int_equal(o.r, 0);
	assert_int_equal(o.call.n_alarms, 2);
	assert_string_equal(o.call.alarms[1],
			    "arn:aws:cloudwatch:us-east-1:111122223333:alarm:b c");
	assert_true(fis_call_alarm_is_fine(&o.call, "OK"));
	assert_true(fis_call_alarm_is_fine(&o.call, "INSUFFICIENT_DATA"));
	assert_false(fis_call_alarm_is_fine(&o.call, "ALARM"));
	assert_false(fis_call_alarm_is_fine(&o.call, ""));
	fis_call_done(&o.call);
}

static void test_bad(void **state)
{
#define DOCUMENT \
	"\"documentArn\":\"arn:aws:ssm:us-east-1::document/AWSFIS-Run-CPU-Stress\",\"duration\":\"PT1M\","
	static const struct {
		const char *id, *key, *parameters, *told;
	} cases[] = {
#include "catalogue-bad.h"
	};
	size_t wrong = 0;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct outcome o;

		parse(cases[i].id, cases[i].key, cases[i].parameters, &o);
		wrong += strcmp(o.told, cases[i].told) != 0;
		if (strcmp(o.told, cases[i].told) != 0)
			print_error("%s %s %s\n%s", cases[i].id, cases[i].key ? cases[i].key : "",
				    cases[i].parameters, o.told);
		assert_int_equal(o.r, -EINVAL);
		assert_null(o.call.parameters);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_catalogue),
		cmocka_unit_test(test_fis_actions),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_why_not),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_max_errors),
		cmocka_unit_test(test_assertion),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_ramp_values),
		cmocka_unit_test(test_ramps_move_something),
		cmocka_unit_test(test_values_with_a_target),
	};

	return cmocka_run_group_tests_name("catalogue", tests, make, done);
}
