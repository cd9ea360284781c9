/* SPDX-License-Identifier: Apache-2.0 */
/* Templates for the store, and as FIS shows them. Every function that makes a tree returns NULL
 * when memory is short. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/identity.h"
#include "experiment/template.h"
#include "util/str.h"

#define USEC_PER_SEC 1000000LL

static double usec(const struct timespec *t)
{
	int64_t us = (int64_t)t->tv_sec * USEC_PER_SEC + t->tv_nsec / 1000;

	return (double)us;
}

static struct timespec timespec_of(double us)
{
	int64_t v = us > 0 && us < 9e15 ? (int64_t)us : 0;

	return (struct timespec){.tv_sec = v / USEC_PER_SEC, .tv_nsec = v % USEC_PER_SEC * 1000};
}

/* Takes `item` over in any case. */
static bool add(cJSON *o, const char *name, cJSON *item)
{
	if (item && cJSON_AddItemToObject(o, name, item))
		return true;
	cJSON_Delete(item);
	return false;
}

/* Of the store */

cJSON *template_save(const struct template *t)
{
	cJSON *o = cJSON_CreateObject();

	if (cJSON_AddStringToObject(o, "id", t->id) &&
	    cJSON_AddStringToObject(o, "clientToken", t->client_token) &&
	    cJSON_AddStringToObject(o, "canonical", t->canonical) &&
	    cJSON_AddNumberToObject(o, "createdUs", usec(&t->created_at)) &&
	    cJSON_AddNumberToObject(o, "updatedUs", usec(&t->updated_at)) &&
	    add(o, "tags", cJSON_Duplicate(t->tags, true)) &&
	    add(o, "template", cJSON_Duplicate(t->json, true)))
		return o;
	cJSON_Delete(o);
	return NULL;
}

static const char *text_of(const cJSON *saved, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(saved, name));

	return text ? text : "";
}

static double number_of(const cJSON *saved, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(saved, name);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

/* What the request does not carry. */
static int restore(const cJSON *saved, struct template *t)
{
	(void)str_copy(t->id, sizeof(t->id), text_of(saved, "id"));
	(void)str_copy(t->client_token, sizeof(t->client_token), text_of(saved, "clientToken"));
	t->created_at = timespec_of(number_of(saved, "createdUs"));
	t->updated_at = timespec_of(number_of(saved, "updatedUs"));
	free(t->canonical);
	t->canonical = strdup(text_of(saved, "canonical"));
	return t->canonical ? 0 : -ENOMEM;
}

int template_load(const cJSON *saved, struct template **ret, struct problems *problems)
{
	const cJSON *from = cJSON_GetObjectItemCaseSensitive(saved, "template");
	const cJSON *tags = cJSON_GetObjectItemCaseSensitive(saved, "tags");
	struct template *t = NULL;
	cJSON *json;
	int r;

	if (!cJSON_IsObject(from) || !cJSON_IsObject(tags) || !text_of(saved, "id")[0]) {
		problems_add(problems, ERROR_VALIDATION, "", "not a saved template");
		return -EINVAL;
	}
	json = cJSON_Duplicate(from, true);
	if (!json || !add(json, "tags", cJSON_Duplicate(tags, true))) {
		cJSON_Delete(json);
		return -ENOMEM;
	}
	r = template_parse(json, &t, problems);
	if (r == 0)
		r = restore(saved, t);
	if (r < 0)
		template_unref(t);
	else
		*ret = t;
	return r;
}

/* Of the API */

/* Epoch seconds, as a number, to the millisecond. */
static bool add_time(cJSON *o, const char *name, const struct timespec *t)
{
	int64_t ms = (int64_t)t->tv_sec * 1000 + t->tv_nsec / 1000000;

	return cJSON_AddNumberToObject(o, name, (double)ms / 1000);
}

cJSON *template_print_summary(const struct template *t, const struct identity *id)
{
	cJSON *o = cJSON_CreateObject();
	char arn[ARN_MAX];

	if (cJSON_AddStringToObject(o, "id", t->id) &&
	    cJSON_AddStringToObject(o, "arn",
				    identity_fis_arn(id, "experiment-template", t->id, arn)) &&
	    cJSON_AddStringToObject(o, "description", t->description) &&
	    add_time(o, "creationTime", &t->created_at) &&
	    add_time(o, "lastUpdateTime", &t->updated_at) &&
	    add(o, "tags", cJSON_Duplicate(t->tags, true)))
		return o;
	cJSON_Delete(o);
	return NULL;
}

static bool add_options(cJSON *o, const struct template *t)
{
	cJSON *options = cJSON_AddObjectToObject(o, "experimentOptions");

	return cJSON_AddStringToObject(options, "accountTargeting", "single-account") &&
	       cJSON_AddStringToObject(options, "emptyTargetResolutionMode",
				       t->empty == EMPTY_RESOLUTION_SKIP ? "skip" : "fail");
}

/* Adds a member as it was given; `always`: empty, when it was not. */
static bool add_given(cJSON *o, const struct template *t, const char *name, bool always)
{
	const cJSON *given = cJSON_GetObjectItemCaseSensitive(t->json, name);

	if (!given && !always)
		return true;
	return add(o, name, given ? cJSON_Duplicate(given, true) : cJSON_CreateObject());
}

cJSON *template_print(const struct template *t, const struct identity *id)
{
	cJSON *o = template_print_summary(t, id);

	if (o && cJSON_AddStringToObject(o, "roleArn", t->role_arn) &&
	    add_given(o, t, "targets", true) && add_given(o, t, "actions", true) &&
	    add_given(o, t, "stopConditions", true) && add_given(o, t, "logConfiguration", false) &&
	    add_options(o, t) && cJSON_AddNumberToObject(o, "targetAccountConfigurationsCount", 0))
		return o;
	cJSON_Delete(o);
	return NULL;
}
