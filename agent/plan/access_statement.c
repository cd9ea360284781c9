/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/access_statement.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plan/access_condition.h"
#include "plan/policy.h"

#define STATEMENTS_MAX 256

/* All that callers can be asked about. */
static const char *const caller_actions[] = {
	"fis:CreateExperimentTemplate",
	"fis:GetExperimentTemplate",
	"fis:ListExperimentTemplates",
	"fis:UpdateExperimentTemplate",
	"fis:DeleteExperimentTemplate",
	"fis:StartExperiment",
	"fis:StopExperiment",
	"fis:GetExperiment",
	"fis:ListExperiments",
	"fis:ListExperimentResolvedTargets",
	"fis:ListActions",
	"fis:GetAction",
	"fis:ListTargetResourceTypes",
	"fis:GetTargetResourceType",
	"fis:GetSafetyLever",
	"fis:UpdateSafetyLeverState",
	"fis:TagResource",
	"fis:UntagResource",
	"fis:ListTagsForResource",
	"fis:CreateTargetAccountConfiguration",
	"fis:GetTargetAccountConfiguration",
	"fis:UpdateTargetAccountConfiguration",
	"fis:DeleteTargetAccountConfiguration",
	"fis:ListTargetAccountConfigurations",
	"fis:GetExperimentTargetAccountConfiguration",
	"fis:ListExperimentTargetAccountConfigurations",
	"iam:PassRole",
	"faultd:StartFault",
	"faultd:StopFault",
	"faultd:Recover",
	"faultd:Read",
};

typedef int (*each_text_fn)(cJSON *item, const char *path, const struct access_reading *in);

/* A member that is a text or an array of texts, one at least. */
static int each_text(cJSON *value, const char *path, each_text_fn each,
		     const struct access_reading *in)
{
	cJSON *item = value && cJSON_IsArray(value) ? value->child : value;
	int r = 0;

	if (!item)
		return error_field(in->e, path, "", "a text, or an array of texts",
				   "required and not given");
	for (; item && r == 0; item = cJSON_IsArray(value) ? item->next : NULL) {
		if (!cJSON_IsString(item) || !item->valuestring[0])
			r = error_field(in->e, path, "", "a text, or an array of texts",
					"not a text");
		else if (strstr(item->valuestring, "${"))
			r = error_field(in->e, path, item->valuestring, "a text without ${…}",
					"has a policy variable");
		else
			r = each(item, path, in);
	}
	return r;
}

#define PRINCIPALS "*, user:NAME, uid:N, group:NAME, gid:N, key:ID"

static int become_number(cJSON *item, const char *kind, uint32_t number,
			 const struct access_reading *in)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%s:%u", kind, (unsigned)number);
	return cJSON_SetValuestring(item, text)
		       ? 0
		       : error_set(in->e, ERROR_FAILED, -ENOMEM, "out of memory");
}

static int check_number(const char *text, const char *whole, const char *path, struct error *e)
{
	uint64_t n;

	if (str_to_u64(text, &n) == 0 && n < UINT32_MAX)
		return 0;
	return error_field(e, path, whole, PRINCIPALS, "%s has no number", whole);
}

/* Whom a statement is about must be there: a deny for a name that is misspelt protects nothing. */
static int check_principal(cJSON *item, const char *path, const struct access_reading *in)
{
	const char *s = item->valuestring;
	const struct access_lookup *l = in->lookup;
	uid_t uid = 0;
	gid_t gid = 0;

	if (str_eq(s, "*"))
		return 0;
	if (str_starts(s, "uid:") || str_starts(s, "gid:"))
		return check_number(s + 4, s, path, in->e);
	if (str_starts(s, "key:"))
		return access_key_find(in->access, s + 4)
			       ? 0
			       : error_field(in->e, path, s, "a key of accessKeys",
					     "%s is no key of accessKeys", s);
	if (str_starts(s, "user:"))
		return l && l->user && l->user(s + 5, &uid) == 0
			       ? become_number(item, "uid", uid, in)
			       : error_field(in->e, path, s, "a user of this host",
					     "%s is not known here", s);
	if (str_starts(s, "group:"))
		return l && l->group && l->group(s + 6, &gid) == 0
			       ? become_number(item, "gid", gid, in)
			       : error_field(in->e, path, s, "a group of this host",
					     "%s is not known here", s);
	return error_field(in->e, path, s, PRINCIPALS, "%s is no principal", s);
}

