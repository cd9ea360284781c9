/* SPDX-License-Identifier: Apache-2.0 */
/* The guardian's vocabulary: links neither libbpf nor anything that allocates. A link and a rule
 * are the kernel's to take back when their holder is gone, a killed process is nobody's. */
#include "steps/kinds.h"

static int (*const undo[_STEP_KIND_MAX])(struct step *s, struct text *note) = {
	[STEP_CHILD] = child_undo_alone,   [STEP_QDISC] = qdisc_undo_alone,
	[STEP_FILTER] = filter_undo_alone, [STEP_SIGNAL] = signal_undo_alone,
	[STEP_ATTR] = attr_undo_alone,     [STEP_CGROUP] = cgroup_undo_alone,
	[STEP_FREEZE] = freeze_undo_alone, [STEP_UNIT] = unit_undo_alone,
	[STEP_CLOCK] = clock_undo_alone,   [STEP_RLIMIT] = rlimit_undo_alone,
	[STEP_SHAPER] = shaper_undo_alone,
};

int step_undo_alone(struct step *s, struct text *note)
{
	return undo[s->kind] ? undo[s->kind](s, note) : 0;
}
