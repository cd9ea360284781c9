/* SPDX-License-Identifier: Apache-2.0 */
/* Which action may start when, against a model that looks at everything each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "experiment/schedule.h"

#define ACTIONS_MAX 20
#define GRAPHS      500

struct graph {
	struct schedule_action action[ACTIONS_MAX];
	size_t after[ACTIONS_MAX][ACTIONS_MAX];
	size_t n;
};

static unsigned state = 1;

static unsigned chance(unsigned n)
{
	state = state * 1103515245 + 12345;
	return state / 65536 % n;
}

static void add_edge(struct graph *g, size_t from, size_t to)
{
	struct schedule_action *a = &g->action[to];

	g->after[to][a->n_after++] = from;
	a->after = g->after[to];
}

/* Edges from earlier to later ones: no cycle. */
static void make_graph(struct graph *g)
{
	memset(g, 0, sizeof(*g));
	g->n = 1 + chance(ACTIONS_MAX);
	for (size_t to = 1; to < g->n; to++) {
		for (size_t from = 0; from < to; from++) {
			if (chance(4) == 0)
				add_edge(g, from, to);
		}
	}
}

static bool done(enum run_status s)
{
	return s == RUN_COMPLETED || s == RUN_SKIPPED;
}

static bool model_may_start(const struct graph *g, size_t i)
{
	if (g->action[i].status != RUN_PENDING)
		return false;
	for (size_t j = 0; j < g->action[i].n_after; j++) {
		if (!done(g->action[g->after[i][j]].status))
			return false;
	}
	return true;
}

static size_t under_way(const struct graph *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		n += g->action[i].status == RUN_RUNNING;
	return n;
}

static void check_ready(struct graph *g, size_t parallel)
{
	size_t ready[ACTIONS_MAX], expected[ACTIONS_MAX], n_expected = 0;
	size_t n = schedule_ready(g->action, g->n, parallel, ready, ACTIONS_MAX);

	for (size_t i = 0; i < g->n && under_way(g) + n_expected < parallel; i++) {
		if (model_may_start(g, i))
			expected[n_expected++] = i;
	}
	assert_int_equal(n, n_expected);
	assert_memory_equal(ready, expected, n * sizeof(ready[0]));
	for (size_t i = 0; i < n; i++)
		g->action[ready[i]].status = RUN_RUNNING;
}

static void end_one(struct graph *g)
{
	size_t i = chance((unsigned)g->n);

	while (g->action[i].status != RUN_RUNNING)
		i = (i + 1) % g->n;
	g->action[i].status = chance(5) ? RUN_COMPLETED : RUN_SKIPPED;
}

static void test_random_graphs(void **unused)
{
	for (int i = 0; i < GRAPHS; i++) {
		struct graph g;
		size_t parallel = 1 + chance(10);

		make_graph(&g);
		assert_int_equal(schedule_find_cycle(g.action, g.n), -1);
		while (!schedule_is_over(g.action, g.n)) {
			check_ready(&g, parallel);
			assert_true(under_way(&g) > 0);
			assert_true(under_way(&g) <= parallel);
			end_one(&g);
		}
	}
}

static void test_failed_holds_back(void **unused)
{
	struct graph g = {.n = 2};
	size_t ready[2];

	add_edge(&g, 0, 1);
	g.action[0].status = RUN_FAILED;
	assert_int_equal(schedule_ready(g.action, 2, 10, ready, 2), 0);
	g.action[0].status = RUN_STOPPED;
	assert_int_equal(schedule_ready(g.action, 2, 10, ready, 2), 0);
	g.action[0].status = RUN_SKIPPED;
	assert_int_equal(schedule_ready(g.action, 2, 10, ready, 2), 1);
}

/* Is `at` reached again from itself? */
static bool is_in_cycle(const struct graph *g, size_t at)
{
	bool seen[ACTIONS_MAX] = {false};
	size_t todo[ACTIONS_MAX * ACTIONS_MAX], n = 0;

	todo[n++] = at;
	while (n > 0) {
		size_t i = todo[--n];

		for (size_t j = 0; j < g->action[i].n_after; j++) {
			size_t from = g->after[i][j];

			if (from == at)
				return true;
			if (!seen[from])
				todo[n++] = from;
			seen[from] = true;
		}
	}
	return false;
}

static void test_cycles(void **unused)
{
	for (int i = 0; i < GRAPHS; i++) {
		struct graph g;
		size_t a, b;
		int found;

		make_graph(&g);
		a = chance((unsigned)g.n);
		b = chance((unsigned)g.n);
		add_edge(&g, a, b);
		if (a != b)
			add_edge(&g, b, a);
		found = schedule_find_cycle(g.action, g.n);
		assert_true(found >= 0);
		assert_true(is_in_cycle(&g, (size_t)found));
	}
}

static void test_names(void **unused)
{
	assert_string_equal(run_status_name(RUN_CANCELLED), "cancelled");
	for (int s = 0; s < _RUN_STATUS_MAX; s++)
		assert_non_null(run_status_name((enum run_status)s));
	assert_false(run_status_is_over(RUN_STOPPING));
	assert_true(run_status_is_over(RUN_SKIPPED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_graphs),
		cmocka_unit_test(test_failed_holds_back),
		cmocka_unit_test(test_cycles),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
