/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/classify.bpf.c: rules against built packets through BPF_PROG_TEST_RUN, then the verdicts on
 * a veth pair in a network namespace of this process. Needs the privilege to load BPF programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "classify.skel.h"
#include "faultd/bpf-abi.h"

#define PASS     (-1) /* TC_ACT_UNSPEC */
#define SHOT     2    /* TC_ACT_SHOT */
#define REDIRECT 7    /* TC_ACT_REDIRECT */

#define ALWAYS 0xffffffff
#define SKIP   77 /* exit status of a skipped test */

#define HERE    "10.0.0.1"
#define THERE   "192.0.2.7"
#define HERE_6  "2001:db8::1"
#define THERE_6 "2001:db8:ffff::7"

/* Packets: put together from left to right */

struct packet {
	uint8_t data[8192];
	size_t len;
};

static void put(struct packet *p, const void *bytes, size_t n)
{
	assert_true(p->len + n <= sizeof(p->data));
	memcpy(p->data + p->len, bytes, n);
	p->len += n;
}

static void put_zero(struct packet *p, size_t n)
{
	assert_true(p->len + n <= sizeof(p->data));
	memset(p->data + p->len, 0, n);
	p->len += n;
}

static struct packet ethernet(uint16_t type)
{
	struct packet p = {.len = 0};
	uint8_t header[ETH_HLEN] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, type >> 8, type & 0xff};

	put(&p, header, sizeof(header));
	return p;
}

static void put_ipv4_full(struct packet *p, const char *from, const char *to, int protocol,
			  unsigned options, unsigned fragment)
{
	uint8_t header[20] = {[0] = 0x45 + options / 4,
			      [6] = fragment >> 8,
			      [7] = fragment,
			      [8] = 64,
			      [9] = protocol};

	assert_int_equal(inet_pton(AF_INET, from, header + 12), 1);
	assert_int_equal(inet_pton(AF_INET, to, header + 16), 1);
	put(p, header, sizeof(header));
	put_zero(p, options);
}

static void put_ipv6(struct packet *p, const char *from, const char *to, int next)
{
	uint8_t header[40] = {[0] = 0x60, [6] = next, [7] = 64};

	assert_int_equal(inet_pton(AF_INET6, from, header + 8), 1);
	assert_int_equal(inet_pton(AF_INET6, to, header + 24), 1);
	put(p, header, sizeof(header));
}

/* `words` of eight bytes beyond the first. */
static void put_extension(struct packet *p, int next, unsigned words)
{
	uint8_t header[8] = {next, words};

	put(p, header, sizeof(header));
	put_zero(p, (size_t)words * 8);
}

static void put_fragment(struct packet *p, int next, unsigned offset)
{
	uint8_t header[8] = {next, 0xff, offset >> 8, (offset & 0xf8) | 1};

	put(p, header, sizeof(header));
}

static void put_ports(struct packet *p, unsigned src, unsigned dst)
{
	uint8_t ports[4] = {src >> 8, src, dst >> 8, dst};

	put(p, ports, sizeof(ports));
	put_zero(p, 16);
}

static void put_icmp(struct packet *p, int type)
{
	uint8_t header[8] = {type};

	put(p, header, sizeof(header));
}

static struct packet ipv4(const char *from, const char *to, int protocol, unsigned src,
			  unsigned dst)
{
	struct packet p = ethernet(ETHERTYPE_IP);

	put_ipv4_full(&p, from, to, protocol, 0, 0);
	put_ports(&p, src, dst);
	return p;
}

static struct packet ipv6(const char *from, const char *to, int protocol, unsigned src,
			  unsigned dst)
{
	struct packet p = ethernet(ETHERTYPE_IPV6);

	put_ipv6(&p, from, to, protocol);
	put_ports(&p, src, dst);
	return p;
}

static struct packet icmpv6(int type)
{
	struct packet p = ethernet(ETHERTYPE_IPV6);

	put_ipv6(&p, HERE_6, THERE_6, IPPROTO_ICMPV6);
	put_icmp(&p, type);
	return p;
}

/* From this host, to port `dst` */
static struct packet tcp4(unsigned dst)
{
	return ipv4(HERE, THERE, IPPROTO_TCP, 40000, dst);
}

static struct packet tcp6(unsigned dst)
{
	return ipv6(HERE_6, THERE_6, IPPROTO_TCP, 40000, dst);
}

/* The classifier */

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

static struct classify_bpf *load(enum classify_direction direction, unsigned l2_len)
{
	struct classify_bpf *classifier = classify_bpf__open();

	if (!classifier)
		return NULL;
	classifier->rodata->direction = direction;
	classifier->rodata->l2_len = l2_len;
	if (classify_bpf__load(classifier) == 0)
		return classifier;
	classify_bpf__destroy(classifier);
	return NULL;
}

static struct classify_rule drop_all(void)
{
	return (struct classify_rule){
		.deadline_boot_ns = UINT64_MAX, .threshold = ALWAYS, .flow_threshold = ALWAYS};
}

static void set_rule(struct classify_bpf *c, uint32_t slot, const struct classify_rule *rule)
{
	assert_int_equal(bpf_map__update_elem(c->maps.rules, &slot, sizeof(slot), rule,
					      sizeof(*rule), BPF_ANY),
			 0);
	c->bss->active |= 1ull << slot;
}

static void set_cidr(struct classify_bpf *c, uint32_t slot, const char *address, unsigned bits,
		     uint8_t value)
{
	struct classify_cidr key = {.prefixlen = 32 + bits, .slot = slot};

	if (strchr(address, ':'))
		assert_int_equal(inet_pton(AF_INET6, address, key.addr), 1);
	else {
		key.prefixlen += 96;
		key.addr[10] = key.addr[11] = 0xff;
		assert_int_equal(inet_pton(AF_INET, address, key.addr + 12), 1);
	}
	assert_int_equal(bpf_map__update_elem(c->maps.cidrs, &key, sizeof(key), &value,
					      sizeof(value), BPF_ANY),
			 0);
}

static struct classify_counters counters(struct classify_bpf *c, uint32_t slot)
{
	int n = libbpf_num_possible_cpus();
	struct classify_counters *each = calloc((size_t)n, sizeof(*each));
	struct classify_counters sum = {0};

	assert_int_equal(bpf_map__lookup_elem(c->maps.counters, &slot, sizeof(slot), each,
					      (size_t)n * sizeof(*each), 0),
			 0);
	for (int i = 0; i < n; i++) {
		sum.matched += each[i].matched;
		sum.dropped += each[i].dropped;
		sum.shaped += each[i].shaped;
	}
	free(each);
	return sum;
}

static int run_times(struct classify_bpf *c, const void *data, size_t len, int times)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = (uint32_t)len,
		    .repeat = times);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(c->progs.classify), &opts), 0);
	return (int)opts.retval;
}

static int run(struct classify_bpf *c, struct packet p)
{
	return run_times(c, p.data, p.len, 1);
}

/* One rule alone, in slot 0. */
static int run_rule(struct classify_bpf *c, struct classify_rule rule, struct packet p)
{
	set_rule(c, 0, &rule);
	return run(c, p);
}

static int setup(void **state)
{
	*state = load(CLASSIFY_EGRESS, ETH_HLEN);
	return *state ? 0 : -1;
}

static int setup_ingress(void **state)
{
	*state = load(CLASSIFY_INGRESS, ETH_HLEN);
	return *state ? 0 : -1;
}

static int setup_no_link_header(void **state)
{
	*state = load(CLASSIFY_EGRESS, 0);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	classify_bpf__destroy(*state);
	return 0;
}

static void test_without_rules(void **state)
{
	struct classify_bpf *c = *state;

	assert_int_equal(run(c, tcp4(80)), PASS);
	assert_int_equal(run(c, tcp6(80)), PASS);
}

static void test_slots(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = drop_all();

	for (uint32_t slot = 0; slot < CLASSIFY_RULES; slot++) {
		set_rule(c, slot, &rule);
		assert_int_equal(run(c, tcp4(80)), REDIRECT);
		assert_int_equal(counters(c, slot).matched, 1);
		assert_int_equal(counters(c, slot).dropped, 1);
		c->bss->active = 0;
		assert_int_equal(run(c, tcp4(80)), PASS);
		assert_int_equal(counters(c, slot).matched, 1);
	}
}

