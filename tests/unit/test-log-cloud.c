/* SPDX-License-Identifier: Apache-2.0 */
/* Records on their way to CloudWatch Logs and S3, against tests/lib/cloud_server.py. The loop ends
 * by itself when all is delivered or lost. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "server.h"
#include "test.h"

#include "cloud/cloud.h"
#include "experiment/identity.h"
#include "experiment/log.h"
#include "experiment/log_cloud.h"
#include "experiment/log_destination.h"
#include "util/log.h"

#define GROUP(name)                                                         \
	"{\"cloudWatchLogsConfiguration\":{\"logGroupArn\":\"arn:aws:logs:" \
	"eu-central-1:123456789012:log-group:" name ":*\"}}"
#define BUCKET(members) "{\"s3Configuration\":{" members "}}"
#define NOON_MS         INT64_C(1769860800000) /* 2026-01-31T12:00:00Z */

static uv_loop_t loop;
static struct cloud *cloud;
static struct log_cloud *l;
static char logged[4096];
static struct {
	char *text;
	size_t length;
} dumped;

static const struct identity identity = {
	.partition = "aws", .region = "eu-west-1", .account = "123456789012"};

static void on_log(enum log_level level, const char *fault, const char *action, const char *message)
{
	size_t n = strlen(logged);

	(void)snprintf(logged + n, sizeof(logged) - n, "%s\n", message);
}

static void assert_logged(const char *what)
{
	if (!strstr(logged, what))
		fail_msg("not logged: %s; but: %s", what, logged);
}

static void add(const char *configuration, const char *id, const char *line, int64_t time_ms)
{
	cJSON *json = cJSON_Parse(configuration);

	log_cloud_add(l, json, id, line, time_ms);
	cJSON_Delete(json);
}

static void run(void)
{
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
}

static void on_dump(const struct fetch_answer *a, void *arg)
{
	assert_int_equal(a->r, 0);
	free(dumped.text);
	dumped.text = strdup(a->body);
	dumped.length = a->length;
}

/* What the server has got, as text. */
static const char *dump(const char *what)
{
	char path[128];
	struct fetch_request q = {
		.method = "GET", .timeout_ms = 60000, .answer_max = 16 * 1024 * 1024};
	struct fetching *x;

	(void)snprintf(path, sizeof(path), "/dump/%s", what);
	q.url = url_of(path);
	assert_int_equal(fetch(cloud_fetcher(cloud), &q, on_dump, NULL, &x), 0);
	run();
	assert_non_null(dumped.text);
	return dumped.text;
}

static void test_cloudwatch(void **state)
{
	add(GROUP("faults/prod"), "EXP1", "{\"a\":\"\\\"é\\\"\"}", NOON_MS);
	add(GROUP("faults/prod"), "EXP1", "{\"b\":2}", NOON_MS);
	add(GROUP("faults/prod"), "EXP1", "{\"c\":3}", NOON_MS + 1);
	log_cloud_end(l, "EXP1");
	run();
	assert_string_equal(dump("faults/prod/aws/fis/EXP1"),
			    "1769860800000 {\"a\":\"\\\"é\\\"\"}\n"
			    "1769860800000 {\"b\":2}\n"
			    "1769860800001 {\"c\":3}\n");
	/* Its stream is there already; nobody says that this is its end. */
	add(GROUP("faults/prod"), "EXP1", "{\"d\":4}", NOON_MS + 2);
	run();
	assert_non_null(strstr(dump("faults/prod/aws/fis/EXP1"), "1769860800002 {\"d\":4}\n"));
	assert_string_equal(logged, "");
}

static void assert_matches(const char *text, const char *pattern)
{
	regex_t r;

	assert_int_equal(regcomp(&r, pattern, REG_EXTENDED), 0);
	if (regexec(&r, text, 0, NULL, 0) != 0)
		fail_msg("%s\nis not\n%s", text, pattern);
	regfree(&r);
}

