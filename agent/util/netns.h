/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces: told apart, found again, worked in. Links libc only and allocates nothing
 * (but for the thread of netns_run()).
 *
 * Nobody here holds a namespace open: a container's would outlive the container. It is looked for
 * again when it is needed, and one that is found no more is gone, with all that was in it. (A
 * socket or a descriptor alone can hold one as well: nobody can be in it then, and it is not
 * found.) */
#ifndef FAULTD_UTIL_NETNS_H
#define FAULTD_UTIL_NETNS_H

#include <stdbool.h>
#include <stdint.h>

#define NETNS_PATH_MAX 128

struct netns {
	uint64_t inode;  /* of its file in nsfs; 0: the one this program runs in. The kernel gives
			    the number of one that is gone to the next */
	uint64_t cookie; /* SO_NETNS_COOKIE (Linux 5.14), which no other gets; 0: not known */
	char path[NETNS_PATH_MAX]; /* where it was found: looked at first */
};

static inline bool netns_same(const struct netns *a, const struct netns *b)
{
	return a->inode == b->inode && a->cookie == b->cookie;
}

#define NETNS_OWN "/proc/self/ns/net"

/* Of the calling thread's; 0 where the kernel cannot tell. */
uint64_t netns_cookie(void);

/* Reads which one the file stands for: "/proc/12/ns/net", "/run/netns/blue". Nothing but a
 * namespace is ever opened. Returns 0 (also when it is this program's own, whose inode is told as
 * 0), -EINVAL when it is something else, -ENAMETOOLONG, or another errno. */
int netns_read(const char *path, struct netns *ret);

/* Finds and opens it: its path, /run/netns, /run/docker/netns, every process. Returns a descriptor,
 * -ENOENT when it is gone, or another errno. */
int netns_open(const struct netns *n);

/* Moves the calling thread there. Returns 0, -ENOENT when it is another one of the same number, so
 * that `n` is gone, or another errno. In the first two cases the thread has moved. */
int netns_enter(int fd, const struct netns *n);

/* Moves the calling thread back. If it could not, it would go on in the wrong place, so the program
 * exits. */
void netns_return(int fd);

/* Calls `run` inside, in a thread of its own: the caller's, which is the main one, moves only when
 * there is no other to be had. Returns 0 and what `run` returned; or, when it was not called,
 * -ENOENT (gone) or another errno. */
int netns_run(const struct netns *n, int (*run)(void *arg), void *arg, int *ret);

/* The same in a namespace that is new and empty: all that one can do about what was in one that is
 * gone. */
int netns_run_empty(int (*run)(void *arg), void *arg, int *ret);

/* The same as netns_run() for a program with one thread, which goes there and comes back. */
int netns_visit(const struct netns *n, int (*run)(void *arg), void *arg, int *ret);

#endif
