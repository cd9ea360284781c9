/* SPDX-License-Identifier: Apache-2.0 */
/* One experiment: a template's snapshot, its targets as they were resolved, its actions and how
 * they stand. Belongs to a struct experiments (experiments.h); everyone else reads. */
#ifndef FAULTD_EXPERIMENT_EXPERIMENT_H
#define FAULTD_EXPERIMENT_EXPERIMENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <time.h>

#include "experiment/resource.h"
#include "experiment/schedule.h"
#include "experiment/template.h"
#include "fault/faults.h"

#define REASON_MAX 513 /* FIS: at most 512 */

/* Why it failed, for programs: FIS's ExperimentError. */
struct experiment_error {
	char code[32]; /* "AuthorizationFailure", "InvalidTarget", "ConfigurationFailure" … or "" */
	char location[160];
};

/* One fault of an action, by id: faults are the owner of struct fault. */
struct experiment_fault {
	struct experiment_fault *next;
	char id[FAULT_ID_MAX];
	bool over;
};

struct experiment_action {
	enum run_status status; /* schedule.h */
	char reason[REASON_MAX];
	struct timespec started_at, ended_at; /* zero: not yet */
	struct experiment_fault *faults;
	/* The rest is experiment/run.c's */
	struct action_run *run;
};

struct experiment_target {
	struct resource_list resources;
	bool resolved;
};

struct experiment {
	struct experiment *next;
	struct experiments *owner;
	char id[TEMPLATE_ID_MAX];
	struct template *template; /* the snapshot: a reference */
	char *client_token;
	struct caller caller;
	bool skip_all;
	cJSON *tags; /* an object of strings, never NULL */
	uint64_t seed;
	uint64_t tags_asked; /* hash of the request's tags, to tell the same one from another */

	enum run_status status;
	char reason[REASON_MAX];
	struct experiment_error error;
	struct timespec created_at, started_at, ended_at;
	struct experiment_action actions[TEMPLATE_ACTIONS_MAX];
	struct experiment_target targets[TEMPLATE_TARGETS_MAX];
	struct experiment_watch *watch; /* its stop conditions; experiment/watch.c's */
	struct experiment_life *life;   /* experiment/life.c's */
};

bool experiment_is_over(const struct experiment *x);

/* FIS's Experiment and ExperimentSummary. NULL: out of memory. */
struct identity;
cJSON *experiment_print(const struct experiment *x, const struct identity *id);
cJSON *experiment_print_summary(const struct experiment *x, const struct identity *id);

/* All of FIS's ResolvedTarget, an array; `target_name` NULL: of every target. */
cJSON *experiment_print_targets(const struct experiment *x, const char *target_name);

/* For the store: {"experiment": FIS's Experiment, "resolvedTargets": […], "clientToken": …,
 * "faults": {ACTION: [ids…]}}. */
cJSON *experiment_save(const struct experiment *x, const struct identity *id);

#endif
