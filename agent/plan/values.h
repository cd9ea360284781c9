/* SPDX-License-Identifier: Apache-2.0 */
/* The compound values of parameters: ports, prefixes, lists. Fixed size and without pointers, so
 * that parameters can be copied and compared as memory. Text in, text out; pure. */
#ifndef FAULTD_PLAN_VALUES_H
#define FAULTD_PLAN_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "faultd/limits.h"
#include "util/str.h"

struct port_range {
	uint16_t first;
	uint16_t last;
};

struct port_list {
	uint32_t n;
	struct port_range range[PORT_RANGES_MAX];
};

/* IPv4 is held mapped: ::ffff:a.b.c.d with `bits` 96 more than written. */
struct cidr {
	uint8_t addr[16];
	uint8_t bits;
};

struct cidr_list {
	uint32_t n;
	struct cidr cidr[CIDRS_MAX];
};

#define NAMES_MAX     16
#define NAME_TEXT_MAX 256 /* a unit's name may be so long, mount points are longer than most */
struct name_list {
	uint32_t n;
	char name[NAMES_MAX][NAME_TEXT_MAX];
};

/* Whom packets are exchanged with. */
struct peer_list {
	struct cidr_list cidrs;
	struct name_list names; /* of hosts, and of sets: see plan/peers.h */
	bool all;               /* anybody */
};

#define NUMBERS_MAX 256
struct number_list {
	uint32_t n;
	int64_t number[NUMBERS_MAX];
};

/* Each reads one item and adds it. Return 0, -EINVAL (not that), -ERANGE, or -E2BIG (full). */
int port_list_add(struct port_list *list, const char *item); /* 443 or 8000-8010 */
int cidr_list_add(struct cidr_list *list, const char *item); /* 10.0.0.0/8, 2001:db8::1 */
int name_list_add(struct name_list *list, const char *item);
int peer_list_add(struct peer_list *list, const char *item);     /* either, or ALL */
int number_list_add(struct number_list *list, const char *item); /* whole, 0 to 2^31 - 1 */

/* Labels of letters, digits, hyphens and underscores, the last of them no number: what looks like
 * an address and is none, is no name either. */
bool is_host_name(const char *s);

/* Bytes: a plain number, or one with K, M, G, T (or KiB, MiB …: powers of 1024; KB, MB …: of 1000).
 * Returns 0, -EINVAL, or -ERANGE (2^53 and more). */
#define BYTES_ALLOWED "bytes such as 1000000, 512MiB or 2GB"
int bytes_parse(const char *s, uint64_t *ret);
void bytes_print(uint64_t bytes, struct text *t); /* "2GiB", "1.5MiB", "1000B" */

/* Bits per second: a number, or one with bit, kbit, mbit, gbit (powers of 1000), with or without
 * "/s". Not bps, which is bits to some and bytes to tc. Returns 0, -EINVAL, or -ERANGE (2^53 and
 * more). */
#define RATE_ALLOWED "a rate such as 500kbit, 10mbit or 1gbit"
int rate_parse(const char *s, double *ret);
void rate_print(double rate, struct text *t); /* "1.5 mbit/s" */

void port_range_print(const struct port_range *p, struct text *t);
void cidr_print(const struct cidr *c, struct text *t);
void peer_list_print(const struct peer_list *list, struct text *t); /* separated by commas */

/* Does `outer` hold all of `inner`? ::/0 and the like are IPv6 only. */
bool cidr_holds(const struct cidr *outer, const struct cidr *inner);
bool cidr_same(const struct cidr *a, const struct cidr *b);
bool name_list_has(const struct name_list *list, const char *name);
bool cidr_list_has(const struct cidr_list *list, const struct cidr *c);

#endif
