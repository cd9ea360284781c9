/* SPDX-License-Identifier: Apache-2.0 */
/* The controller of the memory load beside simulated others. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "load/memory_control.h"
#include "util/clock.h"

#define MIB     (1ULL << 20)
#define GIB     (1ULL << 30)
#define RESERVE (64 * MIB)

/* A host with so much memory, others that hold some of it, and workers that share a load. */
struct host {
	uint64_t size, others, now;
	double stall; /* for the next look; negative: none is read */
	unsigned workers;
	struct memory_control control[4];
	uint64_t held[4];
};

static uint64_t held_by_all(const struct host *h)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < h->workers; i++)
		sum += h->held[i];
	return sum;
}

static void host_init(struct host *h, uint64_t size, bool total, uint64_t reserve, unsigned workers)
{
	*h = (struct host){.size = size, .stall = -1, .workers = workers, .now = NSEC_PER_SEC};
	for (unsigned i = 0; i < workers; i++)
		memory_control_init(&h->control[i], total, reserve, workers);
}

static struct memory_sample sample_of(const struct host *h)
{
	uint64_t used = h->others + held_by_all(h);

	return (struct memory_sample){.now_ns = h->now,
				      .available = h->size > used ? h->size - used : 0,
				      .used = used,
				      .stall = h->stall};
}

/* One look of one worker, and the chunk that follows. */
static void step(struct host *h, unsigned i, uint64_t want)
{
	struct memory_sample s = sample_of(h);
	uint64_t wish = memory_control_wish(&h->control[i], want, h->held[i], &s);
	uint64_t goal = memory_control_goal(&h->control[i], wish, h->held[i], &s);
	uint64_t chunk = memory_control_chunk(&h->control[i], &s);

	h->held[i] = goal > h->held[i] + chunk ? h->held[i] + chunk : goal;
}

/* Ten looks a second. */
static void run(struct host *h, uint64_t want, double seconds)
{
	uint64_t end = h->now + (uint64_t)(seconds * 1e9);

	for (; h->now < end; h->now += NSEC_PER_SEC / 10) {
		for (unsigned i = 0; i < h->workers; i++)
			step(h, i, want);
	}
}

static void assert_near(uint64_t got, uint64_t wanted, uint64_t off)
{
	if (got > wanted + off || got + off < wanted)
		fail_msg("%llu MiB, wanted %llu", (unsigned long long)(got / MIB),
			 (unsigned long long)(wanted / MIB));
}

static void test_add_is_exact(void **state)
{
	static const uint64_t wants[] = {4096, 10 * MIB, GIB + 4096, 3 * GIB};

	for (size_t i = 0; i < 4; i++) {
		struct host h;

		host_init(&h, 4 * GIB, false, RESERVE, 1);
		run(&h, wants[i], 30);
		assert_int_equal(h.held[0], wants[i]);
		assert_int_equal(h.control[0].yielded, 0);
		run(&h, 0, 1);
		assert_int_equal(h.held[0], 0);
	}
}

static void test_never_into_the_reserve(void **state)
{
	for (unsigned workers = 1; workers <= 4; workers++) {
		struct host h;

		host_init(&h, GIB, false, RESERVE, workers);
		h.others = 300 * MIB;
		for (int i = 0; i < 300; i++) {
			run(&h, GIB, 0.1);
			assert_true(sample_of(&h).available >= RESERVE);
		}
		assert_near(held_by_all(&h), GIB - 300 * MIB - RESERVE, 16 * MIB);
		for (unsigned i = 0; i < workers; i++)
			assert_int_equal(h.control[i].yielded, 0);
	}
}

/* All look at the same moment: no one sees what the others are about to take. */
static void test_workers_that_look_together(void **state)
{
	struct host h;

	host_init(&h, GIB, false, RESERVE, 4);
	for (int n = 0; n < 300; n++) {
		struct memory_sample s = sample_of(&h);

		for (unsigned i = 0; i < 4; i++)
			h.held[i] = memory_control_goal(&h.control[i], GIB, h.held[i], &s);
		assert_true(sample_of(&h).available >= RESERVE);
		h.now += NSEC_PER_SEC / 10;
	}
}

