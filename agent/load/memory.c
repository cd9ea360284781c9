/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is really there: anonymous pages of this process, each written to, so that none is
 * the shared zero page, nor equal to another and merged with it.
 *
 * Whole huge pages first: one fault each, and they are freed as fast. What is left of the amount
 * lies in ordinary pages, in a block that is told to have no huge one, which would be more than was
 * asked for. */
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "load/hold.h"
#include "load/load.h"
#include "load/memory_control.h"
#include "load/memory_watch.h"
#include "load/report.h"
#include "util/cleanup.h"
#include "util/clock.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* 5.14 */
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67 /* 6.4 */
#endif

/* Looking at memory takes at most one part in this many of a CPU. */
#define LOOK_COST_MAX 2000
#define LOOK_MAX_NS   NSEC_PER_SEC

/* So long at most is filled without a look at others, who also work when we are kept waiting. */
#define FILL_NS (10 * NSEC_PER_MSEC)

/* The kernel had none: it is asked again after this. */
#define REFUSED_NS (250 * NSEC_PER_MSEC)

enum memory_mode { MODE_ADD, MODE_TOTAL };

struct memory_args {
	uint64_t bytes;
	int mode;
	uint64_t reserve;
	uint64_t workers;
	int of;
	struct grade grade;
};

struct arena {
	char *base; /* on the boundary of a block */
	uint64_t size;
	uint64_t held; /* from the base on */
	uint64_t page;
	bool locking;  /* there is swap, and this process may lock */
	bool stepwise; /* no MADV_POPULATE_WRITE */
};

struct memory_load {
	const struct hold *hold;
	const struct memory_args *args;
	struct arena arena;
	struct memory_watch watch;
	struct memory_control control;
	struct memory_sample sample;
	uint64_t own; /* anonymous memory of this process beside the arena: part of the load */
	uint64_t want;
	uint64_t change_ns; /* of `want` */
	uint64_t refused_until_ns;
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t down(uint64_t bytes, uint64_t to)
{
	return bytes - bytes % to;
}

static uint64_t up(uint64_t bytes, uint64_t to)
{
	return down(bytes + to - 1, to);
}

/* Address space only: nothing is there yet. */
static int arena_open(struct arena *a, uint64_t bytes)
{
	uint64_t size = up(bytes, MEMORY_BLOCK_BYTES) + MEMORY_BLOCK_BYTES;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t at = (uintptr_t)p;

	if (p == MAP_FAILED)
		return -errno;
	a->page = (uint64_t)sysconf(_SC_PAGESIZE);
	a->base = (char *)p + (up(at, MEMORY_BLOCK_BYTES) - at);
	a->size = size - MEMORY_BLOCK_BYTES;
	return 0;
}

/* Writes to each page; what is written differs from page to page. */
static void stamp(char *from, uint64_t bytes, uint64_t page)
{
	for (uint64_t at = 0; at < bytes; at += page)
		*(volatile uintptr_t *)(void *)(from + at) = (uintptr_t)(from + at);
}

static int populate(struct arena *a, char *from, uint64_t bytes)
{
	while (!a->stepwise && madvise(from, bytes, MADV_POPULATE_WRITE) < 0) {
		if (errno == EINVAL)
			a->stepwise = true;
		else if (errno != EINTR)
			return -errno;
	}
	stamp(from, bytes, a->page);
	return 0;
}

/* A block at a time, so that its pages are still in the cache when they are written to. Ends early
 * when it takes long. */
static int fill(struct arena *a, uint64_t to, int advice)
{
	uint64_t block = down(a->held, MEMORY_BLOCK_BYTES), until = boot_ns() + FILL_NS;

	(void)madvise(a->base + block, up(to, MEMORY_BLOCK_BYTES) - block, advice);
	while (a->held < to && boot_ns() < until) {
		uint64_t n = min_u64(to - a->held, MEMORY_BLOCK_BYTES);
		int r = populate(a, a->base + a->held, n);

		if (r < 0)
			return r;
		a->held += n;
	}
	return 0;
}

static void lock_pages(struct arena *a, uint64_t from)
{
	if (!a->locking || from >= a->held ||
	    mlock2(a->base + from, a->held - from, MLOCK_ONFAULT) == 0)
		return;
	a->locking = false;
	warnx("cannot lock memory: %s; it may be swapped out", strerror(errno));
}

/* Locked pages cannot be discarded before 5.18. */
static void discard(struct arena *a, uint64_t from)
{
	if (from >= a->held)
		return;
	(void)munlock(a->base + from, a->held - from);
	(void)madvise(a->base + from, a->held - from, MADV_DONTNEED);
	a->held = from;
}

/* A part of a huge page is not free until all of it is: such a page goes as a whole, and what is
 * then too little comes again in ordinary ones, at the next look. */
static void shrink(struct arena *a, uint64_t to)
{
	uint64_t whole = down(a->held, MEMORY_BLOCK_BYTES);

	discard(a, to >= whole ? to : down(to, MEMORY_BLOCK_BYTES));
}

static int grow(struct arena *a, uint64_t to)
{
	uint64_t whole = down(to, MEMORY_BLOCK_BYTES), from;
	int r = 0;

	if (whole > a->held) /* ordinary pages give way to a huge one */
		discard(a, down(a->held, MEMORY_BLOCK_BYTES));
	from = a->held;
	if (whole > a->held)
		r = fill(a, whole, MADV_HUGEPAGE);
	if (r == 0 && a->held >= whole && to > a->held)
		r = fill(a, to, MADV_NOHUGEPAGE);
	lock_pages(a, from);
	return r;
}

/* Small beside most loads, but not beside the smallest. */
static uint64_t own_memory(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/smaps_rollup", "re");
	char line[128];
	uint64_t kib;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Anonymous: %" SCNu64, &kib) == 1)
			return kib * 1024;
	}
	return 0;
}

