/* SPDX-License-Identifier: Apache-2.0 */
/* experiment/template: what is a template, and all that is wrong with one that is none. */
#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "experiment/identity.h"
#include "experiment/resource.h"
#include "experiment/template.h"
#include "plan/schema.h"

static const struct identity identity = {
	.partition = "aws", .region = "eu-west-1", .account = "111122223333"};

static const char *const good[] = {
#include "template-good.h"
};

#define ROLE "\"roleArn\":\"arn:aws:iam::111122223333:role/fis\""
#define NONE "\"stopConditions\":[{\"source\":\"none\"}]"
/* One action with a target: what a case changes, member by member. */
static const char base[] =
	"{\"description\":\"d\"," ROLE "," NONE
	",\"targets\":{\"t\":{\"resourceType\":\"aws:ec2:instance\",\"selectionMode\":\"ALL\"}},"
	"\"actions\":{\"a\":{\"actionId\":\"host:cpu-stress\",\"parameters\":{\"duration\":\"1s\"},"
	"\"targets\":{\"Instances\":\"t\"}}}}";

static int make(void **state)
{
	return catalogue_make();
}

static int done(void **state)
{
	catalogue_free();
	return 0;
}

static cJSON *json_of(const char *text)
{
	struct error e = {0};
	cJSON *json = json_read(text, strlen(text), &e);

	if (!json)
		fail_msg("%s: %s", e.message, text);
	return json;
}

static void tell(const struct problems *p, struct text *t)
{
	for (size_t i = 0; i < p->n; i++)
		text_add(t, "%s: %s\n", p->problem[i].path, p->problem[i].text);
}

static struct template *parse(const char *text)
{
	struct problems problems = {0};
	struct template *t = NULL;
	char told[2048] = "";
	struct text to = TEXT(told);
	int r = template_parse(json_of(text), &t, &problems);

	tell(&problems, &to);
	if (r < 0)
		fail_msg("%s%s", told, text);
	assert_int_equal(problems.n, 0);
	return t;
}

/* What was given, of what FIS shows. */
static void strip(cJSON *printed)
{
	static const char *const made[] = {"id", "arn", "creationTime", "lastUpdateTime",
					   "targetAccountConfigurationsCount"};

	for (size_t i = 0; i < COUNT(made); i++) {
		assert_non_null(cJSON_GetObjectItemCaseSensitive(printed, made[i]));
		cJSON_DeleteItemFromObjectCaseSensitive(printed, made[i]);
	}
}

/* Printed, read again and printed again it is the same; so it is from the store. */
static void check_same(struct template *t)
{
	struct problems problems = {0};
	struct template *again = NULL, *loaded = NULL;
	cJSON *first = template_print(t, &identity), *second, *saved, *third;

	assert_non_null(first);
	cJSON *copy = cJSON_Duplicate(first, true);
	strip(copy);
	if (template_parse(copy, &again, &problems) < 0)
		fail_msg("%s: %s", problems.problem[0].path, problems.problem[0].text);
	second = template_print(again, &identity);
	strip(first);
	strip(second);
	assert_true(cJSON_Compare(first, second, true));
	(void)strcpy(t->id, "EXT1");
	saved = template_save(t);
	assert_int_equal(template_load(saved, &loaded, &problems), 0);
	third = template_print(loaded, &identity);
	strip(third);
	assert_true(cJSON_Compare(first, third, true));
	assert_string_equal(loaded->canonical, t->canonical);
	cJSON_Delete(first);
	cJSON_Delete(second);
	cJSON_Delete(third);
	cJSON_Delete(saved);
	template_unref(again);
	template_unref(loaded);
	problems_done(&problems);
}

static void test_good(void **state)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		struct template *t = parse(good[i]);

		assert_true(t->n_actions > 0 && t->references == 1 && t->canonical[0]);
		check_same(t);
		template_unref(t);
	}
}

/* Those that are shipped. */
static void test_shipped(void **state)
{
	DIR *dir = opendir(TEMPLATES_DIR);
	const struct dirent *entry;
	unsigned n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char path[1024], text[16384] = "";
		FILE *f;

		if (!strstr(entry->d_name, ".json"))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", TEMPLATES_DIR, entry->d_name);
		f = fopen(path, "re");
		assert_non_null(f);
		assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
		(void)fclose(f);
		template_unref(parse(text));
		n++;
	}
	(void)closedir(dir);
	assert_true(n >= 10);
}

