/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/fis_parameters.h"

#include "util/str.h"

/* FIS: "1 minute to 12 hours", but for this one. */
#define FIS_LEAST_MS   60000
#define PAUSE_LEAST_MS 1000
#define FAULT_LEAST_MS 100 /* of a request to start a fault */
#define WAIT_LEAST_MS  1

static const struct fis_parameter send_command[] = {
	{"documentArn", "the ARN of a document AWSFIS-Run-…, of any partition, Region and account",
	 true},
	{"documentParameters", "the document's parameters: a JSON object, as text", false},
	{"documentVersion", "accepted: there is one version of each document here", false},
};
static const struct fis_parameter assert_alarm[] = {
	{"alarmArns", "the ARNs of 1 to 5 CloudWatch alarms, separated by commas", true},
	{"alarmStates", "states that are fine: OK, ALARM, INSUFFICIENT_DATA, separated by commas",
	 true},
};

struct fis_duration_rule fis_duration_rule(const struct fis_action *a)
{
	struct fis_duration_rule rule = {.takes = true, .required = true, .least_ms = FIS_LEAST_MS};

	if (a->kind == FIS_ASSERT_ALARM)
		return (struct fis_duration_rule){0};
	if (a->kind == FIS_SEND_COMMAND)
		return rule;
	if (a->action->duration == DURATION_OPTIONAL) {
		/* Of FIS's none has one; of ours those that do it again and again. */
		rule.takes = !a->alias && a->action->interval_ms;
		rule.required = false;
	}
	if (!a->alias) {
		rule.ours = true;
		rule.least_ms = a->kind == FIS_WAIT ? WAIT_LEAST_MS : FAULT_LEAST_MS;
	} else if (str_eq(a->id, "aws:ebs:pause-volume-io")) {
		rule.least_ms = PAUSE_LEAST_MS;
	}
	return rule;
}

const char *fis_parameter_why_not(const struct fis_action *a, const char *name)
{
	if (!str_eq(a->id, "aws:ec2:stop-instances"))
		return NULL;
	if (str_eq(name, "startInstancesAfterDuration"))
		return "a host that is off cannot start itself again; leave it out, and start the host from elsewhere";
	if (str_eq(name, "completeIfInstancesTerminated"))
		return "means something with startInstancesAfterDuration only, which a host that is off cannot do";
	return NULL;
}

bool fis_parameter_aims(const char *name)
{
	static const char *const names[] = {"unit", "cgroup", "container", "netns"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (str_eq(names[i], name))
			return true;
	}
	return false;
}

bool fis_parameter_is_target(const struct fis_action *a, const char *name)
{
	const char *carrier = a->alias && a->n_keys ? a->keys[0].type->fault_parameter : NULL;

	return carrier &&
	       (str_eq(carrier, name) || (fis_parameter_aims(carrier) && fis_parameter_aims(name)));
}

bool fis_action_takes_list(const struct fis_action *a, const struct resource_type *type)
{
	struct row rows[ACTION_ROWS_MAX];
	size_t size, n;

	if (!type->together || !type->fault_parameter || a->kind != FIS_FAULT)
		return false;
	n = action_rows(a->action, a->alias, rows, &size);
	for (size_t i = 0; i < n; i++) {
		if (str_eq(rows[i].name, type->fault_parameter))
			return rows[i].type == ROW_NAMES || rows[i].type == ROW_NUMBERS;
	}
	return false;
}

/* Whoever gives the target need not give what it carries. */
static bool may_come_from_target(const struct fis_action *a, const char *name)
{
	for (size_t i = 0; i < a->n_keys; i++) {
		const char *carrier = a->keys[i].type->fault_parameter;

		if (carrier && str_eq(carrier, name))
			return true;
	}
	return false;
}

static size_t copy_all(const struct fis_parameter *from, size_t n, struct fis_parameter *ret)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = from[i];
	return n;
}

size_t fis_action_parameters(const struct fis_action *a,
			     struct fis_parameter ret[static FIS_PARAMETERS_MAX])
{
	struct fis_duration_rule rule = fis_duration_rule(a);
	struct row rows[ACTION_ROWS_MAX];
	size_t size, n = 0, n_rows = 0;

	if (a->kind == FIS_SEND_COMMAND)
		n = copy_all(send_command, ARRAY_SIZE(send_command), ret);
	else if (a->kind == FIS_ASSERT_ALARM)
		n = copy_all(assert_alarm, ARRAY_SIZE(assert_alarm), ret);
	else
		n_rows = action_rows(a->action, a->alias, rows, &size);
	for (size_t i = 0; i < n_rows; i++) {
		if (!fis_parameter_is_target(a, rows[i].name))
			ret[n++] = (struct fis_parameter){
				rows[i].name, rows[i].text,
				rows[i].required && !may_come_from_target(a, rows[i].name)};
	}
	if (rule.takes)
		ret[n++] = (struct fis_parameter){"duration", "how long the action lasts",
						  rule.required};
	return n;
}
