/* SPDX-License-Identifier: Apache-2.0 */
/* experiment/log: the records' form, where they go, how they are read back, and what becomes of
 * them when the disk is full, or hangs. What needs mounts of its own is skipped where it may not
 * mount. */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "experiment/log.h"
#include "util/clock.h"
#include "util/log.h"

#define PATIENCE_MS 60000
#define ID          "EXPhjAXCGY78HV2a4A"

static struct {
	uv_loop_t loop;
	uv_timer_t guard;
	struct experiment_log *log;
	char dir[64];
	size_t read; /* readings that were told */
	int last;
	char *text; /* of the last one */
	size_t length;
} t;

static bool may_mount;
static char logged[1 << 16];
static char journal[1 << 16]; /* as journald would have it */

static void keep(char *to, size_t size, const char *a, const char *b, const char *c)
{
	size_t n = strlen(to);

	(void)snprintf(to + n, size - n, "%s|%s|%s\n", a, b, c);
}

static void keep_line(enum log_level level, const char *fault, const char *action,
		      const char *message)
{
	keep(logged, sizeof(logged), fault, action, message);
}

static void keep_record(const char *experiment, const char *type, const char *details)
{
	keep(journal, sizeof(journal), experiment, type, details);
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
		n++;
	return n;
}

static void on_guard(uv_timer_t *timer)
{
	fail_msg("nothing happened for %d ms; logged: %s", PATIENCE_MS, logged);
}

static void start(void)
{
	assert_int_equal(uv_loop_init(&t.loop), 0);
	assert_int_equal(uv_timer_init(&t.loop, &t.guard), 0);
	t.read = 0;
	logged[0] = journal[0] = '\0';
	assert_int_equal(experiment_log_start(&t.loop, t.dir, NULL, NULL, &t.log), 0);
}

static void close_loop(void)
{
	uv_close((uv_handle_t *)&t.guard, NULL);
	(void)uv_run(&t.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t.loop), 0);
	experiment_log_free(t.log);
	free(t.text);
	t.text = NULL;
}

static void stop(void)
{
	experiment_log_stop(t.log);
	close_loop();
}

static void on_text(int r, const char *text, size_t length, void *arg)
{
	t.read++;
	t.last = r;
	free(t.text);
	t.text = text ? strdup(text) : NULL;
	t.length = length;
	if (text)
		assert_int_equal(strlen(text), length);
}

static void wait_read(size_t n)
{
	assert_int_equal(uv_timer_start(&t.guard, on_guard, PATIENCE_MS, 0), 0);
	while (t.read < n)
		(void)uv_run(&t.loop, UV_RUN_ONCE);
	(void)uv_timer_stop(&t.guard);
}

static void ask(const char *id)
{
	struct log_reading *reading = NULL;

	assert_int_equal(experiment_log_read(t.log, id, on_text, NULL, &reading), 0);
	assert_non_null(reading);
}

/* What is in the files by now, all that was logged before included. */
static const char *read_back(const char *id)
{
	size_t before = t.read;

	ask(id);
	assert_int_equal(t.read, before); /* not from within */
	wait_read(before + 1);
	return t.text;
}

static cJSON *details(const char *name, const char *value)
{
	cJSON *o = cJSON_CreateObject();

	assert_non_null(cJSON_AddStringToObject(o, name, value));
	return o;
}

static void log_number(const char *id, int n)
{
	cJSON *o = cJSON_CreateObject();

	assert_non_null(cJSON_AddNumberToObject(o, "n", n));
	experiment_log(t.log, id, LOG_ACTION_START, o, NULL);
}

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/experiments/%s", t.dir, name);
	return path;
}

static void remove_all(void)
{
	const struct dirent *entry;
	DIR *files = opendir(path_of(""));

	while (files && (entry = readdir(files))) {
		if (entry->d_name[0] != '.')
			(void)remove(path_of(entry->d_name));
	}
	if (files)
		(void)closedir(files);
	(void)remove(path_of(""));
}

static int setup(void **state)
{
	(void)snprintf(t.dir, sizeof(t.dir), "/tmp/test-log-XXXXXX");
	return mkdtemp(t.dir) ? 0 : -1;
}

static int teardown(void **state)
{
	remove_all();
	return rmdir(t.dir);
}

static void write_file(const char *name, const char *text)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static bool exists(const char *name)
{
	struct stat st;

	return lstat(path_of(name), &st) == 0;
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(path_of(name), &st), 0);
	return st.st_mode & 07777;
}

