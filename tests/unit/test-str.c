/* SPDX-License-Identifier: Apache-2.0 */
/* util/str: bounded texts, numbers, lists, UTF-8. */
#include "test.h"

#include "util/str.h"

static void test_copy(void **state)
{
	char to[4] = "zzz";

	assert_true(str_copy(to, sizeof(to), ""));
	assert_string_equal(to, "");
	assert_true(str_copy(to, sizeof(to), "abc"));
	assert_string_equal(to, "abc");
	assert_false(str_copy(to, sizeof(to), "abcd"));
	assert_string_equal(to, "abc");
	assert_false(str_copy(to, 1, "x"));
	assert_string_equal(to, "");
}

static void test_copy_reads_no_further(void **state)
{
	const char unterminated[4] = {'a', 'b', 'c', 'd'};
	char to[4];

	assert_false(str_copy(to, sizeof(to), unterminated));
	assert_string_equal(to, "abc");
}

static void test_text(void **state)
{
	char buffer[8];
	struct text t = TEXT(buffer);

	text_add(&t, "%d", 1234);
	text_add(&t, "%s", "567");
	assert_false(t.cut);
	assert_int_equal(t.length, 7);
	text_add(&t, "%s", "");
	assert_false(t.cut);
	text_add(&t, "%s", "8");
	assert_true(t.cut);
	assert_string_equal(buffer, "1234567");
	text_add(&t, "%s", "");
	assert_true(t.cut);
	assert_int_equal(t.length, 7);
}

static void test_text_cuts_at_once(void **state)
{
	char buffer[4];
	struct text t = TEXT(buffer);

	text_add(&t, "%s", "a long one");
	assert_true(t.cut);
	assert_string_equal(buffer, "a l");
	text_add(&t, "more");
	assert_string_equal(buffer, "a l");
}

static void test_escaped(void **state)
{
	char buffer[64];
	struct text t = TEXT(buffer);

	text_add_escaped(&t, "a\n\t\x1b[1m\x7f\\ \xc3\xa4");
	assert_string_equal(buffer, "a\\x0a\\x09\\x1b[1m\\x7f\\x5c \xc3\xa4");
}

static void test_starts(void **state)
{
	assert_true(str_starts("SIGTERM", "SIG"));
	assert_true(str_starts("SIG", "SIG"));
	assert_true(str_starts("", ""));
	assert_false(str_starts("SI", "SIG"));
	assert_true(str_eq("", ""));
	assert_false(str_eq("a", "A"));
}

static void test_u64(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t value;
	} cases[] = {
		{"0", 0, 0},
		{"007", 0, 7},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"1x", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1.0", -EINVAL, 0},
		{"99999999999999999999999999x", -EINVAL, 0},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t v = 77;

		assert_int_equal(str_to_u64(cases[i].text, &v), cases[i].result);
		assert_true(v == (cases[i].result == 0 ? cases[i].value : 77));
	}
}

