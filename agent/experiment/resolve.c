/* SPDX-License-Identifier: Apache-2.0 */
/* Before anything else: may the role do it, and what exactly is aimed at. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/action_values.h"
#include "experiment/internal.h"
#include "plan/access.h"
#include "plan/policy.h"
#include "util/str.h"

static int denied(struct experiment *x, const char *location, const char *reason)
{
	life_end(x, RUN_FAILED, "AuthorizationFailure", location, reason);
	return -EACCES;
}

static int check_resource(struct experiment *x, const struct access_role *role, size_t i,
			  struct action_values *values, const char *resource, const cJSON *tags)
{
	const struct access_question q = {.action = x->template->actions[i].kind->id,
					  .resource = resource,
					  .resource_tags = tags,
					  .request_tags = x->tags,
					  .values = values->value,
					  .n_values = values->n};
	char location[160];
	struct error e;
	int r;

	do
		r = access_check_role(role, &q, &e);
	while (r == 0 && action_values_next(values));
	if (r == 0)
		return 0;
	(void)snprintf(location, sizeof(location), "actions.%.64s", x->template->actions[i].name);
	return denied(x, location, e.message);
}

static int check_action(struct experiment *x, const struct access_role *role, size_t i)
{
	const struct template_action *a = &x->template->actions[i];
	const struct identity *id = &x->owner->identity;
	struct action_values values;
	char arn[ARN_MAX];
	int r = action_values_of_template(x->template, a, &values);

	if (r < 0)
		return denied(x, a->name, "out of memory");
	if (a->target < 0)
		r = check_resource(x, role, i, &values,
				   identity_fis_arn(id, "action", a->kind->id, arn), NULL);
	for (size_t j = 0; r == 0 && a->target >= 0 && j < x->targets[a->target].resources.n; j++) {
		const struct resource *res = &x->targets[a->target].resources.resource[j];

		r = check_resource(x, role, i, &values, res->arn[0] ? res->arn : "*", res->tags);
	}
	action_values_done(&values);
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
