/* SPDX-License-Identifier: Apache-2.0 */
/* plan/policy: the file, the caller, the fault, the protected processes. */
#include "test.h"

#include "plan/policy.h"

static int parse(const char *text, struct policy *ret, struct error *e)
{
	memset(e, 0, sizeof(*e));
	return policy_parse(text, text ? strlen(text) : 0, NULL, ret, e);
}

static void check_defaults(const struct policy *p)
{
	assert_int_equal(p->max_duration_ms, 12 * 3600 * 1000);
	assert_int_equal(p->max_faults, 32);
	assert_int_equal(p->irreversible, IRREVERSIBLE_CONFIRM);
	assert_int_equal(p->protected_processes.n, 0);
	assert_string_equal(p->group, "faultd");
	assert_int_equal(p->hook, HOOK_AUTO);
	assert_string_equal(p->fis.region, "");
	assert_string_equal(p->fis.listen, "");
	assert_string_equal(p->fis.metadata_endpoint, "http://169.254.169.254");
	assert_string_equal(p->fis.probe_dir, "/etc/faultd/probes");
	assert_int_equal(p->fis.metadata, METADATA_AUTO);
	assert_int_equal(p->fis.templates_max, 500);
	assert_int_equal(p->fis.active_experiments_max, 5);
	assert_int_equal(p->fis.experiments_kept_max, 1000);
	assert_int_equal(p->fis.retention_days, 120);
	assert_int_equal(p->fis.alarm_period_ms, 5000);
	assert_null(p->fis.tags);
	assert_false(access_has_secrets(p->access));
}

static void test_defaults(void **state)
{
	struct policy p;
	struct error e;

	assert_int_equal(parse(NULL, &p, &e), 0);
	check_defaults(&p);
	policy_done(&p);
	assert_int_equal(parse("{}", &p, &e), 0);
	check_defaults(&p);
	policy_done(&p);
	assert_int_equal(parse("{\"fis\":{}}", &p, &e), 0);
	check_defaults(&p);
	policy_done(&p);
}

static void test_full(void **state)
{
	struct policy p;
	struct error e;

	assert_int_equal(
		parse("{\"maxDuration\":\"10m\",\"maxFaults\":1,\"irreversible\":\"deny\","
		      "\"protectedProcesses\":[\"postgres\",\"my-very-long-daemon\"],"
		      "\"group\":\"wheel\",\"classifierHook\":\"clsact\",\"networkSets\":\"/x\","
		      "\"networkSpared\":[\"10.0.0.1\",\"broker.example.com\"]}",
		      &p, &e),
		0);
	assert_int_equal(p.max_duration_ms, 600000);
	assert_int_equal(p.max_faults, 1);
	assert_int_equal(p.irreversible, IRREVERSIBLE_DENY);
	assert_int_equal(p.protected_processes.n, 2);
	assert_string_equal(p.group, "wheel");
	assert_int_equal(p.hook, HOOK_CLSACT);
	assert_string_equal(p.network_sets, "/x");
	assert_int_equal(p.network_spared.cidrs.n, 1);
	assert_int_equal(p.network_spared.names.n, 1);
	assert_true(policy_protects(&p, "postgres", false));
	assert_true(policy_protects(&p, "my-very-long-da", false));
	assert_true(policy_protects(&p, "sshd", false));
	assert_false(policy_protects(&p, "postgre", false));
	assert_false(policy_protects(&p, "postgresql", false));
	policy_done(&p);
}

static void test_fis(void **state)
{
	struct policy p;
	struct error e;

	assert_int_equal(
		parse("{\"maxFaults\":2,\"fis\":{\"region\":\"eu-north-1\",\"account\":\"123456789012\","
		      "\"listen\":\"[::1]:7340\",\"metadata\":\"off\",\"tags\":{\"Env\":\"test\"},"
		      "\"alarmPeriod\":\"1s\"},"
		      "\"accessKeys\":[{\"accessKeyId\":\"AKIA1\",\"secretAccessKey\":\"0123456789abcdef\"}]}",
		      &p, &e),
		0);
	assert_int_equal(p.max_faults, 2);
	assert_string_equal(p.fis.region, "eu-north-1");
	assert_string_equal(p.fis.account, "123456789012");
	assert_string_equal(p.fis.listen, "[::1]:7340");
	assert_int_equal(p.fis.metadata, METADATA_OFF);
	assert_int_equal(p.fis.alarm_period_ms, 1000);
	assert_string_equal(cJSON_GetObjectItem(p.fis.tags, "Env")->valuestring, "test");
	assert_true(access_has_secrets(p.access));
	policy_done(&p);
}

