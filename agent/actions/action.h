/* SPDX-License-Identifier: Apache-2.0 */
/* What an action is: one const descriptor at the bottom of its own file, and its name in
 * actions/meson.build. Help, catalogue, JSON Schema and validation come from the rows; doing and
 * undoing from the plan. */
#ifndef FAULTD_ACTIONS_ACTION_H
#define FAULTD_ACTIONS_ACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/cpus.h"
#include "host/interfaces.h"
#include "host/processes.h"
#include "plan/plan.h"
#include "plan/policy.h"
#include "plan/schema.h"
#include "util/err.h"

/* What an action's `look` found on the host, and all that its `plan` may know beside parameters:
 * the same parameters and facts give the same plan. */
struct facts {
	/* Given by the caller of look() */
	const struct policy *policy;
	pid_t caller_pid;
	pid_t own_pids[2];         /* faultd and its guardian; 0: none */
	uint64_t seed;             /* of every random choice */
	const struct plan *so_far; /* `again`: the steps the fault has; NULL at its start */
	uint64_t since_ticks;      /* `again`: the fault's start, in clock ticks since boot */

	/* Found */
	struct process_list processes;
	uid_t user; /* of the selection, when one is named */
	struct cpu_list cpus;
	struct interface interfaces[INTERFACES_MAX];
	size_t n_interfaces;
	struct classify_flow flows[FLOWS_MAX]; /* connections of the caller's SSH session */
	size_t n_flows;
	bool tcx;
};

void facts_done(struct facts *f);

/* How another dialect names a parameter. */
struct alias_row {
	const char *name; /* there; NULL ends the table */
	const char
		*row; /* here; "duration": seconds as text; "": accepted, there is nothing to do */
	const char *def; /* their default, or NULL for ours */
	bool required;
	const char *from, *to; /* one value that is said differently; `to` NULL: as if not given */
};

struct alias {
	const char *name; /* a FIS action id or SSM document name; NULL ends the table */
	const struct alias_row *rows;
};

enum duration_need {
	DURATION_REQUIRED,
	DURATION_OPTIONAL, /* done when its results are in; a duration is needed with `interval`
			      only */
};

struct action {
	const char *name;
	const char *summary;     /* one line */
	const char *description; /* what the victim sees, what is changed, how it is put back */
	enum hold hold;
	enum duration_need duration;
	const struct row *rows;
	size_t n_rows;
	size_t params_size;
	const struct alias *aliases; /* may be NULL */

	/* Reads the host, changes nothing; refuses what rows cannot say. Returns 0 or a negative
	 * errno. */
	int (*look)(const void *params, struct facts *facts, struct error *e);
	/* Appends steps. Pure. Returns 0 or a negative errno. */
	int (*plan)(const void *params, const struct facts *facts, struct plan *plan,
		    struct error *e);
	/* One line for people, without a full stop. */
	void (*describe)(const void *params, struct text *t);
	/* Milliseconds after which look() and plan() are asked again, for steps that are new by
	 * then; 0: never. May be NULL. */
	uint64_t (*interval_ms)(const void *params);
};

/* Kinds of hold that cannot be undone need consent. */
static inline bool action_is_irreversible(const struct action *a)
{
	return a->hold == HOLD_NONE;
}

extern const struct action *const actions[];
extern const size_t n_actions;

/* By name or alias; `ret_alias` is NULL for the action's own name. NULL: unknown. */
const struct action *action_find(const char *name, const struct alias **ret_alias);

/* Reads the parameters (JSON object) into `ret` (params_size bytes), through an alias if not NULL.
 * `ret_duration_ms` is set when the alias carries the duration in a parameter. */
int action_parse(const struct action *a, const struct alias *alias, const cJSON *parameters,
		 void *ret, uint64_t *ret_duration_ms, struct error *e);

/* The catalogue entry; `full` adds description and JSON Schema. NULL: out of memory. */
cJSON *action_print(const struct action *a, bool full);

#endif
