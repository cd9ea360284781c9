/* SPDX-License-Identifier: Apache-2.0 */
/* The guardian's vocabulary: links neither libbpf nor anything that allocates. A link and a rule
 * are the kernel's to take back when their holder is gone, a killed process is nobody's. */
#include <errno.h>

#include "steps/kinds.h"

static int (*const undo[_STEP_KIND_MAX])(struct step *s, struct text *note) = {
	[STEP_CHILD] = child_undo_alone,   [STEP_QDISC] = qdisc_undo_alone,
	[STEP_FILTER] = filter_undo_alone, [STEP_SIGNAL] = signal_undo_alone,
	[STEP_ATTR] = attr_undo_alone,     [STEP_CGROUP] = cgroup_undo_alone,
	[STEP_FREEZE] = freeze_undo_alone, [STEP_UNIT] = unit_undo_alone,
	[STEP_CLOCK] = clock_undo_alone,   [STEP_RLIMIT] = rlimit_undo_alone,
	[STEP_SHAPER] = shaper_undo_alone, [STEP_KEEP] = keep_undo_alone,
	[STEP_LINK] = link_undo_alone,
};

void step_note_gone(const struct step *s, struct text *note)
{
	text_add(note, "the network namespace is gone, with all that was in it: %s",
		 s->hook.place[0] ? s->hook.place : s->hook.netns.path);
}

struct call {
	struct step *s;
	struct text *note;
};

static int call(void *arg)
{
	const struct call *c = arg;

	return undo[c->s->kind](c->s, c->note);
}

int step_undo_alone(struct step *s, struct text *note)
{
	const struct step_hook *h = step_hook_of(s);
	int result, r;

	if (!undo[s->kind])
		return 0;
	if (!h || !h->netns.inode)
		return undo[s->kind](s, note);
	r = netns_visit(&h->netns, call, &(struct call){s, note}, &result);
	if (r != -ENOENT)
		return r < 0 ? r : result;
	step_note_gone(s, note);
	return 0;
}
