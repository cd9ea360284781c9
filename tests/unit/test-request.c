/* SPDX-License-Identifier: Apache-2.0 */
/* plan/request: JSON text to a request, and what makes two requests the same. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "plan/request.h"

static int parse(const char *text, struct request *ret, struct error *e)
{
	memset(e, 0, sizeof(*e));
	return request_parse(text, strlen(text), ret, e);
}

static void test_smallest(void **state)
{
	struct request q;
	struct error e;

	assert_int_equal(parse("{\"action\":\"a\"}", &q, &e), 0);
	assert_string_equal(q.action, "a");
	assert_string_equal(q.client_token, "");
	assert_true(q.duration_ms == 0 && q.lease_ms == 0);
	assert_false(q.dry_run || q.attach || q.confirm);
	assert_true(cJSON_IsObject(q.parameters));
	assert_int_equal(cJSON_GetArraySize(q.parameters), 0);
	request_done(&q);
	request_done(&q);
}

static void test_full(void **state)
{
	struct request q;
	struct error e;

	assert_int_equal(
		parse("{\"clientToken\":\"t\",\"parameters\":{\"percent\":20},\"duration\":\"5m\","
		      "\"dryRun\":true,\"attach\":\"true\",\"confirm\":true,\"lease\":\"10s\","
		      "\"action\":\"network-loss\"}",
		      &q, &e),
		0);
	assert_string_equal(q.action, "network-loss");
	assert_string_equal(q.client_token, "t");
	assert_int_equal(q.duration_ms, 300000);
	assert_int_equal(q.lease_ms, 10000);
	assert_true(q.dry_run && q.attach && q.confirm);
	assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(q.parameters, "percent")) == 20);
	request_done(&q);
}

static void test_bad(void **state)
{
	static const struct {
		const char *text, *field;
	} cases[] = {
		{"{}", "action"},
		{"{\"action\":\"\"}", "action"},
		{"{\"action\":5}", "action"},
		{"{\"action\":null}", "action"},
		{"{\"action\":\"a\",\"action\":\"a\"}", "action"},
		{"{\"action\":\"a\",\"parameters\":[]}", "parameters"},
		{"{\"action\":\"a\",\"parameters\":null}", "parameters"},
		{"{\"action\":\"a\",\"parameters\":\"{}\"}", "parameters"},
		{"{\"action\":\"a\",\"parameters\":{},\"parameters\":{}}", "parameters"},
		{"{\"action\":\"a\",\"Parameters\":{}}", "Parameters"},
		{"{\"action\":\"a\",\"duration\":30}", "duration"},
		{"{\"action\":\"a\",\"duration\":\"30\"}", "duration"},
		{"{\"action\":\"a\",\"duration\":\"99ms\"}", "duration"},
		{"{\"action\":\"a\",\"duration\":\"12h0.001s\"}", "duration"},
		{"{\"action\":\"a\",\"lease\":\"999ms\"}", "lease"},
		{"{\"action\":\"a\",\"lease\":\"13h\"}", "lease"},
		{"{\"action\":\"a\",\"clientToken\":\"\"}", "clientToken"},
		{"{\"action\":\"a\",\"dryRun\":1}", "dryRun"},
		{"{\"action\":\"a\",\"attach\":\"yes\"}", "attach"},
		{"{\"action\":\"a\",\"confirm\":null}", "confirm"},
		{"{\"action\":\"a\",\"confirm\":[true]}", "confirm"},
		{"{\"action\":\"a\",\"percent\":5}", "percent"},
		{"[]", ""},
		{"", ""},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct request q;
		struct error e;

		if (parse(cases[i].text, &q, &e) != -EINVAL)
			fail_msg("%s was accepted", cases[i].text);
		assert_int_equal(e.code, ERROR_VALIDATION);
		assert_string_equal(e.field, cases[i].field);
		assert_true(e.message[0]);
		assert_null(q.parameters);
	}
}

static void test_boundaries(void **state)
{
	static const char *const good[] = {
		"{\"action\":\"a\",\"duration\":\"100ms\"}",
		"{\"action\":\"a\",\"duration\":\"12h\"}",
		"{\"action\":\"a\",\"duration\":\"PT12H\"}",
		"{\"action\":\"a\",\"lease\":\"1s\"}",
		"{\"action\":\"a\",\"lease\":\"12h\"}",
	};
	struct request q;
	struct error e;

	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(parse(good[i], &q, &e), 0);
		request_done(&q);
	}
}

static void check_length(const char *name, size_t length, bool good)
{
	char value[256], text[400];
	struct request q;
	struct error e;
	int r;

	memset(value, 'v', length);
	value[length] = '\0';
	(void)snprintf(text, sizeof(text), "{%s\"%s\":\"%s\"}",
		       strcmp(name, "action") == 0 ? "" : "\"action\":\"a\",", name, value);
	r = parse(text, &q, &e);
	assert_int_equal(r, good ? 0 : -EINVAL);
	if (r == 0)
		request_done(&q);
	else
		assert_string_equal(e.field, name);
}

static void test_lengths(void **state)
{
	check_length("action", ACTION_NAME_MAX - 1, true);
	check_length("action", ACTION_NAME_MAX, false);
	check_length("clientToken", 1, true);
	check_length("clientToken", CLIENT_TOKEN_MAX, true);
	check_length("clientToken", CLIENT_TOKEN_MAX + 1, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smallest), cmocka_unit_test(test_full),
		cmocka_unit_test(test_bad),      cmocka_unit_test(test_boundaries),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
