/* SPDX-License-Identifier: Apache-2.0 */
#include "util/netns.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "util/str.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* asm-generic/socket.h, Linux 5.14 */
#endif

uint64_t netns_cookie(void)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0)
		return 0;
	return cookie;
}

int netns_enter(int fd, const struct netns *n)
{
	if (setns(fd, CLONE_NEWNET) < 0)
		return -errno;
	return n->cookie && n->cookie != netns_cookie() ? -ENOENT : 0;
}

void netns_return(int fd)
{
	if (setns(fd, CLONE_NEWNET) == 0)
		return;
	log_error("cannot leave a network namespace: %s", strerror(errno));
	_exit(EXIT_FAILURE);
}

struct search {
	const struct netns *n;
	dev_t device; /* of nsfs */
};

/* Returns a descriptor, -ENOENT when that is not the one (or nothing, or may not be looked at), or
 * another errno. */
static int try_open(const struct search *s, int dirfd, const char *name)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (fstatat(dirfd, name, &st, 0) < 0 || st.st_ino != s->n->inode || st.st_dev != s->device)
		return -ENOENT;
	fd = openat(dirfd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -ENOENT;
	if (fstat(fd, &st) < 0 || st.st_ino != s->n->inode || st.st_dev != s->device)
		return -ENOENT;
	return steal_fd(&fd);
}

static int try_entry(const struct search *s, int dirfd, const char *name, const char *below)
{
	char path[300];

	if (name[0] == '.' || (below[0] && !isdigit((unsigned char)name[0])))
		return -ENOENT;
	if ((size_t)snprintf(path, sizeof(path), "%s%s", name, below) >= sizeof(path))
		return -ENOENT;
	return try_open(s, dirfd, path);
}

/* getdents64 itself, for opendir() allocates. */
static int search_directory(const struct search *s, const char *directory, const char *below)
{
	_Alignas(struct dirent64) char entries[4096];
	_cleanup_close_ int dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long got;

	if (dirfd < 0)
		return errno == ENOENT ? -ENOENT : -errno;
	while ((got = syscall(SYS_getdents64, dirfd, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < got;) {
			const struct dirent64 *d =
				(const struct dirent64 *)(const void *)(entries + at);
			int r = try_entry(s, dirfd, d->d_name, below);

			if (r != -ENOENT)
				return r;
			at += d->d_reclen;
		}
	}
	return got < 0 ? -errno : -ENOENT;
}

int netns_open(const struct netns *n)
{
	static const char *const directories[][2] = {
		{"/run/netns", ""}, {"/run/docker/netns", ""}, {"/proc", "/ns/net"}};
	struct search s = {.n = n};
	struct stat own;
	int r;

	if (stat(NETNS_OWN, &own) < 0)
		return -errno;
	s.device = own.st_dev;
	r = n->path[0] ? try_open(&s, AT_FDCWD, n->path) : -ENOENT;
	for (size_t i = 0; i < ARRAY_SIZE(directories) && r == -ENOENT; i++)
		r = search_directory(&s, directories[i][0], directories[i][1]);
	return r;
}

int netns_visit(const struct netns *n, int (*run)(void *arg), void *arg, int *ret)
{
	_cleanup_close_ int here = open(NETNS_OWN, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int there = here < 0 ? -errno : netns_open(n);
	int r = there < 0 ? there : netns_enter(there, n);

	if (r == 0)
		*ret = run(arg);
	if ((r == 0 || r == -ENOENT) && there >= 0)
		netns_return(here);
	return r;
}
