/* SPDX-License-Identifier: Apache-2.0 */
/* plan/access: documents that are taken and that are refused, and who may do what by them. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "plan/access.h"
#include "plan/policy.h"

#define KEYS                                                              \
	"\"accessKeys\":[{\"accessKeyId\":\"AKIA1\",\"secretAccessKey\":" \
	"\"0123456789abcdef\"},{\"accessKeyId\":\"AKIA2\","               \
	"\"secretAccessKey\":\"0123456789abcdefg\",\"sessionToken\":\"token\"}]"
#define TEMPLATE "arn:aws:fis:us-east-1:000000000000:experiment-template/EXT1"

static int find_user(const char *name, uid_t *ret)
{
	*ret = 1001;
	return strcmp(name, "alice") == 0 ? 0 : -ENOENT;
}

static int find_group(const char *name, gid_t *ret)
{
	*ret = 2001;
	return strcmp(name, "sre") == 0 ? 0 : -ENOENT;
}

static const struct access_lookup lookup = {.user = find_user, .group = find_group};

static int parse(const char *text, struct access **ret, struct error *e)
{
	cJSON *json;
	int r;

	memset(e, 0, sizeof(*e));
	json = json_read(text, strlen(text), e);
	if (!json) {
		fail_msg("%s: %s", text, e->message);
		return -EINVAL;
	}
	r = access_parse(json, &lookup, ret, e);
	if (r == 0)
		assert_null(json->child); /* all of it was taken out */
	cJSON_Delete(json);
	return r;
}

static struct access *parsed(const char *text)
{
	struct access *a = NULL;
	struct error e;

	if (parse(text, &a, &e) < 0)
		fail_msg("%s: %s", text, e.message);
	return a;
}

static bool may(const struct access *a, const struct caller *c, const struct access_question *q)
{
	struct error e = {0};
	int r = access_check_caller(a, c, 500, q, &e);

	assert_true(r == 0 || r == -EACCES);
	assert_int_equal(e.code, r == 0 ? ERROR_NONE : ERROR_DENIED);
	if (r < 0) {
		assert_non_null(strstr(e.message, q->action));
		assert_non_null(strstr(e.message, q->resource));
	}
	return r == 0;
}

static void test_without(void **state)
{
	static const struct {
		struct caller caller;
		bool may;
	} cases[] = {
		{{.uid = 0}, true},
		{{.uid = 500}, true},
		{{.uid = 1000, .in_group = true}, true},
		{{.uid = 1000}, false},
		{{.uid = (uid_t)-1}, false},
		{{.uid = (uid_t)-1, .key = "AKIA1"}, true},
		{{.uid = (uid_t)-1, .key = "AKIA3"}, false},
		/* who signs is known by the key alone */
		{{.uid = 0, .in_group = true, .key = "AKIA3"}, false},
	};
	struct access *a = parsed("{" KEYS "}");
	struct access_question q = {.action = "fis:ListActions", .resource = "*"};

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(may(a, &cases[i].caller, &q), cases[i].may);
		assert_int_equal(access_knows_caller(a, &cases[i].caller, 500), cases[i].may);
	}
	access_free(a);
	assert_true(may(NULL, &(struct caller){.uid = 0}, &q));
	assert_false(may(NULL, &(struct caller){.uid = 1}, &q));
}

static void test_keys(void **state)
{
	struct access *a = parsed("{" KEYS "}");

	assert_true(access_has_secrets(a));
	assert_string_equal(access_key_find(a, "AKIA1")->secret, "0123456789abcdef");
	assert_string_equal(access_key_find(a, "AKIA1")->session_token, "");
	assert_string_equal(access_key_find(a, "AKIA2")->session_token, "token");
	assert_null(access_key_find(a, "AKIA"));
	assert_null(access_key_find(a, ""));
	access_free(a);
	a = parsed("{\"accessKeys\":[]}");
	assert_false(access_has_secrets(a));
	access_free(a);
}

/* One statement about uid 1000, and what it comes to. */
struct statement_case {
	const char *rest; /* of the statement */
	const char *action;
	bool may;
};

