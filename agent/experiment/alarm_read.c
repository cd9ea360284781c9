/* SPDX-License-Identifier: Apache-2.0 */
/* CloudWatch is spoken to in JSON (its model's awsJson1_0), the protocol among its three that needs
 * no parser of our own. */
#include "experiment/alarm_read.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/cloud.h"
#include "experiment/arn.h"
#include "util/clock.h"
#include "util/str.h"

#define READ_BUDGET_MS     7000
#define ATTEMPT_TIMEOUT_MS 3000
#define RETRY_MS           250
#define ANSWER_MAX         (256 * 1024) /* an alarm's rule, actions and reason: 30 kB at most */
#define ALARM_NAME_MAX     255
#define ALARM_ARN_MAX      512

struct alarm_reading {
	uv_timer_t retry;
	struct cloud *cloud;
	struct cloud_calling *call;
	uint64_t deadline_boot_ns;
	alarm_read_fn done;
	void *arg;
	char arn[ALARM_ARN_MAX];
	char why[ALARM_WHY_MAX];
};

/* ARNs */

const char *alarm_arn_name(const char *arn)
{
	return strstr(arn, ":alarm:") + strlen(":alarm:");
}

static bool is_account(const char *s)
{
	return strlen(s) == 12 && s[strspn(s, "0123456789")] == '\0';
}

int alarm_arn_check(const char *arn, struct error *e)
{
	struct arn a;
	size_t n;

	if (arn_parse(arn, &a) == 0 && str_eq(a.service, "cloudwatch") && a.region[0] &&
	    is_account(a.account) && str_starts(a.resource, "alarm:") &&
	    strlen(arn) < ALARM_ARN_MAX) {
		n = strlen(a.resource) - strlen("alarm:");
		if (n > 0 && n <= ALARM_NAME_MAX)
			return 0;
	}
	return error_field(e, "value", arn, "arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME",
			   "this is not the ARN of an alarm");
}

/* Answers */

static const cJSON *find_alarm(const cJSON *json, const char *list, const char *arn)
{
	const cJSON *alarm;

	cJSON_ArrayForEach(alarm, cJSON_GetObjectItemCaseSensitive(json, list))
	{
		const char *its =
			cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(alarm, "AlarmArn"));

		if (its && str_eq(its, arn))
			return alarm;
	}
	return NULL;
}

static const char *known_state(const char *state)
{
	static const char *const states[] = {"OK", "ALARM", "INSUFFICIENT_DATA"};

	for (size_t i = 0; state && i < ARRAY_SIZE(states); i++)
		if (str_eq(state, states[i]))
			return states[i];
	return NULL;
}

static const char *read_state(struct alarm_reading *x, const char *body)
{
	cJSON *json = cJSON_Parse(body);
	const cJSON *alarm = find_alarm(json, "MetricAlarms", x->arn);
	const char *state;

	if (!alarm)
		alarm = find_alarm(json, "CompositeAlarms", x->arn);
	state = known_state(
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(alarm, "StateValue")));
	if (!cJSON_IsObject(json))
		(void)snprintf(x->why, sizeof(x->why), "CloudWatch's answer makes no sense");
	else if (!alarm)
		(void)snprintf(x->why, sizeof(x->why), "there is no such alarm: %.250s", x->arn);
	else if (!state)
		(void)snprintf(x->why, sizeof(x->why), "alarm %s has no state that is known",
			       alarm_arn_name(x->arn));
	cJSON_Delete(json);
	return state;
}

/* {"__type": "com.amazonaws.…#AccessDenied", "message": "…"} */
static void read_refusal(struct alarm_reading *x, const struct fetch_answer *a)
{
	cJSON *json = cJSON_Parse(a->body);
	const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "__type"));
	const char *message = cJSON_GetStringValue(cJSON_GetObjectItem(json, "message"));
	const char *hash = type ? strrchr(type, '#') : NULL;

	(void)snprintf(x->why, sizeof(x->why), "CloudWatch refuses: %.64s (HTTP status %u)%s%.160s",
		       hash ? hash + 1 : (type ? type : "no reason given"), a->status,
		       message ? ": " : "", message ? message : "");
	cJSON_Delete(json);
}

static bool may_pass(const struct fetch_answer *a)
{
	if (a->r < 0)
		return a->r == -ETIMEDOUT || a->r == -ECONNREFUSED || a->r == -ECONNRESET ||
		       a->r == -EHOSTUNREACH || a->r == -EIO || a->r == -EPROTO;
	return a->status >= 500 || a->status == 429 ||
	       (a->status == 400 &&
		(strstr(a->body, "Throttl") || strstr(a->body, "ExpiredToken")));
}

