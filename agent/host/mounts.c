/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel says of any open file which mount it is on (mnt_id in fdinfo, 3.15): no guessing by
 * prefixes, which mounts over mounts, bind mounts and links would all lead astray. */
#include "host/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/str.h"

#ifndef SYS_openat2
#define SYS_openat2 437 /* 5.6; the same number everywhere */
#endif
#ifndef SYS_close_range
#define SYS_close_range 436 /* 5.9 */
#endif

#define ASKER_START_MS 5000 /* fork() on a host that is busy, perhaps through a fault of ours */

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Copies up to the next of `ends` with \040 and the like taken back. Returns where it ended, or
 * NULL when it does not fit. */
static const char *take_field(const char *from, const char *ends, char *to, size_t size)
{
	size_t n = 0;

	while (*from && !strchr(ends, *from)) {
		char c = *from++;

		if (c == '\\' && is_octal(from[0]) && is_octal(from[1]) && is_octal(from[2])) {
			c = (char)((from[0] - '0') * 64 + (from[1] - '0') * 8 + (from[2] - '0'));
			from += 3;
		}
		if (n + 1 >= size)
			return NULL;
		to[n++] = c;
	}
	to[n] = '\0';
	return from;
}

/* Where the next word begins; the end of the text if there is none. */
static const char *next_word(const char *s)
{
	s += strcspn(s, " \n");
	return s + strspn(s, " ");
}

/* An overlay whose path does not fit, or is not absolute, is one whose upper is not known. */
static void take_upper(const char *options, struct mount_line *ret)
{
	static const char option[] = "upperdir=";
	const char *s = options;

	while (s && !str_starts(s, option)) {
		s = strchr(s, ',');
		s = s ? s + 1 : NULL;
	}
	if (!s || s[sizeof(option) - 1] != '/')
		return;
	if (!take_field(s + sizeof(option) - 1, ",\n", ret->upper, sizeof(ret->upper)))
		ret->upper[0] = '\0';
}

/* 36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue */
int mount_line_parse(const char *line, struct mount_line *ret)
{
	const char *s;

	*ret = (struct mount_line){0};
	if (sscanf(line, "%" SCNu64 " %*u %" SCNu32 ":%" SCNu32 " ", &ret->id, &ret->major,
		   &ret->minor) != 3)
		return -EBADMSG;
	s = next_word(next_word(next_word(next_word(line))));
	if (*s != '/')
		return -EBADMSG;
	s = take_field(s, " \n", ret->point, sizeof(ret->point));
	if (!s)
		return -ENAMETOOLONG;
	s = strstr(s, " - ");
	if (!s)
		return -EBADMSG;
	s = take_field(s + 3, " \n", ret->type, sizeof(ret->type));
	if (!s)
		return -ENAMETOOLONG;
	if (*s != ' ')
		return -EBADMSG;
	/* A source may be any text, and of any length; no device has so long a name. */
	if (!take_field(s + 1, " \n", ret->source, sizeof(ret->source)))
		ret->source[0] = '\0';
	if (str_eq(ret->type, "overlay"))
		take_upper(next_word(s + 1), ret);
	return 0;
}

/* Inside another root, so that its absolute links lead where they do there. */
static int open_inside(pid_t pid, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	char root_path[32];
	_cleanup_close_ int root = -1;
	long fd;

	(void)snprintf(root_path, sizeof(root_path), "/proc/%d/root", (int)pid);
	root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

static int open_path(pid_t pid, const char *path)
{
	int fd;

	if (path[0] != '/')
		return -EINVAL;
	if (pid)
		return open_inside(pid, path);
	fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* In a process that nobody waits for: whoever asks a file system that does not answer may not be
 * able to die either. It keeps nothing of ours open but the pipe, on which it says that it asks and
 * that it was answered: how long it takes to be started, or to end, says nothing about a mount. */
static void ask(pid_t pid, const char *path, int pipe_fd)
{
	struct statvfs space;
	int fd;

	if (dup2(pipe_fd, 0) < 0 || syscall(SYS_close_range, 1U, ~0U, 0U) < 0 ||
	    write(0, "?", 1) != 1)
		return;
	fd = open_path(pid, path);
	if (fd >= 0)
		(void)fstatvfs(fd, &space);
	(void)!write(0, "!", 1);
}

/* The next byte, or the end of the pipe. */
static int await_word(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char word;
	int r;

	do
		r = poll(&p, 1, timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	return read(fd, &word, 1) < 0 ? -errno : 0;
}

/* NFS without its server, FUSE without its daemon: returns -ETIMEDOUT. */
static int check_answers(pid_t pid, const char *path)
{
	_cleanup_close_ int read_fd = -1, write_fd = -1;
	int fds[2], r;
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	read_fd = fds[0];
	write_fd = fds[1];
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0) {
		if (fork() == 0)
			ask(pid, path, write_fd);
		_exit(EXIT_SUCCESS);
	}
	(void)close(steal_fd(&write_fd));
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	r = await_word(read_fd, ASKER_START_MS);
	return r < 0 ? r : await_word(read_fd, MOUNT_ANSWER_MS);
}

static int read_mount_id(int fd, uint64_t *ret)
{
	char path[48], line[128];
	_cleanup_fclose_ FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "mnt_id: %" SCNu64, ret) == 1)
			return 0;
	}
	return -ENODATA;
}

