// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Decides packet by packet what the faults on one interface and direction do to it.
 *
 * The rules are read from a map; see enum classify_verdict for who wins. Whatever cannot be read
 * (not IP, truncated, an endless chain of headers) passes. A packet here is an skb: one that the
 * network card is to segment counts, and is dropped, as one.
 *
 * Runs unchanged on TCX (6.6) and as a clsact filter with direct-action (5.10): "no opinion" is
 * TC_ACT_UNSPEC, which is TCX_NEXT too, so later programs and filters still see what passes. */

#include "dns.h"
#include "flow.h"
#include "packet.h"
#include "socket.h"

#define ALWAYS 0xffffffff /* threshold of a rule without chance */

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Written by user space at any time: the slots that count, one bit each. */
volatile __u64 active;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CLASSIFY_RULES);
	__type(key, __u32);
	__type(value, struct classify_rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CLASSIFY_RULES);
	__type(key, __u32);
	__type(value, struct classify_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CLASSIFY_CIDRS);
	__type(key, struct classify_cidr);
	__type(value, __u8);
} cidrs SEC(".maps");

static __always_inline bool protocol_matches(__u8 wanted, __u8 protocol)
{
	return !wanted || wanted == protocol ||
	       (wanted == IPPROTO_ICMP && protocol == NEXTHDR_ICMP);
}

static __always_inline bool ports_match(const struct classify_ports *ranges, __u32 n,
					union packet packet, __u16 port)
{
	if (!n)
		return true;
	if (!packet.has_ports)
		return false;
	for (__u32 i = 0; i < CLASSIFY_PORTS && i < n; i++)
		if (port >= ranges[i].first && port <= ranges[i].last)
			return true;
	return false;
}

static __always_inline bool same_address(const struct address *address, const __u8 *bytes)
{
	const __be32 *word = (const __be32 *)bytes; /* flows are a multiple of 4 bytes apart */

	return address->word[3] == word[3] && address->word[2] == word[2] &&
	       address->word[1] == word[1] && address->word[0] == word[0];
}

/* A fragment without ports belongs to any of the connections between its two hosts. */
static __always_inline bool in_flows(struct __sk_buff *skb, const struct classify_rule *rule,
				     union packet packet)
{
	__u16 local_port = port_of(packet, END_LOCAL), remote_port = port_of(packet, END_REMOTE);
	struct address local, remote;

	if (!rule->n_flows || packet.protocol != IPPROTO_TCP)
		return false;
	if (!read_address(skb, END_LOCAL, &local) || !read_address(skb, END_REMOTE, &remote))
		return false;

	for (__u32 i = 0; i < CLASSIFY_FLOWS && i < rule->n_flows; i++) {
		const struct classify_flow *flow = &rule->flows[i];

		if (packet.has_ports &&
		    (flow->local_port != local_port || flow->remote_port != remote_port))
			continue;
		if (same_address(&remote, flow->remote) && same_address(&local, flow->local))
			return true;
	}
	return false;
}

static __always_inline bool in_cidrs(struct __sk_buff *skb, __u32 slot)
{
	struct classify_cidr key = {.prefixlen = 8 * (sizeof(key) - sizeof(key.prefixlen)),
				    .slot = slot};
	const __u8 *value;

	if (!read_address(skb, END_REMOTE, (struct address *)key.addr))
		return false;
	value = bpf_map_lookup_elem(&cidrs, &key);
	return value && *value == CIDR_INCLUDE;
}

static __always_inline bool connection_matches(__u32 flags, union packet packet)
{
	return (!(flags & RULE_NEW) || packet.syn) &&
	       (!(flags & RULE_ESTABLISHED) || packet.no_syn);
}

/* Can it be done to such a packet? If not, it is none of the rule's. */
static __always_inline bool verdict_fits(struct __sk_buff *skb, const struct classify_rule *rule,
					 union packet packet)
{
	if (rule->verdict == VERDICT_RESET)
		return packet.protocol == IPPROTO_TCP && !is_reset(skb, packet);
	return rule->verdict != VERDICT_ANSWER || rule->flags & RULE_HAS_NAMES ||
	       is_query(skb, packet.protocol);
}

/* All but the deadline and the share of flows, cheapest first. `bits` is a union packet. Global for
 * the reason that read_packet() is. */
__noinline int rule_matches(struct __sk_buff *skb, __u32 slot, __u64 bits)
{
	const struct classify_rule *rule = bpf_map_lookup_elem(&rules, &slot);
	union packet packet = {.bits = bits};

	if (!rule || !protocol_matches(rule->protocol, packet.protocol))
		return false;
	if (!ports_match(rule->dst_ports, rule->n_dst_ports, packet, packet.dst_port) ||
	    !ports_match(rule->src_ports, rule->n_src_ports, packet, packet.src_port))
		return false;
	if (!connection_matches(rule->flags, packet))
		return false;
	if (!(rule->flags & RULE_LOCKOUT) && (packet.is_spared || in_flows(skb, rule, packet)))
		return false;
	if (rule->flags & RULE_HAS_USER && !sent_by_user(skb, rule->uid))
		return false;
	if (rule->flags & RULE_HAS_CGROUP &&
	    !sent_from_cgroup(skb, rule->cgroup_id, rule->cgroup_level))
		return false;
	if (rule->flags & RULE_HAS_CIDRS && !in_cidrs(skb, slot))
		return false;
	return verdict_fits(skb, rule, packet) &&
	       (!(rule->flags & RULE_HAS_NAMES) || names_match(skb, slot, packet.protocol));
}

