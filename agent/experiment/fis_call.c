/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a template's action: FIS's strings -> what starts the fault. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/arn.h"
#include "experiment/catalogue.h"
#include "experiment/fis_parameters.h"
#include "experiment/fis_values.h"
#include "util/cleanup.h"
#include "util/duration.h"
#include "util/str.h"

#define DOCUMENT_PREFIX "AWSFIS-Run-"

void fis_call_done(struct fis_call *c)
{
	cJSON_Delete(c->parameters);
	free(c->alarms_text);
	*c = (struct fis_call){0};
}

bool fis_call_alarm_is_fine(const struct fis_call *c, const char *state)
{
	return (c->fine_ok && str_eq(state, "OK")) || (c->fine_alarm && str_eq(state, "ALARM")) ||
	       (c->fine_insufficient && str_eq(state, "INSUFFICIENT_DATA"));
}

int fis_duration(const char *text, bool ours, uint64_t *ret_ms)
{
	if (!ours && text[0] != 'P')
		return -EINVAL;
	return duration_parse(text, ret_ms);
}

static const char *duration_allowed(const struct fis_duration_rule *rule)
{
	return rule->ours ? DURATION_ALLOWED : "ISO 8601, such as PT5M or PT1H30M";
}

static void tell_duration(const struct fis_reading *in, const char *text, int r,
			  const struct fis_duration_rule *rule)
{
	char value[PROBLEM_SHOWN_MAX] = "", least[32] = "";
	struct text t = TEXT(least);
	uint64_t plain;

	problem_shown(text, value);
	duration_print(rule->least_ms, &t);
	if (r == -EINVAL)
		fis_tell(in, "duration", "%s %s; allowed: %s", value,
			 str_to_u64(text, &plain) == 0 ? "has no unit" : "is not a duration",
			 duration_allowed(rule));
	else
		fis_tell(in, "duration", "%s is out of range; allowed: %s to 12h", value, least);
}

static uint64_t read_duration(const struct fis_reading *in, const cJSON *values)
{
	struct fis_duration_rule rule = fis_duration_rule(in->action);
	const char *text;
	uint64_t ms = 0;
	int r;

	if (!rule.takes)
		return 0;
	text = fis_text_of(in, values, "duration", rule.required ? duration_allowed(&rule) : NULL);
	if (!text)
		return 0;
	r = fis_duration(text, rule.ours, &ms);
	if (r == 0 && (ms < rule.least_ms || ms > DURATION_MAX_S * UINT64_C(1000)))
		r = -ERANGE;
	if (r < 0)
		tell_duration(in, text, r, &rule);
	return r < 0 ? 0 : ms;
}

static unsigned read_max_errors(const struct fis_reading *in, const cJSON *values)
{
	const char *text = fis_text_of(in, values, "maxErrorsPercent", NULL);
	char value[PROBLEM_SHOWN_MAX] = "";
	uint64_t percent = 0;

	if (!text || !str_starts(in->action->id, "aws:eks:"))
		return 0;
	if (str_to_u64(text, &percent) == 0 && percent <= 100)
		return (unsigned)percent;
	problem_shown(text, value);
	fis_tell(in, "maxErrorsPercent", "%s is out of range; allowed: 0 to 100", value);
	return 0;
}

/* Kinds of action */

/* What is done again and again needs an end. `params` have been read. */
static void check_interval(const struct fis_reading *in, const struct fis_dialect *d,
			   uint64_t duration_ms)
{
	struct fis_duration_rule rule = fis_duration_rule(in->action);

	if (duration_ms == 0 && rule.takes && !rule.required &&
	    d->action->interval_ms(d->params) > 0)
		fis_tell(in, "duration", "required with interval and not given; allowed: %s",
			 duration_allowed(&rule));
}

static int read_fault(struct fis_reading *in, const struct resource_type *target,
		      const cJSON *values, struct fis_call *ret)
{
	const struct fis_action *a = in->action;
	struct fis_dialect d = {.target = target};
	size_t before = problems_count(in->problems);
	uint64_t ms = 0;
	int r = fis_dialect_open(&d, a->action, a->alias);

	if (fis_duration_rule(a).takes)
		in->special[in->n_special++] = "duration";
	if (r == 0)
		r = fis_check_values(in, &d, values, &ms);
	ret->action_ms = ret->fault_ms = read_duration(in, values);
	if (r == 0 && problems_count(in->problems) == before)
		check_interval(in, &d, ret->action_ms);
	fis_dialect_close(&d);
	if (r < 0)
		return r;
	ret->max_errors_percent = read_max_errors(in, values);
	(void)str_copy(ret->action, sizeof(ret->action),
		       a->alias ? a->alias->name : a->action->name);
	ret->parameters = cJSON_Duplicate(values, true);
	cJSON_DeleteItemFromObjectCaseSensitive(ret->parameters, "duration");
	return ret->parameters ? 0 : -ENOMEM;
}

