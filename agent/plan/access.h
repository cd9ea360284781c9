/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what: statements as IAM has them, for callers ("policy") and for the roles that
 * experiments run with ("roles"); and the keys of those who sign their requests ("accessKeys").
 * Pure: names are looked up by whoever reads the configuration.
 *
 *   "policy": {"Statement": [{"Effect": "Allow", "Principal": ["group:sre", "key:AKIA…"],
 *              "Action": ["fis:StartExperiment", "fis:Get*", "fis:List*"], "Resource": ["*"],
 *              "Condition": {"StringEquals": {"aws:ResourceTag/Purpose": "Test"}}}]},
 *   "roles": {"arn:aws:iam::000000000000:role/stress": {"Statement": [{"Effect": "Allow",
 *              "Action": ["host:cpu-stress", "aws:ssm:send-command"], "Resource": ["*"],
 *              "Condition": {"NumericLessThanEquals": {"fis:Parameter/percent": "80"}}}]}},
 *   "accessKeys": [{"accessKeyId": "AKIA…", "secretAccessKey": "…"}]
 *
 * An explicit Deny wins, then an Allow; nothing said is no. Without "policy", root, faultd's own
 * user, the policy's group and every configured key may do all. With it, root and faultd's own user
 * still may: they could change the file. Without "roles" there is one, "arn:PARTITION:iam::ACCOUNT:
 * role/faultd", that may do all; with "roles", only those. */
#ifndef FAULTD_PLAN_ACCESS_H
#define FAULTD_PLAN_ACCESS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/err.h"

struct access;
struct access_role;
struct caller; /* plan/policy.h */

#define ACCESS_KEY_ID_MAX 128

struct access_key {
	char id[ACCESS_KEY_ID_MAX + 1];
	char secret[129];
	char session_token[2049]; /* "": a request that brings one is refused */
};

/* How names become numbers; NULL members: no name is known. */
struct access_lookup {
	int (*user)(const char *name, uid_t *ret);
	int (*group)(const char *name, gid_t *ret);
};

/* Takes "policy", "roles" and "accessKeys" out of the configuration `json` (NULL: none) and reads
 * them. Returns 0 and what access_free() frees, or a negative errno and the error. */
int access_parse(cJSON *json, const struct access_lookup *lookup, struct access **ret,
		 struct error *e);
void access_free(struct access *a);

/* Does the text carry secrets, so that its file must not be readable by all? */
bool access_has_secrets(const struct access *a);

struct access_value {
	const char *key; /* "fis:Service", "fis:Parameter/percent", "fis:Duration" (seconds) */
	const char *value;
};

struct access_question {
	const char *action;   /* "fis:StartExperiment", "faultd:StartFault", a role's "host:wait" */
	const char *resource; /* an ARN, or "*" */
	const cJSON *resource_tags; /* "aws:ResourceTag/KEY"; an object of strings, or NULL */
	const cJSON *request_tags;  /* "aws:RequestTag/KEY" */
	const struct access_value *values;
	size_t n_values;
};

/* May this caller? Returns 0, or -EACCES and the error, which names the action and the resource. */
int access_check_caller(const struct access *a, const struct caller *c, uid_t daemon_uid,
			const struct access_question *q, struct error *e);

/* Has this caller any business here at all: is there a statement for it? */
bool access_knows_caller(const struct access *a, const struct caller *c, uid_t daemon_uid);

/* NULL: no such role. `builtin`: the ARN of the role that is there when none is configured. */
const struct access_role *access_role_find(const struct access *a, const char *arn,
					   const char *builtin);

/* May an experiment with this role do so? Returns 0, or -EACCES and the error. */
int access_check_role(const struct access_role *r, const struct access_question *q,
		      struct error *e);

const struct access_key *access_key_find(const struct access *a, const char *id); /* or NULL */

#endif