static void test_gives_back_at_the_next_look(void **state)
{
	for (unsigned workers = 1; workers <= 4; workers += 3) {
		struct host h;

		host_init(&h, GIB, false, RESERVE, workers);
		run(&h, GIB, 10);
		h.others += 50 * MIB;
		assert_true(sample_of(&h).available < RESERVE);
		run(&h, GIB, 0.1);
		assert_true(sample_of(&h).available >= RESERVE - 13 * MIB);
		run(&h, GIB, 1);
		assert_true(sample_of(&h).available >= RESERVE);
		assert_true(h.control[0].yielded >= 1);
	}
}

static void test_gives_back_all_it_has(void **state)
{
	struct host h;
	uint64_t yielded;

	host_init(&h, GIB, false, RESERVE, 1);
	run(&h, GIB, 10);
	h.others = GIB; /* more than we can see is missing: a reserve at a time */
	run(&h, GIB, 2);
	assert_int_equal(h.held[0], 0);
	yielded = h.control[0].yielded;
	run(&h, GIB, 60);
	assert_int_equal(h.held[0], 0);
	assert_int_equal(h.control[0].yielded, yielded); /* there was nothing to give */
}

static void test_comes_back_slowly(void **state)
{
	struct host h;

	host_init(&h, GIB, false, RESERVE, 1);
	run(&h, 800 * MIB, 10);
	h.others = 400 * MIB;
	run(&h, 800 * MIB, 0.5);
	h.others = 0;
	run(&h, 800 * MIB, 1);
	assert_true(h.held[0] < 600 * MIB); /* still calm */
	run(&h, 800 * MIB, 5);
	assert_true(h.held[0] < 700 * MIB);
	run(&h, 800 * MIB, 60);
	assert_int_equal(h.held[0], 800 * MIB);
}

/* Others that take and leave without end: we are driven off ever less often. */
static void test_no_oscillation(void **state)
{
	struct host h;
	uint64_t early = 0, late;

	host_init(&h, GIB, false, RESERVE, 1);
	run(&h, GIB, 10);
	for (int i = 0; i < 120; i++) {
		h.others = i % 2 ? 0 : 200 * MIB;
		run(&h, GIB, 5);
		if (i == 20)
			early = h.control[0].yielded;
	}
	late = h.control[0].yielded;
	assert_true(late - early <= early + 30);
	assert_true(late < 80);
}

static void test_pressure_takes_a_share(void **state)
{
	struct host h;

	host_init(&h, 4 * GIB, false, RESERVE, 1);
	run(&h, GIB, 10);
	h.stall = 0.05;
	run(&h, GIB, 0.1); /* also says that nothing grew since */
	assert_int_equal(h.held[0], GIB);
	h.stall = 0.3;
	run(&h, GIB, 0.1);
	assert_int_equal(h.held[0], GIB / 8 * 7);
	assert_int_equal(h.control[0].yielded, 1);
	h.stall = 0;
	run(&h, GIB, 60);
	assert_int_equal(h.held[0], GIB);
}

static void test_own_filling_pauses_first(void **state)
{
	struct host h;
	uint64_t held;

	host_init(&h, 4 * GIB, false, RESERVE, 1);
	run(&h, GIB, 0.3);
	held = h.held[0];
	assert_true(held > 0 && held < GIB);
	h.stall = 0.5;
	step(&h, 0, GIB);
	assert_int_equal(h.held[0], held); /* paused, nothing given back */
	h.stall = -1;
	run(&h, GIB, 1);
	assert_int_equal(h.held[0], held);
	h.stall = 0;
	run(&h, GIB, 5);
	assert_int_equal(h.held[0], GIB);
	assert_int_equal(h.control[0].yielded, 0);
}