static int read_wait(struct fis_reading *in, const cJSON *values, struct fis_call *ret)
{
	const struct fis_dialect none = {0};
	uint64_t ms;

	in->special[in->n_special++] = "duration";
	(void)fis_check_values(in, &none, values, &ms);
	ret->action_ms = read_duration(in, values);
	return 0;
}

static void tell_documents(const struct fis_reading *in, const char *name)
{
	char known[260] = "", value[PROBLEM_SHOWN_MAX] = "";
	struct text t = TEXT(known);

	for (size_t i = 0; i < n_actions; i++) {
		for (const struct alias *a = actions[i]->aliases; a && a->name; a++) {
			if (str_starts(a->name, DOCUMENT_PREFIX))
				fis_add_name(&t, a->name + strlen(DOCUMENT_PREFIX));
		}
	}
	problem_shown(name, value);
	fis_tell(in, "documentArn", "%s is not known here; allowed: " DOCUMENT_PREFIX "… of %s",
		 value, known);
}

/* NULL: told. */
static const struct action *find_document(const struct fis_reading *in, const cJSON *values,
					  const struct alias **ret_alias)
{
	static const char form[] = "arn:aws:ssm:REGION::document/" DOCUMENT_PREFIX "…";
	const char *arn = fis_text_of(in, values, "documentArn", form);
	const char *name = arn ? arn_resource(arn, "ssm") : NULL;
	const struct action *a;
	char value[PROBLEM_SHOWN_MAX] = "";

	*ret_alias = NULL;
	if (!arn)
		return NULL;
	if (!name || !str_starts(name, "document/")) {
		problem_shown(arn, value);
		fis_tell(in, "documentArn", "%s is not a document's ARN; allowed: %s", value, form);
		return NULL;
	}
	name += strlen("document/");
	a = str_starts(name, DOCUMENT_PREFIX) ? action_find(name, ret_alias) : NULL;
	if (!a)
		tell_documents(in, name);
	return a;
}

static void check_version(const struct fis_reading *in, const cJSON *values)
{
	const char *text = fis_text_of(in, values, "documentVersion", NULL);
	char value[PROBLEM_SHOWN_MAX] = "";
	uint64_t number;

	if (!text || str_eq(text, "$DEFAULT") || str_eq(text, "$LATEST") ||
	    (str_to_u64(text, &number) == 0 && number > 0))
		return;
	problem_shown(text, value);
	fis_tell(in, "documentVersion", "%s is no version; allowed: a number, $DEFAULT, $LATEST",
		 value);
}

/* FIS passes lists: one of one is its item. */
static int make_flat(cJSON *values)
{
	for (cJSON *v = values->child, *next; v; v = next) {
		cJSON *item;

		next = v->next;
		if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != 1 || !cJSON_IsString(v->child))
			continue;
		item = cJSON_CreateString(v->child->valuestring);
		if (!item)
			return -ENOMEM;
		item->string = steal_pointer(v->string);
		if (!cJSON_ReplaceItemViaPointer(values, v, item)) {
			cJSON_Delete(item);
			return -ENOMEM;
		}
	}
	return 0;
}

/* The text as an object; NULL: told, or out of memory. */
static cJSON *read_document_parameters(const struct fis_reading *in, const cJSON *values)
{
	const char *text = fis_text_of(in, values, "documentParameters", NULL);
	struct error e = {0};
	cJSON *json;

	if (!text)
		return cJSON_CreateObject();
	json = json_read(text, strlen(text), &e);
	if (!json)
		fis_tell(in, "documentParameters", "%s; allowed: a JSON object, as text",
			 str_starts(e.message, "body: ") ? e.message + strlen("body: ")
							 : e.message);
	return json;
}

static int check_document(const struct fis_reading *in, const struct action *a,
			  const struct alias *alias, cJSON *parameters, struct fis_call *ret)
{
	char path[PROBLEM_PATH_MAX];
	struct fis_reading inner = {.action = in->action,
				    .path = problem_path(path, in->path, "documentParameters"),
				    .problems = in->problems,
				    .document = true};
	struct fis_dialect d = {0};
	int r = fis_dialect_open(&d, a, alias);

	if (r == 0)
		r = make_flat(parameters);
	if (r == 0)
		r = fis_check_values(&inner, &d, parameters, &ret->fault_ms);
	fis_dialect_close(&d);
	return r;
}