static void check_statement(const struct statement_case *c, const struct access_question *about)
{
	struct caller caller = {.uid = 1000, .gid = 1000};
	struct access_question q = *about;
	char text[1024];
	struct access *a;

	(void)snprintf(text, sizeof(text),
		       "{\"policy\":{\"Version\":\"2012-10-17\",\"Statement\":{\"Sid\":\"one\","
		       "\"Effect\":\"Allow\",\"Principal\":\"uid:1000\",%s}}}",
		       c->rest);
	q.action = c->action;
	a = parsed(text);
	if (may(a, &caller, &q) != c->may)
		fail_msg("%s: %s: not %d", text, c->action, c->may);
	access_free(a);
}

static void test_patterns(void **state)
{
	static const struct statement_case cases[] = {
		{"\"Action\":\"*\",\"Resource\":\"*\"", "fis:GetAction", true},
		{"\"Action\":\"fis:*\",\"Resource\":\"*\"", "fis:GetAction", true},
		{"\"Action\":\"fis:*\",\"Resource\":\"*\"", "faultd:Read", false},
		{"\"Action\":\"FIS:getaction\",\"Resource\":\"*\"", "fis:GetAction", true},
		{"\"Action\":\"fis:Get*\",\"Resource\":\"*\"", "fis:ListActions", false},
		{"\"Action\":[\"fis:Get*\",\"fis:List*\"],\"Resource\":\"*\"", "fis:ListActions",
		 true},
		{"\"Action\":\"fis:GetActio?\",\"Resource\":\"*\"", "fis:GetAction", true},
		{"\"Action\":\"fis:GetExperiment?*\",\"Resource\":\"*\"", "fis:GetAction", false},
		{"\"Action\":\"*n\",\"Resource\":\"*\"", "fis:GetAction", true},
		{"\"Action\":\"*et*on\",\"Resource\":\"*\"", "fis:GetAction", true},
		{"\"Action\":\"*t*m*p*ate\",\"Resource\":\"*\"", "fis:GetAction", false},
		{"\"NotAction\":\"fis:Delete*\",\"Resource\":\"*\"", "fis:GetAction", true},
		{"\"NotAction\":[\"faultd:*\",\"fis:get*\"],\"Resource\":\"*\"", "fis:GetAction",
		 false},
		{"\"Action\":\"*\",\"Resource\":\"" TEMPLATE "\"", "fis:GetAction", true},
		{"\"Action\":\"*\",\"Resource\":\"arn:aws:fis:*:*:experiment-template/*\"",
		 "fis:GetAction", true},
		{"\"Action\":\"*\",\"Resource\":[\"a\",\"arn:*/EXT?\"]", "fis:GetAction", true},
		{"\"Action\":\"*\",\"Resource\":\"arn:*/ext?\"", "fis:GetAction", false},
		{"\"Action\":\"*\",\"Resource\":\"arn:aws:fis:*:*:experiment/*\"", "fis:GetAction",
		 false},
		{"\"Action\":\"*\",\"NotResource\":\"arn:aws:fis:*:*:experiment/*\"",
		 "fis:GetAction", true},
		{"\"Action\":\"*\",\"NotResource\":\"arn:*\"", "fis:GetAction", false},
	};
	const struct access_question q = {.resource = TEMPLATE};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_statement(&cases[i], &q);
}

