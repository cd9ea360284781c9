/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Turning a packet, in place, into an answer to its sender: a TCP RST or a DNS response.
 *
 * Only plain packets can be answered: whole, without IPv4 options or IPv6 extension headers. */
#ifndef BPF_ANSWER_H
#define BPF_ANSWER_H

#include "packet.h"

#include <linux/tcp.h>
#include <linux/udp.h>
#include <stddef.h>

#define IP_PLAIN     0x45 /* version 4 and a header of five words */
#define IP_DF        0x4000
#define HOPS         64
#define LOOPBACK     1 /* ifindex of lo in every network namespace */
#define ERROR_EINVAL (-22)

/* What of the IP header the answer needs. IPv4 addresses are in the first words; swapping source
 * and destination does not change the sum. */
struct ip_ends {
	__be32 source[4];
	__be32 destination[4];
	__u32 length; /* behind the header */
	__u32 offset; /* of what is behind the header */
};

static __always_inline bool read_ipv4_ends(struct __sk_buff *skb, __u8 protocol,
					   struct ip_ends *ret)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, l2_len, &ip, sizeof(ip)) < 0 || *(__u8 *)&ip != IP_PLAIN ||
	    ip.protocol != protocol || ip.frag_off & bpf_htons(IP_MORE | IP_OFFSET))
		return false;
	*ret = (struct ip_ends){.source = {ip.saddr},
				.destination = {ip.daddr},
				.length = bpf_ntohs(ip.tot_len) - sizeof(ip),
				.offset = l2_len + sizeof(ip)};
	return true;
}

static __always_inline bool read_ipv6_ends(struct __sk_buff *skb, __u8 protocol,
					   struct ip_ends *ret)
{
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, l2_len, &ip, sizeof(ip)) < 0 || ip.version != 6 ||
	    ip.nexthdr != protocol)
		return false;
	__builtin_memcpy(ret->source, &ip.saddr, sizeof(ret->source));
	__builtin_memcpy(ret->destination, &ip.daddr, sizeof(ret->destination));
	ret->length = bpf_ntohs(ip.payload_len);
	ret->offset = l2_len + sizeof(ip);
	return true;
}

/* False: not a plain packet of this protocol. */
static __always_inline bool read_ends(struct __sk_buff *skb, __u8 protocol, struct ip_ends *ret)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return read_ipv4_ends(skb, protocol, ret);
	return skb->protocol == bpf_htons(ETH_P_IPV6) && read_ipv6_ends(skb, protocol, ret);
}

/* Sums as bpf_csum_diff() returns them: of 32 bits before Linux 6.13, of 16 since. */
static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

static __always_inline __u32 pseudo_header_sum(const struct ip_ends *ends, __u8 protocol,
					       __u32 length)
{
	struct {
		__be32 addresses[8];
		__be32 length;
		__be32 protocol;
	} pseudo = {.length = bpf_htonl(length), .protocol = bpf_htonl(protocol)};

	__builtin_memcpy(pseudo.addresses, ends->source, sizeof(pseudo.addresses));
	return (__u32)bpf_csum_diff(NULL, 0, (__be32 *)&pseudo, sizeof(pseudo), 0);
}

enum checksum_state {
	CHECKSUM_IS_WHOLE,     /* the packet is to carry it */
	CHECKSUM_IS_OFFLOADED, /* CHECKSUM_PARTIAL: the packet is to carry that of the pseudo header
				  alone, the rest is added when, and if, it leaves the host */
};

/* Gives the packet a new length, and says how it is to be checksummed, or returns a negative
 * number. A program cannot read skb->ip_summed, but bpf_skb_change_tail() refuses to cut off a
 * checksum that is offloaded (__bpf_skb_min_len(), net/core/filter.c), and `check_end` is the end
 * of the transport header's. So all from there on must be written anew. Cutting also resets
 * segmentation offload and copies what a socket still holds; growing ends CHECKSUM_COMPLETE. */
static __always_inline int resize(struct __sk_buff *skb, __u32 check_end, __u32 length)
{
	long cut = bpf_skb_change_tail(skb, check_end - 1, 0);

	if (cut < 0 && cut != ERROR_EINVAL)
		return -1;
	if (bpf_skb_change_tail(skb, length, 0) < 0)
		return -1;
	return cut == 0 ? CHECKSUM_IS_WHOLE : CHECKSUM_IS_OFFLOADED;
}

static __always_inline __u16 checksum_field(int state, __u32 pseudo, __u32 sum)
{
	return state == CHECKSUM_IS_OFFLOADED ? fold(pseudo) : (__u16)~fold(sum);
}

