/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU load controller against simulated CPUs: no clock, no load. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "load/cpu_control.h"

#define PERIOD CPU_PERIOD_NS
#define SECOND 1000000000ULL

/* One CPU, shared with others. They come first: harsher than a fair scheduler. */
struct cpu {
	struct cpu_control control;
	double others;        /* the share they want */
	uint64_t overhead_ns; /* CPU time a period costs us besides the burst */
	uint64_t sample_periods;

	uint64_t now, own, busy;
	uint64_t own_last, own_sampled, busy_sampled, at_sampled;
};

static void cpu_init(struct cpu *cpu, double percent, bool total)
{
	*cpu = (struct cpu){.sample_periods = 5};
	cpu_control_init(&cpu->control, percent, total);
}

static uint64_t step(struct cpu *cpu, bool total, uint64_t n)
{
	uint64_t period = cpu->control.period_ns;
	uint64_t free_ns = period - (uint64_t)(cpu->others * (double)period);
	uint64_t burst, used;

	if (total && n % cpu->sample_periods == 0) {
		cpu_control_sample(&cpu->control, cpu->now - cpu->at_sampled,
				   cpu->busy - cpu->busy_sampled, cpu->own - cpu->own_sampled);
		cpu->at_sampled = cpu->now;
		cpu->busy_sampled = cpu->busy;
		cpu->own_sampled = cpu->own;
	}
	burst = cpu_control_burst(&cpu->control, period);
	assert_true(burst <= period);
	used = burst + cpu->overhead_ns;
	if (used > free_ns)
		used = free_ns;

	cpu->now += period;
	cpu->own += used;
	cpu->busy += used + period - free_ns;
	cpu_control_account(&cpu->control, period, used);
	return burst;
}

struct shares {
	double own, busy; /* percent */
};

static struct shares run(struct cpu *cpu, bool total, double seconds)
{
	uint64_t own = cpu->own, busy = cpu->busy, from = cpu->now;
	uint64_t periods = (uint64_t)(seconds * SECOND / (double)cpu->control.period_ns);

	for (uint64_t i = 0; i < periods; i++)
		(void)step(cpu, total, cpu->now / cpu->control.period_ns);
	return (struct shares){
		.own = 100.0 * (double)(cpu->own - own) / (double)(cpu->now - from),
		.busy = 100.0 * (double)(cpu->busy - busy) / (double)(cpu->now - from),
	};
}

static void assert_near(double value, double wanted, double tolerance)
{
	if (fabs(value - wanted) > tolerance)
		fail_msg("%f is not within %f of %f", value, tolerance, wanted);
}

static void test_add_is_exact_at_every_percentage(void **state)
{
	static const double percents[] = {0.1, 1, 10, 25, 33.3, 50, 75, 90, 99.5, 100};

	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		struct cpu cpu;

		cpu_init(&cpu, percents[i], false);
		assert_near(run(&cpu, false, 1).own, percents[i], 0.02);
		assert_near(run(&cpu, false, 5).own, percents[i], 0.002);
	}
}

static void test_add_first_period_is_the_share(void **state)
{
	struct cpu_control c;

	cpu_control_init(&c, 25, false);
	assert_int_equal(cpu_control_burst(&c, PERIOD), PERIOD / 4);
	cpu_control_init(&c, 100, false);
	assert_int_equal(cpu_control_burst(&c, PERIOD), PERIOD);
}

static void test_add_cost_of_the_loop_is_part_of_the_load(void **state)
{
	struct cpu cpu;

	cpu_init(&cpu, 1, false);
	cpu.overhead_ns = 50000;
	(void)run(&cpu, false, 1);
	assert_near(run(&cpu, false, 5).own, 1, 0.01);
}

static void test_add_late_wakeups_are_made_up_for(void **state)
{
	struct cpu_control c;
	uint64_t own = 0, now = 0;

	cpu_control_init(&c, 50, false);
	for (int i = 0; i < 500; i++) {
		uint64_t late = (uint64_t)(i * 7919 % 3000) * 1000; /* up to 3 ms */
		uint64_t used = cpu_control_burst(&c, PERIOD - late);

		cpu_control_account(&c, PERIOD, used);
		own += used;
		now += PERIOD;
	}
	assert_near(100.0 * (double)own / (double)now, 50, 0.1);
}

static void test_add_ignores_others(void **state)
{
	struct cpu cpu;

	cpu_init(&cpu, 30, false);
	cpu.others = 0.5;
	assert_near(run(&cpu, false, 5).own, 30, 0.01);
	assert_near(run(&cpu, false, 5).busy, 80, 0.1);
}

static void test_add_contention_then_no_storm(void **state)
{
	struct cpu cpu;
	uint64_t full = 0;

	cpu_init(&cpu, 50, false);
	cpu.others = 1; /* nothing is left for us, for a minute */
	assert_near(run(&cpu, false, 60).own, 0, 0.001);

	cpu.others = 0;
	for (uint64_t i = 0; i < 100; i++) {
		if (step(&cpu, false, i) >= PERIOD * 9 / 10)
			full++;
	}
	assert_true(full <= 6);
	assert_near(run(&cpu, false, 1).own, 50, 0.1);
}

