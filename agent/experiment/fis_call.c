/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a template's action: FIS's strings -> what starts the fault. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/arn.h"
#include "experiment/catalogue.h"
#include "experiment/fis_parameters.h"
#include "util/cleanup.h"
#include "util/duration.h"
#include "util/str.h"

#define VALUE_MAX       1024 /* characters, FIS's ExperimentTemplateActionParameter */
#define DOCUMENT_PREFIX "AWSFIS-Run-"

#define SPECIAL_MAX 4

/* One object of parameters: of a FIS action, or of a document. */
struct reading {
	const struct fis_action *action;
	const char *path; /* "actions.stress.parameters" */
	struct problems *problems;
	bool document;                    /* values may be arrays of texts */
	const char *special[SPECIAL_MAX]; /* parameters that are no row's: read elsewhere */
	size_t n_special;
};

/* What the rows of such an object are. */
struct dialect {
	const struct action *action;
	const struct alias *alias;
	const struct resource_type *target;
	struct row rows[ACTION_ROWS_MAX];
	size_t n, size;
	void *params; /* `size` bytes */
};

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

/* Sentences */

#define ITEMS_ROOM 8 /* for the comma and the mark that there are more */

/* "a, b, c", or as many as fit. */
static void add_name(struct text *t, const char *name)
{
	if (t->cut || str_starts(t->data + (t->length > 3 ? t->length - 3 : 0), "…"))
		return;
	if (t->length + strlen(name) + ITEMS_ROOM > t->size)
		text_add(t, ", …");
	else
		text_add(t, "%s%s", t->length ? ", " : "", name);
}

static void shown(const char *value, char ret[static 65])
{
	struct text t = {.data = ret, .size = 65};

	text_add_escaped(&t, value);
}

