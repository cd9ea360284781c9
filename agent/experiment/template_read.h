/* SPDX-License-Identifier: Apache-2.0 */
/* How a template's JSON is read: what the files template*.c share. Every function tells what is
 * wrong, and where, and goes on, so that all is told. */
#ifndef FAULTD_EXPERIMENT_TEMPLATE_READ_H
#define FAULTD_EXPERIMENT_TEMPLATE_READ_H

#include "experiment/template.h"

struct reading {
	struct template *t;
	struct problems *problems;
	bool out_of_memory;
	bool targets_cut,
		actions_cut; /* there are more than are read: what is missing may be there */
};

/* An empty object, for what is not given. */
extern const cJSON no_members;

/* A structure: which members there are. */
struct member {
	const char *name;
	bool required;
};

/* Finds them: `ret` has one for each, NULL when it is not there. Unknown and repeated ones are
 * told, with those that are allowed. Returns false when `json` is no object, which is told too. */
bool read_members(struct reading *r, const cJSON *json, const char *path,
		  const struct member *members, size_t n, const cJSON **ret);

/* Are they of this type, and not NULL? */
bool read_object(struct reading *r, const cJSON *json, const char *path);
bool read_array(struct reading *r, const cJSON *json, const char *path);

/* So many characters (as FIS counts), blanks among them or none. NULL: told, or `json` is NULL. */
enum blanks { BLANKS, NO_BLANKS };
const char *read_text(struct reading *r, const cJSON *json, const char *path, size_t least,
		      size_t most, enum blanks blanks);

/* One of these; NULL-terminated. Returns its index, or -1: told. */
int read_choice(struct reading *r, const cJSON *json, const char *path, const char *const *values);

/* A name of a target or an action: tells, when it is none. */
bool check_name(struct reading *r, const char *name, const char *path);

/* An object of tags. `own`: they are given, not looked for, so that AWS's prefix is refused. */
void read_tags(struct reading *r, const cJSON *json, const char *path, bool own);

/* template_targets.c, template_actions.c, template_options.c: the parts. `json` may be NULL. */
void read_targets(struct reading *r, const cJSON *json);
void read_actions(struct reading *r, const cJSON *json);
void read_conditions(struct reading *r, const cJSON *json);
void read_role(struct reading *r, const cJSON *json);
void read_logs(struct reading *r, const cJSON *json);
void read_options(struct reading *r, const cJSON *json);

#endif
