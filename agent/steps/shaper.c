/* SPDX-License-Identifier: Apache-2.0 */
/* A shaper: an ifb device with netem, tbf or both, and a filter in the interface's clsact that
 * redirects there what a rule has marked. The device hands packets back where they were taken from,
 * so the interface's own qdiscs are never touched, and any number of shapers stand side by side. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/interfaces.h"
#include "steps/clsact.h"
#include "steps/ifb.h"
#include "steps/kinds.h"
#include "steps/shaper_tc.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/crash_point.h"

#define DRAIN_MOST_NS  (400 * NSEC_PER_MSEC)
#define DRAIN_SPARE_NS (20 * NSEC_PER_MSEC)
#define UNLIMITED_RATE 125000000000ULL /* 1 Tbit/s */

/* What the kernel lacks, by the request that it refused. */
static int cannot(struct error *e, int r, const char *what, const char *lacks,
		  const struct step_hook *hook)
{
	if (lacks && (r == -ENOENT || r == -EOPNOTSUPP))
		return error_set(e, ERROR_UNSUPPORTED, r, "cannot %s %s: the kernel has no %s",
				 what, hook->ifname, lacks);
	if (r == -EEXIST)
		return error_set(e, ERROR_FAILED, r, "cannot %s %s: its name is taken", what,
				 hook->ifname);
	return hook_cannot(e, r, what, hook);
}

/* A device or filter that is there already is not ours to undo, so it must not be begun. */
int shaper_prepare(struct step *s, const struct step_env *env, struct error *e)
{
	char name[SHAPER_NAME_SIZE];
	uint32_t ifindex;
	int r;

	shaper_name(&s->shaper, name);
	r = ifb_find(name, &ifindex);
	if (r >= 0 && ifindex != 0)
		r = -EEXIST;
	if (r == 0)
		r = mark_filter_present((uint32_t)s->hook.ifindex, (uint32_t)s->hook.direction,
					shaper_mark(&s->shaper));
	if (r > 0)
		r = -EEXIST;
	return r < 0 ? cannot(e, r, "make a shaper for", NULL, &s->hook) : 0;
}

static struct shaper_sizes sizes_of(const struct step_shaper *p)
{
	return shaper_sizes_of(&p->netem, interface_mtu(p->hook.ifname),
			       interface_speed_mbit(p->hook.ifname));
}

static int set_qdiscs(const struct step_shaper *p, uint32_t ifindex, bool add, struct error *e)
{
	const struct shaper_sizes sizes = sizes_of(p);
	const struct netem *n = &p->netem;
	int r;

	if (n->rate_bytes) {
		r = shaper_tbf_set(ifindex, n->rate_bytes, &sizes, add);
		if (r < 0)
			return cannot(e, r, "limit the rate of", "tbf (sch_tbf)", &p->hook);
	}
	if (!add || shaper_has_netem(n)) {
		r = shaper_netem_set(ifindex, n, &sizes, add);
		if (r < 0 && shaper_has_netem(n))
			return cannot(e, r, "shape packets of", "netem (sch_netem)", &p->hook);
	}
	return 0;
}

static int add_filter(const struct step_shaper *p, uint32_t to, struct error *e)
{
	uint32_t direction = (uint32_t)p->hook.direction;
	_cleanup_close_ int prog = mark_program_load(shaper_mark(p), direction);
	int r = prog;

	/* The filter holds the program from then on. */
	if (r >= 0)
		r = mark_filter_add((uint32_t)p->hook.ifindex, direction, shaper_mark(p), prog, to);
	return r < 0 ? cannot(e, r, "redirect packets of", "mirred (act_mirred)", &p->hook) : 0;
}

/* The filter comes last: nothing is sent through a device that is not ready. */
int shaper_apply(struct step *s, const struct step_env *env, struct error *e)
{
	const struct step_shaper *p = &s->shaper;
	char name[SHAPER_NAME_SIZE];
	uint32_t ifindex;
	int r;

	shaper_name(p, name);
	r = shaper_device_add(name, &ifindex);
	if (r < 0)
		return cannot(e, r, "make a shaper for", "ifb devices (ifb)", &p->hook);
	crash_point("shaper: device made");
	r = set_qdiscs(p, ifindex, true, e);
	if (r < 0)
		return r;
	crash_point("shaper: qdiscs added");
	r = shaper_device_up(ifindex);
	if (r < 0)
		return cannot(e, r, "make a shaper for", NULL, &p->hook);
	crash_point("shaper: device up");
	return add_filter(p, ifindex, e);
}

/* Asked only when the graded value is another one, and that is in here. */
bool shaper_prepare_update(struct step *s, const struct step *fresh)
{
	s->shaper.netem = fresh->shaper.netem;
	return true;
}

/* In place: the packets that wait stay. */
int shaper_update(struct step *s, const struct step_env *env, struct error *e)
{
	char name[SHAPER_NAME_SIZE];
	uint32_t ifindex;
	int r;

	shaper_name(&s->shaper, name);
	r = ifb_find(name, &ifindex);
	if (r <= 0)
		return hook_cannot(e, r < 0 ? r : -ESTALE, "change the shaper of", &s->hook);
	return set_qdiscs(&s->shaper, ifindex, false, e);
}

bool shaper_read_here(const struct step *s, struct shaper_counters *ret)
{
	char name[SHAPER_NAME_SIZE];
	uint32_t ifindex;

	shaper_name(&s->shaper, name);
	return ifb_find(name, &ifindex) > 0 && shaper_count(ifindex, ret) == 0;
}

/* The longest that a packet can have to wait for its delay, behind one that waits for its turn. */
static uint64_t drain_ns(const struct step_shaper *p)
{
	const struct netem *n = &p->netem;
	uint64_t ns = n->delay_ns + 4 * n->jitter_ns + DRAIN_SPARE_NS;

	if (n->rate_bytes)
		ns += (interface_mtu(p->hook.ifname) + LINK_HEADER_MAX) * NSEC_PER_SEC /
		      n->rate_bytes;
	return ns < DRAIN_MOST_NS ? ns : DRAIN_MOST_NS;
}

/* Nothing enters any more. What is in there leaves when its delay is over; no rate holds it back.
 */
static void begin_to_drain(struct step_shaper *p)
{
	const struct shaper_sizes sizes = sizes_of(p);
	char name[SHAPER_NAME_SIZE];
	uint32_t ifindex;

	p->drained_ns = boot_ns();
	shaper_name(p, name);
	if (p->netem.rate_bytes && ifb_find(name, &ifindex) > 0)
		(void)shaper_tbf_set(ifindex, UNLIMITED_RATE, &sizes, false);
}

int shaper_undo(struct step *s, const struct step_env *env, struct text *note)
{
	struct step_shaper *p = &s->shaper;
	int r = mark_filter_delete((uint32_t)s->hook.ifindex, (uint32_t)s->hook.direction,
				   shaper_mark(p));

	if (r < 0)
		return r;
	if (!p->drained_ns)
		begin_to_drain(p);
	p->counted.waiting = 0;
	if (shaper_read_here(s, &p->counted) && p->counted.waiting &&
	    boot_ns() < p->drained_ns + drain_ns(p))
		return -EINPROGRESS;
	return shaper_undo_alone(s, note);
}
