/* SPDX-License-Identifier: Apache-2.0 */
/* Statements stay the trees they were read as: once they are checked whole, evaluating them is a
 * walk. Names of users and groups have become numbers by then. */
#include "plan/access.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/access_condition.h"
#include "plan/access_statement.h"
#include "plan/policy.h"
#include "util/cleanup.h"

#define ROLES_MAX    64
#define KEYS_MAX     64
#define ROLE_ARN_MIN 20
#define ROLE_ARN_MAX 2048

struct access_role {
	const char *arn;     /* points into access.roles */
	const cJSON *policy; /* as well; NULL: the role may do all */
};

struct access {
	cJSON *policy; /* of callers; NULL: none is configured */
	cJSON *roles;  /* NULL: none are configured */
	struct access_role *role;
	size_t n_roles;
	struct access_key *key;
	size_t n_keys;
};

/* Nothing of a secret is quoted in an error. */
static int take_key_text(const cJSON *o, const char *name, size_t least, size_t room, char *to,
			 const char *path, struct error *e)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
	char inner[ACCESS_PATH_MAX], allowed[64];
	size_t n = cJSON_IsString(v) ? strlen(v->valuestring) : 0;

	if (!v && least == 0)
		return 0;
	(void)access_path(path, name, inner);
	(void)snprintf(allowed, sizeof(allowed), "a text of %zu to %zu characters",
		       least ? least : 1, room - 1);
	if (n < (least ? least : 1) || n >= room)
		return error_field(e, inner, "", allowed,
				   v ? "not a text of such a length" : "required and not given");
	for (const char *c = v->valuestring; *c; c++) {
		if (!isgraph((unsigned char)*c))
			return error_field(e, inner, "", "printable ASCII without blanks",
					   "has other characters");
	}
	memcpy(to, v->valuestring, n + 1);
	return 0;
}

static int take_key(const cJSON *o, const char *path, struct access *a, struct error *e)
{
	static const char *const members[] = {"accessKeyId", "secretAccessKey", "sessionToken",
					      NULL};
	struct access_key *k = &a->key[a->n_keys];
	int r = access_check_members(o, members, path, e);

	if (r == 0)
		r = take_key_text(o, "accessKeyId", 3, sizeof(k->id), k->id, path, e);
	if (r == 0)
		r = take_key_text(o, "secretAccessKey", 16, sizeof(k->secret), k->secret, path, e);
	if (r == 0)
		r = take_key_text(o, "sessionToken", 0, sizeof(k->session_token), k->session_token,
				  path, e);
	if (r == 0 && (k->id[strcspn(k->id, "/,=*?")] || access_key_find(a, k->id)))
		r = error_field(e, path, k->id, "each id once, and without / , = * ?",
				"%s is no new id", k->id);
	if (r == 0)
		a->n_keys++;
	return r;
}

static int take_keys(const cJSON *keys, struct access *a, struct error *e)
{
	char path[32];
	int n = cJSON_GetArraySize(keys), i = 0, r = 0;

	if (!keys)
		return 0;
	if (!cJSON_IsArray(keys) || n > KEYS_MAX)
		return error_field(e, "accessKeys", "", "an array of at most 64 keys",
				   "not such an array");
	a->key = calloc((size_t)n + 1, sizeof(*a->key));
	if (!a->key)
		return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	for (const cJSON *o = keys->child; o && r == 0; o = o->next) {
		(void)snprintf(path, sizeof(path), "accessKeys[%d]", i++);
		r = take_key(o, path, a, e);
	}
	return r;
}

static int take_role(const cJSON *role, struct access *a, const struct access_reading *in)
{
	size_t n = strlen(role->string);
	char path[ACCESS_PATH_MAX];

	(void)access_path("roles", role->string, path);
	if (n < ROLE_ARN_MIN || n > ROLE_ARN_MAX || !str_starts(role->string, "arn:") ||
	    !strstr(role->string, ":role/"))
		return error_field(in->e, path, role->string,
				   "such as arn:aws:iam::000000000000:role/NAME",
				   "not the ARN of a role");
	a->role[a->n_roles++] = (struct access_role){.arn = role->string, .policy = role};
	return access_policy_check(role, path, in);
}

static int take_roles(const cJSON *roles, struct access *a, const struct access_reading *in)
{
	int r = access_check_members(roles, NULL, "roles", in->e);

	if (r == 0 && cJSON_GetArraySize(roles) > ROLES_MAX)
		r = error_field(in->e, "roles", "", "64 roles", "there are more");
	a->role = calloc(ROLES_MAX, sizeof(*a->role));
	if (!a->role)
		return error_set(in->e, ERROR_FAILED, -ENOMEM, "out of memory");
	for (const cJSON *role = r == 0 ? roles->child : NULL; role && r == 0; role = role->next)
		r = take_role(role, a, in);
	return r;
}

