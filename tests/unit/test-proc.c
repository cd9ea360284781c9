/* SPDX-License-Identifier: Apache-2.0 */
/* util/proc: /proc/PID/stat with evil names, signals by name, and a process of our own. */
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/proc.h"

#define REST \
	" R 21 22 23 0 -1 4194560 1 2 3 4 500 600 7 8 20 0 1 0 987654 1000 2000 18446744073709551615 1 1\n"

static void check_name(const char *name, const char *expected)
{
	struct proc_stat st;
	char line[512];

	(void)snprintf(line, sizeof(line), "4711 (%s)" REST, name);
	assert_int_equal(proc_stat_parse(line, &st), 0);
	assert_string_equal(st.name, expected);
	assert_int_equal(st.pid, 4711);
	assert_int_equal(st.state, 'R');
	assert_int_equal(st.ppid, 21);
	assert_int_equal(st.pgrp, 22);
	assert_int_equal(st.flags, 4194560);
	assert_int_equal(st.cpu_ticks, 1100);
	assert_int_equal(st.start, 987654);
}

static void test_names(void **state)
{
	static const char *const names[] = {
		"",    "cat",  "a) R (b", ") R 1 1 1", "(((",       ")))",
		"a b", "(",    ")",       "a\nb",      ") Z 99 99", "%s%n",
		" ",   "\xff", "\\",      "1 (x) S 2", "(sd-pam)",  "kworker/0:1-ev",
	};

	for (size_t i = 0; i < COUNT(names); i++)
		check_name(names[i], names[i]);
	/* longer than a name can be: cut, as the kernel does for threads of its own */
	check_name("0123456789abcdef0123456789", "0123456789abcde");
}

static void test_malformed(void **state)
{
	static const char *const cases[] = {
		"",
		"4711",
		"4711 cat R 1",
		"4711 (cat",
		"4711 cat)",
		"4711 )cat(" REST,
		"x (cat)" REST,
		"(cat)" REST,
		"4711 (cat)",
		"4711 (cat) R",
		"4711 (cat) R 1 2 3 0 -1 4194560 1 2 3 4 500 600 7 8 20 0 1 0",
		"4711 (cat) R a b c d e f g",
		"4711 (cat) R 1 2 3 0 -1 x 1 2 3 4 500 600 7 8 20 0 1 0 9",
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct proc_stat st;

		assert_int_equal(proc_stat_parse(cases[i], &st), -EBADMSG);
	}
}

static void test_truncated(void **state)
{
	char line[256] = "4711 (a) R (b)" REST;
	char *rest = strstr(line, " 987654");

	while (rest-- > line) {
		struct proc_stat st;

		rest[1] = '\0';
		assert_int_equal(proc_stat_parse(line, &st), -EBADMSG);
	}
}

static void test_self(void **state)
{
	struct proc_stat st;

	assert_int_equal(prctl(PR_SET_NAME, "a) R (b) S 1 2"), 0);
	assert_int_equal(proc_stat_read(getpid(), &st), 0);
	assert_string_equal(st.name, "a) R (b) S 1 2");
	assert_int_equal(st.pid, getpid());
	assert_int_equal(st.ppid, getppid());
	assert_int_equal(st.pgrp, getpgrp());
	assert_int_equal(st.state, 'R');
	assert_true(st.start > 0);
	assert_int_equal(st.flags & PROC_KTHREAD, 0);
}

static void test_gone(void **state)
{
	struct proc_stat st;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(proc_stat_read(pid, &st), -ESRCH);
	assert_int_equal(proc_open(pid, 1), -ESRCH);
	assert_int_equal(proc_stat_read(-1, &st), -ESRCH);
}

static void test_open(void **state)
{
	struct proc_stat st;
	pid_t pid = fork();
	int fd;

	if (pid == 0) {
		for (;;)
			(void)pause();
	}
	assert_int_equal(proc_stat_read(pid, &st), 0);
	assert_int_equal(proc_open(pid, st.start + 1), -ESRCH);
	fd = proc_open(pid, st.start);
	assert_true(fd >= 0);
	assert_int_equal(proc_wait_exit(fd, 0), 0);
	assert_int_equal(proc_signal(fd, SIGKILL), 0);
	assert_int_equal(proc_wait_exit(fd, 10000), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(proc_signal(fd, SIGKILL), -ESRCH);
	(void)close(fd);
}

static void test_signals(void **state)
{
	static const struct {
		const char *name;
		int signal;
	} cases[] = {
		{"SIGTERM", SIGTERM},
		{"TERM", SIGTERM},
		{"15", 15},
		{"9", SIGKILL},
		{"SIGKILL", SIGKILL},
		{"HUP", SIGHUP},
		{"1", 1},
		{"64", 64},
		{"SIGUSR1", SIGUSR1},
		{"CONT", SIGCONT},
		{"SIGSTOP", SIGSTOP},
		{"34", 34},
		{"009", 9},
	};
	static const char *const bad[] = {
		"",    "0",          "65",    "-1",    "-9",    "sigterm", "Term",
		"SIG", "SIGSIGTERM", "SIG15", "TERM ", " TERM", "9x",      "99999999999999999999",
		"FOO"};
	int signal;

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(signal_from_name(cases[i].name, &signal), 0);
		assert_int_equal(signal, cases[i].signal);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		signal = 77;
		assert_int_equal(signal_from_name(bad[i], &signal), -EINVAL);
		assert_int_equal(signal, 77);
	}
}

static void test_signal_names(void **state)
{
	assert_string_equal(signal_name(SIGTERM), "SIGTERM");
	assert_string_equal(signal_name(SIGSTOP), "SIGSTOP");
	assert_string_equal(signal_name(64), "signal 64");
	assert_string_equal(signal_name(-1), "signal -1");
	for (int i = 1; i < 32; i++) {
		int back;

		assert_int_equal(signal_from_name(signal_name(i), &back), 0);
		assert_int_equal(back, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),     cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_truncated), cmocka_unit_test(test_self),
		cmocka_unit_test(test_gone),      cmocka_unit_test(test_open),
		cmocka_unit_test(test_signals),   cmocka_unit_test(test_signal_names),
	};

	return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
