/* SPDX-License-Identifier: Apache-2.0 */
/* steps/attr*.c on plain files that look like the kernel's, and cgroups of our own where there are
 * any. What only the kernel does with them is tests/api/test_disk_throttle.py's. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "steps/attr.h"
#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/proc.h"

static char directory[] = "/tmp/faultd-attr-XXXXXX";

static int make_directory(void **state)
{
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	return rmdir(directory);
}

static void path_of(const char *file, char *ret, size_t size)
{
	assert_true(snprintf(ret, size, "%s/%s", directory, file) < (int)size);
}

static void put(const char *file, const char *text)
{
	char path[320];
	_cleanup_fclose_ FILE *f = NULL;

	path_of(file, path, sizeof(path));
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static void drop(const char *file)
{
	char path[320];

	path_of(file, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
}

static struct step attr_of(const char *file, const char *key, const char *want)
{
	struct step s = {.kind = STEP_ATTR};

	path_of(file, s.attr.path, sizeof(s.attr.path));
	assert_true(str_copy(s.attr.key, sizeof(s.attr.key), key));
	assert_true(str_copy(s.attr.want, sizeof(s.attr.want), want));
	return s;
}

static void assert_reads(const char *file, const char *text, const char *key, const char *want,
			 const char *expected)
{
	struct step s = attr_of(file, key, want);
	char value[ATTR_VALUE_MAX];

	put(file, text);
	assert_int_equal(attr_read(&s.attr, value), 0);
	assert_string_equal(value, expected);
	drop(file);
}

static void test_read_whole(void **state)
{
	assert_reads("value", "max\n", "", "5", "max");
	assert_reads("value", "max 100000\n", "", "50000 100000", "max 100000");
	assert_reads("value", "1024\t65535\n", "", "1 2", "1024 65535");
	assert_reads("value", "\n", "", "1", "");
	assert_reads("value", "", "", "1", "");
}

static void test_read_line(void **state)
{
	assert_reads("value", "8:0 1048576\n8:16 5\n", "8:0", "7", "1048576");
	assert_reads("value", "8:0 1048576\n8:16 5\n", "8:16", "7", "5");
	assert_reads("value", "8:0 1048576\n8:16 5\n", "8:1", "7", "0");
	assert_reads("value", "", "8:0", "7", "0");
}

static void test_read_words(void **state)
{
	const char *io_max = "8:16 rbps=1 wbps=2 riops=3 wiops=4\n"
			     "8:0 rbps=max wbps=1048576 riops=500 wiops=max\n";

	assert_reads("io.max", io_max, "8:0", "wbps=7", "wbps=1048576");
	assert_reads("io.max", io_max, "8:0", "rbps=7 riops=8", "rbps=max riops=500");
	assert_reads("io.max", io_max, "8:1", "rbps=7 riops=8", "rbps=max riops=max");
	assert_reads("io.max", "", "8:0", "wbps=7", "wbps=max");
}

/* What was frozen from above has not been frozen here. */
static void test_read_freezer(void **state)
{
	put("freezer.self_freezing", "0\n");
	assert_reads("freezer.state", "FROZEN\n", "", "FROZEN", "THAWED");
	put("freezer.self_freezing", "1\n");
	assert_reads("freezer.state", "FREEZING\n", "", "FROZEN", "FROZEN");
	drop("freezer.self_freezing");
}