/* As it is used: the log hands records on, and says when an experiment is over. */
static void test_through_the_log(void **state)
{
	cJSON *configuration = cJSON_Parse(GROUP("faults/log"));
	char dir[] = "/tmp/test-log-cloud-XXXXXX", path[sizeof(dir) + 32];
	struct experiment_log *log;
	uv_loop_t files;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(uv_loop_init(&files), 0);
	assert_int_equal(experiment_log_start(&files, dir, cloud, &identity, &log), 0);
	experiment_log(log, "EXPlog", LOG_EXPERIMENT_START, cJSON_CreateObject(), configuration);
	experiment_log(log, "EXPlocal", LOG_EXPERIMENT_START, cJSON_CreateObject(), NULL);
	experiment_log(log, "EXPlog", LOG_EXPERIMENT_END, cJSON_CreateObject(), configuration);
	cJSON_Delete(configuration);
	run();
	assert_matches(
		dump("faults/log/aws/fis/EXPlog"),
		"^[0-9]{13} \\{\"id\":\"EXPlog\",\"log_type\":\"experiment-start\",[^\n]*\\}\n"
		"[0-9]{13} \\{\"id\":\"EXPlog\",\"log_type\":\"experiment-end\",[^\n]*\\}\n$");
	experiment_log_stop(log);
	assert_int_equal(uv_run(&files, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&files), 0);
	run();
	experiment_log_free(log);
	(void)snprintf(path, sizeof(path), "%s/experiments/EXPlog.ndjson", dir);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/experiments/EXPlocal.ndjson", dir);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/experiments", dir);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_string_equal(logged, "");
}

static void test_s3(void **state)
{
	static const char named[] =
		"AWSLogs/123456789012/fis/eu-west-1/EXP2/2026/01/31/"
		"123456789012_awsfislogs_eu-west-1_EXP2_202601311200Z_[0-9a-f]{16}\\.log "
		"application/x-ndjson\n\\{\"a\":1\\}\n\\{\"b\":2\\}\n";
	const char *const configuration =
		BUCKET("\"bucketName\":\"a.bucket\",\"prefix\":\"/our logs/é+~/\"");
	char pattern[512];

	add(configuration, "EXP2", "{\"a\":1}", NOON_MS);
	add(configuration, "EXP2", "{\"b\":2}", NOON_MS + 90000);
	add(configuration, "EXP3", "{\"c\":3}", NOON_MS);
	log_cloud_end(l, "EXP2");
	log_cloud_end(l, "EXP3");
	add(BUCKET("\"bucketName\":\"bare\""), "EXP3b", "{\"d\":4}", NOON_MS);
	log_cloud_end(l, "EXP3b");
	run();
	(void)snprintf(pattern, sizeof(pattern), "^a.bucket/our%%20logs/%%C3%%A9%%2B~/%s", named);
	assert_matches(dump("objects"), pattern);
	assert_matches(dump("objects"),
		       "EXP3_202601311200Z_[0-9a-f]{16}.log [^\n]*\n\\{\"c\":3\\}");
	assert_matches(dump("objects"), "bare/AWSLogs/[^\n]*\n\\{\"d\":4\\}\n");
	assert_string_equal(logged, "");
}

static void test_both(void **state)
{
	static const char both[] =
		"{\"cloudWatchLogsConfiguration\":{\"logGroupArn\":\"arn:aws:logs:eu-central-1:"
		"123456789012:log-group:two\"},\"s3Configuration\":{\"bucketName\":\"two\"}}";

	add(both, "EXP4", "{\"both\":1}", NOON_MS);
	log_cloud_end(l, "EXP4");
	run();
	assert_non_null(strstr(dump("two/aws/fis/EXP4"), "{\"both\":1}"));
	assert_matches(dump("objects"), "two/AWSLogs/.*EXP4.*\n\\{\"both\":1\\}\n");
}

static void test_nowhere(void **state)
{
	log_cloud_add(l, NULL, "EXP5", "{}", NOON_MS);
	add("{\"logSchemaVersion\":2}", "EXP5", "{}", NOON_MS);
	assert_false(uv_loop_alive(&loop));
	log_cloud_end(l, "EXP5");
	assert_string_equal(logged, "");
}

