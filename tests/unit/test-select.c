/* SPDX-License-Identifier: Apache-2.0 */
/* actions/select: who is chosen out of a hand-made list of processes, in which order; who is
 * refused. */
#include "test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actions/protect.h"
#include "actions/select.h"

#define FAULTD   20
#define GUARDIAN 21
#define CALLER   60

static struct process people[] = {
	{.pid = 1, .ppid = 0, .start = 1, .state = 'S', .name = "systemd", .command = "/sbin/init"},
	{.pid = 2, .ppid = 0, .start = 1, .state = 'S', .kernel_thread = true, .name = "kthreadd"},
	{.pid = 3, .ppid = 2, .start = 2, .state = 'S', .kernel_thread = true, .name = "worker"},
	{.pid = FAULTD,
	 .ppid = 1,
	 .start = 5,
	 .state = 'S',
	 .name = "other-name",
	 .command = "/usr/bin/x worker"},
	{.pid = GUARDIAN, .ppid = 1, .start = 5, .state = 'S', .name = "worker"},
	{.pid = 22, .ppid = FAULTD, .start = 6, .state = 'S', .name = "worker", .command = "child"},
	{.pid = 30, .ppid = 1, .start = 7, .state = 'S', .name = "sshd", .command = "sshd: root"},
	{.pid = 40,
	 .ppid = 1,
	 .uid = 33,
	 .start = 900,
	 .state = 'S',
	 .name = "worker",
	 .command = "worker -a"},
	{.pid = 41,
	 .ppid = 40,
	 .uid = 33,
	 .start = 300,
	 .state = 'R',
	 .name = "worker",
	 .command = "worker -b"},
	{.pid = 42,
	 .ppid = 1,
	 .uid = 0,
	 .start = 600,
	 .state = 'T',
	 .name = "worker",
	 .command = "worker -c"},
	{.pid = 43, .ppid = 1, .uid = 33, .start = 300, .state = 'Z', .name = "worker"},
	{.pid = 44,
	 .ppid = 1,
	 .uid = 33,
	 .start = 300,
	 .state = 'D',
	 .name = "worker2",
	 .command = "w2 -a"},
	{.pid = CALLER,
	 .ppid = 30,
	 .start = 950,
	 .state = 'S',
	 .name = "worker",
	 .command = "worker"},
};

static const struct policy policy = {.max_faults = 1};

static struct facts facts_of_people(void)
{
	struct facts f = {.policy = &policy,
			  .caller_pid = CALLER,
			  .own_pids = {FAULTD, GUARDIAN},
			  .user = 33,
			  .seed = 1};

	f.processes = (struct process_list){people, COUNT(people)};
	return f;
}

struct chosen {
	pid_t pid[512];
	size_t n;
};

static int choose(const struct process *p, void *arg)
{
	struct chosen *c = arg;

	c->pid[c->n++] = p->pid;
	return 0;
}

static struct chosen choice(const struct selection *s, const struct facts *f)
{
	struct chosen c = {0};

	assert_int_equal(select_each(s, f, choose, &c), 0);
	return c;
}

static void check(const struct selection *s, const pid_t *pids, size_t n)
{
	struct facts f = facts_of_people();
	struct chosen c = choice(s, &f);

	assert_int_equal(c.n, n);
	assert_memory_equal(c.pid, pids, n * sizeof(pids[0]));
}

#define CHECK(which, ...)                                 \
	do {                                              \
		const pid_t expected[] = {__VA_ARGS__};   \
		const struct selection asked = which;     \
		check(&asked, expected, COUNT(expected)); \
	} while (0)

#define S(...) ((struct selection){__VA_ARGS__})

/* Zombies, kernel threads, faultd, its guardian, its children and the caller are never among them.
 */
static void test_criteria(void **state)
{
	CHECK(S(.name = "worker", .order = ORDER_OLDEST), 41, 42, 40);
	CHECK(S(.name = "worker2"), 44);
	CHECK(S(.pattern = "^worker -[ab]$", .order = ORDER_OLDEST), 41, 40);
	CHECK(S(.pattern = "-a", .order = ORDER_OLDEST), 44, 40);
	CHECK(S(.user = "www-data", .order = ORDER_OLDEST), 41, 44, 40);
	CHECK(S(.name = "worker", .user = "www-data", .order = ORDER_OLDEST), 41, 40);
	CHECK(S(.name = "worker", .pattern = "-c"), 42);
	CHECK(S(.pid = {.n = 2, .number = {42, 40}}, .order = ORDER_OLDEST), 42, 40);
	CHECK(S(.pid = {.n = 2, .number = {42, 40}}, .user = "www-data"), 40);
}

