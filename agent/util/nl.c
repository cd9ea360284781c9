/* SPDX-License-Identifier: Apache-2.0 */
#include "util/nl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/str.h"

#define RECEIVE_MAX \
	16384 /* the kernel fills dumps in pieces of at most this for a buffer this big */

void *nl_begin(struct nl_request *q, uint16_t type, uint16_t flags, size_t size)
{
	memset(q, 0, sizeof(*q));
	q->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(size);
	q->header.nlmsg_type = type;
	q->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	q->header.nlmsg_seq = 1;
	return NLMSG_DATA(&q->header);
}

static struct rtattr *put(struct nl_request *q, uint16_t type, const void *data, size_t size)
{
	struct rtattr *a = (struct rtattr *)(void *)(q->bytes + NLMSG_ALIGN(q->header.nlmsg_len));

	/* Messages are ours and small; one that does not fit is a mistake in the caller. */
	if (NLMSG_ALIGN(q->header.nlmsg_len) + RTA_SPACE(size) > sizeof(q->bytes))
		__builtin_trap();
	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(size);
	if (size > 0)
		memcpy(RTA_DATA(a), data, size);
	q->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->header.nlmsg_len) + RTA_SPACE(size));
	return a;
}

void nl_put(struct nl_request *q, uint16_t type, const void *data, size_t size)
{
	(void)put(q, type, data, size);
}

void nl_put_u32(struct nl_request *q, uint16_t type, uint32_t value)
{
	(void)put(q, type, &value, sizeof(value));
}

void nl_put_string(struct nl_request *q, uint16_t type, const char *value)
{
	(void)put(q, type, value, strlen(value) + 1);
}

void nl_put_bare(struct nl_request *q, const void *data, size_t size)
{
	size_t at = NLMSG_ALIGN(q->header.nlmsg_len);

	if (at + NLMSG_ALIGN(size) > sizeof(q->bytes))
		__builtin_trap();
	memcpy(q->bytes + at, data, size);
	q->header.nlmsg_len = (uint32_t)(at + NLMSG_ALIGN(size));
}

struct rtattr *nl_nest(struct nl_request *q, uint16_t type)
{
	return put(q, type, NULL, 0);
}

void nl_put_tail(struct nl_request *q, uint16_t type, const void *data, size_t size)
{
	struct rtattr *a = put(q, type, NULL, 0);

	a->rta_len = (unsigned short)RTA_LENGTH(size);
	q->header.nlmsg_len += (uint32_t)size;
	q->tail = data;
	q->tail_size = size;
}

void nl_nest_end(struct nl_request *q, struct rtattr *nest)
{
	nest->rta_len = (unsigned short)(q->header.nlmsg_len - (uint32_t)((char *)nest - q->bytes));
}

