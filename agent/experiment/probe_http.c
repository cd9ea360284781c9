/* SPDX-License-Identifier: Apache-2.0 */
/* host:http: a health check answers with another status, too late, or not at all. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/cloud.h"
#include "experiment/probe_rounds.h"
#include "experiment/probe_url.h"
#include "util/duration.h"
#include "util/str.h"

#define ANSWER_MAX    (1024 * 1024)
#define STATUSES_MAX  16
#define FAILURES_MAX  1000
#define STATUS_WANTED "statuses from 100 to 599, or ranges, such as 200,300-399"

struct http_params {
	char url[PROBE_URL_SIZE];
	char status[64];
	uint64_t latency_ms; /* 0: any */
	uint64_t period_ms, timeout_ms;
	int64_t failures;
	int unreadable;
};

static const struct row rows[] = {
	{.name = "url",
	 .type = ROW_STRING,
	 FIELD_STRING(struct http_params, url),
	 .required = true,
	 .text = "What is asked, with GET; redirects are not followed."},
	{.name = "status",
	 .type = ROW_STRING,
	 FIELD_STRING(struct http_params, status),
	 .def = "200-399",
	 .text = "The statuses that are well: a list of numbers and ranges."},
	{.name = "latency",
	 .type = ROW_DURATION,
	 FIELD(struct http_params, latency_ms),
	 .min = 1,
	 .max = PROBE_TIMEOUT_MAX_MS,
	 .text = "How long the whole answer may take; without it, the timeout."},
	{.name = "period",
	 .type = ROW_DURATION,
	 FIELD(struct http_params, period_ms),
	 .def = "1s",
	 .min = 100,
	 .max = 3600000,
	 .text = "How often it is asked."},
	{.name = "timeout",
	 .type = ROW_DURATION,
	 FIELD(struct http_params, timeout_ms),
	 .def = "2s",
	 .min = 10,
	 .max = PROBE_TIMEOUT_MAX_MS,
	 .text = "How long an answer is waited for."},
	{.name = "failures",
	 .type = ROW_INTEGER,
	 FIELD(struct http_params, failures),
	 .def = "1",
	 .min = 1,
	 .max = FAILURES_MAX,
	 .text = "How many failures in a row are too many; before the start it is one."},
	PROBE_UNREADABLE_ROW(struct http_params, unreadable),
};

struct status_list {
	size_t n;
	struct {
		uint64_t first, last;
	} range[STATUSES_MAX];
};

struct http_state {
	struct rounds rounds;
	struct status_list statuses;
	struct fetching *fetching; /* NULL: none */
	int64_t failures;          /* in a row */
};

static int add_status(const char *item, void *arg)
{
	struct status_list *list = arg;
	char first[16], *dash;
	uint64_t a = 0, b = 0;

	if (list->n == STATUSES_MAX || !str_copy(first, sizeof(first), item))
		return -EINVAL;
	dash = strchr(first, '-');
	if (dash)
		*dash = '\0';
	if (str_to_u64(first, &a) < 0 || str_to_u64(dash ? dash + 1 : first, &b) < 0 || a < 100 ||
	    b > 599 || a > b)
		return -EINVAL;
	list->range[list->n].first = a;
	list->range[list->n++].last = b;
	return 0;
}

static int check(const void *from, struct error *e)
{
	const struct http_params *c = from;
	struct status_list list = {0};
	int r = probe_url_check("url", c->url, e);

	if (r == 0 && str_each_item(c->status, add_status, &list) < 0)
		r = error_field(e, "status", c->status, STATUS_WANTED, "%s is not a list of that",
				c->status);
	return r;
}

static bool is_well(const struct status_list *list, unsigned status)
{
	for (size_t i = 0; i < list->n; i++) {
		if (status >= list->range[i].first && status <= list->range[i].last)
			return true;
	}
	return false;
}

/* What is wrong with the answer; false: nothing. */
static bool find_failure(const struct http_state *s, const struct fetch_answer *a, struct text *why)
{
	const struct http_params *c = s->rounds.p->params;
	uint64_t took_ms = (a->took_us + 999) / 1000;

	if (a->r < 0) {
		text_add(why, "%s", a->message[0] ? a->message : strerror(-a->r));
	} else if (!is_well(&s->statuses, a->status)) {
		text_add(why, "status %u; allowed: %s", a->status, c->status);
	} else if (c->latency_ms && took_ms > c->latency_ms) {
		text_add(why, "answered after ");
		duration_print(took_ms, why);
		text_add(why, "; allowed: ");
		duration_print(c->latency_ms, why);
	} else {
		return false;
	}
	return true;
}

static void judge(struct http_state *s, const struct fetch_answer *a)
{
	struct probe *p = s->rounds.p;
	const struct http_params *c = p->params;
	char why[256] = "", times[48] = "";
	struct text t = TEXT(why);

	/* Ours, not the other side's. */
	if (probe_answer_says_nothing(a)) {
		probe_cannot_read(p, "%s: %s", c->url, a->message);
		return;
	}
	if (!find_failure(s, a, &t)) {
		s->failures = 0;
		probe_tell(p, PROBE_FINE, "%s: status %u", c->url, a->status);
		return;
	}
	s->failures++;
	if (p->told_first && s->failures < c->failures)
		return;
	if (s->failures > 1)
		(void)snprintf(times, sizeof(times), " (%" PRId64 " times in a row)", s->failures);
	probe_tell(p, PROBE_FIRED, "%s: %s%s", c->url, why, times);
}

static void on_answer(const struct fetch_answer *a, void *arg)
{
	struct http_state *s = arg;

	s->fetching = NULL;
	judge(s, a);
	rounds_answered(&s->rounds);
}

static void ask(struct probe *p)
{
	struct http_state *s = p->state;
	const struct http_params *c = p->params;
	const struct fetch_request q = {.method = "GET",
					.url = c->url,
					.timeout_ms = c->timeout_ms,
					.answer_max = ANSWER_MAX};
	int r = fetch(cloud_fetcher(p->env->cloud), &q, on_answer, s, &s->fetching);

	if (r == 0)
		return;
	s->fetching = NULL;
	probe_cannot_read(p, "%s: %s", c->url, probe_fetch_strerror(r));
	rounds_answered(&s->rounds);
}

static int start(struct probe *p, struct error *e)
{
	const struct http_params *c = p->params;
	struct http_state *s;

	if (!p->env->cloud)
		return error_set(e, ERROR_UNSUPPORTED, -ENOTSUP,
				 "host:http: this faultd asks no URLs");
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(e, ERROR_FAILED, -ENOMEM, "host:http: out of memory");
	(void)str_each_item(c->status, add_status, &s->statuses); /* checked */
	p->state = s;
	rounds_start(&s->rounds, p, c->period_ms, ask);
	return 0;
}

static void stop(struct probe *p)
{
	struct http_state *s = p->state;

	if (s->fetching) {
		fetch_cancel(s->fetching);
		s->fetching = NULL;
		s->rounds.asking = false;
	}
	rounds_stop(&s->rounds);
}

const struct probe_type probe_type_http = {
	.source = "host:http",
	.description = "A health check over HTTP or HTTPS fails.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct http_params),
	.check = check,
	.start = start,
	.stop = stop,
};
