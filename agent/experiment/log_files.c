/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/log_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/str.h"

#define DIRECTORY_NAME "experiments"
#define SUFFIX         ".ndjson"
#define OLDER          ".1"
#define ID_MAX         64
#define NAME_SIZE      (ID_MAX + sizeof(SUFFIX OLDER))
#define TAIL_MAX       65536 /* how far back a line that was torn is looked for */

struct log_files {
	char directory[PATH_MAX];
	char id[ID_MAX + 1]; /* of the one that is open, or "" */
	int fd;
	off_t size;
};

struct log_files *log_files_new(const char *state_dir)
{
	struct log_files *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	(void)snprintf(f->directory, sizeof(f->directory), "%s/" DIRECTORY_NAME, state_dir);
	f->fd = -1;
	return f;
}

void log_files_rest(struct log_files *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
	f->id[0] = '\0';
}

void log_files_free(struct log_files *f)
{
	if (f)
		log_files_rest(f);
	free(f);
}

bool log_files_can_be_called(const char *id)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

	return id[0] && strlen(id) <= ID_MAX && strspn(id, allowed) == strlen(id);
}

static const char *name_of(const char *id, const char *older, char ret[static NAME_SIZE])
{
	(void)snprintf(ret, NAME_SIZE, "%.*s" SUFFIX "%s", ID_MAX, id, older);
	return ret;
}

static int open_directory(const struct log_files *f)
{
	int fd = open(f->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Made when the first record comes. Whatever the umask, it is never more open than this. */
static int make_directory(const struct log_files *f)
{
	int fd = open_directory(f);

	if (fd != -ENOENT)
		return fd;
	if (mkdir(f->directory, 0750) < 0 && errno != EEXIST)
		return -errno;
	if (chmod(f->directory, 0750) < 0)
		return -errno;
	return open_directory(f);
}

/* Where the last whole line ends: after it may be what was being written when the host or faultd
 * went down. */
static int cut_torn_line(int fd, off_t *size)
{
	static const size_t most = TAIL_MAX;
	_cleanup_free_
	char *tail = NULL;
	off_t from = *size > (off_t)most ? *size - (off_t)most : 0;
	const char *newline;
	char last = '\n';
	ssize_t n;

	if (*size == 0 || (pread(fd, &last, 1, *size - 1) == 1 && last == '\n'))
		return 0;
	tail = malloc(most);
	if (!tail)
		return -ENOMEM;
	n = pread(fd, tail, (size_t)(*size - from), from);
	if (n < 0)
		return -errno;
	newline = memrchr(tail, '\n', (size_t)n);
	*size = newline ? from + (newline - tail) + 1 : from;
	return ftruncate(fd, *size) < 0 ? -errno : 0;
}

/* Not a FIFO, a device or a link: those may wait, or be somebody else's. */
static int open_regular(int directory, const char *name, int flags, off_t *ret_size)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	fd = openat(directory, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	if ((flags & O_CREAT) && st.st_size == 0 && fchmod(fd, 0640) < 0)
		return -errno;
	*ret_size = st.st_size;
	return steal_fd(&fd);
}

static int open_file(struct log_files *f, const char *id, size_t room)
{
	_cleanup_close_ int directory = make_directory(f);
	char name[NAME_SIZE], older[NAME_SIZE];
	int r;

	if (directory < 0)
		return directory;
	log_files_rest(f);
	f->fd = open_regular(directory, name_of(id, "", name), O_RDWR | O_CREAT | O_APPEND,
			     &f->size);
	if (f->fd < 0)
		return f->fd;
	r = cut_torn_line(f->fd, &f->size);
	if (r == 0 && f->size > 0 && f->size + (off_t)room > (off_t)LOG_FILE_MAX) {
		log_files_rest(f);
		if (renameat(directory, name, directory, name_of(id, OLDER, older)) < 0)
			return -errno;
		f->fd = open_regular(directory, name, O_RDWR | O_CREAT | O_APPEND, &f->size);
		r = f->fd < 0 ? f->fd : 0;
	}
	if (r == 0)
		(void)str_copy(f->id, sizeof(f->id), id);
	else
		log_files_rest(f);
	return r;
}

/* One write, so that only a full disk can tear it; and then it is taken back. */
static int write_line(struct log_files *f, const char *line, size_t length)
{
	static char newline[] = "\n";
	const struct iovec parts[] = {{(char *)line, length}, {newline, 1}};
	ssize_t n;
	int r;

	do
		n = writev(f->fd, parts, ARRAY_SIZE(parts));
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)length + 1) {
		f->size += n;
		return 0;
	}
	r = n < 0 ? -errno : -ENOSPC;
	if (n > 0 && ftruncate(f->fd, f->size) < 0)
		log_files_rest(f); /* cut when it is opened next */
	return r;
}