static int check_action(cJSON *item, const char *path, const struct access_reading *in)
{
	const char *s = item->valuestring;

	if (!in->callers)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(caller_actions); i++) {
		if (access_pattern_fits(s, caller_actions[i], true))
			return 0;
	}
	return error_field(
		in->e, path, s,
		"fis:OPERATION, iam:PassRole, faultd:StartFault, StopFault, Recover, Read",
		"%s fits no action", s);
}

/* Any text may be an ARN's pattern. */
static int check_resource(cJSON *item, const char *path, const struct access_reading *in)
{
	return 0;
}

/* NAME or NotNAME: one of the two. */
static int check_either(const cJSON *s, const char *name, const char *not_name, const char *path,
			each_text_fn each, const struct access_reading *in)
{
	cJSON *plain = cJSON_GetObjectItemCaseSensitive(s, name);
	cJSON *negated = cJSON_GetObjectItemCaseSensitive(s, not_name);
	char inner[ACCESS_PATH_MAX];

	(void)access_path(path, negated ? not_name : name, inner);
	if (plain && negated)
		return error_field(in->e, inner, "", "one of them", "%s is given as well", name);
	return each_text(plain ? plain : negated, inner, each, in);
}

static int check_text_member(const cJSON *o, const char *name, const char *const *values,
			     bool required, const char *path, struct error *e)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
	const char *text = v && cJSON_IsString(v) ? v->valuestring : "";
	char inner[ACCESS_PATH_MAX], all[96];
	struct text t = TEXT(all);

	(void)access_path(path, name, inner);
	if (!v && !required)
		return 0;
	for (size_t i = 0; values[i]; i++) {
		if (str_eq(text, values[i]))
			return 0;
		text_add(&t, "%s%s", i ? " or " : "", values[i]);
	}
	return error_field(e, inner, text, all, v ? "not one of them" : "required and not given");
}

static int check_statement(const cJSON *s, const char *path, const struct access_reading *in)
{
	static const char *const effects[] = {"Allow", "Deny", NULL};
	/* The first is a caller's only. */
	static const char *const members[] = {"Principal",   "Sid",       "Effect",
					      "Action",      "NotAction", "Resource",
					      "NotResource", "Condition", NULL};
	const cJSON *sid = cJSON_GetObjectItemCaseSensitive(s, "Sid");
	const cJSON *condition = cJSON_GetObjectItemCaseSensitive(s, "Condition");
	char inner[ACCESS_PATH_MAX];
	int r = access_check_members(s, in->callers ? members : members + 1, path, in->e);

	if (r == 0 && sid && !cJSON_IsString(sid))
		r = error_field(in->e, access_path(path, "Sid", inner), "", "a text", "not a text");
	if (r == 0)
		r = check_text_member(s, "Effect", effects, true, path, in->e);
	if (r == 0 && in->callers)
		r = each_text(cJSON_GetObjectItemCaseSensitive(s, "Principal"),
			      access_path(path, "Principal", inner), check_principal, in);
	if (r == 0)
		r = check_either(s, "Action", "NotAction", path, check_action, in);
	if (r == 0)
		r = check_either(s, "Resource", "NotResource", path, check_resource, in);
	if (r == 0 && condition)
		r = access_condition_check(condition, access_path(path, "Condition", inner), in->e);
	return r;
}

