/* SPDX-License-Identifier: Apache-2.0 */
/* plan/journal: lines, checksums, and what a whole, torn or damaged file still owes. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "plan/journal.h"

#define FILE_MAX 8192

static const struct journal_header header = {.id = "f-0h3k7m2q9x4a",
					     .action = "network-loss",
					     .boot = "01234567-89ab-cdef-0123-456789abcdef",
					     .deadline = UINT64_MAX,
					     .pid = 4711,
					     .start = 12345,
					     .number = 99};

static struct step pause_of(uint64_t pid)
{
	struct step s = {.kind = STEP_SIGNAL,
			 .process = {.pid = pid, .start = pid * 2, .name = "a %\nb", .signal = 19}};

	return s;
}

/* Feeds `n` bytes as whoever reads the file does: whole lines in order, a torn tail left out. */
static void replay_bytes(const char *data, size_t n, struct journal_replay *ret)
{
	size_t at = 0;

	memset(ret, 0, sizeof(*ret));
	while (at < n) {
		const char *end = memchr(data + at, '\n', n - at);
		char line[FILE_MAX];

		if (!end)
			return;
		memcpy(line, data + at, (size_t)(end - data) - at);
		line[(size_t)(end - data) - at] = '\0';
		journal_replay_line(ret, line, (off_t)at);
		at = (size_t)(end - data) + 1;
	}
}

/* Four steps: 0 undone, 1 applied, 2 begun, 3 only planned; step 1 has learned something. */
static size_t write_file(char *data)
{
	struct text t = {.data = data, .size = FILE_MAX};
	struct step s = pause_of(100);

	journal_print_header(&header, &t);
	for (size_t i = 0; i < 4; i++) {
		s = pause_of(100 + i);
		journal_print_step(i, &s, &t);
	}
	journal_print_mark(JOURNAL_BEGIN, 0, &t);
	journal_print_mark(JOURNAL_DID, 0, &t);
	s = pause_of(101);
	s.process.was_stopped = 1;
	journal_print_step(1, &s, &t);
	journal_print_mark(JOURNAL_BEGIN, 1, &t);
	journal_print_mark(JOURNAL_DID, 1, &t);
	journal_print_mark(JOURNAL_BEGIN, 2, &t);
	journal_print_mark(JOURNAL_UNDONE, 0, &t);
	assert_false(t.cut);
	return t.length;
}

static void test_crc(void **state)
{
	assert_true(crc32_of("", 0) == 0);
	assert_true(crc32_of("123456789", 9) == 0xcbf43926);
	assert_true(crc32_of("\0\0\0\0", 4) == 0x2144df1c);
	assert_true(crc32_of("\xff\xff\xff\xff", 4) == 0xffffffff);
}

static void test_header(void **state)
{
	char buffer[512];
	struct text t = TEXT(buffer);
	struct journal_header back;
	enum journal_line_type type;
	const char *body;
	size_t index;

	journal_print_header(&header, &t);
	assert_false(t.cut);
	assert_int_equal(buffer[t.length - 1], '\n');
	buffer[t.length - 1] = '\0';
	assert_int_equal(journal_parse(buffer, &type, &index, &body), 0);
	assert_int_equal(type, JOURNAL_FAULT);
	assert_int_equal(journal_parse_header(body, &back), 0);
	assert_memory_equal(&back, &header, sizeof(header));
}

static void test_header_bad(void **state)
{
	static const char *const cases[] = {
		"",
		"id=a",
		"id=a action=b boot=c deadline=1 pid=2 start=3",
		"id=a action=b boot=c deadline=x pid=2 start=3 number=4",
		"id= action=b boot=c deadline=1 pid=2 start=3 number=4",
		"id=0123456789012345678901234567890 action=b boot=c deadline=1 pid=2 start=3 number=4",
		"action=b id=a boot=c deadline=1 pid=2 start=3 number=4",
	};
	struct journal_header h;

	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(journal_parse_header(cases[i], &h), -EBADMSG);
}

