/* SPDX-License-Identifier: Apache-2.0 */
/* CreateExperimentTemplate, Get-, List-, Update- and DeleteExperimentTemplate. What is changed is
 * answered when it is on disk, whether its client is still there or not. */
#include <stdlib.h>
#include <string.h>

#include "api/fis.h"
#include "experiment/action_values.h"
#include "experiment/template.h"
#include "util/str.h"

/* A change on its way to the disk, or a request that waits for one. */
struct fis_change {
	struct fis_change *next;
	struct api *api;
	struct http_request *q; /* NULL: the client left */
	char template_id[TEMPLATE_ID_MAX];
	bool tagging;
	fis_handler again; /* NULL: it is under way */
	char *id;          /* that the handler is called with; owned */
};

static struct fis_change *new_change(struct api *api, struct http_request *q,
				     const char *template_id)
{
	struct fis_change *c = calloc(1, sizeof(*c)), **p = &api->changes;

	if (!c)
		return NULL;
	c->api = api;
	c->q = q;
	(void)str_copy(c->template_id, sizeof(c->template_id), template_id);
	while (*p)
		p = &(*p)->next;
	*p = c;
	return c;
}

static void free_change(struct fis_change *c)
{
	struct fis_change **p = &c->api->changes;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	free(c->id);
	free(c);
}

/* Lets go of its request. */
static struct http_request *take_request(struct fis_change *c)
{
	struct http_request *q = c->q;

	if (q) {
		q->data = NULL;
		q->gone = NULL;
	}
	c->q = NULL;
	return q;
}

static void on_gone(struct http_request *q)
{
	struct fis_change *c = q->data;

	(void)take_request(c);
	if (c->again)
		free_change(c);
}

static void keep_request(struct fis_change *c)
{
	c->q->data = c;
	c->q->gone = on_gone;
}

static bool is_under_way(const struct api *api, const char *template_id)
{
	for (const struct fis_change *c = api->changes; c; c = c->next) {
		if (!c->again && str_eq(c->template_id, template_id))
			return true;
	}
	return false;
}

static struct fis_change *find_waiting(const struct api *api, const char *template_id)
{
	for (struct fis_change *c = api->changes; c; c = c->next) {
		if (c->again && str_eq(c->template_id, template_id))
			return c;
	}
	return NULL;
}

/* Whose turn it is: one that is refused makes room for the next. */
static void ask_waiting(struct api *api, const char *template_id)
{
	struct fis_change *c;

	while (!is_under_way(api, template_id) && (c = find_waiting(api, template_id))) {
		struct http_request *q = take_request(c);
		fis_handler again = c->again;
		char *id = c->id;

		c->id = NULL;
		free_change(c);
		again(api, q, id);
		free(id);
	}
}

bool fis_template_is_busy(struct api *api, struct http_request *q, const char *template_id,
			  fis_handler again, const char *id)
{
	struct fis_change *c;

	if (!is_under_way(api, template_id))
		return false;
	c = new_change(api, q, template_id);
	if (c) {
		c->again = again;
		c->id = strdup(id);
	}
	if (!c || !c->id) {
		if (c)
			free_change(c);
		fis_out_of_memory(q);
		return true;
	}
	keep_request(c);
	return true;
}

static cJSON *template_json(const struct api *api, const struct template *t)
{
	return fis_wrap("experimentTemplate",
			template_print(t, experiments_identity(api->experiments)));
}

static void on_changed(int r, struct template *t, const struct error *e, void *arg)
{
	struct fis_change *c = arg;
	struct http_request *q = take_request(c);
	struct api *api = c->api;
	char template_id[TEMPLATE_ID_MAX];

	if (q && r < 0)
		answer_error(q, e);
	else if (q)
		answer_json(q, 200, c->tagging ? cJSON_CreateObject() : template_json(api, t));
	(void)str_copy(template_id, sizeof(template_id), c->template_id);
	free_change(c);
	ask_waiting(api, template_id);
}

void fis_replace_template(struct api *api, struct http_request *q, struct template *t, bool tagging)
{
	struct fis_change *c = new_change(api, q, t->id);
	struct error e;

	if (!c) {
		template_unref(t);
		fis_out_of_memory(q);
		return;
	}
	c->tagging = tagging;
	if (templates_replace(api->experiments, t, on_changed, c, &e) < 0) {
		free_change(c);
		answer_error(q, &e);
		return;
	}
	keep_request(c);
}

