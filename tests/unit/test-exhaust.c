/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of resource-exhaust: shares, descriptor numbers, port lists. */
#include "test.h"

#include "host/exhaust.h"
#include "load/share.h"
#include "util/gauge.h"

static uint64_t percent(double value, uint64_t reserve, uint64_t limit, uint64_t used,
			uint64_t held)
{
	const struct share s = {true, value, reserve};
	const struct gauge g = {limit, used};

	return share_want(&s, &g, held);
}

static uint64_t count(double value, uint64_t reserve, uint64_t limit, uint64_t used, uint64_t held)
{
	const struct share s = {false, value, reserve};
	const struct gauge g = {limit, used};

	return share_want(&s, &g, held);
}

static void test_percent(void **state)
{
	assert_int_equal(percent(100, 0, 200, 10, 0), 190);
	assert_int_equal(percent(100, 0, 200, 200, 190), 190);
	assert_int_equal(percent(50, 0, 200, 10, 0), 90);
	assert_int_equal(percent(50, 0, 200, 150, 0), 0);
	/* Others take some: we have that many fewer. */
	assert_int_equal(percent(100, 10, 200, 10, 0), 180);
	assert_int_equal(percent(100, 10, 200, 195, 180), 175);
	/* More is in use than there may be. */
	assert_int_equal(percent(100, 0, 200, 250, 30), 0);
	assert_int_equal(percent(100, 10, 5, 0, 0), 0);
	/* What was read is older than what was taken. */
	assert_int_equal(percent(100, 0, 200, 10, 50), 200);
	assert_int_equal(percent(100, 256, INT64_MAX, 600, 0), (uint64_t)INT64_MAX - 856);
	assert_int_equal(percent(100, 0, GAUGE_NO_LIMIT, 0, 0), 1ULL << 63);
}

static void test_count(void **state)
{
	assert_int_equal(count(50, 0, 200, 10, 0), 50);
	assert_int_equal(count(50, 0, 200, 180, 0), 20);
	assert_int_equal(count(50, 10, 200, 180, 0), 10);
	assert_int_equal(count(50, 10, 200, 240, 50), 0);
	assert_int_equal(count(49.9, 0, 200, 0, 0), 49);
	assert_int_equal(count(0, 0, 200, 0, 0), 0);
}

static struct descriptors open_up_to(unsigned n)
{
	struct descriptors d = {.limit = 1024, .hard = 4096, .used = n};

	for (unsigned i = 0; i < n && i < DESCRIPTORS_SHOWN; i++)
		bit_set(d.open, i);
	return d;
}

static void test_descriptors(void **state)
{
	struct descriptors d = open_up_to(8);

	assert_int_equal(descriptors_limit_for(&d, 0), 8);
	assert_int_equal(descriptors_limit_for(&d, 5), 13);
	/* One far off changes nothing for those that come next. */
	bit_set(d.open, 900);
	d.used++;
	assert_int_equal(descriptors_limit_for(&d, 0), 8);
	assert_int_equal(descriptors_limit_for(&d, 892), 901);
	assert_int_equal(descriptors_limit_for(&d, 893), 902);
	/* Gaps are filled first. */
	bit_clear(d.open, 2);
	bit_clear(d.open, 4);
	d.used -= 2;
	assert_int_equal(descriptors_limit_for(&d, 0), 2);
	assert_int_equal(descriptors_limit_for(&d, 1), 4);
	assert_int_equal(descriptors_limit_for(&d, 2), 8);
	assert_int_equal(descriptors_limit_for(&d, 3), 9);
}

static void test_many_descriptors(void **state)
{
	struct descriptors d = open_up_to(DESCRIPTORS_SHOWN + 100);

	assert_int_equal(descriptors_limit_for(&d, 0), DESCRIPTORS_SHOWN + 100);
	assert_int_equal(descriptors_limit_for(&d, 7), DESCRIPTORS_SHOWN + 107);
	bit_clear(d.open, 3);
	d.used--;
	assert_int_equal(descriptors_limit_for(&d, 0), 3);
	assert_int_equal(descriptors_limit_for(&d, 1), DESCRIPTORS_SHOWN + 100);
	assert_int_equal(descriptors_limit_for(&d, 3), DESCRIPTORS_SHOWN + 102);
}

static unsigned left(const char *list, int *ret)
{
	uint64_t bits[PORT_BITS];
	unsigned n = 0;

	memset(bits, 0xff, sizeof(bits));
	*ret = gauge_ports_remove(list, bits);
	for (size_t i = 0; i < 65536; i++)
		n += (unsigned)bit_get(bits, i);
	return n;
}

static void test_ports(void **state)
{
	int r;

	assert_int_equal(left("", &r), 65536);
	assert_int_equal(r, 0);
	assert_int_equal(left("8080", &r), 65535);
	assert_int_equal(r, 0);
	assert_int_equal(left("1-10,20,30-31", &r), 65536 - 13);
	assert_int_equal(r, 0);
	assert_int_equal(left("0-65535", &r), 0);
	assert_int_equal(r, 0);
	(void)left("x", &r);
	assert_int_equal(r, -EBADMSG);
	(void)left("1-", &r);
	assert_int_equal(r, -EBADMSG);
	(void)left("1-99999999", &r);
	assert_int_equal(r, 0);
}

static void test_own(void **state)
{
	struct gauge files, pids, cgroup;
	uint64_t ports[PORT_BITS];

	assert_int_equal(gauge_files_read(&files), 0);
	assert_true(files.used > 0 && files.used <= files.limit);
	assert_int_equal(gauge_pids_read(&pids), 0);
	assert_true(pids.used > 0 && pids.used <= pids.limit);
	assert_int_equal(gauge_own_cgroup_read(&cgroup), 0);
	assert_true(gauge_ports_read(ports) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percent),     cmocka_unit_test(test_count),
		cmocka_unit_test(test_descriptors), cmocka_unit_test(test_many_descriptors),
		cmocka_unit_test(test_ports),       cmocka_unit_test(test_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