/* Asking */

static void free_reading(uv_handle_t *h)
{
	free(h->data);
}

static void end(struct alarm_reading *x, const char *state)
{
	uv_close((uv_handle_t *)&x->retry, free_reading);
	str_make_line(x->why);
	x->done(state, x->why, x->arg);
}

static int ask(struct alarm_reading *x);

static void on_retry(uv_timer_t *timer)
{
	struct alarm_reading *x = timer->data;
	int r = ask(x);

	if (r < 0) {
		(void)snprintf(x->why, sizeof(x->why), "CloudWatch cannot be asked: %s",
			       strerror(-r));
		end(x, NULL);
	}
}

static uint64_t time_left_ms(const struct alarm_reading *x)
{
	uint64_t now = boot_ns();

	return now < x->deadline_boot_ns ? (x->deadline_boot_ns - now) / NSEC_PER_MSEC : 0;
}

static void on_answer(const struct fetch_answer *a, void *arg)
{
	struct alarm_reading *x = arg;

	x->call = NULL;
	x->why[0] = '\0';
	if (a->r == 0 && a->status == 200) {
		end(x, read_state(x, a->body));
		return;
	}
	if (a->r < 0)
		(void)snprintf(x->why, sizeof(x->why), "CloudWatch cannot be asked: %s",
			       a->message);
	else
		read_refusal(x, a);
	if (may_pass(a) && time_left_ms(x) > 2 * RETRY_MS)
		(void)uv_timer_start(&x->retry, on_retry, RETRY_MS, 0);
	else
		end(x, NULL);
}

static char *make_body(const char *name)
{
	static const char *const types[] = {"MetricAlarm", "CompositeAlarm"};
	cJSON *json = cJSON_CreateObject();
	cJSON *names = cJSON_CreateStringArray(&name, 1);
	cJSON *all = cJSON_CreateStringArray(types, ARRAY_SIZE(types));
	char *text = NULL;

	if (json && names && all && cJSON_AddItemToObject(json, "AlarmNames", names)) {
		names = NULL;
		if (cJSON_AddItemToObject(json, "AlarmTypes", all)) {
			all = NULL;
			text = cJSON_PrintUnformatted(json);
		}
	}
	cJSON_Delete(names);
	cJSON_Delete(all);
	cJSON_Delete(json);
	return text;
}

static int ask(struct alarm_reading *x)
{
	static const char *const headers[] = {
		"Content-Type: application/x-amz-json-1.0",
		"X-Amz-Target: GraniteServiceVersion20100801.DescribeAlarms", NULL};
	uint64_t left_ms = time_left_ms(x);
	struct cloud_call call = {
		.service = "monitoring",
		.method = "POST",
		.headers = headers,
		.timeout_ms = left_ms < ATTEMPT_TIMEOUT_MS ? left_ms : ATTEMPT_TIMEOUT_MS,
		.answer_max = ANSWER_MAX,
	};
	char url[512], *body;
	struct arn a;
	int r = arn_parse(x->arn, &a);

	if (r == 0)
		r = cloud_url(x->cloud, call.service, a.partition, a.region, "/", url, sizeof(url));
	if (r < 0)
		return r;
	body = make_body(alarm_arn_name(x->arn));
	if (!body)
		return -ENOMEM;
	call.region = a.region;
	call.url = url;
	call.body = body;
	call.body_length = strlen(body);
	r = cloud_call(x->cloud, &call, on_answer, x, &x->call);
	cJSON_free(body);
	return r;
}

int alarm_read(uv_loop_t *loop, struct cloud *cloud, const char *arn, alarm_read_fn done, void *arg,
	       struct alarm_reading **ret)
{
	struct alarm_reading *x;
	struct error e;
	int r = alarm_arn_check(arn, &e);

	if (r < 0)
		return r;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->cloud = cloud;
	x->done = done;
	x->arg = arg;
	x->deadline_boot_ns = boot_ns() + READ_BUDGET_MS * NSEC_PER_MSEC;
	(void)str_copy(x->arn, sizeof(x->arn), arn);
	(void)uv_timer_init(loop, &x->retry);
	x->retry.data = x;
	r = ask(x);
	if (r < 0) {
		uv_close((uv_handle_t *)&x->retry, free_reading);
		return r;
	}
	*ret = x;
	return 0;
}

void alarm_reading_cancel(struct alarm_reading *x)
{
	if (!x)
		return;
	cloud_call_cancel(x->call);
	uv_close((uv_handle_t *)&x->retry, free_reading);
}