/* Without a problem it is memory that was short. */
static void answer_bad_template(struct http_request *q, const struct problems *problems)
{
	if (problems_count(problems) == 0)
		fis_out_of_memory(q);
	else
		fis_answer_problems(q, problems);
}

/* Who may define which fault: asked of an action of a template. */
static bool may_have_action(struct api *api, struct http_request *q, const char *operation,
			    const struct template *t, const struct template_action *a,
			    const cJSON *request_tags)
{
	char arn[ARN_MAX];
	struct access_question question = {
		.action = operation,
		.resource = identity_fis_arn(experiments_identity(api->experiments), "action",
					     a->kind->id, arn),
		.request_tags = request_tags};
	struct action_values values;
	bool yes;

	if (action_values_of_template(t, a, &values) < 0) {
		fis_out_of_memory(q);
		return false;
	}
	question.values = values.value;
	question.n_values = values.n;
	do
		yes = fis_may(api, q, &question);
	while (yes && action_values_next(&values));
	action_values_done(&values);
	return yes;
}

static bool may_have_actions(struct api *api, struct http_request *q, const char *operation,
			     const struct template *t, const cJSON *request_tags)
{
	for (size_t i = 0; i < t->n_actions; i++) {
		if (!may_have_action(api, q, operation, t, &t->actions[i], request_tags))
			return false;
	}
	return true;
}

/* Whose rights an experiment has is the caller's choice: not any. */
static bool may_pass_role(struct api *api, struct http_request *q, const char *role_arn)
{
	const struct access_question question = {.action = "iam:PassRole", .resource = role_arn};

	return fis_may(api, q, &question);
}

static bool may_create(struct api *api, struct http_request *q, const struct template *t)
{
	char arn[ARN_MAX];
	struct access_question question = {
		.action = "fis:CreateExperimentTemplate",
		.resource = identity_fis_arn(experiments_identity(api->experiments),
					     "experiment-template", "*", arn),
		.request_tags = t->tags};

	if (!fis_may(api, q, &question) || !may_have_actions(api, q, question.action, t, t->tags) ||
	    !may_pass_role(api, q, t->role_arn))
		return false;
	question.action = "fis:TagResource";
	return !t->tags->child || fis_may(api, q, &question);
}

/* The template that was created with this token, while it is changed or deleted. NULL: none. */
static const char *find_changing(const struct api *api, const char *token)
{
	for (const struct fis_change *c = api->changes; c; c = c->next) {
		const struct template *t = templates_find(api->experiments, c->template_id);

		if (!c->again && t && str_eq(t->client_token, token))
			return t->id;
	}
	return NULL;
}

/* Who asks again with a token has its template written again: not as it was before a change that
 * is under way, and not when it is being deleted. */
static void create(struct api *api, struct http_request *q, struct template *t)
{
	const char *changing = find_changing(api, t->client_token);
	struct fis_change *c;
	struct error e;

	if (!may_create(api, q, t) ||
	    (changing && fis_template_is_busy(api, q, changing, create_experiment_template, ""))) {
		template_unref(t);
		return;
	}
	c = new_change(api, q, "");
	if (!c) {
		template_unref(t);
		fis_out_of_memory(q);
		return;
	}
	if (templates_create(api->experiments, t, on_changed, c, &e) < 0) {
		free_change(c);
		answer_error(q, &e);
		return;
	}
	keep_request(c);
}

void create_experiment_template(struct api *api, struct http_request *q, const char *id)
{
	cJSON *body = fis_query_is(q, NULL) ? fis_body(q) : NULL;
	struct problems problems = {0};
	struct template *t = NULL;
	int r;

	if (!body)
		return;
	if (!cJSON_GetObjectItemCaseSensitive(body, "clientToken"))
		problems_add(&problems, ERROR_VALIDATION, "clientToken", "required and not given");
	r = template_parse(body, &t, &problems);
	if (r == 0 && problems_count(&problems) == 0) {
		create(api, q, t);
	} else {
		template_unref(t);
		answer_bad_template(q, &problems);
	}
	problems_done(&problems);
}

struct template *fis_find_template(struct api *api, struct http_request *q, const char *operation,
				   const char *id)
{
	struct template *t = templates_find(api->experiments, id);

	if (!fis_may_do(api, q, operation, "experiment-template", id, t ? t->tags : NULL))
		return NULL;
	if (!t)
		fis_not_found(q, "experiment template", id);
	return t;
}