static void test_only_ip(void **state)
{
	static const uint16_t types[] = {ETHERTYPE_ARP, ETHERTYPE_VLAN, 0x88cc, 0x8847, 0x0026};
	struct classify_bpf *c = *state;
	struct classify_rule rule = drop_all();

	rule.flags = RULE_LOCKOUT;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct packet p = ethernet(types[i]);

		put_ipv4_full(&p, HERE, THERE, IPPROTO_TCP, 0, 0);
		put_ports(&p, 1, 2);
		assert_int_equal(run_rule(c, rule, p), PASS);
	}
	assert_int_equal(counters(c, 0).matched, 0);
}

static void test_protocols(void **state)
{
	static const int protocols[] = {IPPROTO_ICMP, IPPROTO_TCP,     IPPROTO_UDP, IPPROTO_DCCP,
					IPPROTO_SCTP, IPPROTO_UDPLITE, IPPROTO_GRE, IPPROTO_ESP};
	struct classify_bpf *c = *state;
	size_t n = sizeof(protocols) / sizeof(protocols[0]);

	for (size_t i = 0; i < n; i++) {
		struct classify_rule rule = drop_all();

		for (size_t j = 0; j < n; j++) {
			int expected = i == j ? REDIRECT : PASS;

			rule.protocol = protocols[i];
			assert_int_equal(run_rule(c, rule, ipv4(HERE, THERE, protocols[j], 1, 2)),
					 expected);
			assert_int_equal(
				run_rule(c, rule, ipv6(HERE_6, THERE_6, protocols[j], 1, 2)),
				expected);
		}
		rule.protocol = 0;
		assert_int_equal(run_rule(c, rule, ipv4(HERE, THERE, protocols[i], 1, 2)),
				 REDIRECT);
	}

	struct classify_rule icmp = drop_all();
	icmp.protocol = IPPROTO_ICMP;
	assert_int_equal(run_rule(c, icmp, icmpv6(128)), REDIRECT);
	icmp.protocol = IPPROTO_ICMPV6;
	assert_int_equal(run_rule(c, icmp, icmpv6(128)), REDIRECT);
	assert_int_equal(run_rule(c, icmp, ipv4(HERE, THERE, IPPROTO_ICMP, 8, 0)), PASS);
}

static void test_ports(void **state)
{
	static const struct {
		unsigned port;
		bool in;
	} cases[] = {
		{0, false},    {79, false},    {80, true},    {81, false},
		{7999, false}, {8000, true},   {8005, true},  {8010, true},
		{8011, false}, {65534, false}, {65535, true},
	};
	static const int with_ports[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_DCCP, IPPROTO_SCTP,
					 IPPROTO_UDPLITE};
	struct classify_bpf *c = *state;
	struct classify_rule dst = drop_all(), src = drop_all();

	dst.n_dst_ports = src.n_src_ports = 3;
	dst.dst_ports[0] = src.src_ports[0] = (struct classify_ports){80, 80};
	dst.dst_ports[1] = src.src_ports[1] = (struct classify_ports){8000, 8010};
	dst.dst_ports[2] = src.src_ports[2] = (struct classify_ports){65535, 65535};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int expected = cases[i].in ? REDIRECT : PASS;

		for (size_t j = 0; j < sizeof(with_ports) / sizeof(with_ports[0]); j++) {
			int protocol = with_ports[j];
			unsigned port = cases[i].port;

			assert_int_equal(run_rule(c, dst, ipv4(HERE, THERE, protocol, 9, port)),
					 expected);
			assert_int_equal(run_rule(c, dst, ipv6(HERE_6, THERE_6, protocol, 9, port)),
					 expected);
			assert_int_equal(run_rule(c, dst, ipv4(HERE, THERE, protocol, port, 9)),
					 PASS);
			assert_int_equal(run_rule(c, src, ipv4(HERE, THERE, protocol, port, 9)),
					 expected);
			assert_int_equal(run_rule(c, src, ipv4(HERE, THERE, protocol, 9, port)),
					 PASS);
		}
	}

	/* Protocols without ports, a range of all, both directions, and as many ranges as fit. */
	assert_int_equal(run_rule(c, dst, ipv4(HERE, THERE, IPPROTO_GRE, 80, 80)), PASS);
	dst.dst_ports[0] = (struct classify_ports){0, 65535};
	assert_int_equal(run_rule(c, dst, icmpv6(128)), PASS);
	assert_int_equal(run_rule(c, dst, tcp4(0)), REDIRECT);

	dst.n_src_ports = 1;
	dst.src_ports[0] = (struct classify_ports){40000, 40000};
	assert_int_equal(run_rule(c, dst, tcp4(1)), REDIRECT);
	dst.src_ports[0] = (struct classify_ports){40001, 40001};
	assert_int_equal(run_rule(c, dst, tcp4(1)), PASS);

	dst = drop_all();
	dst.n_dst_ports = CLASSIFY_PORTS;
	for (unsigned i = 0; i < CLASSIFY_PORTS; i++)
		dst.dst_ports[i] = (struct classify_ports){i * 10, i * 10};
	assert_int_equal(run_rule(c, dst, tcp4(10 * (CLASSIFY_PORTS - 1))), REDIRECT);
	assert_int_equal(run_rule(c, dst, tcp4(10 * CLASSIFY_PORTS)), PASS);
	dst.n_dst_ports--;
	assert_int_equal(run_rule(c, dst, tcp4(10 * (CLASSIFY_PORTS - 1))), PASS);
}

static void test_ipv4_options_and_fragments(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule any = drop_all(), port = drop_all();

	port.n_dst_ports = 1;
	port.dst_ports[0] = (struct classify_ports){443, 443};
	for (unsigned options = 0; options <= 40; options += 4) {
		struct packet p = ethernet(ETHERTYPE_IP);

		put_ipv4_full(&p, HERE, THERE, IPPROTO_TCP, options, 0x4000);
		put_ports(&p, 1, 443);
		assert_int_equal(run_rule(c, port, p), REDIRECT);
	}

	static const struct {
		unsigned fragment;
		bool first;
	} cases[] = {{0x2000, true}, {0x2001, false}, {0x1fff, false}, {1, false}, {0x8000, true}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet p = ethernet(ETHERTYPE_IP);

		put_ipv4_full(&p, HERE, THERE, IPPROTO_TCP, 0, cases[i].fragment);
		put_ports(&p, 1, 443);
		assert_int_equal(run_rule(c, port, p), cases[i].first ? REDIRECT : PASS);
		assert_int_equal(run_rule(c, any, p), REDIRECT);
	}

	/* A header that cannot be one */
	struct packet p = tcp4(443);
	p.data[ETH_HLEN] = 0x44;
	assert_int_equal(run_rule(c, any, p), PASS);
	p.data[ETH_HLEN] = 0x65;
	assert_int_equal(run_rule(c, any, p), PASS);
}

static void test_ipv6_extensions(void **state)
{
	static const int kinds[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS};
	struct classify_bpf *c = *state;
	struct classify_rule any = drop_all(), port = drop_all();

	port.protocol = IPPROTO_UDP;
	port.n_dst_ports = 1;
	port.dst_ports[0] = (struct classify_ports){443, 443};

	for (unsigned words = 0; words < 256; words += 5)
		for (size_t i = 0; i < 3; i++) {
			struct packet p = ethernet(ETHERTYPE_IPV6);

			put_ipv6(&p, HERE_6, THERE_6, kinds[i]);
			put_extension(&p, IPPROTO_UDP, words);
			put_ports(&p, 1, 443);
			assert_int_equal(run_rule(c, port, p), REDIRECT);
		}

	/* All kinds in a row, then the first and another fragment */
	for (unsigned offset = 0; offset <= 0xfff8; offset += 0x7ff8) {
		struct packet p = ethernet(ETHERTYPE_IPV6);

		put_ipv6(&p, HERE_6, THERE_6, IPPROTO_HOPOPTS);
		put_extension(&p, IPPROTO_ROUTING, 1);
		put_extension(&p, IPPROTO_DSTOPTS, 2);
		put_extension(&p, IPPROTO_FRAGMENT, 0);
		put_fragment(&p, IPPROTO_UDP, offset);
		put_ports(&p, 1, 443);
		assert_int_equal(run_rule(c, port, p), offset ? PASS : REDIRECT);
		any.protocol = IPPROTO_UDP;
		assert_int_equal(run_rule(c, any, p), REDIRECT);
	}

	/* Eight headers are read, nine are not */
	any = drop_all();
	for (int n = 1; n <= 12; n++) {
		struct packet p = ethernet(ETHERTYPE_IPV6);

		put_ipv6(&p, HERE_6, THERE_6, IPPROTO_DSTOPTS);
		for (int i = 1; i < n; i++)
			put_extension(&p, IPPROTO_DSTOPTS, 0);
		put_extension(&p, IPPROTO_UDP, 0);
		put_ports(&p, 1, 443);
		assert_int_equal(run_rule(c, port, p), n <= 8 ? REDIRECT : PASS);
		assert_int_equal(run_rule(c, any, p), n <= 8 ? REDIRECT : PASS);
	}

	struct packet p = ethernet(ETHERTYPE_IPV6);
	put_ipv6(&p, HERE_6, THERE_6, IPPROTO_NONE);
	assert_int_equal(run_rule(c, any, p), REDIRECT);
	p.data[ETH_HLEN] = 0x45;
	assert_int_equal(run_rule(c, any, p), PASS);
}

