/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A share of the flows: packets of one flow have one hash, whichever way they go. */
#ifndef BPF_FLOW_H
#define BPF_FLOW_H

#include "packet.h"

#define ALL_FLOWS 0xffffffff

/* The finalizer of MurmurHash3: each bit of `x` changes each bit of the result half of the time. */
static __always_inline __u64 mix(__u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccd;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53;
	return x ^ x >> 33;
}

static __always_inline __u64 hash_end(const struct address *address, __u16 port)
{
	const __be32 *word = address->word;

	return mix(mix(mix((__u64)word[0] << 32 | word[1]) ^ ((__u64)word[2] << 32 | word[3])) ^
		   port);
}

/* Of a packet that is known; `bits` is a union packet, `known` 0 or what was returned for the
 * packet before. Never 0. The sum is what makes it the same in both directions. All fragments
 * between two hosts are one flow, the first ones too, so that those of a datagram share its fate.
 * Global for the reason that read_packet() is. */
__noinline __u64 flow_hash(struct __sk_buff *skb, __u64 bits, __u64 known)
{
	union packet packet = {.bits = bits};
	struct address local, remote;

	if (known)
		return known;
	if (!read_address(skb, END_LOCAL, &local) || !read_address(skb, END_REMOTE, &remote))
		return 1;
	if (packet.is_fragment)
		packet.src_port = packet.dst_port = 0;
	return (hash_end(&local, port_of(packet, END_LOCAL)) +
		hash_end(&remote, port_of(packet, END_REMOTE)) + packet.protocol) |
	       1;
}

/* `hash` is of flow_hash(). */
static __always_inline bool flow_is_chosen(const struct classify_rule *rule, __u64 hash)
{
	return (__u32)mix(hash ^ (__u64)rule->flow_seed << 1) < rule->flow_threshold;
}

#endif
