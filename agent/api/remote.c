/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remote.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/sigv4.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/str.h"

#define LOGGED_PER_SECOND 5

struct headers {
	struct sigv4_header list[SIGV4_HEADERS_MAX];
	size_t n; /* may be more than there is room for: sigv4_verify() refuses that */
};

static const char *find(const struct headers *h, const char *name)
{
	for (size_t i = 0; i < h->n && i < SIGV4_HEADERS_MAX; i++) {
		if (strcasecmp(h->list[i].name, name) == 0)
			return h->list[i].value;
	}
	return NULL;
}

/* "localhost", "127.0.0.1" or "[::1]", with any port (it may be the one of a tunnel) or none. */
static bool is_loopback(const char *host)
{
	size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	char name[INET6_ADDRSTRLEN + 2];
	struct in_addr four;
	uint64_t port;

	if (n >= sizeof(name) || n > strlen(host))
		return false;
	memcpy(name, host, n);
	name[n] = '\0';
	if (host[n] && (host[n] != ':' || str_to_u64(host + n + 1, &port) < 0 || port > UINT16_MAX))
		return false;
	return strcasecmp(name, "localhost") == 0 || str_eq(name, "[::1]") ||
	       (inet_pton(AF_INET, name, &four) == 1 && ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET);
}

static int check_browser(const struct headers *h, struct error *e)
{
	const char *host = find(h, "Host");

	if (find(h, "Origin"))
		return error_set(e, ERROR_DENIED, -EACCES,
				 "Origin: a web page sent this; they are not served");
	if (!host || !is_loopback(host))
		return error_set(e, ERROR_DENIED, -EACCES,
				 "Host: %.64s is not this host; allowed: 127.0.0.1, [::1], "
				 "localhost",
				 host ? host : "(none)");
	return 0;
}

static int check_signature(struct http_request *q, const struct headers *h,
			   const struct policy *policy, const struct identity *identity,
			   struct error *e)
{
	const struct sigv4_request request = {.method = q->method,
					      .raw_path = q->raw_path,
					      .raw_query = q->raw_query,
					      .headers = h->list,
					      .n_headers = h->n,
					      .body = q->body,
					      .body_length = q->body_length};
	const struct access_key *key;
	int r = sigv4_verify(&request, policy->access, identity->region, time(NULL), &key, e);

	if (r == 0)
		(void)str_copy(q->caller.key, sizeof(q->caller.key), key->id);
	return r;
}

/* Which key it says it is signed with, for whoever reads the log; "?": none. */
static const char *claimed_key(const struct headers *h, char *ret, size_t size)
{
	const char *s = find(h, "Authorization");

	s = s ? strstr(s, "Credential=") : NULL;
	(void)str_copy(ret, size, s ? s + strlen("Credential=") : "?");
	ret[strcspn(ret, "/, ")] = '\0';
	str_make_line(ret);
	return ret;
}

static void log_refusal(struct remote_log *l, const struct headers *h, const struct error *e)
{
	uint64_t now = boot_ns();
	char key[40];

	if (now - l->since_boot_ns >= NSEC_PER_SEC) {
		if (l->more > 0)
			log_notice("FIS API: %u more requests over TCP were refused", l->more);
		*l = (struct remote_log){.since_boot_ns = now};
	}
	if (l->logged == LOGGED_PER_SECOND) {
		l->more++;
		return;
	}
	l->logged++;
	log_notice("FIS API: a request over TCP was refused, key %s: %s: %s",
		   claimed_key(h, key, sizeof(key)), error_code_name(e->code), e->message);
}

int remote_admit(struct http_request *q, const struct policy *policy,
		 const struct identity *identity, struct remote_log *log, struct error *e)
{
	struct headers h;
	int r;

	h.n = http_headers(q, h.list, SIGV4_HEADERS_MAX);
	r = check_browser(&h, e);
	if (r == 0)
		r = check_signature(q, &h, policy, identity, e);
	if (r < 0)
		log_refusal(log, &h, e);
	return r;
}
