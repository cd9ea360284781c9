// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Decides packet by packet whether a fault on one interface and direction drops it.
 *
 * The rules are read from a map, the first live one that drops wins. Nothing is ever changed in a
 * packet, and whatever cannot be read (not IP, truncated, an endless chain of headers) passes. A
 * packet here is an skb: one that the network card is to segment counts, and is dropped, as one.
 *
 * Runs unchanged on TCX (6.6) and as a clsact filter with direct-action (5.10): "no opinion" is
 * TC_ACT_UNSPEC, which is TCX_NEXT too, so later programs and filters still see what passes. */

#include "kernel.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include <faultd/bpf-abi.h>

#define IPV6_EXTENSIONS 8 /* headers before the transport header; more is no honest packet */

#define DROP_ALL 0xffffffff

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set before the program is loaded. */
const volatile __u32 direction = CLASSIFY_EGRESS;
const volatile __u32 l2_len = ETH_HLEN; /* of the link header; 0 if the interface has none */

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

/* What every rule is matched against, small enough to be one argument of a function. */
union packet {
	struct {
		__u16 src_port; /* in the packet's own direction; host byte order */
		__u16 dst_port;
		__u8 protocol;
		__u8 has_ports; /* no: another protocol, or a fragment that is not the first */
		__u8 is_spared; /* from every rule without RULE_LOCKOUT */
		__u8 is_known;  /* no: not IP, or cannot be read */
	};
	__u64 bits;
};

/* An IPv6 address, or an IPv4 one mapped; network byte order. */
struct address {
	__be32 word[4];
};

enum end {
	END_LOCAL,
	END_REMOTE,
};

/* A header in place if it is linear, which costs no call, or copied if not; NULL if not there. */
static __always_inline const void *header(struct __sk_buff *skb, __u32 offset, void *copy,
					  __u32 size)
{
	const void *place = (const void *)(long)skb->data + offset;

	if (place + size <= (const void *)(long)skb->data_end)
		return place;
	return bpf_skb_load_bytes(skb, offset, copy, size) == 0 ? copy : NULL;
}

static __always_inline bool end_is_source(enum end end)
{
	return (end == END_LOCAL) == (direction == CLASSIFY_EGRESS);
}

static __always_inline struct address ipv4_address(const struct iphdr *ip, enum end end)
{
	__be32 bits = end_is_source(end) ? ip->saddr : ip->daddr;

	return (struct address){{0, 0, bpf_htonl(0xffff), bits}};
}

static __always_inline struct address ipv6_address(const struct ipv6hdr *ip, enum end end)
{
	const __be32 *word = (end_is_source(end) ? &ip->saddr : &ip->daddr)->in6_u.u6_addr32;

	return (struct address){{word[0], word[1], word[2], word[3]}};
}

/* Of a packet that is known. */
static __always_inline bool read_address(struct __sk_buff *skb, enum end end,
					 struct address *address)
{
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr copy;
		const struct iphdr *ip = header(skb, l2_len, &copy, sizeof(copy));

		if (ip)
			*address = ipv4_address(ip, end);
		return ip;
	} else {
		struct ipv6hdr copy;
		const struct ipv6hdr *ip = header(skb, l2_len, &copy, sizeof(copy));

		if (ip)
			*address = ipv6_address(ip, end);
		return ip;
	}
}

/* Instance metadata and credentials of EC2, ECS and EKS: 169.254.169.254, 169.254.170.2,
 * 169.254.170.23, fd00:ec2::254 and fd00:ec2::23. */
static __always_inline bool is_metadata(struct address remote)
{
	const __be32 *word = remote.word;

	if (word[1])
		return false;
	if (!word[0] && word[2] == bpf_htonl(0xffff))
		return word[3] == bpf_htonl(0xa9fea9fe) || word[3] == bpf_htonl(0xa9feaa02) ||
		       word[3] == bpf_htonl(0xa9feaa17);
	return word[0] == bpf_htonl(0xfd000ec2) && !word[2] &&
	       (word[3] == bpf_htonl(0x254) || word[3] == bpf_htonl(0x23));
}

static __always_inline bool is_dhcp(__u16 port)
{
	return port == DHCPV4_SERVER || port == DHCPV4_CLIENT || port == DHCPV6_CLIENT ||
	       port == DHCPV6_SERVER;
}

static __always_inline bool is_neighbourhood(__u8 icmpv6_type)
{
	return (icmpv6_type >= ICMPV6_MLD_FIRST && icmpv6_type <= ICMPV6_ND_LAST) ||
	       icmpv6_type == ICMPV6_MLD2_REPORT;
}

static __always_inline bool protocol_has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_UDPLITE || protocol == IPPROTO_DCCP;
}

/* All protocols with ports begin with the source and destination port, ICMPv6 with its type. */
static __always_inline bool read_transport(struct __sk_buff *skb, __u32 offset,
					   union packet *packet)
{
	if (protocol_has_ports(packet->protocol)) {
		__be16 copy[2];
		const __be16 *ports = header(skb, offset, copy, sizeof(copy));

		if (!ports)
			return false;
		packet->has_ports = true;
		packet->src_port = bpf_ntohs(ports[0]);
		packet->dst_port = bpf_ntohs(ports[1]);
		if (packet->protocol == IPPROTO_UDP)
			packet->is_spared |= is_dhcp(packet->src_port) || is_dhcp(packet->dst_port);
	} else if (packet->protocol == NEXTHDR_ICMP) {
		__u8 copy;
		const __u8 *type = header(skb, offset, &copy, sizeof(copy));

		if (!type)
			return false;
		packet->is_spared |= is_neighbourhood(*type);
	}
	return true;
}