static void test_backlog_is_bounded_both_ways(void **state)
{
	for (int total = 0; total <= 1; total++) {
		struct cpu_control c;

		cpu_control_init(&c, 100, total);
		cpu_control_account(&c, UINT64_MAX / 4, 0); /* suspended for a century */
		assert_near(c.backlog_ns, c.limit_ns, 0);
		assert_int_equal(cpu_control_burst(&c, PERIOD), PERIOD);
		cpu_control_account(&c, 0, UINT64_MAX / 4);
		assert_near(c.backlog_ns, -c.limit_ns, 0);
		assert_int_equal(cpu_control_burst(&c, PERIOD), 0);
	}
}

static void test_total_alone_is_as_exact_as_add(void **state)
{
	static const double percents[] = {0.1, 1, 10, 25, 50, 75, 90, 100};

	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		struct cpu cpu;

		cpu_init(&cpu, percents[i], true);
		(void)run(&cpu, true, 1);
		assert_near(run(&cpu, true, 5).busy, percents[i], 0.05);
	}
}

static void test_total_fills_the_difference(void **state)
{
	struct cpu cpu;
	struct shares s;

	cpu_init(&cpu, 70, true);
	cpu.others = 0.4;
	(void)run(&cpu, true, 1.5);
	s = run(&cpu, true, 5);
	assert_near(s.busy, 70, 0.2);
	assert_near(s.own, 30, 0.2);
}

static void test_total_idles_when_others_do_more(void **state)
{
	struct cpu cpu;

	cpu_init(&cpu, 50, true);
	cpu.others = 0.8;
	(void)run(&cpu, true, 1.5);
	assert_near(run(&cpu, true, 10).own, 0, 0.01);
}

static void test_total_follows_others_coming_and_going(void **state)
{
	struct cpu cpu;

	cpu_init(&cpu, 60, true);
	for (int i = 0; i < 4; i++) {
		cpu.others = i % 2 ? 0.9 : 0;
		(void)run(&cpu, true, 2);
		assert_near(run(&cpu, true, 3).busy, i % 2 ? 90 : 60, 0.5);
	}
}

/* Once settled, no period is far from the next: it does not hunt. */
static void test_total_does_not_oscillate(void **state)
{
	struct cpu cpu;

	cpu_init(&cpu, 60, true);
	cpu.others = 0.25;
	(void)run(&cpu, true, 2);
	for (uint64_t i = 0; i < 500; i++) {
		uint64_t burst = step(&cpu, true, cpu.now / PERIOD);

		assert_near((double)burst / PERIOD, 0.35, 0.02);
	}
}

/* Others that come in bursts between two samples still leave the right average. */
static void test_total_average_with_bursty_others(void **state)
{
	struct cpu cpu;
	uint64_t busy, from;

	cpu_init(&cpu, 70, true);
	(void)run(&cpu, true, 2);
	busy = cpu.busy;
	from = cpu.now;
	for (uint64_t i = 0; i < 470; i++) { /* 10 s: 4 periods of 90 %, 7 of none */
		cpu.others = i % 11 < 4 ? 0.9 : 0;
		(void)step(&cpu, true, cpu.now / PERIOD);
	}
	assert_near(100.0 * (double)(cpu.busy - busy) / (double)(cpu.now - from), 70, 1);
}

/* /proc/stat cuts idle time to 10 ms: that must not add up to anything. */
static void test_total_grain_of_proc_stat_is_no_bias(void **state)
{
	const uint64_t grain = 10000000;
	uint64_t now = 0, own = 0, now_last = 0, own_last = 0, idle_last = 0;
	struct cpu_control c;

	cpu_control_init(&c, 37, true);
	for (int i = 1; i <= 2000; i++) {
		uint64_t used = cpu_control_burst(&c, PERIOD);

		now += PERIOD;
		own += used;
		cpu_control_account(&c, PERIOD, used);
		if (i % 5 == 0) {
			uint64_t idle = (now - own) / grain * grain;

			cpu_control_sample(&c, now - now_last, now - now_last - (idle - idle_last),
					   own - own_last);
			now_last = now;
			own_last = own;
			idle_last = idle;
		}
	}
	assert_near(100.0 * (double)own / (double)now, 37, 0.1);
}

static void test_total_sample_that_makes_no_sense(void **state)
{
	struct cpu_control c;

	cpu_control_init(&c, 50, true);
	cpu_control_sample(&c, 0, 0, 0); /* no time has gone by */
	assert_false(c.others_known);
	cpu_control_sample(&c, SECOND, 0, SECOND / 2); /* less busy than we alone */
	assert_near(c.others, 0, 0);
	cpu_control_sample(&c, SECOND, 4 * SECOND, 0); /* more than a CPU has */
	assert_near(c.others, 0.5, 0);
}