static void test_step_line(void **state)
{
	char buffer[JOURNAL_LINE_MAX];
	struct text t = TEXT(buffer);
	struct step s = pause_of(7), back;
	enum journal_line_type type;
	const char *body;
	size_t index;

	journal_print_step(STEPS_MAX - 1, &s, &t);
	assert_ptr_equal(strchr(buffer, '\n'), buffer + t.length - 1);
	buffer[t.length - 1] = '\0';
	assert_int_equal(journal_parse(buffer, &type, &index, &body), 0);
	assert_int_equal(type, JOURNAL_STEP);
	assert_int_equal(index, STEPS_MAX - 1);
	assert_int_equal(step_decode(body, &back), 0);
	assert_memory_equal(&back, &s, sizeof(s));
}

/* The longest step fits a line, and one that would not is marked as cut. */
static void test_longest_step(void **state)
{
	struct step s = {.kind = STEP_CHILD, .child = {.pid = UINT64_MAX, .start = UINT64_MAX}};
	char buffer[JOURNAL_LINE_MAX], small[64];
	struct text t = TEXT(buffer), u = TEXT(small);

	memset(s.child.load, '\n', sizeof(s.child.load) - 1);
	journal_print_step(STEPS_MAX - 1, &s, &t);
	assert_false(t.cut);
	journal_print_step(STEPS_MAX - 1, &s, &u);
	assert_true(u.cut);
}

static void test_marks(void **state)
{
	for (unsigned i = JOURNAL_BEGIN; i < _JOURNAL_LINE_TYPE_MAX; i++) {
		char buffer[80];
		struct text t = TEXT(buffer);
		enum journal_line_type type;
		const char *body;
		size_t index;

		journal_print_mark((enum journal_line_type)i, 1023, &t);
		buffer[t.length - 1] = '\0';
		assert_int_equal(journal_parse(buffer, &type, &index, &body), 0);
		assert_int_equal(type, i);
		assert_int_equal(index, i == JOURNAL_END ? 0 : 1023);
		assert_string_equal(body, "");
	}
}

/* A body with its right checksum in front. */
static int parse_sealed(const char *body, enum journal_line_type *type, size_t *index)
{
	char line[256];
	const char *ret;

	(void)snprintf(line, sizeof(line), "%08x %s", crc32_of(body, strlen(body)), body);
	return journal_parse(line, type, index, &ret);
}

static void test_bad_lines(void **state)
{
	static const char *const sealed[] = {
		"",          " ",        "begin",      "begin ",
		"begin x",   "begin -1", "begin 1024", "begin 99999999999999999999",
		"Begin 1",   "begins 1", "step",       "undone",
		"nothing 1", " begin 1", "beg"};
	static const char *const unsealed[] = {"",          "x",
					       "begin 0",   "00000000 begin 0",
					       "00000000",  "00000000 ",
					       "0 begin 0", "zzzzzzzz begin 0",
					       "        ",  "00000000begin 0"};
	enum journal_line_type type;
	const char *body;
	size_t index;

	for (size_t i = 0; i < COUNT(sealed); i++)
		assert_int_equal(parse_sealed(sealed[i], &type, &index), -EBADMSG);
	for (size_t i = 0; i < COUNT(unsealed); i++)
		assert_int_equal(journal_parse(unsealed[i], &type, &index, &body), -EBADMSG);
	assert_int_equal(parse_sealed("begin 1023", &type, &index), 0);
	assert_int_equal(index, 1023);
}

static void test_replay(void **state)
{
	char data[FILE_MAX], line[FILE_MAX];
	struct journal_replay r;
	enum journal_line_type type;
	struct step s;
	const char *body;
	size_t index;

	replay_bytes(data, write_file(data), &r);
	assert_true(r.has_header);
	assert_false(r.ended);
	assert_memory_equal(&r.header, &header, sizeof(header));
	assert_int_equal(r.n_steps, 4);
	assert_int_equal(r.bad_lines, 0);
	assert_false(journal_owes(&r, 0));
	assert_true(journal_owes(&r, 1));
	assert_true(journal_owes(&r, 2));
	assert_false(journal_owes(&r, 3));
	for (size_t i = 4; i < STEPS_MAX; i++)
		assert_false(journal_owes(&r, i));

	/* the last line of a step counts */
	(void)snprintf(line, sizeof(line), "%s", data + r.step_at[1]);
	*strchr(line, '\n') = '\0';
	assert_int_equal(journal_parse(line, &type, &index, &body), 0);
	assert_int_equal(index, 1);
	assert_int_equal(step_decode(body, &s), 0);
	assert_int_equal(s.process.was_stopped, 1);
}

