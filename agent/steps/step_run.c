/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/step_run.h"

#include "steps/kinds.h"

static const struct {
	int (*prepare)(struct step *s, const struct step_env *env, struct error *e);
	int (*apply)(struct step *s, const struct step_env *env, struct error *e);
	int (*settle)(struct step *s, const struct step_env *env, struct error *e); /* or NULL */
	/* Both, or NULL: it has no value that could change. */
	bool (*prepare_update)(struct step *s, const struct step *fresh);
	int (*update)(struct step *s, const struct step_env *env, struct error *e);
	/* One of the two: with what faultd holds, or as anybody would do it. Neither: irreversible.
	 */
	int (*undo)(struct step *s, const struct step_env *env, struct text *note);
	int (*undo_alone)(struct step *s, struct text *note);
} kinds[_STEP_KIND_MAX] = {
	[STEP_CHILD] = {.apply = child_apply, .settle = child_settle, .undo = child_undo},
	[STEP_BPF_LINK] = {.apply = bpf_link_apply, .undo = bpf_link_undo},
	[STEP_QDISC] = {.prepare = qdisc_prepare, .apply = qdisc_apply, .undo = qdisc_undo},
	[STEP_FILTER] = {.apply = filter_apply, .undo = filter_undo},
	[STEP_SHAPER] = {.prepare = shaper_prepare,
			 .apply = shaper_apply,
			 .prepare_update = shaper_prepare_update,
			 .update = shaper_update,
			 .undo = shaper_undo},
	[STEP_RULE] = {.apply = rule_apply,
		       .prepare_update = rule_prepare_update,
		       .update = rule_update,
		       .undo = rule_undo},
	[STEP_SIGNAL] = {.prepare = signal_prepare, .apply = signal_apply, .undo = signal_undo},
	[STEP_KILL] = {.apply = kill_apply},
	[STEP_ATTR] = {.prepare = attr_prepare,
		       .apply = attr_apply,
		       .settle = attr_settle,
		       .prepare_update = attr_prepare_update,
		       .update = attr_apply,
		       .undo_alone = attr_undo_alone},
	[STEP_CGROUP] = {.prepare = cgroup_prepare, .apply = cgroup_apply, .undo = cgroup_undo},
	[STEP_FREEZE] = {.apply = freeze_apply, .settle = freeze_settle, .undo = freeze_undo},
	[STEP_UNIT] = {.prepare = unit_prepare,
		       .apply = unit_apply,
		       .settle = unit_settle,
		       .undo = unit_undo},
	[STEP_CLOCK] = {.prepare = clock_prepare,
			.apply = clock_apply,
			.prepare_update = clock_prepare_update,
			.update = clock_apply,
			.undo_alone = clock_undo_alone},
	[STEP_POWER] = {.apply = power_apply},
	[STEP_RLIMIT] = {.prepare = rlimit_prepare,
			 .apply = rlimit_apply,
			 .prepare_update = rlimit_prepare_update,
			 .update = rlimit_update,
			 .undo_alone = rlimit_undo_alone},
};

int step_prepare(struct step *s, const struct step_env *env, struct error *e)
{
	return kinds[s->kind].prepare ? kinds[s->kind].prepare(s, env, e) : 0;
}

int step_apply(struct step *s, const struct step_env *env, struct error *e)
{
	return kinds[s->kind].apply(s, env, e);
}

int step_settle(struct step *s, const struct step_env *env, struct error *e)
{
	return kinds[s->kind].settle ? kinds[s->kind].settle(s, env, e) : 0;
}

bool step_prepare_update(struct step *s, const struct step *fresh)
{
	return kinds[s->kind].prepare_update && kinds[s->kind].prepare_update(s, fresh);
}

int step_update(struct step *s, const struct step_env *env, struct error *e)
{
	return kinds[s->kind].update(s, env, e);
}

int step_undo(struct step *s, const struct step_env *env, struct text *note)
{
	if (kinds[s->kind].undo)
		return kinds[s->kind].undo(s, env, note);
	return kinds[s->kind].undo_alone ? kinds[s->kind].undo_alone(s, note) : 0;
}
