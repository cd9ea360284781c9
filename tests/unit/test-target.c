/* SPDX-License-Identifier: Apache-2.0 */
/* actions/target and actions/protect: how many of what matches, what a plan gets from an aim, what
 * is refused whatever the host is like. Real cgroups are the matter of tests/api/test_targets.py.
 */
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actions/protect.h"
#include "actions/target.h"

static void test_selection_mode(void **state)
{
	static const struct {
		const char *mode;
		size_t n, expected;
	} cases[] = {
		{"ALL", 5, 5},          {"", 5, 5},
		{"ALL", 0, 0},          {"COUNT(1)", 5, 1},
		{"COUNT(5)", 5, 5},     {"COUNT(6)", 5, 5},
		{"COUNT(2)", 0, 0},     {"COUNT(4294967295)", 3, 3},
		{"PERCENT(50)", 5, 2},  {"PERCENT(100)", 5, 5},
		{"PERCENT(1)", 5, 1},   {"PERCENT(99)", 5, 4},
		{"PERCENT(34)", 3, 1},  {"PERCENT(67)", 3, 2},
		{"PERCENT(50)", 0, 0},  {"PERCENT(33)", 100000, 33000},
		{"COUNT(007)", 100, 7},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t n = 99;

		assert_int_equal(selection_mode_count(cases[i].mode, cases[i].n, &n), 0);
		assert_int_equal(n, cases[i].expected);
	}
	assert_false(selection_mode_chooses(""));
	assert_false(selection_mode_chooses("ALL"));
	assert_true(selection_mode_chooses("COUNT(1)"));
}

static void test_bad_selection_mode(void **state)
{
	static const char *const bad[] = {
		"all",
		"ALL ",
		"COUNT",
		"COUNT()",
		"COUNT(0)",
		"COUNT(-1)",
		"COUNT(1",
		"COUNT(1))",
		"COUNT(1.5)",
		"COUNT (1)",
		"COUNT(a)",
		"PERCENT(0)",
		"PERCENT(101)",
		"PERCENT(50%)",
		"PERCENT()",
		"(1)",
		"1",
		"COUNT(1)x",
		"COUNT(4294967296)",
		"count(1)",
		"COUNT(99999999999999999999999999)",
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		size_t n;

		if (selection_mode_count(bad[i], 5, &n) != -EINVAL)
			fail_msg("%s was accepted", bad[i]);
	}
}

static void test_random_place(void **state)
{
	assert_true(random_place(1, 2) == random_place(1, 2));
	assert_true(random_place(1, 2) != random_place(1, 3));
	assert_true(random_place(1, 2) != random_place(2, 2));
}

static const struct policy policy = {
	.protected_units = {.n = 2, .name = {"mine", "yours.service"}},
	.protected_mounts = {.n = 1, .name = {"/srv/keep"}},
};

static void check_described(const struct target *t, const char *expected)
{
	char buffer[512];
	struct text to = TEXT(buffer);

	buffer[0] = '\0';
	target_describe(t, &to);
	assert_string_equal(buffer, expected);
}

static void test_describe(void **state)
{
	check_described(&(struct target){0}, "");
	check_described(&(struct target){.selection_mode = "COUNT(2)"}, "");
	check_described(&(struct target){.unit = "web"}, " in unit web");
	check_described(&(struct target){.cgroup = "/a*", .selection_mode = "ALL"},
			" in cgroup /a*");
	check_described(&(struct target){.container = "3f1c", .selection_mode = "PERCENT(50)"},
			" in container 3f1c, PERCENT(50) of what matches");
}

static void test_add_load(void **state)
{
	struct aim aim = {.path = "/a b/c", .first_pid = 12, .first_start = 345};
	struct step s = {.kind = STEP_CHILD};

	assert_true(target_add_load(&aim, "", false, &s));
	assert_string_equal(s.child.load, "--cgroup /a%20b/c");
	assert_true(target_add_load(&aim, "/a b/c/leaf", true, &s));
	assert_string_equal(s.child.load,
			    "--cgroup /a%20b/c --cgroup /a%20b/c/leaf --enter 12:345");
	s.child.load[0] = '\0';
	aim.first_pid = 0;
	assert_false(target_add_load(&aim, "", true, &s));
	memset(s.child.load, 'x', sizeof(s.child.load) - 4);
	s.child.load[sizeof(s.child.load) - 4] = '\0';
	assert_false(target_add_load(&aim, "", false, &s));
}