/* Takes a member out of the configuration; one that is there twice is refused. */
static int detach(cJSON *json, const char *name, cJSON **ret, struct error *e)
{
	*ret = cJSON_DetachItemFromObjectCaseSensitive(json, name);
	return cJSON_GetObjectItemCaseSensitive(json, name)
		       ? error_field(e, name, "", "each field once", "given twice")
		       : 0;
}

static int read_all(cJSON *json, const struct access_lookup *lookup, struct access *a,
		    struct error *e)
{
	struct access_reading in = {.lookup = lookup, .access = a, .e = e};
	cJSON *keys = NULL;
	int r = detach(json, "accessKeys", &keys, e);

	if (r == 0)
		r = take_keys(keys, a, e);
	cJSON_Delete(keys);
	if (r == 0)
		r = detach(json, "policy", &a->policy, e);
	if (r == 0)
		r = detach(json, "roles", &a->roles, e);
	in.callers = true;
	if (r == 0 && a->policy)
		r = access_policy_check(a->policy, "policy", &in);
	in.callers = false;
	return r == 0 && a->roles ? take_roles(a->roles, a, &in) : r;
}

int access_parse(cJSON *json, const struct access_lookup *lookup, struct access **ret,
		 struct error *e)
{
	struct access *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	r = json ? read_all(json, lookup, a, e) : 0;
	if (r < 0)
		access_free(a);
	else
		*ret = a;
	return r;
}

void access_free(struct access *a)
{
	if (!a)
		return;
	if (a->key)
		explicit_bzero(a->key, a->n_keys * sizeof(*a->key));
	free(a->key);
	free(a->role);
	cJSON_Delete(a->policy);
	cJSON_Delete(a->roles);
	free(a);
}

bool access_has_secrets(const struct access *a)
{
	return a && a->n_keys > 0;
}

/* They could change the file. Who signs is known by the key alone. */
static bool is_master(const struct caller *c, uid_t daemon_uid)
{
	return !c->key[0] && (c->uid == 0 || c->uid == daemon_uid);
}

static bool is_member(const struct access *a, const struct caller *c)
{
	return c->key[0] ? access_key_find(a, c->key) != NULL : c->in_group;
}

bool access_knows_caller(const struct access *a, const struct caller *c, uid_t daemon_uid)
{
	if (is_master(c, daemon_uid))
		return true;
	return a && a->policy ? access_policy_knows(a->policy, c) : is_member(a, c);
}

static int deny(const char *who, const struct access_question *q, enum access_verdict v,
		struct error *e)
{
	return error_set(e, ERROR_DENIED, -EACCES,
			 "%.140s is not authorized to perform: %s on "
			 "resource: %.200s because %s",
			 who, q->action, q->resource,
			 v == ACCESS_DENIED ? "a statement denies it" : "no statement allows it");
}

int access_check_caller(const struct access *a, const struct caller *c, uid_t daemon_uid,
			const struct access_question *q, struct error *e)
{
	enum access_verdict v = ACCESS_UNSAID;
	char who[160];

	if (is_master(c, daemon_uid))
		return 0;
	if (a && a->policy)
		v = access_policy_decide(a->policy, q, c);
	else if (is_member(a, c))
		v = ACCESS_ALLOWED;
	if (v == ACCESS_ALLOWED)
		return 0;
	if (c->key[0])
		(void)snprintf(who, sizeof(who), "key %s", c->key);
	else
		(void)snprintf(who, sizeof(who), "uid %u", (unsigned)c->uid);
	return deny(who, q, v, e);
}

const struct access_role *access_role_find(const struct access *a, const char *arn,
					   const char *builtin)
{
	static const struct access_role everything;

	if (!a || !a->roles)
		return str_eq(arn, builtin) ? &everything : NULL;
	for (size_t i = 0; i < a->n_roles; i++) {
		if (str_eq(a->role[i].arn, arn))
			return &a->role[i];
	}
	return NULL;
}

int access_check_role(const struct access_role *r, const struct access_question *q, struct error *e)
{
	enum access_verdict v =
		r->policy ? access_policy_decide(r->policy, q, NULL) : ACCESS_ALLOWED;

	return v == ACCESS_ALLOWED ? 0 : deny(r->arn, q, v, e);
}

const struct access_key *access_key_find(const struct access *a, const char *id)
{
	for (size_t i = 0; a && i < a->n_keys; i++) {
		if (str_eq(a->key[i].id, id))
			return &a->key[i];
	}
	return NULL;
}
