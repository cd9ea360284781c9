/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/answer.h and bpf/dns.h, in the classifier, through BPF_PROG_TEST_RUN: packets in, verdicts
 * and whole packets out, checksums by code of this file's own. Needs the privilege to load BPF
 * programs and to make a network namespace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "classify.skel.h"
#include "faultd/bpf-abi.h"

#define PASS     (-1) /* TC_ACT_UNSPEC */
#define REDIRECT 7    /* TC_ACT_REDIRECT */
#define SHOT     2    /* TC_ACT_SHOT */
#define SKIP     77

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10

#define ETH 14

static unsigned wire; /* ifindex of an interface that is not loopback */

struct packet {
	uint8_t data[2048];
	size_t len;
};

static void put(struct packet *p, const void *bytes, size_t n)
{
	assert_true(p->len + n <= sizeof(p->data));
	memcpy(p->data + p->len, bytes, n);
	p->len += n;
}

static void put16(struct packet *p, unsigned value)
{
	put(p, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put32(struct packet *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p, value & 0xffff);
}

static void set16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* RFC 1071 */
static uint16_t checksum(const uint8_t *bytes, size_t n, uint64_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? bytes[i] : (uint64_t)bytes[i] << 8;
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Who talks to whom. */
struct way {
	bool ipv6;
	bool back; /* from there to here */
	unsigned from, to;
};

static size_t ip_length(const struct way *way)
{
	return way->ipv6 ? 40 : 20;
}

/* Link and IP header, as this host's sockets, or the answers, have them. */
static struct packet headers(const struct way *way, int protocol, size_t payload)
{
	static const uint8_t here[] = {2, 0, 0, 0, 0, 1}, there[] = {2, 0, 0, 0, 0, 2};
	static const uint8_t here6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 1},
			     there6[16] = {0x20, 1, 0x0d, 0xb8, [8] = 0xff, [15] = 7};
	static const uint8_t here4[] = {10, 0, 0, 1}, there4[] = {192, 0, 2, 7};
	size_t n = way->ipv6 ? 16 : 4;
	struct packet p = {.len = 0};

	put(&p, way->back ? here : there, 6);
	put(&p, way->back ? there : here, 6);
	put16(&p, way->ipv6 ? 0x86dd : 0x0800);
	if (way->ipv6) {
		put32(&p, 0x60000000);
		put16(&p, (unsigned)payload);
		put(&p, (uint8_t[]){(uint8_t)protocol, 64}, 2);
	} else {
		put16(&p, 0x4500);
		put16(&p, (unsigned)payload + 20);
		put32(&p, 0x4000);
		put(&p, (uint8_t[]){64, (uint8_t)protocol, 0, 0}, 4);
	}
	put(&p, way->back ? (way->ipv6 ? there6 : there4) : (way->ipv6 ? here6 : here4), n);
	put(&p, way->back ? (way->ipv6 ? here6 : here4) : (way->ipv6 ? there6 : there4), n);
	if (!way->ipv6)
		set16(p.data + ETH + 10, checksum(p.data + ETH, 20, 0));
	return p;
}

/* Of all behind the IP header, as it is now; 0 if the checksum in it is right. */
static uint16_t transport_checksum(const struct packet *p, const struct way *way, int protocol)
{
	size_t start = ETH + ip_length(way), addresses = way->ipv6 ? 32 : 8;
	size_t n = p->len - start;
	uint64_t sum = (uint64_t)protocol + n;

	sum += (uint16_t)~checksum(p->data + start - addresses, addresses, 0);
	return checksum(p->data + start, n, sum);
}

struct segment {
	struct way way;
	unsigned flags;
	uint32_t seq, ack;
	size_t options, payload;
};

static struct packet tcp(const struct segment *s)
{
	struct packet p = headers(&s->way, IPPROTO_TCP, 20 + s->options + s->payload);
	size_t start = p.len;

	put16(&p, s->way.from);
	put16(&p, s->way.to);
	put32(&p, s->seq);
	put32(&p, s->ack);
	put16(&p, (unsigned)(5 + s->options / 4) << 12 | s->flags);
	put32(&p, 0);
	put16(&p, 0);
	for (size_t i = 0; i < s->options; i++)
		put(&p, "\1", 1);
	for (size_t i = 0; i < s->payload; i++)
		put(&p, (uint8_t[]){(uint8_t)(i * 7)}, 1);
	set16(p.data + start + 16, transport_checksum(&p, &s->way, IPPROTO_TCP));
	return p;
}

static struct packet udp(const struct way *way, const void *payload, size_t n)
{
	struct packet p = headers(way, IPPROTO_UDP, 8 + n);
	size_t start = p.len;
	uint16_t sum;

	put16(&p, way->from);
	put16(&p, way->to);
	put16(&p, (unsigned)n + 8);
	put16(&p, 0);
	put(&p, payload, n);
	sum = transport_checksum(&p, way, IPPROTO_UDP);
	set16(p.data + start + 6, sum ? sum : 0xffff);
	return p;
}

/* DNS */

static void put_name(struct packet *p, const char *name)
{
	for (const char *end; *name; name = *end ? end + 1 : end) {
		end = strchrnul(name, '.');
		put(p, (uint8_t[]){(uint8_t)(end - name)}, 1);
		put(p, name, (size_t)(end - name));
	}
	put(p, "", 1);
}

/* A message without link and IP header. `counts`: of questions, answers, authorities, additional.
 */
static struct packet dns(unsigned id, unsigned flags, const unsigned counts[4], const char *name)
{
	struct packet p = {.len = 0};

	put16(&p, id);
	put16(&p, flags);
	for (int i = 0; i < 4; i++)
		put16(&p, counts[i]);
	put_name(&p, name);
	put16(&p, 1);
	put16(&p, 1);
	return p;
}

static struct packet query(const char *name)
{
	return dns(0x1234, 0x0100, (unsigned[]){1, 0, 0, 0}, name);
}

static struct packet query_packet(const struct way *way, const char *name)
{
	struct packet q = query(name);

	return udp(way, q.data, q.len);
}

/* The classifier */

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

static struct classify_bpf *load(enum classify_direction direction)
{
	struct classify_bpf *classifier = classify_bpf__open();

	if (!classifier)
		return NULL;
	classifier->rodata->direction = direction;
	classifier->rodata->l2_len = ETH;
	if (classify_bpf__load(classifier) == 0)
		return classifier;
	classify_bpf__destroy(classifier);
	return NULL;
}

static struct classify_rule rule_of(enum classify_verdict verdict)
{
	return (struct classify_rule){.verdict = (uint8_t)verdict,
				      .deadline_boot_ns = UINT64_MAX,
				      .threshold = UINT32_MAX,
				      .flow_threshold = UINT32_MAX};
}

static void set_rule(struct classify_bpf *c, const struct classify_rule *rule)
{
	uint32_t slot = 0;

	assert_int_equal(bpf_map__update_elem(c->maps.rules, &slot, sizeof(slot), rule,
					      sizeof(*rule), BPF_ANY),
			 0);
	c->bss->active = 1;
}

static void set_names(struct classify_bpf *c, size_t n, const char *const *names)
{
	struct classify_names all = {.n = (uint32_t)n};
	uint32_t slot = 0;

	for (size_t i = 0; i < n; i++) {
		struct packet p = {.len = 0};

		put_name(&p, names[i]);
		assert_true(p.len <= sizeof(all.name[i].wire));
		all.name[i].length = (uint8_t)p.len;
		memcpy(all.name[i].wire, p.data, p.len);
	}
	assert_int_equal(bpf_map__update_elem(c->maps.names, &slot, sizeof(slot), &all, sizeof(all),
					      BPF_ANY),
			 0);
}

static struct classify_counters counters(struct classify_bpf *c)
{
	int n = libbpf_num_possible_cpus();
	struct classify_counters *each = calloc((size_t)n, sizeof(*each)), sum = {0};
	uint32_t slot = 0;

	assert_int_equal(bpf_map__lookup_elem(c->maps.counters, &slot, sizeof(slot), each,
					      (size_t)n * sizeof(*each), 0),
			 0);
	for (int i = 0; i < n; i++) {
		sum.matched += each[i].matched;
		sum.dropped += each[i].dropped;
		sum.answered += each[i].answered;
	}
	free(each);
	return sum;
}

static int run_on(struct classify_bpf *c, unsigned ifindex, struct packet *p)
{
	struct __sk_buff context = {.ifindex = ifindex};
	struct packet out = {.len = 0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = (uint32_t)p->len,
		    .data_out = out.data, .data_size_out = sizeof(out.data), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(c->progs.classify), &opts), 0);
	out.len = opts.data_size_out;
	*p = out;
	return (int)opts.retval;
}

