/* SPDX-License-Identifier: Apache-2.0 */
/* plan/policy: the file, the caller, the fault, the protected processes. */
#include "test.h"

#include "plan/policy.h"

static int parse(const char *text, struct policy *ret, struct error *e)
{
	memset(e, 0, sizeof(*e));
	return policy_parse(text, text ? strlen(text) : 0, ret, e);
}

static void check_defaults(const struct policy *p)
{
	assert_int_equal(p->max_duration_ms, 12 * 3600 * 1000);
	assert_int_equal(p->max_faults, 32);
	assert_int_equal(p->irreversible, IRREVERSIBLE_CONFIRM);
	assert_int_equal(p->protected_processes.n, 0);
	assert_string_equal(p->group, "faultd");
	assert_int_equal(p->hook, HOOK_AUTO);
}

static void test_defaults(void **state)
{
	struct policy p;
	struct error e;

	assert_int_equal(parse(NULL, &p, &e), 0);
	check_defaults(&p);
	assert_int_equal(parse("{}", &p, &e), 0);
	check_defaults(&p);
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
		int r = policy_check_caller(&cases[i].caller, cases[i].daemon, &e);

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
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_full),
		cmocka_unit_test(test_bad),      cmocka_unit_test(test_caller),
		cmocka_unit_test(test_fault),    cmocka_unit_test(test_built_in),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
