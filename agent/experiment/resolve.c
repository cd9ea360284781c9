/* SPDX-License-Identifier: Apache-2.0 */
/* Before anything else: may the role do it, and what exactly is aimed at. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "experiment/internal.h"
#include "plan/access.h"
#include "plan/policy.h"
#include "util/str.h"

#define VALUES_MAX 32

static int denied(struct experiment *x, const char *location, const char *reason)
{
	life_end(x, RUN_FAILED, "AuthorizationFailure", location, reason);
	return -EACCES;
}

/* An action's parameters, as conditions ask for them. `names` holds the keys. */
static size_t parameter_values(const struct template_action *a, struct access_value *values,
			       char names[][96], char duration[static 24])
{
	const cJSON *p;
	size_t n = 0;

	cJSON_ArrayForEach(p, a->parameters)
	{
		if (!cJSON_IsString(p) || n >= VALUES_MAX - 1)
			continue;
		(void)snprintf(names[n], 96, "fis:Parameter/%.80s", p->string);
		values[n] = (struct access_value){names[n], p->valuestring};
		n++;
	}
	if (a->duration_ms) {
		(void)snprintf(duration, 24, "%" PRIu64, (a->duration_ms + 999) / 1000);
		values[n++] = (struct access_value){"fis:Duration", duration};
	}
	return n;
}

/* What a document is told is as good as a parameter. */
static size_t document_values(const struct fis_call *call, struct access_value *values,
			      char names[][96], char numbers[][32], size_t n)
{
	const cJSON *p;
	size_t first = n;

	cJSON_ArrayForEach(p, call->parameters)
	{
		const char *text = cJSON_IsString(p) ? p->valuestring : NULL;

		if (n >= VALUES_MAX - 1 || (!text && !cJSON_IsNumber(p)))
			continue;
		if (!text) {
			(void)snprintf(numbers[n], 32, "%.15g", p->valuedouble);
			text = numbers[n];
		}
		(void)snprintf(names[n], 96, "fis:Parameter/%.80s", p->string);
		values[n] = (struct access_value){names[n], text};
		n++;
	}
	return n - first;
}

static int check_resource(struct experiment *x, const struct access_role *role, size_t i,
			  const struct access_value *values, size_t n, const char *resource,
			  const cJSON *tags)
{
	const struct access_question q = {.action = x->template->actions[i].kind->id,
					  .resource = resource,
					  .resource_tags = tags,
					  .request_tags = x->tags,
					  .values = values,
					  .n_values = n};
	char location[160];
	struct error e;

	if (access_check_role(role, &q, &e) == 0)
		return 0;
	(void)snprintf(location, sizeof(location), "actions.%.64s", x->template->actions[i].name);
	return denied(x, location, e.message);
}

static int check_action(struct experiment *x, const struct access_role *role, size_t i)
{
	const struct template_action *a = &x->template->actions[i];
	struct access_value values[VALUES_MAX];
	char names[VALUES_MAX][96], numbers[VALUES_MAX][32], duration[24], arn[ARN_MAX];
	struct problems problems = {0};
	struct fis_call call = {0};
	size_t n = parameter_values(a, values, names, duration);
	int r = 0;

	if (a->kind->kind == FIS_SEND_COMMAND &&
	    fis_call_parse(a->kind, a->target < 0 ? NULL : x->template->targets[a->target].type,
			   a->parameters, "", &call, &problems) == 0)
		n += document_values(&call, values, names, numbers, n);
	if (a->target < 0)
		r = check_resource(
			x, role, i, values, n,
			identity_fis_arn(&x->owner->identity, "action", a->kind->id, arn), NULL);
	for (size_t j = 0; r == 0 && a->target >= 0 && j < x->targets[a->target].resources.n; j++) {
		const struct resource *res = &x->targets[a->target].resources.resource[j];

		r = check_resource(x, role, i, values, n, res->arn[0] ? res->arn : "*", res->tags);
	}
	fis_call_done(&call);
	problems_done(&problems);
	return r;
}

static const struct access_role *role_of(const struct experiment *x)
{
	const struct identity *id = &x->owner->identity;
	char builtin[ARN_MAX];

	(void)snprintf(builtin, sizeof(builtin), "arn:%s:iam::%s:role/faultd", id->partition,
		       id->account);
	return access_role_find(x->owner->policy->access, x->template->role_arn, builtin);
}

int life_find_role(struct experiment *x)
{
	char reason[REASON_MAX];

	if (role_of(x))
		return 0;
	(void)snprintf(reason, sizeof(reason),
		       "The role %.200s is not among the \"roles\" of faultd's policy.",
		       x->template->role_arn);
	return denied(x, "roleArn", reason);
}

int life_check_role(struct experiment *x)
{
	const struct access_role *role = role_of(x);
	int r = 0;

	/* Of a preview nothing is run: like FIS, it says nothing of permissions. */
	for (size_t i = 0; r == 0 && !x->skip_all && i < x->template->n_actions; i++)
		r = check_action(x, role, i);
	return r;
}

static int unresolved(struct experiment *x, size_t i, const struct error *e)
{
	char location[160];

	(void)snprintf(location, sizeof(location), "targets.%.64s", x->template->targets[i].name);
	life_end(x, RUN_FAILED, "InvalidTarget", location, e->message);
	return -ENOENT;
}

static int resolve_target(struct experiment *x, size_t i)
{
	const struct template_target *t = &x->template->targets[i];
	struct resource_list *l = &x->targets[i].resources;
	struct error e = {0};
	int r;

	record_resolution_start(x, i);
	r = resource_resolve(t, &x->owner->identity, x->seed, l, &e);
	x->targets[i].resolved = r == 0;
	/* What is named by its ARN cannot be skipped. */
	if (r == 0 && l->n == 0 && (x->template->empty == EMPTY_RESOLUTION_FAIL || t->n_arns))
		r = error_set(
			&e, ERROR_NOT_FOUND, -ENOENT,
			"Target resolution returned an empty set: no %s matches target %.64s.",
			t->type->name, t->name);
	record_resolution_end(x, i, r < 0 ? &e : NULL);
	return r < 0 ? unresolved(x, i, &e) : 0;
}

int life_resolve(struct experiment *x)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->template->n_targets; i++)
		r = resolve_target(x, i);
	return r;
}
