/* SPDX-License-Identifier: Apache-2.0 */
/* The hands of packet_cost.py, which starts it in a network namespace of its own. Takes commands
 * from stdin, one a line, and answers each with one line: "ok", or a number of nanoseconds.
 *
 *   attach tcx|clsact    the classifier to the egress of the interface
 *   detach
 *   rules N WHAT         in N slots, of which the last one decides:
 *       other            none of them matches
 *       chance           all match, and none acts: 0 %
 *       cidrs, flows     the same, of the address's prefix, of no flow
 *       drop, shape      only the last matches, and drops or marks all
 *   send COUNT           packets, one system call each: nanoseconds per packet
 *   testrun COUNT        BPF_PROG_TEST_RUN of the same packet: nanoseconds per run
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <err.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "classify.skel.h"
#include "faultd/bpf-abi.h"

#define PAYLOAD    64
#define PORT       9999
#define OTHER_PORT 9998
#define MARK       0x1234 /* no shaper has it here: what is marked goes on */
#define COUNT_MAX  10000000
#define TCX_EGRESS 47 /* BPF_TCX_EGRESS */

struct bench {
	int ifindex;
	const char *address; /* where the packets go */
	int socket;
	int link; /* -1, or of TCX */
	struct bpf_tc_hook hook;
	struct classify_bpf *classifier;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void attach(struct bench *b, const char *how)
{
	int fd = bpf_program__fd(b->classifier->progs.classify);

	if (strcmp(how, "tcx") == 0) {
		b->link = bpf_link_create(fd, b->ifindex, TCX_EGRESS, NULL);
		if (b->link < 0)
			err(1, "attach to TCX");
		return;
	}
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = fd);
	b->hook = (struct bpf_tc_hook){
		.sz = sizeof(b->hook), .ifindex = b->ifindex, .attach_point = BPF_TC_EGRESS};
	if (bpf_tc_hook_create(&b->hook) < 0 || bpf_tc_attach(&b->hook, &opts) < 0)
		err(1, "attach to clsact");
}

static void detach(struct bench *b)
{
	if (b->link >= 0) {
		close(b->link);
		b->link = -1;
		return;
	}
	b->hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	if (bpf_tc_hook_destroy(&b->hook) < 0)
		err(1, "detach from clsact");
}

/* Does a rule that is not the last one match? The others are there to be passed. */
static struct classify_rule make_rule(const char *what, bool last)
{
	bool all = strcmp(what, "chance") == 0 || strcmp(what, "cidrs") == 0 ||
		   strcmp(what, "flows") == 0;
	bool acts = strcmp(what, "drop") == 0 || strcmp(what, "shape") == 0;
	uint16_t port = all || (acts && last) ? PORT : OTHER_PORT;

	return (struct classify_rule){.deadline_boot_ns = UINT64_MAX,
				      .threshold = all ? 0 : UINT32_MAX,
				      .flow_threshold = strcmp(what, "flows") == 0 ? 0 : UINT32_MAX,
				      .verdict = strcmp(what, "shape") == 0 ? VERDICT_SHAPE
									    : VERDICT_DROP,
				      .mark = MARK,
				      .flags = strcmp(what, "cidrs") == 0 ? RULE_HAS_CIDRS : 0,
				      .protocol = IPPROTO_UDP,
				      .n_dst_ports = 1,
				      .dst_ports = {{port, port}}};
}

static void set_rules(struct bench *b, uint32_t n, const char *what)
{
	struct classify_cidr key = {.prefixlen = 32 + 96 + 24, .addr = {[10] = 0xff, [11] = 0xff}};
	uint8_t include = CIDR_INCLUDE;

	inet_pton(AF_INET, b->address, key.addr + 12);
	b->classifier->bss->active = 0;
	for (uint32_t slot = 0; slot < n && slot < CLASSIFY_RULES; slot++) {
		struct classify_rule rule = make_rule(what, slot == n - 1);

		key.slot = slot;
		if (bpf_map__update_elem(b->classifier->maps.rules, &slot, sizeof(slot), &rule,
					 sizeof(rule), BPF_ANY) < 0 ||
		    bpf_map__update_elem(b->classifier->maps.cidrs, &key, sizeof(key), &include,
					 sizeof(include), BPF_ANY) < 0)
			err(1, "write rule %u", slot);
		b->classifier->bss->active |= 1ull << slot;
	}
}

/* A send that a rule refuses (EPERM, ENOBUFS) is one like any other here. */
static double send_packets(const struct bench *b, long count)
{
	char payload[PAYLOAD] = {0};
	uint64_t start = now_ns();

	for (long i = 0; i < count; i++)
		(void)!send(b->socket, payload, sizeof(payload), 0);
	return (double)(now_ns() - start) / (double)count;
}

static double test_run(const struct bench *b, long count)
{
	uint8_t packet[ETH_HLEN + 28 + PAYLOAD] = {
		[12] = 0x08, [14] = 0x45, [22] = 64,        [23] = IPPROTO_UDP,
		[26] = 10,   [29] = 1,    [36] = PORT >> 8, [37] = PORT & 0xff};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = (int)count);

	inet_pton(AF_INET, b->address, packet + 30);
	if (bpf_prog_test_run_opts(bpf_program__fd(b->classifier->progs.classify), &opts) < 0)
		err(1, "test run");
	return opts.duration;
}

static void obey(struct bench *b, const char *line)
{
	char how[8];
	unsigned n;
	long count;

	if (sscanf(line, "attach %7s", how) == 1)
		attach(b, how);
	else if (strcmp(line, "detach\n") == 0)
		detach(b);
	else if (sscanf(line, "rules %u %7s", &n, how) == 2)
		set_rules(b, n, how);
	else if (sscanf(line, "send %ld", &count) == 1 && count > 0 && count <= COUNT_MAX) {
		printf("%.1f\n", send_packets(b, count));
		return;
	} else if (sscanf(line, "testrun %ld", &count) == 1 && count > 0 && count <= COUNT_MAX) {
		printf("%.1f\n", test_run(b, count));
		return;
	} else
		errx(1, "no such command: %s", line);
	puts("ok");
}

int main(int argc, char **argv)
{
	struct bench b = {.link = -1};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	cpu_set_t one;
	char line[128];

	if (argc != 3)
		errx(1, "usage: packet_cost INTERFACE ADDRESS");
	b.ifindex = (int)if_nametoindex(argv[1]);
	b.address = argv[2];
	b.socket = socket(AF_INET, SOCK_DGRAM, 0);
	if (b.ifindex == 0 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1 ||
	    connect(b.socket, (struct sockaddr *)&to, sizeof(to)) < 0)
		err(1, "%s, %s", argv[1], argv[2]);

	b.classifier = classify_bpf__open_and_load();
	if (!b.classifier)
		err(1, "load the classifier");

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin))
		obey(&b, line);
	classify_bpf__destroy(b.classifier);
	return 0;
}