/* A burst never reaches over what is left until the deadline, and keeps its share in it. */
static void test_burst_is_clipped_to_the_room(void **state)
{
	struct cpu_control c;

	cpu_control_init(&c, 50, false);
	assert_int_equal(cpu_control_burst(&c, 1000000), 500000);
	assert_int_equal(cpu_control_burst(&c, 0), 0);
	cpu_control_account(&c, 10 * PERIOD, 0);
	assert_int_equal(cpu_control_burst(&c, 1000000), 1000000);
}

static void test_next_is_ahead_and_on_the_grid(void **state)
{
	struct cpu_control c;

	cpu_control_init(&c, 50, false);
	for (unsigned cpu = 0; cpu < 1024; cpu += 17) {
		uint64_t t = 123456789012345ULL + cpu * 7919, next = cpu_control_next(&c, cpu, t);

		assert_true(next > t && next <= t + PERIOD);
		assert_int_equal(cpu_control_next(&c, cpu, next), next + PERIOD);
		assert_int_equal(cpu_control_next(&c, cpu, next - 1), next);
	}
	assert_true(cpu_control_next(&c, 0, 0) == PERIOD);
}

static void test_small_loads_wake_up_less_often(void **state)
{
	static const struct {
		double percent;
		uint64_t periods;
	} cases[] = {{0.1, 24}, {1, 5}, {5, 1}, {50, 1}, {100, 1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cpu_control c;

		cpu_control_init(&c, cases[i].percent, false);
		assert_int_equal(c.period_ns, cases[i].periods * PERIOD);
	}
}

/* Whatever the tick, its samples see the share we give, in any window of 5 s. */
static void test_ticks_count_the_load_right(void **state)
{
	static const uint64_t hz[] = {100, 250, 300, 1000};
	static const uint64_t percents[] = {1, 10, 25, 50, 75, 90};

	for (size_t h = 0; h < 4; h++) {
		for (size_t p = 0; p < 6; p++) {
			struct cpu_control c;
			uint64_t tick = SECOND / hz[h], counted[600], sum = 0, start, burst, n;

			cpu_control_init(&c, (double)percents[p], false);
			burst = c.period_ns * percents[p] / 100;
			start = cpu_control_next(&c, 1, 987654321);
			n = 5 * SECOND / c.period_ns;
			for (size_t i = 0; i < 600; i++, start += c.period_ns) {
				sum += (start + burst) / tick - start / tick;
				counted[i] = sum;
			}
			for (size_t i = n; i < 600; i++) {
				double seen = (double)((counted[i] - counted[i - n]) * tick);

				seen /= (double)(n * c.period_ns);
				assert_near(100 * seen, (double)percents[p], 0.6);
			}
		}
	}
}

static void test_stat_idle(void **state)
{
	static const char text[] = "cpu  9 9 9 9 9 9 9 9 9 9\n"
				   "cpu0 1 2 3 400 50 6 7 8 9 10\n"
				   "cpu1 1 2 3 18446744073709551000 0 6 7 8 9 10\n"
				   "cpu11 1 2 3 1100 11 6 7 8 9 10\n"
				   "cpu12 1 2 3\n"
				   "intr 1 2 3\n";
	uint64_t ticks;

	assert_int_equal(cpu_stat_idle(text, 0, &ticks), 0);
	assert_int_equal(ticks, 450);
	assert_int_equal(cpu_stat_idle(text, 1, &ticks), 0);
	assert_int_equal(ticks, 18446744073709551000ULL);
	assert_int_equal(cpu_stat_idle(text, 11, &ticks), 0);
	assert_int_equal(ticks, 1111);
	assert_true(cpu_stat_idle(text, 2, &ticks) < 0);
	assert_true(cpu_stat_idle(text, 12, &ticks) < 0); /* cut short */
	assert_true(cpu_stat_idle("", 0, &ticks) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_is_exact_at_every_percentage),
		cmocka_unit_test(test_add_first_period_is_the_share),
		cmocka_unit_test(test_add_cost_of_the_loop_is_part_of_the_load),
		cmocka_unit_test(test_add_late_wakeups_are_made_up_for),
		cmocka_unit_test(test_add_ignores_others),
		cmocka_unit_test(test_add_contention_then_no_storm),
		cmocka_unit_test(test_backlog_is_bounded_both_ways),
		cmocka_unit_test(test_total_alone_is_as_exact_as_add),
		cmocka_unit_test(test_total_fills_the_difference),
		cmocka_unit_test(test_total_idles_when_others_do_more),
		cmocka_unit_test(test_total_follows_others_coming_and_going),
		cmocka_unit_test(test_total_does_not_oscillate),
		cmocka_unit_test(test_total_average_with_bursty_others),
		cmocka_unit_test(test_total_grain_of_proc_stat_is_no_bias),
		cmocka_unit_test(test_total_sample_that_makes_no_sense),
		cmocka_unit_test(test_burst_is_clipped_to_the_room),
		cmocka_unit_test(test_next_is_ahead_and_on_the_grid),
		cmocka_unit_test(test_small_loads_wake_up_less_often),
		cmocka_unit_test(test_ticks_count_the_load_right),
		cmocka_unit_test(test_stat_idle),
	};

	return cmocka_run_group_tests_name("cpu_control", tests, NULL, NULL);
}