static void test_add_leaf(void **state)
{
	struct facts facts = {.leaf = 0xabc, .cgroups.n = 2};
	struct aim aim = {.path = "/pods", .shown = "cgroup /pods"};
	struct plan plan = {0};
	struct error e = {0};
	char leaf[CGROUP_PATH_MAX] = "?";

	facts.cgroups.hierarchy[0] = (struct cgroup_hierarchy){.mount = "/sys/fs/cgroup/cpu"};
	facts.cgroups.hierarchy[1] =
		(struct cgroup_hierarchy){.mount = "/sys/fs/cgroup", .v2 = true};
	assert_int_equal(target_add_leaf(&aim, &facts, &plan, leaf, &e), 0);
	assert_string_equal(leaf, "");
	assert_int_equal(plan.n, 0);
	aim.inner = true;
	assert_int_equal(target_add_leaf(&aim, &facts, &plan, leaf, &e), 0);
	assert_string_equal(leaf, "/pods/faultd-00000abc");
	assert_int_equal(plan.n, 1);
	assert_int_equal(plan.steps[0].kind, STEP_CGROUP);
	assert_string_equal(plan.steps[0].cgroup.path, "/sys/fs/cgroup/pods/faultd-00000abc");
	memset(aim.path + 1, 'x', sizeof(aim.path) - 2);
	assert_int_equal(target_add_leaf(&aim, &facts, &plan, leaf, &e), -ENAMETOOLONG);
	assert_non_null(strstr(e.message, "cgroup /pods"));
	plan_done(&plan);
}

/* From here on with the cgroups of this machine, whatever they are. */

static int look(const struct target *t, struct facts *facts, struct error *e)
{
	int r;

	*facts = (struct facts){.policy = &policy, .own_pids = {getpid(), 0}, .seed = 5};
	memset(e, 0, sizeof(*e));
	r = target_look(t, facts, e);
	assert_int_equal(r < 0, e->message[0] != '\0');
	facts_done(facts);
	facts->aims = NULL;
	return r;
}

static void check_refused(const struct target *t, const char *field)
{
	struct facts facts;
	struct error e;

	assert_true(look(t, &facts, &e) < 0);
	assert_int_equal(e.code, ERROR_VALIDATION);
	assert_string_equal(e.field, field);
	assert_true(e.allowed[0]);
	assert_int_equal(facts.n_aims, 0);
}

static void test_refused(void **state)
{
	check_refused(&(struct target){.unit = "a", .cgroup = "/b"}, "parameters.cgroup");
	check_refused(&(struct target){.unit = "a", .container = "b"}, "parameters.container");
	check_refused(&(struct target){.cgroup = "/a", .container = "b"}, "parameters.container");
	check_refused(&(struct target){.selection_mode = "COUNT(1)"}, "parameters.selectionMode");
	check_refused(&(struct target){.cgroup = "/a", .selection_mode = "some"},
		      "parameters.selectionMode");
	check_refused(&(struct target){.cgroup = "/a/../b"}, "parameters.cgroup");
	check_refused(&(struct target){.cgroup = "/no-such-cgroup/x"}, "parameters.cgroup");
	check_refused(&(struct target){.cgroup = "/no-such-cgroup-*"}, "parameters.cgroup");
	check_refused(&(struct target){.unit = "no-such-unit-*"}, "parameters.unit");
	check_refused(&(struct target){.container = "no-such-container"}, "parameters.container");
}

static void test_the_root_is_the_host(void **state)
{
	struct target t = {0};
	struct cgroup_layout l;

	if (cgroup_layout_read(&l) < 0 || l.n == 0)
		skip();
	check_refused(&(struct target){.cgroup = "/"}, "parameters.cgroup");
	assert_true(str_copy(t.cgroup, sizeof(t.cgroup), l.hierarchy[0].mount));
	check_refused(&t, "parameters.cgroup");
}

static void test_no_target(void **state)
{
	struct facts facts;
	struct error e;

	assert_int_equal(look(&(struct target){.selection_mode = "ALL", .seed = 77}, &facts, &e),
			 0);
	assert_false(facts.aimed);
	assert_false(facts.skipped);
	assert_int_equal(facts.seed, 77);
	assert_int_equal(facts.n_aims, 0);
}

static void test_skip(void **state)
{
	struct facts facts;
	struct error e;

	assert_int_equal(look(&(struct target){.cgroup = "/no-such-cgroup", .empty = EMPTY_SKIP},
			      &facts, &e),
			 0);
	assert_true(facts.aimed);
	assert_true(facts.skipped);
	assert_int_equal(facts.n_aims, 0);
	assert_int_equal(facts.seed, 5);
}

/* An explicit seed does not make two faults use one name. */
static void test_leaves_differ(void **state)
{
	struct facts first = {.policy = &policy, .seed = 1},
		     second = {.policy = &policy, .seed = 2};
	const struct target t = {.seed = 9};
	struct error e;

	assert_int_equal(target_look(&t, &first, &e), 0);
	assert_int_equal(target_look(&t, &second, &e), 0);
	assert_int_equal(first.seed, second.seed);
	assert_int_not_equal(first.leaf, second.leaf);
}

