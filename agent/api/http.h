/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 on a listening socket, inside the loop: libmicrohttpd without threads. Owns connections
 * and their limits (size, number, time); knows nothing of what is asked. */
#ifndef FAULTD_API_HTTP_H
#define FAULTD_API_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "plan/policy.h"

struct http;

/* One request, from its first byte to its answer. Lives until the connection is done with it. */
struct http_request {
	const char *method;
	const char *path;
	const char *body;
	size_t body_length;
	int fd; /* of the connection */
	struct caller
		caller; /* from the socket: pid, uid, gid; in_group is the handler's to find out */
	void *data;     /* the handler's */
	void (*gone)(
		struct http_request *q); /* the handler's: the request is over, answered or not */
};

/* Called once per complete request. It answers with one of the http_answer* functions, now or
 * later. */
typedef void (*http_handler)(struct http_request *q, void *arg);

/* Takes over `listen_fd`. Returns 0 or a negative errno. */
int http_start(uv_loop_t *loop, int listen_fd, http_handler handler, void *arg, struct http **ret);

/* Ends all connections and closes the handles (the loop must run once more); then free. */
void http_stop(struct http *h);
void http_free(struct http *h);

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
