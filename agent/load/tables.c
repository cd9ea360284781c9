/* SPDX-License-Identifier: Apache-2.0 */
#include "load/tables.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* A new table begins as a copy of ours, which has a few files open. */
#define INHERITED    16
#define CAPACITY_MAX (1U << 20)

struct table {
	struct tables *all;
	pthread_t thread;
	sem_t todo, done;
	int64_t change; /* what is to be done: so many more, or fewer */
	int result;
	uint32_t n;
	int fd[]; /* of all->capacity; memory is only there for those that are used */
};

int tables_init(struct tables *t)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_max < 2 * INHERITED)
		return -EMFILE;
	t->capacity = limit.rlim_max < CAPACITY_MAX ? (uint32_t)limit.rlim_max : CAPACITY_MAX;
	t->capacity -= INHERITED;
	return 0;
}

static int open_some(struct table *t)
{
	for (; t->change > 0; t->change--) {
		int fd = t->all->open(t->all->arg);

		if (fd < 0)
			return fd;
		t->fd[t->n++] = fd;
	}
	return 0;
}

static void close_some(struct table *t)
{
	for (; t->change < 0; t->change++) {
		int fd = t->fd[--t->n];

		if (t->all->closing)
			t->all->closing(t->all->arg, fd);
		(void)close(fd);
	}
}

static void *serve(void *arg)
{
	struct table *t = arg;

	t->result = unshare(CLONE_FILES) < 0 ? -errno : 0;
	for (;;) {
		(void)sem_post(&t->done);
		while (sem_wait(&t->todo) < 0) {
			/* interrupted: again */
		}
		t->result = open_some(t);
		close_some(t);
	}
	return NULL;
}

static void wait_done(struct table *t)
{
	while (sem_wait(&t->done) < 0) {
		/* interrupted: again */
	}
}

static int change(struct table *t, int64_t by)
{
	t->change = by;
	(void)sem_post(&t->todo);
	wait_done(t);
	return t->result;
}

static int start(struct table *t)
{
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);

	if (r != 0)
		return -r;
	(void)pthread_attr_setstacksize(&attr, (size_t)PTHREAD_STACK_MIN + 65536);
	r = pthread_create(&t->thread, &attr, serve, t);
	(void)pthread_attr_destroy(&attr);
	if (r != 0)
		return -r;
	wait_done(t);
	return t->result;
}

/* One that could not be started is not freed: its thread may be there. */
static int add_table(struct tables *all)
{
	struct table *t;
	int r;

	if (all->n == TABLES_MAX)
		return -EMFILE;
	t = calloc(1, sizeof(*t) + all->capacity * sizeof(t->fd[0]));
	if (!t)
		return -ENOMEM;
	t->all = all;
	(void)sem_init(&t->todo, 0, 0);
	(void)sem_init(&t->done, 0, 0);
	r = start(t);
	if (r == 0)
		all->table[all->n++] = t;
	return r;
}

/* Tables are filled and emptied in order: only the last one that has any can have room. */
int tables_take(struct tables *t, uint64_t n, uint64_t *ret_n)
{
	int r = 0;

	*ret_n = 0;
	for (size_t i = 0; *ret_n < n && r == 0; i++) {
		uint64_t room, before;

		if (i == t->n)
			r = add_table(t);
		if (r < 0)
			break;
		before = t->table[i]->n;
		room = t->capacity - before;
		if (room > n - *ret_n)
			room = n - *ret_n;
		if (room)
			r = change(t->table[i], (int64_t)room);
		*ret_n += t->table[i]->n - before;
	}
	return r;
}

void tables_give(struct tables *t, uint64_t n)
{
	for (size_t i = t->n; i > 0 && n > 0; i--) {
		uint64_t some = t->table[i - 1]->n;

		if (some > n)
			some = n;
		if (some)
			(void)change(t->table[i - 1], -(int64_t)some);
		n -= some;
	}
}