static void test_time(void **state)
{
	char text[LOG_TIME_MAX];

	assert_string_equal(experiment_log_time(&(struct timespec){1769860800, 999999999}, text),
			    "2026-01-31T12:00:00Z");
	assert_string_equal(experiment_log_time(&(struct timespec){0}, text),
			    "1970-01-01T00:00:00Z");
}

static const char *const kinds[] = {
	"experiment-start",
	"target-resolution-start",
	"target-resolution-detail",
	"target-resolution-end",
	"action-start",
	"action-error",
	"action-end",
	"experiment-end",
};

static size_t n_heard;

static void on_heard(const char *experiment_id, const char *line, void *arg)
{
	cJSON *o = cJSON_Parse(line);

	assert_string_equal(experiment_id, ID);
	assert_null(strchr(line, '\n'));
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "log_type")),
			    kinds[n_heard++]);
	cJSON_Delete(o);
}

static void assert_shape(const char *line, const char *kind)
{
	static const char *const members[] = {"id", "log_type", "event_timestamp", "version",
					      "details"};
	cJSON *o = cJSON_ParseWithOpts(line, NULL, true);
	const cJSON *member;
	struct tm tm;
	size_t i = 0;

	assert_non_null(o);
	cJSON_ArrayForEach(member, o)
	{
		assert_true(i < COUNT(members));
		assert_string_equal(member->string, members[i++]);
	}
	assert_int_equal(i, COUNT(members));
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "id")), ID);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "log_type")), kind);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "version")), "2");
	assert_string_equal(
		strptime(cJSON_GetStringValue(cJSON_GetObjectItem(o, "event_timestamp")),
			 "%Y-%m-%dT%H:%M:%SZ", &tm),
		"");
	assert_string_equal(
		cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(o, "details"), "of")),
		kind);
	cJSON_Delete(o);
}

static void test_eight_kinds(void **state)
{
	struct log_listener listener = {.record = on_heard}, other = {.record = on_heard};
	char *line, *rest;
	size_t n = 0;

	n_heard = 0;
	start();
	experiment_log_listen(t.log, &listener);
	experiment_log_listen(t.log, &other);
	experiment_log_unlisten(t.log, &other);
	for (size_t i = 0; i < COUNT(kinds); i++)
		experiment_log(t.log, ID, kinds[i], details("of", kinds[i]), NULL);
	assert_int_equal(n_heard, COUNT(kinds));
	experiment_log_unlisten(t.log, &listener);
	read_back(ID);
	assert_int_equal(t.last, 0);
	for (line = strtok_r(t.text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		assert_shape(line, kinds[n++]);
	assert_int_equal(n, COUNT(kinds));
	assert_int_equal(count(journal, "\n"), COUNT(kinds));
	assert_non_null(strstr(journal, ID "|action-end|{\"of\":\"action-end\"}\n"));
	assert_int_equal(mode_of(ID ".ndjson"), 0640);
	assert_int_equal(mode_of(""), 0750);
	assert_int_equal(experiment_log_lost(t.log), 0);
	assert_string_equal(logged, "");
	stop();
}

static void test_kinds_are_named_as_fis_does(void **state)
{
	static const char *const ours[] = {
		LOG_EXPERIMENT_START,
		LOG_TARGET_RESOLUTION_START,
		LOG_TARGET_RESOLUTION_DETAIL,
		LOG_TARGET_RESOLUTION_END,
		LOG_ACTION_START,
		LOG_ACTION_ERROR,
		LOG_ACTION_END,
		LOG_EXPERIMENT_END,
	};

	for (size_t i = 0; i < COUNT(kinds); i++)
		assert_string_equal(ours[i], kinds[i]);
}

static void test_nothing_there(void **state)
{
	struct log_reading *reading;

	start();
	assert_string_equal(read_back(ID), "");
	log_number("EXPother", 1);
	assert_string_equal(read_back(ID), "");
	assert_int_equal(t.last, 0);
	assert_int_equal(experiment_log_read(t.log, "../faultd", on_text, NULL, &reading), -EINVAL);
	assert_int_equal(experiment_log_read(t.log, "", on_text, NULL, &reading), -EINVAL);
	log_number("../EXP", 1);
	log_number("a/b", 1);
	assert_int_equal(experiment_log_lost(t.log), 2);
	stop();
}

static void test_survives_and_modes(void **state)
{
	mode_t before = umask(0777);

	start();
	log_number(ID, 1);
	read_back(ID);
	stop();
	(void)umask(0);
	start();
	log_number(ID, 2);
	log_number("EXPopen", 1);
	read_back(ID);
	(void)umask(before);
	assert_int_equal(count(t.text, "\n"), 2);
	assert_true(strstr(t.text, "\"n\":1") < strstr(t.text, "\"n\":2"));
	assert_int_equal(mode_of(""), 0750);
	assert_int_equal(mode_of(ID ".ndjson"), 0640);
	assert_int_equal(mode_of("EXPopen.ndjson"), 0640);
	stop();
}

/* What the host's end tore is not read, and does not spoil what comes after it. */
static void test_torn_line(void **state)
{
	start();
	log_number(ID, 1);
	read_back(ID);
	write_file(ID ".ndjson", "{\"n\":1}\n{\"n\":2");
	assert_string_equal(read_back(ID), "{\"n\":1}\n");
	log_number(ID, 3);
	read_back(ID);
	assert_null(strstr(t.text, "\"n\":2"));
	assert_non_null(strstr(t.text, "\"n\":3"));
	assert_int_equal(count(t.text, "\n"), 2);
	write_file(ID ".ndjson", "{\"n\"");
	log_number(ID, 4);
	read_back(ID);
	assert_int_equal(count(t.text, "\n"), 1);
	assert_int_equal(t.text[0], '{');
	stop();
}

static off_t size_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(path_of(name), &st), 0);
	return st.st_size;
}

