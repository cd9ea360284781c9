/* SPDX-License-Identifier: Apache-2.0 */
#include "load/memory_control.h"

#include "util/clock.h"

/* After giving some back: hold still, then come back in small rises. Whoever has to give back again
 * on the way holds still for twice as long: no oscillation of constant pace. */
#define CALM_MIN_NS (2 * NSEC_PER_SEC)
#define CALM_MAX_NS (60 * NSEC_PER_SEC)
#define RAISE_NS    NSEC_PER_SEC
#define RAISE_PARTS 64 /* of the wish, each time */

#define PRESSURE_PARTS 8 /* of what is held, given back */

#define SLACK_MAX (32ULL << 20)

#define INTERVAL_MIN_NS   (25 * NSEC_PER_MSEC)
#define INTERVAL_TOTAL_NS (100 * NSEC_PER_MSEC)
#define INTERVAL_MAX_NS   (250 * NSEC_PER_MSEC)
#define OTHERS_PER_SEC    (4ULL << 30) /* as fast as one process can take memory */

#define TOTAL_PARTS 1000 /* a difference smaller than this part is left alone, or smaller than: */
#define TOTAL_BYTES (1ULL << 20)

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Kept free beyond the reserve, so that small changes do not reach into it. */
static uint64_t slack(const struct memory_control *c)
{
	return min_u64(c->reserve / 8, SLACK_MAX);
}

static uint64_t room(const struct memory_control *c, const struct memory_sample *s)
{
	uint64_t keep = c->reserve + slack(c);

	return s->available > keep ? (s->available - keep) / c->workers : 0;
}

void memory_control_init(struct memory_control *c, bool total, uint64_t reserve, unsigned workers)
{
	*c = (struct memory_control){.total = total,
				     .reserve = reserve,
				     .workers = workers ? workers : 1,
				     .cap = UINT64_MAX,
				     .calm_ns = CALM_MIN_NS / 2};
}

uint64_t memory_control_wish(const struct memory_control *c, uint64_t want, uint64_t held,
			     const struct memory_sample *s)
{
	uint64_t off = want > s->used ? want - s->used : s->used - want;

	if (!c->total)
		return want;
	if (off <= max_u64(want / TOTAL_PARTS, TOTAL_BYTES))
		return held;
	off = (off + c->workers - 1) / c->workers;
	if (want > s->used)
		return min_u64(want, held + off);
	return held > off ? held - off : 0;
}

static void give_back(struct memory_control *c, uint64_t bytes, uint64_t held, uint64_t now_ns)
{
	if (held == 0)
		return;
	if (now_ns >= c->raise_ns) /* not the same shortage still */
		c->calm_ns = min_u64(c->calm_ns * 2, CALM_MAX_NS);
	c->cap = held > bytes ? held - bytes : 0;
	c->raise_ns = now_ns + c->calm_ns;
	c->yielded++;
}

/* Filling can itself make whoever reclaims wait: it pauses first, and gives back only when that did
 * not help. */
static void mind_pressure(struct memory_control *c, uint64_t held, const struct memory_sample *s)
{
	if (s->stall < 0)
		return;
	if (s->stall <= MEMORY_STALL_MAX)
		c->paused = false;
	else if (c->grew)
		c->paused = true;
	else
		give_back(c, max_u64(held / PRESSURE_PARTS, MEMORY_BLOCK_BYTES), held, s->now_ns);
	c->grew = false;
}

static void mind_reserve(struct memory_control *c, uint64_t held, const struct memory_sample *s)
{
	uint64_t missing;

	if (s->available >= c->reserve)
		return;
	missing = c->reserve + slack(c) - s->available;
	give_back(c, (missing + c->workers - 1) / c->workers, held, s->now_ns);
}

static void come_back(struct memory_control *c, uint64_t wish, const struct memory_sample *s)
{
	uint64_t rise = max_u64(wish / RAISE_PARTS, MEMORY_BLOCK_BYTES);

	if (c->cap == UINT64_MAX || s->now_ns < c->raise_ns || room(c, s) < rise)
		return;
	c->cap += rise;
	c->raise_ns = s->now_ns + RAISE_NS;
	if (c->cap < wish)
		return;
	c->cap = UINT64_MAX;
	c->calm_ns = max_u64(c->calm_ns / 2, CALM_MIN_NS / 2);
}

uint64_t memory_control_goal(struct memory_control *c, uint64_t wish, uint64_t held,
			     const struct memory_sample *s)
{
	uint64_t goal;

	if (c->reserve == 0)
		return wish;
	mind_pressure(c, held, s);
	mind_reserve(c, held, s);
	come_back(c, wish, s);
	goal = min_u64(wish, min_u64(c->cap, held + room(c, s)));
	if (goal <= held)
		return goal;
	if (c->paused)
		return held;
	c->grew = true;
	return goal;
}

uint64_t memory_control_chunk(const struct memory_control *c, const struct memory_sample *s)
{
	if (c->reserve == 0)
		return MEMORY_CHUNK_BYTES;
	return min_u64(MEMORY_CHUNK_BYTES, max_u64(MEMORY_BLOCK_BYTES, room(c, s) / 4));
}

uint64_t memory_control_interval(const struct memory_control *c, const struct memory_sample *s)
{
	uint64_t most = c->total ? INTERVAL_TOTAL_NS : INTERVAL_MAX_NS, left;

	if (c->reserve == 0)
		return most;
	left = s->available > c->reserve ? s->available - c->reserve : 0;
	if (left >= OTHERS_PER_SEC)
		return most;
	return min_u64(most, max_u64(INTERVAL_MIN_NS, left * NSEC_PER_SEC / OTHERS_PER_SEC));
}
