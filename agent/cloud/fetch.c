/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl inside the loop: it says which sockets and which time it waits for, uv_poll_t and
 * uv_timer_t wait, and curl_multi_socket_action() is told what happened. At rest there is a timer
 * that is not armed, and no socket is polled.
 *
 * libcurl is opened by dlopen() for the first request: it brings two dozen libraries along (TLS,
 * LDAP, SSH, Kerberos), 6 MB that a daemon which asks nobody anything need not carry. faultctl
 * links it, so that a package depends on it anyway. */
#define CURL_DISABLE_TYPECHECK /* its checks call the functions by name */
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cloud/fetch.h"
#include "util/log.h"
#include "util/str.h"

#define IDLE_CONNECTIONS_MAX 4L
#define ANSWER_START         2048
#define HEADER_LINE_MAX      16384 /* a session token is a few kB */

/* clang-format off */
#define CURL_FUNCTIONS(X)                                                                   \
	X(global_init) X(url) X(url_set) X(url_cleanup) X(slist_append) X(slist_free_all)   \
	X(easy_init) X(easy_setopt) X(easy_getinfo) X(easy_cleanup) X(easy_strerror)        \
	X(multi_init) X(multi_setopt) X(multi_add_handle) X(multi_remove_handle)            \
	X(multi_socket_action) X(multi_info_read) X(multi_assign) X(multi_cleanup)
/* clang-format on */

#define CURL_MEMBER(name) __typeof__(curl_##name) *name;
static struct {
	CURL_FUNCTIONS(CURL_MEMBER)
	bool loaded;
} lib; /* of the process, as dlopen() and curl_global_init() are */

/* One socket of libcurl's. Ends in its close callback. */
struct watched {
	uv_poll_t poll;
	struct watched *next;
	struct fetcher *f;
	curl_socket_t socket;
};

struct fetcher {
	uv_loop_t *loop;
	CURLM *multi; /* NULL: before the first request, and after the end */
	uv_timer_t timer;
	struct watched *watched;
	struct fetching *first;
	bool stopped;
};

struct fetching {
	struct fetching *next;
	struct fetcher *f;
	CURL *easy;
	struct curl_slist *headers;
	char *body, *answer;
	size_t length, room, max;
	bool too_large, no_memory;
	fetch_fn done;
	void *arg;
	char why[CURL_ERROR_SIZE];
};

#define CURL_ROW(name) {"curl_" #name, (void **)&lib.name},
static const struct {
	const char *name;
	void **function; /* as POSIX has it: dlsym() gives them as data */
} lib_rows[] = {CURL_FUNCTIONS(CURL_ROW)};

static int find_functions(void *so)
{
	for (size_t i = 0; i < ARRAY_SIZE(lib_rows); i++) {
		*lib_rows[i].function = dlsym(so, lib_rows[i].name);
		if (!*lib_rows[i].function) {
			log_warning("nothing can be fetched: libcurl has no %s()",
				    lib_rows[i].name);
			return -ELIBACC;
		}
	}
	return lib.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
}

static int load_library(void)
{
	void *so;
	int r;

	if (lib.loaded)
		return 0;
	so = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!so) {
		log_warning("nothing can be fetched: %s", dlerror());
		return -ELIBACC;
	}
	r = find_functions(so);
	if (r < 0)
		(void)dlclose(so);
	lib.loaded = r == 0; /* for good: its TLS library cannot be unloaded */
	return r;
}

/* What became of requests */

