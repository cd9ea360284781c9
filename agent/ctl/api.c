/* SPDX-License-Identifier: Apache-2.0 */
/* See api.h. The one place where an HTTP status or an errno becomes an exit code. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ctl/api.h"
#include "ctl/exit.h"
#include "ctl/out.h"

static const struct {
	int number;
	int code;
	const char *before, *after; /* the path of the socket */
} failures[] = {
	{ENOENT, EXIT_UNREACHABLE, "no socket ", ": is faultd running? (systemctl start faultd)"},
	{ECONNREFUSED, EXIT_UNREACHABLE, "nobody listens on ",
	 ": is faultd running? (systemctl start faultd)"},
	{EACCES, EXIT_UNREACHABLE, "no permission to use ", ": are you in the group faultd?"},
	{EPERM, EXIT_UNREACHABLE, "no permission to use ", ": are you in the group faultd?"},
	{ETIMEDOUT, EXIT_UNREACHABLE, "faultd does not answer on ", " (systemctl status faultd)"},
	{ECONNRESET, EXIT_UNREACHABLE, "faultd closed ",
	 " before it had answered; see 'faultctl list'"},
	{EINTR, EXIT_INTERRUPTED, "interrupted before faultd answered on ",
	 "; see 'faultctl list'"},
	{EMSGSIZE, EXIT_FAILED, "the answer on ", " is too large to be faultd's"},
	{EBADMSG, EXIT_FAILED, "the answer on ", " cannot be read: is that faultd's socket?"},
};

int api_unreachable(const struct ctl *ctl, int r)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
		if (failures[i].number == -r) {
			out_error("%s%s%s", failures[i].before, ctl->socket, failures[i].after);
			return failures[i].code;
		}
	out_error("cannot use %s: %s", ctl->socket, strerror(-r));
	return EXIT_UNREACHABLE;
}

static int status_exit(long status)
{
	if (status == 501 || status == 503)
		return EXIT_UNSUPPORTED;
	return status >= 400 && status < 500 ? EXIT_REFUSED : EXIT_FAILED;
}

int api_refusal(const struct ctl *ctl, const struct http_answer *raw)
{
	_cleanup_(json_freep) cJSON *json = json_parse(raw->body, raw->len);
	const char *message = json_text(json, "message");

	if (*message)
		out_error("%s", message);
	else
		out_error("faultd answered with status %ld and no message", raw->status);
	if (ctl->json && json)
		out_json(raw->body, raw->len);
	return status_exit(raw->status);
}

int ask(struct ctl *ctl, const char *method, const char *path, const char *body, struct answer *ret)
{
	struct answer a = {0};
	int r = http_call(ctl->http, method, path, body, &a.raw);

	if (r < 0)
		return api_unreachable(ctl, r);
	if (a.raw.status >= 400) {
		r = api_refusal(ctl, &a.raw);
	} else {
		a.json = json_parse(a.raw.body, a.raw.len);
		if (!cJSON_IsObject(a.json))
			r = api_unreachable(ctl, -EBADMSG);
	}
	if (r)
		answer_done(&a);
	else
		*ret = a;
	return r;
}

int ask_about(struct ctl *ctl, const char *method, const char *prefix, const char *name,
	      const char *suffix, struct answer *ret)
{
	_cleanup_(freep) char *path = must(http_path(prefix, name, suffix));

	return ask(ctl, method, path, NULL, ret);
}

void answer_done(struct answer *a)
{
	http_answer_done(&a->raw);
	cJSON_Delete(a->json);
	a->json = NULL;
}

cJSON *json_parse(const char *text, size_t len)
{
	/* With its NUL, so that anything behind the value is an error. */
	return text ? cJSON_ParseWithLengthOpts(text, len + 1, NULL, true) : NULL;
}

static const cJSON *member(const cJSON *obj, const char *key)
{
	return cJSON_IsObject(obj) ? cJSON_GetObjectItemCaseSensitive(obj, key) : NULL;
}

const char *json_text(const cJSON *obj, const char *key)
{
	const char *text = cJSON_GetStringValue(member(obj, key));

	return text ? text : "";
}

double json_number(const cJSON *obj, const char *key, double fallback)
{
	const cJSON *value = member(obj, key);

	return cJSON_IsNumber(value) && isfinite(value->valuedouble) ? value->valuedouble
								     : fallback;
}

bool json_true(const cJSON *obj, const char *key)
{
	return cJSON_IsTrue(member(obj, key));
}

const cJSON *json_list(const cJSON *obj, const char *key)
{
	const cJSON *value = member(obj, key);

	return cJSON_IsArray(value) ? value : NULL;
}

const cJSON *json_object(const cJSON *obj, const char *key)
{
	const cJSON *value = member(obj, key);

	return cJSON_IsObject(value) ? value : NULL;
}

/* Up to 2^53 a double holds every one of them. */
static bool is_whole(const cJSON *value)
{
	double d = cJSON_IsNumber(value) ? value->valuedouble : 0.5;

	return d > -0x1p53 && d < 0x1p53 && d == (double)(long long)d;
}

static void put_plain(FILE *to, const cJSON *value)
{
	const cJSON *item;

	if (cJSON_IsString(value)) {
		fputs(value->valuestring, to);
	} else if (cJSON_IsArray(value)) {
		cJSON_ArrayForEach(item, value)
		{
			put_plain(to, item);
			fputs(item->next ? "," : "", to);
		}
	} else if (is_whole(value)) {
		fprintf(to, "%.0f", value->valuedouble); /* cJSON would round it */
	} else if (value && !cJSON_IsNull(value)) {
		_cleanup_(freep) char *json = must(cJSON_PrintUnformatted(value));

		fputs(json, to);
	}
}

char *json_plain(const cJSON *value)
{
	char *text = NULL;
	size_t len;
	FILE *to = must(open_memstream(&text, &len));

	put_plain(to, value);
	fclose(to);
	return must(text);
}
