/* SPDX-License-Identifier: Apache-2.0 */
/* load/disk_want: how much a fill holds. */
#include "test.h"

#include "load/disk_want.h"

#define BLOCK 4096ULL
#define MIB   (1ULL << 20)

/* 1000 blocks in all to users, 100 of them used; nothing held. */
static struct disk_space space(void)
{
	return (struct disk_space){.used = 100 * BLOCK,
				   .available = 900 * BLOCK,
				   .free_at_first = 900 * BLOCK,
				   .block = BLOCK};
}

/* What is held is no longer available. */
static void hold(struct disk_space *s, uint64_t bytes)
{
	s->used += bytes - s->held;
	s->available -= bytes - s->held;
	s->held = bytes;
}

static void test_filesystem(void **state)
{
	struct disk_space s = space();

	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 95, 0, &s), 850 * BLOCK);
	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 50, 0, &s), 400 * BLOCK);
	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 10, 0, &s), 0);
	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 0, 0, &s), 0);
	/* All that is available, to the last block. */
	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 100, 0, &s), 900 * BLOCK);
	s.available = s.used = 123456789 * BLOCK;
	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 100, 0, &s), 123456789 * BLOCK);
}

/* Holding what is wanted changes nothing about how much that is. */
static void test_settles(void **state)
{
	static const double values[] = {0, 0.1, 33.3, 50, 99.99, 100};

	for (size_t i = 0; i < COUNT(values); i++) {
		for (int of = DISK_FILESYSTEM; of <= DISK_FREE; of++) {
			struct disk_space s = space();
			uint64_t wanted = disk_wanted((enum disk_of)of, values[i], 5 * BLOCK, &s);

			hold(&s, wanted);
			assert_int_equal(disk_wanted((enum disk_of)of, values[i], 5 * BLOCK, &s),
					 wanted);
		}
	}
}

static void test_follows_others(void **state)
{
	struct disk_space s = space();

	hold(&s, 400 * BLOCK); /* 50 % */
	s.used += 30 * BLOCK;
	s.available -= 30 * BLOCK;
	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 50, 0, &s), 370 * BLOCK);
	s.used -= 130 * BLOCK;
	s.available += 130 * BLOCK;
	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 50, 0, &s), 500 * BLOCK);
	/* Others alone have more than that. */
	s.used += 700 * BLOCK;
	s.available -= 700 * BLOCK - 200 * BLOCK;
	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 50, 0, &s), 0);
}

/* These do not follow: what is asked for is an amount. */
static void test_amounts(void **state)
{
	struct disk_space s = space();

	assert_int_equal(disk_wanted(DISK_FREE, 50, 0, &s), 450 * BLOCK);
	assert_int_equal(disk_wanted(DISK_BYTES, 10 * BLOCK + 1, 0, &s), 10 * BLOCK);
	hold(&s, 100 * BLOCK);
	s.used -= 50 * BLOCK;
	s.available += 50 * BLOCK;
	assert_int_equal(disk_wanted(DISK_FREE, 50, 0, &s), 450 * BLOCK);
	assert_int_equal(disk_wanted(DISK_BYTES, 100.0 * BLOCK, 0, &s), 100 * BLOCK);
	/* Never more than there is. */
	assert_int_equal(disk_wanted(DISK_BYTES, 1e15, 0, &s), 950 * BLOCK);
}

static void test_reserve(void **state)
{
	struct disk_space s = space();

	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 100, 10 * BLOCK, &s), 890 * BLOCK);
	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 50, 10 * BLOCK, &s), 400 * BLOCK);
	assert_int_equal(disk_wanted(DISK_BYTES, 1e15, 1, &s), 899 * BLOCK);
	assert_int_equal(disk_wanted(DISK_FREE, 100, MIB * MIB, &s), 0);
	/* Others took some of it: it is made up for, as far as can be. */
	hold(&s, 890 * BLOCK);
	s.available = 2 * BLOCK;
	assert_int_equal(disk_wanted(DISK_FREE, 100, 10 * BLOCK, &s), 882 * BLOCK);
	hold(&s, 4 * BLOCK);
	s.available = 0;
	assert_int_equal(disk_wanted(DISK_FREE, 100, 10 * BLOCK, &s), 0);
}

/* Counters that are read one after the other need not fit together. */
static void test_odd_counters(void **state)
{
	struct disk_space s = {
		.used = 5 * BLOCK, .available = 10 * BLOCK, .held = 7 * BLOCK, .block = BLOCK};

	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 100, 0, &s), 15 * BLOCK);
	s = (struct disk_space){.block = BLOCK};
	assert_int_equal(disk_wanted(DISK_FILESYSTEM, 100, 0, &s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filesystem),     cmocka_unit_test(test_settles),
		cmocka_unit_test(test_follows_others), cmocka_unit_test(test_amounts),
		cmocka_unit_test(test_reserve),        cmocka_unit_test(test_odd_counters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
