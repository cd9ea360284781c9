/* SPDX-License-Identifier: Apache-2.0 */
/* Putting the wall clock right, for faultd and the guardian. A clock that somebody else has set
 * meanwhile is left as it is. */
#include "steps/clock.h"

#include <errno.h>
#include <sys/timex.h>
#include <time.h>

#include "steps/kinds.h"
#include "util/clock.h"

#define SAMPLES     9
#define MISTAKE_NS  5000000
#define UNMOVED_NS  100000 /* a tenth of the least offset there is */
#define ERROR_PPM   500    /* by how much the kernel lets its own error bound grow */
#define NSEC_SIGNED ((int64_t)NSEC_PER_SEC)

static int64_t now_ns(clockid_t clock)
{
	struct timespec ts = {0};

	(void)clock_gettime(clock, &ts);
	return ts.tv_sec * NSEC_SIGNED + ts.tv_nsec;
}

/* The wall clock between two readings of the boot clock, the closest of several. */
int64_t clock_difference(void)
{
	int64_t best = INT64_MAX, ret = 0;

	for (int i = 0; i < SAMPLES; i++) {
		int64_t before = now_ns(CLOCK_BOOTTIME), wall = now_ns(CLOCK_REALTIME);
		int64_t after = now_ns(CLOCK_BOOTTIME);

		if (after - before >= best)
			continue;
		best = after - before;
		ret = wall - (before + best / 2);
	}
	return ret;
}

/* ADJ_SETOFFSET is relative: what passes between reading and setting is not lost. In microseconds,
 * for ADJ_NANO would stay on for everybody. */
static int add_offset(int64_t by_ns)
{
	int64_t us = (by_ns + (by_ns < 0 ? -500 : 500)) / 1000;
	struct timex t = {.modes = ADJ_SETOFFSET};

	t.time.tv_sec = us / 1000000;
	t.time.tv_usec = us % 1000000;
	if (t.time.tv_usec < 0) { /* the kernel wants the fraction to count forward */
		t.time.tv_usec += 1000000;
		t.time.tv_sec--;
	}
	return clock_adjtime(CLOCK_REALTIME, &t) < 0 ? -errno : 0;
}

int clock_move(int64_t by_ns)
{
	int64_t was = clock_difference(), mistake;
	int r = add_offset(by_ns);

	if (r < 0)
		return r;
	mistake = clock_difference() - was - by_ns;
	return mistake > MISTAKE_NS || mistake < -MISTAKE_NS ? -EIO : 0;
}

/* Setting the clock makes the kernel forget that it was synchronised (ntp_clear(): STA_UNSYNC, the
 * error bounds, an adjtime(3) on its way; the frequency stays). It is as right as before: so it is
 * told what it knew, with the bound that has grown since. */
static int restore_status(const struct step_clock *c)
{
	struct timex t = {0};
	uint64_t passed_us = (boot_ns() - c->boot_ns) / 1000;

	if (c->status & STA_UNSYNC)
		return 0;
	if (clock_adjtime(CLOCK_REALTIME, &t) < 0)
		return -errno;
	if (!(t.status & STA_UNSYNC))
		return 0;
	t.modes = ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR;
	t.status &= ~STA_UNSYNC;
	t.maxerror = (long)(c->max_error_us + passed_us / 1000000 * ERROR_PPM);
	t.esterror = (long)c->error_us;
	return clock_adjtime(CLOCK_REALTIME, &t) < 0 ? -errno : 0;
}

int clock_undo_alone(struct step *s, struct text *note)
{
	const struct step_clock *c = &s->clock;
	int64_t deviation = clock_difference() - (int64_t)c->base_ns;
	int64_t offset = (int64_t)c->offset_ns, before = (int64_t)c->before_ns;
	bool right = deviation < MISTAKE_NS && deviation > -MISTAKE_NS;
	int r;

	if (!right && !clock_is_near(deviation, offset) && !clock_is_near(deviation, before)) {
		text_add(note, "the wall clock was set by someone else meanwhile, and left alone");
		return 0;
	}
	if (right && s->state == STEP_APPLIED && !clock_is_near(0, offset))
		text_add(note, "the wall clock had been put right by someone else");
	/* One that was never moved is not touched. */
	if (deviation < UNMOVED_NS && deviation > -UNMOVED_NS)
		return restore_status(c);
	r = clock_move(-deviation);
	return r < 0 ? r : restore_status(c);
}