static void test_too_long_to_keep(void **state)
{
	struct step s = attr_of("value", "", "1");
	struct error e = {0};
	char text[200];

	memset(text, '7', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	put("value", text);
	assert_int_equal(attr_prepare(&s, NULL, &e), -EFBIG);
	drop("value");
	assert_int_equal(attr_prepare(&s, NULL, &e), -ENOENT);
}

static void assert_holds(const char *file, const char *expected)
{
	struct step s = attr_of(file, "", "");
	char value[ATTR_VALUE_MAX];

	assert_int_equal(attr_read(&s.attr, value), 0);
	assert_string_equal(value, expected);
}

static void test_life(void **state)
{
	struct step s = attr_of("value", "", "22"), fresh = attr_of("value", "", "33");
	struct error e = {0};
	char buffer[512] = "";
	struct text note = TEXT(buffer);

	put("value", "11\n");
	assert_int_equal(attr_prepare(&s, NULL, &e), 1);
	assert_string_equal(s.attr.was, "11");
	assert_int_equal(attr_apply(&s, NULL, &e), 0);
	assert_holds("value", "22");
	assert_true(attr_prepare_update(&s, &fresh));
	assert_string_equal(s.attr.want_before, "22");
	assert_int_equal(attr_apply(&s, NULL, &e), 0);
	assert_holds("value", "33");
	assert_int_equal(attr_undo_alone(&s, &note), 0);
	assert_int_equal(attr_undo_alone(&s, &note), 0);
	assert_holds("value", "11");
	assert_int_equal(note.length, 0);
	drop("value");
	assert_int_equal(attr_undo_alone(&s, &note), 0);
}

/* Journalled, and cut off before the next value was written. */
static void test_undo_between_two_values(void **state)
{
	struct step s = attr_of("value", "", "33");
	char buffer[512] = "";
	struct text note = TEXT(buffer);

	(void)str_copy(s.attr.want_before, sizeof(s.attr.want_before), "22");
	(void)str_copy(s.attr.was, sizeof(s.attr.was), "11");
	put("value", "22\n");
	assert_int_equal(attr_undo_alone(&s, &note), 0);
	assert_holds("value", "11");
	assert_int_equal(note.length, 0);
	drop("value");
}

static void test_what_is_not_ours(void **state)
{
	struct step s = attr_of("value", "", "22"), fresh = attr_of("value", "", "33");
	struct error e = {0};
	char buffer[512] = "";
	struct text note = TEXT(buffer);

	put("value", "11\n");
	assert_int_equal(attr_prepare(&s, NULL, &e), 1);
	assert_int_equal(attr_apply(&s, NULL, &e), 0);
	put("value", "44\n");
	assert_true(attr_prepare_update(&s, &fresh));
	assert_int_equal(attr_apply(&s, NULL, &e), -ESTALE);
	assert_int_equal(e.code, ERROR_CONFLICT);
	assert_int_equal(attr_undo_alone(&s, &note), 0);
	assert_holds("value", "44");
	assert_non_null(strstr(buffer, "is now '44', which is not ours: left alone"));
	drop("value");
}

/* What reads back as something else is refused, and taken back: undoing would not know it. */
static void test_not_taken(void **state)
{
	struct step s = attr_of("value", "", "2  22");
	struct error e = {0};

	put("value", "1 11\n");
	assert_int_equal(attr_prepare(&s, NULL, &e), 1);
	assert_int_equal(attr_apply(&s, NULL, &e), -EIO);
	assert_int_equal(e.code, ERROR_FAILED);
	assert_holds("value", "1 11");
	drop("value");
}

static void assert_settles(const char *file, const char *want, const char *sibling,
			   const char *text, int expected)
{
	struct step s = attr_of(file, "", want);
	struct error e = {0};

	put(sibling, text);
	assert_int_equal(attr_settle(&s, NULL, &e), expected);
	drop(sibling);
}

static void test_settle(void **state)
{
	assert_settles("freezer.state", "FROZEN", "freezer.state", "FREEZING\n", -EAGAIN);
	assert_settles("freezer.state", "FROZEN", "freezer.state", "FROZEN\n", 0);
	assert_settles("cgroup.freeze", "1", "cgroup.events", "populated 1\nfrozen 0\n", -EAGAIN);
	assert_settles("cgroup.freeze", "1", "cgroup.events", "populated 1\nfrozen 1\n", 0);
	assert_settles("io.max", "wbps=1", "unread", "", 0);
}

/* A cgroup of ours, in whatever hierarchy lets us. */
static bool make_cgroup_step(const char *mount, struct step *ret)
{
	struct error e = {0};

	*ret = (struct step){.kind = STEP_CGROUP};
	(void)snprintf(ret->cgroup.path, sizeof(ret->cgroup.path), "%s/fdu%d", mount,
		       (int)getpid());
	return access(mount, W_OK) == 0 && cgroup_prepare(ret, NULL, &e) == 1 &&
	       cgroup_apply(ret, NULL, &e) == 0;
}

static pid_t sleep_in(const struct step *s)
{
	char path[sizeof(s->cgroup.path) + 16];
	int ready[2];
	char c;
	pid_t pid;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", s->cgroup.path);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "0", 1) != 1 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	(void)close(ready[0]);
	return pid;
}

static void test_cgroup_is_emptied_and_removed(void **state)
{
	static const char *const mounts[] = {"/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"};
	unsigned tried = 0;

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		char buffer[64];
		struct text note = TEXT(buffer);
		struct step s;
		int status;
		pid_t pid;

		if (!make_cgroup_step(mounts[i], &s))
			continue;
		tried++;
		pid = sleep_in(&s);
		assert_int_equal(cgroup_undo_alone(&s, &note), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(access(s.cgroup.path, F_OK), -1);
		assert_int_equal(cgroup_undo_alone(&s, &note), 0);
	}
	if (tried == 0)
		skip();
}

static void test_anothers_cgroup_stays(void **state)
{
	struct step s = {.kind = STEP_CGROUP};
	struct error e = {0};
	char buffer[64];
	struct text note = TEXT(buffer);

	path_of("group", s.cgroup.path, sizeof(s.cgroup.path));
	assert_int_equal(mkdir(s.cgroup.path, 0700), 0);
	assert_int_equal(cgroup_prepare(&s, NULL, &e), 1);
	assert_int_equal(s.cgroup.made, 0);
	assert_int_equal(cgroup_apply(&s, NULL, &e), 0);
	assert_int_equal(cgroup_undo_alone(&s, &note), 0);
	assert_int_equal(rmdir(s.cgroup.path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_whole),
		cmocka_unit_test(test_read_line),
		cmocka_unit_test(test_read_words),
		cmocka_unit_test(test_read_freezer),
		cmocka_unit_test(test_too_long_to_keep),
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_undo_between_two_values),
		cmocka_unit_test(test_what_is_not_ours),
		cmocka_unit_test(test_not_taken),
		cmocka_unit_test(test_settle),
		cmocka_unit_test(test_cgroup_is_emptied_and_removed),
		cmocka_unit_test(test_anothers_cgroup_stays),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
