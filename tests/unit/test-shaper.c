/* SPDX-License-Identifier: Apache-2.0 */
/* What shapers tell the kernel, read back from the messages, and the shapes of jitter. That it does
 * what it is told is tests/netns/test_shaper.py's. */
#include "test.h"

#include <linux/pkt_sched.h>
#include <math.h>
#include <string.h>

#include "steps/distribution.h"
#include "steps/shaper_device.h"
#include "steps/shaper_tc.h"
#include "util/clock.h"

#define MS NSEC_PER_MSEC

struct moments {
	double mean, deviation, skewness;
};

/* In units of the jitter. */
static struct moments moments_of(const int16_t *table)
{
	struct moments m = {0};
	double cubes = 0;

	for (unsigned i = 0; i < DISTRIBUTION_SIZE; i++)
		m.mean += (double)table[i] / DISTRIBUTION_SCALE / DISTRIBUTION_SIZE;
	for (unsigned i = 0; i < DISTRIBUTION_SIZE; i++) {
		double d = (double)table[i] / DISTRIBUTION_SCALE - m.mean;

		m.deviation += d * d / DISTRIBUTION_SIZE;
		cubes += d * d * d / DISTRIBUTION_SIZE;
	}
	m.deviation = sqrt(m.deviation);
	m.skewness = cubes / (m.deviation * m.deviation * m.deviation);
	return m;
}

static void assert_near(double v, double wanted, double within)
{
	if (fabs(v - wanted) > within)
		fail_msg("%f is not %f within %f", v, wanted, within);
}

static double share_below(const int16_t *table, double deviation)
{
	unsigned n = 0;

	for (unsigned i = 0; i < DISTRIBUTION_SIZE; i++)
		n += (double)table[i] / DISTRIBUTION_SCALE < deviation;
	return (double)n / DISTRIBUTION_SIZE;
}

static void test_normal(void **state)
{
	int16_t table[DISTRIBUTION_SIZE];
	struct moments m;

	distribution_fill(DISTRIBUTION_NORMAL, table);
	m = moments_of(table);
	assert_near(m.mean, 0, 0.001);
	assert_near(m.deviation, 1, 0.005);
	assert_near(m.skewness, 0, 0.001);
	assert_near(share_below(table, 1), 0.8413, 0.0005);
	assert_near(share_below(table, -2), 0.0228, 0.0005);
	assert_near(share_below(table, 3), 0.9987, 0.0005);
	for (unsigned i = 0; i < DISTRIBUTION_SIZE; i++)
		assert_int_equal(table[i], -table[DISTRIBUTION_SIZE - 1 - i]);
}

/* Most come a little early, few much too late. */
static void test_pareto(void **state)
{
	int16_t table[DISTRIBUTION_SIZE];
	struct moments m;

	distribution_fill(DISTRIBUTION_PARETO, table);
	m = moments_of(table);
	assert_near(m.mean, 0, 0.06);
	assert_near(m.deviation, 1, 0.2); /* the cut tail takes some */
	assert_true(m.skewness > 1);
	assert_near((double)table[0] / DISTRIBUTION_SCALE, -2.0 / 3, 0.001);
	assert_int_equal(table[DISTRIBUTION_SIZE - 1], INT16_MAX);
	/* 1 - x^-3 of them are below x */
	assert_near(share_below(table, (2 - 1.5) * 4 / 3), 1 - 1.0 / 8, 0.001);
	assert_near(share_below(table, (4 - 1.5) * 4 / 3), 1 - 1.0 / 64, 0.001);
}

static void test_paretonormal(void **state)
{
	int16_t table[DISTRIBUTION_SIZE];
	struct moments m;

	distribution_fill(DISTRIBUTION_PARETONORMAL, table);
	m = moments_of(table);
	assert_near(m.mean, 0, 0.05);
	assert_near(m.deviation, 1, 0.2); /* the cut tail takes some */
	assert_true(m.skewness > 0.5);
	for (unsigned i = 1; i < DISTRIBUTION_SIZE; i++)
		assert_true(table[i] >= table[i - 1]);
}

