/* SPDX-License-Identifier: Apache-2.0 */
/* host/processes: who is in the list, for every criterion, with processes of our own. */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/processes.h"

#define NAME "a) b faultd-ut" /* nobody else is called so */

static pid_t one, other, zombie;

/* Returns when it has its name. */
static pid_t sleeper(const char *name)
{
	int ready[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)prctl(PR_SET_NAME, name);
		(void)!write(ready[1], "x", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	(void)close(ready[0]);
	(void)close(ready[1]);
	return pid;
}

static int start(void **state)
{
	siginfo_t info;

	one = sleeper(NAME);
	other = sleeper("faultd-ut-other");
	zombie = fork();
	if (zombie == 0)
		_exit(0);
	return waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT);
}

static int end(void **state)
{
	(void)kill(one, SIGKILL);
	(void)kill(other, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	return 0;
}

static struct process_list read_some(const struct process_filter *filter)
{
	struct process_list list;

	assert_int_equal(process_list_read_some(filter, &list), 0);
	assert_true(list.sorted);
	return list;
}

static bool has(const struct process_list *list, pid_t pid)
{
	return process_list_find(list, pid) != NULL;
}

static void check_complete(const struct process_list *list, pid_t pid)
{
	const struct process *p = process_list_find(list, pid);

	assert_non_null(p);
	assert_int_equal(p->pid, pid);
	assert_int_equal(p->ppid, getpid());
	assert_int_equal(p->uid, getuid());
	assert_true(p->start > 0);
	assert_int_equal(p->state, pid == zombie ? 'Z' : 'S');
	assert_false(p->kernel_thread);
	assert_false(p->aimed);
	if (pid != zombie)
		assert_string_equal(p->name, pid == one ? NAME : "faultd-ut-other");
}

static void test_all(void **state)
{
	struct process_list list;

	for (int commands = 0; commands < 2; commands++) {
		assert_int_equal(process_list_read(commands, &list), 0);
		assert_true(list.sorted);
		check_complete(&list, one);
		check_complete(&list, other);
		check_complete(&list, zombie);
		assert_true(has(&list, getpid()) && has(&list, 1));
		assert_int_equal(process_list_find(&list, one)->command[0] != '\0', commands);
		assert_string_equal(process_list_find(&list, zombie)->command, "");
		process_list_done(&list);
		assert_int_equal(list.n, 0);
	}
}

static void test_name(void **state)
{
	struct process_list list = read_some(&(struct process_filter){.name = NAME});

	assert_int_equal(list.n, 1);
	check_complete(&list, one);
	assert_string_equal(list.process[0].command, "");
	process_list_done(&list);
	list = read_some(&(struct process_filter){.name = NAME, .commands = true});
	assert_int_equal(list.n, 1);
	assert_true(list.process[0].command[0] != '\0');
	process_list_done(&list);
	list = read_some(&(struct process_filter){.name = "faultd-ut-nobody"});
	assert_int_equal(list.n, 0);
	process_list_done(&list);
	list = read_some(&(struct process_filter){.name = ""});
	assert_true(has(&list, other) && has(&list, 1));
	process_list_done(&list);
}

static void test_user(void **state)
{
	uid_t me = getuid(), nobody = 4123456;
	struct process_list list = read_some(&(struct process_filter){.user = &me});

	check_complete(&list, one);
	check_complete(&list, zombie);
	for (size_t i = 0; i < list.n; i++)
		assert_int_equal(list.process[i].uid, me);
	process_list_done(&list);
	list = read_some(&(struct process_filter){.user = &nobody});
	assert_int_equal(list.n, 0);
	process_list_done(&list);
	list = read_some(&(struct process_filter){.user = &nobody, .name = NAME});
	assert_int_equal(list.n, 0);
	process_list_done(&list);
	list = read_some(&(struct process_filter){.user = &me, .name = NAME});
	assert_int_equal(list.n, 1);
	process_list_done(&list);
}

static bool fits(const char *command, void *arg)
{
	assert_true(command[0] != '\0');
	return strstr(command, arg) != NULL;
}

static void test_command(void **state)
{
	struct process_filter filter = {.command_fits = fits, .arg = (void *)"test-processes"};
	struct process_list list = read_some(&filter);

	check_complete(&list, one);
	check_complete(&list, other);
	assert_false(has(&list, zombie));
	assert_non_null(strstr(process_list_find(&list, one)->command, "test-processes"));
	process_list_done(&list);
	filter.name = NAME;
	list = read_some(&filter);
	assert_int_equal(list.n, 1);
	process_list_done(&list);
	filter.arg = (void *)"\x01 never";
	list = read_some(&filter);
	assert_int_equal(list.n, 0);
	process_list_done(&list);
}

static void test_pids(void **state)
{
	const pid_t pids[] = {other, zombie, 0, -1, one, other, 1 << 30};
	struct process_filter filter = {.pid = pids, .n_pids = COUNT(pids)};
	struct process_list list = read_some(&filter);

	assert_int_equal(list.n, 3);
	check_complete(&list, one);
	check_complete(&list, other);
	check_complete(&list, zombie);
	process_list_done(&list);
	filter.name = NAME;
	list = read_some(&filter);
	assert_int_equal(list.n, 1);
	check_complete(&list, one);
	process_list_done(&list);
	filter.n_pids = 0;
	list = read_some(&filter);
	assert_int_equal(list.n, 0);
	process_list_done(&list);
}

static void test_above(void **state)
{
	const struct process_filter filters[] = {
		{.name = NAME, .and_above = other},
		{.pid = &one, .n_pids = 1, .and_above = other},
		{.pid = &one, .n_pids = 1, .user = &(uid_t){getuid()}, .and_above = other},
		{.command_fits = fits, .arg = (void *)"\x01", .and_above = one},
		{.user = &(uid_t){4123456}, .and_above = one},
	};

	for (size_t i = 0; i < COUNT(filters); i++) {
		struct process_list list = read_some(&filters[i]);
		const struct process *p;
		size_t n = filters[i].and_above == other; /* `one` passes in these */

		for (p = process_list_find(&list, filters[i].and_above); p && p->ppid > 0; n++)
			p = process_list_find(&list, p->ppid);
		assert_non_null(p); /* up to the first */
		assert_int_equal(list.n, n + 1);
		assert_true(has(&list, getpid()) && has(&list, getppid()));
		check_complete(&list, filters[i].and_above);
		process_list_done(&list);
	}
}

static void test_gone(void **state)
{
	pid_t gone = fork();
	struct process_list list;

	if (gone == 0)
		_exit(0);
	assert_int_equal(waitpid(gone, NULL, 0), gone);
	list = read_some(&(struct process_filter){.pid = &gone, .n_pids = 1, .and_above = gone});
	assert_int_equal(list.n, 0);
	process_list_done(&list);
}

static void *be_a_thread(void *arg)
{
	int *pipes = arg;
	pid_t tid = (pid_t)syscall(SYS_gettid);
	char c;

	(void)!write(pipes[1], &tid, sizeof(tid));
	(void)!read(pipes[2], &c, 1);
	return NULL;
}

/* A thread's number is no process. */
static void test_thread(void **state)
{
	struct process_list list;
	int pipes[4];
	pthread_t thread;
	pid_t tid = 0;

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(pipe(pipes + 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, be_a_thread, pipes), 0);
	assert_int_equal(read(pipes[0], &tid, sizeof(tid)), sizeof(tid));
	list = read_some(&(struct process_filter){.pid = &tid, .n_pids = 1});
	assert_int_equal(list.n, 0);
	process_list_done(&list);
	for (int i = 3; i >= 0; i--)
		(void)close(pipes[i]);
	(void)pthread_join(thread, NULL);
}

static void test_find(void **state)
{
	struct process p[] = {{.pid = 3}, {.pid = 5}, {.pid = 9}, {.pid = 7}};
	struct process_list list = {p, COUNT(p), false};

	assert_ptr_equal(process_list_find(&list, 3), &p[0]);
	assert_ptr_equal(process_list_find(&list, 7), &p[3]);
	assert_null(process_list_find(&list, 4));
	list = (struct process_list){p, 3, true};
	assert_ptr_equal(process_list_find(&list, 3), &p[0]);
	assert_ptr_equal(process_list_find(&list, 5), &p[1]);
	assert_ptr_equal(process_list_find(&list, 9), &p[2]);
	assert_null(process_list_find(&list, 7));
	list = (struct process_list){NULL, 0, true};
	assert_null(process_list_find(&list, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),  cmocka_unit_test(test_name),
		cmocka_unit_test(test_user), cmocka_unit_test(test_command),
		cmocka_unit_test(test_pids), cmocka_unit_test(test_above),
		cmocka_unit_test(test_gone), cmocka_unit_test(test_thread),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests_name("processes", tests, start, end);
}