/* resource tag Purpose=Test; request tags team=a, cost=b; percent 80, port 443 */
static const struct {
	const char *condition;
	bool holds;
} conditions[] = {
	{"{}", true},
	{"{\"StringEquals\":{\"aws:ResourceTag/Purpose\":\"Test\"}}", true},
	{"{\"StringEquals\":{\"aws:ResourceTag/Purpose\":\"test\"}}", false},
	{"{\"StringEquals\":{\"aws:ResourceTag/Purpose\":[\"x\",\"Test\"]}}", true},
	{"{\"StringEquals\":{\"aws:ResourceTag/purpose\":\"Test\"}}", false},
	{"{\"StringEqualsIfExists\":{\"aws:ResourceTag/purpose\":\"Test\"}}", true},
	{"{\"StringEqualsIfExists\":{\"aws:ResourceTag/Purpose\":\"x\"}}", false},
	{"{\"StringNotEquals\":{\"aws:ResourceTag/Purpose\":\"Prod\"}}", true},
	{"{\"StringNotEquals\":{\"aws:ResourceTag/Purpose\":[\"Prod\",\"Test\"]}}", false},
	{"{\"StringNotEquals\":{\"aws:ResourceTag/none\":\"Prod\"}}", true},
	{"{\"StringEqualsIgnoreCase\":{\"aws:ResourceTag/Purpose\":\"tEST\"}}", true},
	{"{\"StringNotEqualsIgnoreCase\":{\"aws:ResourceTag/Purpose\":\"tEST\"}}", false},
	{"{\"StringLike\":{\"aws:ResourceTag/Purpose\":\"T?s*\"}}", true},
	{"{\"StringLike\":{\"aws:ResourceTag/Purpose\":\"t*\"}}", false},
	{"{\"StringLike\":{\"aws:ResourceTag/none\":\"*\"}}", false},
	{"{\"StringNotLike\":{\"aws:ResourceTag/Purpose\":\"P*\"}}", true},
	{"{\"StringEquals\":{\"aws:RequestTag/team\":\"a\"}}", true},
	{"{\"StringEquals\":{\"aws:RequestTag/team\":\"a\",\"aws:RequestTag/cost\":\"x\"}}", false},
	{"{\"StringEquals\":{\"aws:RequestTag/team\":\"a\"},"
	 "\"StringLike\":{\"aws:RequestTag/cost\":\"x*\"}}",
	 false},
	{"{\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"team\",\"cost\"]}}", true},
	{"{\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"team\"]}}", false},
	{"{\"ForAnyValue:StringEquals\":{\"aws:TagKeys\":[\"team\"]}}", true},
	{"{\"ForAnyValue:StringEquals\":{\"aws:TagKeys\":[\"name\"]}}", false},
	{"{\"ForAllValues:StringNotEquals\":{\"aws:TagKeys\":[\"name\"]}}", true},
	{"{\"ForAnyValue:StringNotEquals\":{\"aws:TagKeys\":[\"team\",\"cost\"]}}", false},
	{"{\"ForAllValues:StringLike\":{\"fis:Operations\":\"x\"}}", true},
	{"{\"ForAnyValue:StringLike\":{\"fis:Operations\":\"*\"}}", false},
	{"{\"ForAnyValue:StringLike\":{\"fis:Targets\":\"*b\"}}", true},
	{"{\"NumericLessThanEquals\":{\"fis:Parameter/percent\":\"80\"}}", true},
	{"{\"NumericLessThan\":{\"fis:Parameter/percent\":80}}", false},
	{"{\"NumericLessThan\":{\"fis:Parameter/percent\":100}}", true},
	{"{\"NumericGreaterThan\":{\"fis:Parameter/percent\":\"79.5\"}}", true},
	{"{\"NumericGreaterThanEquals\":{\"fis:Parameter/percent\":\"80.5\"}}", false},
	{"{\"NumericEquals\":{\"fis:Parameter/percent\":\"80.0\"}}", true},
	{"{\"NumericNotEquals\":{\"fis:Parameter/percent\":\"80\"}}", false},
	{"{\"NumericLessThan\":{\"fis:Parameter/none\":\"80\"}}", false},
	{"{\"NumericLessThanIfExists\":{\"fis:Parameter/none\":\"80\"}}", true},
	{"{\"NumericLessThan\":{\"fis:Parameter/interface\":\"80\"}}", false},
	{"{\"NumericLessThanEquals\":{\"fis:Duration\":\"60\"}}", true},
	{"{\"NumericEquals\":{\"faultd:Uid\":\"1000\"}}", true},
	{"{\"StringEquals\":{\"faultd:Uid\":\"100\"}}", false},
	{"{\"Bool\":{\"fis:Parameter/confirm\":true}}", true},
	{"{\"Bool\":{\"fis:Parameter/confirm\":\"FALSE\"}}", false},
	{"{\"Null\":{\"aws:ResourceTag/Purpose\":\"false\"}}", true},
	{"{\"Null\":{\"aws:ResourceTag/Purpose\":true}}", false},
	{"{\"Null\":{\"aws:ResourceTag/none\":true}}", true},
};

static void test_conditions(void **state)
{
	static const struct access_value values[] = {
		{"fis:Parameter/percent", "80"},
		{"fis:Parameter/interface", "eth0"},
		{"fis:Parameter/confirm", "true"},
		{"fis:Duration", "60"},
		{"fis:Targets", "a"},
		{"fis:Targets", "ab"},
	};
	cJSON *resource_tags = cJSON_Parse("{\"Purpose\":\"Test\"}");
	cJSON *request_tags = cJSON_Parse("{\"team\":\"a\",\"cost\":\"b\"}");
	const struct access_question q = {.resource = TEMPLATE,
					  .resource_tags = resource_tags,
					  .request_tags = request_tags,
					  .values = values,
					  .n_values = COUNT(values)};

	for (size_t i = 0; i < COUNT(conditions); i++) {
		char rest[512];
		struct statement_case c = {
			.rest = rest, .action = "fis:StartExperiment", .may = conditions[i].holds};

		(void)snprintf(rest, sizeof(rest),
			       "\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":%s",
			       conditions[i].condition);
		check_statement(&c, &q);
	}
	cJSON_Delete(resource_tags);
	cJSON_Delete(request_tags);
}

