/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink requests on the stack: a message of some tens of bytes and its answer. There is no
 * allocation here because the guardian undoes through it with its memory locked. */
#ifndef FAULTD_UTIL_NL_H
#define FAULTD_UTIL_NL_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/str.h"

#define NL_MESSAGE_MAX 1024

struct nl_request {
	union {
		struct nlmsghdr header;
		char bytes[NL_MESSAGE_MAX];
	};
	const void *tail; /* the data of the last attribute, when it is too big for the above */
	size_t tail_size;
	int protocol;     /* NETLINK_ROUTE, which is 0, unless another is set after nl_begin() */
	bool interrupted; /* by a change of the host: what nl_dump() showed may have gaps */
};

/* Begins a request with a zeroed family header (struct tcmsg …) of `size` bytes, which it returns.
 */
void *nl_begin(struct nl_request *q, uint16_t type, uint16_t flags, size_t size);

void nl_put(struct nl_request *q, uint16_t type, const void *data, size_t size);
void nl_put_u32(struct nl_request *q, uint16_t type, uint32_t value);
void nl_put_string(struct nl_request *q, uint16_t type, const char *value);
void nl_put_bare(struct nl_request *q, const void *data, size_t size); /* without a header */
struct rtattr *nl_nest(struct nl_request *q, uint16_t type);
/* The last attribute of a message, of any size that is a multiple of 4, sent from where it is. Only
 * nl_nest_end() may follow. */
void nl_put_tail(struct nl_request *q, uint16_t type, const void *data, size_t size);
void nl_nest_end(struct nl_request *q, struct rtattr *nest);

/* Sends it on a socket of its own and waits for the acknowledgement (5 s at most).
 * Returns 0 or the kernel's negative errno. */
int nl_ask(struct nl_request *q);

/* Sends a dump request and calls `each` for every answer; what it returns other than 0 is returned
 * after the dump was read to its end. */
typedef int (*nl_each_fn)(const struct nlmsghdr *message, void *arg);
int nl_dump(struct nl_request *q, nl_each_fn each, void *arg);

/* The same for a request about one object: `each` gets the one answer. */
int nl_get(struct nl_request *q, nl_each_fn each, void *arg);

/* Family header and attributes of a request in hexadecimal digits, and back. Reading returns 0, or
 * -EBADMSG for what is no request with a family header of `size` bytes. */
void nl_print(const struct nl_request *q, struct text *t);
int nl_read(const char *hex, uint16_t type, size_t size, struct nl_request *ret);

/* The attribute `type` behind a family header of `size` bytes, or NULL. */
const struct rtattr *nl_find(const struct nlmsghdr *message, size_t size, uint16_t type);
const struct rtattr *nl_find_in(const struct rtattr *nest, uint16_t type);
const char *nl_string(const struct rtattr *attribute);
uint32_t nl_u32(const struct rtattr *attribute);
uint64_t nl_u64(const struct rtattr *attribute);

#endif
