/* SPDX-License-Identifier: Apache-2.0 */
/* Mutated input with a fixed seed: nothing crashes, refusals have a message, what is accepted keeps
 * its meaning when it is printed and read again. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "actions/action.h"
#include "plan/journal.h"
#include "plan/policy.h"
#include "plan/request.h"
#include "util/duration.h"

#define INPUT_MAX 2048

static const char *const tokens[] = {
	"{",
	"}",
	"[",
	"]",
	"\"",
	":",
	",",
	"null",
	"true",
	"false",
	"-1",
	"1e400",
	"1e-400",
	"0",
	"\\",
	"\\u0000",
	"\\ud800",
	"\\ud83d\\ude00",
	"\xff",
	"\xc3\xa4",
	"\xed\xa0\x80",
	"%",
	"%20",
	"%00",
	"=",
	" ",
	"\n",
	"\t",
	"kind=",
	"pid=",
	"18446744073709551616",
	"99999999999999999999999",
	"1h",
	"ms",
	"PT",
	"1.5s",
	"0-65535",
	"::/0",
	"10.0.0.0/8",
	"parameters",
	"action",
	"step",
	"begin 0",
	"undone",
	"end",
};

static size_t put_token(char *data, size_t n, size_t at, uint64_t *seed)
{
	const char *token = tokens[random_below(seed, COUNT(tokens))];
	size_t length = strlen(token);

	if (n + length >= INPUT_MAX)
		return n;
	memmove(data + at + length, data + at, n - at);
	memcpy(data + at, token, length);
	return n + length;
}

static size_t cut_out(char *data, size_t n, size_t at, uint64_t *seed)
{
	size_t length = random_below(seed, n - at + 1);

	memmove(data + at, data + at + length, n - at - length);
	return n - length;
}

static size_t repeat(char *data, size_t n, size_t at, uint64_t *seed)
{
	size_t length = random_below(seed, n - at + 1);

	if (n + length >= INPUT_MAX)
		return n;
	memmove(data + at + length, data + at, n - at);
	return n + length;
}

/* One to four changes of `n` bytes. Returns the new length, below INPUT_MAX. */
static size_t mutate(char *data, size_t n, uint64_t *seed)
{
	for (size_t times = 1 + random_below(seed, 4); times > 0; times--) {
		size_t at = random_below(seed, n + 1);

		switch (random_below(seed, 6)) {
		case 0:
			if (at < n)
				data[at] = (char)(data[at] ^ (1 << random_below(seed, 8)));
			break;
		case 1:
			if (at < n)
				data[at] = (char)next_random(seed);
			break;
		case 2:
		case 3:
			n = put_token(data, n, at, seed);
			break;
		case 4:
			n = cut_out(data, n, at, seed);
			break;
		default:
			n = repeat(data, n, at, seed);
			break;
		}
	}
	return n;
}

/* One of the corpus, mutated, in memory of exactly its size (and a NUL): the sanitizer sees the
 * rest. */
static char *next_input(const char *const *corpus, size_t n_corpus, uint64_t *seed,
			size_t *ret_length)
{
	const char *from = corpus[random_below(seed, n_corpus)];
	static char data[INPUT_MAX];
	size_t n = strlen(from);
	char *copy;

	memcpy(data, from, n);
	n = mutate(data, n, seed);
	copy = malloc(n + 1);
	assert_non_null(copy);
	memcpy(copy, data, n);
	copy[n] = '\0';
	*ret_length = n;
	return copy;
}

static void test_duration(void **state)
{
	static const char *const corpus[] = {"500ms",        "1h30m15s", "1.5s", "PT5M",
					     "P1DT2H3M4.5S", "366d",     "0s",   "1d2h3m4s5ms"};
	uint64_t seed = 1;

	for (unsigned i = 0; i < 150000; i++) {
		size_t n;
		char *s = next_input(corpus, COUNT(corpus), &seed, &n), buffer[32];
		struct text t = TEXT(buffer);
		uint64_t ms, again;

		if (duration_parse(s, &ms) == 0) {
			duration_print(ms, &t);
			assert_int_equal(duration_parse(buffer, &again), 0);
			assert_int_equal(ms, again);
		}
		free(s);
	}
}

