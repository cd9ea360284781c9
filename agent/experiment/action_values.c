/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/action_values.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/str.h"

#define TEXT_ROOM 4096

static void add(struct action_values *v, const char *key, const char *value)
{
	if (v->n < ACTION_VALUES_MAX)
		v->value[v->n++] = (struct access_value){key, value};
}

static void add_parameter(struct action_values *v, const char *name, const char *value)
{
	if (v->n == ACTION_VALUES_MAX)
		return;
	(void)snprintf(v->key[v->n], sizeof(v->key[0]), "fis:Parameter/%.80s", name);
	add(v, v->key[v->n], value);
}

static void add_duration(struct action_values *v, uint64_t ms)
{
	if (ms == 0)
		return;
	(void)snprintf(v->duration, sizeof(v->duration), "%.3f", (double)ms / 1000);
	add(v, "fis:Duration", v->duration);
}

/* A list is one value, with commas, as it may also be given. */
static void print_value(const cJSON *value, struct text *t)
{
	const cJSON *item = cJSON_IsArray(value) ? value->child : value;

	for (; item; item = cJSON_IsArray(value) ? item->next : NULL) {
		text_add(t, "%s", t->length ? "," : "");
		if (cJSON_IsString(item))
			text_add(t, "%s", item->valuestring);
		else if (cJSON_IsBool(item))
			text_add(t, "%s", cJSON_IsTrue(item) ? "true" : "false");
		else
			text_add(t, "%.15g", item->valuedouble);
	}
}

/* Parameters, as an object of texts, to which the values point. What is there already stays. */
static int take_texts(struct action_values *v, const cJSON *parameters)
{
	for (const cJSON *p = parameters ? parameters->child : NULL; p; p = p->next) {
		char text[TEXT_ROOM] = "";
		struct text t = TEXT(text);
		const cJSON *kept;

		if (cJSON_GetObjectItemCaseSensitive(v->texts, p->string))
			continue;
		print_value(p, &t);
		kept = cJSON_AddStringToObject(v->texts, p->string, text);
		if (!kept)
			return -ENOMEM;
		add_parameter(v, kept->string, kept->valuestring);
	}
	return 0;
}

static int take_params(struct action_values *v, const struct action *a, const void *params)
{
	cJSON *printed = schema_print(a->rows, a->n_rows, params);
	int r = printed ? take_texts(v, printed) : -ENOMEM;

	cJSON_Delete(printed);
	return r;
}

static int begin(struct action_values *v)
{
	v->n = 0;
	v->texts = cJSON_CreateObject();
	return v->texts ? 0 : -ENOMEM;
}

int action_values_of_fault(const struct action *a, const void *params, uint64_t duration_ms,
			   struct action_values *ret)
{
	int r = begin(ret);

	if (r == 0)
		r = take_params(ret, a, params);
	if (r == 0)
		add_duration(ret, duration_ms);
	else
		action_values_done(ret);
	return r;
}

/* What the call comes to, if that can be told before its target is known. */
static int take_call(struct action_values *v, const struct fis_call *call)
{
	const struct alias *alias;
	const struct action *a = action_find(call->action, &alias);
	_cleanup_free_
	void *params = a ? calloc(1, a->params_size) : NULL;
	struct error e;
	uint64_t ms = 0;

	if (!a)
		return 0;
	if (!params)
		return -ENOMEM;
	return action_parse(a, alias, call->parameters, params, &ms, &e) < 0
		       ? 0
		       : take_params(v, a, params);
}

/* A document may run longer than its action: what counts is for how long there is a fault. */
static int take_own(struct action_values *v, const struct template *t,
		    const struct template_action *a)
{
	const struct resource_type *target = a->target >= 0 ? t->targets[a->target].type : NULL;
	struct problems problems = {0};
	struct fis_call call = {0};
	int r = fis_call_parse(a->kind, target, a->parameters, "", &call, &problems);

	add_duration(v, call.fault_ms > a->duration_ms ? call.fault_ms : a->duration_ms);
	if (r == 0)
		r = take_call(v, &call);
	if (r == 0)
		r = take_texts(v, call.parameters); /* by a document's names, for instance */
	else if (r == -EINVAL)
		r = 0;
	fis_call_done(&call);
	problems_done(&problems);
	return r;
}

/* "aws:ec2:stop-instances" is of ec2, "host:wait" of host. */
static void add_service(struct action_values *v, const char *action_id)
{
	const char *from = str_starts(action_id, "aws:") ? action_id + 4 : action_id;

	(void)str_copy(v->service, sizeof(v->service), from);
	v->service[strcspn(v->service, ":")] = '\0';
	add(v, "fis:Service", v->service);
}

int action_values_of_template(const struct template *t, const struct template_action *a,
			      struct action_values *ret)
{
	const char *percentage;
	int r = begin(ret);

	if (r < 0)
		return r;
	add_service(ret, a->kind->id);
	for (size_t i = 0; a->target >= 0 && i < t->targets[a->target].n_arns; i++)
		add(ret, "fis:Targets", t->targets[a->target].arns[i]);
	r = take_own(ret, t, a);
	if (r == 0)
		r = take_texts(ret, a->parameters);
	percentage =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(a->parameters, "percentage"));
	if (percentage)
		add(ret, "fis:Percentage", percentage);
	if (r < 0)
		action_values_done(ret);
	return r;
}

void action_values_done(struct action_values *v)
{
	cJSON_Delete(v->texts);
	v->texts = NULL;
}
