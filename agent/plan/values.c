/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/values.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static int parse_port(const char *s, uint16_t *ret)
{
	uint64_t v;
	int r = str_to_u64(s, &v);

	if (r < 0)
		return r;
	if (v < 1 || v > UINT16_MAX)
		return -ERANGE;
	*ret = (uint16_t)v;
	return 0;
}

int port_list_add(struct port_list *list, const char *item)
{
	struct port_range p;
	char first[16];
	const char *dash = strchr(item, '-');
	size_t n = dash ? (size_t)(dash - item) : strlen(item);
	int r;

	if (n >= sizeof(first))
		return -EINVAL;
	memcpy(first, item, n);
	first[n] = '\0';
	r = parse_port(first, &p.first);
	if (r == 0)
		r = parse_port(dash ? dash + 1 : first, &p.last);
	if (r < 0)
		return r;
	if (p.last < p.first)
		return -EINVAL;
	if (list->n >= PORT_RANGES_MAX)
		return -E2BIG;
	list->range[list->n++] = p;
	return 0;
}

static bool is_mapped(const struct cidr *c)
{
	return c->bits >= 96 && memcmp(c->addr, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

/* Clears the bits behind the prefix, so that 10.1.2.3/8 and 10.0.0.0/8 are one thing. */
static void mask_cidr(struct cidr *c)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned before = i * 8;

		if (before >= c->bits)
			c->addr[i] = 0;
		else if (c->bits - before < 8)
			c->addr[i] &= (uint8_t)(0xff << (8 - (c->bits - before)));
	}
}

int cidr_list_add(struct cidr_list *list, const char *item)
{
	struct cidr c = {0};
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(item, '/');
	size_t n = slash ? (size_t)(slash - item) : strlen(item);
	uint64_t bits, most;
	bool v4;

	if (n >= sizeof(address))
		return -EINVAL;
	memcpy(address, item, n);
	address[n] = '\0';
	v4 = inet_pton(AF_INET, address, c.addr + 12) == 1;
	if (v4)
		memcpy(c.addr, mapped_prefix, sizeof(mapped_prefix));
	else if (inet_pton(AF_INET6, address, c.addr) != 1)
		return -EINVAL;
	most = v4 ? 32 : 128;
	bits = most;
	if (slash && str_to_u64(slash + 1, &bits) < 0)
		return -EINVAL;
	if (bits > most)
		return -ERANGE;
	if (list->n >= CIDRS_MAX)
		return -E2BIG;
	c.bits = (uint8_t)(v4 ? bits + 96 : bits);
	mask_cidr(&c);
	if (v4) /* 0.0.0.0/0 still means IPv4 only */
		memcpy(c.addr, mapped_prefix, sizeof(mapped_prefix));
	list->cidr[list->n++] = c;
	return 0;
}

int name_list_add(struct name_list *list, const char *item)
{
	if (list->n >= NAMES_MAX)
		return -E2BIG;
	if (!str_copy(list->name[list->n], NAME_TEXT_MAX, item))
		return -ERANGE;
	list->n++;
	return 0;
}

/* Returns the length of the label at `s`; 0: there is none. */
static size_t label_length(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '-' || s[n] == '_')
		n++;
	return n > 63 || s[0] == '-' || (n && s[n - 1] == '-') ? 0 : n;
}

bool is_host_name(const char *s)
{
	size_t whole = strlen(s), n = label_length(s);

	if (whole > 253 || n == 0)
		return false;
	while (s[n] == '.' && s[n + 1]) {
		s += n + 1;
		n = label_length(s);
		if (n == 0)
			return false;
	}
	return str_eq(s + n, s[n] == '.' ? "." : "") && strspn(s, "0123456789") < n;
}

int peer_list_add(struct peer_list *list, const char *item)
{
	int r = cidr_list_add(&list->cidrs, item);

	if (r != -EINVAL)
		return r;
	if (strcasecmp(item, "ALL") == 0) {
		list->all = true;
		return 0;
	}
	return is_host_name(item) ? name_list_add(&list->names, item) : -EINVAL;
}

int number_list_add(struct number_list *list, const char *item)
{
	int64_t v;
	int r;

	if (list->n >= NUMBERS_MAX)
		return -E2BIG;
	r = str_to_i64(item, &v);
	if (r < 0)
		return r;
	if (v < 0 || v > INT32_MAX)
		return -ERANGE;
	list->number[list->n++] = v;
	return 0;
}

void port_range_print(const struct port_range *p, struct text *t)
{
	if (p->first == p->last)
		text_add(t, "%u", p->first);
	else
		text_add(t, "%u-%u", p->first, p->last);
}

