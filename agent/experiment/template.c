/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/template.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/template_read.h"
#include "util/cleanup.h"
#include "util/str.h"

#define DESCRIPTION_MAX 512

enum template_member {
	ACTIONS,
	CLIENT_TOKEN,
	DESCRIPTION,
	OPTIONS,
	REPORT,
	LOGS,
	ROLE,
	CONDITIONS,
	TAGS,
	TARGETS,
	_MEMBER_MAX,
};

static const struct member members[_MEMBER_MAX] = {
	[ACTIONS] = {"actions", true},
	[CLIENT_TOKEN] = {"clientToken", false},
	[DESCRIPTION] = {"description", true},
	[OPTIONS] = {"experimentOptions", false},
	[REPORT] = {"experimentReportConfiguration", false},
	[LOGS] = {"logConfiguration", false},
	[ROLE] = {"roleArn", true},
	[CONDITIONS] = {"stopConditions", true},
	[TAGS] = {"tags", false},
	[TARGETS] = {"targets", false},
};

/* References */

static void target_done(struct template_target *t)
{
	for (size_t i = 0; i < t->n_filters; i++)
		free(t->filters[i].values);
	free(t->filters);
}

static void template_free(struct template *t)
{
	for (size_t i = 0; i < t->n_targets; i++)
		target_done(&t->targets[i]);
	cJSON_Delete(t->json);
	cJSON_Delete(t->tags);
	free(t->canonical);
	free(t);
}

struct template *template_ref(struct template *t)
{
	t->references++;
	return t;
}

void template_unref(struct template *t)
{
	if (t && --t->references == 0)
		template_free(t);
}

const struct resource_type *template_target_type(const struct template *t,
						 const struct template_action *a)
{
	return a->target < 0 ? NULL : t->targets[a->target].type;
}

/* Reading */

static int by_key(const void *a, const void *b)
{
	return strcmp((*(cJSON *const *)a)->string, (*(cJSON *const *)b)->string);
}

/* The same request may come with its members in another order. */
static int sort_members(cJSON *json)
{
	size_t n = (size_t)cJSON_GetArraySize(json), i = 0;
	_cleanup_free_
	cJSON **all = cJSON_IsObject(json) && n ? calloc(n, sizeof(cJSON *)) : NULL;
	int r = 0;

	for (cJSON *c = json->child; r == 0 && c; c = c->next)
		r = sort_members(c);
	if (r < 0 || !cJSON_IsObject(json) || n == 0)
		return r;
	if (!all)
		return -ENOMEM;
	while (json->child)
		all[i++] = cJSON_DetachItemViaPointer(json, json->child);
	qsort(all, n, sizeof(cJSON *), by_key);
	for (i = 0; i < n; i++) {
		all[i]->prev = i ? all[i - 1] : all[n - 1];
		all[i]->next = i + 1 < n ? all[i + 1] : NULL;
	}
	json->child = all[0];
	return 0;
}

static char *make_canonical(const cJSON *json)
{
	cJSON *copy = cJSON_Duplicate(json, true);
	char *text = copy && sort_members(copy) == 0 ? cJSON_PrintUnformatted(copy) : NULL;

	cJSON_Delete(copy);
	return text;
}

static void read_token(struct reading *r, const cJSON *json)
{
	const char *token = read_text(r, json, "clientToken", 1, 1024, NO_BLANKS);

	if (token && !str_copy(r->t->client_token, sizeof(r->t->client_token), token))
		problems_add(r->problems, ERROR_VALIDATION, "clientToken",
			     "%zu bytes; allowed: 1024", strlen(token));
}

static void read_report(struct reading *r, const cJSON *json)
{
	if (json)
		problems_add(
			r->problems, ERROR_UNSUPPORTED, "experimentReportConfiguration",
			"no report is made here: what happened is in the experiment and in its log; leave it out");
}

static void read_all(struct reading *r, const cJSON *json)
{
	const cJSON *m[_MEMBER_MAX];

	if (!read_members(r, json, "", members, _MEMBER_MAX, m))
		return;
	read_token(r, m[CLIENT_TOKEN]);
	r->t->description = read_text(r, m[DESCRIPTION], "description", 1, DESCRIPTION_MAX, BLANKS);
	read_role(r, m[ROLE]);
	read_tags(r, m[TAGS], "tags", true);
	read_targets(r, m[TARGETS]);
	read_actions(r, m[ACTIONS]);
	read_conditions(r, m[CONDITIONS]);
	read_logs(r, m[LOGS]);
	read_options(r, m[OPTIONS]);
	read_report(r, m[REPORT]);
}

/* What is not the template's own goes out of its JSON. */
static int settle(struct template *t)
{
	cJSON_DeleteItemFromObjectCaseSensitive(t->json, "clientToken");
	t->canonical = make_canonical(t->json);
	t->tags = cJSON_DetachItemFromObjectCaseSensitive(t->json, "tags");
	if (!t->tags)
		t->tags = cJSON_CreateObject();
	return t->canonical && t->tags ? 0 : -ENOMEM;
}

