/* SPDX-License-Identifier: Apache-2.0 */
/* TagResource, UntagResource, ListTagsForResource: of templates and experiments, by their ARNs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/fis.h"
#include "experiment/template.h"
#include "util/str.h"

enum tagged_kind { TAGGED_TEMPLATE, TAGGED_EXPERIMENT, TAGGED_OTHER };

/* What an ARN names. */
struct tagged {
	enum tagged_kind kind;
	char id[TEMPLATE_ID_MAX];
	const cJSON *tags; /* that it has; NULL: none */
};

/* Is it an ARN of this kind, on this host? Then the rest is its name. */
static const char *name_in(const struct api *api, const char *arn, const char *kind)
{
	char prefix[ARN_MAX];

	(void)identity_fis_arn(experiments_identity(api->experiments), kind, "", prefix);
	return str_starts(arn, prefix) ? arn + strlen(prefix) : NULL;
}

static bool find_template(struct api *api, const char *arn, struct tagged *ret)
{
	const char *id = name_in(api, arn, "experiment-template");
	const struct template *t = id ? templates_find(api->experiments, id) : NULL;

	if (!t)
		return false;
	ret->kind = TAGGED_TEMPLATE;
	ret->tags = t->tags;
	return str_copy(ret->id, sizeof(ret->id), id);
}

static bool find_experiment(struct api *api, const char *arn, struct tagged *ret)
{
	const char *id = name_in(api, arn, "experiment");
	const struct experiment_line *line = id ? fis_find_line(api, id) : NULL;

	if (!line)
		return false;
	ret->kind = TAGGED_EXPERIMENT;
	ret->tags = cJSON_GetObjectItemCaseSensitive(line->summary, "tags");
	return str_copy(ret->id, sizeof(ret->id), id);
}

/* They are there, and nobody has given them tags. */
static bool find_other(struct api *api, const char *arn, struct tagged *ret)
{
	const char *action = name_in(api, arn, "action");
	const char *lever = name_in(api, arn, "safety-lever");

	ret->kind = TAGGED_OTHER;
	return (action && catalogue_find(action)) || (lever && str_eq(lever, "default"));
}

static bool find(struct api *api, struct http_request *q, const char *operation, const char *arn,
		 const cJSON *request_tags, struct tagged *ret)
{
	bool found;

	*ret = (struct tagged){0};
	found = find_template(api, arn, ret) || find_experiment(api, arn, ret) ||
		find_other(api, arn, ret);
	if (!fis_may(api, q,
		     &(struct access_question){.action = operation,
					       .resource = arn,
					       .resource_tags = ret->tags,
					       .request_tags = request_tags}))
		return false;
	if (!found)
		fis_not_found(q, "resource", arn);
	return found;
}

void list_tags(struct api *api, struct http_request *q, const char *arn)
{
	struct tagged tagged;

	if (fis_query_is(q, NULL) && find(api, q, "fis:ListTagsForResource", arn, NULL, &tagged))
		answer_json(q, 200,
			    fis_wrap("tags", tagged.tags ? cJSON_Duplicate(tagged.tags, true)
							 : cJSON_CreateObject()));
}

static void set_template_tags(struct api *api, struct http_request *q, const char *id, cJSON *tags)
{
	struct problems problems = {0};
	struct template *fresh = NULL;
	cJSON *nothing = cJSON_CreateObject();

	if (nothing &&
	    template_patch(templates_find(api->experiments, id), nothing, &fresh, &problems) == 0) {
		cJSON_Delete(fresh->tags);
		fresh->tags = tags;
		fis_replace_template(api, q, fresh, true);
	} else {
		cJSON_Delete(tags);
		if (problems.n)
			fis_answer_problems(q, &problems);
		else
			fis_out_of_memory(q);
	}
	problems_done(&problems);
}

