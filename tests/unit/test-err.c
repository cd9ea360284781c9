/* SPDX-License-Identifier: Apache-2.0 */
/* util/err: codes, statuses, and messages that say it all. */
#include "test.h"

#include "util/err.h"

static void test_codes(void **state)
{
	static const struct {
		enum error_code code;
		const char *name;
		unsigned status;
	} cases[] = {
		{ERROR_NONE, "", 200},
		{ERROR_VALIDATION, "ValidationException", 400},
		{ERROR_DENIED, "AccessDeniedException", 403},
		{ERROR_NOT_FOUND, "ResourceNotFoundException", 404},
		{ERROR_METHOD, "MethodNotAllowedException", 405},
		{ERROR_CONFLICT, "ConflictException", 409},
		{ERROR_QUOTA, "ServiceQuotaExceededException", 402},
		{ERROR_TOO_LARGE, "RequestTooLargeException", 413},
		{ERROR_UNSUPPORTED, "NotSupportedException", 501},
		{ERROR_UNAVAILABLE, "ServiceUnavailableException", 503},
		{ERROR_FAILED, "FaultFailedException", 500},
		{ERROR_UNSIGNED, "MissingAuthenticationTokenException", 403},
		{ERROR_SIGNATURE_INCOMPLETE, "IncompleteSignatureException", 403},
		{ERROR_SIGNATURE, "InvalidSignatureException", 403},
		{ERROR_KEY_UNKNOWN, "UnrecognizedClientException", 403},
	};

	assert_int_equal(COUNT(cases), _ERROR_CODE_MAX);
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_string_equal(error_code_name(cases[i].code), cases[i].name);
		assert_int_equal(error_code_status(cases[i].code), cases[i].status);
	}
}

static void test_set(void **state)
{
	struct error e;

	memset(&e, 'x', sizeof(e));
	assert_int_equal(error_set(&e, ERROR_QUOTA, -EDQUOT, "%d of %s", 3, "them"), -EDQUOT);
	assert_int_equal(e.code, ERROR_QUOTA);
	assert_string_equal(e.message, "3 of them");
	assert_string_equal(e.field, "");
	assert_string_equal(e.value, "");
	assert_string_equal(e.allowed, "");
}

static void test_field(void **state)
{
	struct error e;

	assert_int_equal(error_field(&e, "parameters.percent", "150", "1 to 100",
				     "%s is out of range", "150"),
			 -EINVAL);
	assert_int_equal(e.code, ERROR_VALIDATION);
	assert_string_equal(e.field, "parameters.percent");
	assert_string_equal(e.value, "150");
	assert_string_equal(e.allowed, "1 to 100");
	assert_string_equal(e.message,
			    "parameters.percent: 150 is out of range; allowed: 1 to 100");
	assert_int_equal(error_field(&e, "a", NULL, NULL, "no"), -EINVAL);
	assert_string_equal(e.message, "a: no");
	assert_string_equal(e.value, "");
	assert_string_equal(e.allowed, "");
}

static void test_bounds(void **state)
{
	char longer[1000];
	struct error e;

	memset(longer, 'y', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	(void)error_field(&e, longer, longer, longer, "%s", longer);
	assert_int_equal(strlen(e.field), sizeof(e.field) - 1);
	assert_int_equal(strlen(e.value), sizeof(e.value) - 1);
	assert_int_equal(strlen(e.allowed), sizeof(e.allowed) - 1);
	assert_int_equal(strlen(e.message), sizeof(e.message) - 1);
	(void)error_set(&e, ERROR_FAILED, 0, "%s", longer);
	assert_int_equal(strlen(e.message), sizeof(e.message) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_field),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