static void test_what_leads_nowhere(void **state)
{
	static const char *const bad[] = {
		"{\"cloudWatchLogsConfiguration\":{\"logGroupArn\":\"arn:aws:s3:::b\"}}",
		"{\"cloudWatchLogsConfiguration\":{}}",
		GROUP("a:b"),
		GROUP(""),
		BUCKET("\"prefix\":\"a\""),
		BUCKET("\"bucketName\":\"a/b\""),
		BUCKET("\"bucketName\":\"..\""),
		BUCKET("\"bucketName\":\"abc\",\"prefix\":\"../another\""),
		BUCKET("\"bucketName\":\"abc\",\"prefix\":\"a/./b\""),
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		logged[0] = '\0';
		add(bad[i], "EXP6", "{}", NOON_MS);
		add(bad[i], "EXP6", "{}", NOON_MS);
		log_cloud_end(l, "EXP6");
		assert_logged("leads nowhere");
		assert_logged("experiment EXP6: 2 log records were not delivered to");
		assert_false(uv_loop_alive(&loop));
	}
}

static void test_tried_again(void **state)
{
	add(GROUP("flaky"), "EXP7", "{\"a\":1}", NOON_MS);
	log_cloud_end(l, "EXP7");
	run();
	assert_string_equal(dump("flaky/aws/fis/EXP7"), "1769860800000 {\"a\":1}\n");
	assert_string_equal(logged, "");
}

static void test_refused(void **state)
{
	add(GROUP("denied"), "EXP8", "{\"a\":1}", NOON_MS);
	run();
	add(GROUP("denied"), "EXP8", "{\"b\":2}", NOON_MS);
	assert_false(uv_loop_alive(&loop)); /* nothing more is tried */
	log_cloud_end(l, "EXP8");
	assert_logged("experiment EXP8: log records do not reach CloudWatch Logs group denied: "
		      "HTTP status 400: ");
	assert_logged("experiment EXP8: 2 log records were not delivered to CloudWatch Logs group");

	logged[0] = '\0';
	add(BUCKET("\"bucketName\":\"nobodys\""), "EXP8", "{}", NOON_MS);
	log_cloud_end(l, "EXP8");
	run();
	assert_logged("S3 bucket nobodys: HTTP status 404: <Error>?<Code>NoSuchBucket");
	assert_logged("experiment EXP8: 1 log records were not delivered to S3 bucket nobodys");

	logged[0] = '\0';
	add(GROUP("old"), "EXP8", "{\"a\":1}", NOON_MS);
	add(GROUP("old"), "EXP8", "{\"b\":2}", NOON_MS);
	add(GROUP("old"), "EXP8", "{\"c\":3}", NOON_MS);
	log_cloud_end(l, "EXP8");
	run();
	assert_logged("their time is too far from the present");
	assert_logged("experiment EXP8: 2 log records were not delivered");
}

/* A clock that is set back and leaps: every request is in order, and within a day. */
static void test_clock_that_is_set(void **state)
{
	static const int64_t times[] = {NOON_MS, NOON_MS + 5, NOON_MS - 3600000,
					NOON_MS + 48 * 3600 * INT64_C(1000), NOON_MS};
	char expected[512] = "";
	struct text t = TEXT(expected);

	for (size_t i = 0; i < COUNT(times); i++) {
		add(GROUP("clock"), "EXP9", "{}", times[i]);
		text_add(&t, "%lld {}\n", (long long)times[i]);
	}
	log_cloud_end(l, "EXP9");
	run();
	assert_string_equal(dump("clock/aws/fis/EXP9"), expected);
	assert_string_equal(logged, "");
}

/* Quotes are two characters in a request: its worst case. */
static void test_many(void **state)
{
	enum { RECORDS = 3000, LENGTH = 300 };
	char line[LENGTH + 1];
	const char *at;

	memset(line, '"', LENGTH);
	line[LENGTH] = '\0';
	for (int i = 0; i < RECORDS; i++) {
		(void)snprintf(line, sizeof(line), "%06d", i);
		line[6] = '"';
		add(GROUP("many"), "EXP10", line, NOON_MS + i);
	}
	log_cloud_end(l, "EXP10");
	run();
	assert_string_equal(logged, "");
	at = dump("many/aws/fis/EXP10");
	for (int i = 0; i < RECORDS; i++) {
		assert_int_equal(strtoll(at, NULL, 10), NOON_MS + i);
		at = strchr(at, ' ') + 1;
		assert_int_equal(strtol(at, NULL, 10), i);
		at = strchr(at, '\n') + 1;
	}
	assert_int_equal(*at, '\0');
}

