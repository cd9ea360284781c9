/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP on faultd's Unix socket. Owns libcurl: one multi handle, a fresh connection for every
 * request (a request that starts a fault must never be sent twice by a retry). Knows nothing of
 * faults and prints nothing. */
#ifndef FAULTD_CTL_HTTP_H
#define FAULTD_CTL_HTTP_H

#include <stddef.h>

#define HTTP_LINE_MAX   (1024 * 1024)
#define HTTP_ANSWER_MAX (32 * 1024 * 1024)

struct http;

/* An answer as it came. body ends in a NUL that len does not count, and holds no other. */
struct http_answer {
	long status;
	char *body;
	size_t len;
};

/* Who is served while a stream runs. Each function ends the stream by returning non-zero. */
struct http_watcher {
	/* One line, NUL-terminated, without its newline. Must not start a request. */
	int (*line)(void *data, const char *line, size_t len);
	/* One of the signals of signal_fd. May start requests. */
	int (*signal)(void *data, int number);
	/* After every wake-up; NULL is fine. Sets the longest wait. May start requests. */
	int (*tick)(void *data, int *ret_wait_ms);
	void *data;
};

/* The end of a request beside a stream: r as http_call() returns it; answer is lent. */
typedef void http_done(void *data, int r, const struct http_answer *answer);

/* Returns a client, to be closed, or NULL without memory. Does not connect yet. */
struct http *http_open(const char *socket, int signal_fd);
void http_close(struct http *h);

/* Sends one request and waits for its whole answer; body may be NULL. Returns 0 whatever the
 * status, and the answer, to be emptied with http_answer_done(); or a negative errno:
 * -ENOENT, -ECONNREFUSED, -EACCES ... from connect(); -ECONNRESET: closed before the end;
 * -EINTR: a signal came; -ETIMEDOUT; -EMSGSIZE: larger than HTTP_ANSWER_MAX;
 * -EBADMSG: not HTTP, or a NUL in it. */
int http_call(struct http *h, const char *method, const char *path, const char *body,
	      struct http_answer *ret);
void http_answer_done(struct http_answer *a);

/* As http_call(), but an answer below 400 goes to the watcher line by line. Returns what the
 * watcher returned if it ended the stream; 0 at the end of the stream, or with a whole answer
 * of 400 and above; -EMSGSIZE if a line is longer than HTTP_LINE_MAX. */
int http_stream(struct http *h, const char *method, const char *path, const char *body,
		const struct http_watcher *watcher, struct http_answer *ret);

/* Starts a request without a body beside the running stream; done is called once, unless the
 * stream ends before. Returns 0 or -ENOMEM. */
int http_start(struct http *h, const char *method, const char *path, http_done *done, void *data);

/* prefix, name with everything but letters, digits and "-._~" escaped, suffix. To be freed; NULL
 * without memory. */
char *http_path(const char *prefix, const char *name, const char *suffix);

#endif
