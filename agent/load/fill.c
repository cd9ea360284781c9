/* SPDX-License-Identifier: Apache-2.0 */
#include "load/fill.h"

#include <stdlib.h>
#include <string.h>

#include "load/report.h"
#include "util/clock.h"

/* So many at once, then the deadline and the clock are looked at. */
#define CHUNK 200

/* A load that takes longer is ready before it is complete. */
#define READY_NS (80 * NSEC_PER_MSEC)

/* Others are looked at this often, and where that takes long, at most one part in so many of the
 * time. */
#define LOOK_NS       NSEC_PER_SEC
#define LOOK_COST_MAX 20

struct filling {
	const struct hold *hold;
	const struct fill_args *args;
	struct fill *fill;
	struct grade_point point; /* what is asked for now */
	uint64_t change_ns;       /* when that changes */
	uint64_t look_ns;         /* when to look again */
	uint64_t ready_ns;        /* when to be ready at the latest; 0: it has been said */
	uint64_t wanted;
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int look(struct filling *g)
{
	struct share share = {g->args->percent > 0, g->point.value, g->args->reserve};
	uint64_t before = boot_ns(), cost;
	int r = 0;

	if (g->point.on)
		r = g->fill->want(g->fill, &share, &g->wanted);
	else
		g->wanted = 0;
	cost = (boot_ns() - before) * LOOK_COST_MAX;
	g->look_ns = boot_ns() + (cost > LOOK_NS ? cost : LOOK_NS);
	report_set(LOAD_WANTED, g->wanted);
	return r;
}

static void be_ready(struct filling *g, bool complete)
{
	if (!g->ready_ns || (!complete && boot_ns() < g->ready_ns))
		return;
	g->ready_ns = 0;
	report_ready();
}

/* What cannot be had now is tried again at the next look: others may have taken it. */
static int adjust(struct filling *g)
{
	struct fill *f = g->fill;
	int r = 0;

	if (f->held > g->wanted)
		f->give(f, f->held - g->wanted);
	report_set(LOAD_HELD, f->held);
	while (r == 0 && f->held < g->wanted && boot_ns() < g->hold->deadline_boot_ns &&
	       boot_ns() < g->change_ns) {
		r = f->take(f, min_u64(CHUNK, g->wanted - f->held));
		report_set(LOAD_HELD, f->held);
		if (r == 0)
			be_ready(g, false);
	}
	return f->held ? 0 : r;
}

static void grade(struct filling *g)
{
	double to = g->args->percent > 0 ? g->args->percent : g->args->count;

	hold_grade(g->hold, &g->args->grade, to, &g->point, &g->change_ns);
}

/* Returns 0 or a negative errno, which only counts before it is ready. */
static int round_of(struct filling *g)
{
	bool changed = boot_ns() >= g->change_ns;
	int r;

	if (changed)
		grade(g);
	r = look(g);
	if (r < 0)
		return r;
	if (!changed && g->wanted < g->fill->held)
		report_add(LOAD_YIELDED, 1);
	r = adjust(g);
	if (r == 0)
		be_ready(g, true);
	return r;
}

int fill_run(const struct hold *hold, const struct fill_args *args, struct fill *f)
{
	struct filling g = {.hold = hold, .args = args, .fill = f};

	g.ready_ns = boot_ns() + READY_NS;
	do {
		int r = round_of(&g);

		if (r < 0 && g.ready_ns)
			return report_failure("cannot %s: %s", f->what, strerror(-r));
	} while (hold_sleep(hold, min_u64(g.look_ns, g.change_ns)));
	f->give(f, f->held);
	return EXIT_SUCCESS;
}
