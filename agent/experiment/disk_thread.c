/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/disk_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/clock.h"

/* ThreadSanitizer takes a descriptor for the same one in every thread. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ONE_TABLE
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define ONE_TABLE
#endif

/* Deep enough for SQLite, and little of it is ever touched. */
#define STACK_SIZE (512 * 1024)

enum phase { IDLE, RUNNING, RAN };

/* Of both sides; the last one out frees it. */
struct shared {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	const struct disk_work *work;
	void *state;
	struct disk_job *batch;
	enum phase phase;
	bool begun, own_table; /* descriptors of its own */
	bool end, ended, abandoned;
	int wake_fd; /* the thread's copy */
};

struct disk_thread {
	uv_poll_t poll;
	int wake_fd;
	pthread_t thread;
	struct shared *shared;
	disk_batch_fn done;
	void *arg;
	bool idle;
};

static void shared_free(struct shared *s)
{
	(void)pthread_cond_destroy(&s->changed);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

static void close_one_by_one(unsigned from, unsigned to)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < to)
		to = (unsigned)l.rlim_cur;
	for (unsigned fd = from; fd < to; fd++)
		(void)close((int)fd);
}

/* close_range(2) is of Linux 5.9. */
static void close_all_between(unsigned from, unsigned to)
{
	if (from <= to && syscall(SYS_close_range, from, to, 0) < 0)
		close_one_by_one(from, to);
}

/* Leaves stderr and its like, and `keep`. */
static bool take_own_table(int keep)
{
#ifdef ONE_TABLE
	return false;
#endif
	if (unshare(CLONE_FILES) < 0)
		return false;
	close_all_between(STDERR_FILENO + 1, (unsigned)keep - 1);
	close_all_between((unsigned)keep + 1, ~0U);
	return true;
}

static void wake_loop(const struct shared *s)
{
	uint64_t one = 1;
	ssize_t n = write(s->wake_fd, &one, sizeof(one)); /* of an eventfd: always room */

	(void)n;
}

/* Waits for a batch; NULL: it is to end. */
static struct disk_job *next_batch(struct shared *s)
{
	struct disk_job *batch;

	(void)pthread_mutex_lock(&s->lock);
	while (!s->end && s->phase != RUNNING)
		(void)pthread_cond_wait(&s->changed, &s->lock);
	batch = s->phase == RUNNING ? s->batch : NULL;
	(void)pthread_mutex_unlock(&s->lock);
	return batch;
}

/* Returns false when nobody is there any more to take it. */
static bool give_back(struct shared *s)
{
	bool abandoned;

	(void)pthread_mutex_lock(&s->lock);
	s->phase = RAN;
	abandoned = s->abandoned;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
	if (!abandoned)
		wake_loop(s);
	return !abandoned;
}

static void leave(struct shared *s)
{
	bool abandoned;

	s->work->end(s->state);
	(void)close(s->wake_fd);
	(void)pthread_mutex_lock(&s->lock);
	s->ended = true;
	abandoned = s->abandoned;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
	if (abandoned)
		shared_free(s);
}

static void *run(void *arg)
{
	struct shared *s = arg;
	struct disk_job *batch;
	bool own_table = take_own_table(s->wake_fd);

	(void)pthread_mutex_lock(&s->lock);
	s->begun = true;
	s->own_table = own_table;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
	while ((batch = next_batch(s))) {
		s->work->run(s->state, batch);
		if (!give_back(s)) {
			s->work->drop(batch);
			break;
		}
	}
	leave(s);
	return NULL;
}

/* The batch that was run, if one was. With the lock. */
static struct disk_job *take_run(struct disk_thread *t)
{
	struct shared *s = t->shared;
	struct disk_job *batch = s->phase == RAN ? s->batch : NULL;

	if (batch) {
		s->batch = NULL;
		s->phase = IDLE;
		t->idle = true;
	}
	return batch;
}

static struct disk_job *take_back(struct disk_thread *t)
{
	struct disk_job *batch;

	(void)pthread_mutex_lock(&t->shared->lock);
	batch = take_run(t);
	(void)pthread_mutex_unlock(&t->shared->lock);
	return batch;
}

static void on_wake(uv_poll_t *p, int status, int events)
{
	struct disk_thread *t = p->data;
	struct disk_job *batch;
	uint64_t count;

	if (read(t->wake_fd, &count, sizeof(count)) < 0)
		return;
	batch = take_back(t);
	if (batch)
		t->done(batch, t->arg);
}