static void test_step(void **state)
{
	static const char *const corpus[] = {
		"kind=signal pid=12 start=34 name=a%20b signal=19 stopped_before=0",
		"kind=kill pid=12 start=34 name=nginx signal=15 stopped_before=0",
		"kind=child load=cpu%20--cpu%200%20--percent%2050 pid=99 start=7",
		"kind=qdisc dev=eth0 ifindex=2 direction=0 ours=1",
		"kind=filter dev=eth0 ifindex=2 direction=0 ours=0 netns=4026532000 netns_cookie=9 netns_path=/run/netns/a%20b",
		"kind=filter dev=eth0 ifindex=2 direction=1 ours=0",
		"kind=bpf_link dev=eth0 ifindex=2 direction=1 ours=0",
		"kind=rule dev=eth0 ifindex=2 direction=1 ours=0",
	};
	uint64_t seed = 2;

	for (unsigned i = 0; i < 150000; i++) {
		size_t n;
		char *s = next_input(corpus, COUNT(corpus), &seed, &n);
		char first[2048], second[2048], what[2048];
		struct text t = TEXT(first), u = TEXT(second), w = TEXT(what);
		struct step a, b;

		if (step_decode(s, &a) == 0) {
			step_encode(&a, &t);
			assert_int_equal(step_decode(first, &b), 0);
			step_encode(&b, &u);
			assert_string_equal(first, second);
			step_describe(&a, &w);
			step_describe_undo(&a, &w);
		}
		free(s);
	}
}

static void test_journal_lines(void **state)
{
	static const char *const bodies[] = {
		"fault id=f-1 action=a boot=b deadline=1 pid=2 start=3 number=4",
		"step 0 kind=signal pid=12 start=34 name=a signal=19 stopped_before=0",
		"begin 0",
		"did 1023",
		"undone 1",
		"end",
	};
	uint64_t seed = 3;
	static struct journal_replay replay;

	/* With a right checksum in front, so that what is behind it is read. */
	for (unsigned i = 0; i < 150000; i++) {
		size_t n;
		char *body = next_input(bodies, COUNT(bodies), &seed, &n);
		char line[INPUT_MAX + 16];

		(void)snprintf(line, sizeof(line), "%08x %s", crc32_of(body, strlen(body)), body);
		journal_replay_line(&replay, line, i);
		assert_true(replay.n_steps <= STEPS_MAX);
		free(body);
	}
	for (unsigned i = 0; i < 150000; i++) {
		static const char *const lines[] = {"96fcca0f begin 0", "00000000 end",
						    "1c291ca3 step 0 kind=kill"};
		size_t n;
		char *line = next_input(lines, COUNT(lines), &seed, &n);

		journal_replay_line(&replay, line, i);
		free(line);
	}
	for (size_t i = 0; i < STEPS_MAX; i++)
		(void)journal_owes(&replay, i);
}

static const char *const requests[] = {
	"{\"action\":\"network-loss\",\"duration\":\"5m\",\"parameters\":{\"percent\":20,\"ports\":\"443,8000-8010\"}}",
	"{\"action\":\"cpu-stress\",\"duration\":\"1s\",\"dryRun\":true,\"attach\":false,\"parameters\":{\"cpus\":\"0-3\"}}",
	"{\"action\":\"process-kill\",\"confirm\":true,\"clientToken\":\"t\",\"lease\":\"10s\",\"parameters\":{}}",
	"{\"action\":\"a\",\"parameters\":{\"x\":[1,2,{\"y\":\"\\u00e4\\\\\"}]},\"duration\":\"PT5M\"}",
};

static void test_request(void **state)
{
	uint64_t seed = 4;

	for (unsigned i = 0; i < 150000; i++) {
		struct request q;
		struct error e = {0};
		size_t n;
		char *s = next_input(requests, COUNT(requests), &seed, &n);
		int r = request_parse(s, n, &q, &e);

		free(s);
		assert_int_equal(r < 0, e.message[0] != '\0');
		if (r == 0) {
			assert_true(q.action[0] && q.parameters);
			request_done(&q);
		}
	}
}

/* Texts of parameters out of the rows themselves: a plausible value for every row, then mutated. */
static const char *value_for(const struct row *row)
{
	static const char *const values[_ROW_TYPE_MAX] = {
		[ROW_INTEGER] = "5",
		[ROW_NUMBER] = "12.5",
		[ROW_BOOLEAN] = "true",
		[ROW_STRING] = "\"text\"",
		[ROW_DURATION] = "\"30s\"",
		[ROW_PORTS] = "[443,\"8000-8010\"]",
		[ROW_PEERS] = "\"10.0.0.0/8,2001:db8::/32,example.com,all\"",
		[ROW_NAMES] = "\"eth0, eth1\"",
		[ROW_NUMBERS] = "[1,2,3]",
		[ROW_BYTES] = "\"2GiB\"",
		[ROW_QUANTITY] = "\"1.5M\"",
	};
	static char quoted[64];

	if (row->type != ROW_ENUM)
		return values[row->type];
	(void)snprintf(quoted, sizeof(quoted), "\"%s\"", row->values[0]);
	return quoted;
}

static void write_parameters(const struct action *a, char *to, size_t size)
{
	struct text t = {.data = to, .size = size};

	for (size_t i = 0; i < a->n_rows; i++)
		text_add(&t, "%s\"%s\":%s", i ? "," : "{", a->rows[i].name, value_for(&a->rows[i]));
	text_add(&t, "}");
	assert_false(t.cut);
}