static void test_cidrs(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = drop_all();

	rule.flags = RULE_HAS_CIDRS;
	assert_int_equal(run_rule(c, rule, tcp4(80)), PASS);

	set_cidr(c, 0, "192.0.0.0", 8, CIDR_INCLUDE);
	set_cidr(c, 0, "192.0.2.0", 24, CIDR_EXCLUDE);
	set_cidr(c, 0, "192.0.2.64", 26, CIDR_INCLUDE);
	set_cidr(c, 0, "192.0.2.65", 32, CIDR_EXCLUDE);
	set_cidr(c, 0, "2001:db8::", 32, CIDR_INCLUDE);
	set_cidr(c, 0, "2001:db8:ffff::", 48, CIDR_EXCLUDE);
	set_cidr(c, 0, "2001:db8:ffff::8", 128, CIDR_INCLUDE);
	set_cidr(c, 1, "0.0.0.0", 0, CIDR_INCLUDE);

	static const struct {
		const char *remote;
		bool in;
	} cases[] = {
		{"192.255.255.255", true},   {"193.0.0.0", false},       {"192.0.2.63", false},
		{"192.0.2.64", true},        {"192.0.2.65", false},      {"192.0.2.127", true},
		{"192.0.2.128", false},      {"2001:db8:1::1", true},    {"2001:db9::1", false},
		{"2001:db8:ffff::7", false}, {"2001:db8:ffff::8", true}, {"::192.0.2.64", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *remote = cases[i].remote;
		bool is_ipv6 = strchr(remote, ':');
		struct packet out = is_ipv6 ? ipv6("fc00::1", remote, IPPROTO_TCP, 1, 2)
					    : ipv4(HERE, remote, IPPROTO_TCP, 1, 2);
		struct packet in = is_ipv6 ? ipv6(remote, "fc00::1", IPPROTO_TCP, 1, 2)
					   : ipv4(remote, HERE, IPPROTO_TCP, 1, 2);

		assert_int_equal(run(c, out), cases[i].in ? REDIRECT : PASS);
		assert_int_equal(run(c, in), PASS);
	}

	/* The prefixes of one slot are none of another's */
	c->bss->active = 0;
	set_rule(c, 1, &rule);
	assert_int_equal(run(c, ipv4(HERE, "8.8.8.8", IPPROTO_TCP, 1, 2)), REDIRECT);
	assert_int_equal(run(c, tcp6(80)), PASS);
}

static void test_cidrs_ingress(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = drop_all();

	rule.flags = RULE_HAS_CIDRS;
	set_cidr(c, 0, THERE, 32, CIDR_INCLUDE);
	assert_int_equal(run_rule(c, rule, ipv4(THERE, HERE, IPPROTO_TCP, 1, 2)), SHOT);
	assert_int_equal(run_rule(c, rule, ipv4(HERE, THERE, IPPROTO_TCP, 1, 2)), PASS);
}

/* Spared, and matched all the same with RULE_LOCKOUT. */
static void assert_spared(struct classify_bpf *c, struct packet p, int drop)
{
	struct classify_rule rule = drop_all();

	assert_int_equal(run_rule(c, rule, p), PASS);
	rule.flags = RULE_LOCKOUT;
	assert_int_equal(run_rule(c, rule, p), drop);
}

static void test_spared_icmpv6(void **state)
{
	struct classify_bpf *c = *state;

	for (int type = 0; type < 256; type++) {
		if ((type >= 130 && type <= 137) || type == 143)
			assert_spared(c, icmpv6(type), REDIRECT);
		else
			assert_int_equal(run_rule(c, drop_all(), icmpv6(type)), REDIRECT);
	}

	/* MLD as it is sent, behind a router alert; the same numbers in ICMP mean something else */
	struct packet p = ethernet(ETHERTYPE_IPV6);
	put_ipv6(&p, "fe80::1", "ff02::16", IPPROTO_HOPOPTS);
	put_extension(&p, IPPROTO_ICMPV6, 0);
	put_icmp(&p, 143);
	assert_spared(c, p, REDIRECT);

	p = ethernet(ETHERTYPE_IP);
	put_ipv4_full(&p, HERE, THERE, IPPROTO_ICMP, 0, 0);
	put_icmp(&p, 135);
	assert_int_equal(run_rule(c, drop_all(), p), REDIRECT);
}

static void test_spared_dhcp(void **state)
{
	static const unsigned ports[] = {67, 68, 546, 547};
	static const unsigned others[] = {66, 69, 545, 548};
	struct classify_bpf *c = *state;

	for (int i = 0; i < 4; i++) {
		assert_spared(c, ipv4("0.0.0.0", "255.255.255.255", IPPROTO_UDP, ports[i], 9),
			      REDIRECT);
		assert_spared(c, ipv4("0.0.0.0", "255.255.255.255", IPPROTO_UDP, 9, ports[i]),
			      REDIRECT);
		assert_spared(c, ipv6("fe80::1", "ff02::1:2", IPPROTO_UDP, ports[i], 9), REDIRECT);
		assert_spared(c, ipv6("fe80::1", "ff02::1:2", IPPROTO_UDP, 9, ports[i]), REDIRECT);
		assert_int_equal(
			run_rule(c, drop_all(), ipv4(HERE, THERE, IPPROTO_UDP, 9, others[i])),
			REDIRECT);
		assert_int_equal(
			run_rule(c, drop_all(), ipv4(HERE, THERE, IPPROTO_TCP, 9, ports[i])),
			REDIRECT);
	}
}

static void test_spared_metadata(void **state)
{
	static const char *const ipv4s[] = {"169.254.169.254", "169.254.170.2", "169.254.170.23"};
	static const char *const ipv6s[] = {"fd00:ec2::254", "fd00:ec2::23"};
	static const char *const others[] = {"169.254.169.253", "169.254.170.3", "169.254.169.2",
					     "254.169.254.169"};
	static const char *const others6[] = {
		"fd00:ec2::2",   "fd00:ec2::1:254",        "fd00:ec2:1::254",
		"fd00:ec3::254", "::ffff:169.254.169.253", "::169.254.169.254"};
	struct classify_bpf *c = *state;

	for (size_t i = 0; i < sizeof(ipv4s) / sizeof(ipv4s[0]); i++) {
		struct packet fragment = ethernet(ETHERTYPE_IP);

		assert_spared(c, ipv4(HERE, ipv4s[i], IPPROTO_TCP, 9, 80), REDIRECT);
		assert_spared(c, ipv4(HERE, ipv4s[i], IPPROTO_UDP, 9, 123), REDIRECT);
		assert_int_equal(run_rule(c, drop_all(), ipv4(ipv4s[i], HERE, IPPROTO_TCP, 80, 9)),
				 REDIRECT);
		put_ipv4_full(&fragment, HERE, ipv4s[i], IPPROTO_UDP, 0, 0x2001);
		assert_spared(c, fragment, REDIRECT);
	}
	for (size_t i = 0; i < sizeof(ipv6s) / sizeof(ipv6s[0]); i++)
		assert_spared(c, ipv6(HERE_6, ipv6s[i], IPPROTO_TCP, 9, 80), REDIRECT);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(run_rule(c, drop_all(), ipv4(HERE, others[i], IPPROTO_TCP, 9, 80)),
				 REDIRECT);
	for (size_t i = 0; i < sizeof(others6) / sizeof(others6[0]); i++)
		assert_int_equal(
			run_rule(c, drop_all(), ipv6(HERE_6, others6[i], IPPROTO_TCP, 9, 80)),
			REDIRECT);
}

static void test_spared_metadata_ingress(void **state)
{
	struct classify_bpf *c = *state;

	assert_spared(c, ipv4("169.254.169.254", HERE, IPPROTO_TCP, 80, 9), SHOT);
	assert_spared(c, ipv6("fd00:ec2::254", HERE_6, IPPROTO_TCP, 80, 9), SHOT);
	assert_int_equal(run_rule(c, drop_all(), ipv4(HERE, "169.254.169.254", IPPROTO_TCP, 9, 80)),
			 SHOT);
}

static struct classify_flow flow(const char *local, unsigned local_port, const char *remote,
				 unsigned remote_port)
{
	struct classify_flow flow = {.local_port = local_port, .remote_port = remote_port};

	assert_int_equal(inet_pton(AF_INET6, local, flow.local), 1);
	assert_int_equal(inet_pton(AF_INET6, remote, flow.remote), 1);
	return flow;
}

static struct classify_rule drop_all_but_flows(void)
{
	struct classify_rule rule = drop_all();

	rule.n_flows = CLASSIFY_FLOWS;
	rule.flows[0] = flow("::ffff:" HERE, 22, "::ffff:" THERE, 50000);
	rule.flows[1] = flow(HERE_6, 22, THERE_6, 50000);
	rule.flows[3] = flow("::ffff:" HERE, 8883, "::ffff:" THERE, 50000);
	return rule;
}

static void test_flows(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = drop_all_but_flows();

	assert_int_equal(run_rule(c, rule, ipv4(HERE, THERE, IPPROTO_TCP, 22, 50000)), PASS);
	assert_int_equal(run_rule(c, rule, ipv4(HERE, THERE, IPPROTO_TCP, 8883, 50000)), PASS);
	assert_int_equal(run_rule(c, rule, ipv6(HERE_6, THERE_6, IPPROTO_TCP, 22, 50000)), PASS);

	assert_int_equal(run_rule(c, rule, ipv4(HERE, THERE, IPPROTO_UDP, 22, 50000)), REDIRECT);
	assert_int_equal(run_rule(c, rule, ipv4(HERE, THERE, IPPROTO_TCP, 23, 50000)), REDIRECT);
	assert_int_equal(run_rule(c, rule, ipv4(HERE, THERE, IPPROTO_TCP, 22, 50001)), REDIRECT);
	assert_int_equal(run_rule(c, rule, ipv4(HERE, THERE, IPPROTO_TCP, 50000, 22)), REDIRECT);
	assert_int_equal(run_rule(c, rule, ipv4(THERE, HERE, IPPROTO_TCP, 50000, 22)), REDIRECT);
	assert_int_equal(run_rule(c, rule, ipv4(HERE, "192.0.2.8", IPPROTO_TCP, 22, 50000)),
			 REDIRECT);
	assert_int_equal(run_rule(c, rule, ipv4("10.0.0.2", THERE, IPPROTO_TCP, 22, 50000)),
			 REDIRECT);
	assert_int_equal(run_rule(c, rule, ipv6(HERE_6, HERE_6, IPPROTO_TCP, 22, 50000)), REDIRECT);

	/* Another fragment of any of them may be one of theirs */
	struct packet p = ethernet(ETHERTYPE_IP);
	put_ipv4_full(&p, HERE, THERE, IPPROTO_TCP, 0, 0x2001);
	assert_int_equal(run_rule(c, rule, p), PASS);

	rule.n_flows = 3;
	assert_int_equal(run_rule(c, rule, ipv4(HERE, THERE, IPPROTO_TCP, 8883, 50000)), REDIRECT);
	rule.flags = RULE_LOCKOUT;
	assert_int_equal(run_rule(c, rule, ipv4(HERE, THERE, IPPROTO_TCP, 22, 50000)), REDIRECT);
}

static void test_flows_ingress(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = drop_all_but_flows();

	assert_int_equal(run_rule(c, rule, ipv4(THERE, HERE, IPPROTO_TCP, 50000, 22)), PASS);
	assert_int_equal(run_rule(c, rule, ipv6(THERE_6, HERE_6, IPPROTO_TCP, 50000, 22)), PASS);
	assert_int_equal(run_rule(c, rule, ipv4(THERE, HERE, IPPROTO_TCP, 22, 50000)), SHOT);
	assert_int_equal(run_rule(c, rule, ipv4(HERE, THERE, IPPROTO_TCP, 22, 50000)), SHOT);
}

static void test_deadline(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = drop_all();
	struct timespec now;
	uint64_t ns;

	rule.deadline_boot_ns = 0;
	assert_int_equal(run_rule(c, rule, tcp4(80)), PASS);
	rule.deadline_boot_ns = 1;
	assert_int_equal(run_rule(c, rule, tcp4(80)), PASS);
	assert_int_equal(counters(c, 0).matched, 0);

	clock_gettime(CLOCK_BOOTTIME, &now);
	ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	rule.deadline_boot_ns = ns - 1;
	assert_int_equal(run_rule(c, rule, tcp4(80)), PASS);
	rule.deadline_boot_ns = ns + 200000000;
	assert_int_equal(run_rule(c, rule, tcp4(80)), REDIRECT);
	usleep(210000);
	assert_int_equal(run(c, tcp4(80)), PASS);
	assert_int_equal(counters(c, 0).matched, 1);
}

static void test_percent(void **state)
{
	static const int percents[] = {0, 1, 10, 50, 90, 100};
	const int times = 20000;
	const int tolerance = 360; /* five standard deviations at 50 % */
	struct classify_bpf *c = *state;
	struct packet p = tcp4(80);

	for (uint32_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		struct classify_rule rule = drop_all();
		struct classify_counters sum;
		int expected = times / 100 * percents[i];

		rule.threshold = (uint32_t)((uint64_t)ALWAYS * (uint64_t)percents[i] / 100);
		c->bss->active = 0;
		set_rule(c, i, &rule);
		run_times(c, p.data, p.len, times);
		sum = counters(c, i);
		assert_int_equal(sum.matched, times);
		if (percents[i] == 0 || percents[i] == 100)
			assert_int_equal(sum.dropped, expected);
		else
			assert_true(abs((int)sum.dropped - expected) < tolerance);
		assert_true(percents[i] == 0 || sum.dropped > 0);
	}
}

static void test_two_rules(void **state)
{
	const int times = 20000;
	struct classify_bpf *c = *state;
	struct classify_rule half = drop_all(), visible = drop_all();
	struct packet p = tcp4(80);
	struct classify_counters first, second;

	half.threshold = 0x80000000;
	visible.flags = RULE_VISIBLE;
	visible.n_dst_ports = 1;
	visible.dst_ports[0] = (struct classify_ports){80, 80};
	set_rule(c, 3, &half);
	set_rule(c, 17, &visible);
	run_times(c, p.data, p.len, times);

	first = counters(c, 3);
	second = counters(c, 17);
	assert_int_equal(first.matched, times);
	assert_in_range(first.dropped, 9600, 10400);
	assert_int_equal(second.matched, times - first.dropped);
	assert_int_equal(second.dropped, second.matched);

	/* The first that drops decides how; a rule that has ended stands in nobody's way */
	half.threshold = ALWAYS;
	set_rule(c, 3, &half);
	assert_int_equal(run(c, p), REDIRECT);
	half.deadline_boot_ns = 0;
	set_rule(c, 3, &half);
	assert_int_equal(run(c, p), SHOT);
	c->bss->active = 1u << 3;
	assert_int_equal(run(c, p), PASS);
}

static void test_verdicts(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = drop_all();

	assert_int_equal(run_rule(c, rule, tcp4(80)), REDIRECT);
	rule.flags = RULE_VISIBLE;
	assert_int_equal(run_rule(c, rule, tcp4(80)), SHOT);
	assert_int_equal(run_rule(c, rule, tcp6(80)), SHOT);
}

static void test_verdicts_ingress(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = drop_all();

	assert_int_equal(run_rule(c, rule, tcp4(80)), SHOT);
	rule.flags = RULE_VISIBLE;
	assert_int_equal(run_rule(c, rule, tcp6(80)), SHOT);
}

/* The kernel takes bytes 12 and 13 of a test packet for its type, so they are where the addresses
 * of these begin with it: 8.0/16, and 86dd as the third group. */
static void test_no_link_header(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = drop_all();
	struct packet p = {.len = 0};

	rule.n_dst_ports = 1;
	rule.dst_ports[0] = (struct classify_ports){443, 443};
	put_ipv4_full(&p, "8.0.0.1", THERE, IPPROTO_TCP, 0, 0);
	put_ports(&p, 1, 443);
	assert_int_equal(run_rule(c, rule, p), REDIRECT);

	p.len = 0;
	put_ipv6(&p, "2001:db8:86dd::1", THERE_6, IPPROTO_DSTOPTS);
	put_extension(&p, IPPROTO_TCP, 0);
	put_ports(&p, 1, 443);
	assert_int_equal(run_rule(c, rule, p), REDIRECT);

	assert_int_equal(run_rule(c, rule, tcp4(443)), PASS);
}

/* Cut anywhere before the ports are there, a packet is no match; nowhere is it an error. Behind
 * the packet lies nothing, so a read beyond its end would be seen by the kernel. */
static void test_truncated(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = drop_all();
	struct {
		struct packet p;
		size_t enough;
	} cases[5] = {
		{tcp4(80), ETH_HLEN + 20 + 4},
		{tcp6(80), ETH_HLEN + 40 + 4},
		{icmpv6(128), ETH_HLEN + 40 + 1},
		{ethernet(ETHERTYPE_IP), ETH_HLEN + 60 + 4},
		{ethernet(ETHERTYPE_IPV6), ETH_HLEN + 40 + 16 + 8 + 4},
	};

	put_ipv4_full(&cases[3].p, HERE, THERE, IPPROTO_UDP, 40, 0);
	put_ports(&cases[3].p, 1, 80);
	put_ipv6(&cases[4].p, HERE_6, THERE_6, IPPROTO_HOPOPTS);
	put_extension(&cases[4].p, IPPROTO_FRAGMENT, 1);
	put_fragment(&cases[4].p, IPPROTO_UDP, 0);
	put_ports(&cases[4].p, 1, 80);

	rule.flags = RULE_LOCKOUT;
	set_rule(c, 0, &rule);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t len = ETH_HLEN; len <= cases[i].p.len; len++) {
			LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = cases[i].p.data,
				    .data_size_in = (uint32_t)len);
			int fd = bpf_program__fd(c->progs.classify);

			/* Newer kernels refuse to test without a whole IP header */
			if (bpf_prog_test_run_opts(fd, &opts) < 0) {
				assert_true(len < ETH_HLEN + 40);
				continue;
			}
			assert_int_equal((int)opts.retval,
					 len >= cases[i].enough ? REDIRECT : PASS);
		}
}

