/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* DNS queries: finding the question, comparing its name, and answering it with an error.
 *
 * Only plain packets (answer.h) are read, and over TCP only a query that is whole in one segment,
 * as resolvers send it. */
#ifndef BPF_DNS_H
#define BPF_DNS_H

#include "answer.h"

#define DNS_HEADER    12
#define DNS_NAME_MAX  255
#define DNS_LABEL_MAX 63
#define DNS_LABELS    128 /* of the longest name, the root's included */
#define DNS_TYPES     4   /* bytes behind the name: type and class */
#define DNS_OPT       11  /* bytes of an OPT record without options */
#define DNS_TYPE_OPT  41
#define DNS_UDP_SIZE  1232 /* what the answer says it could take */

/* Bytes of the header's flags */
#define DNS_QR     0x80 /* of byte 2 */
#define DNS_KEPT_2 0x79 /* opcode and RD */
#define DNS_RA     0x80 /* of byte 3 */
#define DNS_KEPT_3 0x10 /* CD */
#define DNS_OPT_DO 0x80 /* of byte 7 of an OPT record */

#define DNS_MIN (DNS_HEADER + 1 + DNS_TYPES)
#define DNS_MAX (DNS_HEADER + DNS_NAME_MAX + DNS_TYPES + DNS_OPT)

/* The query of the packet at hand. */
struct query {
	__u32 name_length; /* the root's 0 included */
	__u32 length;      /* of the header and the first question */
	__u32 has_opt;
	__u8 message[352]; /* DNS_MAX, and what the verifier believes may be read */
};

/* Too big for the stack. A packet is worked on with bottom halves off at both hooks. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct query);
} queries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CLASSIFY_RULES);
	__type(key, __u32);
	__type(value, struct classify_names);
} names SEC(".maps");

static __always_inline struct query *this_query(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&queries, &zero);
}

/* Where a message over TCP starts: behind its length. 0: not here, or not whole. */
static __always_inline __u32 tcp_message(struct __sk_buff *skb, const struct ip_ends *ends)
{
	__u32 offset = ends->offset;
	struct tcphdr tcp;
	__be16 length;

	if (bpf_skb_load_bytes(skb, offset, &tcp, sizeof(tcp)) < 0)
		return 0;
	offset += tcp.doff * 4u;
	if (bpf_skb_load_bytes(skb, offset, &length, sizeof(length)) < 0)
		return 0;
	offset += sizeof(length);
	return offset + bpf_ntohs(length) <= ends->offset + ends->length ? offset : 0;
}

static __always_inline __u32 message_offset(struct __sk_buff *skb, __u8 protocol)
{
	struct ip_ends ends;

	if (!read_ends(skb, protocol, &ends))
		return 0;
	return protocol == IPPROTO_TCP ? tcp_message(skb, &ends)
				       : ends.offset + (__u32)sizeof(struct udphdr);
}

/* Walks over the labels of the name in this_query(), from its start, as far as `until`. Returns
 * where the first label starts that is not before there, or the root's, the last; DNS_NAME_MAX or
 * more: it is no name. Compressed ones are none: nothing is before the first question that could be
 * pointed to. Global for the reason that read_packet() is. */
__noinline int walk_labels(__u32 until)
{
	const struct query *q = this_query();
	__u64 at = 0;

	if (!q)
		return DNS_NAME_MAX;
	for (__u64 i = 0; i < DNS_LABELS; i++) {
		__u64 length;

		if (at >= DNS_NAME_MAX || at >= until)
			break;
		length = q->message[DNS_HEADER + at];
		if (length > DNS_LABEL_MAX)
			return DNS_NAME_MAX;
		if (length == 0)
			break;
		at += length + 1;
	}
	return (int)at;
}

static __always_inline bool opt_follows(const struct query *q, __u32 read)
{
	__u64 at = q->length;
	const __u8 *opt;

	SETTLE(at); /* or Linux 6.1 no longer knows the bound of what is read with */
	if (at > DNS_MAX - DNS_OPT || at + DNS_OPT > read)
		return false;
	opt = q->message + at;
	return opt[0] == 0 && opt[1] == 0 && opt[2] == DNS_TYPE_OPT;
}

/* Is the packet, of this protocol, a DNS query? Then it lies in this_query(). */
__noinline int read_query(struct __sk_buff *skb, __u32 protocol)
{
	__u32 offset = message_offset(skb, protocol == IPPROTO_TCP ? IPPROTO_TCP : IPPROTO_UDP);
	struct query *q = this_query();
	__u64 read = skb->len - offset;

	SETTLE(read);
	if (!q || !offset || offset > skb->len)
		return false;
	if (read > DNS_MAX)
		read = DNS_MAX;
	if (read < DNS_MIN || bpf_skb_load_bytes(skb, offset, q->message, read) < 0)
		return false;
	if (q->message[2] & DNS_QR || (q->message[4] == 0 && q->message[5] == 0))
		return false;
	q->name_length = (__u32)walk_labels(DNS_NAME_MAX) + 1;
	if (q->name_length > DNS_NAME_MAX)
		return false;
	q->length = DNS_HEADER + q->name_length + DNS_TYPES;
	if (q->length > read)
		return false;
	q->has_opt = opt_follows(q, read);
	return true;
}