/* Takes `tags` over. */
static void set_tags(struct api *api, struct http_request *q, const struct tagged *tagged,
		     cJSON *tags)
{
	struct error e;

	if (!tags) {
		fis_out_of_memory(q);
	} else if (cJSON_GetArraySize(tags) > TEMPLATE_TAGS_MAX) {
		(void)error_field(&e, "tags", "", "50", "%d with those it has already",
				  cJSON_GetArraySize(tags));
		cJSON_Delete(tags);
		answer_error(q, &e);
	} else if (tagged->kind == TAGGED_TEMPLATE) {
		set_template_tags(api, q, tagged->id, tags);
	} else if (experiments_set_tags(api->experiments, tagged->id, tags, &e) < 0) {
		answer_error(q, &e);
	} else {
		answer_json(q, 200, cJSON_CreateObject());
	}
}

static bool can_be_tagged(struct http_request *q, const struct tagged *tagged, const char *arn)
{
	struct error e;

	if (tagged->kind != TAGGED_OTHER)
		return true;
	(void)error_field(&e, "resourceArn", arn, "an experiment template, an experiment",
			  "has no tags of its own here");
	answer_error(q, &e);
	return false;
}

static cJSON *copy_of(const cJSON *tags)
{
	return tags ? cJSON_Duplicate(tags, true) : cJSON_CreateObject();
}

static void add_tags(struct api *api, struct http_request *q, const char *arn, const cJSON *body)
{
	static const char *const members[] = {"tags", NULL};
	const cJSON *given = cJSON_GetObjectItemCaseSensitive(body, "tags");
	struct tagged tagged;
	struct error e;
	cJSON *tags;

	if (!fis_members_are(q, body, members, "") || !fis_tags_are_good(q, given))
		return;
	if (!given) {
		(void)error_field(&e, "tags", "", "an object of texts", "required and not given");
		answer_error(q, &e);
		return;
	}
	if (!find(api, q, "fis:TagResource", arn, given, &tagged) ||
	    !can_be_tagged(q, &tagged, arn))
		return;
	tags = copy_of(tagged.tags);
	for (const cJSON *c = given->child; tags && c; c = c->next) {
		cJSON_DeleteItemFromObjectCaseSensitive(tags, c->string);
		if (cJSON_AddStringToObject(tags, c->string, c->valuestring))
			continue;
		cJSON_Delete(tags);
		tags = NULL;
	}
	set_tags(api, q, &tagged, tags);
}

/* Its template is being changed: then it is asked again. */
static bool is_busy(struct api *api, struct http_request *q, const char *arn, fis_handler again)
{
	const char *id = name_in(api, arn, "experiment-template");

	return id && fis_template_is_busy(api, q, id, again, arn);
}

void tag_resource(struct api *api, struct http_request *q, const char *arn)
{
	cJSON *body;

	if (!fis_query_is(q, NULL) || is_busy(api, q, arn, tag_resource))
		return;
	body = fis_body(q);
	if (body)
		add_tags(api, q, arn, body);
	cJSON_Delete(body);
}

/* The keys as an object of tags without values, which is what questions are asked with. NULL: out
 * of memory. */
static cJSON *keys_of(struct http_request *q)
{
	cJSON *o = cJSON_CreateObject();
	const char *key;

	for (size_t i = 0; o && (key = http_query(q, "tagKeys", i)); i++) {
		if (cJSON_GetObjectItemCaseSensitive(o, key) || cJSON_AddNullToObject(o, key))
			continue;
		cJSON_Delete(o);
		o = NULL;
	}
	return o;
}

void untag_resource(struct api *api, struct http_request *q, const char *arn)
{
	static const char *const query[] = {"tagKeys", NULL};
	struct tagged tagged;
	cJSON *keys, *tags;

	if (!fis_query_is(q, query) || is_busy(api, q, arn, untag_resource))
		return;
	keys = keys_of(q);
	if (!keys) {
		fis_out_of_memory(q);
	} else if (find(api, q, "fis:UntagResource", arn, keys, &tagged) &&
		   can_be_tagged(q, &tagged, arn)) {
		tags = copy_of(tagged.tags);
		for (const cJSON *c = keys->child; tags && c; c = c->next)
			cJSON_DeleteItemFromObjectCaseSensitive(tags, c->string);
		set_tags(api, q, &tagged, tags);
	}
	cJSON_Delete(keys);
}