static size_t characters(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void tell(const struct reading *in, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void tell(const struct reading *in, const char *name, const char *format, ...)
{
	char path[PROBLEM_PATH_MAX], text[sizeof(((struct problem *)0)->text)];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	problems_add(in->problems, ERROR_VALIDATION, problem_path(path, in->path, name), "%s",
		     text);
}

static bool is_array_of_texts(const cJSON *value)
{
	const cJSON *item;

	if (!cJSON_IsArray(value) || !value->child)
		return false;
	cJSON_ArrayForEach(item, value)
	{
		if (!cJSON_IsString(item))
			return false;
	}
	return true;
}

/* Is it of the form that FIS takes? Tells if not. */
static bool check_form(const struct reading *in, const cJSON *value)
{
	size_t n = cJSON_IsString(value) ? characters(value->valuestring) : 0;

	if (in->document && (cJSON_IsString(value) || is_array_of_texts(value)))
		return true;
	if (!in->document && n >= 1 && n <= VALUE_MAX)
		return true;
	if (in->document)
		tell(in, value->string, "neither text nor a list of texts");
	else if (cJSON_IsString(value))
		tell(in, value->string, "%zu characters; allowed: 1 to %d", n, VALUE_MAX);
	else
		tell(in, value->string, "not text; allowed: text, also for numbers: \"50\"");
	return false;
}

/* A dialect's parameters */

static int dialect_open(struct dialect *d, const struct action *a, const struct alias *alias)
{
	d->action = a;
	d->alias = alias;
	d->n = action_rows(a, alias, d->rows, &d->size);
	d->params = malloc(d->size);
	return d->params ? 0 : -ENOMEM;
}

/* Does the target say what this parameter would? */
static bool is_targets(const struct dialect *d, const char *name)
{
	const char *carrier = d->target ? d->target->fault_parameter : NULL;

	return carrier &&
	       (str_eq(carrier, name) || (fis_parameter_aims(carrier) && fis_parameter_aims(name)));
}

static void tell_unknown(const struct reading *in, const struct dialect *d, const char *name)
{
	char known[240] = "";
	struct text t = TEXT(known);

	for (size_t i = 0; i < in->n_special; i++)
		add_name(&t, in->special[i]);
	for (size_t i = 0; i < d->n; i++) {
		if (!is_targets(d, d->rows[i].name))
			add_name(&t, d->rows[i].name);
	}
	tell(in, name, "unknown parameter; allowed: %s", known[0] ? known : "none");
}

/* A value that the dialect says differently is translated by action_parse(), and right. */
static bool is_translated(const struct dialect *d, const cJSON *value)
{
	for (const struct alias_row *r = d->alias ? d->alias->rows : NULL; r && r->name; r++) {
		if (r->from && str_eq(r->name, value->string))
			return cJSON_IsString(value) && str_eq(r->from, value->valuestring);
	}
	return false;
}

/* One value alone, so that all that are wrong are told. */
static int check_value(const struct reading *in, const struct dialect *d, const struct row *row,
		       const cJSON *value)
{
	cJSON *alone, *copy;
	struct error e = {0};

	if (is_translated(d, value))
		return 0;
	alone = cJSON_CreateObject();
	copy = cJSON_Duplicate(value, true);
	if (!alone || !copy || !cJSON_AddItemToObject(alone, row->name, copy)) {
		cJSON_Delete(alone);
		cJSON_Delete(copy);
		return -ENOMEM;
	}
	if (schema_parse(row, 1, alone, "", d->params, d->size, &e) < 0)
		problems_add_error(in->problems, in->path, "", &e);
	cJSON_Delete(alone);
	return 0;
}

/* Of what is accepted because there is nothing to do, too, FIS takes these two only. */
static void check_boolean(const struct reading *in, const cJSON *value)
{
	static const char *const names[] = {"InstallDependencies", "installDependencies",
					    "useEcsFaultInjectionEndpoints"};
	static const char *const values[] = {"true", "false", "True", "False"};
	bool is_one = false, ok = false;
	char text[65] = "";

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		is_one = is_one || str_eq(names[i], value->string);
	for (size_t i = 0; is_one && i < ARRAY_SIZE(values); i++)
		ok = ok || (cJSON_IsString(value) && str_eq(values[i], value->valuestring));
	if (!is_one || ok)
		return;
	shown(cJSON_IsString(value) ? value->valuestring : "a list", text);
	tell(in, value->string, "%s is neither; allowed: true, false", text);
}

/* The bit of a name: rows first, then what is special. -1: unknown. */
static int index_of(const struct reading *in, const struct dialect *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++) {
		if (str_eq(d->rows[i].name, name))
			return (int)i;
	}
	for (size_t i = 0; i < in->n_special; i++) {
		if (str_eq(in->special[i], name))
			return ACTION_ROWS_MAX + (int)i;
	}
	return -1;
}

static int check_given(const struct reading *in, const struct dialect *d, const cJSON *value,
		       uint64_t *seen)
{
	const char *name = value->string;
	const char *why = in->document ? NULL : fis_parameter_why_not(in->action, name);
	int i = index_of(in, d, name);
	char path[PROBLEM_PATH_MAX];

	if (why) {
		problems_add(in->problems, ERROR_UNSUPPORTED, problem_path(path, in->path, name),
			     "%s", why);
	} else if (i < 0 || (d->alias && is_targets(d, name))) {
		tell_unknown(in, d, name);
	} else if (*seen >> i & 1) {
		tell(in, name, "given twice");
	} else {
		*seen |= UINT64_C(1) << i;
		if (is_targets(d, name)) {
			tell(in, name, "not with a target: what it is aimed at is resolved from %s",
			     d->target->name);
			return 0;
		}
		if (check_form(in, value) && i < ACTION_ROWS_MAX) {
			check_boolean(in, value);
			return check_value(in, d, &d->rows[i], value);
		}
	}
	return 0;
}

/* What is required, asked of nothing: so that the sentence is the row's own. */
static void check_missing(const struct reading *in, const struct dialect *d, uint64_t seen)
{
	for (size_t i = 0; i < d->n; i++) {
		struct error e = {0};

		if ((seen >> i & 1) || !d->rows[i].required || is_targets(d, d->rows[i].name))
			continue;
		if (schema_parse(&d->rows[i], 1, NULL, "", d->params, d->size, &e) < 0)
			problems_add_error(in->problems, in->path, "", &e);
	}
}

static size_t count(const struct problems *p)
{
	return p->n + p->dropped;
}

/* What contradicts each other. The target's value, which is not known yet, is one that every list,
 * text or number takes. */
static int check_together(const struct reading *in, const struct dialect *d, const cJSON *values,
			  uint64_t *ret_ms)
{
	const char *carrier = d->target ? d->target->fault_parameter : NULL;
	cJSON *all = cJSON_Duplicate(values, true);
	struct error e = {0};
	int r;

	for (size_t i = 0; i < in->n_special; i++)
		cJSON_DeleteItemFromObjectCaseSensitive(all, in->special[i]);
	if (!all || (carrier && index_of(in, d, carrier) >= 0 &&
		     !cJSON_AddStringToObject(all, carrier, "1"))) {
		cJSON_Delete(all);
		return -ENOMEM;
	}
	*ret_ms = 0;
	r = action_parse(d->action, d->alias, all, d->params, ret_ms, &e);
	cJSON_Delete(all);
	if (r < 0)
		problems_add_error(in->problems, in->path, "parameters", &e);
	return r == -ENOMEM ? r : 0;
}

/* Tells all that is wrong with the rows' values, and of the special ones the form. `ret_ms`: a
 * duration that is among the rows. Returns 0 or -ENOMEM. */
static int check_values(const struct reading *in, const struct dialect *d, const cJSON *values,
			uint64_t *ret_ms)
{
	size_t before = count(in->problems);
	uint64_t seen = 0;
	int r = 0;

	_Static_assert(ACTION_ROWS_MAX + SPECIAL_MAX < 64, "a bit for each");
	for (const cJSON *v = values->child; r == 0 && v; v = v->next) {
		if (problems_are_full(in->problems))
			return 0;
		r = check_given(in, d, v, &seen);
	}
	check_missing(in, d, seen);
	if (r == 0 && d->action && before == count(in->problems))
		r = check_together(in, d, values, ret_ms);
	return r;
}

/* Special parameters */

/* NULL: it is not there, which is told when it is required, or not text, which has been told. */
static const char *text_of(const struct reading *in, const cJSON *values, const char *name,
			   const char *required)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(values, name);

	if (!v && required)
		tell(in, name, "required and not given; allowed: %s", required);
	return v && cJSON_IsString(v) && v->valuestring[0] ? v->valuestring : NULL;
}