/* A target leaves those who are in it, and selectionMode counts processes. */
static void test_target(void **state)
{
	struct facts f = facts_of_people();
	struct chosen c;

	assert_int_equal(choice(&S(.target.cgroup = "/a"), &f).n, 0);
	for (size_t i = 0; i < COUNT(people); i++)
		people[i].aimed = people[i].pid != 41;
	c = choice(&S(.target.cgroup = "/a", .order = ORDER_OLDEST), &f);
	assert_int_equal(c.n, 3);
	assert_int_equal(c.pid[0], 44);
	assert_int_equal(c.pid[1], 42);
	assert_int_equal(c.pid[2], 40);
	assert_int_equal(choice(&S(.name = "worker", .target.unit = "a"), &f).n, 2);
	assert_int_equal(choice(&S(.name = "worker"), &f).n, 3);
	c = choice(&S(.target = {.unit = "a", .selection_mode = "COUNT(1)"}, .order = ORDER_NEWEST),
		   &f);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.pid[0], 40);
	assert_int_equal(choice(&S(.target = {.unit = "a", .selection_mode = "PERCENT(67)"}), &f).n,
			 2);
	assert_int_equal(choice(&S(.name = "worker", .target.selection_mode = "PERCENT(50)"), &f).n,
			 1);
	for (size_t i = 0; i < COUNT(people); i++)
		people[i].aimed = false;
}

static void test_whole(void **state)
{
	assert_true(select_is_whole(&S(.target.cgroup = "/a")));
	assert_true(select_is_whole(&S(.target = {.unit = "a", .selection_mode = "ALL"})));
	assert_true(select_is_whole(&S(.target.container = "a", .all = true)));
	assert_false(select_is_whole(&S(.name = "a")));
	assert_false(select_is_whole(&S(.target.cgroup = "/a", .name = "a")));
	assert_false(select_is_whole(&S(.target.cgroup = "/a", .pattern = "a")));
	assert_false(select_is_whole(&S(.target.cgroup = "/a", .user = "0")));
	assert_false(select_is_whole(&S(.target.cgroup = "/a", .pid = {.n = 1})));
	assert_false(select_is_whole(&S(.target.cgroup = "/a", .count = 1)));
	assert_false(select_is_whole(&S(.target.cgroup = "/a", .percent = 100)));
	assert_false(select_is_whole(&S(.target = {.cgroup = "/a", .selection_mode = "COUNT(1)"})));
}

static void test_nobody(void **state)
{
	struct facts f = facts_of_people();

	assert_int_equal(choice(&S(.name = "work"), &f).n, 0);
	assert_int_equal(choice(&S(.name = "Worker"), &f).n, 0);
	assert_int_equal(choice(&S(.pid = {.n = 1, .number = {43}}), &f).n, 0);
	assert_int_equal(choice(&S(.pid = {.n = 1, .number = {4294967336}}), &f).n,
			 0); /* 40, and 2^32 */
	assert_int_equal(choice(&S(.name = "kthreadd"), &f).n, 0);
	f.processes.n = 0;
	assert_int_equal(choice(&S(.name = "worker", .count = 3), &f).n, 0);
	assert_int_equal(choice(&S(.name = "worker", .percent = 50), &f).n, 0);
}

static void test_orders(void **state)
{
	CHECK(S(.name = "worker", .order = ORDER_OLDEST, .count = 2), 41, 42);
	CHECK(S(.name = "worker", .order = ORDER_NEWEST, .count = 2), 40, 42);
	CHECK(S(.name = "worker", .order = ORDER_NEWEST), 40, 42, 41);
	/* the same age: by pid */
	CHECK(S(.user = "www-data", .order = ORDER_OLDEST, .count = 2), 41, 44);
	CHECK(S(.user = "www-data", .order = ORDER_NEWEST), 40, 44, 41);
}