static void test_sizes(void **state)
{
	struct netem n = {.delay_ns = 100 * MS, .jitter_ns = 25 * MS};

	/* 200 ms of 10 Gbit/s in packets of 256 bytes. */
	assert_int_equal(shaper_sizes_of(&n, 1500, 10000).netem_packets, 976562);
	assert_int_equal(shaper_sizes_of(&n, 1500, 0).netem_packets, 976562);
	assert_int_equal(shaper_sizes_of(&n, 1500, 1000).netem_packets, 97656);
	assert_int_equal(shaper_sizes_of(&n, 1500, 10).netem_packets, 10000);
	assert_int_equal(shaper_sizes_of(&n, 1500, 100000).netem_packets, 1000000);

	n = (struct netem){.rate_bytes = 125000000, .queue_ms = 200};
	assert_int_equal(shaper_sizes_of(&n, 1500, 0).burst_bytes, 1250000);
	assert_int_equal(shaper_sizes_of(&n, 1500, 0).queue_bytes, 25000000);
	n.rate_bytes = 1000;
	assert_int_equal(shaper_sizes_of(&n, 1500, 0).burst_bytes, 10240);
	assert_int_equal(shaper_sizes_of(&n, 1500, 0).queue_bytes, 10240);
	/* What cannot be split has to fit. */
	assert_int_equal(shaper_sizes_of(&n, 65536, 0).burst_bytes, 65600);
	n.burst_bytes = 2000;
	assert_int_equal(shaper_sizes_of(&n, 1500, 0).burst_bytes, 2000);
	assert_int_equal(shaper_sizes_of(&n, 9000, 0).burst_bytes, 9064);
	n.rate_bytes = 125000000000;
	n.queue_ms = 60000;
	assert_int_equal(shaper_sizes_of(&n, 1500, 0).queue_bytes, UINT32_MAX);

	/* 250000 bytes wait for the rate, and 20 ms of small frames for the delay. */
	n = (struct netem){.rate_bytes = 1250000, .queue_ms = 200, .delay_ns = 20000000};
	assert_int_equal(shaper_sizes_of(&n, 1500, 0).netem_packets, 416 + 160);
	n = (struct netem){.rate_bytes = 1000, .queue_ms = 1, .loss = 5};
	assert_int_equal(shaper_sizes_of(&n, 1500, 0).netem_packets, 32);
}

static struct nlmsghdr *begin(struct nl_request *q)
{
	(void)nl_begin(q, RTM_NEWQDISC, 0, sizeof(struct tcmsg));
	nl_put_string(q, TCA_KIND, "netem");
	return &q->header;
}

/* The attributes of netem stand behind a bare struct. */
static const struct rtattr *in_netem(const struct nlmsghdr *m, uint16_t type)
{
	const struct rtattr *options = nl_find(m, sizeof(struct tcmsg), TCA_OPTIONS);
	const char *p = (const char *)RTA_DATA(options) + sizeof(struct tc_netem_qopt);
	const char *end = (const char *)options + options->rta_len;

	while (end - p >= (long)sizeof(struct rtattr)) {
		const struct rtattr *a = (const struct rtattr *)(const void *)p;

		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
		p += RTA_ALIGN(a->rta_len);
	}
	return NULL;
}

static void netem_of(const struct nlmsghdr *m, struct tc_netem_qopt *ret)
{
	memcpy(ret, RTA_DATA(nl_find(m, sizeof(struct tcmsg), TCA_OPTIONS)), sizeof(*ret));
}

#define ASSERT_DATA(attribute, ...)                                         \
	do {                                                                \
		const struct rtattr *a_ = (attribute);                      \
		__VA_ARGS__;                                                \
		assert_non_null(a_);                                        \
		assert_int_equal(RTA_PAYLOAD(a_), sizeof(wanted));          \
		assert_memory_equal(RTA_DATA(a_), &wanted, sizeof(wanted)); \
	} while (0)

static void test_netem(void **state)
{
	const struct netem n = {.delay_ns = 5000 * MS,
				.jitter_ns = 7,
				.delay_correlation = 11,
				.loss = 12,
				.loss_correlation = 13,
				.duplicate = 14,
				.duplicate_correlation = 15,
				.corrupt = 16,
				.corrupt_correlation = 17,
				.reorder = 18,
				.reorder_correlation = 19};
	struct nl_request q;
	struct nlmsghdr *m = begin(&q);
	struct tc_netem_qopt o;

	shaper_put_netem(&q, &n, 12345, NULL);
	netem_of(m, &o);
	assert_int_equal(o.limit, 12345);
	assert_int_equal(o.loss, 12);
	assert_int_equal(o.duplicate, 14);
	assert_int_equal(o.gap, 1); /* or nothing would be reordered */
	assert_true(nl_u64(in_netem(m, TCA_NETEM_LATENCY64)) == n.delay_ns);
	assert_true(nl_u64(in_netem(m, TCA_NETEM_JITTER64)) == 7);
	ASSERT_DATA(in_netem(m, TCA_NETEM_CORR), const struct tc_netem_corr wanted = {11, 13, 15});
	ASSERT_DATA(in_netem(m, TCA_NETEM_CORRUPT),
		    const struct tc_netem_corrupt wanted = {16, 17});
	ASSERT_DATA(in_netem(m, TCA_NETEM_REORDER),
		    const struct tc_netem_reorder wanted = {18, 19});
	assert_null(in_netem(m, TCA_NETEM_LOSS));
	assert_null(in_netem(m, TCA_NETEM_DELAY_DIST));
}

