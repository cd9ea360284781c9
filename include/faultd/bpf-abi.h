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

#define CLASSIFY_RULES 64   /* slots, and bits in `active` */
#define CLASSIFY_PORTS 16   /* ranges per direction of one rule */
#define CLASSIFY_FLOWS 4    /* spared connections of one rule */
#define CLASSIFY_CIDRS 4096 /* prefixes of all rules of one classifier */
#define CLASSIFY_NAMES 8    /* suffixes of one rule on DNS queries */

enum classify_direction {
	CLASSIFY_EGRESS = 0,
	CLASSIFY_INGRESS = 1,
};

/* What happens to a packet that a rule matches. Drops, answers and the like are decided by the
 * first rule that does, in the order of slots; only a packet that none of them takes is shaped, by
 * the first rule that does. So a packet is shaped once, in both directions. */
enum classify_verdict {
	VERDICT_DROP,
	/* Sets tc_index to the rule's mark and lets it pass: the clsact filter of the shaper with
	 * that mark (steps/shaper.c) redirects it to a device with netem or tbf. On egress it comes
	 * back through this hook with MARK_SHAPED, and is then left alone. */
	VERDICT_SHAPE,
	/* A TCP segment is answered with a RST by which its sender's connection ends, and dropped;
	 * what is not TCP, or a RST itself, is let pass. Fragments, IPv4 with options and IPv6 with
	 * extension headers are dropped without an answer. */
	VERDICT_RESET,
	/* A DNS query over UDP is answered with `rcode`; over TCP it is reset. What is no query (or
	 * a fragment, or split over segments) is let pass. */
	VERDICT_ANSWER,
};

/* tc_index of what comes back from a shaper, and of answers; cleared by the classifier it meets. No
 * shaper has this mark, nor 0. */
#define MARK_SHAPED 0xfa17

/* struct classify_rule.flags */
#define RULE_HAS_CIDRS   0x001 /* look the remote address up in the trie; no hit: no match */
#define RULE_VISIBLE     0x002 /* the local sender sees the drop (egress); default is silent */
#define RULE_LOCKOUT     0x004 /* spare nothing but ARP, ND and other non-IP frames */
#define RULE_NEW         0x008 /* only TCP segments with SYN: what opens a connection */
#define RULE_ESTABLISHED 0x010 /* only TCP segments without SYN */
#define RULE_HAS_USER    0x020 /* only what sockets of `uid` send (egress) */
#define RULE_HAS_CGROUP  0x040 /* only what sockets in `cgroup_id` or below send (egress) */
#define RULE_HAS_NAMES                                                            \
	0x080 /* only DNS queries (see dst_ports) for a name of the rule or below \
	       */

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
	__u64 cgroup_id;        /* of cgroup v2, as bpf_skb_cgroup_id() tells it */
	__u32 cgroup_level;     /* of that cgroup; the root is 0 */
	__u32 uid;
	__u32 threshold;      /* acts when a random u32 is below it; 0xffffffff: always */
	__u32 flow_threshold; /* the same of a hash of the flow, equal in both directions; 0 is
				 none, so that all flows are 0xffffffff */
	__u32 flow_seed;      /* of that hash */
	__u32 flags;          /* RULE_* */
	__u16 mark;           /* VERDICT_SHAPE */
	__u8 verdict;         /* enum classify_verdict */
	__u8 rcode;           /* VERDICT_ANSWER: 2 SERVFAIL, 3 NXDOMAIN */
	__u8 protocol;        /* IPPROTO_*, 0 = any; IPPROTO_ICMP also matches ICMPv6 */
	__u8 n_dst_ports;     /* 0 = any port, and protocols without ports */
	__u8 n_src_ports;
	__u8 n_flows;
	struct classify_ports dst_ports[CLASSIFY_PORTS]; /* of the packet, in its own direction */
	struct classify_ports src_ports[CLASSIFY_PORTS];
	struct classify_flow flows[CLASSIFY_FLOWS];
};

/* Suffixes of DNS names, in lower case and the wire's form: each label after its length, the root's
 * 0 at the end. The empty name (one 0) is below which all are. */
struct classify_names {
	__u32 n;
	struct {
		__u8 length; /* of `wire`, the last 0 included */
		__u8 wire[63];
	} name[CLASSIFY_NAMES];
};

/* Per CPU and slot. `matched` counts packets to which the rule applied (everything but chance),
 * the others those of them that it dropped (answered ones too), shaped and answered. */
struct classify_counters {
	__u64 matched;
	__u64 dropped;
	__u64 shaped;
	__u64 answered;
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
