/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of fault/ share among themselves. */
#ifndef FAULTD_FAULT_INTERNAL_H
#define FAULTD_FAULT_INTERNAL_H

#include "fault/faults.h"
#include "fault/guardian_link.h"
#include "steps/step_run.h"

#define RESULT_WAIT_MS 5000 /* how long an action without a duration waits for its results */

struct faults {
	uv_loop_t *loop;
	const struct policy *policy;
	const char *runtime_dir, *state_dir;
	struct step_env env; /* the deadline is set for each use */
	int dirfd;
	int lock_fd;
	char boot_id[40];
	uint64_t self_start;
	uint64_t next_number;
	uint32_t shaper_base; /* high 16 bits, by chance: two faultds on one host */
	uint32_t shapers;
	struct guardian_link *guardian;
	bool guardian_is_silent; /* it left the last request unanswered */
	int alarm_fd;
	uv_poll_t alarm;
	struct fault *first;
	struct fault_listener *listeners;
	bool closing;
	char blocked[480]; /* why no fault may begin; "": they may */
};

/* A process whose end somebody waits for: a worker of ours, or the victim of a signal. */
struct watch {
	uv_poll_t poll;
	struct watch *next;
	struct fault *fault;
	size_t step;
	int pidfd;
};

/* begin.c: what look() and plan() are given */
struct facts fault_facts(const struct fault *f);
struct fault *fault_with_token(struct faults *all, const char *token); /* NULL: none */

/* life.c */
void fault_set_state(struct fault *f, enum fault_state state, const char *what);
struct step_env fault_env(const struct fault *f);
void fault_apply(struct fault *f);
void fault_begin(struct fault *f);  /* its delay is over */
void fault_settle(struct fault *f); /* asks again */
int fault_apply_step(struct fault *f, size_t i, struct error *e);
int fault_apply_from(struct fault *f, size_t first, struct error *e);
void fault_set_interval(struct fault *f);
void fault_fail(struct fault *f, const struct error *e);

/* again.c */
void fault_look_again(struct fault *f);
void fault_regrade(struct fault *f);
int fault_plan_anew(struct fault *f,
		    struct error *e); /* and writes what differs, unless it is off */
void fault_note_once(struct fault *f, const char *text);
void fault_set_grade(struct fault *f, struct grade_point *ret); /* value now, and when it changes */

/* undo.c */
void fault_undo(struct fault *f);
void fault_undo_on(struct fault *f); /* goes on with what is in progress */
int fault_release(struct fault *f);  /* what ends at once; 0, or a negative errno: tried again */
/* All steps, while the fault stays active. Returns 0, -EINPROGRESS (ask again soon), or another
 * errno. */
int fault_undo_steps(struct fault *f);
#define UNDO_PAUSE_MS 5 /* until an undo that takes its time is asked again */

/* resolve.c */
struct resolving *resolve_start(struct faults *all, struct resolved *resolved, resolve_fn done,
				void *arg); /* NULL: out of memory */
void fault_set_resolve(struct fault *f);
void fault_resolve_again(struct fault *f);
void fault_stop_resolving(struct fault *f);

/* alarm.c: one timer for all */
int alarm_start(struct faults *all);
void alarm_set(struct faults *all); /* after anything that changes when something is due */

/* watch.c */
void watch_step(struct fault *f, size_t step);
void watch_stop(struct fault *f);

/* faults.c */
void faults_after_end(struct fault *f); /* one is over: with the last, the guardian may idle */
void faults_trim(struct faults *all);   /* forgets the oldest of too many finished ones */

#endif