/* What the engine reads out of one. */
static void test_fields(void **state)
{
	struct template *t = parse(
		"{\"clientToken\":\"c\",\"description\":\"two\"," ROLE ","
		"\"tags\":{\"Purpose\":\"Test\"},"
		"\"experimentOptions\":{\"emptyTargetResolutionMode\":\"skip\"},"
		"\"stopConditions\":[{\"source\":\"host:psi\",\"value\":\"resource=memory kind=some stall=150ms window=1s\"}],"
		"\"targets\":{\"tasks\":{\"resourceType\":\"aws:ecs:task\",\"selectionMode\":\"PERCENT(50)\","
		"\"parameters\":{\"cluster\":\"c\"},\"filters\":[{\"path\":\"LaunchType\",\"values\":[\"EC2\",\"FARGATE\"]}]}},"
		"\"actions\":{\"second\":{\"actionId\":\"host:wait\",\"parameters\":{\"duration\":\"5ms\"},\"startAfter\":[\"first\"]},"
		"\"first\":{\"actionId\":\"aws:ecs:task-kill-process\",\"parameters\":{\"processName\":\"x\"},\"targets\":{\"Tasks\":\"tasks\"}}}}");

	assert_string_equal(t->description, "two");
	assert_string_equal(t->client_token, "c");
	assert_string_equal(t->role_arn, "arn:aws:iam::111122223333:role/fis");
	assert_null(cJSON_GetObjectItem(t->json, "clientToken"));
	assert_null(cJSON_GetObjectItem(t->json, "tags"));
	assert_int_equal(cJSON_GetArraySize(t->tags), 1);
	assert_null(strstr(t->canonical, "clientToken"));
	assert_non_null(strstr(t->canonical, "Purpose"));
	assert_int_equal(t->empty, EMPTY_RESOLUTION_SKIP);
	assert_int_equal(t->n_targets, 1);
	assert_string_equal(t->targets[0].type->name, "aws:ecs:task");
	assert_int_equal(t->targets[0].selection, SELECT_PERCENT);
	assert_int_equal(t->targets[0].selection_n, 50);
	assert_int_equal(t->targets[0].n_filters, 1);
	assert_string_equal(t->targets[0].filters[0].values[1], "FARGATE");
	assert_int_equal(t->n_actions, 2);
	assert_string_equal(t->actions[0].name, "second");
	assert_int_equal(t->actions[0].kind->kind, FIS_WAIT);
	assert_int_equal(t->actions[0].duration_ms, 5);
	assert_int_equal(t->actions[0].n_after, 1);
	assert_int_equal(t->actions[0].after[0], 1);
	assert_int_equal(t->actions[0].target, -1);
	assert_null(template_target_type(t, &t->actions[0]));
	assert_int_equal(t->actions[1].target, 0);
	assert_string_equal(t->actions[1].target_key, "Tasks");
	assert_ptr_equal(template_target_type(t, &t->actions[1]), t->targets[0].type);
	assert_int_equal(t->actions[1].duration_ms, 0);
	assert_int_equal(t->n_conditions, 1);
	assert_string_equal(t->conditions[0].source, "host:psi");
	template_unref(t);
}

static void test_print(void **state)
{
	struct template *t = parse(base);
	cJSON *full, *summary;

	(void)strcpy(t->id, "EXTabc");
	t->created_at = (struct timespec){.tv_sec = 1700000000, .tv_nsec = 250000000};
	t->updated_at = (struct timespec){.tv_sec = 1700000001};
	full = template_print(t, &identity);
	summary = template_print_summary(t, &identity);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(summary, "arn")),
			    "arn:aws:fis:eu-west-1:111122223333:experiment-template/EXTabc");
	assert_true(cJSON_GetObjectItem(full, "creationTime")->valuedouble == 1700000000.25);
	assert_int_equal(cJSON_GetArraySize(summary), 6);
	assert_int_equal(cJSON_GetArraySize(full), 12);
	cJSON_Delete(full);
	cJSON_Delete(summary);
	template_unref(t);
}

