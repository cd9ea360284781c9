/* SPDX-License-Identifier: Apache-2.0 */
/* Signed calls. One that finds no credentials waits until they are there; its time runs from when
 * it was made. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/internal.h"
#include "util/clock.h"
#include "util/str.h"

#define HEADERS_MAX 16

struct cloud_calling {
	struct cloud_calling *next;
	struct cloud *c;
	struct fetching *fetching;
	char *service, *region, *url, *method, *body;
	char *headers[HEADERS_MAX + 1];
	size_t body_length, answer_max;
	uint64_t deadline_boot_ns;
	int failed; /* what is to be told at the next turn of the loop */
	char why[CREDENTIALS_WHY_MAX];
	fetch_fn done;
	void *arg;
};

/* The cloud */

/* Without the slash at its end: paths begin with one. */
static bool copy_endpoint(char to[static ENDPOINT_MAX], const char *from)
{
	bool whole = str_copy(to, ENDPOINT_MAX, from ? from : "");
	size_t n = strlen(to);

	if (n && to[n - 1] == '/')
		to[n - 1] = '\0';
	return whole;
}

static void on_later(uv_timer_t *timer);

int cloud_configure(struct cloud *c, const struct cloud_setup *setup)
{
	struct endpoints e;

	if (!copy_endpoint(e.metadata, setup->metadata_endpoint) ||
	    !copy_endpoint(e.monitoring, setup->monitoring_endpoint) ||
	    !copy_endpoint(e.logs, setup->logs_endpoint) ||
	    !copy_endpoint(e.s3, setup->s3_endpoint))
		return -ENAMETOOLONG;
	c->metadata = setup->metadata;
	c->endpoints = e;
	return 0;
}

int cloud_start(const struct cloud_setup *setup, struct cloud **ret)
{
	struct cloud *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->loop = setup->loop;
	r = cloud_configure(c, setup);
	if (r == 0)
		r = fetcher_start(setup->loop, &c->fetcher);
	if (r < 0) {
		free(c);
		return r;
	}
	(void)uv_timer_init(c->loop, &c->later);
	c->later.data = c;
	*ret = c;
	return 0;
}

void cloud_stop(struct cloud *c)
{
	if (!c || c->stopped)
		return;
	c->stopped = true;
	while (c->calls)
		cloud_call_cancel(c->calls);
	credentials_stop(c);
	instances_stop(c);
	fetcher_stop(c->fetcher);
	uv_close((uv_handle_t *)&c->later, NULL);
}

void cloud_free(struct cloud *c)
{
	if (!c)
		return;
	fetcher_free(c->fetcher);
	free(c);
}

struct fetcher *cloud_fetcher(struct cloud *c)
{
	return c->fetcher;
}

uv_loop_t *cloud_loop(struct cloud *c)
{
	return c->loop;
}

void cloud_tell_later(struct cloud *c)
{
	if (!c->stopped)
		(void)uv_timer_start(&c->later, on_later, 0, 0);
}

/* Calls */

static void unlink_call(struct cloud_calling *x)
{
	for (struct cloud_calling **p = &x->c->calls; *p; p = &(*p)->next)
		if (*p == x) {
			*p = x->next;
			return;
		}
}

static void free_call(struct cloud_calling *x)
{
	free(x->service);
	free(x->region);
	free(x->url);
	free(x->method);
	free(x->body);
	for (size_t i = 0; x->headers[i]; i++)
		free(x->headers[i]);
	free(x);
}

static void end(struct cloud_calling *x, const struct fetch_answer *a)
{
	unlink_call(x);
	x->done(a, x->arg);
	free_call(x);
}

static void fail_later(struct cloud_calling *x, int r, const char *why)
{
	x->failed = r;
	(void)str_copy(x->why, sizeof(x->why), why);
	cloud_tell_later(x->c);
}

static bool credentials_were_refused(const struct fetch_answer *a)
{
	return a->r == 0 && (a->status == 401 || a->status == 403 ||
			     (a->status == 400 && strstr(a->body, "ExpiredToken")));
}

static void on_answer(const struct fetch_answer *a, void *arg)
{
	struct cloud_calling *x = arg;

	x->fetching = NULL;
	if (credentials_were_refused(a))
		credentials_forget(x->c);
	end(x, a);
}

