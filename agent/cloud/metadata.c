/* SPDX-License-Identifier: Apache-2.0 */
/* The instance metadata service, version 2: a token by PUT, then GETs with it. Version 1, which
 * answers whoever can make this host send a GET, is not spoken. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/internal.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/str.h"

#define TOKEN_SECONDS   300
#define TOKEN_SPARE_S   30
#define URL_MAX         1536
#define METADATA_ITSELF "http://169.254.169.254"

struct metadata_asking {
	struct cloud *c;
	struct fetching *fetching;
	uint64_t deadline_boot_ns;
	fetch_fn done;
	void *arg;
	char url[URL_MAX];
};

static bool file_says(const char *path, const char *word)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[128];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return strstr(text, word);
}

/* Nitro and its bare metal say who made them; of Xen's instances the firmware does. */
static bool is_ec2(void)
{
	return file_says("/sys/class/dmi/id/sys_vendor", "Amazon EC2") ||
	       file_says("/sys/class/dmi/id/bios_version", "amazon");
}

bool metadata_may_be_asked(const struct cloud *c)
{
	if (!c->metadata)
		return false;
	return !str_eq(c->endpoints.metadata, METADATA_ITSELF) || is_ec2();
}

bool metadata_word(const char *body, char *to, size_t size)
{
	size_t n = strcspn(body, "\r\n");

	if (n == 0 || n >= size)
		return false;
	for (size_t i = 0; i < n; i++)
		if (body[i] <= ' ' || body[i] > '~')
			return false;
	memcpy(to, body, n);
	to[n] = '\0';
	return true;
}

static uint64_t time_left_ms(const struct metadata_asking *m)
{
	uint64_t now = boot_ns();

	return now < m->deadline_boot_ns ? (m->deadline_boot_ns - now) / NSEC_PER_MSEC : 0;
}

static int ask(struct metadata_asking *m, const char *method, const char *url, const char *header,
	       fetch_fn done)
{
	const char *const headers[] = {header, NULL};
	uint64_t left_ms = time_left_ms(m);
	struct fetch_request q = {
		.method = method,
		.url = url,
		.headers = headers,
		.timeout_ms = left_ms < METADATA_TIMEOUT_MS ? left_ms : METADATA_TIMEOUT_MS,
		.answer_max = METADATA_ANSWER_MAX,
	};

	if (!left_ms)
		return -ETIMEDOUT;
	return fetch(m->c->fetcher, &q, done, m, &m->fetching);
}

static void tell(struct metadata_asking *m, const struct fetch_answer *a)
{
	fetch_fn done = m->done;
	void *arg = m->arg;

	free(m);
	done(a, arg);
}

static void on_answer(const struct fetch_answer *a, void *arg)
{
	struct metadata_asking *m = arg;

	if (a->r == 0 && a->status == 401)
		m->c->metadata_token_until_ns = 0;
	tell(m, a);
}

static int get(struct metadata_asking *m)
{
	char header[192];

	(void)snprintf(header, sizeof(header), "X-aws-ec2-metadata-token: %s",
		       m->c->metadata_token);
	return ask(m, "GET", m->url, header, on_answer);
}

static void on_token(const struct fetch_answer *a, void *arg)
{
	struct metadata_asking *m = arg;
	struct cloud *c = m->c;
	int r;

	if (a->r < 0 || a->status != 200) {
		tell(m, a);
		return;
	}
	if (!metadata_word(a->body, c->metadata_token, sizeof(c->metadata_token)))
		r = -EBADMSG;
	else
		r = get(m);
	if (r < 0) {
		tell(m,
		     &(struct fetch_answer){
			     .r = r, .message = strerror(-r), .body = "", .took_us = a->took_us});
		return;
	}
	c->metadata_token_until_ns = boot_ns() + (TOKEN_SECONDS - TOKEN_SPARE_S) * NSEC_PER_SEC;
}

static int ask_token(struct metadata_asking *m)
{
	char url[ENDPOINT_MAX + 32];

	(void)snprintf(url, sizeof(url), "%s/latest/api/token", m->c->endpoints.metadata);
	return ask(m, "PUT", url, "X-aws-ec2-metadata-token-ttl-seconds: 300", on_token);
}

int metadata_get(struct cloud *c, const char *path, uint64_t deadline_boot_ns, fetch_fn done,
		 void *arg, struct metadata_asking **ret)
{
	struct metadata_asking *m = calloc(1, sizeof(*m));
	struct text url;
	int r;

	if (!m)
		return -ENOMEM;
	*m = (struct metadata_asking){
		.c = c, .deadline_boot_ns = deadline_boot_ns, .done = done, .arg = arg};
	url = TEXT(m->url);
	text_add(&url, "%s%s", c->endpoints.metadata, path);
	if (url.cut)
		r = -ENAMETOOLONG;
	else if (boot_ns() < c->metadata_token_until_ns)
		r = get(m);
	else
		r = ask_token(m);
	if (r < 0) {
		free(m);
		return r;
	}
	*ret = m;
	return 0;
}

void metadata_cancel(struct metadata_asking *m)
{
	if (m)
		fetch_cancel(m->fetching);
	free(m);
}
