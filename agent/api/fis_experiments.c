/* SPDX-License-Identifier: Apache-2.0 */
/* StartExperiment, Stop- and GetExperiment, ListExperiments, ListExperimentResolvedTargets. The
 * last finished ones are in memory, older ones are read from disk, for which the client waits. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/fis.h"
#include "util/str.h"

static const struct identity *identity_of(const struct api *api)
{
	return experiments_identity(api->experiments);
}

static cJSON *experiment_json(const struct api *api, const struct experiment *x)
{
	return fis_wrap("experiment", experiment_print(x, identity_of(api)));
}

/* What is done with one: `x` is it, or else `saved`, its saved form. */
typedef void (*use_fn)(struct api *api, struct http_request *q, const struct experiment *x,
		       cJSON *saved);

struct reading {
	struct api *api;
	struct http_request *q;
	struct experiment_reading *reading;
	use_fn use;
	char id[TEMPLATE_ID_MAX];
};

static void on_gone(struct http_request *q)
{
	struct reading *r = q->data;

	q->data = NULL;
	q->gone = NULL;
	experiment_reading_cancel(r->reading);
	free(r);
}

static void on_read(int how, cJSON *saved, void *arg)
{
	struct reading *r = arg;
	struct http_request *q = r->q;
	struct error e;

	q->data = NULL;
	q->gone = NULL;
	if (saved) {
		r->use(r->api, q, NULL, saved);
	} else if (how < 0) {
		(void)error_set(&e, ERROR_FAILED, how, "experiment %.64s cannot be read: %s", r->id,
				strerror(-how));
		answer_error(q, &e);
	} else {
		fis_not_found(q, "experiment", r->id);
	}
	cJSON_Delete(saved);
	free(r);
}

static void read_then(struct api *api, struct http_request *q, const char *id, use_fn use)
{
	struct reading *r = calloc(1, sizeof(*r));

	if (r) {
		*r = (struct reading){.api = api, .q = q, .use = use};
		(void)str_copy(r->id, sizeof(r->id), id);
	}
	if (!r || experiments_read(api->experiments, id, on_read, r, &r->reading) < 0) {
		free(r);
		fis_out_of_memory(q);
		return;
	}
	q->data = r;
	q->gone = on_gone;
}

const struct experiment_line *fis_find_experiment(struct api *api, struct http_request *q,
						  const char *operation, const char *id)
{
	const struct experiment_line *line = fis_find_line(api, id);
	const cJSON *tags = line ? cJSON_GetObjectItemCaseSensitive(line->summary, "tags") : NULL;

	if (!fis_may_do(api, q, operation, "experiment", id, tags))
		return NULL;
	if (!line)
		fis_not_found(q, "experiment", id);
	return line;
}

static void with_experiment(struct api *api, struct http_request *q, const char *id, use_fn use)
{
	const struct experiment *x = experiments_find(api->experiments, id);

	if (x)
		use(api, q, x, NULL);
	else
		read_then(api, q, id, use);
}

static void answer_experiment(struct api *api, struct http_request *q, const struct experiment *x,
			      cJSON *saved)
{
	answer_json(q, 200,
		    x ? experiment_json(api, x)
		      : fis_wrap("experiment",
				 cJSON_DetachItemFromObjectCaseSensitive(saved, "experiment")));
}

void get_experiment(struct api *api, struct http_request *q, const char *id)
{
	if (fis_query_is(q, NULL) && fis_find_experiment(api, q, "fis:GetExperiment", id))
		with_experiment(api, q, id, answer_experiment);
}

/* One that is over stays as it is. */
void stop_experiment(struct api *api, struct http_request *q, const char *id)
{
	struct experiment *x;
	char reason[192];

	if (!fis_query_is(q, NULL) || !fis_find_experiment(api, q, "fis:StopExperiment", id))
		return;
	x = experiments_find(api->experiments, id);
	if (q->caller.key[0])
		(void)snprintf(reason, sizeof(reason), "Experiment stopped by key %s.",
			       q->caller.key);
	else
		(void)snprintf(reason, sizeof(reason), "Experiment stopped by uid %u.",
			       (unsigned)q->caller.uid);
	if (x && !experiment_is_over(x))
		experiment_stop(x, reason);
	with_experiment(api, q, id, answer_experiment);
}

void list_experiments(struct api *api, struct http_request *q, const char *id)
{
	static const char *const query[] = {"maxResults", "nextToken", "experimentTemplateId",
					    NULL};
	const char *template_id = http_query(q, "experimentTemplateId", 0);
	const struct experiment_line *line, *last = NULL;
	bool is_known, begun, more = false;
	struct fis_page page;
	cJSON *array, *o;
	size_t n = 0;

	if (!fis_query_is(q, query) || !fis_may_do(api, q, "fis:ListExperiments", NULL, "", NULL) ||
	    !fis_page_read(q, "experiments", template_id, &page))
		return;
	array = cJSON_CreateArray();
	o = fis_wrap("experiments", array);
	is_known = page.goes_on && fis_find_line(api, page.key);
	begun = !page.goes_on;
	for (size_t i = 0; o && (line = experiments_line(api->experiments, i)); i++) {
		bool was_begun = begun;

		/* Behind the last one's last; when that is no more, what is older. */
		begun |= is_known ? str_eq(line->id, page.key) : line->created_us < page.order;
		if (!begun || (is_known && !was_begun) ||
		    (template_id && !str_eq(line->template_id, template_id)))
			continue;
		if (n == page.most) {
			more = true;
			break;
		}
		cJSON_AddItemReferenceToArray(array, line->summary);
		last = line;
		n++;
	}
	if (more && last)
		fis_page_more(&page, o, last->id, last->created_us);
	answer_json(q, 200, o);
}