static struct packet with_tcp_flags(struct packet p, uint8_t flags)
{
	size_t header = p.data[ETH_HLEN] >> 4 == 4 ? 20 : 40;

	p.data[ETH_HLEN + header + 13] = flags;
	return p;
}

static void test_connections(void **state)
{
	enum { FIN = 1, SYN = 2, RST = 4, ACK = 16, ECE = 64 };
	static const uint8_t flags[] = {SYN, SYN | ACK, SYN | ECE, ACK, FIN | ACK,
					RST, 0,         0xff,      0xfd};
	struct classify_bpf *c = *state;
	struct classify_rule new = drop_all(), established = drop_all();

	new.flags = RULE_NEW;
	established.flags = RULE_ESTABLISHED;
	for (size_t i = 0; i < sizeof(flags); i++) {
		int opens = flags[i] & SYN ? REDIRECT : PASS;
		int goes_on = flags[i] & SYN ? PASS : REDIRECT;

		assert_int_equal(run_rule(c, new, with_tcp_flags(tcp4(80), flags[i])), opens);
		assert_int_equal(run_rule(c, new, with_tcp_flags(tcp6(80), flags[i])), opens);
		assert_int_equal(run_rule(c, established, with_tcp_flags(tcp4(80), flags[i])),
				 goes_on);
		assert_int_equal(run_rule(c, established, with_tcp_flags(tcp6(80), flags[i])),
				 goes_on);
		assert_int_equal(
			run_rule(c, new,
				 with_tcp_flags(ipv4(HERE, THERE, IPPROTO_SCTP, 1, 2), flags[i])),
			PASS);
		assert_int_equal(
			run_rule(c, established,
				 with_tcp_flags(ipv4(HERE, THERE, IPPROTO_UDP, 1, 2), flags[i])),
			PASS);
	}
	assert_int_equal(run_rule(c, established, icmpv6(128)), PASS);

	/* Where the flags are not: in another fragment, or nowhere */
	for (size_t i = 0; i < 2; i++) {
		struct classify_rule rule = i ? new : established;
		struct packet p = ethernet(ETHERTYPE_IP), cut = tcp4(80);

		put_ipv4_full(&p, HERE, THERE, IPPROTO_TCP, 0, 0x2001);
		put_ports(&p, 1, 443);
		assert_int_equal(run_rule(c, rule, p), PASS);
		cut.len = ETH_HLEN + 20 + 13;
		assert_int_equal(run_rule(c, rule, cut), PASS);
		assert_int_equal(run_rule(c, drop_all(), cut), REDIRECT);
	}
}