void get_experiment_template(struct api *api, struct http_request *q, const char *id)
{
	const struct template *t =
		fis_query_is(q, NULL) ? fis_find_template(api, q, "fis:GetExperimentTemplate", id)
				      : NULL;

	if (t)
		answer_json(q, 200, template_json(api, t));
}

static int64_t created_us(const struct template *t)
{
	return (int64_t)t->created_at.tv_sec * 1000000 + t->created_at.tv_nsec / 1000;
}

/* The first of this page: the one after the last one's last, also when that is no more. */
static struct template *first_of(struct api *api, const struct fis_page *page)
{
	struct template *t;

	if (!page->goes_on)
		return templates_next(api->experiments, NULL);
	t = templates_find(api->experiments, page->key);
	if (t)
		return templates_next(api->experiments, t);
	t = templates_next(api->experiments, NULL);
	while (t && created_us(t) >= page->order)
		t = templates_next(api->experiments, t);
	return t;
}

void list_experiment_templates(struct api *api, struct http_request *q, const char *id)
{
	static const char *const query[] = {"maxResults", "nextToken", NULL};
	const struct identity *identity = experiments_identity(api->experiments);
	struct template *t, *last = NULL;
	struct fis_page page;
	cJSON *array, *o;
	size_t n = 0;

	if (!fis_query_is(q, query) ||
	    !fis_may_do(api, q, "fis:ListExperimentTemplates", NULL, "", NULL) ||
	    !fis_page_read(q, "experimentTemplates", NULL, &page))
		return;
	array = cJSON_CreateArray();
	o = fis_wrap("experimentTemplates", array);
	for (t = first_of(api, &page); o && t && n < page.most;
	     t = templates_next(api->experiments, t), n++) {
		cJSON_AddItemToArray(array, template_print_summary(t, identity));
		last = t;
	}
	if (t && last)
		fis_page_more(&page, o, last->id, created_us(last));
	answer_json(q, 200, o);
}

/* Of what the template will be. To change what a role does is as good as to pass it. */
static bool may_update(struct api *api, struct http_request *q, const struct template *t,
		       bool passes_role)
{
	return may_have_actions(api, q, "fis:UpdateExperimentTemplate", t, NULL) &&
	       (!passes_role || may_pass_role(api, q, t->role_arn));
}

static void update(struct api *api, struct http_request *q, struct template *t, cJSON *patch)
{
	bool passes_role = cJSON_GetObjectItemCaseSensitive(patch, "roleArn") ||
			   cJSON_GetObjectItemCaseSensitive(patch, "actions") ||
			   cJSON_GetObjectItemCaseSensitive(patch, "targets");
	struct problems problems = {0};
	struct template *fresh = NULL;
	int r = template_patch(t, patch, &fresh, &problems);

	if (r < 0) {
		answer_bad_template(q, &problems);
	} else if (!may_update(api, q, fresh, passes_role)) {
		template_unref(fresh);
	} else {
		(void)clock_gettime(CLOCK_REALTIME, &fresh->updated_at);
		fis_replace_template(api, q, fresh, false);
	}
	problems_done(&problems);
}

void update_experiment_template(struct api *api, struct http_request *q, const char *id)
{
	struct template *t;
	cJSON *patch;

	if (!fis_query_is(q, NULL) ||
	    fis_template_is_busy(api, q, id, update_experiment_template, id))
		return;
	t = fis_find_template(api, q, "fis:UpdateExperimentTemplate", id);
	patch = t ? fis_body(q) : NULL;
	if (patch)
		update(api, q, t, patch);
}

void delete_experiment_template(struct api *api, struct http_request *q, const char *id)
{
	struct fis_change *c;
	struct error e;

	if (!fis_query_is(q, NULL) ||
	    fis_template_is_busy(api, q, id, delete_experiment_template, id) ||
	    !fis_find_template(api, q, "fis:DeleteExperimentTemplate", id))
		return;
	c = new_change(api, q, id);
	if (!c) {
		fis_out_of_memory(q);
		return;
	}
	if (templates_delete(api->experiments, id, on_changed, c, &e) < 0) {
		free_change(c);
		answer_error(q, &e);
		return;
	}
	keep_request(c);
}
