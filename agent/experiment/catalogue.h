/* SPDX-License-Identifier: Apache-2.0 */
/* FIS's catalogue as this host has it: which actions there are, what they take, what they aim at.
 * Everything is derived from the actions' own descriptors and their aliases; only what FIS has and
 * no action here carries (the document runner, the alarm's assertion) is a table of its own. */
#ifndef FAULTD_EXPERIMENT_CATALOGUE_H
#define FAULTD_EXPERIMENT_CATALOGUE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actions/action.h"
#include "experiment/problems.h"
#include "experiment/resource.h"

enum fis_action_kind {
	FIS_FAULT,        /* a fault of ours: host:NAME, or an alias of it */
	FIS_SEND_COMMAND, /* aws:ssm:send-command: a fault by the name of a document */
	FIS_WAIT,         /* aws:fis:wait, host:wait: a timer of the experiment's own */
	FIS_ASSERT_ALARM, /* aws:cloudwatch:assert-alarm-state */
};

/* Which target key means which type of resource, "Instances" -> aws:ec2:instance. FIS's actions
 * have one; ours take any of several, none of which need be given. */
struct fis_target_key {
	const char *key;
	const struct resource_type *type;
};

#define FIS_TARGET_KEYS_MAX 12

struct fis_action {
	char id[128]; /* "aws:ecs:task-network-latency", "host:network-latency" */
	const char *description;
	enum fis_action_kind kind;
	const struct action *action; /* of FIS_FAULT, and host:wait's */
	const struct alias *alias;   /* of an action id of FIS's; NULL: our own parameters */
	bool target_required;
	struct fis_target_key keys[FIS_TARGET_KEYS_MAX];
	size_t n_keys;
};

/* Made once, from the registries of actions and of resource types; sorted by id. Returns 0 or
 * -ENOMEM. */
int catalogue_make(void);
void catalogue_free(void);
size_t catalogue_size(void);
const struct fis_action *catalogue_at(size_t i);
const struct fis_action *catalogue_find(const char *id); /* NULL: unknown */

/* An id that FIS has and one host cannot do ("aws:rds:failover-db-cluster"): why not, for the
 * refusal. NULL: nobody knows such an action. */
const char *catalogue_why_not(const char *id);

/* One parameter, as FIS shows it. */
struct fis_parameter {
	const char *name;
	const char *description;
	bool required; /* whatever the target is */
};
#define FIS_PARAMETERS_MAX (ACTION_ROWS_MAX + 4)

/* Fills what the action takes; returns how many. */
size_t fis_action_parameters(const struct fis_action *a,
			     struct fis_parameter ret[static FIS_PARAMETERS_MAX]);

/* NULL: the action has no such target key. */
const struct resource_type *fis_action_key(const struct fis_action *a, const char *key);

/* Can one fault of it be aimed at several resources of this type, as a list? See resource.h. */
bool fis_action_takes_list(const struct fis_action *a, const struct resource_type *type);

#define FIS_ALARMS_MAX 5

/* What an action of a template comes to: the request for a fault, but for what the target adds. */
struct fis_call {
	char action[ACTION_NAME_MAX]; /* of faults_request(): an action or alias name */
	cJSON *parameters;            /* owned */
	uint64_t fault_ms;            /* how long the fault is held; 0: it has no duration */
	uint64_t action_ms;           /* how long the action lasts; 0: until the fault is over */
	unsigned max_errors_percent;  /* of EKS: so many faults may fail before the action does */

	/* Of FIS_ASSERT_ALARM: these alarms have to be in one of these states */
	char *alarms_text; /* owned; alarms point into it */
	const char *alarms[FIS_ALARMS_MAX];
	size_t n_alarms;
	bool fine_ok, fine_alarm, fine_insufficient;
};
void fis_call_done(struct fis_call *c);

/* May an alarm be in this state ("OK", "ALARM", "INSUFFICIENT_DATA")? */
bool fis_call_alarm_is_fine(const struct fis_call *c, const char *state);

/* Reads an action's parameters (an object of strings; NULL: none): names, required ones, values (by
 * the action's own rows), the document and its documentParameters. `target`: the type of what it is
 * aimed at, whose fault_parameter is then neither asked for nor allowed; NULL: no target. All
 * problems are told under `path` ("actions.stress.parameters"). Returns 0 and a call to be released
 * with fis_call_done(), or -EINVAL (problems) or -ENOMEM. For FIS_WAIT only action_ms is filled.
 * Values that only a look at the host can refuse are not refused here. */
int fis_call_parse(const struct fis_action *a, const struct resource_type *target,
		   const cJSON *parameters, const char *path, struct fis_call *ret,
		   struct problems *problems);

/* "PT5M", "PT1H30M" -> milliseconds; `ours`: also "30s" and "500ms". Returns 0, -EINVAL (the form)
 * or -ERANGE (more than a year). Pure. */
int fis_duration(const char *text, bool ours, uint64_t *ret_ms);

/* FIS's Action and ActionSummary. NULL: out of memory. */
struct identity;
cJSON *catalogue_print(const struct fis_action *a, const struct identity *id);
cJSON *catalogue_print_summary(const struct fis_action *a, const struct identity *id);

#endif
