/* SPDX-License-Identifier: Apache-2.0 */
/* An experiment template: JSON as FIS has it -> struct, checked whole; and back. Pure but for the
 * catalogue it asks. Sources: fis.md is FIS's API model 2020-12-01. */
#ifndef FAULTD_EXPERIMENT_TEMPLATE_H
#define FAULTD_EXPERIMENT_TEMPLATE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "experiment/catalogue.h"
#include "experiment/problems.h"
#include "util/err.h"

/* FIS's quotas and bounds; see policy.h for those that can be set. */
#define TEMPLATE_ACTIONS_MAX    20
#define TEMPLATE_TARGETS_MAX    20 /* one for each action is all that can be used */
#define TEMPLATE_CONDITIONS_MAX 5
#define TEMPLATE_PARALLEL_MAX   10
#define TEMPLATE_TAGS_MAX       50
#define TEMPLATE_ID_MAX         32
#define TEMPLATE_NAME_MAX       64
#define TEMPLATE_DURATION_MAX_S (12 * 3600)

enum empty_resolution { EMPTY_RESOLUTION_FAIL, EMPTY_RESOLUTION_SKIP };

/* "ALL", "COUNT(3)", "PERCENT(50)": PERCENT is rounded down, so that it may choose none. */
enum selection_kind { SELECT_ALL, SELECT_COUNT, SELECT_PERCENT };

struct template_filter {
	const char *path; /* "State.Name" */
	const char **values;
	size_t n_values;
};

/* Strings point into the template's own JSON. */
struct template_target {
	const char *name;
	const struct resource_type *type;
	const char *arns[5];
	size_t n_arns;
	const cJSON *tags; /* an object of strings; NULL: none */
	struct template_filter *filters;
	size_t n_filters;
	const cJSON *parameters; /* an object of strings, never NULL */
	enum selection_kind selection;
	unsigned selection_n;
};

struct template_action {
	const char *name;
	const struct fis_action *kind;
	const cJSON *parameters;            /* an object of strings, never NULL */
	const char *target_key;             /* "Instances"; NULL: it has no target */
	int target;                         /* index; -1: none */
	size_t after[TEMPLATE_ACTIONS_MAX]; /* indices of the actions it starts after */
	size_t n_after;
	uint64_t duration_ms; /* as FIS means it: how long the action lasts; 0: until it is done */
};

struct template_condition {
	const char *source; /* "none", "aws:cloudwatch:alarm", "host:psi" … */
	const char *value;  /* NULL: none */
};

struct template
{
	char id[TEMPLATE_ID_MAX];
	cJSON *json; /* what was given, and only that: the input members but clientToken; owned */
	cJSON *tags; /* an object of strings; owned, never NULL */
	struct timespec created_at, updated_at;
	char client_token[1025]; /* of its creation */
	char *canonical;         /* the request that created it, keys sorted; owned */
	unsigned references;     /* the collection's, and of experiments that run it */

	const char *description, *role_arn;
	struct template_target targets[TEMPLATE_TARGETS_MAX];
	size_t n_targets;
	struct template_action actions[TEMPLATE_ACTIONS_MAX];
	size_t n_actions;
	struct template_condition conditions[TEMPLATE_CONDITIONS_MAX];
	size_t n_conditions;
	enum empty_resolution empty;
};

/* Checks what CreateExperimentTemplate (or a template file) carries and takes `json` over in any
 * case. Every mistake is told in `problems`, with its path ("actions.stress.parameters.duration").
 * A clientToken is checked when it is there, and not asked for. Returns 0 and a template with one
 * reference, its canonical form, and no id or times yet, or -EINVAL (problems), or -ENOMEM. The
 * catalogue has to be made before. */
int template_parse(cJSON *json, struct template **ret, struct problems *problems);

/* UpdateExperimentTemplate: members of `patch` replace those of the template as wholes, but
 * experimentOptions, of which one can be changed; an empty logConfiguration takes it away, and one
 * without logSchemaVersion has that of before. The result is a new template of the same id, tags,
 * token and times, which the caller changes; the old one is not changed. Takes `patch` over.
 */
int template_patch(const struct template *t, cJSON *patch, struct template **ret,
		   struct problems *problems);

/* What an action is aimed at; NULL: nothing. */
const struct resource_type *template_target_type(const struct template *t,
						 const struct template_action *a);

struct template *template_ref(struct template *t);
void template_unref(struct template *t); /* NULL: nothing */

/* For the store: all of it, and back (checked again: a newer faultd may know less). */
cJSON *template_save(const struct template *t);
int template_load(const cJSON *saved, struct template **ret, struct problems *problems);

/* FIS's ExperimentTemplate and ExperimentTemplateSummary. NULL: out of memory. */
struct identity;
cJSON *template_print(const struct template *t, const struct identity *id);
cJSON *template_print_summary(const struct template *t, const struct identity *id);

/* An object of tags that somebody gives, as FIS bounds them: how many, keys, values, AWS's prefix.
 * Tells what is wrong under `path`. Pure. */
void template_check_tags(const cJSON *tags, const char *path, struct problems *problems);

/* "COUNT(3)" -> kind and number. Returns 0 or -EINVAL. Pure. */
int template_selection(const char *text, enum selection_kind *ret, unsigned *ret_n);

#endif
