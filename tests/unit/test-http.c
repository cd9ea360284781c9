/* SPDX-License-Identifier: Apache-2.0 */
/* api/http: what a handler is told of a request, over a Unix socket and over TCP. */
#include "test.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "api/http.h"
#include "api/sigv4.h"
#include "faultd/limits.h"
#include "util/str.h"

#define PATIENCE_MS 20000
#define BODY_MAX    (100 * 1000)

/* What the handler saw, as text. */
static char seen[16 * 1024];
static struct text out;

struct server {
	uv_loop_t loop;
	struct http *http;
	union {
		struct sockaddr any;
		struct sockaddr_un local;
		struct sockaddr_in tcp;
	} at;
	socklen_t size;
};

static void tell_pair(const char *name, const char *value, void *arg)
{
	text_add(arg, "%s=%s;", name, value);
}

static void tell_query(struct http_request *q)
{
	const char *value;

	for (size_t i = 0; (value = http_query(q, "a", i)); i++)
		text_add(&out, "a[%zu]=%s\n", i, value);
	text_add(&out, "pairs ");
	http_each_query(q, tell_pair, &out);
	text_add(&out, "\n");
}

static void tell_headers(struct http_request *q)
{
	struct sigv4_header list[3];
	size_t n = http_headers(q, list, COUNT(list));

	for (size_t i = 0; i < n && i < COUNT(list); i++)
		text_add(&out, "%s: %s\n", list[i].name, list[i].value);
	text_add(&out, "headers %zu\n", n);
}

static void tell(struct http_request *q, void *arg)
{
	out = TEXT(seen);
	text_add(&out, "%s %s raw %s ? %s\n", q->method, q->path, q->raw_path, q->raw_query);
	text_add(&out, "%s uid %d body %zu refused %s\n", q->remote ? "remote" : "local",
		 (int)q->caller.uid, q->body_length, error_code_name(q->refused));
	assert_int_equal(strlen(q->body), q->body_length);
	tell_query(q);
	tell_headers(q);
	http_answer(q, q->refused == ERROR_NONE ? 200 : error_code_status(q->refused), NULL,
		    strdup("{}"));
}

static size_t body_max(const char *path)
{
	return str_starts(path, "/large") ? BODY_MAX : 10;
}

static const struct http_service service = {.handle = tell, .body_max = body_max};

static void start(struct server *s, int domain)
{
	int fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memset(&s->at, 0, sizeof(s->at));
	s->at.any.sa_family = (sa_family_t)domain;
	if (domain == AF_INET)
		s->at.tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* Of a Unix socket only the family: the kernel finds an abstract name. */
	s->size = domain == AF_INET ? sizeof(s->at.tcp) : sizeof(s->at.any.sa_family);
	assert_int_equal(bind(fd, &s->at.any, s->size), 0);
	s->size = sizeof(s->at);
	assert_int_equal(getsockname(fd, &s->at.any, &s->size), 0);
	assert_int_equal(listen(fd, 128), 0);
	assert_int_equal(uv_loop_init(&s->loop), 0);
	assert_int_equal(http_start(&s->loop, fd, &service, &s->http), 0);
}

static void stop(struct server *s)
{
	http_stop(s->http);
	(void)uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	http_free(s->http);
}

static int setup_unix(void **state)
{
	static struct server s;

	start(&s, AF_UNIX);
	*state = &s;
	return 0;
}

static int setup_tcp(void **state)
{
	static struct server s;

	start(&s, AF_INET);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	stop(*state);
	return 0;
}

static int dial(struct server *s)
{
	int fd = socket(s->at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &s->at.any, s->size), 0);
	return fd;
}

/* Turns the loop while what is sent does not fit. */
static void say(struct server *s, int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t r = send(fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r > 0) {
			text += r;
			n -= (size_t)r;
		}
		assert_true(r > 0 || errno == EAGAIN);
		(void)uv_run(&s->loop, UV_RUN_NOWAIT);
	}
}

/* The answer's status. */
static int hear(struct server *s, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char answer[1024];
	int waited_ms = 0;
	ssize_t n;

	while (poll(&p, 1, 1) == 0) {
		assert_true(waited_ms++ < PATIENCE_MS);
		(void)uv_run(&s->loop, UV_RUN_NOWAIT);
	}
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	assert_true(n > 12);
	answer[n] = '\0';
	return atoi(answer + strlen("HTTP/1.1 "));
}

static int ask(struct server *s, const char *request)
{
	int fd = dial(s), status;

	say(s, fd, request, strlen(request));
	status = hear(s, fd);
	(void)close(fd);
	return status;
}

static void test_what_was_sent(void **state)
{
	assert_int_equal(
		ask(*state,
		    "GET /tags/arn%3Aaws%2Fx+y%zz?a=1&b&a=%20%2B+x&a=&%61&=v&c=d=e HTTP/1.1\r\n"
		    "Host: h\r\nX-A:  1  2 \r\nX-A: 3\r\nX-B:\r\n\r\n"),
		200);
	assert_string_equal(seen, "GET /tags/arn:aws/x+y%zz raw /tags/arn%3Aaws%2Fx+y%zz ? "
				  "a=1&b&a=%20%2B+x&a=&%61&=v&c=d=e\n"
				  "remote uid -1 body 0 refused \n"
				  "a[0]=1\na[1]= + x\na[2]=\na[3]=\n"
				  "pairs a=1;b=;a= + x;a=;a=;=v;c=d=e;\n"
				  "Host: h\nX-A: 1  2 \nX-A: 3\n"
				  "headers 4\n");
}

