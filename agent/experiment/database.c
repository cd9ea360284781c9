/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/database.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/str.h"

#define FILE_NAME             "faultd.db"
#define ASIDE_MAX             9 /* faultd.db.bad, then .bad.2 to .bad.9, where one cannot be replaced */
#define BUSY_TIMEOUT_MS       200
#define FIRST_BUSY_TIMEOUT_MS 3000 /* one that was killed may still be in the disk */
#define REOPEN_NS             NSEC_PER_SEC
#define CHECK_SIZE_MAX        (64LL << 20) /* larger ones are not read as a whole at the start */

enum statement { PUT, DELETE, GET, EACH, _STATEMENT_MAX };

struct database {
	char path[PATH_MAX];
	sqlite3 *db;
	sqlite3_stmt *statements[_STORE_TABLE_MAX][_STATEMENT_MAX];
	dev_t dev; /* of the file that is open */
	ino_t ino;
	bool tried, was_open, suspect;
	int read_only; /* why, or 0 */
	int failed;    /* of the last attempt to open it */
	uint64_t again_ns;
	struct database_news news;
};

/* A schema is brought from version i to i + 1 by migrations[i]; never changed, only added to. */
#define TABLE(name)                                                                                \
	"CREATE TABLE " name "(id TEXT PRIMARY KEY NOT NULL, order_us INTEGER NOT NULL, text TEXT" \
	" NOT NULL);"                                                                              \
	"CREATE INDEX " name "_order ON " name "(order_us);"
static const char *const migrations[] = {
	TABLE("templates") TABLE("experiments") TABLE("state"),
};

#define SQL(name)                                                                            \
	{                                                                                    \
		[PUT] = "INSERT INTO " name                                                  \
			"(id, order_us, text) VALUES(?1, ?2, ?3) ON CONFLICT(id)"            \
			" DO UPDATE SET order_us = ?2, text = ?3",                           \
		[DELETE] = "DELETE FROM " name " WHERE id = ?1",                             \
		[GET] = "SELECT text FROM " name " WHERE id = ?1",                           \
		[EACH] = "SELECT id, order_us, text FROM (SELECT * FROM " name               \
			 " ORDER BY order_us DESC, id DESC LIMIT ?1) ORDER BY order_us, id", \
	}
static const char *const sql[_STORE_TABLE_MAX][_STATEMENT_MAX] = {
	[STORE_TEMPLATES] = SQL("templates"),
	[STORE_EXPERIMENTS] = SQL("experiments"),
	[STORE_STATE] = SQL("state"),
};

/* `mmap_size` 0 and `locking_mode` EXCLUSIVE: no page of a file is mapped, neither of the database
 * nor of its index of the log, so that a disk that fails is an error and never a SIGBUS. */
static const char settings[] = "PRAGMA locking_mode = EXCLUSIVE;"
			       "PRAGMA mmap_size = 0;"
			       "PRAGMA cache_size = -256;"
			       "PRAGMA temp_store = MEMORY;"
			       "PRAGMA trusted_schema = OFF;"
			       "PRAGMA cell_size_check = ON;";
static const char writing[] = "PRAGMA journal_mode = WAL;"
			      "PRAGMA synchronous = FULL;"
			      "PRAGMA journal_size_limit = 1048576;"
			      "PRAGMA wal_autocheckpoint = 250;";

struct database *database_new(const char *state_dir)
{
	struct database *d = calloc(1, sizeof(*d));

	if (d)
		(void)snprintf(d->path, sizeof(d->path), "%s/" FILE_NAME, state_dir);
	return d;
}

void database_close(struct database *d)
{
	for (size_t i = 0; i < _STORE_TABLE_MAX; i++) {
		for (size_t j = 0; j < _STATEMENT_MAX; j++) {
			(void)sqlite3_finalize(d->statements[i][j]);
			d->statements[i][j] = NULL;
		}
	}
	(void)sqlite3_close(d->db);
	d->db = NULL;
}

void database_free(struct database *d)
{
	if (d)
		database_close(d);
	free(d);
}

bool database_is_there(const struct database *d)
{
	struct stat st;

	if (lstat(d->path, &st) < 0)
		return errno != ENOENT;
	return !S_ISREG(st.st_mode) || st.st_size > 0;
}

struct database_news database_news(struct database *d)
{
	struct database_news news = d->news;

	d->news = (struct database_news){0};
	return news;
}

/* Of the log of the database, or of itself. */
static int last_errno(sqlite3 *db, int which)
{
	sqlite3_file *file = NULL;
	int e = 0;

	if (sqlite3_file_control(db, "main", which, &file) == SQLITE_OK && file && file->pMethods)
		(void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &e);
	return e;
}

