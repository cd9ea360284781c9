/* SPDX-License-Identifier: Apache-2.0 */
/* plan/step: steps to text and back, sentences, sameness. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "plan/step.h"

/* Blanks, the escape itself, what ends a line or a field, control characters, bytes above ASCII. */
static const char *const odd_names[] = {"",
					"plain",
					"a b",
					" ",
					"%",
					"%%20",
					"a=b",
					"kind=x",
					"a\nb",
					"\t",
					"\x01",
					"\x7f",
					"\xff",
					"a) R",
					"pid=1 pid=2",
					"%0",
					"\xc3\xa4\xe2\x82\xac"};

static const char *encode(const struct step *s)
{
	static char line[4096];
	struct text t = TEXT(line);

	step_encode(s, &t);
	assert_false(t.cut);
	return line;
}

/* What is encoded comes back; encoded again it is the same text. */
static void check_round_trip(const struct step *s, struct step *ret)
{
	const char *line = encode(s);
	char *first = strdup(line);

	assert_non_null(first);
	for (const char *p = first; *p; p++)
		assert_true(*p >= ' ' && *p <= '~');
	assert_int_equal(step_decode(first, ret), 0);
	assert_int_equal(ret->kind, s->kind);
	assert_string_equal(encode(ret), first);
	free(first);
}

static void test_child(void **state)
{
	for (size_t i = 0; i < COUNT(odd_names); i++) {
		struct step s = {.kind = STEP_CHILD, .child = {.pid = UINT64_MAX, .start = 7}},
			    back;

		(void)snprintf(s.child.load, sizeof(s.child.load), "%s", odd_names[i]);
		check_round_trip(&s, &back);
		assert_string_equal(back.child.load, s.child.load);
		assert_true(back.child.pid == UINT64_MAX && back.child.start == 7);
	}
}

static void test_hooks(void **state)
{
	static const enum step_kind kinds[] = {STEP_BPF_LINK, STEP_QDISC, STEP_FILTER,
					       STEP_RULE,     STEP_CUT,   STEP_LINK};

	for (size_t k = 0; k < COUNT(kinds); k++) {
		for (size_t i = 0; i < COUNT(odd_names); i++) {
			struct step s = {.kind = kinds[k],
					 .hook = {.ifindex = 3, .direction = 1, .ours = 1}},
				    back;

			(void)snprintf(s.hook.ifname, sizeof(s.hook.ifname), "%s", odd_names[i]);
			check_round_trip(&s, &back);
			assert_string_equal(back.hook.ifname, s.hook.ifname);
			assert_true(back.hook.ifindex == 3 && back.hook.direction == 1 &&
				    back.hook.ours == 1);
		}
	}
}

/* Only a step in another namespace than faultd's says so, and says where. */
static void test_namespaces(void **state)
{
	static const enum step_kind kinds[] = {STEP_BPF_LINK, STEP_QDISC, STEP_FILTER, STEP_RULE,
					       STEP_SHAPER};

	for (size_t k = 0; k < COUNT(kinds); k++) {
		struct step s = {.kind = kinds[k], .hook = {.ifname = "eth0", .ifindex = 3}}, back;
		char line[1024];
		struct text t = TEXT(line);

		assert_ptr_equal(step_hook_of(&s), &s.hook);
		step_encode(&s, &t);
		assert_null(strstr(line, "netns"));
		s.hook.netns = (struct netns){.inode = 4026532000, .cookie = 9};
		(void)snprintf(s.hook.netns.path, sizeof(s.hook.netns.path), "/run/netns/a b");
		(void)snprintf(s.hook.place, sizeof(s.hook.place), "container 3f1c");
		check_round_trip(&s, &back);
		assert_true(netns_same(&back.hook.netns, &s.hook.netns));
		assert_string_equal(back.hook.netns.path, "/run/netns/a b");
		t = (struct text)TEXT(line);
		step_describe(&s, &t);
		assert_non_null(strstr(line, "in container 3f1c"));
		t = (struct text)TEXT(line);
		step_describe(&back, &t);
		assert_non_null(strstr(line, "in /run/netns/a b"));
	}
	assert_null(step_hook_of(&(struct step){.kind = STEP_CHILD}));
}

static void test_keep(void **state)
{
	for (size_t i = 0; i < COUNT(odd_names); i++) {
		struct step s = {.kind = STEP_KEEP, .keep = {.type = 24, .read_boot_ns = 5}}, back;

		s.hook.ifindex = 3;
		(void)snprintf(s.keep.shown, sizeof(s.keep.shown), "%s", odd_names[i]);
		memset(s.keep.message, 'f', sizeof(s.keep.message) - 1);
		check_round_trip(&s, &back);
		assert_string_equal(back.keep.shown, s.keep.shown);
		assert_string_equal(back.keep.message, s.keep.message);
		assert_true(back.hook.ifindex == 3 && back.keep.type == 24 &&
			    back.keep.read_boot_ns == 5);
		assert_true(step_same(&s, &back));
		back.hook.netns.inode++; /* two containers may have the same */
		assert_false(step_same(&s, &back));
		back.hook.netns = s.hook.netns;
		back.keep.message[0] = '0';
		assert_false(step_same(&s, &back));
	}
}