static void test_i64(void **state)
{
	static const struct {
		const char *text;
		int result;
		int64_t value;
	} cases[] = {
		{"0", 0, 0},
		{"-0", 0, 0},
		{"-12", 0, -12},
		{"9223372036854775807", 0, INT64_MAX},
		{"-9223372036854775808", 0, INT64_MIN},
		{"9223372036854775808", -ERANGE, 0},
		{"-9223372036854775809", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"-", -EINVAL, 0},
		{"--1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{"- 1", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t v = 77;

		assert_int_equal(str_to_i64(cases[i].text, &v), cases[i].result);
		assert_true(v == (cases[i].result == 0 ? cases[i].value : 77));
	}
}

static void test_double(void **state)
{
	static const char *const bad[] = {"",    "-",     ".",     ".5",   "1.",    "1e3",
					  "1E3", "0x1p3", "inf",   "nan",  "NaN",   "-.5",
					  "+1",  " 1",    "1 ",    "1,5",  "1.2.3", "--1",
					  "1-",  "1.-",   "1.5e1", "1..2", "-inf",  "%"};
	char digits[512];
	double v;

	assert_int_equal(str_to_double("12", &v), 0);
	assert_true(v == 12.0);
	assert_int_equal(str_to_double("-0.5", &v), 0);
	assert_true(v == -0.5);
	assert_int_equal(str_to_double("100.000", &v), 0);
	assert_true(v == 100.0);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(str_to_double(bad[i], &v), -EINVAL);

	/* As long as it gets, it stays finite. */
	memset(digits, '9', sizeof(digits));
	digits[300] = '\0';
	assert_int_equal(str_to_double(digits, &v), 0);
	assert_true(v < 1e301);
	digits[300] = '9';
	digits[301] = '\0';
	assert_int_equal(str_to_double(digits, &v), -EINVAL);
}

struct seen {
	char all[512];
	size_t n;
	size_t stop_at;
};

static int see(const char *item, void *arg)
{
	struct seen *s = arg;

	strcat(s->all, item);
	strcat(s->all, "|");
	s->n++;
	return s->n == s->stop_at ? 5 : 0;
}

static void test_items(void **state)
{
	static const struct {
		const char *list;
		int result;
		const char *seen;
	} cases[] = {
		{"", 0, ""},
		{"a", 0, "a|"},
		{"a,b,c", 0, "a|b|c|"},
		{" a\t,  b b  , c ", 0, "a|b b|c|"},
		{",", -EINVAL, ""},
		{"a,", -EINVAL, "a|"},
		{",a", -EINVAL, ""},
		{"a,,b", -EINVAL, "a|"},
		{"a, ,b", -EINVAL, "a|"},
		{" ", -EINVAL, ""},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct seen s = {0};

		assert_int_equal(str_each_item(cases[i].list, see, &s), cases[i].result);
		assert_string_equal(s.all, cases[i].seen);
	}
}

static void test_items_stop(void **state)
{
	struct seen s = {.stop_at = 2};

	assert_int_equal(str_each_item("a,b,c,,", see, &s), 5);
	assert_string_equal(s.all, "a|b|");
}

static void test_items_length(void **state)
{
	struct seen s = {0};
	char item[300];

	memset(item, 'x', sizeof(item));
	item[255] = '\0';
	assert_int_equal(str_each_item(item, see, &s), 0);
	assert_int_equal(strlen(s.all), 256);
	item[255] = 'x';
	item[256] = '\0';
	assert_int_equal(str_each_item(item, see, &s), -EINVAL);
}

static void test_utf8(void **state)
{
	static const char *const good[] = {
		"",
		"plain",
		"\xc2\x80",
		"\xdf\xbf",
		"\xe0\xa0\x80",
		"\xed\x9f\xbf",
		"\xee\x80\x80",
		"\xef\xbf\xbf",
		"\xf0\x90\x80\x80",
		"\xf4\x8f\xbf\xbf",
	};
	static const char *const bad[] = {
		"\x80",             /* continuation alone */
		"\xc0\x80",         /* NUL, overlong */
		"\xc1\xbf",         /* overlong */
		"\xe0\x9f\xbf",     /* overlong */
		"\xed\xa0\x80",     /* surrogate */
		"\xed\xbf\xbf",     /* surrogate */
		"\xf0\x8f\xbf\xbf", /* overlong */
		"\xf4\x90\x80\x80", /* above U+10FFFF */
		"\xf5\x80\x80\x80", /* no such lead */
		"\xff",
		"\xfe",
		"\xc2",         /* cut */
		"\xe2\x82",     /* cut */
		"\xf0\x9f\x98", /* cut */
		"\xc2x",        /* broken off */
		"\xe2x\x82",
		"ok\xf8\x88\x80\x80\x80",
	};

	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(str_is_utf8(good[i], strlen(good[i])));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(str_is_utf8(bad[i], strlen(bad[i])));
	assert_false(str_is_utf8("\xc3\xa4", 1)); /* by length, not by NUL */
	assert_true(str_is_utf8("a\0b", 3));
}

static void test_characters(void **state)
{
	assert_int_equal(str_characters(""), 0);
	assert_int_equal(str_characters("abc"), 3);
	assert_int_equal(str_characters("a\xc3\xa4\xf0\x9f\x98\x80"), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy),       cmocka_unit_test(test_copy_reads_no_further),
		cmocka_unit_test(test_text),       cmocka_unit_test(test_text_cuts_at_once),
		cmocka_unit_test(test_escaped),    cmocka_unit_test(test_starts),
		cmocka_unit_test(test_u64),        cmocka_unit_test(test_i64),
		cmocka_unit_test(test_double),     cmocka_unit_test(test_items),
		cmocka_unit_test(test_items_stop), cmocka_unit_test(test_items_length),
		cmocka_unit_test(test_utf8),       cmocka_unit_test(test_characters),
	};

	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
