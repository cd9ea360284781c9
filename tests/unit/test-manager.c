/* SPDX-License-Identifier: Apache-2.0 */
/* steps/manager: the bytes of a call, and the conversation with a systemd that is played here. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "steps/manager.h"
#include "util/clock.h"
#include "util/str.h"

static const struct manager_call stop_nginx = {"/org/freedesktop/systemd1",
					       "org.freedesktop.systemd1.Manager",
					       "StopUnit",
					       {"nginx.service", "replace"},
					       2};

/* What busctl sends for the same call, but for its serial number and its flag. */
static const unsigned char expected[] = "l\1\0\1"
					"\40\0\0\0"
					"\1\0\0\0"
					"\240\0\0\0"
					"\1\1o\0"
					"\31\0\0\0"
					"/org/freedesktop/systemd1\0"
					"\0\0\0\0\0\0"
					"\3\1s\0"
					"\10\0\0\0"
					"StopUnit\0"
					"\0\0\0\0\0\0\0"
					"\2\1s\0"
					"\40\0\0\0"
					"org.freedesktop.systemd1.Manager\0"
					"\0\0\0\0\0\0\0"
					"\6\1s\0"
					"\30\0\0\0"
					"org.freedesktop.systemd1\0"
					"\0\0\0\0\0\0\0"
					"\10\1g\0"
					"\2ss\0"
					"\15\0\0\0"
					"nginx.service\0"
					"\0\0"
					"\7\0\0\0"
					"replace";

static void test_bytes(void **state)
{
	unsigned char got[512];
	size_t n = manager_call_encode(&stop_nginx, got, sizeof(got));

	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		skip();
	assert_int_equal(n, sizeof(expected)); /* the last NUL is part of it */
	assert_memory_equal(got, expected, n);
}

static void test_no_room(void **state)
{
	unsigned char got[512];
	size_t n = manager_call_encode(&stop_nginx, got, sizeof(got));

	for (size_t room = 0; room < n; room++)
		assert_int_equal(manager_call_encode(&stop_nginx, got, room), 0);
}

