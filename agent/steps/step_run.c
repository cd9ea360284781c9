/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/step_run.h"

#include <errno.h>
#include <string.h>

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
	[STEP_FILTER] = {.prepare = filter_prepare, .apply = filter_apply, .undo = filter_undo},
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
	[STEP_CUT] = {.apply = cut_apply, .settle = cut_settle},
	[STEP_KEEP] = {.apply = keep_apply, .undo_alone = keep_undo_alone},
	[STEP_LINK] = {.prepare = link_prepare, .apply = link_apply, .undo_alone = link_undo_alone},
	[STEP_RLIMIT] = {.prepare = rlimit_prepare,
			 .apply = rlimit_apply,
			 .prepare_update = rlimit_prepare_update,
			 .update = rlimit_update,
			 .undo_alone = rlimit_undo_alone},
};

/* One of the functions above, with its arguments. */
struct call {
	struct step *s;
	const struct step_env *env;
	int (*change)(struct step *s, const struct step_env *env, struct error *e); /* or … */
	struct error *e;
	bool undo;
	struct text *note;
};

static int undo_here(struct step *s, const struct step_env *env, struct text *note)
{
	if (kinds[s->kind].undo)
		return kinds[s->kind].undo(s, env, note);
	return kinds[s->kind].undo_alone ? kinds[s->kind].undo_alone(s, note) : 0;
}

static int call(void *arg)
{
	const struct call *c = arg;

	return c->undo ? undo_here(c->s, c->env, c->note) : c->change(c->s, c->env, c->e);
}

/* The namespace that a step acts in, or NULL: faultd's own. A rule is in maps, which are in none:
 * its classifier was loaded by a step before it. */
static const struct netns *place_of(const struct step *s)
{
	const struct step_hook *h = s->kind == STEP_RULE ? NULL : step_hook_of(s);

	return h && h->netns.inode ? &h->netns : NULL;
}

static int change(int (*fn)(struct step *s, const struct step_env *env, struct error *e),
		  struct step *s, const struct step_env *env, struct error *e)
{
	struct call c = {.s = s, .env = env, .change = fn, .e = e};
	const struct netns *n = place_of(s);
	int result, r;

	if (!fn)
		return 0;
	if (!n)
		return call(&c);
	r = netns_run(n, call, &c, &result);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot enter the network namespace, %s: %s",
				 s->hook.place, r == -ENOENT ? "it is gone" : strerror(-r));
	return result;
}

int step_prepare(struct step *s, const struct step_env *env, struct error *e)
{
	return change(kinds[s->kind].prepare, s, env, e);
}

int step_apply(struct step *s, const struct step_env *env, struct error *e)
{
	return change(kinds[s->kind].apply, s, env, e);
}

int step_settle(struct step *s, const struct step_env *env, struct error *e)
{
	return change(kinds[s->kind].settle, s, env, e);
}

bool step_prepare_update(struct step *s, const struct step *fresh)
{
	return kinds[s->kind].prepare_update && kinds[s->kind].prepare_update(s, fresh);
}

int step_update(struct step *s, const struct step_env *env, struct error *e)
{
	return change(kinds[s->kind].update, s, env, e);
}

/* What was in a namespace that is gone went with it; what faultd holds of it is let go where
 * nothing is that could be taken for it. */
int step_undo(struct step *s, const struct step_env *env, struct text *note)
{
	struct call c = {.s = s, .env = env, .undo = true, .note = note};
	char unsaid[200];
	struct text of_nothing = TEXT(unsaid);
	const struct netns *n = place_of(s);
	int result, r;

	if (!n)
		return call(&c);
	r = netns_run(n, call, &c, &result);
	if (r == -ENOENT) {
		c.note = &of_nothing;
		r = netns_run_empty(call, &c, &result);
		if (r == 0)
			step_note_gone(s, note);
	}
	return r < 0 ? r : result;
}

struct reading {
	const struct step *s;
	struct shaper_counters *ret;
};

static int read_shaper(void *arg)
{
	const struct reading *r = arg;

	return shaper_read_here(r->s, r->ret);
}

bool shaper_read(const struct step *s, struct shaper_counters *ret)
{
	const struct netns *n = place_of(s);
	struct reading r = {s, ret};
	int result;

	if (!n)
		return read_shaper(&r);
	return netns_run(n, read_shaper, &r, &result) == 0 && result;
}