static void test_processes(void **state)
{
	static const enum step_kind kinds[] = {STEP_SIGNAL, STEP_KILL};

	for (size_t k = 0; k < COUNT(kinds); k++) {
		for (size_t i = 0; i < COUNT(odd_names); i++) {
			struct step s = {.kind = kinds[k],
					 .process = {.pid = 4194304,
						     .start = 99,
						     .signal = 19,
						     .was_stopped = 1}};
			struct step back;

			(void)snprintf(s.process.name, sizeof(s.process.name), "%s", odd_names[i]);
			check_round_trip(&s, &back);
			assert_string_equal(back.process.name, s.process.name);
			assert_true(back.process.pid == 4194304 && back.process.start == 99);
			assert_true(back.process.signal == 19 && back.process.was_stopped == 1);
		}
	}
}

/* Every byte that a name can have, at full length. */
static void test_every_byte(void **state)
{
	for (int c = 1; c < 256; c++) {
		struct step s = {.kind = STEP_SIGNAL}, back;

		memset(s.process.name, c, sizeof(s.process.name) - 1);
		check_round_trip(&s, &back);
		assert_memory_equal(back.process.name, s.process.name, sizeof(s.process.name));
	}
}

static void test_encoding(void **state)
{
	struct step s = {.kind = STEP_KILL,
			 .process = {.pid = 12, .start = 34, .name = "a %b", .signal = 15}};

	assert_string_equal(encode(&s),
			    "kind=kill pid=12 start=34 name=a%20%25b signal=15 stopped_before=0");
}

static void test_malformed(void **state)
{
	static const char *const cases[] = {
		"",
		" ",
		"kind",
		"kind=",
		"kind=nothing",
		"kind=signals pid=1 start=1 name=a signal=1 stopped_before=0",
		"kind=signal",
		"kind=signal pid=1 start=1 name=a signal=1",
		"kind=signal pid= start=1 name=a signal=1 stopped_before=0",
		"kind=signal pid=x start=1 name=a signal=1 stopped_before=0",
		"kind=signal pid=-1 start=1 name=a signal=1 stopped_before=0",
		"kind=signal pid=1.5 start=1 name=a signal=1 stopped_before=0",
		"kind=signal pid=18446744073709551616 start=1 name=a signal=1 stopped_before=0",
		"kind=signal pid=000000000000000000000000001 start=1 name=a signal=1 stopped_before=0",
		"kind=signal pid=1 start=1 name=0123456789abcdef signal=1 stopped_before=0",
		"kind=signal pid=1 start=1 name=%2 signal=1 stopped_before=0",
		"kind=signal pid=1 start=1 name=% signal=1 stopped_before=0",
		"kind=signal pid=1 start=1 name=%zz signal=1 stopped_before=0",
		"kind=signal pid=1 start=1 name=%4G signal=1 stopped_before=0",
		"kind=signal xpid=1 start=1 name=a signal=1 stopped_before=0",
		"kind=qdisc dev=eth0 ifindex=1 direction=0",
		"kind=child load=a pid=1",
		"kind=%",
		"kind=signalsignalsignalsignal",
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct step s;

		if (step_decode(cases[i], &s) != -EBADMSG)
			fail_msg("%s was accepted", cases[i]);
	}
}

/* Every field is needed, so every beginning of a good line is refused. */
static void test_truncated(void **state)
{
	struct step s = {.kind = STEP_SIGNAL,
			 .process = {.pid = 12, .start = 34, .name = "a b", .signal = 19}};
	char line[256];
	struct text t = TEXT(line);

	step_encode(&s, &t);
	while (t.length-- > 0) {
		struct step back;

		line[t.length] = '\0';
		assert_int_equal(step_decode(line, &back), -EBADMSG);
	}
}

