/* SPDX-License-Identifier: Apache-2.0 */
/* plan/values: ports, prefixes, lists. */
#include "test.h"

#include <stdio.h>

#include "plan/values.h"

static void test_ports(void **state)
{
	static const struct {
		const char *item;
		int result;
		unsigned first, last;
	} cases[] = {
		{"1", 0, 1, 1},
		{"443", 0, 443, 443},
		{"65535", 0, 65535, 65535},
		{"8000-8010", 0, 8000, 8010},
		{"1-65535", 0, 1, 65535},
		{"7-7", 0, 7, 7},
		{"0", -ERANGE, 0, 0},
		{"65536", -ERANGE, 0, 0},
		{"0-5", -ERANGE, 0, 0},
		{"5-65536", -ERANGE, 0, 0},
		{"99999999999999999999999", -EINVAL, 0, 0},
		{"9-8", -EINVAL, 0, 0},
		{"", -EINVAL, 0, 0},
		{"-", -EINVAL, 0, 0},
		{"5-", -EINVAL, 0, 0},
		{"-5", -EINVAL, 0, 0},
		{"1-2-3", -EINVAL, 0, 0},
		{"http", -EINVAL, 0, 0},
		{"1 - 2", -EINVAL, 0, 0},
		{"0x50", -EINVAL, 0, 0},
		{"80.0", -EINVAL, 0, 0},
		{"1-99999999999999999999999", -ERANGE, 0, 0},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct port_list list = {0};

		assert_int_equal(port_list_add(&list, cases[i].item), cases[i].result);
		assert_int_equal(list.n, cases[i].result == 0);
		assert_int_equal(list.range[0].first, cases[i].first);
		assert_int_equal(list.range[0].last, cases[i].last);
	}
}

static void test_ports_full(void **state)
{
	struct port_list list = {0};

	for (unsigned i = 0; i < PORT_RANGES_MAX; i++)
		assert_int_equal(port_list_add(&list, "80"), 0);
	assert_int_equal(port_list_add(&list, "80"), -E2BIG);
	assert_int_equal(list.n, PORT_RANGES_MAX);
}

static void test_cidrs(void **state)
{
	static const struct {
		const char *item;
		const char *printed;
	} cases[] = {
		{"10.0.0.0/8", "10.0.0.0/8"},
		{"10.1.2.3/8", "10.0.0.0/8"},
		{"10.1.2.3", "10.1.2.3/32"},
		{"10.1.2.255/25", "10.1.2.128/25"},
		{"255.255.255.255/1", "128.0.0.0/1"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"1.2.3.4/0", "0.0.0.0/0"},
		{"2001:db8::1", "2001:db8::1/128"},
		{"2001:db8::1/32", "2001:db8::/32"},
		{"2001:DB8:0::1/127", "2001:db8::/127"},
		{"::/0", "::/0"},
		{"::1", "::1/128"},
		{"fe80::1/9", "fe80::/9"},
		{"::ffff:10.1.2.3", "10.1.2.3/32"}, /* the same host */
		{"::ffff:10.1.2.3/104", "10.0.0.0/8"},
		{"::ffff:0:0/96", "0.0.0.0/0"},
		{"::ffff:0:0/95", "::fffe:0:0/95"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cidr_list list = {0};
		char buffer[64];
		struct text t = TEXT(buffer);

		assert_int_equal(cidr_list_add(&list, cases[i].item), 0);
		assert_int_equal(list.n, 1);
		cidr_print(&list.cidr[0], &t);
		assert_string_equal(buffer, cases[i].printed);
		/* what is printed is read back as the same thing */
		assert_int_equal(cidr_list_add(&list, buffer), 0);
		assert_memory_equal(&list.cidr[0], &list.cidr[1], sizeof(list.cidr[0]));
	}
}

static void test_cidrs_bad(void **state)
{
	static const struct {
		const char *item;
		int result;
	} cases[] = {
		{"", -EINVAL},
		{"/8", -EINVAL},
		{"10.0.0.0/", -EINVAL},
		{"10.0.0/8", -EINVAL},
		{"10.0.0.256", -EINVAL},
		{"10.0.0.0/33", -ERANGE},
		{"::/129", -ERANGE},
		{"10.0.0.0/-1", -EINVAL},
		{"10.0.0.0/255.0.0.0", -EINVAL},
		{"10.0.0.0/8/8", -EINVAL},
		{"example.com", -EINVAL},
		{"fe80::1%eth0", -EINVAL},
		{"[::1]", -EINVAL},
		{"::ffff:10.0.0.1/129", -ERANGE},
		{"1:2:3:4:5:6:7:8:9", -EINVAL},
		{"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", -EINVAL},
		{" 10.0.0.1", -EINVAL},
		{"10.0.0.0/99999999999999999999999", -EINVAL},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cidr_list list = {0};

		assert_int_equal(cidr_list_add(&list, cases[i].item), cases[i].result);
		assert_int_equal(list.n, 0);
	}
}

/* Every length: bits behind it are gone, bits before it stay. */
static void test_cidr_mask(void **state)
{
	for (unsigned bits = 0; bits <= 128; bits++) {
		struct cidr_list list = {0};
		char item[64];

		(void)snprintf(item, sizeof(item), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/%u",
			       bits);
		assert_int_equal(cidr_list_add(&list, item), 0);
		for (unsigned i = 0; i < 128; i++)
			assert_int_equal(list.cidr[0].addr[i / 8] >> (7 - i % 8) & 1, i < bits);
	}
}

static void test_cidrs_full(void **state)
{
	struct cidr_list list = {0};

	for (unsigned i = 0; i < CIDRS_MAX; i++)
		assert_int_equal(cidr_list_add(&list, "::1"), 0);
	assert_int_equal(cidr_list_add(&list, "::1"), -E2BIG);
	assert_int_equal(list.n, CIDRS_MAX);
}

static void test_host_names(void **state)
{
	static const char label63[] =
		"a23456789012345678901234567890123456789012345678901234567890123";
	static const char *const good[] = {
		"a",      "S3",        "use1-az1", "api.example.com", "a_b.c",
		"x.y.z.", "7.example", "1a",       "10.0.0.1.nip",    label63};
	static const char *const bad[] = {"",     ".",           "a..b",      ".a",    "a.-b",
					  "a-.b", "-a",          "a b",       "a/8",   "10",
					  "10.0", "10.0.0.256",  "::1::",     "a.b.1", "a.b.1.",
					  "a%b",  "\xc3\xa4.de", "fe80::1%lo"};
	char longest[300], item[80];

	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(is_host_name(good[i]));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(is_host_name(bad[i]));
	(void)snprintf(item, sizeof(item), "%sb", label63);
	assert_false(is_host_name(item));
	(void)snprintf(longest, sizeof(longest), "%s.%s.%s.%.61s", label63, label63, label63,
		       label63);
	assert_int_equal(strlen(longest), 253);
	assert_true(is_host_name(longest));
	(void)strcat(longest, "x");
	assert_false(is_host_name(longest));
}

static void test_peers(void **state)
{
	struct peer_list list = {0};
	char buffer[128];
	struct text t = TEXT(buffer);

	assert_int_equal(peer_list_add(&list, "db.example.com"), 0);
	assert_int_equal(peer_list_add(&list, "10.1.2.3/8"), 0);
	assert_int_equal(peer_list_add(&list, "::1"), 0);
	assert_int_equal(peer_list_add(&list, "S3"), 0);
	assert_int_equal(peer_list_add(&list, "10.0.0.0/33"), -ERANGE);
	assert_int_equal(peer_list_add(&list, "10.0.0.256"), -EINVAL);
	assert_int_equal(peer_list_add(&list, "a b"), -EINVAL);
	assert_false(list.all);
	assert_int_equal(peer_list_add(&list, "aLL"), 0);
	assert_true(list.all);
	peer_list_print(&list, &t);
	assert_string_equal(buffer, "10.0.0.0/8,::1/128,db.example.com,S3,ALL");
	while (list.names.n < NAMES_MAX)
		assert_int_equal(peer_list_add(&list, "x"), 0);
	assert_int_equal(peer_list_add(&list, "x"), -E2BIG);
}

static void test_cidr_holds(void **state)
{
	static const struct {
		const char *outer, *inner;
		bool holds;
	} cases[] = {
		{"10.0.0.0/8", "10.1.2.3", true},
		{"10.0.0.0/8", "10.0.0.0/8", true},
		{"10.0.0.0/8", "10.0.0.0/7", false},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"0.0.0.0/0", "1.2.3.4", true},
		{"::/0", "1.2.3.4", false},
		{"0.0.0.0/0", "::1", false},
		{"::/0", "::1", true},
		{"2001:db8::/32", "2001:db8::5", true},
		{"2001:db8::/33", "2001:db8:8000::", false},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cidr_list list = {0};

		assert_int_equal(cidr_list_add(&list, cases[i].outer), 0);
		assert_int_equal(cidr_list_add(&list, cases[i].inner), 0);
		assert_int_equal(cidr_holds(&list.cidr[0], &list.cidr[1]), cases[i].holds);
	}
}