#define FLOWS 10000

static uint32_t share(double percent)
{
	return percent >= 100 ? ALWAYS : (uint32_t)(percent / 100 * ALWAYS);
}

/* The i-th flow as this host sends it, or its answer: to many ports, from many addresses, or of
 * IPv6. */
static struct packet flow_packet(unsigned kind, unsigned i, bool answer)
{
	char address[64];

	switch (kind) {
	case 0:
		return answer ? ipv4(THERE, HERE, IPPROTO_UDP, 53, 20000 + i)
			      : ipv4(HERE, THERE, IPPROTO_UDP, 20000 + i, 53);
	case 1:
		(void)snprintf(address, sizeof(address), "10.1.%u.%u", i / 250, i % 250);
		return answer ? ipv4(address, HERE, IPPROTO_TCP, 443, 443)
			      : ipv4(HERE, address, IPPROTO_TCP, 443, 443);
	case 2:
		(void)snprintf(address, sizeof(address), "2001:db8:%x::", i);
		return answer ? ipv6(address, HERE_6, IPPROTO_TCP, 80, 40000 + i % 4)
			      : ipv6(HERE_6, address, IPPROTO_TCP, 40000 + i % 4, 80);
	default:
		(void)snprintf(address, sizeof(address), "2001:db8::%x", i);
		return answer ? ipv6(address, HERE_6, IPPROTO_GRE, 0, 0)
			      : ipv6(HERE_6, address, IPPROTO_GRE, 0, 0);
	}
}

static struct classify_bpf *load_ingress(void)
{
	struct classify_bpf *c = load(CLASSIFY_INGRESS, ETH_HLEN);

	assert_non_null(c);
	return c;
}

/* Each flow is in or out, whichever way its packets go and however often. */
static void test_share_of_flows(void **state)
{
	static const double percents[] = {1, 25, 50, 90};
	struct classify_bpf *out = *state, *in = load_ingress();
	struct classify_rule rule = drop_all();

	rule.flow_seed = 4711;
	for (unsigned kind = 0; kind < 4; kind++) {
		unsigned hit = 0;

		rule.flow_threshold = share(percents[kind]);
		set_rule(out, 0, &rule);
		set_rule(in, 0, &rule);
		for (unsigned i = 0; i < FLOWS; i++) {
			bool chosen = run(out, flow_packet(kind, i, false)) == REDIRECT;

			hit += chosen;
			assert_int_equal(run(in, flow_packet(kind, i, true)), chosen ? SHOT : PASS);
			if (i % 10 == 0)
				assert_int_equal(run(out, flow_packet(kind, i, false)),
						 chosen ? REDIRECT : PASS);
		}
		/* 2 percent are four standard deviations at 50 %, and the seed is always this one
		 */
		assert_true(hit > FLOWS * (percents[kind] - 2) / 100 &&
			    hit < FLOWS * (percents[kind] + 2) / 100 && hit > 0);
		if (kind == 0)
			assert_int_equal(counters(in, 0).matched, hit);
	}
	classify_bpf__destroy(in);
}

