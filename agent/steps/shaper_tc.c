/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/shaper_tc.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/gen_stats.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "steps/distribution.h"
#include "steps/shaper_device.h"
#include "util/clock.h"

#define ROOT_HANDLE  TC_H_MAKE(1U << 16, 0)
#define CHILD_HANDLE TC_H_MAKE(10U << 16, 0)
#define TBF_CLASS    TC_H_MAKE(1U << 16, 1)

#define SPEED_MBIT    10000 /* where it is unknown */
#define PACKET_BYTES  256   /* as small as they come in great numbers */
#define FRAME_LEAST   60    /* of Ethernet */
#define PACKETS_LEAST 32
#define NETEM_LEAST   10000
#define NETEM_MOST    1000000
#define BURST_MS      10
#define BURST_LEAST   10240
#define DEVICE_QUEUE  1000 /* packets on their way back; an ifb's default of 32 drops bursts */
#define PAIR_MTU      65535

static uint32_t clamp(double v, uint32_t least, uint32_t most)
{
	return v <= least ? least : v >= most ? most : (uint32_t)v;
}

/* In front of a rate netem is the queue as well: it takes the place of the one that tbf has of its
 * own, and counts packets. So many as the delay holds of the smallest, and the queue of the
 * biggest: 10000 at 10 Mbit/s would be 12 s. */
static uint32_t packets_before_rate(double delay_s, double rate, double queue_bytes,
				    uint32_t packet)
{
	return clamp(delay_s * rate / FRAME_LEAST + queue_bytes / packet, PACKETS_LEAST,
		     NETEM_MOST);
}

/* tbf splits what is bigger than the burst, if it can be split; the MTU must fit. */
struct shaper_sizes shaper_sizes_of(const struct netem *n, uint32_t mtu, uint32_t speed_mbit)
{
	double delay_s = ((double)n->delay_ns + 4.0 * (double)n->jitter_ns) / NSEC_PER_SEC;
	double speed = (speed_mbit ? speed_mbit : SPEED_MBIT) * 1e6 / 8;
	double rate = (double)n->rate_bytes;
	uint32_t packet = mtu + LINK_HEADER_MAX;
	struct shaper_sizes s;

	s.netem_packets = clamp(delay_s * speed / PACKET_BYTES, NETEM_LEAST, NETEM_MOST);
	s.burst_bytes = n->burst_bytes
				? clamp((double)n->burst_bytes, packet, UINT32_MAX)
				: clamp(rate * BURST_MS / 1000,
					packet > BURST_LEAST ? packet : BURST_LEAST, UINT32_MAX);
	s.queue_bytes = clamp(rate * (double)n->queue_ms / 1000, s.burst_bytes, UINT32_MAX);
	if (n->rate_bytes)
		s.netem_packets = packets_before_rate(delay_s, rate, s.queue_bytes, packet);
	return s;
}

static void put_device(struct nl_request *q, const char *name)
{
	nl_put_string(q, IFLA_IFNAME, name);
	nl_put_u32(q, IFLA_TXQLEN, DEVICE_QUEUE);
}

static void put_ifb(struct nl_request *q, const struct step_shaper *p)
{
	char name[SHAPER_NAME_SIZE];
	struct rtattr *info;

	shaper_name(p, name);
	put_device(q, name);
	info = nl_nest(q, IFLA_LINKINFO);
	nl_put_string(q, IFLA_INFO_KIND, "ifb");
	nl_nest_end(q, info);
}

static void put_end(struct nl_request *q, const char *name)
{
	put_device(q, name);
	nl_put_u32(q, IFLA_MTU, PAIR_MTU);
	/* A queue for each CPU is what the kernel would make, from Linux 5.13. */
	nl_put_u32(q, IFLA_NUM_TX_QUEUES, 1);
	nl_put_u32(q, IFLA_NUM_RX_QUEUES, 1);
}

static void put_pair(struct nl_request *q, const struct step_shaper *p)
{
	const struct ifinfomsg end = {0};
	char name[SHAPER_NAME_SIZE];
	struct rtattr *info, *data, *peer;

	shaper_name(p, name);
	put_end(q, name);
	info = nl_nest(q, IFLA_LINKINFO);
	nl_put_string(q, IFLA_INFO_KIND, "veth");
	data = nl_nest(q, IFLA_INFO_DATA);
	peer = nl_nest(q, VETH_INFO_PEER);
	nl_put_bare(q, &end, sizeof(end));
	shaper_peer_name(p, name);
	put_end(q, name);
	nl_nest_end(q, peer);
	nl_nest_end(q, data);
	nl_nest_end(q, info);
}

int shaper_device_add(const struct step_shaper *p, uint32_t *ret_ifindex, uint32_t *ret_peer)
{
	char name[SHAPER_NAME_SIZE];
	struct link_seen seen;
	struct nl_request q;
	int r;

	(void)nl_begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	if (ret_peer)
		put_pair(&q, p);
	else
		put_ifb(&q, p);
	r = nl_ask(&q);
	if (r < 0)
		return r;
	shaper_name(p, name);
	r = link_look(name, 0, &seen);
	if (r <= 0)
		return r < 0 ? r : -ENODEV;
	*ret_ifindex = seen.ifindex;
	if (ret_peer)
		*ret_peer = seen.peer;
	return 0;
}