static void test_count(void **state)
{
	struct facts f = facts_of_people();

	assert_int_equal(choice(&S(.name = "worker", .count = 1), &f).n, 1);
	assert_int_equal(choice(&S(.name = "worker", .count = 3), &f).n, 3);
	assert_int_equal(choice(&S(.name = "worker", .count = 1024), &f).n, 3);
	assert_int_equal(choice(&S(.name = "worker", .all = true), &f).n, 3);
}

/* `n` processes that differ in nothing but pid. */
static struct facts facts_of_many(struct process *room, size_t n)
{
	struct facts f = {.policy = &policy};

	for (size_t i = 0; i < n; i++)
		room[i] = (struct process){.pid = (pid_t)(100 + i),
					   .ppid = 1,
					   .start = 5,
					   .state = 'S',
					   .name = "many"};
	f.processes = (struct process_list){room, n};
	return f;
}

/* Rounded down, but never to none. */
static void test_percent(void **state)
{
	static const struct {
		size_t there;
		int64_t percent;
		size_t chosen;
	} cases[] = {
		{1, 1, 1},      {1, 99, 1},  {1, 100, 1},   {2, 50, 1},  {3, 50, 1},
		{3, 66, 1},     {3, 67, 2},  {3, 99, 2},    {3, 100, 3}, {10, 1, 1},
		{10, 19, 1},    {10, 20, 2}, {100, 33, 33}, {300, 1, 3}, {300, 100, 300},
		{200, 99, 198}, {7, 14, 1},  {7, 15, 1},    {7, 29, 2},
	};
	static struct process room[300];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct facts f = facts_of_many(room, cases[i].there);

		assert_int_equal(choice(&S(.name = "many", .percent = cases[i].percent), &f).n,
				 cases[i].chosen);
	}
}

/* The same seed chooses the same; seeds differ; everyone has a fair chance. */
static void test_random(void **state)
{
	static struct process room[10];
	struct facts f = facts_of_many(room, 10);
	const struct selection s = {.name = "many", .count = 3};
	unsigned hits[10] = {0}, different = 0;
	struct chosen first = choice(&s, &f);

	for (unsigned i = 0; i < 10000; i++) {
		struct chosen c, again;

		f.seed = i;
		c = choice(&s, &f);
		again = choice(&s, &f);
		assert_int_equal(c.n, 3);
		assert_memory_equal(&c, &again, sizeof(c));
		different += memcmp(&c, &first, sizeof(c)) != 0;
		for (size_t k = 0; k < c.n; k++)
			hits[c.pid[k] - 100]++;
	}
	assert_true(different > 9900); /* 1 in 720 is the same by chance */
	for (size_t i = 0; i < 10; i++)
		assert_in_range(hits[i], 2800, 3200); /* 3000 expected, deviation 46 */
}

/* The seed decides, not the order in which /proc was read. */
static void test_random_is_independent_of_order(void **state)
{
	static struct process room[10];
	struct facts f = facts_of_many(room, 10);
	struct chosen c = choice(&S(.name = "many"), &f), turned;

	for (size_t i = 0; i < 5; i++) {
		struct process p = room[i];

		room[i] = room[9 - i];
		room[9 - i] = p;
	}
	turned = choice(&S(.name = "many"), &f);
	assert_memory_equal(&c, &turned, sizeof(c));
}

static int stop(const struct process *p, void *arg)
{
	return ++*(int *)arg == 2 ? -EPIPE : 0;
}

static void test_each_ends(void **state)
{
	struct facts f = facts_of_people();
	int n = 0;

	assert_int_equal(select_each(&S(.name = "worker"), &f, stop, &n), -EPIPE);
	assert_int_equal(n, 2);
	assert_true(select_each(&S(.pattern = "("), &f, stop, &n) < 0);
}

static void test_protected(void **state)
{
	static const struct {
		pid_t pid;
		const char *why;
	} cases[] = {
		{1, "it is PID 1"},
		{2, "it is a kernel thread"},
		{3, "it is a kernel thread"},
		{FAULTD, "it is part of faultd"},
		{GUARDIAN, "it is part of faultd"},
		{22, "it is part of faultd"},
		{30, "its name is protected"},
		{CALLER, "it is the caller"},
		{40, NULL},
		{44, NULL},
	};
	struct facts f = facts_of_people();

	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct process *p = process_list_find(&f.processes, cases[i].pid);
		const char *why = protect_process(p, &f);

		assert_non_null(p);
		if (cases[i].why)
			assert_string_equal(why, cases[i].why);
		else
			assert_null(why);
	}
	/* Without a guardian, pid 0 is nobody. */
	f.own_pids[1] = 0;
	assert_null(protect_process(&(struct process){.pid = 70, .ppid = 0, .name = "a"}, &f));
}

