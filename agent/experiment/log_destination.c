/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/log_destination.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "experiment/arn.h"
#include "experiment/identity.h"
#include "util/str.h"

#define ANSWER_MAX    (64 * 1024)
#define BATCH_SPAN_MS (23 * 3600 * INT64_C(1000)) /* CloudWatch Logs: a day at most */

/* What the configuration says */

static const char *text_of(const cJSON *json, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
}

static bool consists_of(const char *s, const char *characters)
{
	return s[0] && s[strspn(s, characters)] == '\0';
}

#define LETTERS  "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS   "0123456789"

/* arn:aws:logs:REGION:ACCOUNT:log-group:NAME, mostly with ":*" behind it. */
static int read_group(const char *text, struct log_destination *d)
{
	struct arn arn;
	size_t n;

	if (!text || arn_parse(text, &arn) < 0 || !str_eq(arn.service, "logs") ||
	    !str_starts(arn.resource, "log-group:"))
		return -EINVAL;
	arn.resource += strlen("log-group:");
	n = strcspn(arn.resource, ":");
	if ((arn.resource[n] && !str_eq(arn.resource + n, ":*")) || n >= sizeof(d->name))
		return -EINVAL;
	memcpy(d->name, arn.resource, n);
	d->name[n] = '\0';
	if (!consists_of(d->name, LETTERS CAPITALS DIGITS "._-/#"))
		return -EINVAL;
	(void)str_copy(d->partition, sizeof(d->partition), arn.partition);
	(void)str_copy(d->region, sizeof(d->region), arn.region);
	(void)str_copy(d->account, sizeof(d->account), arn.account);
	return 0;
}

/* "." and ".." would be taken out of the path on its way, and lead elsewhere. */
static bool has_dots_alone(const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");

		if ((n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
			return true;
		path += n;
		path += strspn(path, "/");
	}
	return false;
}

static int read_bucket(const char *bucket, const char *prefix, const struct identity *id,
		       struct log_destination *d)
{
	size_t n;

	if (!bucket || !consists_of(bucket, LETTERS CAPITALS DIGITS ".-_") ||
	    !str_copy(d->name, 64, bucket) || has_dots_alone(bucket))
		return -EINVAL;
	if (prefix) {
		prefix += strspn(prefix, "/");
		if (!str_copy(d->prefix, sizeof(d->prefix), prefix) || has_dots_alone(prefix))
			return -EINVAL;
		for (n = strlen(d->prefix); n > 0 && d->prefix[n - 1] == '/'; n--)
			d->prefix[n - 1] = '\0';
	}
	(void)str_copy(d->partition, sizeof(d->partition), id->partition);
	(void)str_copy(d->region, sizeof(d->region), id->region);
	(void)str_copy(d->account, sizeof(d->account), id->account);
	return 0;
}

int log_destination_read(enum log_destination_kind kind, const cJSON *configuration,
			 const struct identity *identity, const char *experiment_id,
			 struct log_destination *ret, char why[static LOG_WHY_MAX])
{
	const char *member = kind == LOG_TO_S3 ? "s3Configuration" : "cloudWatchLogsConfiguration";
	const cJSON *json = cJSON_GetObjectItemCaseSensitive(configuration, member);
	int r;

	if (!cJSON_IsObject(json))
		return 0;
	*ret = (struct log_destination){.kind = kind};
	(void)str_copy(ret->experiment_id, sizeof(ret->experiment_id), experiment_id);
	if (kind == LOG_TO_S3)
		r = read_bucket(text_of(json, "bucketName"), text_of(json, "prefix"), identity,
				ret);
	else
		r = read_group(text_of(json, "logGroupArn"), ret);
	if (r < 0) {
		(void)snprintf(why, LOG_WHY_MAX, "logConfiguration.%s leads nowhere", member);
		return r;
	}
	return 1;
}

const char *log_destination_what(const struct log_destination *d, char *to, size_t size)
{
	(void)snprintf(to, size, "%s %s",
		       d->kind == LOG_TO_S3 ? "S3 bucket" : "CloudWatch Logs group", d->name);
	return to;
}

/* Records of a clock that was set may go back, or leap: CloudWatch Logs wants those of a request in
 * order, and within a day. */
size_t log_destination_batch(const struct log_destination *d, const struct log_record *first)
{
	const struct log_record *r = first;
	int64_t last_ms = first->time_ms;
	size_t n = 0, bytes = 0;

	for (; r && n < LOG_BATCH_COUNT; r = r->next, n++) {
		bytes += r->length + 64;
		if (n && bytes > LOG_BATCH_BYTES)
			break;
		if (d->kind == LOG_TO_CLOUDWATCH &&
		    (r->time_ms < last_ms || r->time_ms - first->time_ms > BATCH_SPAN_MS))
			break;
		last_ms = r->time_ms;
	}
	return n;
}

/* Requests */

static char *print_and_delete(cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);

	cJSON_Delete(json);
	return text;
}

