/* SPDX-License-Identifier: Apache-2.0 */
/* aws:cloudwatch:alarm and the question of assert-alarm-state, against the CloudWatch of
 * tests/lib/cloud_server.py. */
#include <stdio.h>
#include <stdlib.h>

#include "server.h"
#include "test.h"

#include "cloud/cloud.h"
#include "experiment/alarm_read.h"
#include "experiment/arn.h"
#include "experiment/probe.h"
#include "plan/policy.h"

#define ALARM(name) "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:" name

static uv_loop_t loop;
static struct cloud *cloud;
static struct policy policy;
static struct probe_env env;

struct told {
	int times;
	enum probe_state state;
	char reason[PROBE_REASON_MAX];
	int stop_after;
};

static void on_told(struct probe *p, enum probe_state state, const char *reason, bool first,
		    void *arg)
{
	struct told *t = arg;

	t->times++;
	t->state = state;
	(void)snprintf(t->reason, sizeof(t->reason), "%s", reason);
	assert_int_equal(first, t->times == 1);
	if (t->times == t->stop_after)
		probe_stop(p);
}

static void begin(const char *arn, struct told *t)
{
	struct probe *p;
	struct error e;

	assert_int_equal(
		probe_start(probe_type_find("aws:cloudwatch:alarm"), arn, &env, on_told, t, &p, &e),
		0);
	assert_int_equal(t->times, 0);
}

/* Runs until so much was told, and the probe has stopped. */
static struct told watch(const char *arn, int stop_after)
{
	struct told t = {.stop_after = stop_after};

	begin(arn, &t);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(t.times, stop_after);
	return t;
}

static void assert_first(const char *arn, enum probe_state state, const char *reason)
{
	struct told t = watch(arn, 1);

	assert_int_equal(t.state, state);
	if (!strstr(t.reason, reason))
		fail_msg("%s: %s", arn, t.reason);
}

static void test_states(void **state)
{
	assert_first(ALARM("fine"), PROBE_FINE, "alarm fine is in state OK");
	assert_first(ALARM("new"), PROBE_FINE, "alarm new is in state INSUFFICIENT_DATA");
	assert_first(ALARM("red alert"), PROBE_FIRED, "alarm red alert is in state ALARM");
	assert_first(ALARM("both"), PROBE_FIRED, "alarm both is in state ALARM");
}

static void test_the_region_of_the_arn_is_asked(void **state)
{
	assert_first("arn:aws:cloudwatch:ap-south-2:123456789012:alarm:fine", PROBE_FINE, "OK");
}

/* Not to know is a reason to stop. */
static void test_what_cannot_be_read(void **state)
{
	assert_first(ALARM("nobody's"), PROBE_FIRED, "there is no such alarm");
	assert_first("arn:aws:cloudwatch:eu-central-1:999999999999:alarm:fine", PROBE_FIRED,
		     "there is no such alarm");
	assert_first(ALARM("denied"), PROBE_FIRED,
		     "CloudWatch refuses: AccessDenied (HTTP status 400): this role may not");
	assert_first(ALARM("odd"), PROBE_FIRED, "no state that is known");
	assert_first(ALARM("nonsense"), PROBE_FIRED, "makes no sense");
	setenv("AWS_SECRET_ACCESS_KEY", "another", 1);
	assert_first(ALARM("fine"), PROBE_FIRED, "SignatureDoesNotMatch");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	assert_first(ALARM("fine"), PROBE_FIRED, "no credentials");
}

static void test_what_may_pass_is_tried_again(void **state)
{
	assert_first(ALARM("flaky"), PROBE_FINE, "alarm flaky is in state OK");
}

/* They try for 7 s. */
static void test_what_does_not_pass(void **state)
{
	struct told broken = {.stop_after = 1}, silent = {.stop_after = 1};

	begin(ALARM("always 500"), &broken);
	begin(ALARM("silent"), &silent);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(broken.state, PROBE_FIRED);
	assert_non_null(strstr(broken.reason, "HTTP status 500"));
	assert_int_equal(silent.state, PROBE_FIRED);
	assert_non_null(strstr(silent.reason, "timed out"));
}

static void test_it_turns(void **state)
{
	struct told t;

	policy.fis.alarm_period_ms = 10;
	t = watch(ALARM("turns"), 2);
	assert_int_equal(t.state, PROBE_FIRED);
	assert_string_equal(t.reason, "alarm turns is in state ALARM");
}

static void test_stopped_at_once(void **state)
{
	struct told t = {0};
	struct probe *p;
	struct error e;

	assert_int_equal(probe_start(probe_type_find("aws:cloudwatch:alarm"), ALARM("silent"), &env,
				     on_told, &t, &p, &e),
			 0);
	probe_stop(p);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(t.times, 0);
}

