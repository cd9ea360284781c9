/* SPDX-License-Identifier: Apache-2.0 */
/* GetSafetyLever, UpdateSafetyLeverState: there is one, "default". */
#include <stdlib.h>

#include "api/fis.h"
#include "util/str.h"

#define LEVER_ID "default"

static cJSON *lever_json(struct api *api, const struct lever *l)
{
	char arn[ARN_MAX];
	cJSON *o = cJSON_CreateObject(), *state;

	(void)identity_fis_arn(experiments_identity(api->experiments), "safety-lever", LEVER_ID,
			       arn);
	cJSON_AddStringToObject(o, "id", LEVER_ID);
	cJSON_AddStringToObject(o, "arn", arn);
	state = cJSON_AddObjectToObject(o, "state");
	cJSON_AddStringToObject(state, "status", lever_status_name(l->status));
	cJSON_AddStringToObject(state, "reason", l->reason);
	return fis_wrap("safetyLever", o);
}

static bool is_lever(struct api *api, struct http_request *q, const char *action, const char *id)
{
	if (!fis_query_is(q, NULL) || !fis_may_do(api, q, action, "safety-lever", id, NULL))
		return false;
	if (str_eq(id, LEVER_ID))
		return true;
	fis_not_found(q, "safety lever", id);
	return false;
}

void get_safety_lever(struct api *api, struct http_request *q, const char *id)
{
	if (is_lever(api, q, "fis:GetSafetyLever", id))
		answer_json(q, 200, lever_json(api, experiments_lever(api->experiments)));
}

/* A client that waits until everything has ended. */
struct pull {
	struct api *api;
	struct http_request *q; /* NULL: it left, and the lever moves all the same */
};

static void on_gone(struct http_request *q)
{
	struct pull *p = q->data;

	p->q = NULL;
}

static void on_pulled(const struct lever *l, const struct error *e, void *arg)
{
	struct pull *p = arg;

	if (p->q) {
		p->q->data = NULL;
		p->q->gone = NULL;
		if (e)
			answer_error(p->q, e);
		else
			answer_json(p->q, 200, lever_json(p->api, l));
	}
	free(p);
}

static void pull(struct api *api, struct http_request *q, bool engage, const char *reason)
{
	struct pull *p = malloc(sizeof(*p));
	struct error e;

	if (!p) {
		fis_out_of_memory(q);
		return;
	}
	*p = (struct pull){.api = api, .q = q};
	if (experiments_pull_lever(api->experiments, engage, reason, on_pulled, p, &e) < 0) {
		free(p);
		answer_error(q, &e);
		return;
	}
	q->data = p;
	q->gone = on_gone;
}

static bool read_status(struct http_request *q, const cJSON *state, bool *ret_engage)
{
	static const struct fis_text text = {
		.name = "status", .path = "state", .least = 1, .most = 64, .required = true};
	const char *s;
	struct error e;

	if (!fis_text(q, state, &text, &s))
		return false;
	*ret_engage = str_eq(s, "engaged");
	if (*ret_engage || str_eq(s, "disengaged"))
		return true;
	(void)error_field(&e, "state.status", s, "engaged, disengaged", "neither of them");
	answer_error(q, &e);
	return false;
}

void update_safety_lever(struct api *api, struct http_request *q, const char *id)
{
	static const char *const members[] = {"state", NULL};
	static const char *const state_members[] = {"status", "reason", NULL};
	static const struct fis_text reason_text = {.name = "reason",
						    .path = "state",
						    .least = 1,
						    .most = REASON_MAX - 1,
						    .required = true,
						    .blanks = true};
	cJSON *body = is_lever(api, q, "fis:UpdateSafetyLeverState", id) ? fis_body(q) : NULL;
	const cJSON *state = cJSON_GetObjectItemCaseSensitive(body, "state");
	const char *reason;
	bool engage;

	if (body && fis_members_are(q, body, members, "") &&
	    fis_members_are(q, state, state_members, "state") && read_status(q, state, &engage) &&
	    fis_text(q, state, &reason_text, &reason))
		pull(api, q, engage, reason);
	cJSON_Delete(body);
}