static void test_the_peer_of_a_unix_socket(void **state)
{
	char expected[128];

	assert_int_equal(ask(*state, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
	(void)snprintf(expected, sizeof(expected),
		       "GET /x raw /x ? \nlocal uid %d body 0 refused \npairs \n", (int)getuid());
	assert_memory_equal(seen, expected, strlen(expected));
}

static void test_a_nul(void **state)
{
	assert_int_equal(ask(*state, "GET /x%00y HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
	assert_non_null(strstr(seen, "refused ValidationException"));
	assert_int_equal(ask(*state, "GET /x?a=%00 HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
	assert_int_equal(ask(*state, "GET /x?a=%25%30%30 HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
	assert_non_null(strstr(seen, "a[0]=%00\n"));
}

static void test_a_connection_is_used_again(void **state)
{
	struct server *s = *state;
	static const char first[] = "GET /1?a=1 HTTP/1.1\r\nHost: h\r\n\r\n",
			  second[] = "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
	int fd = dial(s);

	say(s, fd, first, strlen(first));
	assert_int_equal(hear(s, fd), 200);
	assert_non_null(strstr(seen, "raw /1 ? a=1\n"));
	say(s, fd, second, strlen(second));
	assert_int_equal(hear(s, fd), 200);
	assert_non_null(strstr(seen, "raw /2 ? \n"));
	assert_non_null(strstr(seen, "body 3 refused \n"));
	(void)close(fd);
}

/* Half a request, then nothing: what was made for it is freed with the connection (ASan sees). */
static void test_what_never_becomes_a_request(void **state)
{
	static const char request[] =
		"POST /x?a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nxx";
	struct server *s = *state;

	for (size_t n = 1; n < strlen(request); n++) {
		int fd = dial(s);

		say(s, fd, request, n);
		(void)close(fd);
		(void)uv_run(&s->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(ask(s, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
}

/* A body of `n` bytes, all but its last one. */
static int begin_body(struct server *s, const char *path, size_t n)
{
	static char piece[4096];
	char head[128];
	int fd = dial(s);

	memset(piece, 'x', sizeof(piece));
	(void)snprintf(head, sizeof(head),
		       "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", path, n);
	say(s, fd, head, strlen(head));
	for (size_t left = n - 1; left > 0; left -= left < sizeof(piece) ? left : sizeof(piece))
		say(s, fd, piece, left < sizeof(piece) ? left : sizeof(piece));
	return fd;
}

static int end_body(struct server *s, int fd)
{
	int status;

	say(s, fd, "x", 1);
	status = hear(s, fd);
	(void)close(fd);
	return status;
}

static void test_the_limit_is_the_path_s(void **state)
{
	struct server *s = *state;
	static const struct {
		const char *path;
		size_t n;
		int status;
	} cases[] = {
		{"/x", 10, 200},
		{"/x", 11, 413},
		{"/large", 11, 200},
		{"/large", REQUEST_BODY_MAX, 200},
		{"/large", REQUEST_BODY_MAX + 1, 200},
		{"/large", BODY_MAX, 200},
		{"/large", BODY_MAX + 1, 413},
		{"/large", 4 * BODY_MAX, 413},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char body[64];

		assert_int_equal(end_body(s, begin_body(s, cases[i].path, cases[i].n)),
				 cases[i].status);
		(void)snprintf(body, sizeof(body), "body %zu refused %s\n",
			       cases[i].status == 200 ? cases[i].n : 0,
			       cases[i].status == 200 ? "" : "RequestTooLargeException");
		assert_non_null(strstr(seen, body));
	}
}

static void test_so_many_large_bodies(void **state)
{
	struct server *s = *state;
	int fds[LARGE_BODIES_MAX + 2];

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT(fds); i++) {
			fds[i] = begin_body(s, "/large", BODY_MAX);
			for (int turn = 0; turn < 100; turn++) /* until it is read */
				(void)uv_run(&s->loop, UV_RUN_NOWAIT);
		}
		assert_int_equal(end_body(s, begin_body(s, "/large", REQUEST_BODY_MAX)), 200);
		for (size_t i = 0; i < COUNT(fds); i++)
			assert_int_equal(end_body(s, fds[i]), i < LARGE_BODIES_MAX ? 200 : 503);
		assert_non_null(strstr(seen, "body 0 refused ServiceUnavailableException"));
	}
}

#define ON(domain, test) cmocka_unit_test_setup_teardown(test, setup_##domain, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(tcp, test_what_was_sent),
		ON(unix, test_the_peer_of_a_unix_socket),
		ON(tcp, test_a_nul),
		ON(unix, test_a_connection_is_used_again),
		ON(unix, test_what_never_becomes_a_request),
		ON(tcp, test_what_never_becomes_a_request),
		ON(unix, test_the_limit_is_the_path_s),
		ON(unix, test_so_many_large_bodies),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