static int run(struct classify_bpf *c, struct packet *p)
{
	return run_on(c, wire, p);
}

static void assert_same(const struct packet *a, const struct packet *b)
{
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->data, b->data, a->len);
}

static int setup(void **state)
{
	*state = load(CLASSIFY_EGRESS);
	return *state ? 0 : -1;
}

static int setup_ingress(void **state)
{
	*state = load(CLASSIFY_INGRESS);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	classify_bpf__destroy(*state);
	return 0;
}

/* TCP */

static void check_reset(struct classify_bpf *c, const struct segment *s)
{
	bool ack = s->flags & ACK;
	struct segment reset = {
		.way = {s->way.ipv6, !s->way.back, s->way.to, s->way.from},
		.flags = ack ? RST : RST | ACK,
		.seq = ack ? s->ack : 0,
		.ack = ack ? 0
			   : s->seq + (uint32_t)s->payload + !!(s->flags & SYN) +
				       !!(s->flags & FIN),
	};
	struct packet p = tcp(s), expected = tcp(&reset);

	assert_int_equal(run(c, &p), REDIRECT);
	assert_same(&p, &expected);
	assert_int_equal(transport_checksum(&p, &reset.way, IPPROTO_TCP), 0);
}

static void check_resets(struct classify_bpf *c, bool back)
{
	static const unsigned flags[] = {SYN, ACK, ACK | PSH, ACK | FIN, SYN | ACK, FIN, 0, PSH};
	static const size_t sizes[] = {0, 1, 2, 3, 100, 1001, 1460};
	struct classify_rule rule = rule_of(VERDICT_RESET);
	uint64_t n = 0;

	set_rule(c, &rule);
	for (int ipv6 = 0; ipv6 < 2; ipv6++)
		for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
			for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
				for (size_t options = 0; options <= 40; options += 20) {
					struct segment s = {.way = {ipv6, back, 40000, 443},
							    .flags = flags[i],
							    .seq = 0xfffffff0u + (uint32_t)i,
							    .ack = 0xdeadbeef,
							    .options = options,
							    .payload = sizes[k]};

					check_reset(c, &s);
					n++;
				}
	assert_int_equal(counters(c).matched, n);
	assert_int_equal(counters(c).answered, n);
	assert_int_equal(counters(c).dropped, n);
}

