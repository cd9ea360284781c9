/* SPDX-License-Identifier: Apache-2.0 */
/* plan/plan: a bounded list. */
#include "test.h"

#include "plan/plan.h"

static void test_empty(void **state)
{
	struct plan p = {0};
	struct step s = {.kind = STEP_CHILD};

	assert_false(plan_has(&p, &s));
	assert_int_equal(plan_reserve(&p, 0), 0);
	plan_done(&p);
	plan_done(&p);
	assert_null(p.steps);
	assert_true(p.n == 0 && p.room == 0);
}

static void test_full(void **state)
{
	struct plan p = {0};

	for (unsigned i = 0; i < STEPS_MAX; i++) {
		struct step *s = plan_add(&p, STEP_KILL);
		static const struct step zero = {.kind = STEP_KILL};

		assert_non_null(s);
		assert_memory_equal(s, &zero, sizeof(zero));
		memset(&s->process, 'x', sizeof(s->process));
		s->process.pid = i;
	}
	errno = 0;
	assert_null(plan_add(&p, STEP_KILL));
	assert_int_equal(errno, E2BIG);
	assert_int_equal(p.n, STEPS_MAX);
	for (unsigned i = 0; i < STEPS_MAX; i++)
		assert_int_equal(p.steps[i].process.pid, i);
	plan_done(&p);
}

static void test_reserve(void **state)
{
	struct plan p = {0};
	struct step *steps;

	assert_int_equal(plan_reserve(&p, STEPS_MAX + 1), -E2BIG);
	assert_int_equal(plan_reserve(&p, 100), 0);
	assert_true(p.room >= 100);
	steps = p.steps;
	for (unsigned i = 0; i < 100; i++)
		assert_non_null(plan_add(&p, STEP_CHILD));
	assert_ptr_equal(p.steps, steps); /* no move once there is room */
	assert_int_equal(plan_reserve(&p, STEPS_MAX - 100), 0);
	assert_int_equal(plan_reserve(&p, STEPS_MAX - 99), -E2BIG);
	plan_done(&p);
}

static void test_has(void **state)
{
	struct plan p = {0};
	struct step s = {.kind = STEP_SIGNAL, .process = {.pid = 7, .start = 8}};

	*plan_add(&p, STEP_SIGNAL) = s;
	assert_true(plan_has(&p, &s));
	s.process.start = 9;
	assert_false(plan_has(&p, &s));
	plan_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_has),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