static void test_no_and_all_flows(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule none = drop_all();

	none.flow_threshold = 0;
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(run_rule(c, none, flow_packet(0, i, false)), PASS);
		assert_int_equal(run_rule(c, drop_all(), flow_packet(0, i, false)), REDIRECT);
	}
	assert_int_equal(counters(c, 0).matched, 100);
}

/* Another seed is another choice, and half of it is the same; what is chosen of less is chosen of
 * more too. */
static void test_seeds_of_flows(void **state)
{
	const unsigned n = 2000;
	struct classify_bpf *c = *state;
	struct classify_rule one = drop_all(), other = drop_all(), less = drop_all();
	unsigned same = 0, of_both = 0;

	one.flow_threshold = other.flow_threshold = share(50);
	less.flow_threshold = share(10);
	one.flow_seed = less.flow_seed = 1;
	other.flow_seed = 2;
	for (unsigned i = 0; i < n; i++) {
		int first = run_rule(c, one, flow_packet(0, i, false));

		same += first == run_rule(c, other, flow_packet(0, i, false));
		if (run_rule(c, less, flow_packet(0, i, false)) == REDIRECT) {
			assert_int_equal(first, REDIRECT);
			of_both++;
		}
	}
	assert_in_range(same, n * 45 / 100, n * 55 / 100);
	assert_in_range(of_both, n * 7 / 100, n * 13 / 100);
}

static struct packet ping(int type, unsigned identifier)
{
	uint8_t header[8] = {type, [4] = identifier >> 8, identifier & 0xff};
	bool is_ipv6 = type > 127;
	struct packet p = ethernet(is_ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);

	if (is_ipv6)
		put_ipv6(&p, HERE_6, THERE_6, IPPROTO_ICMPV6);
	else
		put_ipv4_full(&p, HERE, THERE, IPPROTO_ICMP, 0, 0);
	put(&p, header, sizeof(header));
	return p;
}

static struct packet fragment(unsigned where, unsigned src)
{
	struct packet p = ethernet(ETHERTYPE_IP);

	put_ipv4_full(&p, HERE, THERE, IPPROTO_UDP, 0, where);
	put_ports(&p, src, 53);
	return p;
}

/* Pings are told apart by their identifier, fragments not at all. */
static void test_flows_without_ports(void **state)
{
	static const struct {
		int request, reply;
	} kinds[] = {{8, 0}, {128, 129}};
	const unsigned n = 1000;
	struct classify_bpf *c = *state;
	struct classify_rule half = drop_all();
	unsigned hit;

	half.flow_threshold = share(50);
	for (size_t k = 0; k < 2; k++) {
		hit = 0;
		for (unsigned i = 0; i < n; i++) {
			int what = run_rule(c, half, ping(kinds[k].request, i));

			hit += what == REDIRECT;
			assert_int_equal(run(c, ping(kinds[k].reply, i)), what);
		}
		assert_in_range(hit, n * 40 / 100, n * 60 / 100);
	}

	/* A port is none of an ICMP packet all the same */
	half = drop_all();
	half.n_dst_ports = 1;
	half.dst_ports[0] = (struct classify_ports){0, 65535};
	assert_int_equal(run_rule(c, half, ping(8, 80)), PASS);

	for (uint32_t seed = 0; seed < 50; seed++) {
		int what;

		half = drop_all();
		half.flow_threshold = share(50);
		half.flow_seed = seed;
		what = run_rule(c, half, fragment(0x2000, 1));
		for (unsigned i = 0; i < 20; i++) {
			assert_int_equal(run(c, fragment(0x2000, i)), what);
			assert_int_equal(run(c, fragment(0x2001, i)), what);
			assert_int_equal(run(c, fragment(0x0001, i)), what);
		}
	}
}

static struct classify_rule shape_all(uint16_t mark)
{
	struct classify_rule rule = drop_all();

	rule.verdict = VERDICT_SHAPE;
	rule.mark = mark;
	return rule;
}

/* What drops goes first, wherever its slot is; of those that shape it is the first by slot. */
static void test_drop_before_shape(void **state)
{
	const int times = 10000;
	struct classify_bpf *c = *state;
	struct classify_rule first = shape_all(1), second = shape_all(2), drop = drop_all();
	struct packet p = tcp4(80);

	first.threshold = drop.threshold = 0x80000000;
	set_rule(c, 2, &first);
	set_rule(c, 5, &second);
	set_rule(c, 60, &drop);
	run_times(c, p.data, p.len, times);

	struct classify_counters one = counters(c, 2), two = counters(c, 5),
				 three = counters(c, 60);
	assert_int_equal(one.matched, times);
	assert_int_equal(three.matched, times);
	assert_in_range(three.dropped, times * 47 / 100, times * 53 / 100);
	assert_int_equal(one.shaped + two.shaped + three.dropped, times);
	assert_in_range(one.shaped, times * 22 / 100, times * 28 / 100);
	assert_in_range(two.matched, times * 47 / 100, times * 53 / 100);
	assert_int_equal(one.dropped + two.dropped + three.shaped, 0);
}

/* Each of them is asked, and the last one drops. */
static void test_all_slots_at_once(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule idle = drop_all(), shape = shape_all(1), drop = drop_all();

	idle.threshold = 0;
	for (uint32_t slot = 0; slot < CLASSIFY_RULES - 1; slot++)
		set_rule(c, slot, slot == 7 ? &shape : &idle);
	assert_int_equal(run(c, tcp4(80)), PASS);
	assert_int_equal(counters(c, 7).shaped, 1);
	set_rule(c, CLASSIFY_RULES - 1, &drop);
	assert_int_equal(run(c, tcp4(80)), REDIRECT);
	for (uint32_t slot = 0; slot < CLASSIFY_RULES - 1; slot++)
		assert_int_equal(counters(c, slot).matched, 2);
	assert_int_equal(counters(c, 7).shaped, 1);
	assert_int_equal(counters(c, CLASSIFY_RULES - 1).dropped, 1);
}

static void test_shape_needs_its_flow_and_time(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule ended = shape_all(1), other_flow = shape_all(2), third = shape_all(3);

	ended.deadline_boot_ns = 1;
	other_flow.flow_threshold = 0;
	set_rule(c, 0, &ended);
	set_rule(c, 1, &other_flow);
	set_rule(c, 2, &third);
	assert_int_equal(run(c, tcp4(80)), PASS);
	assert_int_equal(counters(c, 0).matched + counters(c, 1).matched, 0);
	assert_int_equal(counters(c, 2).shaped, 1);
}

/* The kernel gives a test packet a socket of root's, which does not matter for what arrives. */
static void test_owner(void **state)
{
	static const uint32_t others[] = {1, 65534, 0xffffffff};
	struct classify_bpf *out = *state, *in = load_ingress();
	struct classify_rule rule = drop_all();

	rule.flags = RULE_HAS_USER;
	assert_int_equal(run_rule(out, rule, tcp4(80)), REDIRECT);
	assert_int_equal(run_rule(in, rule, tcp4(80)), PASS);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		rule.uid = others[i];
		assert_int_equal(run_rule(out, rule, tcp4(80)), PASS);
	}
	rule.flags = RULE_HAS_CGROUP;
	assert_int_equal(run_rule(in, rule, tcp4(80)), PASS);
	rule.cgroup_id = 1;
	assert_int_equal(run_rule(in, rule, tcp4(80)), PASS);
	classify_bpf__destroy(in);
}

/* On a real interface: two ends of a veth pair, a packet socket on each */

struct wire {
	int near; /* ifindex */
	int far;
	int tx;
	int rx;
};

static int packet_socket(const char *interface)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_protocol = htons(ETH_P_IP),
				      .sll_ifindex = (int)if_nametoindex(interface)};
	struct timeval patience = {.tv_usec = 200000};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	return fd;
}

