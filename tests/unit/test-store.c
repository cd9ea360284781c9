/* SPDX-License-Identifier: Apache-2.0 */
/* experiment/store: what is kept, in which order, and what becomes of it when the disk is damaged,
 * full, read-only, gone or frozen, or when faultd is killed. What needs mounts of its own is
 * skipped where it may not mount. */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "experiment/store.h"
#include "util/clock.h"
#include "util/log.h"

#define PATIENCE_MS 60000
#define RECORDS_MAX 20000

struct seen {
	enum store_table table;
	int64_t order_us;
	char id[32], text[64];
};

static struct {
	uv_loop_t loop;
	uv_timer_t guard;
	struct store *store;
	char dir[64];
	struct seen seen[RECORDS_MAX];
	size_t n_seen;
	size_t told, failed, stale; /* callbacks of writes, and how many said no */
	int last;
	char texts[64][64]; /* what reads gave */
	size_t n_texts;
} t;

static bool may_mount;
static const bool under_tsan =
#if defined(__has_feature)
	__has_feature(thread_sanitizer);
#elif defined(__SANITIZE_THREAD__)
	true;
#else
	false;
#endif
static char logged[1 << 16];

static void keep_line(enum log_level level, const char *fault, const char *action,
		      const char *message)
{
	size_t n = strlen(logged);

	(void)snprintf(logged + n, sizeof(logged) - n, "%s\n", message);
}

static void on_guard(uv_timer_t *timer)
{
	fail_msg("nothing happened for %d ms; logged: %s", PATIENCE_MS, logged);
}

static void on_record(enum store_table table, const char *id, int64_t order_us, const char *text,
		      void *arg)
{
	struct seen *s = &t.seen[t.n_seen++];

	assert_true(t.n_seen < RECORDS_MAX);
	s->table = table;
	s->order_us = order_us;
	(void)snprintf(s->id, sizeof(s->id), "%s", id);
	(void)snprintf(s->text, sizeof(s->text), "%s", text);
}

static void on_told(int r, void *arg)
{
	t.told++;
	t.last = r;
	t.failed += r < 0;
}

static void on_text(int r, const char *text, void *arg)
{
	t.told++;
	t.last = r;
	t.failed += r < 0;
	(void)snprintf(t.texts[t.n_texts++ % 64], sizeof(t.texts[0]), "%s", text ? text : "(none)");
}

static void on_stale(void *arg)
{
	t.stale++;
}

static void open_first(size_t experiments)
{
	assert_int_equal(uv_loop_init(&t.loop), 0);
	assert_int_equal(uv_timer_init(&t.loop, &t.guard), 0);
	t.n_seen = t.told = t.failed = t.stale = t.n_texts = 0;
	t.last = 1;
	logged[0] = '\0';
	assert_int_equal(store_open(&t.loop, t.dir, experiments, on_record, NULL, &t.store), 0);
	store_on_stale(t.store, on_stale, NULL);
}

static void open_all(void)
{
	open_first(SIZE_MAX);
}

static void wait_told(size_t n)
{
	assert_int_equal(uv_timer_start(&t.guard, on_guard, PATIENCE_MS, 0), 0);
	while (t.told < n)
		(void)uv_run(&t.loop, UV_RUN_ONCE);
	(void)uv_timer_stop(&t.guard);
}

static void close_store(void)
{
	store_close(t.store);
	uv_close((uv_handle_t *)&t.guard, NULL);
	(void)uv_run(&t.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t.loop), 0);
	store_free(t.store);
	t.store = NULL;
}

static int put(enum store_table table, const char *id, int64_t order, const char *text)
{
	return store_put(t.store, table, id, order, text, on_told, NULL);
}

/* Puts, and gives what it was told. */
static int put_and_wait(const char *id, const char *text)
{
	size_t before = t.told;

	assert_int_equal(put(STORE_TEMPLATES, id, 1, text), 0);
	wait_told(before + 1);
	return t.last;
}

/* Until the disk is tried again, which it is once a second. */
static void put_until_kept(const char *id, const char *text)
{
	uint64_t until = boot_ns() + 30 * NSEC_PER_SEC;

	while (put_and_wait(id, text) < 0)
		assert_true(boot_ns() < until);
}