static struct shared *shared_new(const struct disk_work *work, void *state)
{
	struct shared *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	if (!s)
		return NULL;
	s->work = work;
	s->state = state;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	return s;
}

/* Signals are the main thread's to take; with SIGXFSZ blocked a limit of the size of files is EFBIG
 * and nothing else. */
static int create(struct disk_thread *t)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int r;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_SIZE);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&t->thread, &attr, run, t->shared);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	return -r;
}

/* The thread has not touched a disk yet. */
static void wait_until_begun(struct shared *s)
{
	(void)pthread_mutex_lock(&s->lock);
	while (!s->begun)
		(void)pthread_cond_wait(&s->changed, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
	if (s->own_table)
		(void)close(s->wake_fd); /* of this table; the thread has it in its own */
}

static int start(struct disk_thread *t)
{
	int r;

	t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->wake_fd < 0)
		return -errno;
	t->shared->wake_fd = fcntl(t->wake_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (t->shared->wake_fd < 0)
		return -errno;
	r = create(t);
	if (r < 0) {
		(void)close(t->shared->wake_fd);
		return r;
	}
	wait_until_begun(t->shared);
	return 0;
}

int disk_thread_start(uv_loop_t *loop, const struct disk_work *work, void *state,
		      disk_batch_fn done, void *arg, struct disk_thread **ret)
{
	struct disk_thread *t = calloc(1, sizeof(*t));
	int r = -ENOMEM;

	if (!t)
		return -ENOMEM;
	*t = (struct disk_thread){.wake_fd = -1, .done = done, .arg = arg, .idle = true};
	t->shared = shared_new(work, state);
	if (t->shared)
		r = start(t);
	if (r < 0) {
		if (t->wake_fd >= 0)
			(void)close(t->wake_fd);
		if (t->shared)
			shared_free(t->shared);
		free(t);
		return r;
	}
	/* Neither fails for a descriptor that epoll takes. */
	(void)uv_poll_init(loop, &t->poll, t->wake_fd);
	t->poll.data = t;
	(void)uv_poll_start(&t->poll, UV_READABLE, on_wake);
	*ret = t;
	return 0;
}

bool disk_thread_idle(const struct disk_thread *t)
{
	return t->idle;
}

void disk_thread_hand(struct disk_thread *t, struct disk_job *batch)
{
	struct shared *s = t->shared;

	t->idle = false;
	(void)pthread_mutex_lock(&s->lock);
	s->batch = batch;
	s->phase = RUNNING;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NSEC_PER_SEC),
				 .tv_nsec = (long)(ns % NSEC_PER_SEC)};
}

struct disk_job *disk_thread_wait(struct disk_thread *t, uint64_t until_ns)
{
	struct timespec until = timespec_of(until_ns);
	struct shared *s = t->shared;
	int r = 0;

	(void)pthread_mutex_lock(&s->lock);
	while (s->phase == RUNNING && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&s->changed, &s->lock, &until);
	(void)pthread_mutex_unlock(&s->lock);
	return take_back(t);
}

static void on_closed(uv_handle_t *h)
{
	struct disk_thread *t = h->data;

	(void)close(t->wake_fd);
	free(t);
}

/* Returns whether it has ended. If not, it is abandoned from here on; while the lock is held it
 * frees nothing. `ret`: the batch that was run meanwhile. */
static bool wait_until_ended(struct disk_thread *t, uint64_t until_ns, disk_left_fn left,
			     struct disk_job **ret)
{
	struct timespec until = timespec_of(until_ns);
	struct shared *s = t->shared;
	bool ended;
	int r = 0;

	(void)pthread_mutex_lock(&s->lock);
	s->end = true;
	(void)pthread_cond_broadcast(&s->changed);
	while (!s->ended && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&s->changed, &s->lock, &until);
	ended = s->ended;
	s->abandoned = !ended;
	if (s->phase == RUNNING)
		left(s->batch, t->arg);
	*ret = take_run(t);
	(void)pthread_mutex_unlock(&s->lock);
	return ended;
}

bool disk_thread_end(struct disk_thread *t, uint64_t until_ns, disk_left_fn left)
{
	struct disk_job *batch = NULL;
	bool ended = wait_until_ended(t, until_ns, left, &batch);

	if (ended) {
		(void)pthread_join(t->thread, NULL);
		shared_free(t->shared);
	} else {
		(void)pthread_detach(t->thread);
	}
	if (batch)
		t->done(batch, t->arg);
	uv_close((uv_handle_t *)&t->poll, on_closed);
	return ended;
}