/* Or the device would announce an IPv6 address through the qdiscs. A request of its own: in one
 * with the flag, the kernel would set that first. A kernel without IPv6 refuses this, and needs it
 * not. */
static void no_addresses(uint32_t ifindex)
{
	const uint8_t none = IN6_ADDR_GEN_MODE_NONE;
	struct nl_request q;
	struct ifinfomsg *info = nl_begin(&q, RTM_SETLINK, 0, sizeof(*info));
	struct rtattr *families = nl_nest(&q, IFLA_AF_SPEC);
	struct rtattr *inet6 = nl_nest(&q, AF_INET6);

	info->ifi_index = (int)ifindex;
	nl_put(&q, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof(none));
	nl_nest_end(&q, inet6);
	nl_nest_end(&q, families);
	(void)nl_ask(&q);
}

int shaper_device_up(uint32_t ifindex)
{
	struct nl_request q;
	struct ifinfomsg *info;

	no_addresses(ifindex);
	info = nl_begin(&q, RTM_SETLINK, 0, sizeof(*info));
	info->ifi_index = (int)ifindex;
	info->ifi_flags = info->ifi_change = IFF_UP;
	nl_put(&q, IFLA_IFALIAS, "faultd", strlen("faultd"));
	return nl_ask(&q);
}

static void put_loss(struct nl_request *q, const struct netem *n)
{
	const struct tc_netem_gimodel state = {
		.p13 = n->p13, .p31 = n->p31, .p32 = n->p32, .p14 = n->p14, .p23 = n->p23};
	/* The kernel wants the chance to survive while bad. */
	const struct tc_netem_gemodel elliot = {
		.p = n->ge_p, .r = n->ge_r, .h = UINT32_MAX - n->ge_h, .k1 = n->ge_k1};
	struct rtattr *loss;

	if (n->loss_model == LOSS_RANDOM)
		return;
	loss = nl_nest(q, TCA_NETEM_LOSS);
	if (n->loss_model == LOSS_STATE)
		nl_put(q, NETEM_LOSS_GI, &state, sizeof(state));
	else
		nl_put(q, NETEM_LOSS_GE, &elliot, sizeof(elliot));
	nl_nest_end(q, loss);
}

void shaper_put_netem(struct nl_request *q, const struct netem *n, uint32_t packets,
		      const int16_t *table)
{
	/* Every value each time: what is left out stays as it was. */
	const struct tc_netem_qopt o = {
		.limit = packets,
		.loss = n->loss_model == LOSS_RANDOM ? n->loss : 0,
		.gap = n->reorder && !n->gap ? 1 : n->gap,
		.duplicate = n->duplicate,
	};
	const struct tc_netem_corr correlations = {.delay_corr = n->delay_correlation,
						   .loss_corr = n->loss_correlation,
						   .dup_corr = n->duplicate_correlation};
	const struct tc_netem_reorder reorder = {n->reorder, n->reorder_correlation};
	const struct tc_netem_corrupt corrupt = {n->corrupt, n->corrupt_correlation};
	struct rtattr *options = nl_nest(q, TCA_OPTIONS);

	/* The struct stands bare in front of the attributes. */
	nl_put_bare(q, &o, sizeof(o));
	nl_put(q, TCA_NETEM_CORR, &correlations, sizeof(correlations));
	nl_put(q, TCA_NETEM_REORDER, &reorder, sizeof(reorder));
	nl_put(q, TCA_NETEM_CORRUPT, &corrupt, sizeof(corrupt));
	put_loss(q, n);
	nl_put(q, TCA_NETEM_LATENCY64, &n->delay_ns, sizeof(n->delay_ns));
	nl_put(q, TCA_NETEM_JITTER64, &n->jitter_ns, sizeof(n->jitter_ns));
	if (table)
		nl_put_tail(q, TCA_NETEM_DELAY_DIST, table, DISTRIBUTION_SIZE * sizeof(table[0]));
	nl_nest_end(q, options);
}

void shaper_put_tbf(struct nl_request *q, uint64_t rate_bytes, const struct shaper_sizes *sizes)
{
	/* With a known link layer the kernel computes; otherwise it would want a table. */
	const struct tc_tbf_qopt o = {
		.rate = {.linklayer = TC_LINKLAYER_ETHERNET,
			 .rate = rate_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)rate_bytes},
		.limit = sizes->queue_bytes,
	};
	struct rtattr *options = nl_nest(q, TCA_OPTIONS);

	nl_put(q, TCA_TBF_PARMS, &o, sizeof(o));
	nl_put(q, TCA_TBF_RATE64, &rate_bytes, sizeof(rate_bytes));
	nl_put_u32(q, TCA_TBF_BURST, sizes->burst_bytes);
	nl_nest_end(q, options);
}