/* What the system said, where it was asked. SQLite reads errno late, when it may be 0 again. */
static int system_error(sqlite3 *db, int otherwise)
{
	int e = db ? sqlite3_system_errno(db) : 0;

	if (db && e <= 0)
		e = last_errno(db, SQLITE_FCNTL_JOURNAL_POINTER);
	if (db && e <= 0)
		e = last_errno(db, SQLITE_FCNTL_FILE_POINTER);
	return e > 0 ? -e : otherwise;
}

static int errno_of(sqlite3 *db, int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
		return code == SQLITE_READONLY_DBMOVED ? -ENOENT : -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_TOOBIG:
		return -E2BIG;
	case SQLITE_CANTOPEN:
		return system_error(db, -ENOENT);
	default:
		return code == SQLITE_IOERR_NOMEM ? -ENOMEM : system_error(db, -EIO);
	}
}

/* A database that does not work as one, such as with a table that is missing, is damaged. */
static int outcome(struct database *d, int code)
{
	return (code & 0xff) == SQLITE_ERROR ? -EUCLEAN : errno_of(d->db, code);
}

static int execute(struct database *d, const char *text)
{
	return outcome(d, sqlite3_exec(d->db, text, NULL, NULL, NULL));
}

/* Its first value, as text. */
static int ask(struct database *d, const char *text, char *ret, size_t size)
{
	sqlite3_stmt *s = NULL;
	int code = sqlite3_prepare_v2(d->db, text, -1, &s, NULL);

	ret[0] = '\0';
	if (code == SQLITE_OK)
		code = sqlite3_step(s);
	if (code == SQLITE_ROW) {
		const char *value = (const char *)sqlite3_column_text(s, 0);

		(void)str_copy(ret, size, value ? value : "");
	}
	(void)sqlite3_finalize(s);
	return outcome(d, code);
}

static int check(struct database *d)
{
	char answer[64];
	struct stat st;
	int r;

	if (stat(d->path, &st) < 0)
		return -errno;
	if (st.st_size > CHECK_SIZE_MAX && !d->suspect)
		return 0;
	r = ask(d, "PRAGMA quick_check(1)", answer, sizeof(answer));
	return r < 0 || str_eq(answer, "ok") ? r : -EUCLEAN;
}

static int migrate_from(struct database *d, size_t version)
{
	char set[64];
	int r = execute(d, "BEGIN IMMEDIATE");

	for (size_t i = version; r == 0 && i < ARRAY_SIZE(migrations); i++)
		r = execute(d, migrations[i]);
	(void)snprintf(set, sizeof(set), "PRAGMA user_version = %zu", ARRAY_SIZE(migrations));
	if (r == 0)
		r = execute(d, set);
	if (r == 0)
		r = execute(d, "COMMIT");
	return r;
}

static int migrate(struct database *d)
{
	char answer[32];
	uint64_t version;
	int r = ask(d, "PRAGMA user_version", answer, sizeof(answer));

	if (r < 0)
		return r;
	if (str_to_u64(answer, &version) < 0)
		return -EUCLEAN;
	if (version > ARRAY_SIZE(migrations))
		return -EPROTONOSUPPORT;
	if (version == ARRAY_SIZE(migrations))
		return 0;
	return d->read_only < 0 ? d->read_only : migrate_from(d, (size_t)version);
}

/* Is it a regular file that we may write, or can it be made? Its mode is set here, so that it is
 * never any other; SQLite gives its log the same one. Only then SQLite may look: what is closed
 * here would take its locks with it. */
static int claim(struct database *d, bool *ret_made)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	*ret_made = false;
	fd = open(d->path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		fd = open(d->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		*ret_made = fd >= 0;
	}
	/* A directory, a link, a socket, a device. */
	if (fd < 0)
		return errno == EISDIR || errno == ELOOP || errno == ENXIO ? -EUCLEAN : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EUCLEAN;
	if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) < 0)
		return -errno;
	d->dev = st.st_dev;
	d->ino = st.st_ino;
	return 0;
}