static int open_and_send(struct nl_request *q)
{
	const struct timeval patience = {.tv_sec = 5};
	const struct iovec parts[] = {
		{.iov_base = q->bytes, .iov_len = q->header.nlmsg_len - q->tail_size},
		{.iov_base = (void *)(uintptr_t)q->tail, .iov_len = q->tail_size}};
	_cleanup_close_ int fd = -1;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, q->protocol);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (writev(fd, parts, ARRAY_SIZE(parts)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Walks one datagram. Returns 1 when the answer is complete, 0 to go on, or a negative errno;
 * what `each` said goes to `said`. */
static int walk(struct nl_request *q, const char *data, size_t size, nl_each_fn each, void *arg,
		int *said)
{
	/* Not NLMSG_NEXT() and RTA_NEXT(): they cast through char *, which clang takes for
	 * misaligned. */
	for (size_t at = 0; size - at >= sizeof(struct nlmsghdr);) {
		const struct nlmsghdr *m = (const struct nlmsghdr *)(const void *)(data + at);

		if (m->nlmsg_len < sizeof(*m) || m->nlmsg_len > size - at)
			return -EBADMSG;
		q->interrupted |= (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (m->nlmsg_type == NLMSG_DONE) {
			int e = 0; /* how the dump ended */

			if (m->nlmsg_len >= NLMSG_LENGTH(sizeof(e)))
				memcpy(&e, NLMSG_DATA(m), sizeof(e));
			return e < 0 ? e : 1;
		}
		if (m->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(m);

			return e->error ? e->error : 1;
		}
		if (each && *said == 0)
			*said = each(m, arg);
		at += NLMSG_ALIGN(m->nlmsg_len);
		if (at > size)
			break;
	}
	return 0;
}

static int exchange(struct nl_request *q, nl_each_fn each, void *arg)
{
	_Alignas(struct nlmsghdr) char data[RECEIVE_MAX];
	_cleanup_close_ int fd = open_and_send(q);
	int said = 0, r = 0;

	if (fd < 0)
		return fd;
	while (r == 0) {
		ssize_t n = recv(fd, data, sizeof(data), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		r = walk(q, data, (size_t)n, each, arg, &said);
	}
	return r < 0 ? r : said;
}

int nl_ask(struct nl_request *q)
{
	q->header.nlmsg_flags |= NLM_F_ACK;
	return exchange(q, NULL, NULL);
}

int nl_get(struct nl_request *q, nl_each_fn each, void *arg)
{
	q->header.nlmsg_flags |= NLM_F_ACK;
	return exchange(q, each, arg);
}

int nl_dump(struct nl_request *q, nl_each_fn each, void *arg)
{
	q->header.nlmsg_flags |= NLM_F_DUMP;
	return exchange(q, each, arg);
}

static const struct rtattr *find(const struct rtattr *a, size_t size, uint16_t type)
{
	while (size >= sizeof(*a) && a->rta_len >= sizeof(*a) && a->rta_len <= size) {
		size_t step = RTA_ALIGN(a->rta_len);

		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
		if (step > size)
			break;
		size -= step;
		a = (const struct rtattr *)(const void *)((const char *)a + step);
	}
	return NULL;
}

const struct rtattr *nl_find(const struct nlmsghdr *m, size_t size, uint16_t type)
{
	const char *start = (const char *)NLMSG_DATA(m) + NLMSG_ALIGN(size);

	if (m->nlmsg_len < NLMSG_LENGTH(size))
		return NULL;
	return find((const struct rtattr *)(const void *)start,
		    m->nlmsg_len - NLMSG_LENGTH(NLMSG_ALIGN(size)), type);
}

const struct rtattr *nl_find_in(const struct rtattr *nest, uint16_t type)
{
	return nest ? find(RTA_DATA(nest), RTA_PAYLOAD(nest), type) : NULL;
}

const char *nl_string(const struct rtattr *a)
{
	return a && RTA_PAYLOAD(a) > 0 && ((const char *)RTA_DATA(a))[RTA_PAYLOAD(a) - 1] == '\0'
		       ? RTA_DATA(a)
		       : "";
}

uint32_t nl_u32(const struct rtattr *a)
{
	uint32_t v = 0;

	if (a && RTA_PAYLOAD(a) >= sizeof(v))
		memcpy(&v, RTA_DATA(a), sizeof(v));
	return v;
}

uint64_t nl_u64(const struct rtattr *a)
{
	uint64_t v = 0;

	if (a && RTA_PAYLOAD(a) >= sizeof(v))
		memcpy(&v, RTA_DATA(a), sizeof(v));
	return v;
}

void nl_print(const struct nl_request *q, struct text *t)
{
	for (uint32_t i = NLMSG_HDRLEN; i < q->header.nlmsg_len; i++)
		text_add(t, "%02x", (unsigned char)q->bytes[i]);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What was written is one attribute after the other, to the end. */
static bool is_whole(const struct nl_request *q, size_t size)
{
	size_t at = NLMSG_LENGTH(NLMSG_ALIGN(size));

	while (at < q->header.nlmsg_len) {
		struct rtattr a;

		if (q->header.nlmsg_len - at < sizeof(a))
			return false;
		memcpy(&a, q->bytes + at, sizeof(a));
		if (a.rta_len < sizeof(a) || RTA_ALIGN(a.rta_len) > q->header.nlmsg_len - at)
			return false;
		at += RTA_ALIGN(a.rta_len);
	}
	return at == q->header.nlmsg_len;
}

int nl_read(const char *hex, uint16_t type, size_t size, struct nl_request *ret)
{
	size_t n = strlen(hex) / 2;

	if (strlen(hex) % 2 != 0 || n < size || NLMSG_HDRLEN + n > sizeof(ret->bytes))
		return -EBADMSG;
	(void)nl_begin(ret, type, 0, n);
	for (size_t i = 0; i < n; i++) {
		int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		ret->bytes[NLMSG_HDRLEN + i] = (char)(high * 16 + low);
	}
	return is_whole(ret, size) ? 0 : -EBADMSG;
}