int log_files_append(struct log_files *f, const char *id, const char *line, size_t length)
{
	int r = 0;

	if (!str_eq(f->id, id) || f->size + (off_t)length + 1 > (off_t)LOG_FILE_MAX)
		r = open_file(f, id, length + 1);
	return r < 0 ? r : write_line(f, line, length);
}

/* Adds a file to the text; none is nothing. */
static int read_file(int directory, const char *name, char **text, size_t *length)
{
	_cleanup_close_ int fd = -1;
	off_t size = 0;
	char *grown;
	ssize_t n;

	fd = open_regular(directory, name, O_RDONLY, &size);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	/* A single record may be larger than a file should be. */
	grown = realloc(*text, *length + (size_t)size + 1);
	if (!grown)
		return -ENOMEM;
	*text = grown;
	while (size > 0 && (n = read(fd, *text + *length, (size_t)size)) != 0) {
		if (n < 0)
			return -errno;
		*length += (size_t)n;
		size -= n;
	}
	(*text)[*length] = '\0';
	return 0;
}

/* What was torn by the host's end, in the last of its lines. */
static void drop_torn_line(char *text, size_t *length)
{
	const char *newline = memrchr(text, '\n', *length);

	*length = newline ? (size_t)(newline - text) + 1 : 0;
	text[*length] = '\0';
}

int log_files_read(struct log_files *f, const char *id, char **ret, size_t *ret_length)
{
	_cleanup_free_
	char *text = calloc(1, 1);
	_cleanup_close_ int directory = open_directory(f);
	char name[NAME_SIZE];
	size_t length = 0;
	int r = 0;

	if (!text)
		return -ENOMEM;
	if (directory < 0 && directory != -ENOENT)
		return directory;
	if (directory >= 0)
		r = read_file(directory, name_of(id, OLDER, name), &text, &length);
	if (directory >= 0 && r == 0)
		r = read_file(directory, name_of(id, "", name), &text, &length);
	if (r < 0)
		return r;
	drop_torn_line(text, &length);
	*ret = steal_pointer(text);
	*ret_length = length;
	return 0;
}

int log_files_delete(struct log_files *f, const char *id)
{
	static const char *const parts[] = {"", OLDER};
	_cleanup_close_ int directory = open_directory(f);
	char name[NAME_SIZE];
	int r = 0;

	log_files_rest(f);
	if (directory < 0)
		return directory == -ENOENT ? 0 : directory;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (unlinkat(directory, name_of(id, parts[i], name), 0) < 0 && errno != ENOENT)
			r = -errno;
	}
	return r;
}

/* The name of a log: whose it is, and whether it is the older part. */
static bool parse_name(const char *name, char *ret_id)
{
	const char *suffix = strstr(name, SUFFIX);
	size_t length = suffix ? (size_t)(suffix - name) : 0;

	if (!suffix || length > ID_MAX ||
	    (!str_eq(suffix, SUFFIX) && !str_eq(suffix, SUFFIX OLDER)))
		return false;
	memcpy(ret_id, name, length);
	ret_id[length] = '\0';
	return log_files_can_be_called(ret_id);
}

static bool is_older(int directory, const char *name, time_t before)
{
	struct stat st;

	return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime < before;
}

static bool is_there(int directory, const char *name)
{
	return faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The last record of one is in its newer part. */
static int prune_file(int directory, const char *name, time_t before)
{
	char id[ID_MAX + 1], newer[NAME_SIZE];

	if (!parse_name(name, id))
		return 0;
	(void)name_of(id, "", newer);
	if (!is_older(directory, is_there(directory, newer) ? newer : name, before))
		return 0;
	return unlinkat(directory, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int log_files_prune(struct log_files *f, time_t before)
{
	_cleanup_closedir_ DIR *files = NULL;
	int directory = open_directory(f), r = 0;
	const struct dirent *entry;

	log_files_rest(f);
	if (directory < 0)
		return directory == -ENOENT ? 0 : directory;
	files = fdopendir(directory);
	if (!files) {
		(void)close(directory);
		return -ENOMEM;
	}
	while ((entry = readdir(files))) {
		int one = prune_file(directory, entry->d_name, before);

		r = r < 0 ? r : one;
	}
	return r;
}
