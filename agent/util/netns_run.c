/* SPDX-License-Identifier: Apache-2.0 */
/* Apart from netns.c, which has to do without threads. */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/netns.h"
#include "util/str.h"

struct visit {
	int fd; /* negative: a new namespace */
	const struct netns *n;
	int (*run)(void *arg);
	void *arg;
	int entered;
	int result;
};

static void *visit_thread(void *arg)
{
	struct visit *v = arg;

	if (v->fd >= 0)
		v->entered = netns_enter(v->fd, v->n);
	else if (unshare(CLONE_NEWNET) < 0)
		v->entered = -errno;
	if (v->entered == 0)
		v->result = v->run(v->arg);
	return NULL;
}

/* On a host that is out of threads, which may be what a fault is about. */
static int visit_myself(struct visit *v)
{
	_cleanup_close_ int here = open(NETNS_OWN, O_RDONLY | O_CLOEXEC);

	if (here < 0)
		return -errno;
	(void)visit_thread(v);
	netns_return(here);
	return 0;
}

/* Signals are the main thread's to take. */
static int visit(struct visit *v, int *ret)
{
	pthread_t thread;
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, NULL, visit_thread, v);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		(void)pthread_join(thread, NULL);
	else
		r = visit_myself(v);
	if (r < 0)
		return r;
	if (v->entered == 0)
		*ret = v->result;
	return v->entered;
}

int netns_run(const struct netns *n, int (*run)(void *arg), void *arg, int *ret)
{
	_cleanup_close_ int fd = netns_open(n);

	return fd < 0 ? fd : visit(&(struct visit){.fd = fd, .n = n, .run = run, .arg = arg}, ret);
}

int netns_run_empty(int (*run)(void *arg), void *arg, int *ret)
{
	return visit(&(struct visit){.fd = -1, .run = run, .arg = arg}, ret);
}

static int read_own_cookie(void *arg)
{
	*(uint64_t *)arg = netns_cookie();
	return 0;
}

/* The kinds of namespace share one numbering and one st_dev. */
static bool is_network(int fd)
{
	return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

int netns_read(const char *path, struct netns *ret)
{
	_cleanup_close_ int fd = -1;
	struct stat own, st;
	int ignored;

	*ret = (struct netns){0};
	if (stat(NETNS_OWN, &own) < 0 || stat(path, &st) < 0)
		return -errno;
	if (st.st_dev != own.st_dev)
		return -EINVAL;
	if (st.st_ino == own.st_ino)
		return 0;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != own.st_dev || !is_network(fd))
		return -EINVAL;
	ret->inode = st.st_ino;
	if (!str_copy(ret->path, sizeof(ret->path), path))
		return -ENAMETOOLONG;
	return netns_run(ret, read_own_cookie, &ret->cookie, &ignored);
}
