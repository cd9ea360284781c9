/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP and HTTPS requests from within the loop: libcurl's multi interface. Nothing blocks, except
 * that the first request loads libcurl, and the first HTTPS request the CA certificates. */
#ifndef FAULTD_CLOUD_FETCH_H
#define FAULTD_CLOUD_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define FETCH_BODY_MAX (1024 * 1024) /* of a request; beyond, libcurl would ask "Expect" first */

struct fetcher;

/* Nothing is loaded or opened before the first request. Returns 0 or -ENOMEM. */
int fetcher_start(uv_loop_t *loop, struct fetcher **ret);
/* What is under way is cancelled (its callback is not called); handles close. Free after the loop
 * has run once more. NULL: nothing. */
void fetcher_stop(struct fetcher *f);
void fetcher_free(struct fetcher *f);

/* AWS Signature Version 4 by libcurl. Strings are copied. libcurl signs path and query as they are
 * in the URL: they must be in canonical form (percent-encoded, the query sorted). */
struct fetch_signing {
	const char *service, *region;
	const char *access_key, *secret_key, *session_token; /* token may be NULL or "" */
};

struct fetch_request {
	const char *method;         /* "GET", "POST", "PUT" */
	const char *url;            /* http: or https:; redirects are not followed */
	const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
	const char *body;           /* copied; may be NULL */
	size_t body_length;
	uint64_t timeout_ms;                 /* for all of it; not 0 */
	size_t answer_max;                   /* more is an error (-EMSGSIZE) */
	bool by_proxy;                       /* as https_proxy and no_proxy of the environment say;
						otherwise never through a proxy */
	const struct fetch_signing *signing; /* NULL: not signed */
};

struct fetch_answer {
	int r;               /* 0: there is an answer, of any status; else a negative errno */
	const char *message; /* why not, one line, without secrets; "" */
	unsigned status;
	const char *body; /* terminated; valid during the callback */
	size_t length;
	uint64_t took_us;
};

typedef void (*fetch_fn)(const struct fetch_answer *a, void *arg);

/* `done` is called once, on the loop, never from within this, unless it is cancelled before. It may
 * start, cancel and stop others. Returns 0 or a negative errno: -EINVAL (no such URL or method, no
 * time-out), -E2BIG (the body), -ELIBACC (there is no libcurl here, or one that is too old). */
struct fetching;
int fetch(struct fetcher *f, const struct fetch_request *q, fetch_fn done, void *arg,
	  struct fetching **ret);
void fetch_cancel(struct fetching *f); /* NULL: nothing. Not from its own `done`, or after it */

#endif