/* What is read at the start only stays, the rest is taken. */
static void test_fis_keep(void **state)
{
	struct fis_settings old = {.region = "eu-north-1", .templates_max = 5};
	struct fis_settings fresh = {.region = "eu-north-1", .templates_max = 7};

	assert_null(fis_settings_keep(&fresh, &old));
	assert_int_equal(fresh.templates_max, 7);
	(void)str_copy(fresh.region, sizeof(fresh.region), "eu-west-1");
	assert_string_equal(fis_settings_keep(&fresh, &old), "region");
	assert_string_equal(fresh.region, "eu-north-1");
	fresh.metadata = METADATA_OFF;
	assert_string_equal(fis_settings_keep(&fresh, &old), "metadata");
	assert_int_equal(fresh.metadata, METADATA_AUTO);
}

static void test_bad(void **state)
{
	static const struct {
		const char *text, *field;
	} cases[] = {
		{"", ""},
		{"[]", ""},
		{"{\"maxDuration\":\"999ms\"}", "maxDuration"},
		{"{\"maxDuration\":\"13h\"}", "maxDuration"},
		{"{\"maxDuration\":600}", "maxDuration"},
		{"{\"maxFaults\":0}", "maxFaults"},
		{"{\"maxFaults\":257}", "maxFaults"},
		{"{\"irreversible\":\"never\"}", "irreversible"},
		{"{\"protectedProcesses\":\"a,,b\"}", "protectedProcesses"},
		{"{\"group\":\"\"}", "group"},
		{"{\"classifierHook\":\"xdp\"}", "classifierHook"},
		{"{\"networkSets\":\"sets.json\"}", "networkSets"},
		{"{\"networkSpared\":\"10.0.0.256\"}", "networkSpared"},
		{"{\"maxFault\":1}", "maxFault"},
		{"{\"fis\":[]}", "fis"},
		{"{\"fis\":{},\"fis\":{}}", "fis"},
		{"{\"fis\":{\"regoin\":\"x\"}}", "fis.regoin"},
		{"{\"fis\":{\"region\":\"eu north\"}}", "fis.region"},
		{"{\"fis\":{\"account\":\"12345678901\"}}", "fis.account"},
		{"{\"fis\":{\"account\":123456789012}}", "fis.account"},
		{"{\"fis\":{\"instanceId\":\"host\"}}", "fis.instanceId"},
		{"{\"fis\":{\"listen\":\"0.0.0.0:80\"}}", "fis.listen"},
		{"{\"fis\":{\"listen\":\"10.0.0.1:80\"}}", "fis.listen"},
		{"{\"fis\":{\"listen\":\"127.0.0.1\"}}", "fis.listen"},
		{"{\"fis\":{\"listen\":\"127.0.0.1:\"}}", "fis.listen"},
		{"{\"fis\":{\"listen\":\"127.0.0.1:65536\"}}", "fis.listen"},
		{"{\"fis\":{\"listen\":\"::1:80\"}}", "fis.listen"},
		{"{\"fis\":{\"listen\":\"[::2]:80\"}}", "fis.listen"},
		{"{\"fis\":{\"listen\":\"localhost:80\"}}", "fis.listen"},
		{"{\"fis\":{\"metadata\":\"maybe\"}}", "fis.metadata"},
		{"{\"fis\":{\"maxTemplates\":0}}", "fis.maxTemplates"},
		{"{\"fis\":{\"alarmPeriod\":\"999ms\"}}", "fis.alarmPeriod"},
		{"{\"fis\":{\"s3Endpoint\":\"ftp://x\"}}", "fis.s3Endpoint"},
		{"{\"fis\":{\"probeDir\":\"probes\"}}", "fis.probeDir"},
		{"{\"fis\":{\"tags\":[]}}", "fis.tags"},
		{"{\"fis\":{\"tags\":{\"a\":1}}}", "fis.tags.a"},
		{"{\"fis\":{\"tags\":{\"\":\"\"}}}", "fis.tags."},
		{"{\"fis\":{\"tags\":{\"a\":\"\",\"a\":\"\"}}}", "fis.tags.a"},
		{"{\"fis\":{\"tags\":{},\"tags\":{}}}", "fis.tags"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct policy p;
		struct error e;

		assert_int_equal(parse(cases[i].text, &p, &e), -EINVAL);
		assert_string_equal(e.field, cases[i].field);
		assert_true(e.message[0]);
	}
}

static void test_caller(void **state)
{
	static const struct {
		struct caller caller;
		uid_t daemon;
		bool may;
	} cases[] = {
		{{.uid = 0}, 0, true},          {{.uid = 0}, 500, true},
		{{.uid = 500}, 500, true},      {{.uid = 1000, .in_group = true}, 0, true},
		{{.uid = 1000}, 0, false},      {{.uid = 1000, .gid = 0}, 500, false},
		{{.uid = (uid_t)-1}, 0, false},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct error e = {0};
		struct policy p = {0};
		int r = policy_check_caller(&p, &cases[i].caller, cases[i].daemon, &e);

		assert_int_equal(r, cases[i].may ? 0 : -EACCES);
		assert_int_equal(e.code, cases[i].may ? ERROR_NONE : ERROR_DENIED);
		assert_int_equal(e.message[0] != '\0', !cases[i].may);
	}
}

static void test_fault(void **state)
{
	static const struct {
		int irreversible; /* of the policy */
		struct policy_question q;
		enum error_code code;
	} cases[] = {
		{IRREVERSIBLE_CONFIRM, {.duration_ms = 0}, ERROR_NONE},
		{IRREVERSIBLE_CONFIRM, {.duration_ms = 60000}, ERROR_NONE},
		{IRREVERSIBLE_CONFIRM, {.duration_ms = 60001}, ERROR_VALIDATION},
		{IRREVERSIBLE_CONFIRM, {.duration_ms = 60001, .dry_run = true}, ERROR_VALIDATION},
		{IRREVERSIBLE_CONFIRM, {.open_faults = 2}, ERROR_NONE},
		{IRREVERSIBLE_CONFIRM, {.open_faults = 3}, ERROR_QUOTA},
		{IRREVERSIBLE_CONFIRM, {.open_faults = 99, .dry_run = true}, ERROR_NONE},
		{IRREVERSIBLE_CONFIRM, {.irreversible = true}, ERROR_VALIDATION},
		{IRREVERSIBLE_CONFIRM, {.irreversible = true, .confirmed = true}, ERROR_NONE},
		{IRREVERSIBLE_CONFIRM, {.irreversible = true, .dry_run = true}, ERROR_NONE},
		{IRREVERSIBLE_ALLOW, {.irreversible = true}, ERROR_NONE},
		{IRREVERSIBLE_DENY, {.irreversible = false}, ERROR_NONE},
		{IRREVERSIBLE_DENY, {.irreversible = true, .confirmed = true}, ERROR_DENIED},
		{IRREVERSIBLE_DENY, {.irreversible = true, .dry_run = true}, ERROR_DENIED},
		{IRREVERSIBLE_ALLOW, {.irreversible = true, .open_faults = 3}, ERROR_QUOTA},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct policy p = {.max_duration_ms = 60000, .max_faults = 3};
		struct policy_question q = cases[i].q;
		struct error e = {0};
		int r;

		p.irreversible = cases[i].irreversible;
		q.action = "some-action";
		r = policy_check_fault(&p, &q, &e);
		assert_int_equal(e.code, cases[i].code);
		assert_int_equal(r < 0, cases[i].code != ERROR_NONE);
	}
}

static void test_built_in(void **state)
{
	/* as the kernel has them: cut at 15 */
	static const char *const names[] = {
		"systemd",
		"init",
		"systemd-journal",
		"systemd-logind",
		"systemd-udevd",
		"systemd-network",
		"dbus-daemon",
		"NetworkManager",
		"sshd",
		"sshd-session",
		"amazon-ssm-agen",
		"ssm-agent-worke",
		"ssm-session-wor",
		"kubelet",
		"containerd",
		"containerd-shim",
		"dockerd",
		"crio",
		"conmon",
		"amazon-ecs-agen",
		"faultd",
		"faultd-guardian",
		"faultctl",
		"faultd-load",
		"dbus-broker",
	};
	static const char *const others[] = {"",      "ssh",        "sshd2", "Systemd",
					     "nginx", "faultd-loa", "init2", "(sd-pam)"};
	struct policy p;
	struct error e;

	assert_int_equal(parse(NULL, &p, &e), 0);
	for (size_t i = 0; i < COUNT(names); i++)
		assert_true(policy_protects(&p, names[i], false));
	for (size_t i = 0; i < COUNT(others); i++)
		assert_false(policy_protects(&p, others[i], false));
	/* in a container they are that container's */
	assert_false(policy_protects(&p, "systemd", true));
	assert_false(policy_protects(&p, "sshd", true));
	assert_true(policy_protects(&p, "ssm-agent-worker", true));
	policy_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_full),
		cmocka_unit_test(test_bad),      cmocka_unit_test(test_caller),
		cmocka_unit_test(test_fault),    cmocka_unit_test(test_built_in),
		cmocka_unit_test(test_fis),      cmocka_unit_test(test_fis_keep),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