/* Logs records of 64 KiB, numbered from `from` to before `to`. */
static void log_large(int from, int to)
{
	static char filling[64 * 1024];

	memset(filling, 'f', sizeof(filling) - 1);
	for (int i = from; i < to; i++) {
		cJSON *o = details("filling", filling);

		assert_non_null(cJSON_AddNumberToObject(o, "n", i));
		experiment_log(t.log, ID, LOG_ACTION_END, o, NULL);
		if (i % 64 == 63)
			read_back("EXPother"); /* no more waits than may */
	}
	read_back(ID);
}

static void assert_numbers(int from, int to)
{
	const char *at = t.text;
	char expected[32];

	for (int i = from; i < to; i++) {
		(void)snprintf(expected, sizeof(expected), "\"n\":%d}}\n", i);
		at = strstr(at, expected);
		assert_non_null(at);
	}
	assert_int_equal(count(t.text, "\n"), to - from);
}

static void test_rotation(void **state)
{
	start();
	log_large(0, 100);
	assert_false(exists(ID ".ndjson.1"));
	log_large(100, 200);
	assert_true(exists(ID ".ndjson.1"));
	assert_in_range(size_of(ID ".ndjson.1"), 7 << 20, 8 << 20);
	assert_int_equal(mode_of(ID ".ndjson"), 0640);
	assert_numbers(0, 200);
	/* The oldest go. */
	log_large(200, 600);
	assert_in_range(t.length, 8 << 20, 16 << 20);
	assert_in_range(size_of(ID ".ndjson"), 1, 8 << 20);
	assert_numbers(600 - (int)count(t.text, "\n"), 600);
	assert_int_equal(experiment_log_lost(t.log), 0);
	stop();
}

static void set_age(const char *name, time_t at)
{
	const struct timespec times[2] = {{.tv_sec = at}, {.tv_sec = at}};

	assert_int_equal(utimensat(AT_FDCWD, path_of(name), times, 0), 0);
}

static void test_prune(void **state)
{
	time_t now = time(NULL), old = now - 121 * 86400, before = now - 120 * 86400;

	start();
	experiment_log_prune(t.log, before); /* of nothing */
	log_number("EXPnew", 1);
	read_back("EXPnew");
	write_file("EXPold.ndjson", "{}\n");
	write_file("EXPold.ndjson.1", "{}\n");
	write_file("EXPnew.ndjson.1", "{}\n");
	write_file("EXPalone.ndjson.1", "{}\n");
	write_file("notes.txt", "of somebody");
	set_age("EXPold.ndjson", old);
	set_age("EXPold.ndjson.1", old - 86400);
	set_age("EXPnew.ndjson.1", old);
	set_age("EXPalone.ndjson.1", old);
	set_age("notes.txt", old);
	experiment_log_prune(t.log, before);
	read_back("EXPnew");
	assert_false(exists("EXPold.ndjson"));
	assert_false(exists("EXPold.ndjson.1"));
	assert_false(exists("EXPalone.ndjson.1"));
	assert_true(exists("EXPnew.ndjson"));
	assert_true(exists("EXPnew.ndjson.1"));
	assert_true(exists("notes.txt"));
	assert_string_equal(logged, "");
	stop();
}

