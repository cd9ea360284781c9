/* SPDX-License-Identifier: Apache-2.0 */
/* May this caller start such a fault? */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/handlers.h"
#include "experiment/action_values.h"
#include "plan/policy.h"
#include "util/cleanup.h"

bool may_start_fault(struct api *api, const struct http_request *q, const struct action *a,
		     const void *params, uint64_t duration_ms, struct error *e)
{
	char name[ACTION_NAME_MAX + 8], arn[ARN_MAX];
	struct access_question question = {.action = "faultd:StartFault", .resource = arn};
	struct action_values values;
	int r = action_values_of_fault(a, params, duration_ms, &values);

	if (r < 0) {
		(void)error_set(e, ERROR_FAILED, r, "out of memory");
		return false;
	}
	(void)snprintf(name, sizeof(name), "host:%s", a->name);
	(void)identity_fis_arn(experiments_identity(api->experiments), "action", name, arn);
	question.values = values.value;
	question.n_values = values.n;
	do
		r = access_check_caller(api->policy->access, &q->caller, geteuid(), &question, e);
	while (r == 0 && action_values_next(&values));
	action_values_done(&values);
	return r == 0;
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
	int r;

	if (!a)
		return true;
	r = params ? action_parse(a, alias, request->parameters, params, &ms, e)
		   : error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	if (r < 0)
		return r != -ENOMEM;
	return may_start_fault(api, q, a, params, request->duration_ms ? request->duration_ms : ms,
			       e);
}