int access_policy_check(const cJSON *policy, const char *path, const struct access_reading *in)
{
	static const char *const members[] = {"Version", "Id", "Statement", NULL};
	static const char *const versions[] = {"2012-10-17", NULL};
	const cJSON *statements = cJSON_GetObjectItemCaseSensitive(policy, "Statement");
	const cJSON *s = cJSON_IsArray(statements) ? statements->child : statements;
	char inner[ACCESS_PATH_MAX];
	int r = access_check_members(policy, members, path, in->e);

	if (r == 0)
		r = check_text_member(policy, "Version", versions, false, path, in->e);
	if (r == 0 && !statements)
		r = error_field(in->e, path, "", "an array of statements",
				"Statement is required and not given");
	if (r == 0 && cJSON_GetArraySize(statements) > STATEMENTS_MAX)
		r = error_field(in->e, path, "", "256 statements", "there are more");
	for (int i = 0; s && r == 0; i++, s = cJSON_IsArray(statements) ? s->next : NULL) {
		(void)snprintf(inner, sizeof(inner), "%.60s.Statement[%d]", path, i);
		r = check_statement(s, inner, in);
	}
	return r;
}

static bool any_fits(const cJSON *patterns, const char *text, bool ignore_case)
{
	const cJSON *p = cJSON_IsArray(patterns) ? patterns->child : patterns;

	for (; p; p = cJSON_IsArray(patterns) ? p->next : NULL) {
		if (access_pattern_fits(p->valuestring, text, ignore_case))
			return true;
	}
	return false;
}

static bool fits_either(const cJSON *s, const char *name, const char *not_name, const char *text,
			bool ignore_case)
{
	const cJSON *plain = cJSON_GetObjectItemCaseSensitive(s, name);

	return plain ? any_fits(plain, text, ignore_case)
		     : !any_fits(cJSON_GetObjectItemCaseSensitive(s, not_name), text, ignore_case);
}

static bool is_denial(const cJSON *s)
{
	return str_eq(cJSON_GetObjectItemCaseSensitive(s, "Effect")->valuestring, "Deny");
}

/* Who is in more groups than can be told may be in any that is denied something. */
static bool is_principal(const char *p, const struct caller *c, bool denial)
{
	uint64_t n = 0;

	if (str_eq(p, "*"))
		return true;
	if (str_starts(p, "key:"))
		return str_eq(p + 4, c->key);
	if (c->key[0] || str_to_u64(p + 4, &n) < 0)
		return false;
	if (str_starts(p, "uid:"))
		return c->uid == (uid_t)n;
	return caller_has_group(c, (gid_t)n) || (denial && c->groups_unknown);
}

static bool is_about(const cJSON *s, const struct caller *c)
{
	const cJSON *principals = cJSON_GetObjectItemCaseSensitive(s, "Principal");
	const cJSON *p = cJSON_IsArray(principals) ? principals->child : principals;

	for (; p; p = cJSON_IsArray(principals) ? p->next : NULL) {
		if (is_principal(p->valuestring, c, is_denial(s)))
			return true;
	}
	return false;
}

static bool applies(const cJSON *s, const struct access_question *q, const struct caller *c)
{
	return (!c || is_about(s, c)) && fits_either(s, "Action", "NotAction", q->action, true) &&
	       fits_either(s, "Resource", "NotResource", q->resource, false) &&
	       access_condition_holds(cJSON_GetObjectItemCaseSensitive(s, "Condition"), q, c);
}

static const cJSON *first_statement(const cJSON *policy)
{
	const cJSON *s = cJSON_GetObjectItemCaseSensitive(policy, "Statement");

	return cJSON_IsArray(s) ? s->child : s;
}

/* One statement may stand alone, and then what is next to it is no statement. */
static const cJSON *next_statement(const cJSON *policy, const cJSON *s)
{
	return cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(policy, "Statement")) ? s->next
										    : NULL;
}

enum access_verdict access_policy_decide(const cJSON *policy, const struct access_question *q,
					 const struct caller *c)
{
	enum access_verdict verdict = ACCESS_UNSAID;

	for (const cJSON *s = first_statement(policy); s; s = next_statement(policy, s)) {
		if (!applies(s, q, c))
			continue;
		if (is_denial(s))
			return ACCESS_DENIED;
		verdict = ACCESS_ALLOWED;
	}
	return verdict;
}

bool access_policy_knows(const cJSON *policy, const struct caller *c)
{
	for (const cJSON *s = first_statement(policy); s; s = next_statement(policy, s)) {
		if (!is_denial(s) && is_about(s, c))
			return true;
	}
	return false;
}
