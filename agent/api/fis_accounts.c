/* SPDX-License-Identifier: Apache-2.0 */
/* The seven operations on target-account configurations. One host is in one account: there are
 * none, and none can be made. */
#include <errno.h>
#include <string.h>

#include "api/fis.h"
#include "experiment/template.h"

#define ACCOUNT_MIN 12
#define ACCOUNT_MAX 48

static const char *const list_query[] = {"maxResults", "nextToken", NULL};

/* No token is ever given, so that none is right. */
static void answer_none(struct http_request *q, const char *list)
{
	struct fis_page page;

	if (fis_page_read(q, list, NULL, &page))
		answer_json(q, 200, fis_wrap("targetAccountConfigurations", cJSON_CreateArray()));
}

static void answer_no_account(struct http_request *q)
{
	struct error e;

	(void)error_set(&e, ERROR_NOT_FOUND, -ENOENT,
			"no target account configuration %.48s: experiments of this host are "
			"single-account",
			q->second_id);
	answer_error(q, &e);
}

/* What could be configured is checked like all else, before it is refused. */
static bool read_configuration(struct http_request *q, bool creating)
{
	static const char *const create_members[] = {"clientToken", "roleArn", "description", NULL};
	const struct fis_text texts[] = {
		{.name = "clientToken", .least = 1, .most = 1024},
		{.name = "roleArn", .least = 20, .most = 2048, .required = creating},
		{.name = "description", .least = 0, .most = 512, .blanks = true},
	};
	cJSON *body = fis_body(q);
	const char *text;
	bool good = body &&
		    fis_members_are(q, body, creating ? create_members : create_members + 1, "");

	for (size_t i = 0; good && i < ARRAY_SIZE(texts); i++)
		good = fis_text(q, body, &texts[i], &text);
	cJSON_Delete(body);
	return good;
}

static bool account_is_good(struct http_request *q)
{
	size_t n = strlen(q->second_id);
	struct error e;

	if (n >= ACCOUNT_MIN && n <= ACCOUNT_MAX)
		return true;
	(void)error_field(&e, "accountId", q->second_id, "12 to 48 characters", "not an account");
	answer_error(q, &e);
	return false;
}

void list_accounts(struct api *api, struct http_request *q, const char *id)
{
	if (fis_query_is(q, list_query) &&
	    fis_find_template(api, q, "fis:ListTargetAccountConfigurations", id))
		answer_none(q, "targetAccountConfigurations");
}

void get_account(struct api *api, struct http_request *q, const char *id)
{
	if (fis_query_is(q, NULL) && account_is_good(q) &&
	    fis_find_template(api, q, "fis:GetTargetAccountConfiguration", id))
		answer_no_account(q);
}

void create_account(struct api *api, struct http_request *q, const char *id)
{
	struct error e;

	if (!fis_query_is(q, NULL) || !account_is_good(q) || !read_configuration(q, true) ||
	    !fis_find_template(api, q, "fis:CreateTargetAccountConfiguration", id))
		return;
	(void)error_set(&e, ERROR_VALIDATION, -EINVAL,
			"experimentOptions.accountTargeting of %.64s is single-account: a host has "
			"no other accounts to aim at",
			id);
	answer_error(q, &e);
}

void update_account(struct api *api, struct http_request *q, const char *id)
{
	if (fis_query_is(q, NULL) && account_is_good(q) && read_configuration(q, false) &&
	    fis_find_template(api, q, "fis:UpdateTargetAccountConfiguration", id))
		answer_no_account(q);
}

void delete_account(struct api *api, struct http_request *q, const char *id)
{
	if (fis_query_is(q, NULL) && account_is_good(q) &&
	    fis_find_template(api, q, "fis:DeleteTargetAccountConfiguration", id))
		answer_no_account(q);
}

void list_experiment_accounts(struct api *api, struct http_request *q, const char *id)
{
	/* Of this one FIS has no maxResults. */
	if (fis_query_is(q, list_query + 1) &&
	    fis_find_experiment(api, q, "fis:ListExperimentTargetAccountConfigurations", id))
		answer_none(q, "experimentTargetAccountConfigurations");
}

void get_experiment_account(struct api *api, struct http_request *q, const char *id)
{
	if (fis_query_is(q, NULL) && account_is_good(q) &&
	    fis_find_experiment(api, q, "fis:GetExperimentTargetAccountConfiguration", id))
		answer_no_account(q);
}
