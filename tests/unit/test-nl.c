/* SPDX-License-Identifier: Apache-2.0 */
/* util/nl: requests as text and back. What is no request is refused: it would be sent to the
 * kernel. */
#include "test.h"

#include <stdio.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
					   cmocka_unit_test(test_malformed)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
