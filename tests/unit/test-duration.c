/* SPDX-License-Identifier: Apache-2.0 */
/* util/duration: what is one, what is not, and back to text. */
#include "test.h"

#include "util/duration.h"

#define YEAR_MS (366ULL * 24 * 3600 * 1000)

static void test_good(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} cases[] = {
		{"0s", 0},           {"0ms", 0},
		{"1ms", 1},          {"500ms", 500},
		{"30s", 30000},      {"1.5s", 1500},
		{"0.001s", 1},       {"0.05m", 3000},
		{"5m", 300000},      {"1h", 3600000},
		{"1m30s", 90000},    {"1d2h3m4s5ms", 93784005},
		{"1h1ms", 3600001},  {"90s", 90000},
		{"010s", 10000},     {"366d", YEAR_MS},
		{"PT5M", 300000},    {"PT1H30M", 5400000},
		{"P1D", 86400000},   {"P1DT1S", 86401000},
		{"PT0.25S", 250},    {"PT90S", 90000},
		{"P366D", YEAR_MS},  {"P0D", 0},
		{"1.000s", 1000},    {"PT1H2M3S", 3723000},
		{"1.5d", 129600000},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t ms = 77;

		assert_int_equal(duration_parse(cases[i].text, &ms), 0);
		assert_int_equal(ms, cases[i].ms);
	}
}

static void test_bad(void **state)
{
	static const char *const cases[] = {
		"",     "5",      "s",       "-5s",     "+5s",    " 5s",  "5s ",  "5 s",   "5S",
		"5M",   "1e3s",   "1,5s",    ".5s",     "5.s",    "1s1m", "1s1s", "1m1h",  "5m30",
		"5sec", "0.5ms",  "1.2345s", "1.0001s", "P",      "PT",   "P5",   "PT5",   "P1DT",
		"P5M",  "P1Y",    "P1W",     "PT5m",    "PT5S1M", "pt5m", "P-1D", "PT 5M", "P1D1D",
		"T5M",  "PT5MT",  "P1DT1D",  "1d1d",    "0x5s",   "inf",  "5\n",  "٥s",    "5µs",
		"5us",  "PT1H1H", "1..5s",   "1.5.5s",  "--",
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t ms = 77;

		assert_int_equal(duration_parse(cases[i], &ms), -EINVAL);
		assert_int_equal(ms, 77);
	}
}

static void test_microseconds(void **state)
{
	static const struct {
		const char *text;
		uint64_t us;
	} cases[] = {{"500us", 500},      {"0.5ms", 500},          {"1.001ms", 1001},
		     {"0us", 0},          {"1ms1us", 1001},        {"1.5s", 1500000},
		     {"PT0.25S", 250000}, {"366d", YEAR_MS * 1000}};
	uint64_t us = 77;

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(duration_parse_us(cases[i].text, &us), 0);
		assert_int_equal(us, cases[i].us);
	}
	assert_int_equal(duration_parse_us("0.5us", &us), -EINVAL);
	assert_int_equal(duration_parse_us("1us1ms", &us), -EINVAL);
	assert_int_equal(duration_parse_us("366d1us", &us), -ERANGE);
	assert_int_equal(us, YEAR_MS * 1000);
	assert_int_equal(duration_parse("1000us", &us), 0);
	assert_int_equal(us, 1);
	assert_int_equal(duration_parse("1001us", &us), -EINVAL);
}

static void test_too_long(void **state)
{
	static const char *const cases[] = {"367d",
					    "366d1ms",
					    "8785h",
					    "999999999999s",
					    "P367D",
					    "P366DT1S",
					    "31622400001ms",
					    "999999999999h",
					    "PT8785H",
					    "999999999999d",
					    "366d999999999999s"};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t ms = 77;

		assert_int_equal(duration_parse(cases[i], &ms), -ERANGE);
		assert_int_equal(ms, 77);
	}
}

static void test_print(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{0, "0s"},
		{1, "1ms"},
		{999, "999ms"},
		{1000, "1s"},
		{1500, "1.5s"},
		{1050, "1.05s"},
		{1005, "1.005s"},
		{59999, "59.999s"},
		{60000, "1m"},
		{60500, "1m0.5s"},
		{90000, "1m30s"},
		{3600000, "1h"},
		{3600001, "1h0.001s"},
		{43200000, "12h"},
		{86400000, "24h"},
		{5400000, "1h30m"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char buffer[32];
		struct text t = TEXT(buffer);

		duration_print(cases[i].ms, &t);
		assert_string_equal(buffer, cases[i].text);
	}
}

static void check_round_trip(uint64_t ms)
{
	char buffer[32];
	struct text t = TEXT(buffer);
	uint64_t again = ~ms;

	duration_print(ms, &t);
	assert_false(t.cut);
	assert_int_equal(duration_parse(buffer, &again), 0);
	assert_int_equal(again, ms);
}

static void test_round_trip(void **state)
{
	uint64_t seed = 1;

	for (uint64_t ms = 0; ms < 130000; ms++)
		check_round_trip(ms);
	for (unsigned i = 0; i < 20000; i++)
		check_round_trip(next_random(&seed) % (YEAR_MS + 1));
	check_round_trip(YEAR_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),       cmocka_unit_test(test_bad),
		cmocka_unit_test(test_too_long),   cmocka_unit_test(test_print),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_microseconds),
	};

	return cmocka_run_group_tests_name("duration", tests, NULL, NULL);
}