static void test_principals(void **state)
{
	static const struct {
		const char *principal;
		struct caller caller;
		bool may;
	} cases[] = {
		{"\"*\"", {.uid = 7}, true},
		{"\"uid:7\"", {.uid = 7}, true},
		{"\"uid:7\"", {.uid = 77}, false},
		{"\"user:alice\"", {.uid = 1001}, true},
		{"\"user:alice\"", {.uid = 2001, .gid = 1001}, false},
		{"\"gid:9\"", {.uid = 7, .gid = 9}, true},
		{"\"gid:9\"", {.uid = 7, .n_groups = 2, .groups = {8, 9}}, true},
		{"\"gid:9\"", {.uid = 9, .n_groups = 1, .groups = {8, 9}}, false},
		{"\"group:sre\"", {.uid = 7, .n_groups = 1, .groups = {2001}}, true},
		{"\"group:sre\"", {.uid = 7, .groups_unknown = true}, false},
		{"[\"uid:1\",\"group:sre\"]", {.uid = 7, .gid = 2001}, true},
		{"\"key:AKIA1\"", {.uid = (uid_t)-1, .key = "AKIA1"}, true},
		{"\"key:AKIA1\"", {.uid = (uid_t)-1, .key = "AKIA2"}, false},
		{"\"key:AKIA1\"", {.uid = 7}, false},
		{"\"*\"", {.uid = (uid_t)-1, .key = "AKIA2"}, true},
		/* who signs is known by the key alone */
		{"\"uid:7\"", {.uid = 7, .key = "AKIA1"}, false},
		{"\"gid:9\"", {.uid = 7, .gid = 9, .key = "AKIA1"}, false},
		/* the group of the file has no rights of its own any more; root has */
		{"\"uid:1\"", {.uid = 7, .in_group = true}, false},
		{"\"uid:1\"", {.uid = 0}, true},
		{"\"uid:1\"", {.uid = 500}, true},
	};
	struct access_question q = {.action = "faultd:Read", .resource = "*"};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[640];
		struct access *a;

		(void)snprintf(text, sizeof(text),
			       "{" KEYS ",\"policy\":{\"Statement\":[{\"Effect\":\"Allow\","
			       "\"Principal\":%s,\"Action\":\"*\",\"Resource\":\"*\"}]}}",
			       cases[i].principal);
		a = parsed(text);
		if (may(a, &cases[i].caller, &q) != cases[i].may)
			fail_msg("case %zu: %s", i, cases[i].principal);
		assert_int_equal(access_knows_caller(a, &cases[i].caller, 500), cases[i].may);
		access_free(a);
	}
}

static void test_deny_wins(void **state)
{
	struct access *a = parsed(
		"{\"policy\":{\"Statement\":["
		"{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\"},"
		"{\"Effect\":\"Deny\",\"Principal\":\"gid:9\",\"Action\":\"fis:Delete*\","
		"\"Resource\":\"*\"},"
		"{\"Effect\":\"Allow\",\"Principal\":\"gid:9\",\"Action\":\"fis:*\",\"Resource\":"
		"\"*\"}]}}");
	struct access_question get = {.action = "fis:GetExperiment", .resource = "*"};
	struct access_question delete = {.action = "fis:DeleteExperimentTemplate", .resource = "*"};
	struct caller in = {.uid = 7, .gid = 9}, out = {.uid = 7, .gid = 8};
	struct caller unknown = {.uid = 7, .gid = 8, .groups_unknown = true};

	assert_true(may(a, &in, &get));
	assert_true(may(a, &out, &get));
	assert_false(may(a, &in, &delete));
	assert_true(may(a, &out, &delete));
	assert_false(may(a, &unknown, &delete)); /* it may be in that group */
	access_free(a);
	/* who is denied all the same is not known */
	a = parsed("{\"policy\":{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\","
		   "\"Action\":\"*\",\"Resource\":\"*\"}}}");
	assert_false(access_knows_caller(a, &out, 500));
	assert_true(may(a, &(struct caller){.uid = 0}, &delete));
	access_free(a);
}