static void test_objects(void **state)
{
	static const struct {
		const char *name, *object;
	} cases[] = {
		{"nginx.service", "nginx_2eservice"},
		{"getty@tty1.service", "getty_40tty1_2eservice"},
		{"7days.timer", "_37days_2etimer"},
		{"a_b-c\\x2dd.service", "a_5fb_2dc_5cx2dd_2eservice"},
		{"", "_"},
	};
	char got[MANAGER_OBJECT_MAX], longest[MANAGER_UNIT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		manager_unit_object(cases[i].name, got);
		assert_true(str_starts(got, "/org/freedesktop/systemd1/unit/"));
		assert_string_equal(got + strlen("/org/freedesktop/systemd1/unit/"),
				    cases[i].object);
	}
	memset(longest, '-', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	manager_unit_object(longest, got);
	assert_int_equal(strlen(got), strlen("/org/freedesktop/systemd1/unit/") + 3 * 255);
}

/* What the other side says to the authentication, and to the call. */
struct script {
	int fd;
	const char *auth;
	const unsigned char *reply;
	size_t n;
	unsigned char heard[512];
	size_t n_heard;
};

static void hear(struct script *s, size_t n)
{
	while (n > 0) {
		ssize_t got = read(s->fd, s->heard + s->n_heard, n);

		if (got <= 0)
			return;
		s->n_heard += (size_t)got;
		n -= (size_t)got;
	}
}

static void *play(void *arg)
{
	static char another_hello[] = "another hello";
	struct script *s = arg;
	char uid[32] = "", hello[96];

	(void)snprintf(hello, sizeof(hello), "%u", (unsigned)geteuid());
	for (const char *p = hello; *p; p++)
		(void)snprintf(uid + strlen(uid), sizeof(uid) - strlen(uid), "%02x",
			       (unsigned char)*p);
	(void)snprintf(hello, sizeof(hello), "%cAUTH EXTERNAL %s\r\nBEGIN\r\n", 0, uid);
	hear(s, 1 + strlen(hello + 1));
	if (memcmp(s->heard, hello, s->n_heard) != 0)
		return another_hello;
	/* It may have hung up. */
	(void)send(s->fd, s->auth, strlen(s->auth), MSG_NOSIGNAL);
	hear(s, sizeof(expected));
	(void)send(s->fd, s->reply, s->n, MSG_NOSIGNAL);
	return NULL;
}

static int converse(const char *auth, const void *reply, size_t n, void *body, size_t room)
{
	struct script s = {.auth = auth, .reply = reply, .n = n};
	pthread_t thread;
	int fd[2], r;
	void *wrong = NULL;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	s.fd = fd[1];
	assert_int_equal(pthread_create(&thread, NULL, play, &s), 0);
	r = manager_converse(fd[0], &stop_nginx, boot_ns() + 200 * NSEC_PER_MSEC, body, room);
	(void)close(fd[0]);
	assert_int_equal(pthread_join(thread, &wrong), 0);
	(void)close(fd[1]);
	if (wrong)
		fail_msg("%s", (const char *)wrong);
	return r;
}

#define GUID "OK 0123456789abcdef0123456789abcdef\r\n"
#define SIGNAL      \
	"l\4\1\1"   \
	"\4\0\0\0"  \
	"\7\0\0\0"  \
	"\15\0\0\0" \
	"\3\1s\0"   \
	"\4\0\0\0"  \
	"News\0"    \
	"\0\0\0"    \
	"abcd"
#define RETURN      \
	"l\2\1\1"   \
	"\12\0\0\0" \
	"\10\0\0\0" \
	"\10\0\0\0" \
	"\5\1u\0"   \
	"\1\0\0\0"  \
	"\5\0\0\0"  \
	"/job1"
#define FAILURE(name, length, fields, pad) \
	"l\3\1\1"                          \
	"\0\0\0\0"                         \
	"\11\0\0\0" fields "\0\0\0"        \
	"\5\1u\0"                          \
	"\1\0\0\0"                         \
	"\10\1g\0"                         \
	"\1s\0\0"                          \
	"\4\1s\0" length "\0\0\0" name "\0" pad

static void test_return(void **state)
{
	char body[16] = "";

	assert_int_equal(converse(GUID, RETURN, sizeof(RETURN), body, sizeof(body)), 10);
	assert_string_equal(body + 4, "/job1");
	/* Signals that come before it do not matter, nor does what does not fit. */
	assert_int_equal(converse(GUID, SIGNAL SIGNAL RETURN,
				  2 * (sizeof(SIGNAL) - 1) + sizeof(RETURN), body, 4),
			 4);
}

static void test_errors(void **state)
{
	static const char no_unit[] =
		FAILURE("org.freedesktop.systemd1.NoSuchUnit", "\43", "\74", "\0\0\0\0");
	static const char other[] = FAILURE("org.example.Whatever", "\24", "\55", "\0\0\0");
	unsigned char body[8];

	assert_int_equal(converse(GUID, no_unit, sizeof(no_unit) - 1, body, sizeof(body)), -ENOENT);
	assert_int_equal(converse(GUID, other, sizeof(other) - 1, body, sizeof(body)), -EIO);
}

static void test_refused(void **state)
{
	unsigned char body[8];

	assert_int_equal(converse("REJECTED\r\n", "", 0, body, sizeof(body)), -EACCES);
}

/* Nobody who is silent, or says nonsense, keeps us. */
static void test_bad_replies(void **state)
{
	static const char big_endian[] = "B\2\1\1"
					 "\0\0\0\0"
					 "\0\0\0\1"
					 "\0\0\0\0";
	static const char huge[] = "l\2\1\1"
				   "\377\377\377\377"
				   "\1\0\0\0"
				   "\0\0\0\0";
	unsigned char body[8];
	uint64_t before = boot_ns();

	assert_int_equal(converse(GUID, RETURN, 20, body, sizeof(body)), -ETIMEDOUT);
	assert_int_equal(converse(GUID, big_endian, sizeof(big_endian) - 1, body, sizeof(body)),
			 -EPROTO);
	assert_int_equal(converse(GUID, huge, sizeof(huge) - 1, body, sizeof(body)), -EPROTO);
	assert_true(boot_ns() - before < 10 * NSEC_PER_SEC);
}

static void test_silence(void **state)
{
	unsigned char body[8];
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(manager_converse(fd[0], &stop_nginx, boot_ns() + 50 * NSEC_PER_MSEC, body,
					  sizeof(body)),
			 -ETIMEDOUT);
	(void)close(fd[1]);
	assert_int_equal(manager_converse(fd[0], &stop_nginx, boot_ns() + 50 * NSEC_PER_MSEC, body,
					  sizeof(body)),
			 -EPIPE);
	(void)close(fd[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),       cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_objects),     cmocka_unit_test(test_return),
		cmocka_unit_test(test_errors),      cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bad_replies), cmocka_unit_test(test_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
