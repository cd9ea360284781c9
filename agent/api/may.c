/* SPDX-License-Identifier: Apache-2.0 */
/* May this caller start such a fault? Asked with the parameters as the action understands them, by
 * their own names and with its defaults: an alias, or another way to write a value, gets nobody
 * past a condition. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/handlers.h"
#include "plan/policy.h"
#include "util/cleanup.h"
#include "util/str.h"

#define VALUES_MAX 64

struct asked_values {
	struct access_value value[VALUES_MAX];
	char key[VALUES_MAX][96];
	char text[VALUES_MAX][512];
	size_t n;
};

/* A list is one value, with commas, as it may also be given. */
static void print_value(const cJSON *v, struct text *t)
{
	const cJSON *item = cJSON_IsArray(v) ? v->child : v;

	for (; item; item = cJSON_IsArray(v) ? item->next : NULL) {
		if (cJSON_IsString(item))
			text_add(t, "%s%s", t->length ? "," : "", item->valuestring);
		else if (cJSON_IsBool(item))
			text_add(t, "%s", cJSON_IsTrue(item) ? "true" : "false");
		else
			text_add(t, "%s%.15g", t->length ? "," : "", item->valuedouble);
	}
}

static void take_values(const cJSON *parameters, struct asked_values *v)
{
	for (const cJSON *p = parameters ? parameters->child : NULL; p && v->n < VALUES_MAX;
	     p = p->next) {
		struct text t = TEXT(v->text[v->n]);

		v->text[v->n][0] = '\0';
		(void)snprintf(v->key[v->n], sizeof(v->key[0]), "fis:Parameter/%.80s", p->string);
		print_value(p, &t);
		v->value[v->n] = (struct access_value){v->key[v->n], v->text[v->n]};
		v->n++;
	}
}

static void take_duration(uint64_t ms, struct asked_values *v)
{
	if (ms == 0 || v->n == VALUES_MAX)
		return;
	(void)snprintf(v->text[v->n], sizeof(v->text[0]), "%.3f", (double)ms / 1000);
	v->value[v->n] = (struct access_value){"fis:Duration", v->text[v->n]};
	v->n++;
}

bool may_start_fault(struct api *api, const struct http_request *q, const struct action *a,
		     const cJSON *parameters, uint64_t duration_ms, struct error *e)
{
	_cleanup_free_
	struct asked_values *v = calloc(1, sizeof(*v));
	char name[ACTION_NAME_MAX + 8], arn[ARN_MAX];
	struct access_question question = {.action = "faultd:StartFault", .resource = arn};

	if (!v) {
		(void)error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
		return false;
	}
	(void)snprintf(name, sizeof(name), "host:%s", a->name);
	(void)identity_fis_arn(experiments_identity(api->experiments), "action", name, arn);
	take_values(parameters, v);
	take_duration(duration_ms, v);
	question.values = v->value;
	question.n_values = v->n;
	return access_check_caller(api->policy->access, &q->caller, geteuid(), &question, e) == 0;
}

/* What is wrong with a request is for faults_request() to tell: then nothing is started either. */
bool may_request_fault(struct api *api, const struct http_request *q, const struct request *request,
		       struct error *e)
{
	const struct alias *alias;
	const struct action *a = action_find(request->action, &alias);
	_cleanup_free_
	void *params = a ? calloc(1, a->params_size) : NULL;
	uint64_t ms = 0;
	cJSON *printed;
	bool yes;

	if (!params || action_parse(a, alias, request->parameters, params, &ms, e) < 0)
		return true;
	printed = schema_print(a->rows, a->n_rows, params);
	yes = printed && may_start_fault(api, q, a, printed,
					 request->duration_ms ? request->duration_ms : ms, e);
	if (!printed)
		(void)error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	cJSON_Delete(printed);
	return yes;
}