static int errno_of(CURLcode code)
{
	switch ((int)code) {
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
		return -EPROTO;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return -ECONNRESET;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static void unlink_fetching(struct fetching *x)
{
	for (struct fetching **p = &x->f->first; *p; p = &(*p)->next)
		if (*p == x) {
			*p = x->next;
			return;
		}
}

/* Lets go of all that is libcurl's; what the answer is made of stays. */
static void detach(struct fetching *x)
{
	unlink_fetching(x);
	if (x->easy) {
		(void)lib.multi_remove_handle(x->f->multi, x->easy);
		lib.easy_cleanup(x->easy);
	}
	lib.slist_free_all(x->headers);
	x->easy = NULL;
	x->headers = NULL;
}

static void free_fetching(struct fetching *x)
{
	free(x->body);
	free(x->answer);
	free(x);
}

static void fill_failure(struct fetching *x, CURLcode code, struct fetch_answer *a)
{
	a->r = errno_of(code);
	if (!x->why[0])
		(void)str_copy(x->why, sizeof(x->why), lib.easy_strerror(code));
	if (x->too_large) {
		a->r = -EMSGSIZE;
		(void)snprintf(x->why, sizeof(x->why), "the answer has more than %zu bytes",
			       x->max);
	} else if (x->no_memory) {
		a->r = -ENOMEM;
		(void)str_copy(x->why, sizeof(x->why), "out of memory");
	}
	str_make_line(x->why);
	a->message = x->why;
}

static void finish(struct fetching *x, CURLcode code)
{
	struct fetch_answer a = {
		.message = "", .body = x->answer ? x->answer : "", .length = x->length};
	curl_off_t took_us = 0;
	long status = 0;

	(void)lib.easy_getinfo(x->easy, CURLINFO_TOTAL_TIME_T, &took_us);
	(void)lib.easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	a.took_us = (uint64_t)took_us;
	if (code == CURLE_OK)
		a.status = (unsigned)status;
	else
		fill_failure(x, code, &a);
	detach(x);
	x->done(&a, x->arg);
	free_fetching(x);
}

/* A callback may stop the fetcher: then there is no multi any more. */
static void harvest(struct fetcher *f)
{
	CURLMsg *m;
	int left;

	while (f->multi && (m = lib.multi_info_read(f->multi, &left))) {
		char *private = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		if (lib.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private) == CURLE_OK)
			finish((struct fetching *)(void *)private, m->data.result);
	}
}

/* Sockets and time */

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct watched *w = poll->data;
	struct fetcher *f = w->f;
	int what = 0, running;

	if (status < 0)
		what = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		what |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		what |= CURL_CSELECT_OUT;
	(void)lib.multi_socket_action(f->multi, w->socket, what, &running);
	harvest(f);
}

static void free_watched(uv_handle_t *h)
{
	free(h->data);
}

static void unwatch(struct watched *w)
{
	for (struct watched **p = &w->f->watched; *p; p = &(*p)->next)
		if (*p == w) {
			*p = w->next;
			break;
		}
	(void)uv_poll_stop(&w->poll); /* at once: libcurl closes the descriptor next */
	uv_close((uv_handle_t *)&w->poll, free_watched);
}

static struct watched *watch(struct fetcher *f, curl_socket_t s)
{
	struct watched *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	if (uv_poll_init_socket(f->loop, &w->poll, s) < 0) {
		free(w);
		return NULL;
	}
	w->poll.data = w;
	w->f = f;
	w->socket = s;
	w->next = f->watched;
	f->watched = w;
	(void)lib.multi_assign(f->multi, s, w);
	return w;
}

/* Anything but 0 would end every transfer there is. A socket that cannot be watched is one whose
 * own transfer runs into its time-out. */
static int on_socket_wish(CURL *easy, curl_socket_t s, int what, void *arg, void *of_socket)
{
	struct watched *w = of_socket;
	struct fetcher *f = arg;
	int events = 0;

	if (what == CURL_POLL_REMOVE) {
		if (w)
			unwatch(w);
		return 0;
	}
	if (!w)
		w = watch(f, s);
	if (!w)
		return 0;
	if (what != CURL_POLL_OUT)
		events |= UV_READABLE;
	if (what != CURL_POLL_IN)
		events |= UV_WRITABLE;
	(void)uv_poll_start(&w->poll, events, on_socket);
	return 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct fetcher *f = timer->data;
	int running;

	(void)lib.multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	harvest(f);
}

static int on_timer_wish(CURLM *multi, long timeout_ms, void *arg)
{
	struct fetcher *f = arg;

	if (timeout_ms < 0)
		return uv_timer_stop(&f->timer);
	return uv_timer_start(&f->timer, on_timer, (uint64_t)timeout_ms, 0);
}