static const struct seen *find(const char *id)
{
	for (size_t i = 0; i < t.n_seen; i++) {
		if (strcmp(t.seen[i].id, id) == 0)
			return &t.seen[i];
	}
	return NULL;
}

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", t.dir, name);
	return path;
}

static void remove_all(void)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
	static const char *const names[] = {"faultd.db", "faultd.db.bad", "faultd.db.bad.2"};
	char name[64];

	for (size_t i = 0; i < COUNT(names); i++) {
		for (size_t j = 0; j < COUNT(suffixes); j++) {
			(void)snprintf(name, sizeof(name), "%s%s", names[i], suffixes[j]);
			(void)remove(path_of(name));
		}
	}
	(void)remove(path_of("faultd.db.bad/in"));
	(void)remove(path_of("faultd.db.bad"));
}

static int setup(void **state)
{
	(void)snprintf(t.dir, sizeof(t.dir), "/tmp/test-store-XXXXXX");
	return mkdtemp(t.dir) ? 0 : -1;
}

static int teardown(void **state)
{
	remove_all();
	return rmdir(t.dir);
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

static void test_keeps_and_reopens(void **state)
{
	open_all();
	assert_int_equal(t.n_seen, 0);
	assert_int_equal(store_health(t.store), 0);
	assert_int_equal(put(STORE_STATE, "lever", 7, "{\"engaged\":true}"), 0);
	assert_int_equal(put(STORE_TEMPLATES, "b", 20, "two"), 0);
	assert_int_equal(put(STORE_TEMPLATES, "a", 30, "three"), 0);
	assert_int_equal(put(STORE_TEMPLATES, "c", 10, "one \xc3\xa4"), 0);
	assert_int_equal(put(STORE_EXPERIMENTS, "a", 1, "of another table"), 0);
	wait_told(5);
	assert_int_equal(t.failed, 0);
	close_store();
	assert_false(exists("faultd.db-wal"));

	open_all();
	assert_int_equal(t.n_seen, 5);
	assert_string_equal(t.seen[0].id, "c");
	assert_string_equal(t.seen[0].text, "one \xc3\xa4");
	assert_int_equal(t.seen[0].order_us, 10);
	assert_string_equal(t.seen[1].id, "b");
	assert_string_equal(t.seen[2].id, "a");
	assert_int_equal(t.seen[3].table, STORE_EXPERIMENTS);
	assert_int_equal(t.seen[4].table, STORE_STATE);
	assert_string_equal(t.seen[4].text, "{\"engaged\":true}");
	assert_string_equal(logged, "");
	close_store();
}

static void test_reads_its_writes_in_order(void **state)
{
	static const char *const expected[] = {"(none)", "1", "2", "(none)", "3"};

	open_all();
	assert_int_equal(store_get(t.store, STORE_TEMPLATES, "x", on_text, NULL), 0);
	assert_int_equal(put(STORE_TEMPLATES, "x", 1, "1"), 0);
	assert_int_equal(store_get(t.store, STORE_TEMPLATES, "x", on_text, NULL), 0);
	assert_int_equal(put(STORE_TEMPLATES, "x", 1, "2"), 0);
	assert_int_equal(store_get(t.store, STORE_TEMPLATES, "x", on_text, NULL), 0);
	assert_int_equal(store_delete(t.store, STORE_TEMPLATES, "x", on_told, NULL), 0);
	assert_int_equal(store_get(t.store, STORE_TEMPLATES, "x", on_text, NULL), 0);
	assert_int_equal(put(STORE_TEMPLATES, "x", 1, "3"), 0);
	assert_int_equal(store_get(t.store, STORE_TEMPLATES, "x", on_text, NULL), 0);
	wait_told(9);
	assert_int_equal(t.failed, 0);
	for (size_t i = 0; i < COUNT(expected); i++)
		assert_string_equal(t.texts[i], expected[i]);
	close_store();
}

static void test_ten_thousand(void **state)
{
	char id[32], text[64];

	open_all();
	for (int i = 0; i < 10000; i++) {
		(void)snprintf(id, sizeof(id), "EXP%05d", i);
		(void)snprintf(text, sizeof(text), "{\"n\":%d}", i);
		assert_int_equal(put(STORE_EXPERIMENTS, id, i, text), 0);
	}
	wait_told(10000);
	assert_int_equal(t.failed, 0);
	close_store();
	open_first(100);
	assert_int_equal(t.n_seen, 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(t.seen[i].order_us, 9900 + i);
	assert_int_equal(store_prune(t.store, 9000), 0);
	assert_int_equal(store_get(t.store, STORE_EXPERIMENTS, "EXP08999", on_text, NULL), 0);
	assert_int_equal(store_get(t.store, STORE_EXPERIMENTS, "EXP09000", on_text, NULL), 0);
	wait_told(2);
	assert_string_equal(t.texts[0], "(none)");
	assert_string_equal(t.texts[1], "{\"n\":9000}");
	close_store();
	open_all();
	assert_int_equal(t.n_seen, 1000);
	close_store();
}

static size_t order_told[8], n_order_told;

static void on_told_in_order(int r, void *arg)
{
	assert_int_equal(r, 0);
	order_told[n_order_told++] = *(const size_t *)arg;
	t.told++;
}

static void test_puts_that_wait_become_one(void **state)
{
	static const size_t numbers[] = {0, 1, 2, 3};
	char text[64];

	open_all();
	/* The first is with the thread at once; until the loop turns, the rest waits. */
	assert_int_equal(put(STORE_TEMPLATES, "first", 1, ""), 0);
	n_order_told = 0;
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(text, sizeof(text), "%zu", i);
		assert_int_equal(store_put(t.store, STORE_TEMPLATES, "x", (int64_t)i, text,
					   on_told_in_order, (void *)&numbers[i]),
				 0);
	}
	assert_int_equal(store_put(t.store, STORE_TEMPLATES, "y", 3, "y", on_told_in_order,
				   (void *)&numbers[3]),
			 0);
	/* Their texts count once. */
	for (int i = 0; i < 1000; i++) {
		static char large[1 << 20];

		memset(large, 'l', sizeof(large) - 1);
		assert_int_equal(put(STORE_STATE, "large", i, large), 0);
	}
	wait_told(1 + 4 + 1000);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(order_told[i], i);
	close_store();
	open_all();
	assert_string_equal(find("x")->text, "2");
	assert_int_equal(find("x")->order_us, 2);
	assert_int_equal(find("large")->order_us, 999);
	close_store();
}

static void test_too_much_is_refused(void **state)
{
	static char large[STORE_TEXT_MAX + 2];
	char id[32];
	size_t n = 0;
	int r = 0;

	open_all();
	memset(large, 'l', sizeof(large) - 1);
	assert_int_equal(put(STORE_TEMPLATES, "larger", 1, large), -E2BIG);
	large[STORE_TEXT_MAX] = '\0';
	while (r == 0) {
		(void)snprintf(id, sizeof(id), "%zu", n);
		r = put(STORE_TEMPLATES, id, 1, large);
		n += r == 0;
	}
	assert_int_equal(r, -EBUSY);
	assert_int_equal(n, STORE_QUEUE_BYTES_MAX / STORE_TEXT_MAX - 1);
	wait_told(n);
	for (r = 0; r == 0;) {
		r = store_delete(t.store, STORE_TEMPLATES, "none", on_told, NULL);
		n += r == 0;
	}
	assert_int_equal(r, -EBUSY);
	assert_int_equal(n, STORE_QUEUE_MAX + STORE_QUEUE_BYTES_MAX / STORE_TEXT_MAX - 1);
	wait_told(n);
	assert_int_equal(t.failed, 0);
	assert_int_equal(put_and_wait("after", "it"), 0);
	close_store();
}

static void test_mode_whatever_the_umask(void **state)
{
	mode_t before = umask(0);

	open_all();
	assert_int_equal(put_and_wait("a", "1"), 0);
	assert_int_equal(mode_of("faultd.db"), 0600);
	assert_int_equal(mode_of("faultd.db-wal"), 0600);
	assert_false(exists("faultd.db-shm"));
	close_store();
	assert_int_equal(chmod(path_of("faultd.db"), 0666), 0);
	(void)umask(0777);
	open_all();
	(void)umask(before);
	assert_int_equal(mode_of("faultd.db"), 0600);
	assert_non_null(find("a"));
	close_store();
}

/* Which of these the thread of that id has. */
static void look_at_descriptors(const char *thread, bool *ret_database, bool *ret_others)
{
	char path[64], fd_path[PATH_MAX], link[PATH_MAX];
	const struct dirent *entry;
	DIR *fds;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%.16s/fd", thread);
	fds = opendir(path);
	*ret_database = *ret_others = false;
	assert_non_null(fds);
	while ((entry = readdir(fds))) {
		ssize_t n;

		(void)snprintf(fd_path, sizeof(fd_path), "%s/%.16s", path, entry->d_name);
		n = readlink(fd_path, link, sizeof(link) - 1);
		if (n < 0 || atoi(entry->d_name) <= STDERR_FILENO)
			continue;
		link[n] = '\0';
		*ret_database = *ret_database || strstr(link, "faultd.db");
		*ret_others = *ret_others || strstr(link, "pipe:") || strstr(link, "epoll");
	}
	(void)closedir(fds);
}

/* The thread has none of the daemon's descriptors, and the daemon none of its. */
static void test_thread_has_descriptors_of_its_own(void **state)
{
	const struct dirent *task;
	int ends[2], threads = 0;
	bool database, others;
	DIR *tasks;

	if (under_tsan)
		skip();
	assert_int_equal(pipe(ends), 0);
	open_all();
	assert_int_equal(put_and_wait("a", "1"), 0);
	tasks = opendir("/proc/self/task");
	while ((task = readdir(tasks))) {
		if (task->d_name[0] == '.')
			continue;
		look_at_descriptors(task->d_name, &database, &others);
		threads += database;
		assert_false(database && others);
		if (atoi(task->d_name) == getpid())
			assert_true(others && !database);
	}
	(void)closedir(tasks);
	assert_int_equal(threads, 1);
	close_store();
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void fill_database(void)
{
	char id[32];

	open_all();
	for (int i = 0; i < 200; i++) {
		(void)snprintf(id, sizeof(id), "T%d", i);
		assert_int_equal(put(STORE_TEMPLATES, id, i, "a text of some length, again"), 0);
	}
	wait_told(200);
	close_store();
}

static void write_at(const char *name, off_t at, const void *bytes, size_t n)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	assert_int_equal(close(fd), 0);
}

/* Begins anew beside what was damaged, and goes on. */
static void assert_begins_anew(void)
{
	open_all();
	assert_int_equal(t.n_seen, 0);
	assert_non_null(strstr(logged, "kept as faultd.db.bad"));
	assert_non_null(strstr(store_unread(t.store), "faultd.db.bad"));
	assert_int_equal(put_and_wait("new", "1"), 0);
	close_store();
	open_all();
	assert_int_equal(t.n_seen, 1);
	assert_null(store_unread(t.store));
	assert_string_equal(logged, "");
	close_store();
	remove_all();
}

static void test_damaged(void **state)
{
	uint64_t seed = 5;
	char noise[8192];
	struct stat st;

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)next_random(&seed);
	write_at("faultd.db", 0, noise, sizeof(noise));
	write_at("faultd.db-wal", 0, noise, sizeof(noise));
	open_all();
	assert_true(exists("faultd.db.bad"));
	assert_true(exists("faultd.db.bad-wal"));
	assert_int_equal(put_and_wait("x", "1"), 0);
	close_store();
	remove_all();

	/* Noise in the middle of what was sound, and an earlier one that was set aside. */
	fill_database();
	write_at("faultd.db.bad", 0, "earlier", 7);
	write_at("faultd.db", 4096, noise, sizeof(noise));
	assert_begins_anew();

	fill_database();
	assert_int_equal(stat(path_of("faultd.db"), &st), 0);
	assert_int_equal(truncate(path_of("faultd.db"), st.st_size / 2), 0);
	assert_begins_anew();

	/* As one that was begun, and then the host went down. */
	assert_int_equal(mknod(path_of("faultd.db"), S_IFREG | 0644, 0), 0);
	open_all();
	assert_null(store_unread(t.store)); /* nothing was ever kept */
	assert_int_equal(put_and_wait("x", "1"), 0);
	assert_string_equal(logged, "");
	close_store();
}

