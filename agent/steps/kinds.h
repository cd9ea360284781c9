/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds, for the two tables only. Contracts as in step_run.h. */
#ifndef FAULTD_STEPS_KINDS_H
#define FAULTD_STEPS_KINDS_H

#include "steps/step_run.h"
#include "steps/worker.h"

/* The error of a network step: "cannot WHAT eth0: why". Returns r. */
int hook_cannot(struct error *e, int r, const char *what, const struct step_hook *hook);

/* The note of a step whose namespace is gone. */
void step_note_gone(const struct step *s, struct text *note);

int child_apply(struct step *s, const struct step_env *env, struct error *e);
int child_undo(struct step *s, const struct step_env *env, struct text *note);
int child_undo_alone(struct step *s, struct text *note);

int bpf_link_apply(struct step *s, const struct step_env *env, struct error *e);
int bpf_link_undo(struct step *s, const struct step_env *env, struct text *note);

int qdisc_prepare(struct step *s, const struct step_env *env, struct error *e);
int qdisc_apply(struct step *s, const struct step_env *env, struct error *e);
int qdisc_undo(struct step *s, const struct step_env *env, struct text *note);
int qdisc_undo_alone(struct step *s, struct text *note);

int filter_prepare(struct step *s, const struct step_env *env, struct error *e);
int filter_apply(struct step *s, const struct step_env *env, struct error *e);
int filter_undo(struct step *s, const struct step_env *env, struct text *note);
int filter_undo_alone(struct step *s, struct text *note);

int shaper_prepare(struct step *s, const struct step_env *env, struct error *e);
int shaper_apply(struct step *s, const struct step_env *env, struct error *e);
bool shaper_prepare_update(struct step *s, const struct step *fresh);
int shaper_update(struct step *s, const struct step_env *env, struct error *e);
int shaper_undo(struct step *s, const struct step_env *env, struct text *note);
int shaper_undo_alone(struct step *s, struct text *note);
/* shaper_read(), inside its namespace. */
bool shaper_read_here(const struct step *s, struct shaper_counters *ret);

int rule_apply(struct step *s, const struct step_env *env, struct error *e);
bool rule_prepare_update(struct step *s, const struct step *fresh);
int rule_update(struct step *s, const struct step_env *env, struct error *e);
int rule_undo(struct step *s, const struct step_env *env, struct text *note);

int signal_prepare(struct step *s, const struct step_env *env, struct error *e);
int signal_apply(struct step *s, const struct step_env *env, struct error *e);
int signal_undo(struct step *s, const struct step_env *env, struct text *note);
int signal_undo_alone(struct step *s, struct text *note);

int kill_apply(struct step *s, const struct step_env *env, struct error *e);

int child_settle(struct step *s, const struct step_env *env, struct error *e);

int attr_prepare(struct step *s, const struct step_env *env, struct error *e);
int attr_apply(struct step *s, const struct step_env *env, struct error *e);
int attr_settle(struct step *s, const struct step_env *env, struct error *e);
bool attr_prepare_update(struct step *s, const struct step *fresh);
int attr_undo_alone(struct step *s, struct text *note);

int cgroup_prepare(struct step *s, const struct step_env *env, struct error *e);
int cgroup_apply(struct step *s, const struct step_env *env, struct error *e);
int cgroup_undo(struct step *s, const struct step_env *env, struct text *note);
int cgroup_undo_alone(struct step *s, struct text *note);
/* Kills and removes; waits, at most so long. Returns 0, -EINPROGRESS or another errno. */
int cgroup_remove(const struct step *s, int wait_ms);

int unit_prepare(struct step *s, const struct step_env *env, struct error *e);
int unit_apply(struct step *s, const struct step_env *env, struct error *e);
int unit_settle(struct step *s, const struct step_env *env, struct error *e);
int unit_undo(struct step *s, const struct step_env *env, struct text *note);
int unit_undo_alone(struct step *s, struct text *note);

int freeze_apply(struct step *s, const struct step_env *env, struct error *e);
int freeze_settle(struct step *s, const struct step_env *env, struct error *e);
int freeze_undo(struct step *s, const struct step_env *env, struct text *note);
int freeze_undo_alone(struct step *s, struct text *note);
/* Ends the worker, waiting at most so long, and thaws. Returns 0, -EINPROGRESS or another errno. */
int freeze_thaw(struct step *s, int wait_ms, struct text *note);

int clock_prepare(struct step *s, const struct step_env *env, struct error *e);
int clock_apply(struct step *s, const struct step_env *env, struct error *e);
bool clock_prepare_update(struct step *s, const struct step *fresh);
int clock_undo_alone(struct step *s, struct text *note);

int rlimit_prepare(struct step *s, const struct step_env *env, struct error *e);
int rlimit_apply(struct step *s, const struct step_env *env, struct error *e);
bool rlimit_prepare_update(struct step *s, const struct step *fresh);
int rlimit_update(struct step *s, const struct step_env *env, struct error *e);
int rlimit_undo_alone(struct step *s, struct text *note);

int cut_apply(struct step *s, const struct step_env *env, struct error *e);
int cut_settle(struct step *s, const struct step_env *env, struct error *e);

int keep_apply(struct step *s, const struct step_env *env, struct error *e);
int keep_undo_alone(struct step *s, struct text *note);

int link_prepare(struct step *s, const struct step_env *env, struct error *e);
int link_apply(struct step *s, const struct step_env *env, struct error *e);
int link_undo_alone(struct step *s, struct text *note);
/* Returns 1, 0, -ENODEV or another errno. */
int link_is_up(uint32_t ifindex);
int link_set(uint32_t ifindex, bool up);

int power_apply(struct step *s, const struct step_env *env, struct error *e);

#endif
