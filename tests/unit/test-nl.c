/* SPDX-License-Identifier: Apache-2.0 */
/* util/nl: requests as text and back. What is no request is refused: it would be sent to the
 * kernel. */
#include "test.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>

#include "util/nl.h"

static void print(const struct nl_request *q, char *to, size_t size)
{
	struct text t = {.data = to, .size = size};

	to[0] = '\0';
	nl_print(q, &t);
	assert_false(t.cut);
}

static void test_round_trip(void **state)
{
	static const char odd[] = "\x00\xff\x7f";
	char text[512], again[512];
	struct nl_request q, back;
	struct rtmsg *route = nl_begin(&q, RTM_NEWROUTE, NLM_F_CREATE, sizeof(*route));

	route->rtm_family = 2;
	route->rtm_table = 254;
	nl_put_u32(&q, RTA_OIF, 7);
	nl_put(&q, RTA_METRICS, odd, sizeof(odd));
	nl_put(&q, RTA_ENCAP, NULL, 0);
	print(&q, text, sizeof(text));
	assert_int_equal(nl_read(text, RTM_NEWROUTE, sizeof(*route), &back), 0);
	assert_int_equal(back.header.nlmsg_type, RTM_NEWROUTE);
	assert_int_equal(back.header.nlmsg_flags, NLM_F_REQUEST);
	assert_int_equal(nl_u32(nl_find(&back.header, sizeof(*route), RTA_OIF)), 7);
	assert_memory_equal(RTA_DATA(nl_find(&back.header, sizeof(*route), RTA_METRICS)), odd,
			    sizeof(odd));
	print(&back, again, sizeof(again));
	assert_string_equal(text, again);
}

static void test_malformed(void **state)
{
	static const char header[] = "020000000000000000000000"; /* a struct rtmsg */
	static const char *const tails[] = {
		"0",                    /* half a byte */
		"0g",                   /* no digit */
		"0A000100",             /* not as we write it */
		"0400",                 /* half an attribute */
		"03000100",             /* shorter than itself */
		"08000100",             /* longer than the rest */
		"0800010007000000ffff", /* something behind a whole one */
	};
	char text[3 * NL_MESSAGE_MAX];
	struct nl_request q;

	assert_int_equal(nl_read(header, RTM_NEWROUTE, sizeof(struct rtmsg), &q), 0);
	assert_int_equal(nl_read("", RTM_NEWROUTE, sizeof(struct rtmsg), &q), -EBADMSG);
	assert_int_equal(nl_read("0200", RTM_NEWROUTE, sizeof(struct rtmsg), &q), -EBADMSG);
	for (size_t i = 0; i < COUNT(tails); i++) {
		(void)snprintf(text, sizeof(text), "%s%s", header, tails[i]);
		assert_int_equal(nl_read(text, RTM_NEWROUTE, sizeof(struct rtmsg), &q), -EBADMSG);
	}
	memset(text, '0', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(nl_read(text, RTM_NEWROUTE, sizeof(struct rtmsg), &q), -EBADMSG);
}

#define LOOPBACK 1

static int add_address(uint32_t host)
{
	struct nl_request q;
	struct ifaddrmsg *a = nl_begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*a));
	uint32_t address = htonl(0x0a000000 + host);

	*a = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = LOOPBACK};
	nl_put(&q, IFA_LOCAL, &address, sizeof(address));
	return nl_ask(&q);
}

/* With the first answer the host is changed, while the kernel has not told of all. */
static int change_once(const struct nlmsghdr *m, void *arg)
{
	unsigned *calls = arg;

	return (*calls)++ == 0 ? add_address(10000) : 0;
}

static int count(const struct nlmsghdr *m, void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

static void test_a_dump_that_is_interrupted(void **state)
{
	unsigned calls = 0, quiet = 0;
	struct nl_request q;

	if (unshare(CLONE_NEWNET) < 0)
		skip();
	for (uint32_t i = 1; i <= 500; i++)
		assert_int_equal(add_address(i), 0);
	(void)nl_begin(&q, RTM_GETADDR, 0, sizeof(struct ifaddrmsg));
	assert_int_equal(nl_dump(&q, count, &quiet), 0);
	assert_int_equal(quiet, 500);
	assert_false(q.interrupted);
	(void)nl_begin(&q, RTM_GETADDR, 0, sizeof(struct ifaddrmsg));
	assert_int_equal(nl_dump(&q, change_once, &calls), 0);
	assert_true(q.interrupted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
					   cmocka_unit_test(test_malformed),
					   cmocka_unit_test(test_a_dump_that_is_interrupted)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