static void test_values(void **state)
{
	static const char *const bad[] = {
		"",
		"fine",
		"arn:aws:cloudwatch:eu-central-1:123456789012:alarm:",
		"arn:aws:cloudwatch::123456789012:alarm:fine",
		"arn:aws:cloudwatch:eu-central-1:12345678901:alarm:fine",
		"arn:aws:cloudwatch:eu-central-1:123456789012:dashboard:fine",
		"arn:aws:sns:eu-central-1:123456789012:alarm:fine",
		"arn:aws:cloudwatch:eu-central-1:123456789012",
		"arn::cloudwatch:eu-central-1:123456789012:alarm:fine",
	};
	const struct probe_type *t = probe_type_find("aws:cloudwatch:alarm");
	struct problems problems = {0};
	void *params;

	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(probe_parse(t, bad[i], "stopConditions[0].value", NULL, &problems),
				 -EINVAL);
		assert_int_equal(problems.n, i + 1);
	}
	problems_done(&problems);
	assert_int_equal(probe_parse(t, ALARM("a:b c/d"), "value", &params, &problems), 0);
	assert_string_equal(alarm_arn_name(params), "a:b c/d");
	free(params);
}

static void test_regions_that_are_none(void **state)
{
	struct probe *p;
	struct error e;

	assert_int_equal(probe_start(probe_type_find("aws:cloudwatch:alarm"),
				     "arn:aws:cloudwatch:example.com/:123456789012:alarm:fine",
				     &env, on_told, NULL, &p, &e),
			 -EINVAL);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
}

/* alarm_ask() */

struct answered {
	int times;
	size_t n;
	char states[8][32];
	char message[512];
};

static void on_states(const char *const *states, size_t n, const struct error *e, void *arg)
{
	struct answered *a = arg;

	a->times++;
	a->n = states ? n : 0;
	for (size_t i = 0; i < a->n; i++)
		(void)snprintf(a->states[i], sizeof(a->states[i]), "%s", states[i]);
	(void)snprintf(a->message, sizeof(a->message), "%s", e ? e->message : "");
}

static void test_asking(void **state)
{
	static const char *const good[] = {ALARM("fine"), ALARM("both"), ALARM("new")};
	static const char *const bad[] = {ALARM("silent"), ALARM("nobody's"), ALARM("fine")};
	struct answered a = {0};
	struct alarm_asking *x;

	assert_int_equal(alarm_ask(&env, good, COUNT(good), on_states, &a, &x), 0);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(a.times, 1);
	assert_int_equal(a.n, 3);
	assert_string_equal(a.states[0], "OK");
	assert_string_equal(a.states[1], "ALARM");
	assert_string_equal(a.states[2], "INSUFFICIENT_DATA");

	assert_int_equal(alarm_ask(&env, bad, COUNT(bad), on_states, &a, &x), 0);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(a.times, 2);
	assert_int_equal(a.n, 0);
	assert_non_null(strstr(a.message, "alarm nobody's: there is no such alarm"));

	assert_int_equal(alarm_ask(&env, good, COUNT(good), on_states, &a, &x), 0);
	alarm_cancel(x);
	alarm_cancel(NULL);
	assert_int_equal(
		alarm_ask(&env, (const char *const[]){ALARM("fine"), "none"}, 2, on_states, &a, &x),
		-EINVAL);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(a.times, 2);
}

static int open_cloud(void **state)
{
	const struct cloud_setup setup = {.loop = &loop,
					  .metadata_endpoint = "",
					  .monitoring_endpoint = url_of("/cloudwatch")};

	setenv("AWS_ACCESS_KEY_ID", "AKIDPLAIN", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "plain/secret+key", 1);
	policy.fis.alarm_period_ms = 3600 * 1000;
	if (uv_loop_init(&loop) < 0 || cloud_start(&setup, &cloud) < 0)
		return -1;
	env = (struct probe_env){.loop = &loop, .cloud = cloud, .policy = &policy};
	return 0;
}

static int close_cloud(void **state)
{
	cloud_stop(cloud);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cloud_free(cloud);
	assert_int_equal(uv_loop_close(&loop), 0);
	return 0;
}

#define ALARM_TEST(name) cmocka_unit_test_setup_teardown(name, open_cloud, close_cloud)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALARM_TEST(test_states),
		ALARM_TEST(test_the_region_of_the_arn_is_asked),
		ALARM_TEST(test_what_cannot_be_read),
		ALARM_TEST(test_what_may_pass_is_tried_again),
		ALARM_TEST(test_what_does_not_pass),
		ALARM_TEST(test_it_turns),
		ALARM_TEST(test_stopped_at_once),
		ALARM_TEST(test_values),
		ALARM_TEST(test_regions_that_are_none),
		ALARM_TEST(test_asking),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