static __always_inline bool write_ipv4(struct __sk_buff *skb, const struct ip_ends *to,
				       __u8 protocol, __u32 length)
{
	struct iphdr ip = {.frag_off = bpf_htons(IP_DF),
			   .ttl = HOPS,
			   .protocol = protocol,
			   .saddr = to->destination[0],
			   .daddr = to->source[0]};

	*(__u8 *)&ip = IP_PLAIN;
	ip.tot_len = bpf_htons((__u16)(sizeof(ip) + length));
	ip.check = (__u16)~fold((__u32)bpf_csum_diff(NULL, 0, (__be32 *)&ip, sizeof(ip), 0));
	return bpf_skb_store_bytes(skb, l2_len, &ip, sizeof(ip), 0) == 0;
}

static __always_inline bool write_ipv6(struct __sk_buff *skb, const struct ip_ends *to,
				       __u8 protocol, __u32 length)
{
	struct ipv6hdr ip = {.nexthdr = protocol, .hop_limit = HOPS};

	ip.version = 6;
	ip.payload_len = bpf_htons((__u16)length);
	__builtin_memcpy(&ip.saddr, to->destination, sizeof(ip.saddr));
	__builtin_memcpy(&ip.daddr, to->source, sizeof(ip.daddr));
	return bpf_skb_store_bytes(skb, l2_len, &ip, sizeof(ip), 0) == 0;
}

static __always_inline bool swap_ethernet(struct __sk_buff *skb)
{
	__u8 from[ETH_ALEN], to[ETH_ALEN];

	return bpf_skb_load_bytes(skb, 0, to, ETH_ALEN) == 0 &&
	       bpf_skb_load_bytes(skb, ETH_ALEN, from, ETH_ALEN) == 0 &&
	       bpf_skb_store_bytes(skb, 0, from, ETH_ALEN, 0) == 0 &&
	       bpf_skb_store_bytes(skb, ETH_ALEN, to, ETH_ALEN, 0) == 0;
}

/* The headers below the transport header, back to where the packet came from. */
static __always_inline bool turn_around(struct __sk_buff *skb, const struct ip_ends *to,
					__u8 protocol, __u32 length)
{
	if (l2_len == ETH_HLEN && !swap_ethernet(skb))
		return false;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return write_ipv4(skb, to, protocol, length);
	return write_ipv6(skb, to, protocol, length);
}

/* RFC 9293 3.10.7.1: a RST that the sender of the segment must accept, wherever it stands. */
static __always_inline struct tcphdr reset_of(const struct tcphdr *segment, __u32 length)
{
	struct tcphdr rst = {.source = segment->dest, .dest = segment->source};

	rst.doff = sizeof(rst) / 4;
	rst.rst = 1;
	if (segment->ack) {
		rst.seq = segment->ack_seq;
		return rst;
	}
	length -= segment->doff * 4u;
	rst.ack = 1;
	rst.ack_seq = bpf_htonl(bpf_ntohl(segment->seq) + length + segment->syn + segment->fin);
	return rst;
}

/* Is it a RST, which nobody answers? */
static __always_inline bool is_reset(struct __sk_buff *skb, union packet packet)
{
	__u8 flags;

	return packet.offset &&
	       bpf_skb_load_bytes(skb, packet.offset + TCP_FLAGS, &flags, sizeof(flags)) == 0 &&
	       flags & TCP_RST;
}

/* Returns 0, or a negative number: not a plain TCP segment, or no memory. The packet is good for
 * nothing then but to be dropped. Global for the reason that read_packet() is. */
__noinline int turn_into_reset(struct __sk_buff *skb)
{
	struct ip_ends ends;
	struct tcphdr tcp;
	__u32 pseudo, sum;
	int state;

	if (!read_ends(skb, IPPROTO_TCP, &ends) ||
	    bpf_skb_load_bytes(skb, ends.offset, &tcp, sizeof(tcp)) < 0)
		return -1;
	tcp = reset_of(&tcp, ends.length);
	state = resize(skb, ends.offset + offsetof(struct tcphdr, check) + sizeof(tcp.check),
		       ends.offset + sizeof(tcp));
	if (state < 0)
		return -1;

	pseudo = pseudo_header_sum(&ends, IPPROTO_TCP, sizeof(tcp));
	sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)&tcp, sizeof(tcp), pseudo);
	tcp.check = checksum_field(state, pseudo, sum);
	if (bpf_skb_store_bytes(skb, ends.offset, &tcp, sizeof(tcp), 0) < 0)
		return -1;
	return turn_around(skb, &ends, IPPROTO_TCP, sizeof(tcp)) ? 0 : -1;
}

/* Sends an answer back: the verdict for it. MARK_SHAPED takes it past the rules of the classifier
 * that it meets next; a redirect leaves tc_index alone.
 *
 * On loopback it only goes on: what is sent there comes in anyway, with its route. A redirect would
 * drop the route, and a new one from or to 127.0.0.0/8 is refused as martian (route_localnet). */
static __always_inline int send_back(struct __sk_buff *skb)
{
	skb->tc_index = MARK_SHAPED;
	if (skb->ifindex == LOOPBACK)
		return TC_ACT_UNSPEC;
	return (int)bpf_redirect(skb->ifindex, direction == CLASSIFY_EGRESS ? BPF_F_INGRESS : 0);
}

#endif
