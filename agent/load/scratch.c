/* SPDX-License-Identifier: Apache-2.0 */
#include "load/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "util/cleanup.h"

/* The kernel counts st_blocks in these, whatever the file system (stat(3type)). */
#define STAT_BLOCK 512

#define NOISE_SIZE   65536
#define UNSYNCED_MAX (4 << 20)

static int open_named(int dir)
{
	char name[40];
	uint64_t random;
	int fd;

	if (getrandom(&random, sizeof(random), 0) < 0)
		return -errno;
	(void)snprintf(name, sizeof(name), ".faultd-%016" PRIx64, random);
	fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (unlinkat(dir, name, 0) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}

/* O_EXCL: nor can it be given a name later (open(2)). */
static int open_nameless(int dir)
{
	int fd = openat(dir, ".", O_RDWR | O_TMPFILE | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)
		return open_named(dir);
	return -errno;
}

static int open_directory(const char *path)
{
	char parent[4096];
	const char *slash;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 || errno != ENOTDIR)
		return fd < 0 ? -errno : fd;
	slash = strrchr(path, '/');
	if (!slash || (size_t)(slash - path) + 2 > sizeof(parent))
		return -ENOTDIR;
	memcpy(parent, path, (size_t)(slash - path) + 1);
	parent[slash - path + 1] = '\0';
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int scratch_open(const char *path)
{
	_cleanup_close_ int dir = open_directory(path);
	struct stat there, here;

	if (dir < 0)
		return dir;
	if (stat(path, &there) < 0 || fstat(dir, &here) < 0)
		return -errno;
	if (there.st_dev != here.st_dev)
		return -EXDEV;
	return open_nameless(dir);
}

int scratch_space(int fd, struct scratch_space *ret)
{
	struct statvfs v;

	if (fstatvfs(fd, &v) < 0)
		return -errno;
	*ret = (struct scratch_space){
		.used = (uint64_t)(v.f_blocks - v.f_bfree) * v.f_frsize,
		.available = (uint64_t)v.f_bavail * v.f_frsize,
		.block = v.f_frsize ? v.f_frsize : STAT_BLOCK,
	};
	return 0;
}

int scratch_held(int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_blocks * STAT_BLOCK;
	return 0;
}

void scratch_noise(void *buffer, uint64_t size, uint64_t *seed)
{
	uint64_t *word = buffer, x = *seed | 1;

	for (uint64_t i = 0; i < size / sizeof(*word); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		word[i] = x;
	}
	*seed = x;
}

/* A full quota is a full disk to whoever has it. */
static int to_result(int error)
{
	return error == EDQUOT ? -ENOSPC : -error;
}

/* Some file systems find out only when they sync that there is no room; and one that is slow should
 * not have much to sync when this process is to end. */
static int extend_by_writing(int fd, uint64_t offset, uint64_t bytes)
{
	static _Alignas(4096) char noise[NOISE_SIZE]; /* for O_DIRECT */
	static uint64_t seed = 0x9e3779b97f4a7c15ULL;
	uint64_t unsynced = 0;

	while (bytes > 0) {
		uint64_t part = bytes < sizeof(noise) ? bytes : sizeof(noise);
		ssize_t n;

		scratch_noise(noise, sizeof(noise), &seed);
		n = pwrite(fd, noise, part, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return to_result(errno);
		offset += (uint64_t)n;
		bytes -= (uint64_t)n;
		unsynced += (uint64_t)n;
		if (unsynced >= UNSYNCED_MAX || bytes == 0) {
			if (fdatasync(fd) < 0)
				return to_result(errno);
			unsynced = 0;
		}
	}
	return 0;
}

int scratch_extend(int fd, uint64_t offset, uint64_t bytes)
{
	int r;

	do
		r = fallocate(fd, 0, (off_t)offset, (off_t)bytes);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	if (errno == EOPNOTSUPP || errno == ENOSYS)
		return extend_by_writing(fd, offset, bytes);
	return to_result(errno);
}

int scratch_cut(int fd, uint64_t size)
{
	return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}