static cJSON *begin_body(const struct log_destination *d)
{
	cJSON *json = cJSON_CreateObject();
	char stream[TEMPLATE_ID_MAX + 16];

	(void)snprintf(stream, sizeof(stream), "/aws/fis/%s", d->experiment_id);
	if (cJSON_AddStringToObject(json, "logGroupName", d->name) &&
	    cJSON_AddStringToObject(json, "logStreamName", stream))
		return json;
	cJSON_Delete(json);
	return NULL;
}

static bool add_event(cJSON *events, const struct log_record *r)
{
	cJSON *event = cJSON_CreateObject();

	if (cJSON_AddNumberToObject(event, "timestamp", (double)r->time_ms) &&
	    cJSON_AddStringToObject(event, "message", r->line) &&
	    cJSON_AddItemToArray(events, event))
		return true;
	cJSON_Delete(event);
	return false;
}

static char *events_body(const struct log_destination *d, const struct log_record *r, size_t n)
{
	cJSON *json = begin_body(d);
	cJSON *events = json ? cJSON_AddArrayToObject(json, "logEvents") : NULL;
	bool good = events;

	for (; good && n > 0; n--, r = r->next)
		good = add_event(events, r);
	if (good)
		return print_and_delete(json);
	cJSON_Delete(json);
	return NULL;
}

static char *lines_body(const struct log_record *first, size_t n)
{
	const struct log_record *r = first;
	size_t length = 0;
	char *text, *to;

	for (size_t i = 0; i < n; i++, r = r->next)
		length += r->length + 1;
	text = to = malloc(length + 1);
	if (!text)
		return NULL;
	r = first;
	for (size_t i = 0; i < n; i++, r = r->next) {
		memcpy(to, r->line, r->length);
		to += r->length;
		*to++ = '\n';
	}
	*to = '\0';
	return text;
}

/* As S3 wants paths signed: everything but these as %XX. */
static void add_encoded(struct text *t, const char *s)
{
	for (; *s; s++) {
		const char one[] = {*s, '\0'};

		if (consists_of(one, LETTERS CAPITALS DIGITS "-._~/"))
			text_add(t, "%s", one);
		else
			text_add(t, "%%%02X", (unsigned char)*s);
	}
}

/* "/BUCKET/PREFIX/AWSLogs/ACCOUNT/fis/REGION/ID/YYYY/MM/DD/ACCOUNT_awsfislogs_REGION_ID_…Z_….log",
 * as FIS names them. */
static int object_path(const struct log_destination *d, int64_t time_ms, uint64_t name, char *to,
		       size_t size)
{
	struct text t = {.data = to, .size = size};
	time_t when = (time_t)(time_ms / 1000);
	char day[16], minute[32];
	struct tm tm;

	if (!gmtime_r(&when, &tm) || !strftime(day, sizeof(day), "%Y/%m/%d", &tm) ||
	    !strftime(minute, sizeof(minute), "%Y%m%d%H%M", &tm))
		return -EINVAL;
	text_add(&t, "/%s/", d->name);
	add_encoded(&t, d->prefix);
	text_add(&t, "%sAWSLogs/%s/fis/%s/%s/%s/%s_awsfislogs_%s_%s_%sZ_%016" PRIx64 ".log",
		 d->prefix[0] ? "/" : "", d->account, d->region, d->experiment_id, day, d->account,
		 d->region, d->experiment_id, minute, name);
	return t.cut ? -ENAMETOOLONG : 0;
}

static int cloudwatch_request(const struct log_destination *d, const struct log_record *first,
			      size_t n, struct log_request *ret)
{
	cJSON *json;

	ret->headers[0] = "Content-Type: application/x-amz-json-1.1";
	if (d->stream_made) {
		ret->headers[1] = "X-Amz-Target: Logs_20140328.PutLogEvents";
		ret->body = events_body(d, first, n);
	} else {
		ret->headers[1] = "X-Amz-Target: Logs_20140328.CreateLogStream";
		json = begin_body(d);
		ret->body = json ? print_and_delete(json) : NULL;
	}
	ret->call.service = "logs";
	ret->call.method = "POST";
	return ret->body ? 0 : -ENOMEM;
}

