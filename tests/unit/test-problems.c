/* SPDX-License-Identifier: Apache-2.0 */
/* experiment/problems: all of them, bounded, in order. */
#include "test.h"

#include <stdio.h>

#include "experiment/problems.h"

static void test_one(void **state)
{
	struct problems p = {0};
	struct error e = {0};
	cJSON *o;

	problems_add(&p, ERROR_QUOTA, "actions", "%d is too many", 21);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.code, ERROR_QUOTA);
	o = problems_print(&p);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "message")),
			    "actions: 21 is too many");
	cJSON_Delete(o);
	problems_error(&p, &e);
	assert_int_equal(e.code, ERROR_QUOTA);
	assert_string_equal(e.message, "actions: 21 is too many");
	assert_string_equal(e.field, "actions");
	problems_done(&p);
	assert_int_equal(p.n, 0);
	assert_null(p.problem);
}

static void test_many(void **state)
{
	struct problems p = {0};
	const cJSON *list, *message;
	char more[32];
	size_t told = 0;
	cJSON *o;

	problems_add(&p, ERROR_VALIDATION, "", "the first has no path");
	for (size_t i = 0; i < 3 * (size_t)PROBLEMS_MAX; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "actions.a%zu", i);
		problems_add(&p, ERROR_UNSUPPORTED, path, "is wrong in this and in another way");
	}
	assert_int_equal(p.n, PROBLEMS_MAX);
	assert_int_equal(p.n + p.dropped, 1 + 3 * PROBLEMS_MAX);
	assert_int_equal(p.code, ERROR_VALIDATION);
	o = problems_print(&p);
	list = cJSON_GetObjectItem(o, "problems");
	assert_int_equal(cJSON_GetArraySize(list), PROBLEMS_MAX);
	message = cJSON_GetObjectItem(o, "message");
	assert_true(strlen(message->valuestring) <= 1024);
	assert_true(strlen(message->valuestring) > 900);
	assert_ptr_equal(strstr(message->valuestring, "193 problems: the first has no path; "
						      "actions.a0: is wrong in this"),
			 message->valuestring);
	for (const char *at = message->valuestring; (at = strstr(at, "is wrong in")); at++)
		told++;
	(void)snprintf(more, sizeof(more), "; and %zu more", 192 - told);
	assert_string_equal(strrchr(message->valuestring, ';'), more);
	cJSON_Delete(o);
	problems_done(&p);
}

/* What anybody sent breaks no line, and a cut leaves UTF-8. */
static void test_text(void **state)
{
	struct problems p = {0};
	char long_text[1000];

	for (size_t i = 0; i + 2 < sizeof(long_text); i += 2)
		memcpy(long_text + i, "\xc3\xa4", 2);
	long_text[998] = '\0';
	problems_add(&p, ERROR_VALIDATION, "a\nb", "x\x1b[31m%s", long_text);
	assert_string_equal(p.problem[0].path, "a?b");
	assert_true(strlen(p.problem[0].text) >= sizeof(p.problem[0].text) - 2);
	assert_memory_equal(p.problem[0].text, "x?[31m\xc3\xa4", 8);
	assert_null(strchr(p.problem[0].text + 2, '?'));
	problems_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests_name("problems", tests, NULL, NULL);
}