static void test_pressure_that_stays_takes_all(void **state)
{
	struct host h;

	host_init(&h, 4 * GIB, false, RESERVE, 1);
	run(&h, GIB, 10);
	h.stall = 0.9;
	run(&h, GIB, 20);
	assert_int_equal(h.held[0], 0);
}

static void test_without_reserve_nothing_is_spared(void **state)
{
	struct host h;

	host_init(&h, GIB, false, 0, 1);
	h.stall = 1;
	run(&h, 2 * GIB, 10);
	assert_int_equal(h.held[0], 2 * GIB);
	assert_int_equal(h.control[0].yielded, 0);
}

static void test_total_tracks_others(void **state)
{
	static const uint64_t others[] = {0, 100, 700, 300, 1500, 0};

	for (unsigned workers = 1; workers <= 4; workers++) {
		struct host h;

		host_init(&h, 4 * GIB, true, RESERVE, workers);
		for (size_t i = 0; i < 6; i++) {
			uint64_t wanted = others[i] * MIB > GIB ? others[i] * MIB : GIB;

			h.others = others[i] * MIB;
			run(&h, GIB, 10);
			assert_near(sample_of(&h).used, wanted, 2 * MIB);
			assert_int_equal(h.control[0].yielded, 0);
		}
	}
}

static void test_total_leaves_small_changes_alone(void **state)
{
	struct host h;
	uint64_t held;

	host_init(&h, 4 * GIB, true, RESERVE, 1);
	run(&h, 2 * GIB, 10);
	held = h.held[0];
	for (int i = 0; i < 100; i++) {
		h.others = i % 2 ? MIB : 0;
		step(&h, 0, 2 * GIB);
		assert_int_equal(h.held[0], held);
	}
}

static void test_total_keeps_the_reserve(void **state)
{
	struct host h;

	host_init(&h, GIB, true, RESERVE, 1);
	h.others = 200 * MIB;
	run(&h, GIB, 10);
	assert_true(sample_of(&h).available >= RESERVE);
	assert_near(sample_of(&h).used, GIB - RESERVE, 16 * MIB);
}

static void test_chunks_and_intervals_shrink(void **state)
{
	struct memory_control c;
	uint64_t last_chunk = UINT64_MAX, last_interval = UINT64_MAX;

	memory_control_init(&c, false, RESERVE, 1);
	for (uint64_t left = 16 * GIB; left > 0; left /= 2) {
		struct memory_sample s = {.available = left, .stall = -1};
		uint64_t chunk = memory_control_chunk(&c, &s);
		uint64_t interval = memory_control_interval(&c, &s);

		assert_true(chunk <= last_chunk && chunk >= MEMORY_BLOCK_BYTES);
		assert_true(interval <= last_interval && interval >= NSEC_PER_SEC / 50);
		last_chunk = chunk;
		last_interval = interval;
	}
	assert_int_equal(last_chunk, MEMORY_BLOCK_BYTES);
	assert_true(last_interval <= NSEC_PER_SEC / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_is_exact),
		cmocka_unit_test(test_never_into_the_reserve),
		cmocka_unit_test(test_workers_that_look_together),
		cmocka_unit_test(test_gives_back_at_the_next_look),
		cmocka_unit_test(test_gives_back_all_it_has),
		cmocka_unit_test(test_comes_back_slowly),
		cmocka_unit_test(test_no_oscillation),
		cmocka_unit_test(test_pressure_takes_a_share),
		cmocka_unit_test(test_own_filling_pauses_first),
		cmocka_unit_test(test_pressure_that_stays_takes_all),
		cmocka_unit_test(test_without_reserve_nothing_is_spared),
		cmocka_unit_test(test_total_tracks_others),
		cmocka_unit_test(test_total_leaves_small_changes_alone),
		cmocka_unit_test(test_total_keeps_the_reserve),
		cmocka_unit_test(test_chunks_and_intervals_shrink),
	};

	return cmocka_run_group_tests_name("memory_control", tests, NULL, NULL);
}