static int s3_request(const struct log_record *first, size_t n, struct log_request *ret)
{
	ret->headers[0] = "Content-Type: application/x-ndjson";
	ret->body = lines_body(first, n);
	ret->call.service = "s3";
	ret->call.method = "PUT";
	return ret->body ? 0 : -ENOMEM;
}

int log_destination_request(const struct log_destination *d, const struct cloud *cloud,
			    const struct log_record *first, size_t n, uint64_t name,
			    struct log_request *ret)
{
	char path[LOG_URL_MAX - 512] = "/";
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	if (d->kind == LOG_TO_S3)
		r = object_path(d, first->time_ms, name, path, sizeof(path));
	if (r == 0)
		r = d->kind == LOG_TO_S3 ? s3_request(first, n, ret)
					 : cloudwatch_request(d, first, n, ret);
	if (r == 0)
		r = cloud_url(cloud, ret->call.service, d->partition, d->region, path, ret->url,
			      sizeof(ret->url));
	ret->call.url = ret->url;
	ret->call.region = d->region;
	ret->call.headers = ret->headers;
	ret->call.body = ret->body;
	ret->call.body_length = ret->body ? strlen(ret->body) : 0;
	ret->call.answer_max = ANSWER_MAX;
	if (r < 0)
		log_request_done(ret);
	return r;
}

void log_request_done(struct log_request *q)
{
	free(q->body);
	q->body = NULL;
}

/* Answers */

static bool may_pass(const struct fetch_answer *a)
{
	if (a->r < 0)
		return a->r != -ENOKEY && a->r != -EINVAL && a->r != -ELIBACC && a->r != -E2BIG;
	return a->status >= 500 || a->status == 429 ||
	       (a->status >= 400 &&
		(strstr(a->body, "Throttl") || strstr(a->body, "ExpiredToken") ||
		 strstr(a->body, "OperationAborted")));
}

static size_t number_of(const cJSON *json, const char *name, size_t otherwise, size_t n)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
	double value = cJSON_IsNumber(item) ? item->valuedouble : (double)otherwise;

	return value >= 0 && value <= (double)n ? (size_t)value : n;
}

/* Indexes of the first that is too new, and behind the last that is too old. */
static size_t count_rejected(const char *body, size_t n)
{
	cJSON *json = cJSON_Parse(body);
	const cJSON *info = cJSON_GetObjectItemCaseSensitive(json, "rejectedLogEventsInfo");
	size_t old = number_of(info, "tooOldLogEventEndIndex", 0, n);
	size_t expired = number_of(info, "expiredLogEventEndIndex", 0, n);
	size_t new = number_of(info, "tooNewLogEventStartIndex", n, n);
	size_t lost = (old > expired ? old : expired) + (n - new);

	cJSON_Delete(json);
	return lost < n ? lost : n;
}

/* XML of S3's or JSON of CloudWatch's: as it is, but one line. */
static void tell_refusal(const struct fetch_answer *a, char why[static LOG_WHY_MAX])
{
	if (a->r < 0)
		(void)snprintf(why, LOG_WHY_MAX, "%.200s", a->message);
	else
		(void)snprintf(why, LOG_WHY_MAX, "HTTP status %u: %.200s", a->status, a->body);
	str_make_utf8(why);
	str_make_line(why);
}

enum log_outcome log_destination_outcome(const struct log_destination *d,
					 const struct fetch_answer *a, size_t n, size_t *lost,
					 char why[static LOG_WHY_MAX])
{
	bool stream = d->kind == LOG_TO_CLOUDWATCH && !d->stream_made;

	*lost = 0;
	if (stream && a->r == 0 &&
	    (a->status == 200 || strstr(a->body, "ResourceAlreadyExistsException")))
		return LOG_STREAM_MADE;
	if (a->r == 0 && a->status == 200) {
		if (d->kind == LOG_TO_CLOUDWATCH)
			*lost = count_rejected(a->body, n);
		(void)str_copy(why, LOG_WHY_MAX,
			       *lost ? "their time is too far from the present" : "");
		return LOG_DELIVERED;
	}
	tell_refusal(a, why);
	return may_pass(a) ? LOG_TRY_AGAIN : LOG_REFUSED;
}