/* A case is the base with one member replaced ("" : taken out). */
static void check_bad(const char *member, const char *value, char *told, size_t size,
		      enum error_code *ret_code)
{
	struct problems problems = {0};
	struct template *t = NULL;
	struct text to = {.data = told, .size = size};
	cJSON *json = json_of(base);

	told[0] = '\0';
	cJSON_DeleteItemFromObjectCaseSensitive(json, member);
	if (value[0])
		cJSON_AddItemToObject(json, member, cJSON_Parse(value));
	assert_int_equal(template_parse(json, &t, &problems), -EINVAL);
	assert_null(t);
	tell(&problems, &to);
	*ret_code = problems.code;
	problems_done(&problems);
}

static void test_bad(void **state)
{
	static const struct {
		const char *member, *value;
		enum error_code code;
		const char *told;
	} cases[] = {
#include "template-bad.h"
	};
	size_t wrong = 0;

	for (size_t i = 0; i < COUNT(cases); i++) {
		char told[8192];
		enum error_code code;

		check_bad(cases[i].member, cases[i].value, told, sizeof(told), &code);
		if (code == cases[i].code && strcmp(told, cases[i].told) == 0)
			continue;
		wrong++;
		print_error("#%zu %s %.300s\n%d\n", i, cases[i].member, cases[i].value, (int)code);
		(void)fputs(told, stderr);
	}
	assert_int_equal(wrong, 0);
}

/* What a source says of its value is test-probe.c's: here, that it is asked, and where it is told.
 */
static void test_bad_conditions(void **state)
{
	char told[1024];
	enum error_code code;

	check_bad("stopConditions", "[{\"source\":\"aws:sns:topic\"}]", told, sizeof(told), &code);
	assert_ptr_equal(strstr(told,
				"stopConditions[0].source: aws:sns:topic is no source; allowed: "
				"none, aws:cloudwatch:alarm, host:"),
			 told);
	check_bad("stopConditions",
		  "[{\"source\":\"host:psi\",\"value\":\"resource=disk stall=1s\"}]", told,
		  sizeof(told), &code);
	assert_int_equal(code, ERROR_VALIDATION);
	assert_ptr_equal(strstr(told, "stopConditions[0].value: resource: "), told);
}

/* Twenty actions, each wrong in another way: twenty problems, each at its own. */
static void test_twenty(void **state)
{
	static const char *const wrong[] = {
		"{\"actionId\":\"aws:no:such\"}",
		"{\"actionId\":\"aws:rds:failover-db-cluster\"}",
		"{\"actionId\":5}",
		"{}",
		"\"wait\"",
		"{\"actionId\":\"aws:fis:wait\",\"parameters\":{}}",
		"{\"actionId\":\"aws:fis:wait\",\"parameters\":{\"duration\":\"PT1S\"}}",
		"{\"actionId\":\"aws:fis:wait\",\"parameters\":{\"duration\":\"soon\"}}",
		"{\"actionId\":\"aws:fis:wait\",\"parameters\":{\"duration\":60}}",
		"{\"actionId\":\"aws:fis:wait\",\"parameters\":[]}",
		"{\"actionId\":\"aws:fis:wait\",\"parameters\":{\"duration\":\"PT1M\",\"x\":\"1\"}}",
		"{\"actionId\":\"host:wait\",\"parameters\":{\"duration\":\"13h\"}}",
		"{\"actionId\":\"host:wait\",\"parameters\":{\"duration\":\"1s\"},\"startAfter\":[\"nobody\"]}",
		"{\"actionId\":\"host:wait\",\"parameters\":{\"duration\":\"1s\"},\"startAfter\":\"a0\"}",
		"{\"actionId\":\"host:wait\",\"parameters\":{\"duration\":\"1s\"},\"targets\":{\"Hosts\":\"t\"}}",
		"{\"actionId\":\"host:wait\",\"parameters\":{\"duration\":\"1s\"},\"more\":1}",
		"{\"actionId\":\"host:wait\",\"parameters\":{\"duration\":\"1s\"},\"description\":\"\"}",
		"{\"actionId\":\"host:cpu-stress\",\"parameters\":{\"duration\":\"1s\"},\"targets\":{\"Instances\":\"u\"}}",
		"{\"actionId\":\"host:cpu-stress\",\"parameters\":{\"duration\":\"1s\",\"percent\":\"200\"}}",
		"{\"actionId\":\"aws:ec2:reboot-instances\"}",
	};
	struct problems problems = {0};
	struct template *t = NULL;
	cJSON *json = json_of(base), *all = cJSON_CreateObject();

	for (size_t i = 0; i < COUNT(wrong); i++) {
		char name[24];

		(void)snprintf(name, sizeof(name), "a%zu", i);
		cJSON_AddItemToObject(all, name, cJSON_Parse(wrong[i]));
	}
	cJSON_ReplaceItemInObjectCaseSensitive(json, "actions", all);
	assert_int_equal(template_parse(json, &t, &problems), -EINVAL);
	assert_int_equal(problems.n, 20);
	for (size_t i = 0; i < problems.n; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "actions.a%zu", i);
		assert_memory_equal(problems.problem[i].path, path, strlen(path));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(problems.problem[k].text, problems.problem[i].text);
	}
	problems_done(&problems);
}

