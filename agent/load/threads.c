/* SPDX-License-Identifier: Apache-2.0 */
/* Threads, out of those that the host (kernel.threads-max, kernel.pid_max) and the cgroups above
 * this process (pids.max) may have. Each one sleeps, on a stack of one KiB: what it costs is in the
 * kernel, 16 KiB of stack and some more. */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load/fill.h"

#define SLOT_SIZE   1024
#define BLOCK_SLOTS 1024
#define BLOCKS_MAX  4096 /* PID_MAX_LIMIT of the kernel is as many threads */

/* The host keeps so many whatever a cgroup may have. */
#define HOST_RESERVE 64

/* A thread's stack, at its bottom. */
union slot {
	struct {
		_Atomic uint32_t go;    /* 1: end */
		_Atomic uint32_t alive; /* cleared by the kernel when it has ended */
	};
	char whole[SLOT_SIZE];
};

struct threads {
	struct fill fill; /* first */
	union slot *block[BLOCKS_MAX];
};

static union slot *slot_of(const struct threads *t, uint64_t i)
{
	return &t->block[i / BLOCK_SLOTS][i % BLOCK_SLOTS];
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	(void)syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

/* It shares everything with the first thread, errno included: its one system call fails only while
 * the first one waits for it to end. */
__attribute__((no_sanitize("address", "undefined"))) static int sleep_until_told(void *arg)
{
	union slot *s = arg;

	while (atomic_load_explicit(&s->go, memory_order_acquire) == 0)
		futex_wait(&s->go, 0);
	return 0;
}

static int start(struct threads *t, uint64_t i)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			  CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
	union slot **block = &t->block[i / BLOCK_SLOTS];
	union slot *s;

	if (!*block) {
		void *p = mmap(NULL, BLOCK_SLOTS * sizeof(union slot), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return -errno;
		*block = p;
	}
	s = slot_of(t, i);
	atomic_store(&s->go, 0);
	atomic_store(&s->alive, 1);
	return clone(sleep_until_told, s + 1, flags, s, NULL, NULL, &s->alive) < 0 ? -errno : 0;
}

/* A cgroup's limit is what is shared out where there is one; the host's is never used up by it. */
static int want(struct fill *f, const struct share *share, uint64_t *ret)
{
	const struct share host_share = {true, 100, HOST_RESERVE};
	struct gauge host, cgroup = {0};
	uint64_t most;
	int r = gauge_pids_read(&host);

	if (r == 0)
		r = gauge_own_cgroup_read(&cgroup);
	if (r < 0)
		return r;
	if (cgroup.limit == GAUGE_NO_LIMIT) {
		*ret = share_want(share, &host, f->held);
		return 0;
	}
	*ret = share_want(share, &cgroup, f->held);
	most = share_want(&host_share, &host, f->held);
	if (*ret > most)
		*ret = most;
	return 0;
}

static int take(struct fill *f, uint64_t n)
{
	struct threads *t = (struct threads *)f;

	for (; n > 0; n--) {
		int r = f->held < (uint64_t)BLOCKS_MAX * BLOCK_SLOTS ? start(t, f->held) : -EAGAIN;

		if (r < 0)
			return r;
		f->held++;
	}
	return 0;
}

/* All are told, then waited for: a stack may be used again only after its thread. */
static void give(struct fill *f, uint64_t n)
{
	struct threads *t = (struct threads *)f;

	for (uint64_t i = f->held - n; i < f->held; i++) {
		union slot *s = slot_of(t, i);

		atomic_store_explicit(&s->go, 1, memory_order_release);
		(void)syscall(SYS_futex, &s->go, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
	for (uint64_t i = f->held - n; i < f->held; i++) {
		while (atomic_load(&slot_of(t, i)->alive) != 0)
			futex_wait(&slot_of(t, i)->alive, 1);
	}
	f->held -= n;
}

static int threads_run(const struct hold *hold, const void *args)
{
	static struct threads t = {
		.fill = {.what = "start threads", .want = want, .take = take, .give = give},
	};

	return fill_run(hold, args, &t.fill);
}

static const struct load_option threads_options[] = {FILL_OPTIONS, {0}};

const struct load_kind load_threads = {
	.name = "threads",
	.summary = "keep threads, of those the host or the cgroup may have",
	.options = threads_options,
	.args_size = sizeof(struct fill_args),
	.run = threads_run,
};