static void test_end(void **state)
{
	char data[FILE_MAX];
	struct text t = {.data = data, .size = FILE_MAX};
	struct journal_replay r;

	t.length = write_file(data);
	journal_print_mark(JOURNAL_END, 0, &t);
	replay_bytes(data, t.length, &r);
	assert_true(r.ended);
}

/* What the first `n` bytes owe, said by their complete lines alone. */
static void expect_of_prefix(const char *data, size_t n, bool owes[4])
{
	char text[FILE_MAX];
	size_t whole = n;

	while (whole > 0 && data[whole - 1] != '\n')
		whole--;
	memcpy(text, data, whole);
	text[whole] = '\0';
	for (unsigned i = 0; i < 4; i++) {
		char begin[32], undone[32];

		(void)snprintf(begin, sizeof(begin), " begin %u\n", i);
		(void)snprintf(undone, sizeof(undone), " undone %u\n", i);
		owes[i] = strstr(text, begin) && !strstr(text, undone);
	}
}

static void test_truncated(void **state)
{
	char data[FILE_MAX];
	size_t n = write_file(data);

	for (size_t cut = 0; cut <= n; cut++) {
		struct journal_replay r;
		bool owes[4];

		replay_bytes(data, cut, &r);
		expect_of_prefix(data, cut, owes);
		assert_int_equal(r.bad_lines, 0);
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(journal_owes(&r, i), owes[i]);
	}
}

/* A tail that was torn and then written over, as after a full disk. */
static void test_torn_then_garbage(void **state)
{
	char data[FILE_MAX];
	size_t n = write_file(data);
	struct journal_replay r;

	memcpy(data + n, "1234 beg\n", 9);
	replay_bytes(data, n + 9, &r);
	assert_int_equal(r.bad_lines, 1);
	assert_true(journal_owes(&r, 1) && journal_owes(&r, 2));
}

/* Any one line may be lost: everything else is still undone. */
static void test_bad_line_in_the_middle(void **state)
{
	char data[FILE_MAX];
	size_t n = write_file(data);

	for (size_t at = 0; at < n;) {
		char copy[FILE_MAX];
		size_t end = (size_t)((const char *)memchr(data + at, '\n', n - at) - data);
		struct journal_replay r;

		memcpy(copy, data, n);
		memset(copy + at, '#', end - at);
		replay_bytes(copy, n, &r);
		assert_int_equal(r.bad_lines, 1);
		/* 1 was begun and done: one of the two lines is enough */
		assert_true(journal_owes(&r, 1));
		if (memmem(copy, n, " begin 2\n", 9))
			assert_true(journal_owes(&r, 2));
		at = end + 1;
	}
}

/* Compares what two files mean. */
static bool same_replay(const struct journal_replay *a, const struct journal_replay *b)
{
	return memcmp(&a->header, &b->header, sizeof(a->header)) == 0 && a->ended == b->ended &&
	       a->n_steps == b->n_steps &&
	       memcmp(a->step_at, b->step_at, sizeof(a->step_at)) == 0 &&
	       memcmp(a->begun, b->begun, sizeof(a->begun)) == 0 &&
	       memcmp(a->undone, b->undone, sizeof(a->undone)) == 0;
}

/* Every byte replaced by every other: it is noticed, or it means the same (a checksum's digit in
 * another spelling). */
static void test_flips(void **state)
{
	static struct journal_replay whole, r;
	char data[FILE_MAX];
	size_t n = write_file(data);

	replay_bytes(data, n, &whole);
	for (size_t at = 0; at < n; at++) {
		char was = data[at];

		for (unsigned bit = 0; bit < 8; bit++) {
			data[at] = (char)(was ^ (1 << bit));
			replay_bytes(data, n, &r);
			/* without its newline the last line is a torn one */
			if (r.bad_lines == 0 && at != n - 1)
				assert_true(same_replay(&whole, &r));
		}
		data[at] = was;
	}
}

