/* SPDX-License-Identifier: Apache-2.0 */
/* A D-Bus client for one call, as the D-Bus specification has it ("Message Protocol",
 * "Authentication Protocol"). All memory is static or on the stack. */
#include "steps/manager.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/str.h"

#define MANAGER_SOCKET "/run/systemd/private"
#define DESTINATION    "org.freedesktop.systemd1"
#define MANAGER_OBJECT "/org/freedesktop/systemd1"
#define OURS           (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 'l' : 'B')

enum { METHOD_CALL = 1, METHOD_RETURN = 2, ERROR_REPLY = 3 };
enum {
	FIELD_PATH = 1,
	FIELD_INTERFACE,
	FIELD_MEMBER,
	FIELD_ERROR,
	FIELD_TO = 6,
	FIELD_SIGNATURE = 8
};

/* Every message begins with this, in the byte order it names. */
struct head {
	uint8_t order, type, flags, version;
	uint32_t body_length, serial, fields_length;
};

struct encoder {
	unsigned char *to;
	size_t room, n;
	bool cut;
};

static void put(struct encoder *c, const void *from, size_t n)
{
	c->cut = c->cut || n > c->room - c->n;
	if (c->cut)
		return;
	memcpy(c->to + c->n, from, n);
	c->n += n;
}

static void pad(struct encoder *c, size_t to)
{
	while (!c->cut && c->n % to)
		put(c, "", 1);
}

static void put_string(struct encoder *c, const char *s)
{
	uint32_t n = (uint32_t)strlen(s);

	pad(c, 4);
	put(c, &n, sizeof(n));
	put(c, s, n + 1);
}

static void put_field(struct encoder *c, unsigned char code, char type, const char *value)
{
	const unsigned char start[] = {code, 1, (unsigned char)type, 0};
	unsigned char n = (unsigned char)strlen(value);

	pad(c, 8);
	put(c, start, sizeof(start));
	if (type != 'g') {
		put_string(c, value);
	} else {
		put(c, &n, 1);
		put(c, value, n + 1U);
	}
}

static void put_head(struct encoder *c, const struct manager_call *call, uint32_t body_length)
{
	struct head h = {OURS, METHOD_CALL, 0, 1, body_length, 1, 0};

	put(c, &h, sizeof(h));
	put_field(c, FIELD_PATH, 'o', call->path);
	put_field(c, FIELD_MEMBER, 's', call->member);
	put_field(c, FIELD_INTERFACE, 's', call->interface);
	put_field(c, FIELD_TO, 's', DESTINATION);
	put_field(c, FIELD_SIGNATURE, 'g', &"ss"[2 - call->n_text]);
	if (!c->cut) {
		h.fields_length = (uint32_t)(c->n - sizeof(h));
		memcpy(c->to, &h, sizeof(h));
	}
	pad(c, 8);
}

size_t manager_call_encode(const struct manager_call *call, unsigned char *to, size_t room)
{
	static unsigned char body[2 * (MANAGER_UNIT_MAX + 8)];
	struct encoder b = {body, sizeof(body), 0, false}, c = {to, room, 0, false};

	for (unsigned i = 0; i < call->n_text; i++)
		put_string(&b, call->text[i]);
	put_head(&c, call, (uint32_t)b.n);
	put(&c, body, b.n);
	return b.cut || c.cut ? 0 : c.n;
}

/* As systemd's bus_label_escape(): what is no letter or digit, and a digit at the beginning. */
void manager_unit_object(const char *name, char ret[static MANAGER_OBJECT_MAX])
{
	struct text t = {.data = ret, .size = MANAGER_OBJECT_MAX};

	ret[0] = '\0';
	text_add(&t, MANAGER_OBJECT "/unit/%s", name[0] ? "" : "_");
	for (const char *p = name; *p; p++) {
		bool digit = *p >= '0' && *p <= '9';
		bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');

		text_add(&t, letter || (digit && p > name) ? "%c" : "_%02x", (unsigned char)*p);
	}
}

static int wait_for(int fd, short events, uint64_t until)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now = boot_ns();
	int r = now < until ? poll(&p, 1, (int)((until - now) / NSEC_PER_MSEC) + 1) : 0;

	if (r < 0 && errno != EINTR)
		return -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