/* From here on with the processes of this machine. */

static int look(const struct selection *s, pid_t caller, struct error *e)
{
	struct facts f = {.policy = &policy, .caller_pid = caller};
	int r;

	memset(e, 0, sizeof(*e));
	r = select_look(s, false, &f, e);
	assert_int_equal(r < 0, e->message[0] != '\0');
	facts_done(&f);
	return r;
}

static void test_look_refuses(void **state)
{
	struct error e;

	assert_int_equal(look(&S(.order = ORDER_NEWEST), 0, &e), -EINVAL);
	assert_string_equal(e.field, "parameters");
	assert_int_equal(look(&S(.name = "a", .count = 1, .percent = 5), 0, &e), -EINVAL);
	assert_int_equal(look(&S(.name = "a", .count = 1, .all = true), 0, &e), -EINVAL);
	assert_string_equal(e.field, "parameters.all");
	assert_int_equal(
		look(&S(.name = "a", .count = 1, .target.selection_mode = "COUNT(1)"), 0, &e),
		-EINVAL);
	assert_string_equal(e.field, "parameters.selectionMode");
	assert_int_equal(
		look(&S(.name = "a", .all = true, .target.selection_mode = "COUNT(1)"), 0, &e),
		-EINVAL);
	assert_int_equal(look(&S(.name = "a", .target.selection_mode = "COUNT(x)"), 0, &e),
			 -EINVAL);
	assert_string_equal(e.field, "parameters.selectionMode");
	assert_int_equal(look(&S(.target = {.unit = "a", .cgroup = "/a"}), 0, &e), -EINVAL);
	assert_string_equal(e.field, "parameters.cgroup");
	assert_int_equal(look(&S(.target.cgroup = "/no-such"), 0, &e), -EINVAL);
	assert_string_equal(e.field, "parameters.cgroup");
	assert_int_equal(look(&S(.name = "no-such-name-xx", .target.empty = EMPTY_SKIP), 0, &e), 0);
	assert_int_equal(look(&S(.target.cgroup = "/no-such", .target.empty = EMPTY_SKIP), 0, &e),
			 0);
	assert_int_equal(look(&S(.user = "no such user"), 0, &e), -EINVAL);
	assert_string_equal(e.field, "parameters.user");
	assert_int_equal(look(&S(.pattern = "a("), 0, &e), -EINVAL);
	assert_string_equal(e.field, "parameters.pattern");
	assert_int_equal(look(&S(.pid = {.n = 1, .number = {INT64_MAX}}), 0, &e), -EINVAL);
	assert_string_equal(e.field, "parameters.pid");
	assert_true(look(&S(.name = "no-such-name-xx"), 0, &e) < 0);
	assert_int_equal(e.code, ERROR_VALIDATION);
	assert_non_null(strstr(e.message, "no-such-name-xx"));
}

static void test_look_finds(void **state)
{
	struct selection s = {.pid = {.n = 1}};
	struct error e;
	pid_t child = fork();

	if (child == 0) {
		for (;;)
			(void)pause();
	}
	s.pid.number[0] = child;
	assert_int_equal(look(&s, 0, &e), 0);
	assert_int_equal(look(&s, child, &e), -EACCES); /* now it is the caller */
	assert_int_equal(e.code, ERROR_DENIED);
	assert_non_null(strstr(e.message, "it is the caller"));
	(void)kill(child, SIGKILL);
	/* a zombie until it is waited for */
	assert_int_equal(waitid(P_PID, (id_t)child, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	assert_int_equal(look(&s, 0, &e), -EINVAL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(look(&s, 0, &e), -EINVAL);
	s.pid.number[0] = 1;
	assert_int_equal(look(&s, 0, &e), -EACCES);
	assert_non_null(strstr(e.message, "it is PID 1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_criteria),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_is_independent_of_order),
		cmocka_unit_test(test_each_ends),
		cmocka_unit_test(test_protected),
		cmocka_unit_test(test_look_refuses),
		cmocka_unit_test(test_look_finds),
	};

	return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