/* Large, in every direction: answered at once, with a bounded number of problems. */

#define LARGE 1000000

static void add_many(char *text, const char *begin, const char *each, const char *end)
{
	size_t n = strlen(begin), one = strlen(each), tail = strlen(end);

	memcpy(text, begin, n);
	for (unsigned i = 0; n + one + tail + 16 < LARGE; i++) {
		/* Each has a place for a number of five digits. */
		memcpy(text + n, each, one);
		for (char *at = text + n; (at = memchr(at, '#', (size_t)(text + n + one - at)));) {
			char number[8];

			(void)snprintf(number, sizeof(number), "%05u", i % 100000);
			memcpy(at, number, 5);
		}
		n += one;
		text[n++] = ',';
	}
	memcpy(text + n - 1, end, tail + 1);
}

static void check_large(const char *text)
{
	struct problems problems = {0};
	struct template *t = NULL;
	struct timespec begun, ended;
	struct error e = {0};
	cJSON *printed, *json = json_read(text, strlen(text), &e);
	double seconds;

	if (!json)
		fail_msg("%s", e.message);
	(void)clock_gettime(CLOCK_MONOTONIC, &begun);
	assert_int_equal(template_parse(json, &t, &problems), -EINVAL);
	(void)clock_gettime(CLOCK_MONOTONIC, &ended);
	seconds = (double)(ended.tv_sec - begun.tv_sec) +
		  (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
	if (seconds > 3)
		fail_msg("%.1f s for %.100s", seconds, text);
	assert_true(problems.n >= 1 && problems.n <= PROBLEMS_MAX);
	printed = problems_print(&problems);
	assert_non_null(printed);
	assert_true(strlen(cJSON_GetObjectItem(printed, "message")->valuestring) <= 1024);
	cJSON_Delete(printed);
	problems_done(&problems);
}

static void test_large(void **state)
{
	static const struct {
		const char *begin, *each, *end;
	} cases[] = {
		{"{", "\"m#####\":1", "}"},
		{"{", "\"actions\":{}", "}"},
		{"{\"actions\":{", "\"a#####\":{}", "}}"},
		{"{\"actions\":{", "\"a\":{}", "}}"},
		{"{\"actions\":{", "\"a#####\":{\"actionId\":\"host:cpu-stress\"}", "}}"},
		{"{\"actions\":{\"a\":{\"actionId\":\"host:network-loss\",\"parameters\":{",
		 "\"p#####\":\"1\"", "}}}}"},
		{"{\"actions\":{\"a\":{\"actionId\":\"host:network-loss\",\"parameters\":{",
		 "\"percent\":\"1\"", "}}}}"},
		{"{\"actions\":{\"a\":{\"actionId\":\"host:wait\",\"startAfter\":[", "\"b#####\"",
		 "]}}}"},
		{"{\"actions\":{\"a\":{\"actionId\":\"host:wait\",\"startAfter\":[", "\"b\"",
		 "]},\"b\":{\"actionId\":\"host:wait\"}}}"},
		{"{\"actions\":{\"a\":{\"actionId\":\"host:cpu-stress\",\"targets\":{",
		 "\"Tasks\":\"#####\"", "}}}}"},
		{"{\"actions\":{\"a\":{\"actionId\":\"aws:cloudwatch:assert-alarm-state\",\"parameters\":{\"alarmStates\":\"",
		 "OK", "\"}}}}"},
		{"{\"targets\":{", "\"t#####\":{\"resourceType\":\"host:process\"}", "}}"},
		{"{\"targets\":{", "\"t\":{}", "}}"},
		{"{\"targets\":{\"t\":{\"resourceArns\":[", "\"arn:aws:ec2:::instance/i-#####\"",
		 "]}}}"},
		{"{\"targets\":{\"t\":{\"filters\":[", "{\"path\":\"a\",\"values\":[\"#####\"]}",
		 "]}}}"},
		{"{\"targets\":{\"t\":{\"filters\":[{\"path\":\"a\",\"values\":[", "\"#####\"",
		 "]}]}}}"},
		{"{\"targets\":{\"t\":{\"resourceTags\":{", "\"k#####\":\"\"", "}}}}"},
		{"{\"targets\":{\"t\":{\"resourceType\":\"host:process\",\"parameters\":{",
		 "\"p#####\":\"\"", "}}}}"},
		{"{\"targets\":{\"t\":{\"resourceType\":\"host:process\",\"parameters\":{",
		 "\"name\":\"a\"", "}}}}"},
		{"{\"tags\":{", "\"k\":\"\"", "}}"},
		{"{\"stopConditions\":[", "{\"source\":\"#####\"}", "]}"},
		{"{\"stopConditions\":[", "{\"source\":\"none\"}", "]}"},
		{"{\"description\":\"", "\\u00e4\\\\", "\"}"},
		{"{\"", "\\u0001", "\":1}"},
		{"{\"actions\":{\"a\":{\"actionId\":\"", "aws:", "\"}}}"},
		{"{\"roleArn\":\"", "arn:", "\"}"},
		{"{\"clientToken\":\"", "x", "\"}"},
	};
	char *text = malloc(LARGE + 1);

	assert_non_null(text);
	for (size_t i = 0; i < COUNT(cases); i++) {
		add_many(text, cases[i].begin, cases[i].each, cases[i].end);
		assert_true(strlen(text) > LARGE - 200);
		check_large(text);
	}
	free(text);
}

/* Changing */

static struct template *patch(const struct template *t, const char *text, char *told, size_t size)
{
	struct problems problems = {0};
	struct template *new = NULL;
	struct text to = {.data = told, .size = size};
	int r = template_patch(t, json_of(text), &new, &problems);

	told[0] = '\0';
	tell(&problems, &to);
	assert_int_equal(r == 0, new != NULL);
	assert_int_equal(r<0, problems.n> 0);
	problems_done(&problems);
	return new;
}

static void test_patch(void **state)
{
	static const char logs[] =
		"{\"logConfiguration\":{\"logSchemaVersion\":2,\"s3Configuration\":{\"bucketName\":\"bucket\"}},"
		"\"experimentOptions\":{\"emptyTargetResolutionMode\":\"skip\"},\"description\":\"new\"}";
	struct template *t = parse(base), *new, *newer;
	char told[1024], *before = cJSON_PrintUnformatted(t->json);

	(void)strcpy(t->id, "EXT1");
	(void)strcpy(t->client_token, "token");
	t->created_at.tv_sec = 7;
	cJSON_AddStringToObject(t->tags, "k", "v");
	new = patch(t, logs, told, sizeof(told));
	assert_non_null(new);
	assert_string_equal(new->description, "new");
	assert_string_equal(new->id, "EXT1");
	assert_string_equal(new->client_token, "token");
	assert_string_equal(new->canonical, t->canonical);
	assert_int_equal(new->created_at.tv_sec, 7);
	assert_int_equal(new->empty, EMPTY_RESOLUTION_SKIP);
	assert_true(cJSON_Compare(new->tags, t->tags, true));
	assert_int_equal(new->n_actions, 1);

	newer = patch(new,
		      "{\"logConfiguration\":{\"s3Configuration\":{\"bucketName\":\"other\"}}}",
		      told, sizeof(told));
	assert_non_null(newer);
	assert_int_equal(newer->empty, EMPTY_RESOLUTION_SKIP);
	template_unref(newer);
	newer = patch(new, "{\"logConfiguration\":{}}", told, sizeof(told));
	assert_non_null(newer);
	assert_null(cJSON_GetObjectItem(newer->json, "logConfiguration"));
	template_unref(newer);
	newer = patch(new, "{}", told, sizeof(told));
	assert_true(cJSON_Compare(newer->json, new->json, true));
	template_unref(newer);

	assert_null(patch(
		t,
		"{\"tags\":{},\"id\":\"x\",\"experimentOptions\":{\"accountTargeting\":\"single-account\"},"
		"\"targets\":{}}",
		told, sizeof(told)));
	assert_string_equal(
		told,
		"tags: unknown member; allowed: actions, description, experimentOptions, experimentReportConfiguration, "
		"logConfiguration, roleArn, stopConditions, targets\n"
		"id: unknown member; allowed: actions, description, experimentOptions, experimentReportConfiguration, "
		"logConfiguration, roleArn, stopConditions, targets\n"
		"experimentOptions.accountTargeting: cannot be changed; allowed: emptyTargetResolutionMode\n"
		"actions.a.targets.Instances: t is not among the targets\n");
	/* The old one is as it was. */
	char *after = cJSON_PrintUnformatted(t->json);

	assert_string_equal(before, after);
	free(before);
	free(after);
	template_unref(new);
	template_unref(t);
}

/* The same request in another order has the same canonical form; another has another. */
static void test_canonical(void **state)
{
	struct template *a = parse(
		"{\"description\":\"d\"," ROLE "," NONE
		",\"clientToken\":\"1\",\"actions\":{\"a\":{\"actionId\":\"host:wait\",\"parameters\":{\"duration\":\"1s\"}}}}");
	struct template *b = parse(
		"{\"clientToken\":\"2\",\"actions\":{\"a\":{\"parameters\":{\"duration\":\"1s\"},\"actionId\":\"host:wait\"}}," NONE
		"," ROLE ",\"description\":\"d\"}");
	struct template *c = parse(
		"{\"clientToken\":\"1\",\"actions\":{\"a\":{\"parameters\":{\"duration\":\"2s\"},\"actionId\":\"host:wait\"}}," NONE
		"," ROLE ",\"description\":\"d\"}");

	assert_string_equal(a->canonical, b->canonical);
	assert_string_not_equal(a->canonical, c->canonical);
	template_unref(template_ref(a));
	template_unref(a);
	template_unref(b);
	template_unref(c);
}

static void test_tags(void **state)
{
	struct problems problems = {0};
	cJSON *tags = json_of("{\"a\":\"\",\"b\":\"c\"}"),
	      *bad = json_of("{\"aws:a\":\"\",\"b\":7}");

	template_check_tags(tags, "tags", &problems);
	assert_int_equal(problems.n, 0);
	template_check_tags(bad, "tags", &problems);
	assert_int_equal(problems.n, 2);
	assert_string_equal(problems.problem[1].path, "tags.b");
	problems_done(&problems);
	cJSON_Delete(tags);
	cJSON_Delete(bad);
}

static void test_load(void **state)
{
	static const char *const bad[] = {"{}", "{\"id\":\"\",\"template\":{},\"tags\":{}}",
					  "{\"id\":\"x\",\"template\":[],\"tags\":{}}",
					  "{\"id\":\"x\",\"template\":{},\"tags\":{}}"};

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct problems problems = {0};
		struct template *t = NULL;
		cJSON *saved = json_of(bad[i]);

		assert_int_equal(template_load(saved, &t, &problems), -EINVAL);
		assert_true(problems.n > 0);
		problems_done(&problems);
		cJSON_Delete(saved);
	}
}

