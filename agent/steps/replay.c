/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/replay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "steps/step_run.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

#define FAULTS_MAX 512 /* twice what policy allows to be open */

/* All of it static: undoing must not wait for memory. Used by one thread, one journal at a time. */
static struct journal_replay replay;
static bool torn; /* its last line was */
static char read_buffer[2 * JOURNAL_LINE_MAX];
static struct {
	uint64_t number;
	char name[FAULT_ID_MAX + sizeof(JOURNAL_SUFFIX)];
} found[FAULTS_MAX];

int journal_dir_open(const char *runtime_dir, bool create)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	char path[256];

	if ((size_t)snprintf(path, sizeof(path), "%s/journal", runtime_dir) >= sizeof(path))
		return -ENAMETOOLONG;
	if (create && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* Its lines are obeyed: nobody else may have written them. */
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & 022)
		return -EPERM;
	return steal_fd(&fd);
}

int journal_lock(int dirfd, int wait_ms)
{
	const struct timespec pause = {.tv_nsec = 2 * NSEC_PER_MSEC};
	uint64_t until = boot_ns() + (uint64_t)wait_ms * NSEC_PER_MSEC;
	_cleanup_close_ int fd =
		openat(dirfd, JOURNAL_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (boot_ns() >= until)
			return -EWOULDBLOCK;
		(void)nanosleep(&pause, NULL);
	}
	return steal_fd(&fd);
}

int boot_id_read(char ret[static 40])
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, 39);

	if (n < 0)
		return -errno;
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

/* Reads one line at `at` into `line`, without its newline. Returns its length with the newline, 0
 * at the end of the file, -EBADMSG for a torn or overlong one. */
static ssize_t read_line(int fd, off_t at, char *line, size_t size)
{
	ssize_t n;
	char *end;

	do
		n = pread(fd, line, size - 1, at);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	line[n] = '\0';
	end = memchr(line, '\n', (size_t)n);
	if (!end)
		return -EBADMSG;
	*end = '\0';
	return end - line + 1;
}

/* No newline was within a line's length of `at`: where the next line begins, or 0 when there is
 * none. */
static off_t skip_line(int fd, off_t at)
{
	ssize_t n;

	while ((n = pread(fd, read_buffer, JOURNAL_LINE_MAX, at)) > 0) {
		const char *end = memchr(read_buffer, '\n', (size_t)n);

		if (end)
			return at + (end - read_buffer) + 1;
		at += n;
	}
	return 0;
}

/* Never waits, whatever lies under that name: a FIFO's open would. Returns a descriptor or a
 * negative errno. */
