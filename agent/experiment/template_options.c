/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of a template: stop conditions, role, logs, options. */
#include <string.h>

#include "experiment/arn.h"
#include "experiment/probe.h"
#include "experiment/template_read.h"
#include "util/str.h"

#define CONDITION_VALUE_MAX 2048
#define ARN_LEAST           20
#define ARN_MOST            2048

static void tell_sources(struct reading *r, const char *path, const char *source)
{
	char known[200] = "none", value[PROBLEM_SHOWN_MAX];
	struct text t = TEXT(known);

	t.length = strlen(known);
	for (size_t i = 0; i < n_probe_types; i++)
		text_add(&t, ", %s", probe_types[i]->source);
	problem_shown(source, value);
	problems_add(r->problems, ERROR_VALIDATION, path, "%s is no source; allowed: %s", value,
		     known);
}

static void read_condition_value(struct reading *r, const cJSON *json, const char *path,
				 struct template_condition *c)
{
	const struct probe_type *type = probe_type_find(c->source);

	c->value = read_text(r, json, path, 1, CONDITION_VALUE_MAX, BLANKS);
	if (str_eq(c->source, "none")) {
		if (json)
			problems_add(r->problems, ERROR_VALIDATION, path,
				     "the source none has no value");
	} else if (!json) {
		problems_add(r->problems, ERROR_VALIDATION, path, "required of %s and not given",
			     c->source);
	} else if (c->value && probe_parse(type, c->value, path, NULL, r->problems) == -ENOMEM) {
		r->out_of_memory = true;
	}
}

static void read_condition(struct reading *r, const cJSON *json, const char *path,
			   struct template_condition *c)
{
	static const struct member members[] = {{"source", true}, {"value", false}};
	const cJSON *m[ARRAY_SIZE(members)];
	char at[PROBLEM_PATH_MAX];

	if (!read_members(r, json, path, members, ARRAY_SIZE(members), m))
		return;
	c->source = read_text(r, m[0], problem_path(at, path, "source"), 1, 64, NO_BLANKS);
	if (!c->source)
		return;
	if (str_eq(c->source, "none") || probe_type_find(c->source))
		read_condition_value(r, m[1], problem_path(at, path, "value"), c);
	else
		tell_sources(r, at, c->source);
}

void read_conditions(struct reading *r, const cJSON *json)
{
	struct template *t = r->t;
	char path[PROBLEM_PATH_MAX];
	int n;

	if (!read_array(r, json, "stopConditions"))
		return;
	n = cJSON_GetArraySize(json);
	if (n > TEMPLATE_CONDITIONS_MAX)
		problems_add(r->problems, ERROR_QUOTA, "stopConditions",
			     "%d stop conditions; allowed: %d", n, TEMPLATE_CONDITIONS_MAX);
	for (const cJSON *c = json->child; c && t->n_conditions < TEMPLATE_CONDITIONS_MAX;
	     c = c->next) {
		problem_path_at(path, "stopConditions", t->n_conditions);
		read_condition(r, c, path, &t->conditions[t->n_conditions++]);
	}
	for (size_t i = 0; n > 1 && i < t->n_conditions; i++) {
		if (t->conditions[i].source && str_eq(t->conditions[i].source, "none"))
			problems_add(r->problems, ERROR_VALIDATION,
				     problem_path_at(path, "stopConditions", i),
				     "none, beside others; allowed: none alone");
	}
}

void read_role(struct reading *r, const cJSON *json)
{
	const char *arn = read_text(r, json, "roleArn", ARN_LEAST, ARN_MOST, NO_BLANKS);
	const char *role = arn ? arn_resource(arn, "iam") : NULL;

	if (arn && (!role || !str_starts(role, "role/") || !role[strlen("role/")]))
		problems_add(r->problems, ERROR_VALIDATION, "roleArn",
			     "not a role's ARN; allowed: arn:aws:iam::ACCOUNT:role/NAME");
	r->t->role_arn = arn;
}