/* The fetcher */

int fetcher_start(uv_loop_t *loop, struct fetcher **ret)
{
	struct fetcher *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->loop = loop;
	*ret = f;
	return 0;
}

static int open_fetcher(struct fetcher *f)
{
	int r;

	if (f->stopped)
		return -ESHUTDOWN;
	if (f->multi)
		return 0;
	r = load_library();
	if (r < 0)
		return r;
	f->multi = lib.multi_init();
	if (!f->multi)
		return -ENOMEM;
	(void)uv_timer_init(f->loop, &f->timer);
	f->timer.data = f;
	(void)lib.multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish);
	(void)lib.multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	(void)lib.multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timer_wish);
	(void)lib.multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	(void)lib.multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS_MAX);
	return 0;
}

void fetcher_stop(struct fetcher *f)
{
	if (!f || f->stopped)
		return;
	f->stopped = true;
	if (!f->multi)
		return;
	while (f->first)
		fetch_cancel(f->first);
	(void)lib.multi_cleanup(f->multi);
	f->multi = NULL;
	while (f->watched)
		unwatch(f->watched);
	uv_close((uv_handle_t *)&f->timer, NULL);
}

void fetcher_free(struct fetcher *f)
{
	free(f);
}

/* One request */

static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
	struct fetching *x = arg;
	size_t room = x->room ? x->room : ANSWER_START;
	char *larger;

	n *= size;
	if (n > x->max - x->length) {
		x->too_large = true;
		return 0;
	}
	while (room < x->length + n + 1)
		room *= 2;
	if (room != x->room) {
		larger = realloc(x->answer, room);
		if (!larger) {
			x->no_memory = true;
			return 0;
		}
		x->answer = larger;
		x->room = room;
	}
	memcpy(x->answer + x->length, data, n);
	x->length += n;
	x->answer[x->length] = '\0';
	return n;
}

/* libcurl 7.88 opens sockets that a program which is started inherits. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static int add_header(struct fetching *x, const char *line)
{
	struct curl_slist *longer = lib.slist_append(x->headers, line);

	if (!longer)
		return -ENOMEM;
	x->headers = longer;
	return 0;
}

static int set(struct fetching *x, CURLcode code)
{
	if (code == CURLE_OK)
		return 0;
	if (code == CURLE_OUT_OF_MEMORY)
		return -ENOMEM;
	return code == CURLE_UNKNOWN_OPTION ? -ELIBACC : -EINVAL;
}

/* Sets one option, or returns from the caller. Numbers must be long. */
#define SET(x, option, value)                                                 \
	do {                                                                  \
		int _r = set(x, lib.easy_setopt((x)->easy, option, (value))); \
		if (_r < 0)                                                   \
			return _r;                                            \
	} while (0)

static int check_url(const char *url)
{
	CURLU *u = lib.url();
	CURLUcode code;

	if (!u)
		return -ENOMEM;
	code = lib.url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER);
	lib.url_cleanup(u);
	if (code == CURLUE_OUT_OF_MEMORY)
		return -ENOMEM;
	if (code != CURLUE_OK)
		return -EINVAL;
	return str_starts(url, "http://") || str_starts(url, "https://") ? 0 : -EINVAL;
}

static int set_method(struct fetching *x, const struct fetch_request *q)
{
	if (q->body_length > FETCH_BODY_MAX)
		return -E2BIG;
	if (str_eq(q->method, "GET")) {
		SET(x, CURLOPT_HTTPGET, 1L);
		return q->body_length ? -EINVAL : 0;
	}
	if (!str_eq(q->method, "POST") && !str_eq(q->method, "PUT"))
		return -EINVAL;
	x->body = malloc(q->body_length + 1);
	if (!x->body)
		return -ENOMEM;
	if (q->body_length)
		memcpy(x->body, q->body, q->body_length);
	x->body[q->body_length] = '\0';
	SET(x, CURLOPT_POST, 1L);
	SET(x, CURLOPT_POSTFIELDS, x->body);
	SET(x, CURLOPT_POSTFIELDSIZE, (long)q->body_length);
	if (str_eq(q->method, "PUT"))
		SET(x, CURLOPT_CUSTOMREQUEST, "PUT");
	return 0;
}