static void test_reset(void **state)
{
	check_resets(*state, false);
}

static void test_reset_ingress(void **state)
{
	check_resets(*state, true);
}

/* What reset segments are, what is not TCP and what the rule is not for stays as it is. */
static void test_not_reset(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = rule_of(VERDICT_RESET);
	struct segment s = {.way = {false, false, 40000, 443}, .flags = RST};
	struct packet packets[6], before;

	packets[0] = tcp(&s);
	s.flags |= ACK;
	packets[1] = tcp(&s);
	s.way.ipv6 = true;
	packets[2] = tcp(&s);
	packets[3] = query_packet(&s.way, "example.com");
	s.flags = SYN;
	s.way.to = 444;
	packets[4] = tcp(&s);
	packets[5] = headers(&s.way, IPPROTO_ICMPV6, 8);
	put32(&packets[5], 0x80000000);
	put32(&packets[5], 0);

	set_rule(c, &rule);
	for (size_t i = 0; i < 6; i++) {
		if (i == 4) {
			rule.n_dst_ports = 1;
			rule.dst_ports[0] = (struct classify_ports){443, 443};
			set_rule(c, &rule);
		}
		before = packets[i];
		assert_int_equal(run(c, &packets[i]), PASS);
		assert_same(&packets[i], &before);
	}
	assert_int_equal(counters(c).matched, 0);
}

/* Zeros between the headers. */
static void insert(struct packet *p, size_t at, size_t n)
{
	memmove(p->data + at + n, p->data + at, p->len - at);
	memset(p->data + at, 0, n);
	p->len += n;
}

