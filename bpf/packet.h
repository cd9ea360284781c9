/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a program here knows of a packet: read once, and small enough to be one argument. */
#ifndef BPF_PACKET_H
#define BPF_PACKET_H

#include "kernel.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include <faultd/bpf-abi.h>

#define IPV6_EXTENSIONS 8      /* headers before the transport header; more is no honest packet */
#define TRANSPORT_MAX   0x7fff /* no transport header is beyond, behind so many */

/* Set before the program is loaded. */
const volatile __u32 direction = CLASSIFY_EGRESS;
const volatile __u32 l2_len = ETH_HLEN; /* of the link header; 0 if the interface has none */

/* What every rule is matched against. */
union packet {
	struct {
		__u16 src_port; /* in the packet's own direction, host byte order; without
				   has_ports: both the identifier of an ICMP echo, or 0 */
		__u16 dst_port;
		__u16 offset; /* of the transport header in the packet; 0: in another fragment */
		__u8 protocol;
		__u8 is_known : 1;    /* no: not IP, or cannot be read */
		__u8 is_spared : 1;   /* from every rule without RULE_LOCKOUT */
		__u8 is_fragment : 1; /* the first one too */
		__u8 has_ports : 1; /* no: another protocol, or a fragment that is not the first */
		__u8 syn : 1;       /* TCP with SYN */
		__u8 no_syn : 1;    /* TCP without; neither if the flags cannot be read */
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

static __always_inline __u16 port_of(union packet packet, enum end end)
{
	return end_is_source(end) ? packet.src_port : packet.dst_port;
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

static __always_inline void read_tcp_flags(struct __sk_buff *skb, __u32 offset,
					   union packet *packet)
{
	__u8 copy;
	const __u8 *flags = header(skb, offset + TCP_FLAGS, &copy, sizeof(copy));

	if (!flags)
		return;
	packet->syn = !!(*flags & TCP_SYN);
	packet->no_syn = !(*flags & TCP_SYN);
}

static __always_inline bool read_ports(struct __sk_buff *skb, __u32 offset, union packet *packet)
{
	__be16 copy[2];
	const __be16 *ports = header(skb, offset, copy, sizeof(copy));

	if (!ports)
		return false;
	packet->has_ports = true;
	packet->src_port = bpf_ntohs(ports[0]);
	packet->dst_port = bpf_ntohs(ports[1]);
	if (packet->protocol == IPPROTO_UDP)
		packet->is_spared |= is_dhcp(packet->src_port) || is_dhcp(packet->dst_port);
	else if (packet->protocol == IPPROTO_TCP)
		read_tcp_flags(skb, offset, packet);
	return true;
}

/* Echoes and their replies have an identifier, by which one ping is told from another. */
static __always_inline void read_echo(struct __sk_buff *skb, __u32 offset, union packet *packet)
{
	__be16 copy;
	const __be16 *identifier = header(skb, offset + ICMP_IDENTIFIER, &copy, sizeof(copy));

	if (identifier)
		packet->src_port = packet->dst_port = bpf_ntohs(*identifier);
}

static __always_inline bool read_icmpv4(struct __sk_buff *skb, __u32 offset, union packet *packet)
{
	__u8 copy;
	const __u8 *type = header(skb, offset, &copy, sizeof(copy));

	if (type && (*type == ICMP_ECHO || *type == ICMP_ECHO_REPLY))
		read_echo(skb, offset, packet);
	return true;
}

static __always_inline bool read_icmpv6(struct __sk_buff *skb, __u32 offset, union packet *packet)
{
	__u8 copy;
	const __u8 *type = header(skb, offset, &copy, sizeof(copy));

	if (!type)
		return false;
	packet->is_spared |= is_neighbourhood(*type);
	if (*type == ICMPV6_ECHO || *type == ICMPV6_ECHO_REPLY)
		read_echo(skb, offset, packet);
	return true;
}

/* All protocols with ports begin with the source and destination port. `bits` is a union packet,
 * and so is what is returned. */
__noinline __u64 read_transport(struct __sk_buff *skb, __u64 bits)
{
	union packet packet = {.bits = bits};
	__u64 offset = packet.offset;

	SETTLE(offset);
	if (offset > TRANSPORT_MAX)
		return bits;
	packet.is_known = true;
	if (protocol_has_ports(packet.protocol))
		packet.is_known = read_ports(skb, offset, &packet);
	else if (packet.protocol == IPPROTO_ICMP)
		packet.is_known = read_icmpv4(skb, offset, &packet);
	else if (packet.protocol == NEXTHDR_ICMP)
		packet.is_known = read_icmpv6(skb, offset, &packet);
	return packet.bits;
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
	packet->is_fragment = !!(ip->frag_off & bpf_htons(IP_MORE | IP_OFFSET));
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
			packet->is_fragment =
				!!(extension.fragment & bpf_htons(IP6_MORE | IP6_OFFSET));
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

/* Returns a union packet. Global, so that the verifier checks it once and by itself: inlined, it
 * would follow every kind of packet through every slot, to its limit of a million instructions.
 * Pointers other than the context are no arguments for it before 5.12.
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

	if (offset > 0) {
		packet.offset = offset;
		return read_transport(skb, packet.bits);
	}
	packet.is_known = offset == OFFSET_NONE;
	return packet.bits;
}

#endif