void cidr_print(const struct cidr *c, struct text *t)
{
	bool v4 = is_mapped(c);
	char address[INET6_ADDRSTRLEN];

	if (v4)
		(void)inet_ntop(AF_INET, c->addr + 12, address, sizeof(address));
	else
		(void)inet_ntop(AF_INET6, c->addr, address, sizeof(address));
	text_add(t, "%s/%u", address, v4 ? c->bits - 96u : c->bits);
}

void peer_list_print(const struct peer_list *list, struct text *t)
{
	const char *between = "";

	for (uint32_t i = 0; i < list->cidrs.n; i++, between = ",") {
		text_add(t, "%s", between);
		cidr_print(&list->cidrs.cidr[i], t);
	}
	for (uint32_t i = 0; i < list->names.n; i++, between = ",")
		text_add(t, "%s%s", between, list->names.name[i]);
	if (list->all)
		text_add(t, "%sALL", between);
}

bool cidr_same(const struct cidr *a, const struct cidr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool name_list_has(const struct name_list *list, const char *name)
{
	for (uint32_t i = 0; i < list->n; i++) {
		if (str_eq(list->name[i], name))
			return true;
	}
	return false;
}

bool cidr_list_has(const struct cidr_list *list, const struct cidr *c)
{
	for (uint32_t i = 0; i < list->n; i++) {
		if (cidr_same(&list->cidr[i], c))
			return true;
	}
	return false;
}

bool cidr_holds(const struct cidr *outer, const struct cidr *inner)
{
	struct cidr c = *inner;

	if (inner->bits < outer->bits || is_mapped(inner) != is_mapped(outer))
		return false;
	c.bits = outer->bits;
	mask_cidr(&c);
	if (is_mapped(outer)) /* as cidr_list_add() leaves it */
		memcpy(c.addr, mapped_prefix, sizeof(mapped_prefix));
	return cidr_same(&c, outer);
}

struct unit {
	const char *suffix;
	double factor;
};

/* "1.5MiB" by the factor of its suffix. */
static int unit_parse(const char *s, const struct unit *units, size_t n_units, double *ret)
{
	char number[32];
	size_t n = strspn(s, "0123456789.");
	double v;

	if (n >= sizeof(number))
		return -ERANGE;
	memcpy(number, s, n);
	number[n] = '\0';
	if (str_to_double(number, &v) < 0)
		return -EINVAL;
	for (size_t i = 0; i < n_units; i++) {
		if (!str_eq(units[i].suffix, s + n))
			continue;
		v *= units[i].factor;
		if (v >= 0x1p53)
			return -ERANGE;
		*ret = v;
		return 0;
	}
	return -EINVAL;
}

int bytes_parse(const char *s, uint64_t *ret)
{
	static const struct unit units[] = {
		{"", 1},         {"B", 1},      {"K", 0x1p10},   {"KiB", 0x1p10}, {"KB", 1e3},
		{"kB", 1e3},     {"M", 0x1p20}, {"MiB", 0x1p20}, {"MB", 1e6},     {"G", 0x1p30},
		{"GiB", 0x1p30}, {"GB", 1e9},   {"T", 0x1p40},   {"TiB", 0x1p40}, {"TB", 1e12}};
	double v;
	int r = unit_parse(s, units, ARRAY_SIZE(units), &v);

	if (r == 0)
		*ret = (uint64_t)v;
	return r;
}

int rate_parse(const char *s, double *ret)
{
	static const struct unit units[] = {
		{"", 1},         {"bit", 1},      {"bit/s", 1},  {"kbit", 1e3},   {"kbit/s", 1e3},
		{"mbit", 1e6},   {"mbit/s", 1e6}, {"gbit", 1e9}, {"gbit/s", 1e9}, {"Mbit/s", 1e6},
		{"Gbit/s", 1e9}, {"Mbit", 1e6},   {"Gbit", 1e9}};

	return unit_parse(s, units, ARRAY_SIZE(units), ret);
}

void rate_print(double rate, struct text *t)
{
	static const char *const units[] = {"bit/s", "kbit/s", "mbit/s", "gbit/s"};
	size_t i = 0;

	for (; rate >= 1000 && i + 1 < ARRAY_SIZE(units); i++)
		rate /= 1000;
	text_add(t, "%.10g %s", rate, units[i]);
}

void bytes_print(uint64_t bytes, struct text *t)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double v = (double)bytes;
	size_t i = 0;

	for (; v >= 1024 && i + 1 < ARRAY_SIZE(units); i++)
		v /= 1024;
	text_add(t, "%.4g%s", v, units[i]);
}
