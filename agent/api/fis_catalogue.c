/* SPDX-License-Identifier: Apache-2.0 */
/* ListActions, GetAction, ListTargetResourceTypes, GetTargetResourceType. */
#include <errno.h>
#include <string.h>

#include "api/fis.h"
#include "experiment/catalogue.h"
#include "experiment/resource.h"
#include "util/str.h"

static const char *const page_query[] = {"maxResults", "nextToken", NULL};

static const struct identity *identity_of(const struct api *api)
{
	return experiments_identity(api->experiments);
}

/* They are sorted. */
void list_fis_actions(struct api *api, struct http_request *q, const char *id)
{
	struct fis_page page;
	cJSON *array, *o;
	size_t i = 0, n = 0;

	if (!fis_query_is(q, page_query) ||
	    !fis_may_do(api, q, "fis:ListActions", NULL, "", NULL) ||
	    !fis_page_read(q, "actions", NULL, &page))
		return;
	array = cJSON_CreateArray();
	o = fis_wrap("actions", array);
	while (page.goes_on && i < catalogue_size() && strcmp(catalogue_at(i)->id, page.key) <= 0)
		i++;
	for (; o && i < catalogue_size() && n < page.most; i++, n++)
		cJSON_AddItemToArray(array,
				     catalogue_print_summary(catalogue_at(i), identity_of(api)));
	if (o && n > 0 && i < catalogue_size())
		fis_page_more(&page, o, catalogue_at(i - 1)->id, 0);
	answer_json(q, 200, o);
}

void get_fis_action(struct api *api, struct http_request *q, const char *id)
{
	const struct fis_action *a = catalogue_find(id);
	const char *why = a ? NULL : catalogue_why_not(id);
	struct error e;

	if (!fis_query_is(q, NULL) || !fis_may_do(api, q, "fis:GetAction", "action", id, NULL))
		return;
	if (a) {
		answer_json(q, 200, fis_wrap("action", catalogue_print(a, identity_of(api))));
		return;
	}
	(void)error_set(&e, ERROR_NOT_FOUND, -ENOENT, "no action %.128s%s%s", id, why ? ": " : "",
			why ? why : "");
	answer_error(q, &e);
}

void list_resource_types(struct api *api, struct http_request *q, const char *id)
{
	struct fis_page page;
	cJSON *array, *o;
	size_t i, n = 0;

	if (!fis_query_is(q, page_query) ||
	    !fis_may_do(api, q, "fis:ListTargetResourceTypes", NULL, "", NULL) ||
	    !fis_page_read(q, "targetResourceTypes", NULL, &page))
		return;
	array = cJSON_CreateArray();
	o = fis_wrap("targetResourceTypes", array);
	for (i = page.goes_on ? (size_t)page.order + 1 : 0;
	     o && i < n_resource_types && n < page.most; i++, n++)
		cJSON_AddItemToArray(array, resource_type_print(resource_types[i], false));
	if (o && n > 0 && i < n_resource_types)
		fis_page_more(&page, o, resource_types[i - 1]->name, (int64_t)i - 1);
	answer_json(q, 200, o);
}

void get_resource_type(struct api *api, struct http_request *q, const char *id)
{
	const struct resource_type *t = resource_type_find(id);
	const char *why = t ? NULL : resource_type_why_not(id);
	struct error e;

	if (!fis_query_is(q, NULL) ||
	    !fis_may_do(api, q, "fis:GetTargetResourceType", NULL, "", NULL))
		return;
	if (t) {
		answer_json(q, 200, fis_wrap("targetResourceType", resource_type_print(t, true)));
		return;
	}
	(void)error_set(&e, ERROR_NOT_FOUND, -ENOENT, "no target resource type %.128s%s%s", id,
			why ? ": " : "", why ? why : "");
	answer_error(q, &e);
}