static int read_send_command(struct fis_reading *in, const cJSON *values, struct fis_call *ret)
{
	const struct fis_dialect none = {0};
	const struct alias *alias;
	const struct action *a;
	uint64_t ms;

	in->special[in->n_special++] = "documentArn";
	in->special[in->n_special++] = "documentParameters";
	in->special[in->n_special++] = "documentVersion";
	in->special[in->n_special++] = "duration";
	(void)fis_check_values(in, &none, values, &ms);
	a = find_document(in, values, &alias);
	check_version(in, values);
	ret->parameters = read_document_parameters(in, values);
	ret->action_ms = read_duration(in, values);
	if (!ret->parameters)
		return problems_count(in->problems) ? 0 : -ENOMEM;
	if (!a)
		return 0;
	(void)str_copy(ret->action, sizeof(ret->action), alias->name);
	return check_document(in, a, alias, ret->parameters, ret);
}

/* "a,b" in place: the next item without the blanks around it, NULL at the end. */
static char *next_item(char **rest)
{
	char *item = strsep(rest, ","), *end;

	if (!item)
		return NULL;
	while (*item == ' ')
		item++;
	end = item + strlen(item);
	while (end > item && end[-1] == ' ')
		*--end = '\0';
	return item;
}

static void read_alarms(const struct fis_reading *in, struct fis_call *ret)
{
	char *rest = ret->alarms_text, *arn, value[PROBLEM_SHOWN_MAX] = "";

	while ((arn = next_item(&rest))) {
		const char *name = arn_resource(arn, "cloudwatch");

		if (ret->n_alarms == FIS_ALARMS_MAX) {
			fis_tell(in, "alarmArns", "too many; allowed: 1 to %d", FIS_ALARMS_MAX);
			return;
		}
		if (!name || !str_starts(name, "alarm:") || !name[strlen("alarm:")]) {
			value[0] = '\0';
			problem_shown(arn, value);
			fis_tell(
				in, "alarmArns",
				"%s is not an alarm's ARN; allowed: arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME",
				value[0] ? value : "an empty text");
		}
		ret->alarms[ret->n_alarms++] = arn;
	}
}

static void read_alarm_states(const struct fis_reading *in, char *text, struct fis_call *ret)
{
	char *state, value[PROBLEM_SHOWN_MAX];

	while ((state = next_item(&text)) && !problems_are_full(in->problems)) {
		if (str_eq(state, "OK")) {
			ret->fine_ok = true;
		} else if (str_eq(state, "ALARM")) {
			ret->fine_alarm = true;
		} else if (str_eq(state, "INSUFFICIENT_DATA")) {
			ret->fine_insufficient = true;
		} else {
			value[0] = '\0';
			problem_shown(state, value);
			fis_tell(in, "alarmStates",
				 "%s is no state; allowed: OK, ALARM, INSUFFICIENT_DATA",
				 value[0] ? value : "an empty text");
		}
	}
}

static int read_assertion(struct fis_reading *in, const cJSON *values, struct fis_call *ret)
{
	const struct fis_dialect none = {0};
	const char *alarms, *states;
	_cleanup_free_
	char *states_text = NULL;
	uint64_t ms;

	in->special[in->n_special++] = "alarmArns";
	in->special[in->n_special++] = "alarmStates";
	(void)fis_check_values(in, &none, values, &ms);
	alarms = fis_text_of(in, values, "alarmArns", "1 to 5 ARNs of alarms, separated by commas");
	states = fis_text_of(in, values, "alarmStates", "OK, ALARM, INSUFFICIENT_DATA");
	ret->alarms_text = strdup(alarms ? alarms : "");
	states_text = strdup(states ? states : "");
	if (!ret->alarms_text || !states_text)
		return -ENOMEM;
	if (alarms)
		read_alarms(in, ret);
	if (states)
		read_alarm_states(in, states_text, ret);
	return 0;
}

int fis_call_parse(const struct fis_action *a, const struct resource_type *target,
		   const cJSON *parameters, const char *path, struct fis_call *ret,
		   struct problems *problems)
{
	static const cJSON nothing = {.type = cJSON_Object};
	struct fis_reading in = {.action = a, .path = path, .problems = problems};
	size_t before = problems_count(problems);
	int r = 0;

	*ret = (struct fis_call){0};
	if (!parameters)
		parameters = &nothing;
	switch (a->kind) {
	case FIS_FAULT:
		r = read_fault(&in, target, parameters, ret);
		break;
	case FIS_SEND_COMMAND:
		r = read_send_command(&in, parameters, ret);
		break;
	case FIS_WAIT:
		r = read_wait(&in, parameters, ret);
		break;
	case FIS_ASSERT_ALARM:
		r = read_assertion(&in, parameters, ret);
		break;
	}
	if (r == 0 && problems_count(problems) != before)
		r = -EINVAL;
	if (r < 0)
		fis_call_done(ret);
	return r;
}