static void test_selection(void **state)
{
	static const struct {
		const char *text;
		int r;
		enum selection_kind kind;
		unsigned n;
	} cases[] = {
		{"ALL", 0, SELECT_ALL, 0},
		{"COUNT(1)", 0, SELECT_COUNT, 1},
		{"COUNT(1000000)", 0, SELECT_COUNT, 1000000},
		{"PERCENT(100)", 0, SELECT_PERCENT, 100},
		{"", -EINVAL, 0, 0},
		{"all", -EINVAL, 0, 0},
		{"COUNT", -EINVAL, 0, 0},
		{"COUNT(", -EINVAL, 0, 0},
		{"COUNT()", -EINVAL, 0, 0},
		{"COUNT(0)", -EINVAL, 0, 0},
		{"COUNT(-1)", -EINVAL, 0, 0},
		{"COUNT(1", -EINVAL, 0, 0},
		{"COUNT(1)x", -EINVAL, 0, 0},
		{"COUNT(99999999999999999999)", -EINVAL, 0, 0},
		{"PERCENT(101)", -EINVAL, 0, 0},
		{"PERCENT(50%)", -EINVAL, 0, 0},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		enum selection_kind kind;
		unsigned n;

		assert_int_equal(template_selection(cases[i].text, &kind, &n), cases[i].r);
		if (cases[i].r == 0) {
			assert_int_equal(kind, cases[i].kind);
			assert_int_equal(n, cases[i].n);
		}
	}
}