/* Runs `ip` with these words, blank-separated; true when it succeeded. */
static bool ip(const char *words)
{
	char line[128];
	char *argv[16] = {(char *)"ip"};
	size_t n = 1;
	pid_t pid;
	int how;

	(void)snprintf(line, sizeof(line), "%s", words);
	for (char *save = NULL, *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	return posix_spawnp(&pid, "ip", NULL, NULL, argv, environ) == 0 &&
	       waitpid(pid, &how, 0) == pid && how == 0;
}

static bool make_wire(struct wire *wire)
{
	if (unshare(CLONE_NEWNET) < 0)
		return false;
	if (!ip("link add c0 mtu 9000 type veth peer name c1 mtu 9000") || !ip("link set c0 up") ||
	    !ip("link set c1 up"))
		return false;
	wire->near = (int)if_nametoindex("c0");
	wire->far = (int)if_nametoindex("c1");
	wire->tx = packet_socket("c0");
	wire->rx = packet_socket("c1");
	return true;
}

/* 0 or the error the sender saw; whether the packet came out at the other end. */
static int send_packet(const struct wire *wire, const struct packet *p, bool *arrived)
{
	uint8_t buffer[sizeof(p->data)];
	int error = send(wire->tx, p->data, p->len, 0) < 0 ? errno : 0;

	*arrived = recv(wire->rx, buffer, sizeof(buffer), 0) == (ssize_t)p->len;
	return error;
}

static void check_egress(struct wire *wire, struct classify_bpf *c)
{
	struct classify_rule rule = drop_all();
	struct packet p = ipv4(HERE, THERE, IPPROTO_UDP, 1, 443);
	bool arrived;

	rule.n_dst_ports = 1;
	rule.dst_ports[0] = (struct classify_ports){443, 443};

	c->bss->active = 0;
	assert_int_equal(send_packet(wire, &p, &arrived), 0);
	assert_true(arrived);

	set_rule(c, 0, &rule);
	assert_int_equal(send_packet(wire, &p, &arrived), 0);
	assert_false(arrived);

	/* Cut before the port is there */
	for (struct packet cut = p; cut.len > ETH_HLEN; cut.len--)
		if (cut.len < ETH_HLEN + 20 + 4) {
			assert_int_equal(send_packet(wire, &cut, &arrived), 0);
			assert_true(arrived);
		}

	/* Beyond a page, a packet socket leaves no more than the link header linear */
	put_zero(&p, 6000);
	assert_int_equal(send_packet(wire, &p, &arrived), 0);
	assert_false(arrived);

	rule.flags = RULE_VISIBLE;
	set_rule(c, 0, &rule);
	assert_int_equal(send_packet(wire, &p, &arrived), ENOBUFS);
	assert_false(arrived);

	rule.dst_ports[0] = (struct classify_ports){444, 444};
	set_rule(c, 0, &rule);
	assert_int_equal(send_packet(wire, &p, &arrived), 0);
	assert_true(arrived);
	assert_int_equal(counters(c, 0).dropped, 3);
}

static void check_ingress(struct wire *wire, struct classify_bpf *c)
{
	struct classify_rule rule = drop_all();
	struct packet p = ipv4(HERE, THERE, IPPROTO_UDP, 1, 443);
	bool arrived;

	rule.flags = RULE_VISIBLE;
	for (size_t extra = 0; extra <= 6000; extra += 6000) {
		put_zero(&p, extra);
		set_rule(c, 0, &rule);
		assert_int_equal(send_packet(wire, &p, &arrived), 0);
		assert_false(arrived);
		c->bss->active = 0;
		assert_int_equal(send_packet(wire, &p, &arrived), 0);
		assert_true(arrived);
	}
}

static bool try_tcx(struct wire *wire, enum classify_direction direction)
{
	bool egress = direction == CLASSIFY_EGRESS;
	enum bpf_attach_type type = egress ? 47 : 46; /* BPF_TCX_EGRESS, BPF_TCX_INGRESS */
	struct classify_bpf *c = load(direction, ETH_HLEN);
	int link;

	assert_non_null(c);
	link = bpf_link_create(bpf_program__fd(c->progs.classify), egress ? wire->near : wire->far,
			       type, NULL);
	if (link >= 0) {
		(egress ? check_egress : check_ingress)(wire, c);
		close(link);
	}
	classify_bpf__destroy(c);
	return link >= 0;
}

static void test_tcx(void **state)
{
	if (!*state)
		skip();
	if (!try_tcx(*state, CLASSIFY_EGRESS)) {
		print_message("no TCX on this kernel: it came with 6.6\n");
		skip();
	}
	assert_true(try_tcx(*state, CLASSIFY_INGRESS));
}

/* As a filter of clsact. */
static void with_classifier(struct wire *wire, enum classify_direction direction,
			    void (*check)(struct wire *, struct classify_bpf *))
{
	bool egress = direction == CLASSIFY_EGRESS;
	struct classify_bpf *c = load(direction, ETH_HLEN);

	assert_non_null(c);
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = egress ? wire->near : wire->far,
		    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(c->progs.classify));

	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
	check(wire, c);
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	assert_int_equal(bpf_tc_hook_destroy(&hook), 0);
	classify_bpf__destroy(c);
}

static void test_clsact(void **state)
{
	if (!*state)
		skip();
	with_classifier(*state, CLASSIFY_EGRESS, check_egress);
	with_classifier(*state, CLASSIFY_INGRESS, check_ingress);
}

/* Who owns the packets' socket */

static void check_user(struct wire *wire, struct classify_bpf *c)
{
	const uint32_t user = 4242;
	struct packet p = ipv4(HERE, THERE, IPPROTO_UDP, 1, 443);
	struct classify_rule rule = drop_all();
	int before = wire->tx;
	bool arrived;

	rule.flags = RULE_HAS_USER;
	rule.uid = user;
	set_rule(c, 0, &rule);
	assert_int_equal(send_packet(wire, &p, &arrived), 0);
	assert_true(arrived);

	(void)setfsuid(user); /* whose sockets are made from now on */
	wire->tx = packet_socket("c0");
	(void)setfsuid(geteuid());
	assert_int_equal(send_packet(wire, &p, &arrived), 0);
	assert_false(arrived);
	rule.uid = user + 1;
	set_rule(c, 0, &rule);
	assert_int_equal(send_packet(wire, &p, &arrived), 0);
	assert_true(arrived);
	(void)close(wire->tx);
	wire->tx = before;
}

static void test_user(void **state)
{
	if (!*state)
		skip();
	with_classifier(*state, CLASSIFY_EGRESS, check_user);
}

/* Where cgroup v2 is mounted, and this process in it. */
static bool own_cgroup(char *path, size_t size)
{
	char line[512], at[512] = "";
	FILE *f = fopen("/proc/mounts", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "cgroup2 %400s cgroup2 ", at) == 1)
			break;
	if (f)
		(void)fclose(f);
	f = fopen("/proc/self/cgroup", "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (*at && strncmp(line, "0::/", 4) == 0)
			(void)snprintf(path, size, "%s%s", at, line + 3);
	}
	if (f)
		(void)fclose(f);
	return *path;
}

static bool enter_cgroup(const char *path)
{
	char procs[600];
	int fd;
	bool entered;

	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	entered = fd >= 0 && write(fd, "0", 1) == 1;
	if (fd >= 0)
		(void)close(fd);
	return entered;
}

static uint64_t cgroup_id(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino; /* of a 64-bit kernel */
}

/* How many cgroups are above: the root of the hierarchy has the id 1. */
static unsigned cgroup_level(const char *path)
{
	char above[600];
	unsigned level = 0;

	(void)snprintf(above, sizeof(above), "%s", path);
	for (char *slash; cgroup_id(above) != 1 && (slash = strrchr(above, '/')); level++)
		*slash = 0;
	return level;
}

static char own[512], child[560]; /* cgroups of this process, and below that one */

static void check_cgroup(struct wire *wire, struct classify_bpf *c)
{
	struct packet p = ipv4(HERE, THERE, IPPROTO_UDP, 1, 443);
	struct classify_rule rule = drop_all();
	int before = wire->tx;
	bool arrived, inside;

	inside = enter_cgroup(child);
	rule.flags = RULE_HAS_CGROUP;
	rule.cgroup_id = cgroup_id(child);
	rule.cgroup_level = cgroup_level(child);
	wire->tx = packet_socket("c0");
	(void)enter_cgroup(own);

	set_rule(c, 0, &rule);
	assert_int_equal(send_packet(wire, &p, &arrived), 0);
	assert_int_equal(rmdir(child), 0);
	assert_true(inside);
	assert_false(arrived);

	rule.cgroup_level--; /* it is the child of that one, with another id */
	set_rule(c, 0, &rule);
	assert_int_equal(send_packet(wire, &p, &arrived), 0);
	assert_true(arrived);
	rule.cgroup_id = cgroup_id(own);
	set_rule(c, 0, &rule);
	assert_int_equal(send_packet(wire, &p, &arrived), 0);
	assert_false(arrived);

	/* A socket that was made outside, though the process was in it meanwhile */
	(void)close(wire->tx);
	wire->tx = before;
	rule.cgroup_level++;
	set_rule(c, 0, &rule);
	assert_int_equal(send_packet(wire, &p, &arrived), 0);
	assert_true(arrived);
}