static void test_names(void **state)
{
	struct name_list list = {0};
	char name[NAME_TEXT_MAX + 1];

	memset(name, 'n', sizeof(name));
	name[NAME_TEXT_MAX] = '\0';
	assert_int_equal(name_list_add(&list, name), -ERANGE);
	assert_int_equal(list.n, 0);
	name[NAME_TEXT_MAX - 1] = '\0';
	for (unsigned i = 0; i < NAMES_MAX; i++)
		assert_int_equal(name_list_add(&list, name), 0);
	assert_int_equal(name_list_add(&list, "x"), -E2BIG);
	assert_string_equal(list.name[NAMES_MAX - 1], name);
}

static void test_numbers(void **state)
{
	struct number_list list = {0};

	assert_int_equal(number_list_add(&list, "-1"), -ERANGE);
	assert_int_equal(number_list_add(&list, "x"), -EINVAL);
	assert_int_equal(number_list_add(&list, "1.5"), -EINVAL);
	assert_int_equal(number_list_add(&list, "2147483648"), -ERANGE);
	assert_int_equal(list.n, 0);
	for (unsigned i = 0; i < NUMBERS_MAX; i++)
		assert_int_equal(number_list_add(&list, "2147483647"), 0);
	assert_int_equal(number_list_add(&list, "1"), -E2BIG);
	assert_true(list.number[NUMBERS_MAX - 1] == INT32_MAX);
}

static void test_port_print(void **state)
{
	char buffer[32];
	struct text t = TEXT(buffer);

	port_range_print(&(struct port_range){443, 443}, &t);
	text_add(&t, " ");
	port_range_print(&(struct port_range){1, 65535}, &t);
	assert_string_equal(buffer, "443 1-65535");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),      cmocka_unit_test(test_ports_full),
		cmocka_unit_test(test_cidrs),      cmocka_unit_test(test_cidrs_bad),
		cmocka_unit_test(test_cidr_mask),  cmocka_unit_test(test_cidrs_full),
		cmocka_unit_test(test_host_names), cmocka_unit_test(test_peers),
		cmocka_unit_test(test_cidr_holds), cmocka_unit_test(test_names),
		cmocka_unit_test(test_numbers),    cmocka_unit_test(test_port_print),
	};

	return cmocka_run_group_tests_name("values", tests, NULL, NULL);
}