static int send_all(int fd, const void *from, size_t n, uint64_t until)
{
	const char *p = from;

	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r = 0;

		if (sent < 0 && errno == EAGAIN)
			r = wait_for(fd, POLLOUT, until);
		else if (sent < 0 && errno != EINTR)
			r = -errno;
		if (r < 0)
			return r;
		p += sent > 0 ? sent : 0;
		n -= sent > 0 ? (size_t)sent : 0;
	}
	return 0;
}

static int receive(int fd, void *to, size_t n, uint64_t until)
{
	char *p = to;

	while (n > 0) {
		ssize_t got = recv(fd, p, n, MSG_DONTWAIT);
		int r = 0;

		if (got < 0 && errno == EAGAIN)
			r = wait_for(fd, POLLIN, until);
		else if (got < 0 && errno != EINTR)
			r = -errno;
		else if (got == 0)
			r = -ECONNRESET;
		if (r < 0)
			return r;
		p += got > 0 ? got : 0;
		n -= got > 0 ? (size_t)got : 0;
	}
	return 0;
}

/* Reads `n` bytes, of which the first `room` are kept. */
static int receive_some(int fd, unsigned char *to, size_t room, size_t n, uint64_t until)
{
	char waste[512];
	size_t kept = n < room ? n : room;
	int r = receive(fd, to, kept, until);

	for (n -= kept; r == 0 && n > 0;) {
		size_t part = n < sizeof(waste) ? n : sizeof(waste);

		r = receive(fd, waste, part, until);
		n -= part;
	}
	return r;
}

/* By the credentials of the socket. The answer is one line, read byte by byte: what follows it is
 * not ours to take yet. */
static int authenticate(int fd, uint64_t until)
{
	char hello[96] = "", line[96], uid[16];
	struct text t = {.data = hello + 1, .size = sizeof(hello) - 1};
	size_t n = 0;
	int r;

	(void)snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
	text_add(&t, "AUTH EXTERNAL ");
	for (const char *p = uid; *p; p++)
		text_add(&t, "%02x", (unsigned char)*p);
	text_add(&t, "\r\nBEGIN\r\n");
	r = send_all(fd, hello, t.length + 1, until);
	do {
		if (r == 0)
			r = n < sizeof(line) ? receive(fd, &line[n], 1, until) : -EPROTO;
	} while (r == 0 && line[n++] != '\n');
	if (r < 0)
		return r;
	return n > 3 && memcmp(line, "OK ", 3) == 0 ? 0 : -EACCES;
}

/* The name of the error, out of the fields of the header; "" when it is not there. */
static void find_error(const unsigned char *fields, size_t length, char *ret, size_t size)
{
	ret[0] = '\0';
	for (size_t at = 0; at + 8 <= length;) {
		uint32_t n;

		memcpy(&n, fields + at + 4, sizeof(n));
		if (fields[at + 2] == 'g') /* its length is one byte */
			n = fields[at + 4];
		else if (fields[at + 2] == 'u')
			n = 0;
		if (n > length - at - 8)
			return;
		if (fields[at] == FIELD_ERROR && n < size) {
			memcpy(ret, fields + at + 8, n);
			ret[n] = '\0';
			return;
		}
		at += fields[at + 2] == 'g' ? 6U + n : fields[at + 2] == 'u' ? 8U : 9U + n;
		at = (at + 7) / 8 * 8;
	}
}