static void test_cancelled_reading(void **state)
{
	struct log_reading *reading[LOG_READINGS_MAX + 1];

	start();
	log_number(ID, 1);
	for (size_t i = 0; i < LOG_READINGS_MAX; i++)
		assert_int_equal(experiment_log_read(t.log, ID, on_text, NULL, &reading[i]), 0);
	assert_int_equal(experiment_log_read(t.log, ID, on_text, NULL, &reading[LOG_READINGS_MAX]),
			 -EBUSY);
	log_reading_cancel(reading[3]);
	log_reading_cancel(NULL);
	wait_read(LOG_READINGS_MAX - 1);
	read_back(ID);
	assert_int_equal(t.read, LOG_READINGS_MAX);
	stop();
}

static void test_too_much_is_counted(void **state)
{
	uint64_t lost;

	start();
	/* None is told before the loop turns. */
	for (int i = 0; i < LOG_QUEUE_MAX + 100; i++)
		log_number(ID, i);
	lost = experiment_log_lost(t.log);
	assert_int_equal(lost, 100);
	assert_int_equal(count(logged, "cannot be kept"), 1);
	ask(ID);
	wait_read(1);
	assert_int_equal(count(t.text, "\n"), LOG_QUEUE_MAX);
	assert_int_equal(count(logged, "kept in files again; 100 were not"), 1);
	/* Its maker had no memory for it. */
	experiment_log(t.log, ID, LOG_ACTION_START, NULL, NULL);
	assert_int_equal(experiment_log_lost(t.log), 101);
	stop();
}

/* Whatever is in the place of a file, nobody waits. */
static void test_something_else_in_its_place(void **state)
{
	start();
	log_number("EXPother", 1);
	read_back("EXPother");
	assert_int_equal(mkfifo(path_of(ID ".ndjson"), 0600), 0);
	assert_int_equal(symlink("/dev/zero", path_of("EXPlink.ndjson")), 0);
	assert_int_equal(mkdir(path_of("EXPdirectory.ndjson"), 0700), 0);
	log_number(ID, 1);
	log_number("EXPlink", 1);
	log_number("EXPdirectory", 1);
	assert_null(read_back(ID));
	assert_true(t.last < 0);
	assert_null(read_back("EXPlink"));
	assert_int_equal(experiment_log_lost(t.log), 3);
	log_number("EXPother", 2);
	read_back("EXPother");
	assert_int_equal(count(t.text, "\n"), 2);
	stop();
}

static void test_directory_is_none(void **state)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/experiments", t.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	start();
	log_number(ID, 1);
	assert_null(read_back(ID));
	assert_int_equal(t.last, -ENOTDIR);
	assert_int_equal(experiment_log_lost(t.log), 1);
	assert_int_equal(unlink(path), 0);
	log_number(ID, 2);
	read_back(ID);
	assert_int_equal(count(t.text, "\n"), 1);
	stop();
}

static size_t descriptors(const char *task)
{
	char path[64];
	size_t n = 0;
	DIR *fds;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%.16s/fd", task);
	fds = opendir(path);
	while (fds && readdir(fds))
		n++;
	if (fds)
		(void)closedir(fds);
	return n;
}

/* Of all threads, each by its own table. */
static size_t all_descriptors(void)
{
	const struct dirent *task;
	DIR *tasks = opendir("/proc/self/task");
	size_t n = 0;

	while ((task = readdir(tasks)))
		n += task->d_name[0] != '.' ? descriptors(task->d_name) : 0;
	(void)closedir(tasks);
	return n;
}

static void test_many_experiments(void **state)
{
	size_t before;
	char id[32];

	start();
	log_number(ID, 0);
	read_back(ID);
	before = all_descriptors();
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(id, sizeof(id), "EXP%d", i);
		log_number(id, i);
	}
	read_back(id);
	assert_int_equal(count(t.text, "\n"), 1);
	assert_int_equal(all_descriptors(), before);
	assert_int_equal(experiment_log_lost(t.log), 0);
	stop();
}

static void test_full_disk(void **state)
{
	int n = 0;

	if (!may_mount)
		skip();
	assert_int_equal(mount("test-log", t.dir, "tmpfs", 0, "size=256k,mode=700"), 0);
	start();
	while (experiment_log_lost(t.log) < 10 && n < 10000) {
		for (int i = 0; i < 100; i++, n++)
			log_number(ID, n);
		read_back("EXPother");
	}
	assert_in_range(experiment_log_lost(t.log), 10, 9999);
	assert_int_equal(count(logged, "cannot be kept"), 1);
	assert_non_null(strstr(logged, "No space left"));
	/* No line is torn, and what is there is what was first. */
	read_back(ID);
	assert_int_equal(t.text[t.length - 1], '\n');
	assert_int_equal(count(t.text, "\n"), (size_t)n - experiment_log_lost(t.log));
	assert_int_equal(mount("test-log", t.dir, "tmpfs", MS_REMOUNT, "size=8m"), 0);
	log_number(ID, n);
	read_back(ID);
	assert_int_equal(t.text[t.length - 1], '\n');
	assert_int_equal(count(logged, "kept in files again"), 1);
	stop();
	assert_int_equal(umount(t.dir), 0);
}