/* Logs. They are always kept here; this says where else. */

static void read_schema_version(struct reading *r, const cJSON *json, const char *path)
{
	double version = cJSON_IsNumber(json) ? json->valuedouble : 0;

	if (!json || version == 2)
		return;
	if (version == 1)
		problems_add(r->problems, ERROR_UNSUPPORTED, path,
			     "version 1 is not written here; allowed: 2");
	else
		problems_add(r->problems, ERROR_VALIDATION, path, "no schema version; allowed: 2");
}

static void read_log_group(struct reading *r, const cJSON *json)
{
	static const char path[] = "logConfiguration.cloudWatchLogsConfiguration";
	static const struct member members[] = {{"logGroupArn", true}};
	const cJSON *m[ARRAY_SIZE(members)];
	char at[PROBLEM_PATH_MAX];
	const char *arn, *group;

	if (!json || !read_members(r, json, path, members, ARRAY_SIZE(members), m))
		return;
	problem_path(at, path, "logGroupArn");
	arn = read_text(r, m[0], at, ARN_LEAST, ARN_MOST, NO_BLANKS);
	group = arn ? arn_resource(arn, "logs") : NULL;
	if (arn && (!group || !str_starts(group, "log-group:") || !group[strlen("log-group:")]))
		problems_add(
			r->problems, ERROR_VALIDATION, at,
			"not a log group's ARN; allowed: arn:aws:logs:REGION:ACCOUNT:log-group:NAME:*");
}

static void read_bucket(struct reading *r, const cJSON *json)
{
	static const char path[] = "logConfiguration.s3Configuration";
	static const struct member members[] = {{"bucketName", true}, {"prefix", false}};
	const cJSON *m[ARRAY_SIZE(members)];
	char at[PROBLEM_PATH_MAX];

	if (!json || !read_members(r, json, path, members, ARRAY_SIZE(members), m))
		return;
	(void)read_text(r, m[0], problem_path(at, path, "bucketName"), 3, 63, NO_BLANKS);
	(void)read_text(r, m[1], problem_path(at, path, "prefix"), 1, 700, BLANKS);
}

void read_logs(struct reading *r, const cJSON *json)
{
	static const struct member members[] = {{"logSchemaVersion", true},
						{"cloudWatchLogsConfiguration", false},
						{"s3Configuration", false}};
	const cJSON *m[ARRAY_SIZE(members)];

	if (!json || !read_members(r, json, "logConfiguration", members, ARRAY_SIZE(members), m))
		return;
	read_schema_version(r, m[0], "logConfiguration.logSchemaVersion");
	read_log_group(r, m[1]);
	read_bucket(r, m[2]);
}

void read_options(struct reading *r, const cJSON *json)
{
	static const struct member members[] = {{"accountTargeting", false},
						{"emptyTargetResolutionMode", false}};
	static const char *const accounts[] = {"single-account", "multi-account", NULL};
	static const char *const modes[] = {
		[EMPTY_RESOLUTION_FAIL] = "fail", [EMPTY_RESOLUTION_SKIP] = "skip", NULL};
	const cJSON *m[ARRAY_SIZE(members)];
	int mode;

	if (!json || !read_members(r, json, "experimentOptions", members, ARRAY_SIZE(members), m))
		return;
	if (m[0] && read_choice(r, m[0], "experimentOptions.accountTargeting", accounts) == 1)
		problems_add(r->problems, ERROR_UNSUPPORTED, "experimentOptions.accountTargeting",
			     "multi-account: a host is in one account; allowed: single-account");
	mode = m[1] ? read_choice(r, m[1], "experimentOptions.emptyTargetResolutionMode", modes)
		    : EMPTY_RESOLUTION_FAIL;
	r->t->empty = mode == EMPTY_RESOLUTION_SKIP ? EMPTY_RESOLUTION_SKIP : EMPTY_RESOLUTION_FAIL;
}