static void answer_targets(struct api *api, struct http_request *q, const struct experiment *x,
			   cJSON *saved)
{
	const char *name = http_query(q, "targetName", 0);
	cJSON *all = x ? experiment_print_targets(x, NULL)
		       : cJSON_DetachItemFromObjectCaseSensitive(saved, "resolvedTargets");
	cJSON *array = cJSON_CreateArray(), *o = fis_wrap("resolvedTargets", array);
	struct fis_page page;
	int64_t i = 0;
	size_t n = 0;

	if (!o || !all) {
		fis_out_of_memory(q);
	} else if (fis_page_read(q, "resolvedTargets", name, &page)) {
		const cJSON *t = all->child;

		for (; t && (n < page.most); t = t->next, i++) {
			const char *of = cJSON_GetStringValue(
				cJSON_GetObjectItemCaseSensitive(t, "targetName"));

			if ((page.goes_on && i <= page.order) ||
			    (name && (!of || !str_eq(of, name))))
				continue;
			cJSON_AddItemReferenceToArray(array, (cJSON *)t);
			n++;
		}
		if (t)
			fis_page_more(&page, o, "", i - 1);
		answer_json(q, 200, o);
		o = NULL;
	}
	cJSON_Delete(o);
	cJSON_Delete(all);
}

void list_resolved_targets(struct api *api, struct http_request *q, const char *id)
{
	static const char *const query[] = {"maxResults", "nextToken", "targetName", NULL};
	struct fis_page page;

	if (fis_query_is(q, query) &&
	    fis_find_experiment(api, q, "fis:ListExperimentResolvedTargets", id) &&
	    fis_page_read(q, "resolvedTargets", http_query(q, "targetName", 0), &page))
		with_experiment(api, q, id, answer_targets);
}

static bool read_mode(struct http_request *q, const cJSON *body, bool *ret_skip)
{
	static const char *const members[] = {"actionsMode", NULL};
	static const struct fis_text text = {
		.name = "actionsMode", .path = "experimentOptions", .least = 1, .most = 64};
	const cJSON *options = cJSON_GetObjectItemCaseSensitive(body, "experimentOptions");
	const char *mode = NULL;
	struct error e;

	*ret_skip = false;
	if (!options)
		return true;
	if (!fis_members_are(q, options, members, "experimentOptions") ||
	    !fis_text(q, options, &text, &mode))
		return false;
	*ret_skip = mode && str_eq(mode, "skip-all");
	if (!mode || *ret_skip || str_eq(mode, "run-all"))
		return true;
	(void)error_field(&e, "experimentOptions.actionsMode", mode, "run-all, skip-all",
			  "neither of them");
	answer_error(q, &e);
	return false;
}

static bool may_start(struct api *api, struct http_request *q, const char *template_id,
		      const struct template *t, const cJSON *tags)
{
	char arn[ARN_MAX];
	struct access_question question = {
		.action = "fis:StartExperiment",
		.resource =
			identity_fis_arn(identity_of(api), "experiment-template", template_id, arn),
		.resource_tags = t ? t->tags : NULL,
		.request_tags = tags};

	if (!fis_may(api, q, &question))
		return false;
	(void)identity_fis_arn(identity_of(api), "experiment", "*", arn);
	question.resource_tags = NULL;
	if (!fis_may(api, q, &question))
		return false;
	question.action = "fis:TagResource";
	return !tags || !tags->child || fis_may(api, q, &question);
}

static void start(struct api *api, struct http_request *q, const char *template_id,
		  struct experiment_start *s)
{
	struct experiment *x;
	struct error e;

	s->template = templates_find(api->experiments, template_id);
	if (!may_start(api, q, template_id, s->template, s->tags))
		return;
	if (!s->template)
		fis_not_found(q, "experiment template", template_id);
	else if (experiments_begin(api->experiments, s, &x, &e) < 0)
		answer_error(q, &e);
	else
		answer_json(q, 200, experiment_json(api, x));
}

void start_experiment(struct api *api, struct http_request *q, const char *id)
{
	static const char *const members[] = {"clientToken", "experimentTemplateId",
					      "experimentOptions", "tags", NULL};
	static const struct fis_text token = {
		.name = "clientToken", .least = 1, .most = 1024, .required = true};
	static const struct fis_text template = {
		.name = "experimentTemplateId", .least = 1, .most = 64, .required = true};
	struct experiment_start s = {.caller = &q->caller};
	const char *template_id;
	cJSON *body = fis_query_is(q, NULL) ? fis_body(q) : NULL;

	if (!body)
		return;
	if (fis_members_are(q, body, members, "") && fis_text(q, body, &token, &s.client_token) &&
	    fis_text(q, body, &template, &template_id) && read_mode(q, body, &s.skip_all) &&
	    fis_tags_are_good(q, cJSON_GetObjectItemCaseSensitive(body, "tags"))) {
		s.tags = cJSON_DetachItemFromObjectCaseSensitive(body, "tags");
		start(api, q, template_id, &s);
	}
	cJSON_Delete(s.tags); /* NULL when it was taken over */
	cJSON_Delete(body);
}
