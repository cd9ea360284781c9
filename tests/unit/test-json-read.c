/* SPDX-License-Identifier: Apache-2.0 */
/* plan/json_read: what is refused before or after cJSON has seen it. */
#include "test.h"

#include <sys/mman.h>

#include "faultd/limits.h"
#include "plan/schema.h"

#define GUARDED 131072

/* Behind the text is a page that nobody may touch. */
static cJSON *read_exactly(const char *text, size_t length, struct error *e)
{
	static char *end;

	if (!end) {
		char *memory = mmap(NULL, (size_t)GUARDED * 2, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		assert_true(memory != MAP_FAILED);
		end = memory + GUARDED;
		assert_int_equal(mprotect(end, GUARDED, PROT_NONE), 0);
	}
	assert_true(length <= GUARDED);
	memcpy(end - length, text, length);
	memset(e, 0, sizeof(*e));
	return json_read(end - length, length, e);
}

static void check_good(const char *text)
{
	struct error e;
	cJSON *json = read_exactly(text, strlen(text), &e);

	if (!json)
		fail_msg("%s: %s", text, e.message);
	assert_true(cJSON_IsObject(json));
	cJSON_Delete(json);
}

static void check_bad(const char *text, size_t length, const char *why)
{
	struct error e;
	cJSON *json = read_exactly(text, length, &e);

	if (json)
		fail_msg("%s was accepted", text);
	assert_int_equal(e.code, ERROR_VALIDATION);
	if (!strstr(e.message, why))
		fail_msg("%s: \"%s\" does not say \"%s\"", text, e.message, why);
}

static void test_good(void **state)
{
	static const char *const cases[] = {
		"{}",
		" \t\r\n{ } \r\n\t",
		"{\"a\":1}",
		"{\"a\":\"\\\\u0000\"}", /* a backslash and then u0000 */
		"{\"a\":\"\\u0001\\ud83d\\ude00\"}",
		"{\"\xc3\xa4\":\"\xf0\x9f\x98\x80\"}",
		"{\"a\":-1.5e-3,\"b\":1e308}",
		"{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[\"}",
		"{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[\"}",
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_good(cases[i]);
}

static void test_not_json(void **state)
{
	static const char *const cases[] = {
		"",
		" ",
		"{",
		"}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{\"a\":1",
		"{a:1}",
		"{'a':1}",
		"{\"a\":NaN}",
		"{\"a\":Infinity}",
		"{\"a\":-}",
		"{\"a\":+1}",
		"{\"a\":0x10}",
		"{} x",
		"{}{}",
		"{}]",
		"{\"a\":\"\\x41\"}",
		"{\"a\":\"\\ud800\"}",
		"{\"a\":\"\\udc00\"}",
		"{\"a\":\"b",
		"{\"a\":tru}",
		"{} //",
		"{\"a\":1 \"b\":2}",
		"\"a",
		"{,}",
		"{\"a\":1e}",
		"{\"a\":[1,]}",
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_bad(cases[i], strlen(cases[i]), "body: not JSON");
}

static void test_not_an_object(void **state)
{
	static const char *const cases[] = {"[]", "5", "\"a\"", "null", "true", "[{}]", " 1 "};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_bad(cases[i], strlen(cases[i]), "body: not a JSON object");
}

static void test_not_utf8(void **state)
{
	static const char *const cases[] = {
		"{\"a\":\"\xff\"}",
		"{\"a\":\"\xc0\x80\"}",
		"{\"a\":\"\xed\xa0\x80\"}",
		"{\"a\":\"\xe2\x82\"}",
		"{\"\x80\":1}",
		"\xff\xfe{}",
		"{\"a\":\"\xf4\x90\x80\x80\"}",
		"{}\xc3",
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_bad(cases[i], strlen(cases[i]), "UTF-8");
}

static void test_nul(void **state)
{
	check_bad("{\"a\":\"\\u0000\"}", 14, "NUL");
	check_bad("{\"a\":\"b\\\\\\u0000\"}", 17, "NUL");
	check_bad("{\"a\\u0000b\":1}", 14, "NUL");
	/* what cJSON decodes as U+0000, hex or not */
	check_bad("{\"a\":\"\\u00g0\"}", 14, "escapes");
	check_bad("{\"a\":\"\\uzzzzjunk\"}", 18, "escapes");
	check_bad("{\"a\":\"\\u00\"}", 12, "escapes");
	check_bad("{}\0", 3, "NUL");
	check_bad("\0{}", 3, "NUL");
	check_bad("{\"a\":\"b\0c\"}", 11, "NUL");
}

static void test_numbers(void **state)
{
	check_bad("{\"a\":1e400}", 11, "too large");
	check_bad("{\"a\":-1e400}", 12, "too large");
	check_bad("{\"a\":[{\"b\":[1,2,1e999]}]}", 25, "too large");
}

/* `depth` objects and arrays in turn, around a 1. */
static size_t nest(char *to, unsigned depth)
{
	size_t n = 0;

	for (unsigned i = 0; i < depth; i++) {
		memcpy(to + n, i % 2 ? "[" : "{\"a\":", i % 2 ? 1 : 5);
		n += i % 2 ? 1 : 5;
	}
	to[n++] = '1';
	for (unsigned i = depth; i-- > 0;)
		to[n++] = i % 2 ? ']' : '}';
	to[n] = '\0';
	return n;
}

static void test_depth(void **state)
{
	static char text[70000];

	(void)nest(text, JSON_DEPTH_MAX);
	check_good(text);
	check_bad(text, nest(text, JSON_DEPTH_MAX + 1), "nested deeper");
	check_bad(text, nest(text, 9000), "nested deeper");
	memset(text, '[', sizeof(text));
	check_bad(text, sizeof(text), "nested deeper");
	memset(text, '{', sizeof(text));
	check_bad(text, sizeof(text), "nested deeper");
}

/* Every beginning of a good text is refused, and nothing is read behind it. */
static void test_truncated(void **state)
{
	static const char text[] =
		"{\"action\":\"a\",\"parameters\":{\"x\":[1,\"\\u00e4\",true,null,-1.5e3],\"y\":{}}}";

	for (size_t n = 0; n < sizeof(text) - 1; n++)
		check_bad(text, n, "body: ");
	check_good(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),          cmocka_unit_test(test_not_json),
		cmocka_unit_test(test_not_an_object), cmocka_unit_test(test_not_utf8),
		cmocka_unit_test(test_nul),           cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_depth),         cmocka_unit_test(test_truncated),
	};

	return cmocka_run_group_tests_name("json_read", tests, NULL, NULL);
}