static uint64_t held(const struct memory_load *l)
{
	return l->arena.held + l->own;
}

static bool is_over(const struct hold *hold)
{
	return boot_ns() >= hold->deadline_boot_ns;
}

static void update_want(struct memory_load *l)
{
	struct grade_point point;

	hold_grade(l->hold, &l->args->grade, (double)l->args->bytes, &point, &l->change_ns);
	l->want = point.on ? (uint64_t)(point.value + 0.5) : 0;
	if (l->args->mode == MODE_ADD)
		l->want = up(l->want, l->arena.page);
}

static int look(struct memory_load *l, uint64_t *ret_wish)
{
	int r = memory_watch_read(&l->watch, &l->sample);

	if (r < 0)
		return r;
	if (l->sample.now_ns >= l->change_ns)
		update_want(l);
	*ret_wish = 0;
	if (l->want)
		*ret_wish = memory_control_wish(&l->control, l->want, held(l), &l->sample);
	return 0;
}

/* Of the arena. Near a limit whole blocks only: the last pages would creep in one by one. */
static uint64_t next_size(struct memory_load *l, uint64_t wish)
{
	const struct arena *a = &l->arena;
	uint64_t goal = memory_control_goal(&l->control, wish, held(l), &l->sample);
	uint64_t to = min_u64(goal > l->own ? down(goal - l->own, a->page) : 0, a->size);
	uint64_t chunk;

	if (to <= a->held)
		return to;
	if (l->sample.now_ns < l->refused_until_ns)
		return a->held;
	if (goal < wish)
		to = max_u64(a->held, down(to, MEMORY_BLOCK_BYTES));
	chunk = memory_control_chunk(&l->control, &l->sample);
	if (to - a->held <= chunk)
		return to;
	return down(a->held + chunk, MEMORY_BLOCK_BYTES);
}