/* Without a branch: the verifier would follow both for every letter. */
static __always_inline __u32 lower(__u32 c)
{
	__u32 is_capital = (((c - 'A') & 0xff) - ('Z' - 'A' + 1)) >> 31;

	SETTLE(is_capital);
	return c + is_capital * ('a' - 'A');
}

/* Is the name of this_query() the rule's `which`-th, or below it? Lengths of labels are too small
 * to be taken for letters. */
__noinline int name_is_below(__u32 slot, __u32 which)
{
	const struct classify_names *all = bpf_map_lookup_elem(&names, &slot);
	const struct query *q = this_query();
	__u64 length, start;

	if (!all || !q || which >= CLASSIFY_NAMES)
		return false;
	length = all->name[which].length;
	if (length == 0 || length > sizeof(all->name[0].wire) || length > q->name_length)
		return false;
	start = q->name_length - length;
	SETTLE(start);
	if (start >= DNS_NAME_MAX || (__u32)walk_labels(start) != start)
		return false;
	for (__u64 i = 0; i < sizeof(all->name[0].wire) && i < length; i++)
		if (lower(q->message[DNS_HEADER + start + i]) != all->name[which].wire[i])
			return false;
	return true;
}

static __always_inline bool is_query(struct __sk_buff *skb, __u32 protocol)
{
	return (protocol == IPPROTO_UDP || protocol == IPPROTO_TCP) && read_query(skb, protocol);
}

/* RULE_HAS_NAMES of the rule in this slot. */
static __always_inline bool names_match(struct __sk_buff *skb, __u32 slot, __u32 protocol)
{
	const struct classify_names *all = bpf_map_lookup_elem(&names, &slot);

	if (!all || !is_query(skb, protocol))
		return false;
	for (__u32 i = 0; i < CLASSIFY_NAMES && i < all->n; i++)
		if (name_is_below(slot, i))
			return true;
	return false;
}

/* The query as its own answer: the first question, and OPT without options if it had one, or
 * resolvers would take the server for one that does not know it, beyond the end of the fault.
 * Returns its length. */
static __always_inline __u64 write_answer(struct query *q, __u64 length, __u8 rcode)
{
	__u8 *opt = q->message + length;

	q->message[2] = (q->message[2] & DNS_KEPT_2) | DNS_QR;
	q->message[3] = (q->message[3] & DNS_KEPT_3) | DNS_RA | rcode;
	*(__be16 *)(q->message + 4) = bpf_htons(1);
	*(__be16 *)(q->message + 6) = 0;
	*(__be16 *)(q->message + 8) = 0;
	*(__be16 *)(q->message + 10) = bpf_htons(q->has_opt);
	if (q->has_opt) {
		opt[3] = DNS_UDP_SIZE >> 8;
		opt[4] = DNS_UDP_SIZE & 0xff;
		opt[5] = opt[6] = opt[8] = opt[9] = opt[10] = 0;
		opt[7] &= DNS_OPT_DO;
		length += DNS_OPT;
	}
	/* for the checksum, which is of words */
	q->message[length] = q->message[length + 1] = q->message[length + 2] = 0;
	return length;
}

/* As turn_into_reset(), of the UDP packet in this_query(). */
__noinline int turn_into_response(struct __sk_buff *skb, __u32 rcode)
{
	struct query *q = this_query();
	struct ip_ends ends;
	struct udphdr udp;
	__u32 pseudo, sum;
	__u64 length;
	int state;

	if (!q)
		return -1;
	length = q->length;
	SETTLE(length);
	if (length < DNS_MIN || length > DNS_MAX - DNS_OPT || !read_ends(skb, IPPROTO_UDP, &ends) ||
	    bpf_skb_load_bytes(skb, ends.offset, &udp, sizeof(udp)) < 0)
		return -1;
	length = write_answer(q, length, rcode & 0x0f);
	SETTLE(length);
	if (length < DNS_MIN || length > DNS_MAX)
		return -1;
	state = resize(skb, ends.offset + sizeof(udp), ends.offset + sizeof(udp) + length);
	if (state < 0)
		return -1;

	udp = (struct udphdr){.source = udp.dest,
			      .dest = udp.source,
			      .len = bpf_htons((__u16)(sizeof(udp) + length))};
	pseudo = pseudo_header_sum(&ends, IPPROTO_UDP, sizeof(udp) + length);
	sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)&udp, sizeof(udp), pseudo);
	sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)q->message, (__u32)(length + 3) & ~3u, sum);
	udp.check = checksum_field(state, pseudo, sum);
	if (udp.check == 0)
		udp.check = 0xffff; /* 0 says that there is none */
	if (bpf_skb_store_bytes(skb, ends.offset, &udp, sizeof(udp), 0) < 0 ||
	    bpf_skb_store_bytes(skb, ends.offset + sizeof(udp), q->message, length, 0) < 0)
		return -1;
	return turn_around(skb, &ends, IPPROTO_UDP, sizeof(udp) + length) ? 0 : -1;
}

#endif