static int connect_with(struct database *d, const char *name, int flags, const char *vfs)
{
	int code = sqlite3_open_v2(name, &d->db, flags | SQLITE_OPEN_NOMUTEX, vfs);
	int r = errno_of(d->db, code);

	if (r < 0)
		return r;
	(void)sqlite3_extended_result_codes(d->db, 1);
	(void)sqlite3_busy_timeout(d->db, d->tried ? BUSY_TIMEOUT_MS : FIRST_BUSY_TIMEOUT_MS);
	(void)sqlite3_limit(d->db, SQLITE_LIMIT_WORKER_THREADS, 0);
	(void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	/* The log of one that is damaged is set aside as it is. */
	(void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return execute(d, settings);
}

static int statement(struct database *d, enum store_table table, enum statement which,
		     sqlite3_stmt **ret)
{
	sqlite3_stmt **s = &d->statements[table][which];
	int code = SQLITE_OK;

	if (!*s)
		code = sqlite3_prepare_v3(d->db, sql[table][which], -1, SQLITE_PREPARE_PERSISTENT,
					  s, NULL);
	*ret = *s;
	return outcome(d, code);
}

/* Are the tables what they should be? */
static int prepare_all(struct database *d)
{
	sqlite3_stmt *s;
	int r = 0;

	for (enum store_table t = 0; t < _STORE_TABLE_MAX; t++) {
		for (enum statement which = 0; r == 0 && which < _STATEMENT_MAX; which++)
			r = statement(d, t, which, &s);
	}
	return r;
}

static int open_for_writing(struct database *d)
{
	int r = connect_with(d, d->path, SQLITE_OPEN_READWRITE, NULL);

	if (r == 0)
		r = execute(d, writing);
	if (r == 0)
		r = check(d);
	if (r == 0)
		r = migrate(d);
	if (r == 0)
		r = prepare_all(d);
	if (r == 0)
		(void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	return r;
}

/* A file name as an URI has it: three bytes for each at most. */
static void escape(const char *path, char *ret)
{
	for (; *path; path++) {
		bool plain = (*path >= 'a' && *path <= 'z') || (*path >= 'A' && *path <= 'Z') ||
			     (*path >= '0' && *path <= '9') || strchr("/._-", *path);

		ret += sprintf(ret, plain ? "%c" : "%%%02X", (unsigned char)*path);
	}
}

/* For what is on a file system that has become read-only, as they do when a disk fails: the lever
 * may be in there. What was not brought from the log into the database yet is read, too; that needs
 * a lock for writing, which such a file cannot have, and so none is asked for ("unix-none"). */
static int open_for_reading(struct database *d)
{
	char name[PATH_MAX + 8], escaped[3 * PATH_MAX + 1], uri[3 * PATH_MAX + 32];
	int r;

	(void)snprintf(name, sizeof(name), "%s-wal", d->path);
	if (access(name, F_OK) == 0) {
		r = connect_with(d, d->path, SQLITE_OPEN_READONLY, "unix-none");
	} else {
		escape(d->path, escaped);
		(void)snprintf(uri, sizeof(uri), "file:%s?immutable=1", escaped);
		r = connect_with(d, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
	}
	if (r == 0)
		r = migrate(d);
	return r;
}

static void aside_name(unsigned i, char *ret, size_t size)
{
	if (i == 1)
		(void)snprintf(ret, size, FILE_NAME ".bad");
	else
		(void)snprintf(ret, size, FILE_NAME ".bad.%u", i);
}

/* Renames PATH and its suffix to NAME and its suffix, in the same directory. */
static int rename_beside(const char *path, const char *name, const char *suffix)
{
	char from[PATH_MAX + 8], to[PATH_MAX + 48];
	const char *slash = strrchr(path, '/');

	(void)snprintf(from, sizeof(from), "%s%s", path, suffix);
	(void)snprintf(to, sizeof(to), "%.*s/%s%s", (int)(slash - path), path, name, suffix);
	return rename(from, to) < 0 ? -errno : 0;
}

/* The newest damaged one is kept. What cannot be replaced, such as a directory, stays. */
static int set_aside(struct database *d)
{
	int r = -EEXIST;

	for (unsigned i = 1; r < 0 && i <= ASIDE_MAX; i++) {
		aside_name(i, d->news.aside, sizeof(d->news.aside));
		r = rename_beside(d->path, d->news.aside, "");
		if (r == -EROFS || r == -EACCES || r == -EIO || r == -ENOENT)
			break;
	}
	if (r < 0) {
		d->news.aside[0] = '\0';
		return r;
	}
	/* A log without its database would be taken for one of the next database. */
	(void)rename_beside(d->path, d->news.aside, "-wal");
	(void)rename_beside(d->path, d->news.aside, "-shm");
	(void)rename_beside(d->path, d->news.aside, "-journal");
	return 0;
}

static int try_open(struct database *d, bool *ret_made)
{
	int r = claim(d, ret_made);

	d->read_only = r == -EROFS || r == -EACCES || r == -EPERM ? r : 0;
	if (d->read_only < 0)
		return open_for_reading(d) < 0 ? r : 0;
	return r < 0 ? r : open_for_writing(d);
}

static int open_or_begin_anew(struct database *d)
{
	bool made = false;
	int r = try_open(d, &made);

	if (r == -EUCLEAN) {
		database_close(d);
		r = set_aside(d);
		if (r == 0)
			r = try_open(d, &made);
		else
			r = -EUCLEAN;
	}
	if (r < 0)
		database_close(d);
	else if (made && (d->was_open || d->news.aside[0]))
		d->news.begun_anew = true;
	return r;
}

/* SQLite goes on writing to a file that was deleted or replaced. */
static int still_there(const struct database *d)
{
	struct stat st;

	if (d->read_only < 0)
		return 0;
	if (stat(d->path, &st) < 0)
		return -errno;
	return st.st_dev == d->dev && st.st_ino == d->ino ? 0 : -ESTALE;
}

int database_open(struct database *d)
{
	if (d->db && still_there(d) == 0)
		return 0;
	if (!d->db && d->failed < 0 && boot_ns() < d->again_ns)
		return d->failed;
	database_close(d);
	d->failed = open_or_begin_anew(d);
	d->tried = true;
	d->again_ns = boot_ns() + REOPEN_NS;
	if (d->failed == 0) {
		d->was_open = true;
		d->suspect = false;
	}
	return d->failed;
}

/* One that gives no rows. */
static int finish(struct database *d, sqlite3_stmt *s)
{
	int r = outcome(d, sqlite3_step(s));

	(void)sqlite3_reset(s);
	(void)sqlite3_clear_bindings(s);
	return r;
}

int database_begin(struct database *d)
{
	int r = database_open(d);

	if (r == 0 && d->read_only < 0 && boot_ns() >= d->again_ns) {
		database_close(d);
		r = database_open(d);
	}
	if (r == 0)
		r = d->read_only < 0 ? d->read_only : execute(d, "BEGIN IMMEDIATE");
	return r;
}

/* What is damaged is looked at when it is opened next. */
static void close_if_damaged(struct database *d, int r)
{
	if (r == -EUCLEAN) {
		d->suspect = true;
		database_close(d);
	}
}

int database_commit(struct database *d)
{
	int r = execute(d, "COMMIT");

	if (r < 0)
		database_rollback(d, r);
	return r;
}

void database_rollback(struct database *d, int why)
{
	if (d->db && !sqlite3_get_autocommit(d->db))
		(void)execute(d, "ROLLBACK");
	close_if_damaged(d, why);
}

int database_put(struct database *d, enum store_table table, const char *id, int64_t order_us,
		 const char *text)
{
	sqlite3_stmt *s;
	int r = statement(d, table, PUT, &s);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 2, order_us);
	(void)sqlite3_bind_text(s, 3, text, -1, SQLITE_STATIC);
	return finish(d, s);
}

int database_delete(struct database *d, enum store_table table, const char *id)
{
	sqlite3_stmt *s;
	int r = statement(d, table, DELETE, &s);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
	return finish(d, s);
}

int database_prune(struct database *d, int64_t before_us)
{
	char text[96];

	(void)snprintf(text, sizeof(text), "DELETE FROM experiments WHERE order_us < %lld",
		       (long long)before_us);
	return execute(d, text);
}

static int copy_column(sqlite3_stmt *s, char **ret)
{
	const char *text = (const char *)sqlite3_column_text(s, 0);

	*ret = text ? strdup(text) : NULL;
	return *ret ? 0 : -ENOMEM;
}

int database_get(struct database *d, enum store_table table, const char *id, char **ret)
{
	sqlite3_stmt *s = NULL;
	int code, r = database_open(d);

	*ret = NULL;
	if (r == 0)
		r = statement(d, table, GET, &s);
	if (r < 0)
		return r;
	(void)sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
	code = sqlite3_step(s);
	r = code == SQLITE_ROW ? copy_column(s, ret) : outcome(d, code);
	(void)sqlite3_reset(s);
	(void)sqlite3_clear_bindings(s);
	close_if_damaged(d, r);
	return r;
}

int database_each(struct database *d, enum store_table table, size_t limit, database_each_fn each,
		  void *arg)
{
	sqlite3_stmt *s = NULL;
	int code = SQLITE_DONE, r = database_open(d);

	if (r == 0)
		r = statement(d, table, EACH, &s);
	if (r == 0)
		(void)sqlite3_bind_int64(s, 1, limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
	while (r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
		const char *id = (const char *)sqlite3_column_text(s, 0);
		const char *text = (const char *)sqlite3_column_text(s, 2);

		r = id && text ? each(table, id, sqlite3_column_int64(s, 1), text, arg) : -ENOMEM;
	}
	if (r == 0)
		r = outcome(d, code);
	(void)sqlite3_reset(s);
	close_if_damaged(d, r);
	return r;
}
