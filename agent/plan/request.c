/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

static const struct row request_rows[] = {
	{.name = "action",
	 .type = ROW_STRING,
	 FIELD_STRING(struct request, action),
	 .required = true,
	 .text = "name of the action, or an alias of it"},
	{.name = "duration",
	 .type = ROW_DURATION,
	 FIELD(struct request, duration_ms),
	 .min = 100,
	 .max = DURATION_MAX_S * 1000.0,
	 .text = "how long the fault is held"},
	{.name = "lease",
	 .type = ROW_DURATION,
	 FIELD(struct request, lease_ms),
	 .min = LEASE_MIN_MS,
	 .max = DURATION_MAX_S * 1000.0,
	 .text = "undone unless renewed within this"},
	{.name = "clientToken",
	 .type = ROW_STRING,
	 FIELD_STRING(struct request, client_token),
	 .text = "the same token is the same fault"},
	{.name = "dryRun",
	 .type = ROW_BOOLEAN,
	 FIELD(struct request, dry_run),
	 .def = "false",
	 .text = "plan only"},
	{.name = "attach",
	 .type = ROW_BOOLEAN,
	 FIELD(struct request, attach),
	 .def = "false",
	 .text = "stream events, undo when the connection goes away"},
	{.name = "confirm",
	 .type = ROW_BOOLEAN,
	 FIELD(struct request, confirm),
	 .def = "false",
	 .text = "consent to what cannot be undone"},
};

void request_done(struct request *q)
{
	cJSON_Delete(q->parameters);
	free(q->resolved);
	q->parameters = NULL;
	q->resolved = NULL;
}

/* Parameters have rows of their own: taken out of the tree before the rest is read. */
static int take_parameters(cJSON *json, struct request *ret, struct error *e)
{
	cJSON *parameters = cJSON_DetachItemFromObjectCaseSensitive(json, "parameters");

	if (cJSON_GetObjectItemCaseSensitive(json, "parameters")) {
		cJSON_Delete(parameters);
		return error_field(e, "parameters", "", "each field once", "given twice");
	}
	if (parameters && !cJSON_IsObject(parameters)) {
		cJSON_Delete(parameters);
		return error_field(e, "parameters", "", "an object", "not an object");
	}
	ret->parameters = parameters ? parameters : cJSON_CreateObject();
	return ret->parameters ? 0 : error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
}

static int parse_tree(cJSON *json, struct request *ret, struct error *e)
{
	cJSON *parameters;
	int r;

	r = take_parameters(json, ret, e);
	if (r < 0)
		return r;
	parameters = ret->parameters; /* reading the rows zeroes the struct */
	r = schema_parse(request_rows, ARRAY_SIZE(request_rows), json, "", ret, sizeof(*ret), e);
	ret->parameters = parameters;
	return r;
}

int request_parse(const char *text, size_t length, struct request *ret, struct error *e)
{
	cJSON *json = json_read(text, length, e);
	int r;

	*ret = (struct request){0};
	if (!json)
		return -EINVAL;
	r = parse_tree(json, ret, e);
	cJSON_Delete(json);
	if (r < 0)
		request_done(ret);
	return r;
}