/* Options, fragments, extension headers: dropped, silently on egress. */
static void test_reset_of_what_is_not_plain(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = rule_of(VERDICT_RESET);
	struct segment s = {.way = {false, false, 40000, 443}, .flags = SYN, .payload = 20};
	struct packet p = tcp(&s);

	set_rule(c, &rule);
	p.data[ETH] = 0x46;
	insert(&p, ETH + 20, 4);
	assert_int_equal(run(c, &p), REDIRECT);
	p = tcp(&s);
	p.data[ETH + 6] = 0x20; /* more fragments */
	assert_int_equal(run(c, &p), REDIRECT);
	p = tcp(&s);
	p.data[ETH + 7] = 5; /* not the first */
	assert_int_equal(run(c, &p), REDIRECT);
	s.way.ipv6 = true;
	p = tcp(&s);
	p.data[ETH + 6] = 60; /* destination options */
	insert(&p, ETH + 40, 8);
	p.data[ETH + 40] = IPPROTO_TCP;
	assert_int_equal(run(c, &p), REDIRECT);
	p = tcp(&s);
	p.len = ETH + 40 + 10; /* truncated behind the ports */
	assert_int_equal(run(c, &p), REDIRECT);
	assert_int_equal(counters(c).dropped, 5);
	assert_int_equal(counters(c).answered, 0);
}

static void test_reset_on_loopback_goes_on(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = rule_of(VERDICT_RESET);
	struct segment s = {.way = {false, false, 40000, 443}, .flags = SYN, .seq = 7};
	struct segment reset = {.way = {false, true, 443, 40000}, .flags = RST | ACK, .ack = 8};
	struct packet p = tcp(&s), expected = tcp(&reset);

	set_rule(c, &rule);
	assert_int_equal(run_on(c, 1, &p), PASS);
	assert_same(&p, &expected);
}

static void test_padding_is_no_payload(void **state)
{
	struct classify_bpf *c = *state;
	struct classify_rule rule = rule_of(VERDICT_RESET);
	struct segment s = {.way = {false, true, 40000, 443}, .flags = SYN, .seq = 7};
	struct segment reset = {.way = {false, false, 443, 40000}, .flags = RST | ACK, .ack = 8};
	struct packet p = tcp(&s), expected = tcp(&reset);

	put16(&p, 0);
	put32(&p, 0);
	set_rule(c, &rule);
	assert_int_equal(run(c, &p), REDIRECT);
	assert_same(&p, &expected);
}

/* DNS */

static struct classify_rule answer_rule(unsigned rcode)
{
	struct classify_rule rule = rule_of(VERDICT_ANSWER);

	rule.rcode = (uint8_t)rcode;
	rule.flags = RULE_HAS_NAMES;
	rule.n_dst_ports = 1;
	rule.dst_ports[0] = (struct classify_ports){53, 53};
	return rule;
}

static bool is_answered(struct classify_bpf *c, const char *name)
{
	struct way way = {false, false, 5353, 53};
	struct packet p = query_packet(&way, name), before = p;
	int verdict = run(c, &p);

	if (verdict == PASS)
		assert_same(&p, &before);
	else
		assert_int_equal(verdict, REDIRECT);
	return verdict == REDIRECT;
}

static void check_responses(struct classify_bpf *c, bool back)
{
	static const char *const names[] = {"example.com", ""};
	/* what the query's flags are, and its answer's; 0xf: rcode */
	static const unsigned flags[][2] = {{0x0100, 0x8180}, {0, 0x8080},
					    {0x0120, 0x8180}, {0x0110, 0x8190},
					    {0x1100, 0x9180}, {0x7fff & ~0x8000, 0xf990}};

	for (unsigned rcode = 2; rcode <= 3; rcode++) {
		struct classify_rule rule = answer_rule(rcode);

		set_rule(c, &rule);
		for (int ipv6 = 0; ipv6 < 2; ipv6++)
			for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
				for (size_t k = 1; k < 60; k++) {
					struct way way = {ipv6, back, 5353, 53},
						   there = {ipv6, !back, 53, 5353};
					char name[80] = "";
					struct packet q, a, p, expected;

					memset(name, 'a' + (int)k % 26, k);
					(void)snprintf(name + k, sizeof(name) - k, ".exAmple.CoM");
					set_names(c, 1, names + k % 2);
					q = dns((unsigned)k * 999, flags[i][0],
						(unsigned[]){1, 0, 0, 0}, name);
					a = dns((unsigned)k * 999, flags[i][1] | rcode,
						(unsigned[]){1, 0, 0, 0}, name);
					p = udp(&way, q.data, q.len);
					expected = udp(&there, a.data, a.len);
					assert_int_equal(run(c, &p), REDIRECT);
					assert_same(&p, &expected);
				}
	}
	assert_int_equal(counters(c).answered, counters(c).matched);
}

static void test_response(void **state)
{
	check_responses(*state, false);
}

static void test_response_ingress(void **state)
{
	check_responses(*state, true);
}