static void test_roles(void **state)
{
	static const char builtin[] = "arn:aws:iam::000000000000:role/faultd";
	static const char stress[] = "arn:aws:iam::000000000000:role/stress";
	struct access_value value = {"fis:Parameter/percent", "80"};
	struct access_question q = {
		.action = "host:cpu-stress", .resource = "*", .values = &value, .n_values = 1};
	struct error e = {0};
	struct access *a = parsed("{}");

	assert_null(access_role_find(a, stress, builtin));
	assert_int_equal(access_check_role(access_role_find(a, builtin, builtin), &q, &e), 0);
	access_free(a);
	a = parsed("{\"roles\":{}}");
	assert_null(access_role_find(a, builtin, builtin));
	access_free(a);
	a = parsed("{\"roles\":{\"arn:aws:iam::000000000000:role/stress\":{\"Statement\":{"
		   "\"Effect\":\"Allow\",\"Action\":[\"host:cpu-*\",\"aws:ssm:send-command\"],"
		   "\"Resource\":\"*\",\"Condition\":{\"NumericLessThanEquals\":"
		   "{\"fis:Parameter/percent\":\"80\"}}}}}}");
	assert_null(access_role_find(a, builtin, builtin));
	assert_non_null(access_role_find(a, stress, builtin));
	assert_int_equal(access_check_role(access_role_find(a, stress, builtin), &q, &e), 0);
	value.value = "81";
	assert_int_equal(access_check_role(access_role_find(a, stress, builtin), &q, &e), -EACCES);
	assert_non_null(strstr(e.message, "role/stress"));
	assert_non_null(strstr(e.message, "host:cpu-stress"));
	value.value = "80";
	q.action = "host:disk-fill";
	assert_int_equal(access_check_role(access_role_find(a, stress, builtin), &q, &e), -EACCES);
	access_free(a);
}

#define STATEMENT(rest) "{\"policy\":{\"Statement\":[{" rest "}]}}"
#define ALLOW           "\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\""
#define CONDITION(text) STATEMENT(ALLOW ",\"Condition\":" text)
#define KEY(rest)       "{\"accessKeys\":[{" rest "}]}"
#define S0              "policy.Statement[0]"

