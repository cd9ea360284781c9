/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "util/grade.h"

static struct grade_point at(const struct grade *g, double to, uint64_t ms)
{
	struct grade_point p;

	grade_at(g, to, ms, &p);
	return p;
}

static void expect(const struct grade *g, uint64_t ms, double value, bool on, uint64_t next_ms)
{
	struct grade_point p = at(g, 100, ms);

	if (on)
		assert_float_equal(p.value, value, 1e-9);
	assert_int_equal(p.on, on);
	assert_int_equal(p.next_ms, next_ms);
}

static void test_flat(void **state)
{
	struct grade g = {.from = 10, .steps = 5};

	assert_true(grade_is_flat(&g));
	expect(&g, 0, 100, true, GRADE_NEVER);
	expect(&g, 1000000, 100, true, GRADE_NEVER);
}

static void test_ramp(void **state)
{
	struct grade g = {.from = 20, .over_ms = 1000, .steps = 4};

	assert_false(grade_is_flat(&g));
	expect(&g, 0, 20, true, 250);
	expect(&g, 249, 20, true, 250);
	expect(&g, 250, 40, true, 500);
	expect(&g, 500, 60, true, 750);
	expect(&g, 999, 80, true, 1000);
	expect(&g, 1000, 100, true, GRADE_NEVER);
}

static void test_ramp_down(void **state)
{
	struct grade g = {.from = 100, .over_ms = 1000, .steps = 2};

	assert_float_equal(at(&g, 0, 0).value, 100, 1e-9);
	assert_float_equal(at(&g, 0, 500).value, 50, 1e-9);
	assert_float_equal(at(&g, 0, 1000).value, 0, 1e-9);
}

/* Each time that is named as the next change must show a change: never the same time again. */
static void test_next_is_reached(void **state)
{
	for (uint64_t steps = 1; steps <= 1000; steps += 37) {
		for (uint64_t over = 100; over < 20000; over += 777) {
			struct grade g = {.from = 0, .over_ms = over, .steps = steps};
			struct grade_point p = at(&g, 100, 0);
			double last = p.value;
			unsigned n = 0;

			while (p.next_ms != GRADE_NEVER) {
				uint64_t now = p.next_ms;

				p = at(&g, 100, now);
				assert_true(p.next_ms > now);
				assert_true(p.value > last);
				last = p.value;
				assert_true(++n <= steps);
			}
			assert_float_equal(last, 100, 1e-9);
		}
	}
}

static void test_waves(void **state)
{
	struct grade g = {.every_ms = 1000, .for_ms = 300};

	expect(&g, 0, 100, true, 300);
	expect(&g, 299, 100, true, 300);
	expect(&g, 300, 0, false, 1000);
	expect(&g, 999, 0, false, 1000);
	expect(&g, 1000, 100, true, 1300);
	expect(&g, 5300, 0, false, 6000);
}

/* The ramp goes on while a wave is off; what is off does not change before it is on again. */
static void test_both(void **state)
{
	struct grade g = {.from = 0, .over_ms = 4000, .steps = 4, .every_ms = 2000, .for_ms = 1500};

	expect(&g, 0, 0, true, 1000);
	expect(&g, 1000, 25, true, 1500);
	expect(&g, 1500, 0, false, 2000);
	expect(&g, 2000, 50, true, 3000);
	expect(&g, 3500, 0, false, 4000);
	expect(&g, 4000, 100, true, 5500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flat),  cmocka_unit_test(test_ramp),
		cmocka_unit_test(test_waves), cmocka_unit_test(test_ramp_down),
		cmocka_unit_test(test_both),  cmocka_unit_test(test_next_is_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