/* Mutations of good ones: nothing crashes, a refusal has a reason, what is accepted stays the same.
 */
#define INPUT_MAX 8192

static size_t mutate(char *data, size_t n, uint64_t *seed)
{
	static const char *const tokens[] = {
		"{",          "}",          "[",        "]",        "\"",      ":",
		",",          "null",       "true",     "-1",       "1e308",   "\\u00e4",
		"\\ud800",    "\xff",       "\xc3\xa4", "host:",    "aws:",    "COUNT(",
		"PT",         "ALL",        "none",     "duration", "actions", "targets",
		"startAfter", "parameters", "\"a\":{}", "arn:aws:", "\\\\\"",
	};

	for (size_t times = 1 + random_below(seed, 3); times > 0; times--) {
		size_t at = random_below(seed, n + 1), length = random_below(seed, 40);
		const char *token = tokens[random_below(seed, COUNT(tokens))];

		if (at + length > n)
			length = n - at;
		switch (random_below(seed, 5)) {
		case 0:
			if (at < n)
				data[at] = (char)next_random(seed);
			break;
		case 1:
			memmove(data + at, data + at + length, n - at - length);
			n -= length;
			break;
		case 2: /* twice */
			if (n + length < INPUT_MAX) {
				memmove(data + at + length, data + at, n - at);
				n += length;
			}
			break;
		case 3: /* from elsewhere */
			if (at + length <= n && length <= n)
				memmove(data + at, data + random_below(seed, n - length + 1),
					length);
			break;
		default:
			length = strlen(token);
			if (n + length < INPUT_MAX) {
				memmove(data + at + length, data + at, n - at);
				memcpy(data + at, token, length);
				n += length;
			}
			break;
		}
	}
	return n;
}

