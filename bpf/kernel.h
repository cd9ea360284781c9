/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the programs here need of the kernel: its UAPI headers, and the few constants of packet
 * headers that those leave out. Wire formats only, so nothing is relocated at load time. */
#ifndef BPF_KERNEL_H
#define BPF_KERNEL_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

/* Keeps the compiler from working a number out again after it was checked: the verifier knows only
 * of the copy that was. Such numbers are of 64 bits, whatever they need: before Linux 5.16 it
 * forgets what it knows of shorter ones on the stack. */
#define SETTLE(number) asm volatile("" : "+r"(number))

#define IP_MORE   0x2000 /* bits of iphdr.frag_off: not the last fragment */
#define IP_OFFSET 0x1fff /* and where it was: in 8 bytes, 0 in the first */

/* Extension headers of IPv6, and what may follow them. */
#define NEXTHDR_HOP      0
#define NEXTHDR_ROUTING  43
#define NEXTHDR_FRAGMENT 44
#define NEXTHDR_DEST     60
#define NEXTHDR_ICMP     58

/* Bits of ipv6_extension.fragment, as IP_MORE and IP_OFFSET */
#define IP6_MORE   0x0001
#define IP6_OFFSET 0xfff8

/* The first eight bytes of any of the four: none is shorter. */
struct ipv6_extension {
	__u8 nexthdr;
	__u8 hdrlen;     /* in 8 bytes, beyond the first 8; reserved in a fragment header */
	__be16 fragment; /* of a fragment header only */
	__be32 rest;
};

#define TCP_FLAGS 13 /* where they are in the header */
#define TCP_SYN   0x02
#define TCP_RST   0x04

#define ICMP_IDENTIFIER   4 /* where it is in an echo and its reply, of ICMPv6 too */
#define ICMP_ECHO         8
#define ICMP_ECHO_REPLY   0
#define ICMPV6_ECHO       128
#define ICMPV6_ECHO_REPLY 129

/* ICMPv6 types, both ends included: MLD queries, reports and done, then router solicitation and
 * advertisement, neighbour solicitation and advertisement, redirect; and MLDv2 reports. */
#define ICMPV6_MLD_FIRST   130
#define ICMPV6_ND_LAST     137
#define ICMPV6_MLD2_REPORT 143

#define DHCPV4_SERVER 67
#define DHCPV4_CLIENT 68
#define DHCPV6_CLIENT 546
#define DHCPV6_SERVER 547

#endif