static int send_call(struct cloud_calling *x, const struct credentials *k)
{
	uint64_t now = boot_ns();
	struct fetch_signing signing = {
		.service = x->service,
		.region = x->region,
		.access_key = k->access_key,
		.secret_key = k->secret_key,
		.session_token = k->session_token,
	};
	struct fetch_request q = {
		.method = x->method,
		.url = x->url,
		.headers = (const char *const *)x->headers,
		.body = x->body,
		.body_length = x->body_length,
		.answer_max = x->answer_max,
		.by_proxy = true,
		.signing = &signing,
	};

	if (now < x->deadline_boot_ns)
		q.timeout_ms = (x->deadline_boot_ns - now) / NSEC_PER_MSEC;
	if (!q.timeout_ms)
		return -ETIMEDOUT;
	return fetch(x->c->fetcher, &q, on_answer, x, &x->fetching);
}

void calls_have_credentials(struct cloud *c, const struct credentials *credentials, int r,
			    const char *why)
{
	for (struct cloud_calling *x = c->calls; x; x = x->next) {
		int sent;

		if (x->fetching || x->failed)
			continue;
		if (!credentials) {
			fail_later(x, r, why);
			continue;
		}
		sent = send_call(x, credentials);
		if (sent < 0)
			fail_later(x, sent, strerror(-sent));
	}
}

static struct cloud_calling *first_failed(struct cloud *c)
{
	struct cloud_calling *x = c->calls;

	while (x && !x->failed)
		x = x->next;
	return x;
}

/* One a turn: its callback may make another call, and that fail as well. */
static void on_later(uv_timer_t *timer)
{
	struct cloud *c = timer->data;
	struct cloud_calling *x = first_failed(c);

	if (x)
		end(x, &(struct fetch_answer){.r = x->failed, .message = x->why, .body = ""});
	if (first_failed(c))
		cloud_tell_later(c);
	instances_tell_failed(c);
}

static int copy_text(char **to, const char *from)
{
	*to = strdup(from);
	return *to ? 0 : -ENOMEM;
}

static int copy_headers(struct cloud_calling *x, const char *const *headers)
{
	for (size_t i = 0; headers && headers[i]; i++) {
		int r = i < HEADERS_MAX ? copy_text(&x->headers[i], headers[i]) : -E2BIG;

		if (r < 0)
			return r;
	}
	return 0;
}

static int copy_call(struct cloud_calling *x, const struct cloud_call *call)
{
	int r;

	if (call->body_length > FETCH_BODY_MAX)
		return -E2BIG;
	x->body = malloc(call->body_length + 1);
	if (!x->body)
		return -ENOMEM;
	if (call->body_length)
		memcpy(x->body, call->body, call->body_length);
	x->body_length = call->body_length;
	x->answer_max = call->answer_max;
	r = copy_text(&x->service, call->service);
	if (r == 0)
		r = copy_text(&x->region, call->region);
	if (r == 0)
		r = copy_text(&x->url, call->url);
	if (r == 0)
		r = copy_text(&x->method, call->method);
	return r < 0 ? r : copy_headers(x, call->headers);
}

int cloud_call(struct cloud *c, const struct cloud_call *call, fetch_fn done, void *arg,
	       struct cloud_calling **ret)
{
	const struct credentials *k;
	struct cloud_calling *x;
	char why[CREDENTIALS_WHY_MAX];
	int r;

	if (c->stopped)
		return -ESHUTDOWN;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	*x = (struct cloud_calling){.c = c, .done = done, .arg = arg};
	x->deadline_boot_ns = boot_ns() + call->timeout_ms * NSEC_PER_MSEC;
	r = copy_call(x, call);
	if (r < 0) {
		free_call(x);
		return r;
	}
	x->next = c->calls;
	c->calls = x;
	r = credentials_get(c, &k, why);
	if (r == 0) {
		r = send_call(x, k);
		if (r < 0)
			(void)str_copy(why, sizeof(why), strerror(-r));
	}
	if (r < 0 && r != -EINPROGRESS)
		fail_later(x, r, why);
	*ret = x;
	return 0;
}

void cloud_call_cancel(struct cloud_calling *x)
{
	if (!x)
		return;
	fetch_cancel(x->fetching);
	unlink_call(x);
	free_call(x);
}