static const struct {
	const char *text, *field;
} refused[] = {
	{"{\"policy\":1}", "policy"},
	{"{\"policy\":{}}", "policy"},
	{"{\"policy\":{\"Statement\":[]},\"policy\":{\"Statement\":[]}}", "policy"},
	{"{\"policy\":{\"Statements\":[]}}", "policy.Statements"},
	{"{\"policy\":{\"Version\":\"2008-10-17\",\"Statement\":[]}}", "policy.Version"},
	{"{\"policy\":{\"Statement\":[1]}}", S0},
	{STATEMENT(""), S0 ".Effect"},
	{STATEMENT("\"Effect\":\"allow\""), S0 ".Effect"},
	{STATEMENT("\"Effect\":\"Allow\""), S0 ".Principal"},
	{STATEMENT(ALLOW ",\"Effect\":\"Deny\""), S0 ".Effect"},
	{STATEMENT(ALLOW ",\"effect\":\"Deny\""), S0 ".effect"},
	{STATEMENT(ALLOW ",\"Sid\":1"), S0 ".Sid"},
	{STATEMENT(ALLOW ",\"NotAction\":\"*\""), S0 ".NotAction"},
	{STATEMENT(ALLOW ",\"NotPrincipal\":\"*\""), S0 ".NotPrincipal"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"*\"}"), S0 ".Principal"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":[]"), S0 ".Principal"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":\"bob\""), S0 ".Principal"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":\"user:bob\""), S0 ".Principal"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":\"group:alice\""), S0 ".Principal"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":\"uid:-1\""), S0 ".Principal"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":\"uid:4294967295\""), S0 ".Principal"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":\"key:AKIA1\""), S0 ".Principal"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":\"*\""), S0 ".Action"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"fis:StopExperimnt\""),
	 S0 ".Action"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"ec2:*\""), S0 ".Action"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\""), S0 ".Resource"},
	{STATEMENT("\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\","
		   "\"Resource\":\"arn:${aws:username}\""),
	 S0 ".Resource"},
	{CONDITION("[]"), S0 ".Condition"},
	{CONDITION("{\"StringEqual\":{\"fis:Service\":\"x\"}}"), S0 ".Condition.StringEqual"},
	{CONDITION("{\"IpAddress\":{\"aws:SourceIp\":\"x\"}}"), S0 ".Condition.IpAddress"},
	{CONDITION("{\"DateGreaterThan\":{\"aws:CurrentTime\":\"x\"}}"),
	 S0 ".Condition.DateGreaterThan"},
	{CONDITION("{\"StringEquals\":{}}"), S0 ".Condition.StringEquals"},
	{CONDITION("{\"StringEquals\":{\"aws:SourceIp\":\"x\"}}"),
	 S0 ".Condition.StringEquals.aws:SourceIp"},
	{CONDITION("{\"StringEquals\":{\"aws:ResourceTag/\":\"x\"}}"),
	 S0 ".Condition.StringEquals.aws:ResourceTag/"},
	{CONDITION("{\"StringEquals\":{\"aws:TagKeys\":\"x\"}}"),
	 S0 ".Condition.StringEquals.aws:TagKeys"},
	{CONDITION("{\"ForAllValues:StringEquals\":{\"fis:Service\":\"x\"}}"),
	 S0 ".Condition.ForAllValues:StringEquals.fis:Service"},
	{CONDITION("{\"StringEquals\":{\"fis:Service\":[]}}"),
	 S0 ".Condition.StringEquals.fis:Service"},
	{CONDITION("{\"StringEquals\":{\"fis:Service\":{}}}"),
	 S0 ".Condition.StringEquals.fis:Service"},
	{CONDITION("{\"StringEquals\":{\"fis:Service\":\"x\"},\"StringEquals\":{}}"),
	 S0 ".Condition.StringEquals"},
	{CONDITION("{\"NumericEquals\":{\"fis:Duration\":\"PT1M\"}}"),
	 S0 ".Condition.NumericEquals.fis:Duration"},
	{CONDITION("{\"Bool\":{\"fis:Service\":\"yes\"}}"), S0 ".Condition.Bool.fis:Service"},
	{CONDITION("{\"NullIfExists\":{\"fis:Service\":\"true\"}}"), S0 ".Condition.NullIfExists"},
	{"{\"roles\":[]}", "roles"},
	{"{\"roles\":{\"stress\":{\"Statement\":[]}}}", "roles.stress"},
	{"{\"roles\":{\"arn:aws:iam::0:role/x\":{\"Statement\":[{" ALLOW "}]}}}",
	 "roles.arn:aws:iam::0:role/x.Statement[0].Principal"},
	{"{\"accessKeys\":{}}", "accessKeys"},
	{KEY(""), "accessKeys[0].accessKeyId"},
	{KEY("\"accessKeyId\":\"AKIA1\""), "accessKeys[0].secretAccessKey"},
	{KEY("\"accessKeyId\":\"AKIA1\",\"secretAccessKey\":\"SeCrEt\""),
	 "accessKeys[0].secretAccessKey"},
	{KEY("\"accessKeyId\":\"AKIA1\",\"secretAccessKey\":\"SeCrEt SeCrEt SeCrEt\""),
	 "accessKeys[0].secretAccessKey"},
	{KEY("\"accessKeyId\":\"AKIA1\",\"secretAccessKey\":[\"SeCrEt\"]"),
	 "accessKeys[0].secretAccessKey"},
	{KEY("\"accessKeyId\":\"AK/1\",\"secretAccessKey\":\"SeCrEtSeCrEtSeCrEt\""),
	 "accessKeys[0]"},
	{KEY("\"accessKeyId\":\"AKIA1\",\"secretAccesKey\":\"SeCrEtSeCrEtSeCrEt\""),
	 "accessKeys[0].secretAccesKey"},
};

static void test_bad(void **state)
{
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct access *a = NULL;
		struct error e;

		if (parse(refused[i].text, &a, &e) == 0)
			fail_msg("%s: taken", refused[i].text);
		if (strcmp(e.field, refused[i].field) != 0)
			fail_msg("%s: %s: not %s", refused[i].text, e.message, refused[i].field);
		assert_null(strstr(e.message, "SeCrEt"));
		assert_null(strstr(e.value, "SeCrEt"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without),    cmocka_unit_test(test_keys),
		cmocka_unit_test(test_patterns),   cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_principals), cmocka_unit_test(test_deny_wins),
		cmocka_unit_test(test_roles),      cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