/* One look and what follows from it. Returns whether there is more to do at once. */
static int turn(struct memory_load *l, bool *ret_more)
{
	uint64_t wish, to;
	int r = look(l, &wish);

	if (r < 0)
		return r;
	to = next_size(l, wish);
	*ret_more = to != l->arena.held;
	if (to < l->arena.held)
		shrink(&l->arena, to);
	else if (to > l->arena.held && grow(&l->arena, to) < 0)
		l->refused_until_ns = boot_ns() + REFUSED_NS;
	report_set(LOAD_HELD, held(l));
	report_set(LOAD_WANTED, wish);
	report_set(LOAD_YIELDED, l->control.yielded);
	return 0;
}

static int keep(struct memory_load *l)
{
	uint64_t cost = 0;
	bool more = true;

	while (!is_over(l->hold)) {
		uint64_t spent = clock_ns(CLOCK_PROCESS_CPUTIME_ID), pause;
		int r = turn(l, &more);

		if (r < 0) {
			warnx("cannot read the memory of the host: %s", strerror(-r));
			return EXIT_FAILURE;
		}
		if (more) /* its cost is the load itself */
			continue;
		pause = memory_control_interval(&l->control, &l->sample);
		pause = max_u64(pause, min_u64(cost * LOOK_COST_MAX, LOOK_MAX_NS));
		if (!hold_sleep(l->hold, min_u64(boot_ns() + pause, l->change_ns)))
			break;
		cost = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - spent;
	}
	return EXIT_SUCCESS;
}

static int memory_run(const struct hold *hold, const void *args)
{
	const struct memory_args *a = args;
	struct memory_load l = {.hold = hold, .args = a};
	uint64_t most = a->bytes;
	const char *what = NULL;
	int r;

	if (a->grade.over_ms && a->grade.from > (double)most)
		most = (uint64_t)a->grade.from;
	r = memory_watch_open(&l.watch, (enum memory_of)a->of, &what);
	if (r < 0)
		return report_failure("cannot %s: %s", what, strerror(-r));
	r = arena_open(&l.arena, most);
	if (r < 0)
		return report_failure("cannot map %llu bytes: %s", (unsigned long long)most,
				      strerror(-r));
	l.arena.locking = memory_watch_swap(&l.watch);
	/* Whoever started us may have asked for merging, for all it starts. */
	(void)prctl(PR_SET_MEMORY_MERGE, 0UL, 0UL, 0UL, 0UL);
	memory_control_init(&l.control, a->mode == MODE_TOTAL, a->reserve, (unsigned)a->workers);
	l.own = own_memory();
	update_want(&l);
	report_ready();
	return keep(&l);
}

static const char *const modes[] = {[MODE_ADD] = "add", [MODE_TOTAL] = "total", NULL};
static const char *const whose[] = {[MEMORY_OF_HOST] = "host",
				    [MEMORY_OF_CGROUP] = "cgroup",
				    [MEMORY_OF_PARENT] = "parent",
				    NULL};

static const struct load_option memory_options[] = {
	{"bytes", "N", "how much", LOAD_OPTION_UINT, offsetof(struct memory_args, bytes), 0, 1e15,
	 NULL},
	{"mode", "MODE", "of this process alone (add), or of all there are (total)",
	 LOAD_OPTION_CHOICE, offsetof(struct memory_args, mode), 0, 0, modes},
	{"reserve", "N", "bytes to leave to others always; 0: nothing is spared", LOAD_OPTION_UINT,
	 offsetof(struct memory_args, reserve), 0, 1e15, NULL},
	{"workers", "N", "how many share the load", LOAD_OPTION_UINT,
	 offsetof(struct memory_args, workers), 1, 1024, NULL, true},
	{"of", "WHOSE", "of the host, of the cgroup this is in, or of the cgroup above (parent)",
	 LOAD_OPTION_CHOICE, offsetof(struct memory_args, of), 0, 0, whose, true},
	LOAD_GRADE_OPTIONS(struct memory_args, grade),
	{0},
};

const struct load_kind load_memory = {
	.name = "memory",
	.summary = "hold memory that is really there",
	.options = memory_options,
	.args_size = sizeof(struct memory_args),
	.run = memory_run,
};