static void test_loss_models(void **state)
{
	struct netem n = {.loss_model = LOSS_STATE,
			  .loss = 1,
			  .p13 = 2,
			  .p31 = 3,
			  .p32 = 4,
			  .p23 = 5,
			  .p14 = 6};
	struct nl_request q;
	struct nlmsghdr *m = begin(&q);
	struct tc_netem_qopt o;

	shaper_put_netem(&q, &n, 1, NULL);
	netem_of(m, &o);
	assert_int_equal(o.loss, 0);
	ASSERT_DATA(nl_find_in(in_netem(m, TCA_NETEM_LOSS), NETEM_LOSS_GI),
		    const struct tc_netem_gimodel wanted = {
			    .p13 = 2, .p31 = 3, .p32 = 4, .p14 = 6, .p23 = 5});

	n = (struct netem){.loss_model = LOSS_GILBERT_ELLIOT,
			   .ge_p = 1,
			   .ge_r = 2,
			   .ge_h = UINT32_MAX,
			   .ge_k1 = 3};
	m = begin(&q);
	shaper_put_netem(&q, &n, 1, NULL);
	/* All is lost while bad: none survives. */
	ASSERT_DATA(nl_find_in(in_netem(m, TCA_NETEM_LOSS), NETEM_LOSS_GE),
		    const struct tc_netem_gemodel wanted = {.p = 1, .r = 2, .h = 0, .k1 = 3});
}

static void test_table_is_sent_from_where_it_is(void **state)
{
	const struct netem n = {.delay_ns = MS, .jitter_ns = MS};
	int16_t table[DISTRIBUTION_SIZE] = {0};
	struct nl_request q;
	struct nlmsghdr *m = begin(&q);
	const struct rtattr *options;

	shaper_put_netem(&q, &n, 1, table);
	assert_ptr_equal(q.tail, table);
	assert_int_equal(q.tail_size, sizeof(table));
	assert_true(m->nlmsg_len - sizeof(table) <= NL_MESSAGE_MAX);
	options =
		(const struct rtattr *)(const void *)(q.bytes + NLMSG_LENGTH(sizeof(struct tcmsg)) +
						      RTA_SPACE(sizeof("netem")));
	assert_int_equal(options->rta_type, TCA_OPTIONS);
	assert_int_equal((const char *)options + options->rta_len - q.bytes, m->nlmsg_len);
}

static void test_tbf(void **state)
{
	const struct shaper_sizes sizes = {.burst_bytes = 5, .queue_bytes = 7};
	struct nl_request q;
	struct nlmsghdr *m = begin(&q);
	const struct rtattr *options;
	struct tc_tbf_qopt o;

	shaper_put_tbf(&q, 12500000000, &sizes); /* 100 Gbit/s */
	options = nl_find(m, sizeof(struct tcmsg), TCA_OPTIONS);
	assert_true(nl_u64(nl_find_in(options, TCA_TBF_RATE64)) == 12500000000);
	assert_int_equal(nl_u32(nl_find_in(options, TCA_TBF_BURST)), 5);
	memcpy(&o, RTA_DATA(nl_find_in(options, TCA_TBF_PARMS)), sizeof(o));
	assert_int_equal(o.rate.rate, UINT32_MAX);
	assert_int_equal(o.limit, 7);
}

static void test_name_and_mark(void **state)
{
	const struct step_shaper p = {.id = 0xfedc0123};
	char name[SHAPER_NAME_SIZE];

	shaper_name(&p, name);
	assert_string_equal(name, "faultd-fedc0123");
	shaper_peer_name(&p, name);
	assert_string_equal(name, "faultd_fedc0123");
	assert_int_equal(shaper_mark(&p), 0x123);
}

/* What leaves through lo is taken where it arrives. */
static void test_side(void **state)
{
	struct step_shaper p = {.hook = {.ifindex = 2, .direction = CLASSIFY_EGRESS}};

	assert_int_equal(shaper_side(&p), CLASSIFY_EGRESS);
	p.hook.ifindex = LOOPBACK_IFINDEX;
	assert_int_equal(shaper_side(&p), CLASSIFY_INGRESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normal),
		cmocka_unit_test(test_pareto),
		cmocka_unit_test(test_paretonormal),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_netem),
		cmocka_unit_test(test_loss_models),
		cmocka_unit_test(test_table_is_sent_from_where_it_is),
		cmocka_unit_test(test_tbf),
		cmocka_unit_test(test_name_and_mark),
		cmocka_unit_test(test_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