/* libcurl signs host, date and all headers in the list, so the session token is one of them. It
 * hashes the body, but up to 7.88 does not add the header in which S3 wants to read the hash. */
static int set_signing(struct fetching *x, const struct fetch_signing *s)
{
	char text[HEADER_LINE_MAX];
	int r = 0;

	if (!s->service[0] || !s->region[0] || strpbrk(s->service, ": ") ||
	    strpbrk(s->region, ": "))
		return -EINVAL;
	if (s->session_token && s->session_token[0]) {
		struct text t = TEXT(text);

		text_add(&t, "X-Amz-Security-Token: %s", s->session_token);
		r = t.cut ? -E2BIG : add_header(x, text);
	}
	if (r == 0 && str_eq(s->service, "s3"))
		r = add_header(x, "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD");
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "aws:amz:%s:%s", s->region, s->service);
	SET(x, CURLOPT_AWS_SIGV4, text);
	SET(x, CURLOPT_USERNAME, s->access_key);
	SET(x, CURLOPT_PASSWORD, s->secret_key);
	return 0;
}

static int set_headers(struct fetching *x, const struct fetch_request *q)
{
	for (const char *const *h = q->headers; h && *h; h++) {
		int r = strpbrk(*h, "\r\n") ? -EINVAL : add_header(x, *h);

		if (r < 0)
			return r;
	}
	if (q->signing) {
		int r = set_signing(x, q->signing);

		if (r < 0)
			return r;
	}
	SET(x, CURLOPT_HTTPHEADER, x->headers);
	return 0;
}

static int set_callbacks(struct fetching *x)
{
	SET(x, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(x, CURLOPT_WRITEFUNCTION, on_answer);
	SET(x, CURLOPT_WRITEDATA, x);
	SET(x, CURLOPT_ERRORBUFFER, x->why);
	SET(x, CURLOPT_PRIVATE, x);
	return 0;
}

static int set_all(struct fetching *x, const struct fetch_request *q)
{
	int r = set_method(x, q);

	if (r == 0)
		r = set_headers(x, q);
	if (r == 0)
		r = set_callbacks(x);
	if (r < 0)
		return r;
	SET(x, CURLOPT_URL, q->url);
	SET(x, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(x, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(x, CURLOPT_USERAGENT, "faultd/" FAULTD_VERSION);
	SET(x, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
	SET(x, CURLOPT_NOSIGNAL, 1L);
	/* A resolver's thread that does not come back is left to itself, not waited for. */
	SET(x, CURLOPT_QUICK_EXIT, 1L);
	if (!q->by_proxy)
		SET(x, CURLOPT_PROXY, "");
	return 0;
}

static int begin(struct fetching *x, const struct fetch_request *q)
{
	int r;

	x->easy = lib.easy_init();
	if (!x->easy)
		return -ENOMEM;
	r = set_all(x, q);
	if (r < 0)
		return r;
	return lib.multi_add_handle(x->f->multi, x->easy) == CURLM_OK ? 0 : -ENOMEM;
}

int fetch(struct fetcher *f, const struct fetch_request *q, fetch_fn done, void *arg,
	  struct fetching **ret)
{
	struct fetching *x;
	int r = open_fetcher(f);

	if (r == 0)
		r = check_url(q->url);
	if (r == 0 && (q->timeout_ms == 0 || q->timeout_ms > INT32_MAX))
		r = -EINVAL;
	if (r < 0)
		return r;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	*x = (struct fetching){
		.f = f, .next = f->first, .max = q->answer_max, .done = done, .arg = arg};
	f->first = x;
	r = begin(x, q);
	if (r < 0) {
		detach(x);
		free_fetching(x);
		return r;
	}
	*ret = x;
	return 0;
}

void fetch_cancel(struct fetching *x)
{
	if (!x)
		return;
	detach(x);
	free_fetching(x);
}