static void test_cgroup(void **state)
{
	if (!*state)
		skip();
	if (own_cgroup(own, sizeof(own)))
		(void)snprintf(child, sizeof(child), "%s/faultd-test-%d", own, (int)getpid());
	if (!*child || mkdir(child, 0755) < 0) {
		print_message("no cgroup v2 to make one in\n");
		skip();
	}
	with_classifier(*state, CLASSIFY_EGRESS, check_cgroup);
}

/* Marks, read by a program behind the classifier */

#define TC_INDEX offsetof(struct __sk_buff, tc_index)

static int load_filter(const struct bpf_insn *insns, size_t n)
{
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "test", "GPL", insns, n, NULL);

	assert_true(fd >= 0);
	return fd;
}

/* Drops what has this tc_index, has no opinion of the rest. */
static int load_drop_marked(int mark)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = 0, .src_reg = 1, .off = TC_INDEX},
		{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 2, .imm = mark},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = PASS},
		{.code = BPF_JMP | BPF_EXIT},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = SHOT},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return load_filter(insns, sizeof(insns) / sizeof(insns[0]));
}

static int load_set_mark(int mark)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = mark},
		{.code = BPF_STX | BPF_W | BPF_MEM, .dst_reg = 1, .src_reg = 2, .off = TC_INDEX},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return load_filter(insns, sizeof(insns) / sizeof(insns[0]));
}

static void put_filter(const struct bpf_tc_hook *hook, unsigned priority, int fd)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = fd, .priority = priority, .handle = 1);

	assert_int_equal(bpf_tc_attach(hook, &opts), 0);
}

static void take_filter(const struct bpf_tc_hook *hook, unsigned priority)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .priority = priority, .handle = 1);

	assert_int_equal(bpf_tc_detach(hook, &opts), 0);
}

static bool arrives(const struct wire *wire)
{
	struct packet p = ipv4(HERE, THERE, IPPROTO_UDP, 1, 443);
	bool arrived;

	(void)send_packet(wire, &p, &arrived);
	return arrived;
}

enum { BEFORE = 1, CLASSIFIER, BEHIND }; /* priorities */

static void check_mark(const struct wire *wire, const struct bpf_tc_hook *hook,
		       struct classify_bpf *c)
{
	struct classify_rule rule = shape_all(0x1234), drop = drop_all();
	int drop_marked = load_drop_marked(0x1234);

	put_filter(hook, BEHIND, drop_marked);
	assert_true(arrives(wire));
	set_rule(c, 3, &rule);
	assert_false(arrives(wire));
	rule.mark = 0x1235;
	set_rule(c, 3, &rule);
	assert_true(arrives(wire));
	assert_int_equal(counters(c, 3).shaped, 2);
	set_rule(c, 4, &drop);
	assert_false(arrives(wire));
	assert_int_equal(counters(c, 3).shaped, 2);
	c->bss->active = 0;
	assert_true(arrives(wire));
	take_filter(hook, BEHIND);
	(void)close(drop_marked);
}

/* What comes back from a shaper is left alone, and forgets it. */
static void check_coming_back(const struct wire *wire, const struct bpf_tc_hook *hook,
			      struct classify_bpf *c, int classifier)
{
	struct classify_rule rule = drop_all();
	int set_mark = load_set_mark(MARK_SHAPED), drop_marked = load_drop_marked(MARK_SHAPED);

	take_filter(hook, CLASSIFIER);
	put_filter(hook, BEFORE, set_mark);
	put_filter(hook, BEHIND, drop_marked);
	assert_false(arrives(wire));
	put_filter(hook, CLASSIFIER, classifier);
	assert_true(arrives(wire));
	set_rule(c, 0, &rule);
	assert_true(arrives(wire));
	assert_int_equal(counters(c, 0).matched, 0);
	take_filter(hook, BEFORE);
	assert_false(arrives(wire));
	take_filter(hook, BEHIND);
	(void)close(set_mark);
	(void)close(drop_marked);
}

static void test_marks(void **state)
{
	const struct wire *wire = *state;

	if (!wire)
		skip();
	for (enum classify_direction d = CLASSIFY_EGRESS; d <= CLASSIFY_INGRESS; d++) {
		bool egress = d == CLASSIFY_EGRESS;
		struct classify_bpf *c = load(d, ETH_HLEN);
		int fd;

		assert_non_null(c);
		fd = bpf_program__fd(c->progs.classify);
		LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = egress ? wire->near : wire->far,
			    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
		assert_int_equal(bpf_tc_hook_create(&hook), 0);
		put_filter(&hook, CLASSIFIER, fd);
		check_mark(wire, &hook, c);
		if (egress)
			check_coming_back(wire, &hook, c, fd);
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		assert_int_equal(bpf_tc_hook_destroy(&hook), 0);
		classify_bpf__destroy(c);
	}
}

/* TCX runs before clsact. */
static void test_mark_of_tcx(void **state)
{
	const struct wire *wire = *state;
	struct classify_bpf *c;
	int link;

	if (!wire)
		skip();
	c = load(CLASSIFY_EGRESS, ETH_HLEN);
	assert_non_null(c);
	link = bpf_link_create(bpf_program__fd(c->progs.classify), wire->near, 47, NULL);
	if (link < 0) {
		classify_bpf__destroy(c);
		skip();
	}
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = wire->near, .attach_point = BPF_TC_EGRESS);
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	check_mark(wire, &hook, c);
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	assert_int_equal(bpf_tc_hook_destroy(&hook), 0);
	(void)close(link);
	classify_bpf__destroy(c);
}

/* The namespace ends with the process, and all that is in it. */
static int setup_wire(void **state)
{
	static struct wire wire;

	*state = make_wire(&wire) ? &wire : NULL;
	if (!*state)
		print_message("no veth pair in a network namespace here: attach tests skipped\n");
	return 0;
}

static const char *cannot_load(void)
{
	struct classify_bpf *c = load(CLASSIFY_EGRESS, ETH_HLEN);
	int error = errno;

	classify_bpf__destroy(c);
	/* EACCES is what the verifier says, too. */
	return c || (error != EPERM && (error != EACCES || geteuid() == 0)) ? NULL
									    : strerror(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_without_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_ip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_protocols, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ipv4_options_and_fragments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ipv6_extensions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cidrs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cidrs_ingress, setup_ingress, teardown),
		cmocka_unit_test_setup_teardown(test_spared_icmpv6, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spared_dhcp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spared_metadata, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spared_metadata_ingress, setup_ingress,
						teardown),
		cmocka_unit_test_setup_teardown(test_flows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flows_ingress, setup_ingress, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_percent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verdicts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verdicts_ingress, setup_ingress, teardown),
		cmocka_unit_test_setup_teardown(test_no_link_header, setup_no_link_header,
						teardown),
		cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_share_of_flows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_and_all_flows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seeds_of_flows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flows_without_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drop_before_shape, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_slots_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shape_needs_its_flow_and_time, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_owner, setup, teardown),
	};
	const struct CMUnitTest attached[] = {
		cmocka_unit_test(test_tcx),   cmocka_unit_test(test_clsact),
		cmocka_unit_test(test_user),  cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_marks), cmocka_unit_test(test_mark_of_tcx),
	};
	const char *reason;
	int failed;

	libbpf_set_print(quiet);
	reason = cannot_load();
	if (reason) {
		printf("skipped: cannot load BPF programs: %s\n", reason);
		return SKIP;
	}
	failed = cmocka_run_group_tests_name("classify", tests, NULL, NULL);
	failed += cmocka_run_group_tests_name("classify, attached", attached, setup_wire, NULL);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