/* Asked once for a packet, and only if a rule wants to know; 0: not yet. */
struct once {
	__u64 now_boot_ns;
	__u64 flow_hash;
};

/* Of a rule that matches: counts the packet, unless the rule has ended or the flow is not among its
 * own, and throws the dice. */
static __always_inline bool rule_acts(struct __sk_buff *skb, const struct classify_rule *rule,
				      struct classify_counters *counter, union packet packet,
				      struct once *once)
{
	if (!once->now_boot_ns)
		once->now_boot_ns = bpf_ktime_get_boot_ns();
	if (once->now_boot_ns >= rule->deadline_boot_ns)
		return false;
	if (rule->flow_threshold != ALL_FLOWS) {
		if (!once->flow_hash)
			once->flow_hash = flow_hash(skb, packet.bits);
		if (!flow_is_chosen(rule, once->flow_hash))
			return false;
	}
	counter->matched++;
	return rule->threshold == ALWAYS || bpf_get_prandom_u32() < rule->threshold;
}

/* TC_ACT_SHOT on egress tells the sender, by NET_XMIT_DROP: TCP takes it for local congestion, a
 * datagram socket may get ENOBUFS. A redirect to interface 0, which never exists, is how both
 * TCX and clsact lose a packet silently: skb_do_redirect() (net/core/filter.c) frees it for want
 * of the device, and sch_handle_egress() (net/core/dev.c) returns NET_XMIT_SUCCESS for any
 * TC_ACT_REDIRECT. TC_ACT_STOLEN would do for clsact alone. On ingress nobody is told. */
static __always_inline int drop_verdict(const struct classify_rule *rule)
{
	if (direction == CLASSIFY_INGRESS || rule->flags & RULE_VISIBLE)
		return TC_ACT_SHOT;
	return bpf_redirect(0, 0);
}

/* Answers it, or drops what cannot be answered. */
static __always_inline int answer_verdict(struct __sk_buff *skb, const struct classify_rule *rule,
					  struct classify_counters *counter, union packet packet)
{
	int r = rule->verdict == VERDICT_ANSWER && packet.protocol == IPPROTO_UDP
			? turn_into_response(skb, rule->rcode)
			: turn_into_reset(skb);

	counter->dropped++;
	if (r < 0)
		return drop_verdict(rule);
	counter->answered++;
	return send_back(skb);
}

#define NEXT_RULE (-2) /* no TC_ACT_* */

/* Does to the packet what the rule says. Returns TC_ACT_*, or NEXT_RULE. */
static __always_inline int act(struct __sk_buff *skb, const struct classify_rule *rule,
			       struct classify_counters *counter, union packet packet)
{
	switch (rule->verdict) {
	case VERDICT_DROP:
		counter->dropped++;
		return drop_verdict(rule);
	case VERDICT_RESET:
	case VERDICT_ANSWER:
		return answer_verdict(skb, rule, counter, packet);
	default:
		return NEXT_RULE;
	}
}

SEC("tc")
int classify(struct __sk_buff *skb)
{
	const struct classify_rule *shaper = NULL;
	struct classify_counters *shaped = NULL; /* of the rule `shaper` */
	struct once once = {};
	__u64 live = active;
	union packet packet;

	if (skb->tc_index == MARK_SHAPED) {
		skb->tc_index = 0;
		return TC_ACT_UNSPEC;
	}
	if (!live)
		return TC_ACT_UNSPEC;
	packet.bits = read_packet(skb);
	if (!packet.is_known)
		return TC_ACT_UNSPEC;

	for (__u32 slot = 0; slot < CLASSIFY_RULES && live; slot++, live >>= 1) {
		struct classify_counters *counter;
		const struct classify_rule *rule;
		__u32 key = slot; /* maps want it on the stack, where 6.1's verifier loses count */
		int action;

		if (!(live & 1) || !rule_matches(skb, slot, packet.bits))
			continue;
		rule = bpf_map_lookup_elem(&rules, &key);
		counter = bpf_map_lookup_elem(&counters, &key);
		if (!rule || !counter || (shaper && rule->verdict == VERDICT_SHAPE))
			continue;
		if (!rule_acts(skb, rule, counter, packet, &once))
			continue;
		if (rule->verdict == VERDICT_SHAPE) {
			shaper = rule;
			shaped = counter;
			continue;
		}
		action = act(skb, rule, counter, packet);
		if (action != NEXT_RULE)
			return action;
	}
	if (shaper && shaped) {
		shaped->shaped++;
		skb->tc_index = shaper->mark;
	}
	return TC_ACT_UNSPEC;
}