static const char *duration_allowed(const struct fis_duration_rule *rule)
{
	return rule->ours ? DURATION_ALLOWED : "ISO 8601, such as PT5M or PT1H30M";
}

static void tell_duration(const struct reading *in, const char *text, int r,
			  const struct fis_duration_rule *rule)
{
	char value[65] = "", least[32] = "";
	struct text t = TEXT(least);
	uint64_t plain;

	shown(text, value);
	duration_print(rule->least_ms, &t);
	if (r == -EINVAL)
		tell(in, "duration", "%s %s; allowed: %s", value,
		     str_to_u64(text, &plain) == 0 ? "has no unit" : "is not a duration",
		     duration_allowed(rule));
	else
		tell(in, "duration", "%s is out of range; allowed: %s to 12h", value, least);
}

static uint64_t read_duration(const struct reading *in, const cJSON *values)
{
	struct fis_duration_rule rule = fis_duration_rule(in->action);
	const char *text;
	uint64_t ms = 0;
	int r;

	if (!rule.takes)
		return 0;
	text = text_of(in, values, "duration", rule.required ? duration_allowed(&rule) : NULL);
	if (!text)
		return 0;
	r = fis_duration(text, rule.ours, &ms);
	if (r == 0 && (ms < rule.least_ms || ms > DURATION_MAX_S * UINT64_C(1000)))
		r = -ERANGE;
	if (r < 0)
		tell_duration(in, text, r, &rule);
	return r < 0 ? 0 : ms;
}

static unsigned read_max_errors(const struct reading *in, const cJSON *values)
{
	const char *text = text_of(in, values, "maxErrorsPercent", NULL);
	char value[65] = "";
	uint64_t percent = 0;

	if (!text || !str_starts(in->action->id, "aws:eks:"))
		return 0;
	if (str_to_u64(text, &percent) == 0 && percent <= 100)
		return (unsigned)percent;
	shown(text, value);
	tell(in, "maxErrorsPercent", "%s is out of range; allowed: 0 to 100", value);
	return 0;
}