static void test_tables(void **state)
{
	for (unsigned k = 0; k < _STEP_KIND_MAX; k++) {
		struct step s = {.kind = (enum step_kind)k};
		char what[1024] = "", undo[256] = "";
		struct text w = TEXT(what), u = TEXT(undo);

		assert_true(step_kind_name(s.kind)[0]);
		assert_true(step_hold(s.kind) < _HOLD_MAX);
		step_describe(&s, &w);
		step_describe_undo(&s, &u);
		assert_true(w.length > 0 && u.length > 0);
		assert_true(what[w.length - 1] != '.' && undo[u.length - 1] != '.');
		for (unsigned i = 0; i < k; i++)
			assert_string_not_equal(step_kind_name(s.kind),
						step_kind_name((enum step_kind)i));
	}
	for (unsigned i = 0; i < _STEP_STATE_MAX; i++)
		assert_true(step_state_name((enum step_state)i)[0]);
	for (unsigned i = 0; i < _HOLD_MAX; i++)
		assert_true(hold_name((enum hold)i)[0]);
}

static void test_holds(void **state)
{
	assert_int_equal(step_hold(STEP_CHILD), HOLD_CHILD);
	assert_int_equal(step_hold(STEP_BPF_LINK), HOLD_KERNEL);
	assert_int_equal(step_hold(STEP_QDISC), HOLD_JOURNAL);
	assert_int_equal(step_hold(STEP_FILTER), HOLD_JOURNAL);
	assert_int_equal(step_hold(STEP_RULE), HOLD_KERNEL);
	assert_int_equal(step_hold(STEP_SIGNAL), HOLD_JOURNAL);
	assert_int_equal(step_hold(STEP_KILL), HOLD_NONE);
}

/* The longest there is: nothing is written past the text, only cut. */
static void test_describe_full_rule(void **state)
{
	struct step s = {.kind = STEP_RULE};
	char what[8192], little[16];
	struct text t = TEXT(what), small = TEXT(little);

	s.rule.rule.n_dst_ports = s.rule.rule.n_src_ports = CLASSIFY_PORTS;
	for (unsigned i = 0; i < CLASSIFY_PORTS; i++)
		s.rule.rule.dst_ports[i] = s.rule.rule.src_ports[i] =
			(struct classify_ports){60000, 65535};
	s.rule.include.n = s.rule.exclude.n = CIDRS_MAX;
	memset(s.rule.include.cidr, 0xab, sizeof(s.rule.include.cidr));
	s.rule.rule.n_flows = CLASSIFY_FLOWS;
	s.rule.rule.threshold = UINT32_MAX;
	s.rule.rule.flow_threshold = UINT32_MAX / 3;
	s.rule.rule.flags = RULE_ESTABLISHED;
	step_describe(&s, &t);
	assert_false(t.cut);
	assert_non_null(strstr(what, "drop 100 % of"));
	assert_non_null(strstr(what, ", of established connections, of 33.3333 % of flows,"));
	assert_non_null(strstr(what, "sparing 4 connections of the caller"));
	step_describe(&s, &small);
	assert_true(small.cut);
	assert_int_equal(strlen(little), sizeof(little) - 1);
}

static void test_same(void **state)
{
	struct step a = {.kind = STEP_SIGNAL, .process = {.pid = 1, .start = 2}}, b = a;

	b.process.was_stopped = 1;
	assert_true(step_same(&a, &b));
	b.process.start = 3;
	assert_false(step_same(&a, &b));
	a.kind = b.kind = STEP_KILL;
	b = a;
	assert_false(step_same(&a, &b)); /* a signal may be sent again */

	a = (struct step){.kind = STEP_FILTER,
			  .hook = {.ifname = "eth0", .ifindex = 2, .direction = 0}};
	b = a;
	b.hook.ours = 1;
	(void)snprintf(b.hook.ifname, sizeof(b.hook.ifname), "renamed");
	assert_true(step_same(&a, &b));
	b.hook.direction = 1;
	assert_false(step_same(&a, &b));
	b = a;
	b.hook.ifindex = 3;
	assert_false(step_same(&a, &b));
	b = a;
	b.kind = STEP_QDISC;
	assert_false(step_same(&a, &b));
	b = a;
	b.hook.netns.inode = 4026532000;
	assert_false(step_same(&a, &b));
	a.hook.netns = b.hook.netns;
	assert_true(step_same(&a, &b));
	a.hook.netns.cookie = 7; /* the number is used again */
	assert_false(step_same(&a, &b));

	a = (struct step){.kind = STEP_CHILD, .child = {.load = "cpu --cpu 0", .pid = 5}};
	b = (struct step){.kind = STEP_CHILD, .child = {.load = "cpu --cpu 0", .pid = 6}};
	assert_true(step_same(&a, &b));
	b.child.load[10] = '1';
	assert_false(step_same(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child),      cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_namespaces), cmocka_unit_test(test_keep),
		cmocka_unit_test(test_processes),  cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_encoding),   cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_truncated),  cmocka_unit_test(test_tables),
		cmocka_unit_test(test_holds),      cmocka_unit_test(test_describe_full_rule),
		cmocka_unit_test(test_same),
	};

	return cmocka_run_group_tests_name("step", tests, NULL, NULL);
}