/* The three below return where the transport header is, or one of: */
#define OFFSET_NONE    0 /* in another fragment */
#define OFFSET_UNKNOWN (-1)

static __always_inline int read_ipv4(struct __sk_buff *skb, union packet *packet)
{
	struct iphdr copy;
	const struct iphdr *ip = header(skb, l2_len, &copy, sizeof(copy));

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return OFFSET_UNKNOWN;

	packet->protocol = ip->protocol;
	packet->is_spared = is_metadata(ipv4_address(ip, END_REMOTE));
	return ip->frag_off & bpf_htons(IP_OFFSET) ? OFFSET_NONE : (int)l2_len + ip->ihl * 4;
}

/* ESP and AH are protocols here, as they are in IPv4. */
static __always_inline int read_extensions(struct __sk_buff *skb, int offset, union packet *packet)
{
	for (int i = 0; i <= IPV6_EXTENSIONS; i++) {
		struct ipv6_extension extension;

		if (packet->protocol != NEXTHDR_HOP && packet->protocol != NEXTHDR_ROUTING &&
		    packet->protocol != NEXTHDR_FRAGMENT && packet->protocol != NEXTHDR_DEST)
			return offset;
		if (bpf_skb_load_bytes(skb, offset, &extension, sizeof(extension)) < 0)
			return OFFSET_UNKNOWN;

		offset += sizeof(extension);
		if (packet->protocol != NEXTHDR_FRAGMENT) {
			packet->protocol = extension.nexthdr;
			offset += 8 * extension.hdrlen;
		} else {
			packet->protocol = extension.nexthdr;
			if (extension.fragment & bpf_htons(IP6_OFFSET))
				return OFFSET_NONE;
		}
	}
	return OFFSET_UNKNOWN;
}

static __always_inline int read_ipv6(struct __sk_buff *skb, union packet *packet)
{
	struct ipv6hdr copy;
	const struct ipv6hdr *ip = header(skb, l2_len, &copy, sizeof(copy));

	if (!ip || ip->version != 6)
		return OFFSET_UNKNOWN;

	packet->protocol = ip->nexthdr;
	packet->is_spared = is_metadata(ipv6_address(ip, END_REMOTE));
	return read_extensions(skb, l2_len + sizeof(*ip), packet);
}

/* Returns a union packet. Global, as rule_matches() below, so that the verifier checks it once and
 * by itself: inlined, it would follow every kind of packet through every slot, to its limit of a
 * million instructions. Pointers other than the context are no arguments for it before 5.12.
 *
 * A VLAN tag makes no difference: it sits beside the packet at both hooks, not in it. */
__noinline __u64 read_packet(struct __sk_buff *skb)
{
	union packet packet = {.bits = 0};
	int offset = OFFSET_UNKNOWN;

	if (skb->protocol == bpf_htons(ETH_P_IP))
		offset = read_ipv4(skb, &packet);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		offset = read_ipv6(skb, &packet);

	if (offset > 0)
		packet.is_known = read_transport(skb, offset, &packet);
	else
		packet.is_known = offset == OFFSET_NONE;
	return packet.bits;
}

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
	__u16 local_port = end_is_source(END_LOCAL) ? packet.src_port : packet.dst_port;
	__u16 remote_port = end_is_source(END_LOCAL) ? packet.dst_port : packet.src_port;
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

/* All but the deadline, cheapest first. `bits` is a union packet. */
__noinline int rule_matches(struct __sk_buff *skb, __u32 slot, __u64 bits)
{
	const struct classify_rule *rule = bpf_map_lookup_elem(&rules, &slot);
	union packet packet = {.bits = bits};

	if (!rule || !protocol_matches(rule->protocol, packet.protocol))
		return false;
	if (!ports_match(rule->dst_ports, rule->n_dst_ports, packet, packet.dst_port) ||
	    !ports_match(rule->src_ports, rule->n_src_ports, packet, packet.src_port))
		return false;
	if (!(rule->flags & RULE_LOCKOUT) && (packet.is_spared || in_flows(skb, rule, packet)))
		return false;
	return !(rule->flags & RULE_HAS_CIDRS) || in_cidrs(skb, slot);
}

/* Counts the packet and throws the dice. */
static __always_inline bool rule_drops(const struct classify_rule *rule, __u32 slot)
{
	struct classify_counters *counter = bpf_map_lookup_elem(&counters, &slot);
	bool drop = rule->threshold == DROP_ALL || bpf_get_prandom_u32() < rule->threshold;

	if (counter) {
		counter->matched++;
		counter->dropped += drop;
	}
	return drop;
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

SEC("tc")
int classify(struct __sk_buff *skb)
{
	__u64 live = active;
	union packet packet;
	__u64 now = 0;

	if (!live)
		return TC_ACT_UNSPEC;
	packet.bits = read_packet(skb);
	if (!packet.is_known)
		return TC_ACT_UNSPEC;

	for (__u32 slot = 0; slot < CLASSIFY_RULES && live; slot++, live >>= 1) {
		const struct classify_rule *rule;

		if (!(live & 1) || !rule_matches(skb, slot, packet.bits))
			continue;
		rule = bpf_map_lookup_elem(&rules, &slot);
		if (!rule)
			continue;
		if (!now)
			now = bpf_ktime_get_boot_ns();
		if (now < rule->deadline_boot_ns && rule_drops(rule, slot))
			return drop_verdict(rule);
	}
	return TC_ACT_UNSPEC;
}
