/* SPDX-License-Identifier: Apache-2.0 */
/* The contract between agent/steps/classifier.c and bpf/classify.bpf.c: fixed-width, no padding
 * left to chance.
 *
 * One classifier program serves one (network namespace, interface, direction). It holds up to
 * CLASSIFY_RULES rules, one slot each; several faults share it and come and go slot by slot.
 * A slot counts only while its bit in `active` (a global of the program) is set, so user space
 * writes a rule completely, then sets the bit; it clears the bit, then forgets the rule. */
#ifndef FAULTD_BPF_ABI_H
#define FAULTD_BPF_ABI_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define CLASSIFY_RULES 32   /* slots, and bits in `active` */
#define CLASSIFY_PORTS 16   /* ranges per direction of one rule */
#define CLASSIFY_FLOWS 4    /* spared connections of one rule */
#define CLASSIFY_CIDRS 2048 /* prefixes of all rules of one classifier */

enum classify_direction {
	CLASSIFY_EGRESS = 0,
	CLASSIFY_INGRESS = 1,
};

/* struct classify_rule.flags */
#define RULE_HAS_CIDRS 0x01 /* look the remote address up in the trie; no hit means no match */
#define RULE_VISIBLE   0x02 /* the local sender sees the drop (egress); default is silent */
#define RULE_LOCKOUT   0x04 /* spare nothing but ARP, ND and other non-IP frames */

/* Both ends included, host byte order. */
struct classify_ports {
	__u16 first;
	__u16 last;
};

/* One TCP connection that a rule never touches, as this host sees it, in either direction.
 * Addresses are IPv6, or IPv4 mapped (::ffff:a.b.c.d); ports in host byte order. */
struct classify_flow {
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
};

struct classify_rule {
	__u64 deadline_boot_ns; /* CLOCK_BOOTTIME; from then on the rule matches nothing */
	__u32 threshold;  /* drop when a random u32 is below it; 0xffffffff drops everything */
	__u32 flags;      /* RULE_* */
	__u8 protocol;    /* IPPROTO_*, 0 = any; IPPROTO_ICMP also matches ICMPv6 */
	__u8 n_dst_ports; /* 0 = any port, and protocols without ports */
	__u8 n_src_ports;
	__u8 n_flows;
	__u8 reserved[4];
	struct classify_ports dst_ports[CLASSIFY_PORTS]; /* of the packet, in its own direction */
	struct classify_ports src_ports[CLASSIFY_PORTS];
	struct classify_flow flows[CLASSIFY_FLOWS];
};

/* Per CPU and slot. `matched` counts packets to which the rule applied (after cidr, port, protocol,
 * spares and deadline), `dropped` those of them that it dropped. */
struct classify_counters {
	__u64 matched;
	__u64 dropped;
};

/* Key of the prefix trie. prefixlen = 32 (slot) + bits of the address, IPv4 as ::ffff:a.b.c.d (96 +
 * n). The longest prefix decides, so an exclusion can have an exception and the other way round.
 * The remote address is looked up: destination on egress, source on ingress. */
struct classify_cidr {
	__u32 prefixlen;
	__u32 slot; /* any byte order, the same on both sides: matched whole */
	__u8 addr[16];
};

/* Value of the trie. */
#define CIDR_EXCLUDE 0
#define CIDR_INCLUDE 1

#endif