/* Only the first question and OPT are kept, OPT without its options. */
static void test_what_follows_the_question(void **state)
{
	static const uint8_t opt[] = {0,  0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, 12, 0,
				      10, 0, 8,  1,    2, 3, 4, 5,    6, 7, 8};
	static const uint8_t kept[] = {0, 0, 41, 1232 >> 8, 1232 & 0xff, 0, 0, 0x80, 0, 0, 0};
	static const char *const root[] = {""};
	struct way way = {true, false, 5353, 53}, there = {true, true, 53, 5353};
	struct classify_bpf *c = *state;
	struct classify_rule rule = answer_rule(3);
	struct packet q, a, p, expected;

	set_rule(c, &rule);
	set_names(c, 1, root);
	q = dns(1, 0x100, (unsigned[]){1, 0, 0, 1}, "a.test");
	put(&q, opt, sizeof(opt));
	a = dns(1, 0x8183, (unsigned[]){1, 0, 0, 1}, "a.test");
	put(&a, kept, sizeof(kept));
	p = udp(&way, q.data, q.len);
	expected = udp(&there, a.data, a.len);
	assert_int_equal(run(c, &p), REDIRECT);
	assert_same(&p, &expected);

	/* Another record, or a cut one */
	q = dns(1, 0x100, (unsigned[]){2, 1, 1, 1}, "a.test");
	put(&q, opt, 10);
	a = dns(1, 0x8183, (unsigned[]){1, 0, 0, 0}, "a.test");
	expected = udp(&there, a.data, a.len);
	p = udp(&way, q.data, q.len);
	assert_int_equal(run(c, &p), REDIRECT);
	assert_same(&p, &expected);
	q.data[q.len - 8] = 1; /* whole, and not OPT */
	put(&q, "", 1);
	p = udp(&way, q.data, q.len);
	assert_int_equal(run(c, &p), REDIRECT);
	assert_same(&p, &expected);
}

static void test_names(void **state)
{
	static const char *const names[] = {"example.com", "a.b.c.d.e.f", "x", "example.org"};
	static const char *const in[] = {
		"example.com", "EXAMPLE.cOM",       "www.example.com",
		"a.b.c.d.e.f", "1.2.3.A.b.C.d.e.F", "x",
		"y.x",         "example.org",       "example.com.example.org"};
	static const char *const out[] = {
		"notexample.com",  "example.co",      "com", "xexample.com",
		"b.c.d.e.f",       "example.com.net", "xx",  "a.b.c.d.e.ff",
		"www.example-com", "ab\001x" /* one label */};
	struct classify_bpf *c = *state;
	struct classify_rule rule = answer_rule(3);
	char longest[256], label[64];

	set_rule(c, &rule);
	set_names(c, 4, names);
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		assert_true(is_answered(c, in[i]));
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		assert_false(is_answered(c, out[i]));
	set_names(c, 1, names);
	assert_false(is_answered(c, "x"));
	set_names(c, 0, names);
	assert_false(is_answered(c, "example.com"));

	/* As long as a name and a suffix can be: 255 and 63 bytes on the wire. */
	memset(label, 'q', 63);
	label[63] = 0;
	(void)snprintf(longest, sizeof(longest), "%s.%s.%s.%.61s", label, label, label, label);
	set_names(c, 1, (const char *const[]){longest + 192});
	assert_true(is_answered(c, longest));
	longest[192 + 60] = 'p';
	assert_false(is_answered(c, longest));
	set_names(c, 1, (const char *const[]){""});
	assert_true(is_answered(c, longest));
	assert_true(is_answered(c, ""));
}

static void test_what_is_no_query(void **state)
{
	static const char *const root[] = {""};
	struct way way = {false, false, 5353, 53};
	struct classify_bpf *c = *state;
	struct classify_rule rule = answer_rule(3);
	struct packet q = query("example.com"), bad, p;

	set_rule(c, &rule);
	set_names(c, 1, root);
	/* Cut anywhere */
	for (size_t n = 0; n < q.len; n++) {
		p = udp(&way, q.data, n);
		assert_int_equal(run(c, &p), PASS);
	}
	p = udp(&way, q.data, q.len);
	assert_int_equal(run(c, &p), REDIRECT);

	bad = q;
	bad.data[2] |= 0x80; /* a response */
	p = udp(&way, bad.data, bad.len);
	assert_int_equal(run(c, &p), PASS);
	bad = q;
	bad.data[5] = 0; /* no question */
	p = udp(&way, bad.data, bad.len);
	assert_int_equal(run(c, &p), PASS);
	for (unsigned length = 64; length < 256; length++) {
		bad = q;
		bad.data[12] = (uint8_t)length; /* a pointer and the like */
		p = udp(&way, bad.data, bad.len);
		assert_int_equal(run(c, &p), PASS);
	}
	bad = q;
	memset(bad.data + 12, 1, 300); /* longer than a name can be */
	bad.len = 312;
	p = udp(&way, bad.data, bad.len);
	assert_int_equal(run(c, &p), PASS);

	way.to = 54;
	p = udp(&way, q.data, q.len);
	assert_int_equal(run(c, &p), PASS);
	/* without names, a query it must be all the same */
	rule.flags = 0;
	rule.n_dst_ports = 0;
	set_rule(c, &rule);
	p = udp(&way, q.data, q.len);
	assert_int_equal(run(c, &p), REDIRECT);
	p = udp(&way, "hello", 5);
	assert_int_equal(run(c, &p), PASS);
}