static void try(const char *data, size_t n, size_t *accepted, size_t *refused)
{
	struct problems problems = {0};
	struct template *t = NULL;
	struct error e = {0};
	char *exact = malloc(n + 1);
	cJSON *json;
	int r;

	assert_non_null(exact);
	memcpy(exact, data, n);
	exact[n] = '\0';
	json = json_read(exact, n, &e);
	if (json) {
		r = template_parse(json, &t, &problems);
		assert_true(r == 0 || r == -EINVAL);
		assert_int_equal(r == 0, problems.n == 0);
		if (r == 0) {
			check_same(t);
			template_unref(t);
			(*accepted)++;
		} else {
			(*refused)++;
		}
		problems_done(&problems);
	}
	free(exact);
}

static void test_mutations(void **state)
{
	static char data[INPUT_MAX];
	uint64_t seed = 7;
	size_t accepted = 0, refused = 0;

	for (unsigned i = 0; i < 40000; i++) {
		const char *from = good[random_below(&seed, COUNT(good))];
		size_t n = strlen(from);

		assert_true(n < INPUT_MAX);
		memcpy(data, from, n);
		try(data, mutate(data, n, &seed), &accepted, &refused);
	}
	/* It is not only the JSON that is refused. */
	assert_true(accepted > 400 && refused > 4000);
}