static void try_parameters(const struct action *a, const struct alias *alias, const char *text,
			   size_t n, void *params)
{
	struct error e = {0};
	cJSON *json = json_read(text, n, &e), *printed;
	uint64_t ms;
	int r;

	if (!json) {
		assert_true(e.message[0]);
		return;
	}
	r = action_parse(a, alias, json, params, &ms, &e);
	cJSON_Delete(json);
	assert_int_equal(r < 0, e.message[0] != '\0');
	assert_int_equal(r < 0, e.code != ERROR_NONE);
	if (r < 0)
		return;
	printed = schema_print(a->rows, a->n_rows, params);
	r = schema_parse(a->rows, a->n_rows, printed, "parameters", params, a->params_size, &e);
	cJSON_Delete(printed);
	if (r < 0)
		fail_msg("%s: accepted, printed and then refused: %s", text, e.message);
}

static void test_parameters(void **state)
{
	uint64_t seed = 5;

	for (size_t k = 0; k < n_actions; k++) {
		const struct action *a = actions[k];
		void *params = malloc(a->params_size);
		char text[1024];
		const char *corpus[] = {text, "{}"};

		assert_non_null(params);
		write_parameters(a, text, sizeof(text));
		try_parameters(a, NULL, text, strlen(text), params);
		for (unsigned i = 0; i < 20000; i++) {
			size_t n;
			char *s = next_input(corpus, COUNT(corpus), &seed, &n);

			try_parameters(a, NULL, s, n, params);
			free(s);
		}
		free(params);
	}
}

static void test_aliases(void **state)
{
	static const char *const corpus[] = {
		"{\"LoadPercent\":\"50\",\"CPU\":\"0\",\"DurationSeconds\":\"60\",\"InstallDependencies\":\"True\"}",
		"{\"LossPercent\":\"7\",\"Interface\":\"eth0\",\"Sources\":\"ALL\",\"DurationSeconds\":\"60\"}",
		"{\"Protocol\":\"tcp\",\"Port\":\"80\",\"TrafficType\":\"ingress\",\"DurationSeconds\":\"60\"}",
		"{\"ProcessName\":\"nginx\",\"Signal\":\"SIGTERM\"}",
		"{\"percent\":\"5\",\"workers\":\"0\",\"processName\":\"a\"}",
	};
	uint64_t seed = 6;

	for (size_t k = 0; k < n_actions; k++) {
		void *params = malloc(actions[k]->params_size);

		assert_non_null(params);
		for (const struct alias *a = actions[k]->aliases; a && a->name; a++) {
			for (unsigned i = 0; i < 6000; i++) {
				size_t n;
				char *s = next_input(corpus, COUNT(corpus), &seed, &n);

				try_parameters(actions[k], a, s, n, params);
				free(s);
			}
		}
		free(params);
	}
}

/* The configuration: what is taken can be released, what is not says why. */
static void test_config(void **state)
{
	static const char *const corpus[] = {
		"{\"maxFaults\":8,\"protectedProcesses\":[\"a\"],\"fis\":{\"region\":\"eu-west-1\","
		"\"account\":\"000000000000\",\"listen\":\"[::1]:7340\",\"tags\":{\"a\":\"b\"}}}",
		"{\"policy\":{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\","
		"\"Principal\":[\"uid:1\",\"gid:2\",\"*\"],\"Action\":\"fis:*\",\"NotResource\":[\"*\"],"
		"\"Condition\":{\"ForAnyValue:StringLike\":{\"aws:TagKeys\":[\"a*\"]},"
		"\"NumericLessThanIfExists\":{\"fis:Duration\":5}}}]}}",
		"{\"roles\":{\"arn:aws:iam::000000000000:role/a\":{\"Statement\":{\"Effect\":\"Allow\","
		"\"Action\":\"*\",\"Resource\":\"*\"}}},\"accessKeys\":[{\"accessKeyId\":\"AKIA1\","
		"\"secretAccessKey\":\"0123456789abcdef\"}]}",
	};
	const struct caller caller = {.uid = 1000, .gid = 2};
	uint64_t seed = 7;

	for (unsigned i = 0; i < 60000; i++) {
		const struct access_question q = {.action = "fis:GetAction", .resource = "*"};
		struct error e = {0}, denied = {0};
		struct policy p;
		size_t n;
		char *s = next_input(corpus, COUNT(corpus), &seed, &n);
		int r = policy_parse(s, n, NULL, &p, &e);

		free(s);
		assert_int_equal(r < 0, e.message[0] != '\0');
		if (r < 0)
			continue;
		(void)access_check_caller(p.access, &caller, 0, &q, &denied);
		policy_done(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration),      cmocka_unit_test(test_step),
		cmocka_unit_test(test_journal_lines), cmocka_unit_test(test_request),
		cmocka_unit_test(test_parameters),    cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_config),
	};

	return cmocka_run_group_tests_name("fuzz", tests, NULL, NULL);
}
