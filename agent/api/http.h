/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 on a listening socket, inside the loop: libmicrohttpd without threads. Owns connections
 * and their limits (size, number, time); knows nothing of what is asked. */
#ifndef FAULTD_API_HTTP_H
#define FAULTD_API_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "plan/policy.h"
#include "util/err.h"

struct http;
struct sigv4_header; /* api/sigv4.h */

#define HTTP_SECOND_ID_MAX 127

/* One request, from its first byte to its answer. Lives until the connection is done with it. */
struct http_request {
	const char *method;
	const char *path;      /* decoded, without the query */
	const char *raw_path;  /* as it was sent, percent-encoding and all, without the query */
	const char *raw_query; /* what stands behind "?", as it was sent; "" */
	char second_id[HTTP_SECOND_ID_MAX + 1]; /* the router's: the path's second variable part */
	const char *body;
	size_t body_length;
	enum error_code refused; /* not ERROR_NONE: what was sent is not here. Answer it now */
	int fd;                  /* of the connection */
	bool remote;             /* came over TCP: nothing is known of the caller */
	struct caller
		caller; /* from the socket: pid, uid, gid; in_group is the handler's to find out */
	void *data;     /* the handler's */
	void (*gone)(
		struct http_request *q); /* the handler's: the request is over, answered or not */
};

struct http_service {
	/* Called once per complete request. It answers with one of the http_answer* functions, now
	 * or later; a request that is `refused` at once: ERROR_VALIDATION (the URI holds a NUL),
	 * ERROR_TOO_LARGE, ERROR_UNAVAILABLE (too many large bodies are held already). */
	void (*handle)(struct http_request *q, void *arg);
	size_t (*body_max)(const char *path); /* at most FIS_BODY_MAX */
	void *arg;
};

/* Takes over `listen_fd`, a listening Unix or TCP socket; copies `service`. Returns 0 or a negative
 * errno. */
int http_start(uv_loop_t *loop, int listen_fd, const struct http_service *service,
	       struct http **ret);

/* Ends all connections and closes the handles (the loop must run once more); then free. */
void http_stop(struct http *h);
void http_free(struct http *h);

/* The decoded value of the `i`-th query parameter of this name, NULL: there are not so many. One
 * without "=" is "". Lives as long as the request; so do those of the next two. */
const char *http_query(struct http_request *q, const char *name, size_t i);
void http_each_query(struct http_request *q,
		     void (*each)(const char *name, const char *value, void *arg), void *arg);

/* All headers, in the order they came. Returns how many there are; the first `room` are in `ret`.
 */
size_t http_headers(struct http_request *q, struct sigv4_header *ret, size_t room);

/* Answers with `text` (malloc'd, taken over) and, for an error, its name in x-amzn-ErrorType. */
void http_answer(struct http_request *q, unsigned status, const char *error_name, char *text);

/* Calls `gone` as soon as the client closes its connection, or its sending side of it. Without this
 * it is called when the request is over. For what is to end with its client. */
void http_watch_client(struct http_request *q);
void http_unwatch_client(struct http_request *q);

/* Answers with a stream of lines. Lines are added until it is ended; `gone` tells when the client
 * left first. Adding returns false when the client does not read and the stream was given up. */
void http_stream_begin(struct http_request *q);
bool http_stream_add(struct http_request *q, const char *line);
void http_stream_end(struct http_request *q);

#endif
