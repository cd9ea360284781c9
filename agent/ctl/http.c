/* SPDX-License-Identifier: Apache-2.0 */
/* See http.h. Everything the daemon sends is bounded here: headers, lines, whole answers. A
 * watcher's line() runs inside libcurl, hence the rule that it starts no request. */
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ctl/http.h"

#define HEADERS_MAX    (64 * 1024)
#define READ_TIMEOUT_S 10L /* of a GET; what changes the host answers when it is done */
#define WAIT_MS_MAX    1000

struct transfer {
	struct transfer *next;
	CURL *easy;
	struct curl_slist *headers;
	const struct http_watcher *watcher; /* NULL: keep the answer whole */
	http_done *done;                    /* NULL: someone waits for `finished` */
	void *data;
	struct http_answer answer;
	size_t room, header_bytes;
	int result;
	bool finished;
};

struct http {
	CURLM *multi;
	const char *socket;
	int signal_fd;
	struct transfer *transfers;
};

struct http *http_open(const char *socket, int signal_fd)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(h);
		return NULL;
	}
	h->socket = socket;
	h->signal_fd = signal_fd;
	h->multi = curl_multi_init();
	if (!h->multi) {
		free(h);
		return NULL;
	}
	return h;
}

static void transfer_free(struct http *h, struct transfer *t)
{
	for (struct transfer **p = &h->transfers; *p; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			break;
		}
	if (t->easy) {
		curl_multi_remove_handle(h->multi, t->easy);
		curl_easy_cleanup(t->easy);
	}
	curl_slist_free_all(t->headers);
	free(t->answer.body);
	free(t);
}

void http_close(struct http *h)
{
	if (!h)
		return;
	while (h->transfers)
		transfer_free(h, h->transfers);
	curl_multi_cleanup(h->multi);
	curl_global_cleanup();
	free(h);
}

void http_answer_done(struct http_answer *a)
{
	free(a->body);
	*a = (struct http_answer){0};
}

static bool is_streaming(struct transfer *t)
{
	if (t->answer.status == 0)
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->answer.status);
	return t->watcher && t->answer.status < 400;
}

/* Appends to the body or, in a stream, to the line that is not complete yet. */
static int append(struct transfer *t, const char *bytes, size_t len)
{
	struct http_answer *a = &t->answer;
	size_t max = is_streaming(t) ? HTTP_LINE_MAX : HTTP_ANSWER_MAX;

	if (len > max - a->len)
		return -EMSGSIZE;
	if (a->len + len + 1 > t->room) {
		size_t room = 2 * (a->len + len + 1);
		char *body = realloc(a->body, room);

		if (!body)
			return -ENOMEM;
		a->body = body;
		t->room = room;
	}
	memcpy(a->body + a->len, bytes, len);
	a->len += len;
	a->body[a->len] = '\0';
	return 0;
}

static int deliver_line(struct transfer *t)
{
	size_t len = t->answer.len;

	if (len == 0)
		return 0;
	t->answer.len = 0;
	if (memchr(t->answer.body, '\0', len))
		return -EBADMSG;
	return t->watcher->line(t->watcher->data, t->answer.body, len);
}

static int take(struct transfer *t, const char *bytes, size_t len)
{
	int r = 0;

	while (is_streaming(t) && len && r == 0) {
		const char *newline = memchr(bytes, '\n', len);
		size_t part = newline ? (size_t)(newline - bytes) : len;

		r = append(t, bytes, part);
		if (r == 0 && newline)
			r = deliver_line(t);
		part += newline ? 1 : 0;
		bytes += part;
		len -= part;
	}
	return r ? r : append(t, bytes, len);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *data)
{
	struct transfer *t = data;

	t->result = take(t, bytes, size * count);
	return t->result ? 0 : size * count;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *data)
{
	struct transfer *t = data;

	(void)bytes;
	t->header_bytes += size * count;
	if (t->header_bytes > HEADERS_MAX) {
		t->result = -EMSGSIZE;
		return 0;
	}
	return size * count;
}

static void set_request(struct transfer *t, const char *method, const char *body)
{
	curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, method);
	if (strcmp(method, "GET") == 0 && !t->watcher)
		curl_easy_setopt(t->easy, CURLOPT_TIMEOUT, READ_TIMEOUT_S);
	if (body || strcmp(method, "POST") == 0)
		curl_easy_setopt(t->easy, CURLOPT_COPYPOSTFIELDS, body ? body : "");
}