/* Whole values in the place of others: types that nobody expects there. */
static size_t count_values(const cJSON *json)
{
	size_t n = 1;

	for (const cJSON *c = json->child; c; c = c->next)
		n += count_values(c);
	return n;
}

static cJSON *value_at(cJSON *json, size_t *left)
{
	if ((*left)-- == 0)
		return json;
	for (cJSON *c = json->child; c; c = c->next) {
		cJSON *found = value_at(c, left);

		if (found)
			return found;
	}
	return NULL;
}

static void test_types(void **state)
{
	static const char *const values[] = {"null",
					     "true",
					     "1.5",
					     "\"\"",
					     "\"x\"",
					     "[]",
					     "{}",
					     "[null]",
					     "{\"a\":null}",
					     "[[\"x\"]]",
					     "{\"Instances\":\"t\"}"};

	for (size_t i = 0; i < COUNT(good); i++) {
		cJSON *whole = json_of(good[i]);
		size_t n = count_values(whole);

		for (size_t k = 1; k < n * COUNT(values); k++) {
			cJSON *json = cJSON_Duplicate(whole, true), *at;
			cJSON *value = cJSON_Parse(values[k / n]);
			struct problems problems = {0};
			struct template *t = NULL;
			size_t left = k % n;

			at = left ? value_at(json, &left) : NULL;
			if (at) { /* keeps its name and its neighbours */
				cJSON_Delete(at->child);
				free(at->valuestring);
				at->type = value->type;
				at->child = value->child;
				at->valuestring = value->valuestring;
				at->valuedouble = value->valuedouble;
				value->child = NULL;
				value->valuestring = NULL;
			}
			cJSON_Delete(value);
			if (template_parse(json, &t, &problems) == 0) {
				check_same(t);
				template_unref(t);
			} else {
				assert_true(problems.n > 0);
			}
			problems_done(&problems);
		}
		cJSON_Delete(whole);
	}
}

/* Memory that ends at any point of a tree: an error, nothing lost, nothing half made. */

static size_t allocations_left;

static void *limited_malloc(size_t n)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left--;
	return malloc(n);
}

/* Returns whether it went through. */
static bool try_with(cJSON *json, size_t allocations)
{
	static cJSON_Hooks limited = {limited_malloc, free};
	struct problems problems = {0};
	struct template *t = NULL, *loaded = NULL;
	cJSON *printed = NULL, *saved = NULL;
	int r;

	allocations_left = allocations;
	cJSON_InitHooks(&limited);
	r = template_parse(json, &t, &problems);
	if (r == 0) {
		(void)strcpy(t->id, "EXT1");
		printed = template_print(t, &identity);
		saved = template_save(t);
		if (saved)
			(void)template_load(saved, &loaded, &problems);
	}
	cJSON_InitHooks(NULL);
	assert_true(r == 0 || !t);
	cJSON_Delete(printed);
	cJSON_Delete(saved);
	template_unref(t);
	r = r == 0 && printed && saved && loaded ? 0 : -ENOMEM;
	template_unref(loaded);
	problems_done(&problems);
	return r == 0;
}

static void test_no_memory(void **state)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		cJSON *whole = json_of(good[i]);
		size_t n = 0;

		while (!try_with(cJSON_Duplicate(whole, true), n))
			n += 1 + n / 200;
		assert_true(n > 100);
		cJSON_Delete(whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),      cmocka_unit_test(test_shipped),
		cmocka_unit_test(test_fields),    cmocka_unit_test(test_print),
		cmocka_unit_test(test_bad),       cmocka_unit_test(test_bad_conditions),
		cmocka_unit_test(test_twenty),    cmocka_unit_test(test_large),
		cmocka_unit_test(test_patch),     cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_load),      cmocka_unit_test(test_tags),
		cmocka_unit_test(test_selection), cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_types),     cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("template", tests, make, done);
}