static void begin_qdisc(struct nl_request *q, uint32_t ifindex, uint32_t parent, const char *kind,
			bool add)
{
	struct tcmsg *tc =
		nl_begin(q, RTM_NEWQDISC, add ? NLM_F_CREATE | NLM_F_EXCL : 0, sizeof(*tc));

	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = (int)ifindex;
	tc->tcm_parent = parent;
	tc->tcm_handle = parent == TC_H_ROOT ? ROOT_HANDLE : CHILD_HANDLE;
	nl_put_string(q, TCA_KIND, kind);
}

int shaper_netem_set(uint32_t ifindex, const struct netem *n, const struct shaper_sizes *sizes,
		     bool add)
{
	int16_t table[DISTRIBUTION_SIZE];
	bool shaped = add && n->jitter_ns && n->distribution != DISTRIBUTION_UNIFORM;
	struct nl_request q;

	if (shaped)
		distribution_fill((enum netem_distribution)n->distribution, table);
	begin_qdisc(&q, ifindex, n->rate_bytes ? TBF_CLASS : TC_H_ROOT, "netem", add);
	shaper_put_netem(&q, n, sizes->netem_packets, shaped ? table : NULL);
	return nl_ask(&q);
}

int shaper_tbf_set(uint32_t ifindex, uint64_t rate_bytes, const struct shaper_sizes *sizes,
		   bool add)
{
	struct nl_request q;

	begin_qdisc(&q, ifindex, TC_H_ROOT, "tbf", add);
	shaper_put_tbf(&q, rate_bytes, sizes);
	return nl_ask(&q);
}

struct count {
	uint32_t ifindex;
	bool found;
	struct shaper_counters *ret;
};

static int each_qdisc(const struct nlmsghdr *m, void *arg)
{
	struct count *c = arg;
	const struct tcmsg *tc = NLMSG_DATA(m);
	const struct rtattr *stats = nl_find(m, sizeof(*tc), TCA_STATS2);
	const struct rtattr *basic = nl_find_in(stats, TCA_STATS_BASIC);
	const struct rtattr *queue = nl_find_in(stats, TCA_STATS_QUEUE);
	const struct rtattr *packets = nl_find_in(stats, TCA_STATS_PKT64); /* Linux 5.5 */
	struct gnet_stats_basic b = {0};
	struct gnet_stats_queue s = {0};

	if (m->nlmsg_type != RTM_NEWQDISC || (uint32_t)tc->tcm_ifindex != c->ifindex ||
	    tc->tcm_handle != ROOT_HANDLE || !basic || !queue)
		return 0;
	/* Without its padding at the end, which not every kernel sends. */
	memcpy(&b, RTA_DATA(basic),
	       RTA_PAYLOAD(basic) < sizeof(b) ? RTA_PAYLOAD(basic) : sizeof(b));
	memcpy(&s, RTA_DATA(queue),
	       RTA_PAYLOAD(queue) < sizeof(s) ? RTA_PAYLOAD(queue) : sizeof(s));
	*c->ret = (struct shaper_counters){.sent = packets ? nl_u64(packets) : b.packets,
					   .dropped = s.drops,
					   .waiting = s.qlen};
	c->found = true;
	return 0;
}

int shaper_count(uint32_t ifindex, struct shaper_counters *ret)
{
	struct count c = {.ifindex = ifindex, .ret = ret};
	struct nl_request q;
	struct tcmsg *tc = nl_begin(&q, RTM_GETQDISC, 0, sizeof(*tc));
	int r;

	tc->tcm_ifindex = (int)ifindex;
	r = nl_dump(&q, each_qdisc, &c);
	return r < 0 ? r : c.found ? 0 : -ENODEV;
}

int mark_program_load(uint32_t mark, uint32_t direction)
{
	/* What comes back from the device on egress passes the classifier again. What arrives does
	 * not: ifb has it skip that. At the other end of a pair this mark is what is taken. */
	const int after = direction == CLASSIFY_EGRESS ? MARK_SHAPED : 0;
	const short at = offsetof(struct __sk_buff, tc_index);
	const struct bpf_insn program[] = {
		{BPF_LDX | BPF_W | BPF_MEM, BPF_REG_2, BPF_REG_1, at, 0},
		{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0}, /* no match */
		{BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_2, 0, 1, (int)mark},
		{BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
		{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, after},
		{BPF_STX | BPF_W | BPF_MEM, BPF_REG_1, BPF_REG_2, at, 0},
		{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, -1}, /* match */
		{BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
	};
	union bpf_attr attr = {0};
	long fd;

	attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attr.insns = (uint64_t)(uintptr_t)program;
	attr.insn_cnt = sizeof(program) / sizeof(program[0]);
	attr.license = (uint64_t)(uintptr_t) "Apache-2.0"; /* it calls no helper */
	memcpy(attr.prog_name, "faultd_shape", sizeof("faultd_shape"));
	fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	return fd < 0 ? -errno : (int)fd;
}