static bool run_program(const char *const *argv)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		(void)execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static int threads_of_ours(void)
{
	const struct dirent *task;
	DIR *tasks = opendir("/proc/self/task");
	int n = 0;

	while ((task = readdir(tasks)))
		n += task->d_name[0] != '.';
	(void)closedir(tasks);
	return n;
}

static void log_until_full(void)
{
	for (int i = 0; i < LOG_QUEUE_MAX + 10; i++)
		log_number(ID, i);
}

static size_t ticks;

static void on_tick(uv_timer_t *timer)
{
	ticks++;
}

static uint64_t turn(void)
{
	uint64_t before = boot_ns();
	uv_timer_t tick;

	(void)uv_timer_init(&t.loop, &tick);
	(void)uv_timer_start(&tick, on_tick, 1, 1);
	for (ticks = 0; ticks < 100;)
		(void)uv_run(&t.loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	(void)uv_run(&t.loop, UV_RUN_NOWAIT);
	return boot_ns() - before;
}

/* The loop turns, the end comes in time, readings are told, and the thread ends by itself. */
static void test_frozen(void **state)
{
	uint64_t turning, stopping;
	char image[80];
	int fd, threads;

	if (!may_mount)
		skip();
	(void)snprintf(image, sizeof(image), "%s.img", t.dir);
	if (!run_program((const char *[]){"mke2fs", "-q", "-t", "ext4", image, "16M", NULL}) ||
	    !run_program((const char *[]){"mount", "-o", "loop", image, t.dir, NULL})) {
		(void)unlink(image);
		skip();
	}
	(void)unlink(image);
	start();
	threads = threads_of_ours();
	log_number(ID, 0);
	read_back(ID);
	fd = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(ioctl(fd, FIFREEZE, 0), 0);
	log_until_full();
	(void)experiment_log_read(t.log, ID, on_text, NULL, &(struct log_reading *){NULL});
	turning = turn();
	stopping = boot_ns();
	experiment_log_stop(t.log);
	stopping = boot_ns() - stopping;
	(void)ioctl(fd, FITHAW, 0);
	(void)close(fd);
	assert_in_range(turning, 0, 20 * NSEC_PER_SEC);
	assert_in_range(stopping, 900 * NSEC_PER_MSEC, 8 * NSEC_PER_SEC);
	assert_int_equal(t.read, 2);
	assert_int_equal(t.last, -ECANCELED);
	assert_int_equal(experiment_log_lost(t.log), LOG_QUEUE_MAX + 10);
	close_loop();
	for (uint64_t until = boot_ns() + 30 * NSEC_PER_SEC; threads_of_ours() >= threads;) {
		assert_true(boot_ns() < until);
		(void)usleep(1000);
	}
	assert_true(run_program((const char *[]){"umount", "-d", t.dir, NULL}));
}

static void test_stop_writes_what_waits(void **state)
{
	start();
	for (int i = 0; i < 1000; i++)
		log_number(ID, i);
	ask(ID);
	experiment_log_stop(t.log);
	assert_int_equal(t.read, 1);
	assert_int_equal(t.last, 0);
	assert_int_equal(count(t.text, "\n"), 1000);
	log_number(ID, 1);
	assert_int_equal(experiment_log_lost(t.log), 1);
	assert_int_equal(
		experiment_log_read(t.log, ID, on_text, NULL, &(struct log_reading *){NULL}),
		-ECANCELED);
	experiment_log_prune(t.log, 0);
	close_loop();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_time),
		TEST(test_kinds_are_named_as_fis_does),
		TEST(test_eight_kinds),
		TEST(test_nothing_there),
		TEST(test_survives_and_modes),
		TEST(test_torn_line),
		TEST(test_rotation),
		TEST(test_prune),
		TEST(test_cancelled_reading),
		TEST(test_too_much_is_counted),
		TEST(test_something_else_in_its_place),
		TEST(test_directory_is_none),
		TEST(test_many_experiments),
		TEST(test_full_disk),
		TEST(test_frozen),
		TEST(test_stop_writes_what_waits),
	};

	log_set_sink(keep_line);
	log_set_record_sink(keep_record);
	may_mount =
		unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