/* Overlays have lines of any length. */
static int find_line(pid_t pid, uint64_t id, struct mount_line *ret)
{
	char path[48] = "/proc/self/mountinfo";
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_
	char *line = NULL;
	size_t room = 0;

	if (pid)
		(void)snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (getline(&line, &room, f) > 0) {
		uint64_t this_id;

		if (sscanf(line, "%" SCNu64, &this_id) == 1 && this_id == id)
			return mount_line_parse(line, ret);
	}
	return -ENOENT;
}

static bool read_dev(const char *path, struct mount_facts *ret)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");

	return f && fscanf(f, "%" SCNu32 ":%" SCNu32, &ret->major, &ret->minor) == 2;
}

/* A partition's directory in sysfs lies inside that of its disk. */
void mount_find_disk(dev_t device, struct mount_facts *ret)
{
	char path[96];

	if (major(device) == 0)
		return; /* a number the kernel made up: there is no disk, or several */
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(device),
		       minor(device));
	if (access(path, F_OK) == 0) {
		(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(device),
			       minor(device));
		if (read_dev(path, ret))
			return;
	}
	ret->major = major(device);
	ret->minor = minor(device);
}

/* Which device the files are really on: btrfs and overlays have made-up numbers. Sources and upper
 * directories are named as who mounted them saw them, which is as a rule how we do. */
static dev_t find_device(const struct mount_line *line, struct mount_facts *ret)
{
	struct stat st;

	if (line->upper[0] && stat(line->upper, &st) == 0) {
		ret->filesystem = st.st_dev;
		return st.st_dev;
	}
	if (line->major == 0 && line->source[0] == '/' && stat(line->source, &st) == 0 &&
	    S_ISBLK(st.st_mode))
		return st.st_rdev;
	return makedev(line->major, line->minor);
}

static void take_space(const struct statvfs *v, struct mount_facts *ret)
{
	ret->block = (uint32_t)v->f_frsize;
	ret->size = (uint64_t)v->f_blocks * v->f_frsize;
	ret->used = (uint64_t)(v->f_blocks - v->f_bfree) * v->f_frsize;
	ret->available = (uint64_t)v->f_bavail * v->f_frsize;
	ret->read_only = v->f_flag & ST_RDONLY;
}

int mount_read(pid_t pid, const char *path, struct mount_facts *ret)
{
	_cleanup_close_ int fd = -1;
	struct mount_line line = {0};
	struct statvfs space;
	struct stat st;
	uint64_t id = 0;
	int r = check_answers(pid, path);

	*ret = (struct mount_facts){0};
	if (r < 0)
		return r;
	fd = open_path(pid, path);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || fstatvfs(fd, &space) < 0)
		return -errno;
	r = read_mount_id(fd, &id);
	if (r == 0)
		r = find_line(pid, id, &line);
	if (r < 0)
		return r;
	if (!str_copy(ret->point, sizeof(ret->point), line.point) ||
	    !str_copy(ret->type, sizeof(ret->type), line.type))
		return -ENAMETOOLONG;
	ret->device = st.st_dev;
	ret->filesystem = makedev(line.major, line.minor);
	mount_find_disk(find_device(&line, ret), ret);
	take_space(&space, ret);
	return 0;
}

const char *mount_strerror(int r)
{
	return r == -ETIMEDOUT ? "its file system does not answer" : strerror(-r);
}

bool mount_is_pseudo(const struct mount_facts *m)
{
	/* The others that are none have no size. */
	static const char *const types[] = {"devtmpfs", "hugetlbfs", "efivarfs"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (str_eq(m->type, types[i]))
			return true;
	}
	return m->size == 0;
}