static void set_connection(struct http *h, struct transfer *t, const char *url)
{
	CURL *easy = t->easy;

	curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, h->socket);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	/* An http_proxy in the environment is not for this socket. */
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "faultctl/" FAULTD_VERSION);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
}

static struct transfer *transfer_new(struct http *h, const char *method, const char *path,
				     const char *body, const struct http_watcher *watcher)
{
	struct transfer *t = calloc(1, sizeof(*t));
	struct curl_slist *more;
	char *url = NULL;

	if (!t || asprintf(&url, "http://localhost%s", path) < 0) {
		free(t);
		return NULL;
	}
	t->watcher = watcher;
	t->next = h->transfers;
	h->transfers = t;
	t->headers = curl_slist_append(NULL, "Content-Type: application/json");
	more = curl_slist_append(t->headers, "Expect:");
	t->easy = more ? curl_easy_init() : NULL;
	if (t->easy) {
		set_connection(h, t, url);
		set_request(t, method, body);
	}
	free(url);
	if (!t->easy || curl_multi_add_handle(h->multi, t->easy) != CURLM_OK) {
		transfer_free(h, t);
		return NULL;
	}
	return t;
}

static int curl_errno(struct transfer *t, CURLcode code)
{
	long number = 0;

	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &number);
		return number > 0 ? (int)-number : -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
		return -EBADMSG;
	default:
		return -ECONNRESET;
	}
}

static void finish(struct transfer *t, CURLcode code)
{
	t->finished = true;
	if (t->result == 0)
		t->result = curl_errno(t, code);
	/* The last line need not end in a newline. */
	if (t->result == 0 && is_streaming(t))
		t->result = deliver_line(t);
	if (t->result == 0 && t->answer.len && memchr(t->answer.body, '\0', t->answer.len))
		t->result = -EBADMSG;
}

static void reap(struct http *h)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(h->multi, &left))) {
		char *private = NULL;
		struct transfer *t;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
		t = (struct transfer *)(void *)private;
		finish(t, message->data.result);
		if (t->done) {
			t->done(t->data, t->result, &t->answer);
			transfer_free(h, t);
		}
	}
}

static int serve_signals(struct http *h, const struct http_watcher *watcher)
{
	struct signalfd_siginfo info;
	int r = 0;

	while (r == 0 && read(h->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		r = watcher ? watcher->signal(watcher->data, (int)info.ssi_signo) : -EINTR;
	return r;
}

/* Runs every transfer until t is finished or someone ends it. */
static int loop(struct http *h, struct transfer *t)
{
	const struct http_watcher *watcher = t->watcher;
	struct curl_waitfd signals = {.fd = h->signal_fd, .events = CURL_WAIT_POLLIN};

	for (;;) {
		int running, wait_ms = WAIT_MS_MAX, r;

		if (curl_multi_perform(h->multi, &running) != CURLM_OK)
			return -EIO;
		reap(h);
		if (t->finished)
			return t->result;
		r = serve_signals(h, watcher);
		if (r == 0 && watcher && watcher->tick)
			r = watcher->tick(watcher->data, &wait_ms);
		if (r)
			return r;
		if (curl_multi_poll(h->multi, &signals, 1, wait_ms, NULL) != CURLM_OK)
			return -EIO;
	}
}

int http_stream(struct http *h, const char *method, const char *path, const char *body,
		const struct http_watcher *watcher, struct http_answer *ret)
{
	struct transfer *t = transfer_new(h, method, path, body, watcher);
	int r;

	if (!t)
		return -ENOMEM;
	r = loop(h, t);
	if (r == 0) {
		*ret = t->answer;
		t->answer = (struct http_answer){0};
	}
	/* Requests beside a stream belong to it: their data may be gone after this. */
	while (h->transfers)
		transfer_free(h, h->transfers);
	return r;
}

int http_call(struct http *h, const char *method, const char *path, const char *body,
	      struct http_answer *ret)
{
	return http_stream(h, method, path, body, NULL, ret);
}

int http_start(struct http *h, const char *method, const char *path, http_done *done, void *data)
{
	struct transfer *t = transfer_new(h, method, path, NULL, NULL);

	if (!t)
		return -ENOMEM;
	t->done = done;
	t->data = data;
	return 0;
}

char *http_path(const char *prefix, const char *name, const char *suffix)
{
	char *escaped = curl_easy_escape(NULL, name, 0), *path = NULL;

	if (!escaped || asprintf(&path, "%s%s%s", prefix, escaped, suffix) < 0)
		path = NULL;
	curl_free(escaped);
	return path;
}