static struct packet tcp_query(const struct segment *head, const struct packet *q, unsigned length)
{
	struct segment s = *head;
	size_t start = ETH + ip_length(&s.way) + 20 + s.options;
	struct packet p;

	s.payload = q->len + 2;
	p = tcp(&s);
	set16(p.data + start, length);
	memcpy(p.data + start + 2, q->data, q->len);
	return p;
}

static void test_query_over_tcp(void **state)
{
	static const char *const names[] = {"example.com"};
	struct classify_bpf *c = *state;
	struct classify_rule rule = answer_rule(3);
	struct packet q = query("www.example.com"), other = query("example.net"), p, expected;

	set_rule(c, &rule);
	set_names(c, 1, names);
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct segment s = {.way = {ipv6, false, 5353, 53},
				    .flags = ACK | PSH,
				    .seq = 5,
				    .ack = 99,
				    .options = 12};
		struct segment reset = {.way = {ipv6, true, 53, 5353}, .flags = RST, .seq = 99};

		expected = tcp(&reset);
		p = tcp_query(&s, &q, (unsigned)q.len);
		assert_int_equal(run(c, &p), REDIRECT);
		assert_same(&p, &expected);
		/* another name, not whole, and what opens the connection */
		p = tcp_query(&s, &other, (unsigned)other.len);
		assert_int_equal(run(c, &p), PASS);
		p = tcp_query(&s, &q, (unsigned)q.len + 1);
		assert_int_equal(run(c, &p), PASS);
		s.flags = SYN;
		p = tcp(&s);
		assert_int_equal(run(c, &p), PASS);
	}
	rule.verdict = VERDICT_DROP;
	set_rule(c, &rule);
	struct segment s = {.way = {false, false, 5353, 53}, .flags = ACK};
	p = tcp_query(&s, &q, (unsigned)q.len);
	expected = p;
	assert_int_equal(run(c, &p), REDIRECT);
	assert_same(&p, &expected);
	p = tcp_query(&s, &other, (unsigned)other.len);
	assert_int_equal(run(c, &p), PASS);
}

/* The namespace ends with the process. */
static bool make_wire(void)
{
	char *const argv[] = {(char *)"ip",   (char *)"link", (char *)"add", (char *)"a0",
			      (char *)"type", (char *)"veth", NULL};
	pid_t pid;
	int how;

	if (unshare(CLONE_NEWNET) < 0 || posix_spawnp(&pid, "ip", NULL, NULL, argv, environ) != 0 ||
	    waitpid(pid, &how, 0) != pid || how != 0)
		return false;
	wire = if_nametoindex("a0");
	return wire > 1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_ingress, setup_ingress, teardown),
		cmocka_unit_test_setup_teardown(test_not_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_of_what_is_not_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_on_loopback_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_padding_is_no_payload, setup_ingress,
						teardown),
		cmocka_unit_test_setup_teardown(test_response, setup, teardown),
		cmocka_unit_test_setup_teardown(test_response_ingress, setup_ingress, teardown),
		cmocka_unit_test_setup_teardown(test_what_follows_the_question, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_no_query, setup, teardown),
		cmocka_unit_test_setup_teardown(test_query_over_tcp, setup, teardown),
	};

	libbpf_set_print(quiet);
	if (geteuid() != 0 || !make_wire()) {
		printf("skipped: no veth pair in a network namespace here\n");
		return SKIP;
	}
	return cmocka_run_group_tests_name("answers", tests, NULL, NULL) ? EXIT_FAILURE
									 : EXIT_SUCCESS;
}