static int open_journal(int dirfd, const char *name, int mode)
{
	int fd = openat(dirfd, name, mode | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Reads the whole journal into `replay`. A torn tail is told; nothing came after it. */
static int read_journal(int fd, const char *name)
{
	off_t at = 0, next;
	ssize_t n;

	memset(&replay, 0, sizeof(replay));
	for (;;) {
		n = read_line(fd, at, read_buffer, JOURNAL_LINE_MAX);
		if (n == -EBADMSG && (next = skip_line(fd, at)) > 0) {
			replay.bad_lines++;
			at = next;
			continue;
		}
		if (n <= 0)
			break;
		if (n > 1) /* an empty line closes a torn one */
			journal_replay_line(&replay, read_buffer, at);
		at += n;
	}
	if (n == -EBADMSG)
		log_warning("journal %s: its last line is torn, ignoring it", name);
	else if (n < 0)
		return (int)n;
	torn = n == -EBADMSG;
	if (replay.bad_lines)
		log_warning("journal %s: %zu bad lines, undoing all the others", name,
			    replay.bad_lines);
	return 0;
}

static bool is_journal(const char *name)
{
	size_t n = strlen(name), suffix = strlen(JOURNAL_SUFFIX);

	return n > suffix && n < sizeof(found[0].name) && str_eq(name + n - suffix, JOURNAL_SUFFIX);
}

static uint64_t number_of(int dirfd, const char *name)
{
	_cleanup_close_ int fd = open_journal(dirfd, name, O_RDONLY);

	if (fd < 0 || read_journal(fd, name) < 0)
		return 0;
	return replay.header.number;
}

static void insert(size_t *n, const char *name, uint64_t number)
{
	size_t i = *n;

	for (; i > 0 && found[i - 1].number < number; i--)
		found[i] = found[i - 1];
	found[i].number = number;
	(void)str_copy(found[i].name, sizeof(found[i].name), name);
	(*n)++;
}

/* Lists the journals, newest first, into `found`. getdents64 itself, for opendir() allocates. */
static int find_journals(int dirfd, size_t *ret)
{
	_Alignas(struct dirent64) char entries[4096];
	size_t n = 0;
	long got;

	if (lseek(dirfd, 0, SEEK_SET) < 0)
		return -errno;
	while ((got = syscall(SYS_getdents64, dirfd, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < got;) {
			const struct dirent64 *d =
				(const struct dirent64 *)(const void *)(entries + at);

			if (is_journal(d->d_name) && n < FAULTS_MAX)
				insert(&n, d->d_name, number_of(dirfd, d->d_name));
			at += d->d_reclen;
		}
	}
	*ret = n;
	return got < 0 ? -errno : 0;
}

static void mark_undone(int fd, size_t index)
{
	char buffer[80];
	struct text t = TEXT(buffer);

	/* Best effort: undoing twice is harmless, and the disk may be what is full. A torn line is
	 * closed first, or this one would become part of it. */
	if (torn)
		text_add(&t, "\n");
	torn = false;
	journal_print_mark(JOURNAL_UNDONE, index, &t);
	if (lseek(fd, 0, SEEK_END) < 0 || write(fd, t.data, t.length) < 0)
		return;
}

static int undo_step(int fd, size_t index, struct text *note)
{
	enum journal_line_type type;
	struct step s;
	const char *body;
	size_t i;

	if (replay.step_at[index] == 0 ||
	    read_line(fd, replay.step_at[index], read_buffer, JOURNAL_LINE_MAX) <= 0 ||
	    journal_parse(read_buffer, &type, &i, &body) < 0 || step_decode(body, &s) < 0)
		return -EBADMSG;
	return step_undo_alone(&s, note);
}

static void undo_steps(int fd, struct replay_result *ret)
{
	const struct journal_header *h = &replay.header;

	for (size_t i = replay.n_steps; i-- > 0;) {
		char buffer[TEXT_MAX] = "";
		struct text note = TEXT(buffer);
		int r;

		if (!journal_owes(&replay, i))
			continue;
		r = undo_step(fd, i, &note);
		if (r == 0) {
			ret->undone++;
			mark_undone(fd, i);
		} else {
			ret->failed += r != -EBADMSG;
			ret->bad += r == -EBADMSG;
			log_fault(LEVEL_ERROR, h->id, h->action, "step %zu could not be undone: %s",
				  i, strerror(-r));
		}
		if (note.length)
			log_fault(LEVEL_NOTICE, h->id, h->action, "%s", buffer);
	}
}

/* A file with bad lines is kept for people, under a name that is not undone again. */
static void put_aside(int dirfd, const char *name)
{
	char bad[sizeof(found[0].name) + 8];

	(void)snprintf(bad, sizeof(bad), "%s.bad", name);
	if (renameat(dirfd, name, dirfd, bad) < 0)
		log_error("cannot rename the journal %s: %s", name, strerror(errno));
}

static bool is_file(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISREG(st.st_mode);
}

static void replay_one(int dirfd, const char *name, const char *boot, struct replay_result *ret)
{
	_cleanup_close_ int fd = open_journal(dirfd, name, O_RDWR);
	struct replay_result before = *ret;
	int r = fd < 0 ? fd : read_journal(fd, name);

	if (r < 0) {
		log_error("cannot read the journal %s: %s", name, strerror(-r));
		/* A file may be readable the next time; what is no file never will be. */
		if (is_file(dirfd, name)) {
			ret->unread++;
		} else {
			ret->bad++;
			put_aside(dirfd, name);
		}
		return;
	}
	/* What a step changes does not outlive a boot: another boot's journal is only removed. */
	if (!replay.ended && !(boot[0] && replay.has_header && !str_eq(replay.header.boot, boot))) {
		ret->faults++;
		undo_steps(fd, ret);
		log_fault(LEVEL_NOTICE, replay.header.id, replay.header.action,
			  "undone from its journal: %u step(s), %u failed",
			  ret->undone - before.undone, ret->failed - before.failed);
	}
	ret->bad += (unsigned)replay.bad_lines;
	if (ret->failed != before.failed)
		return; /* to be tried again */
	if (ret->bad != before.bad)
		put_aside(dirfd, name);
	else if (unlinkat(dirfd, name, 0) < 0)
		log_error("cannot remove the journal %s: %s", name, strerror(errno));
}

int replay_all(int dirfd, struct replay_result *ret)
{
	char boot[40] = "";
	size_t n = 0;
	int r = find_journals(dirfd, &n);

	*ret = (struct replay_result){0};
	(void)boot_id_read(boot);
	for (size_t i = 0; i < n; i++)
		replay_one(dirfd, found[i].name, boot, ret);
	return r;
}

static void list_one(int dirfd, const char *name)
{
	_cleanup_close_ int fd = open_journal(dirfd, name, O_RDONLY);
	unsigned owed = 0;

	if (fd < 0 || read_journal(fd, name) < 0 || replay.ended)
		return;
	for (size_t i = 0; i < replay.n_steps; i++)
		owed += journal_owes(&replay, i);
	(void)printf("%s %s: %u of %zu steps to undo\n", replay.header.id, replay.header.action,
		     owed, replay.n_steps);
}

int replay_list(int dirfd)
{
	size_t n = 0;
	int r = find_journals(dirfd, &n);

	for (size_t i = n; i-- > 0;)
		list_one(dirfd, found[i].name);
	return r;
}

int replay_count(int dirfd, size_t *ret)
{
	return find_journals(dirfd, ret);
}

/* Past its deadline, and all that was begun is without effect: what it waits for (a unit that
 * systemd starts, workers that were killed) goes on without anybody. */
static bool is_over(void)
{
	size_t begun = 0;

	for (size_t i = 0; i < replay.n_steps; i++) {
		if (journal_affects(&replay, i))
			return false;
		begun += replay.begun[i];
	}
	return begun > 0 && boot_ns() >= replay.header.deadline;
}

int replay_earliest_deadline(int dirfd, uint64_t *ret)
{
	size_t n = 0;
	int r = find_journals(dirfd, &n);

	*ret = 0;
	for (size_t i = 0; i < n; i++) {
		_cleanup_close_ int fd = open_journal(dirfd, found[i].name, O_RDONLY);

		if (fd == -ENOENT) /* it ended meanwhile */
			continue;
		if (fd < 0 || read_journal(fd, found[i].name) < 0) {
			r = -EIO;
			continue;
		}
		if (!replay.has_header || replay.ended || is_over())
			continue;
		if (*ret == 0 || replay.header.deadline < *ret)
			*ret = replay.header.deadline;
	}
	return r;
}