static void test_protected_units(void **state)
{
	static const char *const protected[] = {
		"sshd.service",      "sshd",         "mine",
		"mine.service",      "yours",        "yours.service",
		"multi-user.target", "system.slice", "session-1.scope",
		"ssh.socket",        "home.mount",
	};
	static const char *const others[] = {"web.service", "web", "a.b@1.2", "x.target.service"};
	const struct facts facts = {.policy = &policy, .own_pids = {getpid(), 0}};

	for (size_t i = 0; i < COUNT(protected); i++) {
		if (!protect_unit(protected[i], &facts))
			fail_msg("%s is not protected", protected[i]);
	}
	for (size_t i = 0; i < COUNT(others); i++) {
		const char *why = protect_unit(others[i], &facts);

		if (why)
			fail_msg("%s: %s", others[i], why);
	}
}

static uint64_t device_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_dev;
}

static void test_protected_mounts(void **state)
{
	struct facts facts = {.policy = &policy, .own_pids = {getpid(), 0}};

	assert_string_equal(protect_mount("/x", device_of("/"), &facts), "it is the root");
	assert_non_null(protect_mount("/x", device_of("/etc"), &facts));
	assert_non_null(protect_mount("/x", device_of("/proc/self/exe"), &facts));
	assert_string_equal(protect_mount("/srv/keep", device_of("/proc"), &facts),
			    "it is protected by the policy");
	assert_null(protect_mount("/proc", device_of("/proc"), &facts));
	facts.runtime_dir = "/proc/1";
	assert_string_equal(protect_mount("/proc", device_of("/proc"), &facts),
			    "it holds faultd's own files");
	facts.runtime_dir = "/no/such";
	facts.state_dir = "/proc";
	assert_non_null(protect_mount("/proc", device_of("/proc"), &facts));
}

/* PID 1 is in the root of some hierarchy, or below a root that is a namespace's. */
static void test_protected_cgroup(void **state)
{
	const struct facts facts = {.policy = &policy, .own_pids = {getpid(), 0}};
	char buffer[160];
	const char *why = protect_cgroup("/", &facts, buffer, sizeof(buffer));
	struct cgroup_layout l;

	if (cgroup_layout_read(&l) < 0 || l.n == 0)
		skip();
	assert_non_null(why);
	assert_non_null(protect_target("/", &facts, buffer, sizeof(buffer)));
	assert_non_null(protect_cgroup("/no-such-cgroup", &facts, buffer, sizeof(buffer)));
}

/* A slice has what is in it, a service what it made below itself; a container its own units. */
static void test_protected_units_around(void **state)
{
	static const char *const directories[] = {
		"",
		"/a.slice",
		"/a.slice/a-b.slice",
		"/a.slice/a-b.slice/mine.service",
		"/a.slice/a-b.slice/mine.service/inner",
		"/c.slice",
		"/c.slice/web.service",
		"/c.slice/box.scope",
		"/c.slice/box.scope/system.slice",
		"/c.slice/box.scope/system.slice/mine.service",
		"/other",
		"/other/mine.service",
	};
	struct facts facts = {.policy = &policy, .cgroups.n = 1};
	char *mount = facts.cgroups.hierarchy[0].mount;
	char path[256], buffer[160];

	(void)strcpy(mount, "/tmp/faultd-test-XXXXXX");
	assert_non_null(mkdtemp(mount));
	for (size_t i = 1; i < COUNT(directories); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", mount, directories[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	for (size_t i = 1; i < COUNT(directories); i++) {
		const char *why = protect_units_of(directories[i], &facts, buffer, sizeof(buffer));

		if (!why != (i > 4))
			fail_msg("%s: %s", directories[i], why ? why : "not protected");
	}
	for (size_t i = COUNT(directories); i-- > 0;) {
		(void)snprintf(path, sizeof(path), "%s%s", mount, directories[i]);
		assert_int_equal(rmdir(path), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selection_mode),
		cmocka_unit_test(test_bad_selection_mode),
		cmocka_unit_test(test_random_place),
		cmocka_unit_test(test_describe),
		cmocka_unit_test(test_add_load),
		cmocka_unit_test(test_add_leaf),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_the_root_is_the_host),
		cmocka_unit_test(test_no_target),
		cmocka_unit_test(test_skip),
		cmocka_unit_test(test_leaves_differ),
		cmocka_unit_test(test_protected_units),
		cmocka_unit_test(test_protected_mounts),
		cmocka_unit_test(test_protected_cgroup),
		cmocka_unit_test(test_protected_units_around),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
