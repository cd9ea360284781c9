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

/* Always 0, which the verifier does not know: what starts with it is the same to it before and
 * after it is set. */
volatile __u64 unknown_0;

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

/* Of the rule in this slot. Global, as what follows, for the reason that read_packet() is: only few
 * rules have more than one range, flows or prefixes. */
__noinline int in_ranges(__u32 slot, __u32 is_source, __u32 port)
{
	const struct classify_rule *rule = bpf_map_lookup_elem(&rules, &slot);
	const struct classify_ports *ranges;
	__u64 n;

	if (!rule)
		return false;
	ranges = is_source ? rule->src_ports : rule->dst_ports;
	n = is_source ? rule->n_src_ports : rule->n_dst_ports;
	for (__u64 i = 0; i < CLASSIFY_PORTS && i < n; i++)
		if (port >= ranges[i].first && port <= ranges[i].last)
			return true;
	return false;
}

static __always_inline bool ports_match(const struct classify_rule *rule, __u32 slot,
					union packet packet)
{
	if (!rule->n_dst_ports && !rule->n_src_ports)
		return true;
	return packet.has_ports &&
	       (!rule->n_dst_ports || in_ranges(slot, false, packet.dst_port)) &&
	       (!rule->n_src_ports || in_ranges(slot, true, packet.src_port));
}

static __always_inline bool same_address(const struct address *address, const __u8 *bytes)
{
	const __be32 *word = (const __be32 *)bytes; /* flows are a multiple of 4 bytes apart */

	return address->word[3] == word[3] && address->word[2] == word[2] &&
	       address->word[1] == word[1] && address->word[0] == word[0];
}

/* A fragment without ports belongs to any of the connections between its two hosts. `bits` is a
 * union packet. */
__noinline int in_flows(struct __sk_buff *skb, __u32 slot, __u64 bits)
{
	const struct classify_rule *rule = bpf_map_lookup_elem(&rules, &slot);
	union packet packet = {.bits = bits};
	__u16 local_port = port_of(packet, END_LOCAL), remote_port = port_of(packet, END_REMOTE);
	struct address local, remote;

	if (!rule || packet.protocol != IPPROTO_TCP)
		return false;
	if (!read_address(skb, END_LOCAL, &local) || !read_address(skb, END_REMOTE, &remote))
		return false;

	for (__u64 i = 0; i < CLASSIFY_FLOWS && i < rule->n_flows; i++) {
		const struct classify_flow *flow = &rule->flows[i];

		if (packet.has_ports &&
		    (flow->local_port != local_port || flow->remote_port != remote_port))
			continue;
		if (same_address(&remote, flow->remote) && same_address(&local, flow->local))
			return true;
	}
	return false;
}

__noinline int in_cidrs(struct __sk_buff *skb, __u32 slot)
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
	if (!ports_match(rule, slot, packet) || !connection_matches(rule->flags, packet))
		return false;
	if (!(rule->flags & RULE_LOCKOUT) &&
	    (packet.is_spared || (rule->n_flows && in_flows(skb, slot, bits))))
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

/* Asked once for a packet, and only if a rule wants to know: 0, or what it was. */
__noinline __u64 boot_time(__u64 known_ns)
{
	return known_ns ? known_ns : bpf_ktime_get_boot_ns();
}

/* Of a rule that matches: counts the packet, unless the rule has ended, the flow is not among its
 * own or the packet has a shaper already, and throws the dice. `hash` is of flow_hash(). Returns
 * false, or the slot plus 1. */
__noinline int rule_acts(__u32 slot, __u64 now_boot_ns, __u64 hash, __u32 shaper)
{
	const struct classify_rule *rule = bpf_map_lookup_elem(&rules, &slot);
	struct classify_counters *counter = bpf_map_lookup_elem(&counters, &slot);

	if (!rule || !counter || now_boot_ns >= rule->deadline_boot_ns)
		return false;
	if (shaper && rule->verdict == VERDICT_SHAPE)
		return false;
	if (rule->flow_threshold != ALL_FLOWS && !flow_is_chosen(rule, hash))
		return false;
	counter->matched++;
	if (rule->threshold != ALWAYS && bpf_get_prandom_u32() >= rule->threshold)
		return false;
	return (int)slot + 1;
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

/* Does to the packet what the rule says. Returns TC_ACT_*. */
__noinline int act(struct __sk_buff *skb, __u32 slot, __u64 bits)
{
	const struct classify_rule *rule = bpf_map_lookup_elem(&rules, &slot);
	struct classify_counters *counter = bpf_map_lookup_elem(&counters, &slot);
	union packet packet = {.bits = bits};

	if (!rule || !counter)
		return TC_ACT_UNSPEC;
	if (rule->verdict == VERDICT_RESET || rule->verdict == VERDICT_ANSWER)
		return answer_verdict(skb, rule, counter, packet);
	counter->dropped++;
	return drop_verdict(rule);
}

__noinline int shape(struct __sk_buff *skb, __u32 slot)
{
	const struct classify_rule *rule = bpf_map_lookup_elem(&rules, &slot);
	struct classify_counters *counter = bpf_map_lookup_elem(&counters, &slot);

	if (rule && counter) {
		counter->shaped++;
		skb->tc_index = rule->mark;
	}
	return TC_ACT_UNSPEC;
}

/* The most common reasons why not, before the call. */
static __always_inline bool may_match(const struct classify_rule *rule, union packet packet)
{
	const struct classify_ports *first = &rule->dst_ports[0];

	if (rule->protocol != packet.protocol && rule->protocol && rule->protocol != IPPROTO_ICMP)
		return false;
	return rule->n_dst_ports != 1 ||
	       (packet.dst_port >= first->first && packet.dst_port <= first->last);
}

/* The verifier follows the loop through every slot. For it to do so once, and not for every
 * combination of what may be known after some of them, what is kept from slot to slot comes from
 * global functions, of whose results it knows nothing, and is looked at in them alone. */
SEC("tc")
int classify(struct __sk_buff *skb)
{
	__u64 now_boot_ns = unknown_0, hash = unknown_0; /* 0: not asked yet */
	__u64 shaper = unknown_0;                        /* 0, or the slot plus 1 */
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

	for (__u64 slot = 0; slot < CLASSIFY_RULES && live; slot++, live >>= 1) {
		const struct classify_rule *rule;
		__u32 key = slot; /* maps want it on the stack, where 6.1's verifier loses count */
		__u64 acting;

		if (!(live & 1))
			continue;
		rule = bpf_map_lookup_elem(&rules, &key);
		if (!rule || !may_match(rule, packet) || !rule_matches(skb, slot, packet.bits))
			continue;
		now_boot_ns = boot_time(now_boot_ns);
		if (rule->flow_threshold != ALL_FLOWS)
			hash = flow_hash(skb, packet.bits, hash);
		acting = rule_acts(slot, now_boot_ns, hash, shaper);
		if (!acting)
			continue;
		if (rule->verdict != VERDICT_SHAPE)
			return act(skb, acting - 1, packet.bits);
		shaper = acting;
	}
	return shaper ? shape(skb, shaper - 1) : TC_ACT_UNSPEC;
}
