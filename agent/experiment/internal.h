/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that drive experiments share among themselves. */
#ifndef FAULTD_EXPERIMENT_INTERNAL_H
#define FAULTD_EXPERIMENT_INTERNAL_H

#include "cloud/cloud.h"
#include "experiment/experiments.h"
#include "experiment/probe.h"
#include "experiment/store.h"

/* Finished ones that stay in memory whole; older ones are read from the store. */
#define FINISHED_KEPT_MAX 32

struct experiments {
	uv_loop_t *loop;
	struct faults *faults;
	const struct policy *policy;
	struct identity identity;
	struct identity fresh; /* of a configuration that was read anew; until metadata answer */
	bool has_fresh;
	struct cloud *cloud;
	struct experiment_log *log;
	struct store *store;
	struct probe_env probe_env;

	struct template **templates; /* oldest first */
	size_t n_templates, templates_room;
	struct template_change *changes; /* on their way to the disk */
	uv_timer_t saving;               /* the disk lost them: again, from here on: */
	size_t next_saved;

	struct experiment *first;       /* live ones and the last finished, newest first */
	struct experiment_line **lines; /* oldest first */
	size_t n_lines, lines_room;

	struct lever lever;
	struct lever_pull *pull; /* under way; NULL */

	struct fault_listener fault_listener;
	struct experiment_listener *listeners;
	uv_timer_t housekeeping;
	double clock_speed; /* 1, but in tests: how much faster experiments' own time goes */
	bool stopping;
};

/* An action while it is under way. */
struct asked_fault;
struct action_run {
	struct experiment *experiment;
	size_t index;
	struct fis_call call;
	uint64_t due_boot_ns;        /* its duration has elapsed; 0: it has none */
	struct asked_fault *asked;   /* faults whose names are being resolved */
	struct alarm_asking *asking; /* FIS_ASSERT_ALARM */
	unsigned n_faults, n_failed; /* that could not be begun, or failed */
	bool ending;
	bool is_over;            /* an assertion has come out */
	uint64_t failed_boot_ns; /* when more had failed than may; 0: not so */
	struct experiment_error error;
	char why[REASON_MAX]; /* the first failure */
};

struct experiment_life {
	uv_timer_t timer;
	struct experiment *experiment; /* NULL: freed when the timer is closed */
	uint64_t due_boot_ns;          /* as long as an experiment may take */
	enum run_status end;           /* what it is on its way to; RUN_PENDING: it goes on */
	bool is_watched;               /* the stop conditions have said how they stand */
	bool is_changed;               /* since it was told to the store */
	bool is_refused;               /* the store did not take it, which was said */
};

/* templates.c */
int templates_load(struct experiments *all, const cJSON *saved);
void templates_save(struct experiments *all); /* all of them, once more: the disk has lost them */
void templates_free(struct experiments *all);

/* lines.c: what lists show of every experiment that is kept */
struct line_of {
	const char *id, *template_id, *token;
	int64_t created_us;
};
int line_add(struct experiments *all, const struct line_of *of, cJSON *summary); /* taken over */
struct experiment_line *line_find(struct experiments *all, const char *id);      /* or NULL */
void lines_trim(struct experiments *all, size_t most, int64_t before_us);
void lines_free(struct experiments *all);

/* begin.c */
void forget_finished(struct experiments *all);

/* experiment.c */
void experiment_free(struct experiment *x);
int64_t timespec_us(const struct timespec *t);

/* life.c */
int life_start(struct experiment *x); /* it goes on when the loop turns */
void life_kick(struct experiment *x); /* something has changed */
void life_end(struct experiment *x, enum run_status end, const char *code, const char *location,
	      const char *reason);
void life_free(struct experiment *x);
bool experiment_holds_faults(const struct experiment *x); /* that are not undone */
/* One setter for each: tells the store and the listeners. */
/* Some time after: once a turn, however much has changed in it. */
void experiment_changed(struct experiment *x);
void life_save(struct experiment *x);
void experiment_set_status(struct experiment *x, enum run_status status, const char *reason);
void action_set_status(struct experiment *x, size_t i, enum run_status status, const char *reason);

/* resolve.c: the targets, once, before anything else. Returns 0, or a negative errno; then it has
 * ended. */
int life_find_role(struct experiment *x);
int life_resolve(struct experiment *x);
int life_check_role(struct experiment *x);

/* run.c: one action */
void run_start(struct experiment *x, size_t i);
void run_turn(struct experiment *x, size_t i); /* looks at how it stands */
void run_stop(struct experiment *x, size_t i, const char *reason);
void run_free(struct experiment *x, size_t i);
void run_on_fault(struct experiments *all, const struct fault *f);

/* watch.c: the stop conditions */
int watch_conditions(struct experiment *x, struct error *e);
void watch_conditions_stop(struct experiment *x);

/* record.c: what is logged of an experiment */
void record_experiment_start(struct experiment *x);
void record_experiment_end(struct experiment *x);
void record_resolution_start(struct experiment *x, size_t target);
void record_resolution_end(struct experiment *x, size_t target, const struct error *e);
void record_action_start(struct experiment *x, size_t i);
void record_action_end(struct experiment *x, size_t i);
/* Of one that ran when faultd ended: of an action, as it is saved, and of all of it. */
void record_interrupted_action(struct experiments *all, const char *id, const cJSON *action,
			       const cJSON *configuration);
void record_interrupted(struct experiments *all, const char *id, const char *reason,
			const cJSON *configuration);

/* lever.c */
void lever_load(struct experiments *all, const cJSON *saved);
/* Nobody can tell whether it was engaged: then it is, until somebody disengages it. */
void lever_unknown(struct experiments *all, const char *why);
void lever_save(struct experiments *all); /* once more: the disk has lost it */
void lever_turn(struct experiments *all); /* something has ended */
void lever_free(struct experiments *all);

#endif
