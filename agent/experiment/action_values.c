/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/action_values.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/str.h"

#define NUMBER_ROOM 32

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

/* A list is one value, with commas, as it may also be given. NULL: out of memory. */
static char *print_value(const cJSON *value)
{
	const cJSON *first = cJSON_IsArray(value) ? value->child : value;
	struct text t = {.size = 1};

	for (const cJSON *item = first; item; item = cJSON_IsArray(value) ? item->next : NULL)
		t.size += 1 + (cJSON_IsString(item) ? strlen(item->valuestring) : NUMBER_ROOM);
	t.data = calloc(1, t.size);
	for (const cJSON *item = first; t.data && item;
	     item = cJSON_IsArray(value) ? item->next : NULL) {
		text_add(&t, "%s", t.length ? "," : "");
		if (cJSON_IsString(item))
			text_add(&t, "%s", item->valuestring);
		else if (cJSON_IsBool(item))
			text_add(&t, "%s", cJSON_IsTrue(item) ? "true" : "false");
		else
			text_add(&t, "%.15g", item->valuedouble);
	}
	return t.data;
}

/* Parameters, as an object of texts, to which the values point. What is there already stays. */
static int take_texts(struct action_values *v, const cJSON *parameters)
{
	for (const cJSON *p = parameters ? parameters->child : NULL; p; p = p->next) {
		_cleanup_free_
		char *text = NULL;
		const cJSON *kept;

		if (cJSON_GetObjectItemCaseSensitive(v->texts, p->string))
			continue;
		text = print_value(p);
		kept = text ? cJSON_AddStringToObject(v->texts, p->string, text) : NULL;
		if (!kept)
			return -ENOMEM;
		add_parameter(v, kept->string, kept->valuestring);
	}
	return 0;
}

static bool is_word_of(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *s = text; (s = strstr(s, word)); s++) {
		if ((s == text || !isalnum((unsigned char)s[-1])) && !isalnum((unsigned char)s[n]))
			return true;
	}
	return false;
}

static void note_moved(struct action_values *v, const struct row *end)
{
	static const char prefix[] = "fis:Parameter/";

	for (size_t i = 0; i < v->n && v->n_moved < ACTION_MOVED_MAX; i++) {
		if (str_starts(v->value[i].key, prefix) &&
		    is_word_of(end->in_place_of, v->value[i].key + strlen(prefix))) {
			v->moved[v->n_moved].i = i;
			v->moved[v->n_moved++].value = v->value[i].value;
		}
	}
}

static void note_ramp(struct action_values *v, const struct action *a)
{
	for (size_t i = 0; i < a->n_rows && v->n_ends < ARRAY_SIZE(v->end); i++) {
		const struct row *row = &a->rows[i];
		const char *end =
			cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(v->texts, row->name));

		if (!row->in_place_of || !end || (row->def && str_eq(end, row->def)))
			continue;
		if (v->n_ends == 0)
			note_moved(v, row);
		v->end[v->n_ends++] = end;
	}
}

bool action_values_next(struct action_values *v)
{
	bool more = v->at < v->n_ends;

	for (size_t i = 0; i < v->n_moved; i++)
		v->value[v->moved[i].i].value = more ? v->end[v->at] : v->moved[i].value;
	v->at = more ? v->at + 1 : 0;
	return more;
}

/* `carrier`: a parameter that its target is to say, NULL: none. */
static int take_params(struct action_values *v, const struct action *a, const void *params,
		       const char *carrier)
{
	cJSON *printed = schema_print(a->rows, a->n_rows, params);
	int r = printed ? 0 : -ENOMEM;

	if (carrier)
		cJSON_DeleteItemFromObjectCaseSensitive(printed, carrier);
	if (r == 0)
		r = take_texts(v, printed);
	if (r == 0)
		note_ramp(v, a);
	cJSON_Delete(printed);
	return r;
}

static int begin(struct action_values *v)
{
	v->n = v->n_moved = v->n_ends = v->at = 0;
	v->texts = cJSON_CreateObject();
	return v->texts ? 0 : -ENOMEM;
}

int action_values_of_fault(const struct action *a, const void *params, uint64_t duration_ms,
			   struct action_values *ret)
{
	int r = begin(ret);

	if (r == 0)
		r = take_params(ret, a, params, NULL);
	if (r == 0)
		add_duration(ret, duration_ms);
	else
		action_values_done(ret);
	return r;
}

static bool has_row(const struct action *a, const struct alias *alias, const char *name)
{
	struct row rows[ACTION_ROWS_MAX];
	size_t size, n = action_rows(a, alias, rows, &size);

	for (size_t i = 0; i < n; i++) {
		if (str_eq(rows[i].name, name))
			return true;
	}
	return false;
}

/* What its target will say stands in for itself: a value that every list, text or number takes. */
static int parse_call(const struct fis_call *call, const struct action *a,
		      const struct alias *alias, const char *carrier, void *params)
{
	cJSON *all = cJSON_Duplicate(call->parameters, true);
	struct error e;
	uint64_t ms = 0;
	int r = all ? 0 : -ENOMEM;

	if (r == 0 && carrier && !cJSON_AddStringToObject(all, carrier, "1"))
		r = -ENOMEM;
	if (r == 0)
		r = action_parse(a, alias, all, params, &ms, &e);
	cJSON_Delete(all);
	return r;
}

/* What the call comes to. */
static int take_call(struct action_values *v, const struct fis_call *call,
		     const struct resource_type *target)
{
	const struct alias *alias;
	const struct action *a = action_find(call->action, &alias);
	const char *carrier = target ? target->fault_parameter : NULL;
	_cleanup_free_
	void *params = a ? calloc(1, a->params_size) : NULL;
	int r;

	if (!a)
		return 0;
	if (!params)
		return -ENOMEM;
	if (carrier && !has_row(a, alias, carrier))
		carrier = NULL;
	r = parse_call(call, a, alias, carrier, params);
	return r < 0 ? r : take_params(v, a, params, carrier);
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
		r = take_call(v, &call, target);
	if (r == 0)
		r = take_texts(v, call.parameters); /* by a document's names, for instance */
	else if (r != -ENOMEM)
		r = 0; /* then nothing is begun either */
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