static void test_too_many(void **state)
{
	enum { LENGTH = 100 * 1024 };
	char *line = malloc(LENGTH + 1), *huge = malloc(LOG_RECORD_MAX + 2);

	memset(line, 'x', LENGTH);
	line[LENGTH] = '\0';
	memset(huge, 'x', LOG_RECORD_MAX + 1);
	huge[LOG_RECORD_MAX + 1] = '\0';
	for (int i = 0; i < 22; i++)
		add(GROUP("too/many"), "EXP11", line, NOON_MS + i);
	add(GROUP("too/many"), "EXP11", huge, NOON_MS);
	log_cloud_end(l, "EXP11");
	run();
	assert_logged("CloudWatch Logs group too/many: too many wait");
	assert_logged("experiment EXP11: 3 log records were not delivered"); /* 20 in 2 MiB */
	assert_int_equal(strlen(dump("too/many/aws/fis/EXP11")), 20 * (LENGTH + 15));
	free(line);
	free(huge);
}

static void test_too_many_experiments(void **state)
{
	char id[16];

	for (int i = 0; i < 70; i++) {
		(void)snprintf(id, sizeof(id), "EXPX%d", i);
		add(BUCKET("\"bucketName\":\"many\""), id, "{}", NOON_MS);
	}
	assert_logged("64 deliveries wait already");
	for (int i = 0; i < 70; i++) {
		(void)snprintf(id, sizeof(id), "EXPX%d", i);
		log_cloud_end(l, id);
	}
	run();
	assert_non_null(strstr(dump("objects"), "EXPX63"));
	assert_null(strstr(dump("objects"), "EXPX64"));
}

static void test_stopped_while_it_hangs(void **state)
{
	add(GROUP("hangs"), "EXP12", "{}", NOON_MS);
	add(GROUP("later"), "EXP13", "{}", NOON_MS);
	log_cloud_end(l, "EXP12");
	for (int turns = 0; turns < 2; turns++) /* enough for a request to begin */
		(void)uv_run(&loop, UV_RUN_ONCE);
	log_cloud_stop(l);
	assert_logged("faultd is stopping");
	assert_logged("experiment EXP12: 1 log records were not delivered");
	assert_logged("experiment EXP13: 1 log records were not delivered");
	add(GROUP("later"), "EXP13", "{}", NOON_MS);
}

static int open_log(void **state)
{
	const struct cloud_setup setup = {.loop = &loop,
					  .metadata_endpoint = "",
					  .logs_endpoint = url_of("/logs/"),
					  .s3_endpoint = url_of("/s3")};

	setenv("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "environment/secret+key", 1);
	setenv("AWS_SESSION_TOKEN", "environment/session+token==", 1);
	logged[0] = '\0';
	log_set_sink(on_log);
	return uv_loop_init(&loop) || cloud_start(&setup, &cloud) ||
	       log_cloud_start(cloud, &identity, &l);
}

static int close_log(void **state)
{
	log_cloud_stop(l);
	cloud_stop(cloud);
	run();
	log_cloud_free(l);
	cloud_free(cloud);
	assert_int_equal(uv_loop_close(&loop), 0);
	free(dumped.text);
	dumped.text = NULL;
	return 0;
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, open_log, close_log)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(test_cloudwatch),
		LOG_TEST(test_through_the_log),
		LOG_TEST(test_s3),
		LOG_TEST(test_both),
		LOG_TEST(test_nowhere),
		LOG_TEST(test_what_leads_nowhere),
		LOG_TEST(test_tried_again),
		LOG_TEST(test_refused),
		LOG_TEST(test_clock_that_is_set),
		LOG_TEST(test_many),
		LOG_TEST(test_too_many),
		LOG_TEST(test_too_many_experiments),
		LOG_TEST(test_stopped_while_it_hangs),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