static void test_something_else_in_its_place(void **state)
{
	assert_int_equal(mkdir(path_of("faultd.db"), 0700), 0);
	assert_begins_anew();

	/* One that cannot be replaced is in the place of the one set aside. */
	assert_int_equal(mkdir(path_of("faultd.db.bad"), 0700), 0);
	write_at("faultd.db.bad/in", 0, "x", 1);
	write_at("faultd.db", 0, "not a database at all, not at all", 33);
	assert_begins_anew();

	assert_int_equal(mkfifo(path_of("faultd.db"), 0600), 0);
	assert_begins_anew();

	assert_int_equal(symlink("/nowhere/at/all", path_of("faultd.db")), 0);
	assert_begins_anew();
}

static void sql(const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path_of("faultd.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_schema(void **state)
{
	fill_database();
	sql("PRAGMA user_version = 99");
	open_all();
	assert_int_equal(t.n_seen, 0);
	assert_int_equal(store_health(t.store), -EPROTONOSUPPORT);
	assert_non_null(store_unread(t.store));
	assert_string_equal(store_strerror(store_health(t.store)),
			    "a later version of faultd has made it");
	assert_int_equal(put_and_wait("x", "1"), -EPROTONOSUPPORT);
	close_store();
	assert_false(exists("faultd.db.bad"));
	sql("PRAGMA user_version = 1");
	open_all();
	assert_int_equal(t.n_seen, 200);
	close_store();
	sql("DROP TABLE experiments");
	assert_begins_anew();
}

static void test_damaged_while_open(void **state)
{
	uint64_t seed = 9;
	char noise[16384], id[32];
	static char text[16384];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)next_random(&seed);
	memset(text, 't', sizeof(text) - 1);
	open_all();
	for (int i = 0; i < 100; i++) {
		(void)snprintf(id, sizeof(id), "T%d", i);
		assert_int_equal(put_and_wait(id, text), 0);
	}
	close_store();
	open_all();
	/* More of it than SQLite keeps in memory. */
	for (int i = 0; i < 100; i++)
		write_at("faultd.db", (off_t)i * (off_t)sizeof(noise), noise, sizeof(noise));
	assert_int_equal(store_get(t.store, STORE_TEMPLATES, "T0", on_text, NULL), 0);
	wait_told(1);
	assert_int_equal(t.last, -EUCLEAN);
	put_until_kept("again", "1");
	assert_int_equal(t.stale, 1);
	assert_non_null(strstr(logged, "faultd.db.bad"));
	close_store();
	open_all();
	assert_int_equal(t.n_seen, 1);
	close_store();
}

static void test_directory_gone(void **state)
{
	open_all();
	assert_int_equal(put_and_wait("a", "1"), 0);
	remove_all();
	assert_int_equal(rmdir(t.dir), 0);
	assert_int_equal(put_and_wait("b", "1"), -ENOENT);
	assert_int_equal(store_health(t.store), -ENOENT);
	assert_int_equal(t.stale, 0);
	assert_int_equal(mkdir(t.dir, 0700), 0);
	put_until_kept("c", "1");
	assert_int_equal(store_health(t.store), 0);
	assert_int_equal(t.stale, 1);
	close_store();
	open_all();
	assert_int_equal(t.n_seen, 1);
	assert_non_null(find("c"));
	close_store();
}

/* Not ignored: it would kill, were it not the thread that writes. */
static void test_limit_of_file_size(void **state)
{
	struct rlimit before, limit;
	int large, small;
	static char text[256 * 1024];

	memset(text, 't', sizeof(text) - 1);
	open_all();
	assert_int_equal(put_and_wait("a", "1"), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 128 * 1024;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	large = put_and_wait("b", text);
	small = put_and_wait("small", "1");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(large, -EFBIG);
	assert_int_equal(small, 0);
	assert_int_equal(put_and_wait("b", text), 0);
	close_store();
	open_all();
	assert_int_equal(t.n_seen, 3);
	close_store();
}

static void need_mounts(void)
{
	if (!may_mount)
		skip();
}

static void mount_tmpfs(unsigned long flags, const char *options)
{
	assert_int_equal(mount("test-store", t.dir, "tmpfs", flags, options), 0);
}

static void test_full_disk(void **state)
{
	static char text[64 * 1024];
	char id[32];
	int r = 0;

	need_mounts();
	mount_tmpfs(0, "size=1m,mode=700");
	memset(text, 't', sizeof(text) - 1);
	open_all();
	for (int i = 0; i < 64 && r == 0; i++) {
		(void)snprintf(id, sizeof(id), "T%d", i);
		r = put_and_wait(id, text);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(store_health(t.store), -ENOSPC);
	/* What is there can be read, and what is small may still find room; nobody is told twice.
	 */
	assert_int_equal(store_get(t.store, STORE_TEMPLATES, "T0", on_text, NULL), 0);
	wait_told(t.told + 1);
	assert_int_equal(t.texts[0][0], 't');
	assert_ptr_equal(strstr(strstr(logged, "No space") + 1, "No space"), NULL);
	mount_tmpfs(MS_REMOUNT, "size=8m");
	assert_int_equal(put_and_wait("T9", text), 0);
	assert_int_equal(t.stale, 1);
	assert_int_equal(store_health(t.store), 0);
	close_store();
	open_all();
	assert_non_null(find("T9"));
	close_store();
	assert_int_equal(umount(t.dir), 0);
}

/* Full from the start. */
static void test_no_room_to_begin(void **state)
{
	static char text[4096];

	need_mounts();
	mount_tmpfs(0, "size=64k,mode=700");
	for (off_t i = 0; i < 16; i++)
		write_at("ballast", i * 4096, text, sizeof(text));
	open_all();
	assert_int_equal(store_health(t.store), -ENOSPC);
	assert_int_equal(put_and_wait("a", "1"), -ENOSPC);
	mount_tmpfs(MS_REMOUNT, "size=8m");
	put_until_kept("b", "1");
	assert_int_equal(t.stale, 1);
	close_store();
	assert_int_equal(umount(t.dir), 0);
}

static void kill_a_writer(size_t acknowledged, int *ret_last);

static void test_read_only(void **state)
{
	int last;

	need_mounts();
	mount_tmpfs(0, "size=8m,mode=700");
	fill_database();
	for (int with_log = 0; with_log < 2; with_log++) {
		if (with_log)
			kill_a_writer(50, &last);
		assert_int_equal(exists("faultd.db-wal"), with_log);
		mount_tmpfs(MS_REMOUNT | MS_RDONLY, NULL);
		open_all();
		assert_in_range(t.n_seen, with_log ? 250 : 200, with_log ? RECORDS_MAX : 200);
		assert_int_equal(put_and_wait("x", "1"), -EROFS);
		assert_int_equal(store_get(t.store, STORE_TEMPLATES, "T7", on_text, NULL), 0);
		wait_told(t.told + 1);
		assert_int_equal(t.last, 0);
		mount_tmpfs(MS_REMOUNT, NULL);
		put_until_kept("y", "1");
		assert_int_equal(t.stale, 1);
		close_store();
		open_all();
		assert_non_null(find("y"));
		assert_non_null(find("T199"));
		assert_int_equal(store_delete(t.store, STORE_TEMPLATES, "y", on_told, NULL), 0);
		close_store();
	}
	assert_int_equal(umount(t.dir), 0);
}

static int acknowledge_to;

static void on_acknowledged(int r, void *arg)
{
	int number = (int)(intptr_t)arg;

	if (r < 0 || write(acknowledge_to, &number, sizeof(number)) != sizeof(number))
		_exit(1);
	t.told++;
}

/* In the child: writes for ever, several at a time. */
static _Noreturn void write_for_ever(void)
{
	char id[32];
	int sent = 0;

	open_all();
	for (;;) {
		for (int i = 0; i < 10; i++, sent++) {
			(void)snprintf(id, sizeof(id), "EXP%d", sent);
			if (store_put(t.store, STORE_EXPERIMENTS, id, sent, id, on_acknowledged,
				      (void *)(intptr_t)sent) < 0)
				_exit(1);
		}
		while (t.told < (size_t)sent)
			(void)uv_run(&t.loop, UV_RUN_ONCE);
	}
}

/* Kills a child after it was told of so many writes. `ret_last`: the last of which it was told. */
static void kill_a_writer(size_t acknowledged, int *ret_last)
{
	int ends[2], number, status;
	size_t n = 0;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		acknowledge_to = ends[1];
		write_for_ever();
	}
	(void)close(ends[1]);
	*ret_last = -1;
	while (read(ends[0], &number, sizeof(number)) == sizeof(number)) {
		*ret_last = number;
		if (++n == acknowledged)
			assert_int_equal(kill(pid, SIGKILL), 0);
	}
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(*ret_last >= 0);
}

static void test_killed(void **state)
{
	char id[32];
	int last;

	for (size_t round = 0; round < 8; round++) {
		kill_a_writer(37 * (round + 1), &last);
		open_all();
		assert_string_equal(logged, "");
		for (int i = 0; i <= last; i++) {
			(void)snprintf(id, sizeof(id), "EXP%d", i);
			if (!find(id) || strcmp(find(id)->text, id) != 0)
				fail_msg("%s was acknowledged, and is not there", id);
		}
		close_store();
		remove_all();
	}
}

/* Another process has it: nothing of it is touched, and it is tried again. */
static void test_another_process_has_it(void **state)
{
	int ends[2], status;
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		open_all();
		if (put_and_wait("theirs", "1") == 0)
			(void)!write(ends[1], "", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	open_all();
	assert_int_equal(store_health(t.store), -EBUSY);
	assert_int_equal(put_and_wait("ours", "1"), -EBUSY);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	put_until_kept("ours", "1");
	close_store();
	open_all();
	assert_non_null(find("theirs"));
	assert_non_null(find("ours"));
	close_store();
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* One that was killed may be a while in going: the start waits for it. */
static void test_predecessor_is_going(void **state)
{
	int ends[2], status;
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		open_all();
		if (put_and_wait("theirs", "1") == 0)
			(void)!write(ends[1], "", 1);
		(void)usleep(200000);
		_exit(0);
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	open_all();
	assert_int_equal(store_health(t.store), 0);
	assert_non_null(find("theirs"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close_store();
	(void)close(ends[0]);
	(void)close(ends[1]);
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

static size_t ticks;

static void on_tick(uv_timer_t *timer)
{
	ticks++;
}

/* One that can be frozen; skips where that may not be. */
static void mount_ext4(void)
{
	char image[80];

	(void)snprintf(image, sizeof(image), "%s.img", t.dir);
	if (!run_program((const char *[]){"mke2fs", "-q", "-t", "ext4", image, "16M", NULL}) ||
	    !run_program((const char *[]){"mount", "-o", "loop", image, t.dir, NULL})) {
		(void)unlink(image);
		skip();
	}
	(void)unlink(image);
}

/* The loop turns, the end comes in time, and the thread that was left behind ends by itself. */
static void test_frozen(void **state)
{
	uv_timer_t tick;
	uint64_t before;
	int fd, threads;

	need_mounts();
	mount_ext4();
	open_all();
	threads = threads_of_ours();
	assert_int_equal(put_and_wait("a", "1"), 0);
	fd = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(ioctl(fd, FIFREEZE, 0), 0);

	t.told = t.failed = 0;
	for (int i = 0; i < 20; i++) {
		char id[32];

		(void)snprintf(id, sizeof(id), "frozen%d", i);
		if (put(STORE_TEMPLATES, id, 1, "1") < 0)
			break;
	}
	(void)store_get(t.store, STORE_TEMPLATES, "a", on_text, NULL);
	(void)uv_timer_init(&t.loop, &tick);
	ticks = 0;
	(void)uv_timer_start(&tick, on_tick, 1, 1);
	before = boot_ns();
	while (ticks < 200)
		(void)uv_run(&t.loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	if (boot_ns() - before > 20 * NSEC_PER_SEC || t.told > 0) {
		(void)ioctl(fd, FITHAW, 0);
		fail_msg("the loop was held up, or somebody was told: %zu", t.told);
	}

	before = boot_ns();
	store_close(t.store);
	before = boot_ns() - before;
	(void)ioctl(fd, FITHAW, 0);
	(void)close(fd);
	assert_in_range(before, 1900 * NSEC_PER_MSEC, 8 * NSEC_PER_SEC);
	assert_int_equal(t.told, 21);
	assert_int_equal(t.failed, 21);
	assert_int_equal(t.last, -ECANCELED);
	uv_close((uv_handle_t *)&t.guard, NULL);
	(void)uv_run(&t.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t.loop), 0);
	store_free(t.store);

	before = boot_ns();
	while (threads_of_ours() >= threads) {
		assert_true(boot_ns() - before < 30 * NSEC_PER_SEC);
		(void)usleep(1000);
	}
	/* What was asked for before the end may be there; nothing is damaged. */
	open_all();
	assert_non_null(find("a"));
	assert_string_equal(logged, "");
	close_store();
	assert_true(run_program((const char *[]){"umount", "-d", t.dir, NULL}));
}

/* Does a thread of it sleep in the disk? */
static bool sleeps_in_disk(pid_t pid)
{
	char path[64], line[256];
	const struct dirent *task;
	bool found = false;
	DIR *tasks;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	while ((task = readdir(tasks))) {
		FILE *f;

		if (task->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%.16s/stat", (int)pid,
			       task->d_name);
		f = fopen(path, "re");
		if (f && fgets(line, sizeof(line), f))
			found = found || strstr(line, ") D ");
		if (f)
			(void)fclose(f);
	}
	(void)closedir(tasks);
	return found;
}

/* Its thread cannot be killed before the disk answers; what the process had open is closed. */
static void test_killed_while_frozen(void **state)
{
	uint64_t until = boot_ns() + 30 * NSEC_PER_SEC;
	int go[2], ends[2], fd, status;
	bool sleeps, closed;
	struct pollfd end;
	char byte;
	pid_t pid;

	need_mounts();
	if (under_tsan)
		skip();
	mount_ext4();
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		open_all();
		if (put_and_wait("a", "1") < 0 || write(ends[1], "", 1) != 1 ||
		    read(go[0], &byte, 1) != 1)
			_exit(1);
		(void)put(STORE_TEMPLATES, "b", 1, "1");
		for (;;)
			(void)pause();
	}
	(void)close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	fd = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(ioctl(fd, FIFREEZE, 0), 0);
	(void)!write(go[1], "", 1);
	while (!(sleeps = sleeps_in_disk(pid)) && boot_ns() < until)
		(void)usleep(1000);
	(void)kill(pid, SIGKILL);
	end = (struct pollfd){.fd = ends[0], .events = POLLIN};
	closed = poll(&end, 1, 30000) == 1 && read(ends[0], &byte, 1) == 0;
	/* It has not ended all the same. */
	sleeps = sleeps && waitpid(pid, &status, WNOHANG) == 0;
	(void)ioctl(fd, FITHAW, 0);
	(void)close(fd);
	assert_int_equal(waitpid(pid, &status, sleeps ? 0 : WNOHANG), pid);
	assert_true(sleeps);
	assert_true(closed);
	(void)close(ends[0]);
	(void)close(go[0]);
	(void)close(go[1]);
	open_all();
	assert_non_null(find("a"));
	close_store();
	assert_true(run_program((const char *[]){"umount", "-d", t.dir, NULL}));
}

static void test_nothing_after_close(void **state)
{
	open_all();
	assert_int_equal(put(STORE_TEMPLATES, "a", 1, "1"), 0);
	assert_int_equal(put(STORE_TEMPLATES, "b", 1, "1"), 0);
	store_close(t.store);
	/* Within the two seconds: kept, and told so. */
	assert_int_equal(t.told, 2);
	assert_int_equal(t.failed, 0);
	assert_int_equal(put(STORE_TEMPLATES, "c", 1, "1"), -ECANCELED);
	uv_close((uv_handle_t *)&t.guard, NULL);
	(void)uv_run(&t.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t.loop), 0);
	store_free(t.store);
	store_free(NULL);
	open_all();
	assert_int_equal(t.n_seen, 2);
	close_store();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_keeps_and_reopens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reads_its_writes_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ten_thousand, setup, teardown),
		cmocka_unit_test_setup_teardown(test_puts_that_wait_become_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_much_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mode_whatever_the_umask, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thread_has_descriptors_of_its_own, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_something_else_in_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_schema, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_while_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_of_file_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room_to_begin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_process_has_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_predecessor_is_going, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frozen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_while_frozen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_after_close, setup, teardown),
	};

	log_set_sink(keep_line);
	may_mount =
		unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