/* Kinds of action */

/* What is done again and again needs an end. `params` have been read. */
static void check_interval(const struct reading *in, const struct dialect *d, uint64_t duration_ms)
{
	struct fis_duration_rule rule = fis_duration_rule(in->action);

	if (duration_ms == 0 && rule.takes && !rule.required &&
	    d->action->interval_ms(d->params) > 0)
		tell(in, "duration", "required with interval and not given; allowed: %s",
		     duration_allowed(&rule));
}

static int read_fault(struct reading *in, const struct resource_type *target, const cJSON *values,
		      struct fis_call *ret)
{
	const struct fis_action *a = in->action;
	struct dialect d = {.target = target};
	size_t before = count(in->problems);
	uint64_t ms = 0;
	int r = dialect_open(&d, a->action, a->alias);

	if (fis_duration_rule(a).takes)
		in->special[in->n_special++] = "duration";
	if (r == 0)
		r = check_values(in, &d, values, &ms);
	ret->action_ms = ret->fault_ms = read_duration(in, values);
	if (r == 0 && count(in->problems) == before)
		check_interval(in, &d, ret->action_ms);
	free(d.params);
	if (r < 0)
		return r;
	ret->max_errors_percent = read_max_errors(in, values);
	(void)str_copy(ret->action, sizeof(ret->action),
		       a->alias ? a->alias->name : a->action->name);
	ret->parameters = cJSON_Duplicate(values, true);
	cJSON_DeleteItemFromObjectCaseSensitive(ret->parameters, "duration");
	return ret->parameters ? 0 : -ENOMEM;
}

static int read_wait(struct reading *in, const cJSON *values, struct fis_call *ret)
{
	const struct dialect none = {0};
	uint64_t ms;

	in->special[in->n_special++] = "duration";
	(void)check_values(in, &none, values, &ms);
	ret->action_ms = read_duration(in, values);
	return 0;
}

static void tell_documents(const struct reading *in, const char *name)
{
	char known[260] = "", value[65] = "";
	struct text t = TEXT(known);

	for (size_t i = 0; i < n_actions; i++) {
		for (const struct alias *a = actions[i]->aliases; a && a->name; a++) {
			if (str_starts(a->name, DOCUMENT_PREFIX))
				add_name(&t, a->name + strlen(DOCUMENT_PREFIX));
		}
	}
	shown(name, value);
	tell(in, "documentArn", "%s is not known here; allowed: " DOCUMENT_PREFIX "… of %s", value,
	     known);
}

/* NULL: told. */
static const struct action *find_document(const struct reading *in, const cJSON *values,
					  const struct alias **ret_alias)
{
	static const char form[] = "arn:aws:ssm:REGION::document/" DOCUMENT_PREFIX "…";
	const char *arn = text_of(in, values, "documentArn", form);
	const char *name = arn ? arn_resource(arn, "ssm") : NULL;
	const struct action *a;
	char value[65] = "";

	*ret_alias = NULL;
	if (!arn)
		return NULL;
	if (!name || !str_starts(name, "document/")) {
		shown(arn, value);
		tell(in, "documentArn", "%s is not a document's ARN; allowed: %s", value, form);
		return NULL;
	}
	name += strlen("document/");
	a = str_starts(name, DOCUMENT_PREFIX) ? action_find(name, ret_alias) : NULL;
	if (!a)
		tell_documents(in, name);
	return a;
}

static void check_version(const struct reading *in, const cJSON *values)
{
	const char *text = text_of(in, values, "documentVersion", NULL);
	char value[65] = "";
	uint64_t number;

	if (!text || str_eq(text, "$DEFAULT") || str_eq(text, "$LATEST") ||
	    (str_to_u64(text, &number) == 0 && number > 0))
		return;
	shown(text, value);
	tell(in, "documentVersion", "%s is no version; allowed: a number, $DEFAULT, $LATEST",
	     value);
}

