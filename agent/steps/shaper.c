/* SPDX-License-Identifier: Apache-2.0 */
/* A shaper: a device with netem, tbf or both, and a filter in the interface's clsact that redirects
 * there what a rule has marked. The device hands packets back where they were taken from, so the
 * interface's own qdiscs are never touched, and any number of shapers stand side by side.
 *
 * The device is an ifb. What it hands back has tc_skip_classify set, until it is received for the
 * next time on this host, which then passes over taps, TCX and clsact. For a packet that arrives
 * here, that is right: it has been through them. On its way out of a network card nobody notices.
 * But where the other end is on this host as well, as with containers, their policies and whoever
 * looks there would miss what was shaped. So
 * - what leaves through an interface of such a kind (`kinds_to_here`) goes through a veth pair of
 *   ours: in at one end, with the qdiscs, and from the other end's clsact to the interface.
 * - what leaves through lo is marked there, and taken when it arrives at lo, by an ifb. A veth
 *   would have dropped its route, without which 127.0.0.1 is a martian. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/interfaces.h"
#include "steps/clsact.h"
#include "steps/kinds.h"
#include "steps/shaper_device.h"
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
	uint32_t ifindex;
	int r = shaper_device_find(&s->shaper, &ifindex);

	if (r >= 0 && ifindex != 0)
		r = -EEXIST;
	if (r == 0)
		r = mark_filter_present((uint32_t)s->hook.ifindex, shaper_side(&s->shaper),
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

/* Redirects to `to` what has the mark and passes `at`. */
static int add_filter(const struct step_shaper *p, uint32_t at, uint32_t side, uint32_t mark,
		      uint32_t to, struct error *e)
{
	_cleanup_close_ int prog =
		mark_program_load(mark, mark == MARK_SHAPED ? CLASSIFY_EGRESS : side);
	int r = prog;

	/* The filter holds the program from then on. */
	if (r >= 0)
		r = mark_filter_add(at, side, mark, prog, to);
	return r < 0 ? cannot(e, r, "redirect packets of", "mirred (act_mirred)", &p->hook) : 0;
}

/* Can what leaves through the interface be received on this host? Returns 1, 0 or a negative errno.
 */
static int leads_here(const struct step_hook *hook)
{
	static const char *const kinds_to_here[] = {"veth", "netkit", "bridge", "macvlan"};
	struct link_seen seen;
	int r;

	if (hook->direction != CLASSIFY_EGRESS)
		return 0;
	r = link_look(NULL, (uint32_t)hook->ifindex, &seen);
	if (r <= 0)
		return r < 0 ? r : -ENODEV;
	for (size_t i = 0; i < ARRAY_SIZE(kinds_to_here); i++)
		if (str_eq(seen.kind, kinds_to_here[i]))
			return 1;
	return 0;
}

static int add_device(const struct step_shaper *p, uint32_t *ret, uint32_t *ret_peer,
		      struct error *e)
{
	int pair = leads_here(&p->hook);
	int r = pair;

	if (r >= 0)
		r = shaper_device_add(p, ret, pair ? ret_peer : NULL);
	return r < 0 ? cannot(e, r, "make a shaper for",
			      pair > 0 ? "veth devices (veth)" : "ifb devices (ifb)", &p->hook)
		     : 0;
}

/* Nothing but what comes from the interface has the mark: what the pair's ends would say of their
 * own accord goes nowhere. */
static int lead_back(const struct step_shaper *p, uint32_t peer, struct error *e)
{
	int r = shaper_device_up(peer);

	if (r >= 0)
		r = clsact_add(peer);
	if (r < 0)
		return cannot(e, r, "make a shaper for", "clsact (sch_ingress)", &p->hook);
	return add_filter(p, peer, CLASSIFY_INGRESS, MARK_SHAPED, (uint32_t)p->hook.ifindex, e);
}

/* The filter comes last: nothing is sent through a device that is not ready. */
int shaper_apply(struct step *s, const struct step_env *env, struct error *e)
{
	const struct step_shaper *p = &s->shaper;
	uint32_t ifindex = 0, peer = 0;
	int r = add_device(p, &ifindex, &peer, e);

	if (r < 0)
		return r;
	crash_point("shaper: device made");
	r = set_qdiscs(p, ifindex, true, e);
	if (r < 0)
		return r;
	crash_point("shaper: qdiscs added");
	r = shaper_device_up(ifindex);
	if (r < 0)
		return cannot(e, r, "make a shaper for", NULL, &p->hook);
	if (peer) {
		r = lead_back(p, peer, e);
		if (r < 0)
			return r;
	}
	crash_point("shaper: device up");
	return add_filter(p, (uint32_t)p->hook.ifindex, shaper_side(p), shaper_mark(p), ifindex, e);
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
	uint32_t ifindex;
	int r = shaper_device_find(&s->shaper, &ifindex);

	if (r <= 0)
		return hook_cannot(e, r < 0 ? r : -ESTALE, "change the shaper of", &s->hook);
	return set_qdiscs(&s->shaper, ifindex, false, e);
}

bool shaper_read_here(const struct step *s, struct shaper_counters *ret)
{
	uint32_t ifindex;

	return shaper_device_find(&s->shaper, &ifindex) > 0 && shaper_count(ifindex, ret) == 0;
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
	uint32_t ifindex;

	p->drained_ns = boot_ns();
	if (p->netem.rate_bytes && shaper_device_find(p, &ifindex) > 0)
		(void)shaper_tbf_set(ifindex, UNLIMITED_RATE, &sizes, false);
}

int shaper_undo(struct step *s, const struct step_env *env, struct text *note)
{
	struct step_shaper *p = &s->shaper;
	int r = mark_filter_delete((uint32_t)s->hook.ifindex, shaper_side(p), shaper_mark(p));

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