static int errno_of(const char *name)
{
	static const struct {
		const char *name;
		int error;
	} known[] = {
		{DESTINATION ".NoSuchUnit", ENOENT},
		{DESTINATION ".LoadFailed", ENOENT},
		{DESTINATION ".UnitMasked", EPERM},
		{DESTINATION ".OnlyByDependency", EPERM},
		{DESTINATION ".TransactionIsDestructive", ESHUTDOWN},
		{DESTINATION ".ShuttingDown", ESHUTDOWN},
		{"org.freedesktop.DBus.Error.UnknownObject", ENOENT},
		{"org.freedesktop.DBus.Error.AccessDenied", EACCES},
		{"org.freedesktop.DBus.Error.InvalidArgs", EINVAL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (str_eq(known[i].name, name))
			return -known[i].error;
	}
	return -EIO;
}

/* On its own socket systemd tells everybody every change, so signals may come before the reply.
 * One call was made: a return or an error answers it. */
static int read_reply(int fd, uint64_t until, unsigned char *body, size_t room)
{
	static unsigned char fields[1024];
	char error[128];
	struct head h;
	int r;

	do {
		size_t length;

		r = receive(fd, &h, sizeof(h), until);
		if (r < 0)
			return r;
		if (h.order != OURS || h.version != 1 || h.fields_length > (1U << 26) ||
		    h.body_length > (1U << 27))
			return -EPROTO;
		length = (h.fields_length + 7U) / 8U * 8U;
		r = receive_some(fd, fields, sizeof(fields), length, until);
		if (r == 0)
			r = receive_some(fd, body, room, h.body_length, until);
		if (r < 0)
			return r;
	} while (h.type != METHOD_RETURN && h.type != ERROR_REPLY);
	if (h.type == METHOD_RETURN)
		return (int)(h.body_length < room ? h.body_length : room);
	find_error(fields, h.fields_length < sizeof(fields) ? h.fields_length : sizeof(fields),
		   error, sizeof(error));
	return errno_of(error);
}

int manager_converse(int fd, const struct manager_call *call, uint64_t until_boot_ns,
		     unsigned char *body, size_t room)
{
	static unsigned char message[2048];
	size_t n = manager_call_encode(call, message, sizeof(message));
	int r = n ? authenticate(fd, until_boot_ns) : -ENAMETOOLONG;

	if (r == 0)
		r = send_all(fd, message, n, until_boot_ns);
	return r < 0 ? r : read_reply(fd, until_boot_ns, body, room);
}

static uint64_t until_then(void)
{
	return boot_ns() + MANAGER_CALL_MS * NSEC_PER_MSEC;
}

static int call(const struct manager_call *c, uint64_t until, unsigned char *body, size_t room)
{
	const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = MANAGER_SOCKET};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == ENOENT || errno == ECONNREFUSED ? -ENOTCONN : -errno;
	return manager_converse(fd, c, until, body, room);
}

static int queue_job(const char *member, const char *name)
{
	const struct manager_call c = {
		MANAGER_OBJECT, DESTINATION ".Manager", member, {name, "replace"}, 2};
	unsigned char body[8];
	int r = call(&c, until_then(), body, sizeof(body));

	return r < 0 ? r : 0;
}

int manager_start_unit(const char *name)
{
	return queue_job("StartUnit", name);
}

int manager_stop_unit(const char *name)
{
	return queue_job("StopUnit", name);
}

/* Returns the length of the variant that is the property's value. */
static int get_property(const char *name, const char *property, uint64_t until, unsigned char *body,
			size_t room)
{
	char object[MANAGER_OBJECT_MAX];
	const struct manager_call c = {object,
				       "org.freedesktop.DBus.Properties",
				       "Get",
				       {DESTINATION ".Unit", property},
				       2};

	manager_unit_object(name, object);
	return call(&c, until, body, room);
}

/* A variant: its signature, then the value, aligned as its type. */
static int get_string(const char *name, const char *property, uint64_t until, char *ret,
		      size_t size)
{
	unsigned char body[64];
	int n = get_property(name, property, until, body, sizeof(body));
	uint32_t length;

	if (n < 0)
		return n;
	if (n < 9 || memcmp(body, "\1s", 3) != 0)
		return -EPROTO;
	memcpy(&length, body + 4, sizeof(length));
	if (length >= size || length + 9 > (uint32_t)n)
		return -EPROTO;
	memcpy(ret, body + 8, length);
	ret[length] = '\0';
	return 0;
}

static int get_time(const char *name, const char *property, uint64_t until, uint64_t *ret)
{
	unsigned char body[16];
	int n = get_property(name, property, until, body, sizeof(body));

	if (n < 0)
		return n;
	if (n < 16 || memcmp(body, "\1t", 3) != 0)
		return -EPROTO;
	memcpy(ret, body + 8, sizeof(*ret));
	return 0;
}

int manager_unit_state(const char *name, char ret[static MANAGER_STATE_MAX])
{
	return get_string(name, "ActiveState", until_then(), ret, MANAGER_STATE_MAX);
}

int manager_unit_times(const char *name, struct manager_unit_times *ret)
{
	uint64_t until = until_then();
	int r = get_time(name, "InactiveExitTimestampMonotonic", until, &ret->exit_us);

	return r < 0 ? r : get_time(name, "InactiveEnterTimestampMonotonic", until, &ret->enter_us);
}