/* FIS passes lists: one of one is its item. */
static int make_flat(cJSON *values)
{
	for (cJSON *v = values->child, *next; v; v = next) {
		cJSON *item;

		next = v->next;
		if (!is_array_of_texts(v) || v->child->next)
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
static cJSON *read_document_parameters(const struct reading *in, const cJSON *values)
{
	const char *text = text_of(in, values, "documentParameters", NULL);
	struct error e = {0};
	cJSON *json;

	if (!text)
		return cJSON_CreateObject();
	json = json_read(text, strlen(text), &e);
	if (!json)
		tell(in, "documentParameters", "%s; allowed: a JSON object, as text",
		     str_starts(e.message, "body: ") ? e.message + strlen("body: ") : e.message);
	return json;
}

static int check_document(const struct reading *in, const struct action *a,
			  const struct alias *alias, cJSON *parameters, struct fis_call *ret)
{
	char path[PROBLEM_PATH_MAX];
	struct reading inner = {.action = in->action,
				.path = problem_path(path, in->path, "documentParameters"),
				.problems = in->problems,
				.document = true};
	struct dialect d = {0};
	int r = dialect_open(&d, a, alias);

	if (r == 0)
		r = make_flat(parameters);
	if (r == 0)
		r = check_values(&inner, &d, parameters, &ret->fault_ms);
	free(d.params);
	return r;
}

static int read_send_command(struct reading *in, const cJSON *values, struct fis_call *ret)
{
	const struct dialect none = {0};
	const struct alias *alias;
	const struct action *a;
	uint64_t ms;

	in->special[in->n_special++] = "documentArn";
	in->special[in->n_special++] = "documentParameters";
	in->special[in->n_special++] = "documentVersion";
	in->special[in->n_special++] = "duration";
	(void)check_values(in, &none, values, &ms);
	a = find_document(in, values, &alias);
	check_version(in, values);
	ret->parameters = read_document_parameters(in, values);
	ret->action_ms = read_duration(in, values);
	if (!ret->parameters)
		return count(in->problems) ? 0 : -ENOMEM;
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

static void read_alarms(const struct reading *in, struct fis_call *ret)
{
	char *rest = ret->alarms_text, *arn, value[65] = "";

	while ((arn = next_item(&rest))) {
		const char *name = arn_resource(arn, "cloudwatch");

		if (ret->n_alarms == FIS_ALARMS_MAX) {
			tell(in, "alarmArns", "too many; allowed: 1 to %d", FIS_ALARMS_MAX);
			return;
		}
		if (!name || !str_starts(name, "alarm:") || !name[strlen("alarm:")]) {
			value[0] = '\0';
			shown(arn, value);
			tell(in, "alarmArns",
			     "%s is not an alarm's ARN; allowed: arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME",
			     value[0] ? value : "an empty text");
		}
		ret->alarms[ret->n_alarms++] = arn;
	}
}

static void read_alarm_states(const struct reading *in, char *text, struct fis_call *ret)
{
	char *state, value[65];

	while ((state = next_item(&text)) && !problems_are_full(in->problems)) {
		if (str_eq(state, "OK")) {
			ret->fine_ok = true;
		} else if (str_eq(state, "ALARM")) {
			ret->fine_alarm = true;
		} else if (str_eq(state, "INSUFFICIENT_DATA")) {
			ret->fine_insufficient = true;
		} else {
			value[0] = '\0';
			shown(state, value);
			tell(in, "alarmStates",
			     "%s is no state; allowed: OK, ALARM, INSUFFICIENT_DATA",
			     value[0] ? value : "an empty text");
		}
	}
}

static int read_assertion(struct reading *in, const cJSON *values, struct fis_call *ret)
{
	const struct dialect none = {0};
	const char *alarms, *states;
	_cleanup_free_
	char *states_text = NULL;
	uint64_t ms;

	in->special[in->n_special++] = "alarmArns";
	in->special[in->n_special++] = "alarmStates";
	(void)check_values(in, &none, values, &ms);
	alarms = text_of(in, values, "alarmArns", "1 to 5 ARNs of alarms, separated by commas");
	states = text_of(in, values, "alarmStates", "OK, ALARM, INSUFFICIENT_DATA");
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
	struct reading in = {.action = a, .path = path, .problems = problems};
	size_t before = count(problems);
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
	if (r == 0 && count(problems) != before)
		r = -EINVAL;
	if (r < 0)
		fis_call_done(ret);
	return r;
}