/* In the text behind the checksum, any change of one byte is noticed. */
static void test_flips_of_a_line(void **state)
{
	char line[256];
	struct text t = TEXT(line);
	struct step s = pause_of(5);
	enum journal_line_type type;
	const char *body;
	size_t index;

	journal_print_step(3, &s, &t);
	line[t.length - 1] = '\0';
	for (size_t at = 8; at < t.length - 1; at++) {
		char was = line[at];

		for (unsigned c = 1; c < 256; c++) {
			if ((char)c == was)
				continue;
			line[at] = (char)c;
			assert_int_equal(journal_parse(line, &type, &index, &body), -EBADMSG);
		}
		line[at] = was;
	}
	assert_int_equal(journal_parse(line, &type, &index, &body), 0);
}

/* Random histories of steps against a plain model. */
static void test_histories(void **state)
{
	static char data[256 * 1024];
	static struct journal_replay r;
	uint64_t seed = 42;

	for (unsigned round = 0; round < 100; round++) {
		struct text t = {.data = data, .size = sizeof(data)};
		size_t n = 1 + random_below(&seed, 64);
		bool begun[64] = {0}, undone[64] = {0};

		journal_print_header(&header, &t);
		for (size_t i = 0; i < n; i++) {
			struct step s = pause_of(i + 1);

			journal_print_step(i, &s, &t);
		}
		for (unsigned k = 0; k < 100; k++) {
			size_t i = random_below(&seed, n);

			if (!begun[i])
				journal_print_mark(JOURNAL_BEGIN, i, &t);
			else
				journal_print_mark(undone[i] ? JOURNAL_UNDONE : JOURNAL_DID, i, &t);
			undone[i] |= begun[i] && random_below(&seed, 2);
			if (undone[i])
				journal_print_mark(JOURNAL_UNDONE, i, &t);
			begun[i] = true;
		}
		assert_false(t.cut);
		replay_bytes(data, t.length, &r);
		assert_int_equal(r.n_steps, n);
		assert_int_equal(r.bad_lines, 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(journal_owes(&r, i), begun[i] && !undone[i]);
	}
}

/* Waves come and go: what was undone and begun anew is owed again. */
static void test_begun_anew(void **state)
{
	char data[FILE_MAX];
	struct text t = TEXT(data);
	struct journal_replay r;
	struct step s = pause_of(1);

	journal_print_header(&header, &t);
	journal_print_step(0, &s, &t);
	for (unsigned wave = 0; wave < 3; wave++) {
		journal_print_mark(JOURNAL_BEGIN, 0, &t);
		replay_bytes(data, t.length, &r);
		assert_true(journal_owes(&r, 0));
		journal_print_mark(JOURNAL_DID, 0, &t);
		journal_print_mark(JOURNAL_UNDONE, 0, &t);
		replay_bytes(data, t.length, &r);
		assert_false(journal_owes(&r, 0));
	}
	/* The line that says so may be the one that is lost. */
	journal_print_mark(JOURNAL_DID, 0, &t);
	replay_bytes(data, t.length, &r);
	assert_true(journal_owes(&r, 0));
}

/* Workers were killed and are off the record; their cgroup goes when the kernel has done with them.
 */
static void test_what_has_no_effect(void **state)
{
	char data[FILE_MAX];
	struct text t = {.data = data, .size = FILE_MAX};
	const struct step cgroup = {.kind = STEP_CGROUP, .cgroup = {.path = "/x", .made = 1}},
			  child = {.kind = STEP_CHILD, .child = {.load = "cpu", .pid = 5}};
	struct journal_replay r;

	journal_print_header(&header, &t);
	journal_print_step(0, &cgroup, &t);
	journal_print_step(1, &child, &t);
	journal_print_mark(JOURNAL_BEGIN, 0, &t);
	journal_print_mark(JOURNAL_BEGIN, 1, &t);
	replay_bytes(data, t.length, &r);
	assert_true(journal_owes(&r, 0) && journal_owes(&r, 1));
	assert_true(!journal_affects(&r, 0) && journal_affects(&r, 1));
	journal_print_mark(JOURNAL_UNDONE, 1, &t);
	replay_bytes(data, t.length, &r);
	assert_true(journal_owes(&r, 0) && !journal_affects(&r, 0));
	assert_false(journal_affects(&r, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_header_bad),
		cmocka_unit_test(test_step_line),
		cmocka_unit_test(test_longest_step),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_torn_then_garbage),
		cmocka_unit_test(test_bad_line_in_the_middle),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_flips_of_a_line),
		cmocka_unit_test(test_histories),
		cmocka_unit_test(test_begun_anew),
		cmocka_unit_test(test_what_has_no_effect),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