int template_parse(cJSON *json, struct template **ret, struct problems *problems)
{
	size_t before = problems_count(problems);
	struct reading r = {.t = calloc(1, sizeof(*r.t)), .problems = problems};
	int result = 0;

	if (!r.t) {
		cJSON_Delete(json);
		return -ENOMEM;
	}
	r.t->json = json;
	r.t->references = 1;
	if (json)
		read_all(&r, json);
	if (r.out_of_memory || !json)
		result = -ENOMEM;
	else if (problems_count(problems) != before)
		result = -EINVAL;
	else
		result = settle(r.t);
	if (result < 0)
		template_unref(r.t);
	else
		*ret = r.t;
	return result;
}

/* Changing */

/* Moves a member of the patch into its place. False: out of memory. */
static bool put(cJSON *to, const char *name, cJSON *item)
{
	cJSON_DeleteItemFromObjectCaseSensitive(to, name);
	if (!item)
		return true;
	if (cJSON_AddItemToObject(to, name, item))
		return true;
	cJSON_Delete(item);
	return false;
}

/* Only emptyTargetResolutionMode can be changed. */
static bool put_options(cJSON *to, cJSON *item, struct problems *problems)
{
	static const char path[] = "experimentOptions";
	cJSON *options = cJSON_GetObjectItemCaseSensitive(to, path);
	cJSON *account = cJSON_GetObjectItemCaseSensitive(options, "accountTargeting");
	bool ok = true;

	if (cJSON_HasObjectItem(item, "accountTargeting"))
		problems_add(problems, ERROR_VALIDATION, "experimentOptions.accountTargeting",
			     "cannot be changed; allowed: emptyTargetResolutionMode");
	else if (account && cJSON_IsObject(item))
		ok = put(item, "accountTargeting", cJSON_Duplicate(account, true));
	return put(to, path, item) && ok;
}

static bool put_logs(cJSON *to, cJSON *item)
{
	static const char path[] = "logConfiguration";
	const cJSON *before = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(to, path), "logSchemaVersion");
	bool ok = true;

	if (cJSON_IsObject(item) && !item->child) {
		cJSON_Delete(item);
		item = NULL;
	} else if (cJSON_IsObject(item) && before &&
		   !cJSON_GetObjectItemCaseSensitive(item, "logSchemaVersion")) {
		ok = put(item, "logSchemaVersion", cJSON_Duplicate(before, true));
	}
	return put(to, path, item) && ok;
}

/* Which members of a template an update can have. */
static bool is_patchable(enum template_member i)
{
	return i != CLIENT_TOKEN && i != TAGS;
}

/* `json` becomes the changed template; the patch's members are checked and moved. */
static bool apply(cJSON *json, cJSON *patch, struct problems *problems)
{
	struct reading r = {.problems = problems};
	struct member known[_MEMBER_MAX];
	const cJSON *m[_MEMBER_MAX];
	size_t n = 0;
	bool ok = true;

	for (size_t i = 0; i < _MEMBER_MAX; i++) {
		if (is_patchable((enum template_member)i))
			known[n++] = (struct member){members[i].name, false};
	}
	if (!read_members(&r, patch, "", known, n, m))
		return true;
	for (size_t i = 0; ok && i < n; i++) {
		cJSON *item =
			m[i] ? cJSON_DetachItemFromObjectCaseSensitive(patch, known[i].name) : NULL;

		if (!item)
			continue;
		if (str_eq(known[i].name, members[OPTIONS].name))
			ok = put_options(json, item, problems);
		else if (str_eq(known[i].name, members[LOGS].name))
			ok = put_logs(json, item);
		else
			ok = put(json, known[i].name, item);
	}
	return ok;
}

/* What stays as it was. */
static int keep(const struct template *t, struct template *new)
{
	memcpy(new->id, t->id, sizeof(new->id));
	memcpy(new->client_token, t->client_token, sizeof(new->client_token));
	new->created_at = t->created_at;
	new->updated_at = t->updated_at;
	cJSON_Delete(new->tags);
	new->tags = cJSON_Duplicate(t->tags, true);
	free(new->canonical);
	new->canonical = strdup(t->canonical);
	return new->tags &&new->canonical ? 0 : -ENOMEM;
}

int template_patch(const struct template *t, cJSON *patch, struct template **ret,
		   struct problems *problems)
{
	size_t before = problems_count(problems);
	cJSON *json = cJSON_Duplicate(t->json, true);
	struct template *new = NULL;
	int r = json && patch && apply(json, patch, problems) ? 0 : -ENOMEM;

	cJSON_Delete(patch);
	if (r == 0)
		r = template_parse(json, &new, problems);
	else
		cJSON_Delete(json);
	if (r == 0 && problems_count(problems) != before)
		r = -EINVAL;
	if (r == 0)
		r = keep(t, new);
	if (r < 0)
		template_unref(new);
	else
		*ret = new;
	return r;
}
