/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whose packet it is: the user and the cgroup of the socket that sends it. What no socket here
 * sends (forwarded, or of a connection in TIME_WAIT) is nobody's.
 *
 * On egress only. What arrives has no socket yet at the hook; looked up there, the socket does not
 * tell its owner: bpf_sk_cgroup_id() and the like are for programs of cgroups alone (Linux 6.18).
 */
#ifndef BPF_SOCKET_H
#define BPF_SOCKET_H

#include "packet.h"

/* bpf_get_socket_uid() says the overflow user, who may be a real one, if there is no whole socket.
 * The user is as the owner of the network namespace sees him. */
static __always_inline bool sent_by_user(struct __sk_buff *skb, __u32 uid)
{
	const struct bpf_sock *sk = direction == CLASSIFY_EGRESS ? skb->sk : NULL;

	return sk && sk->state != BPF_TCP_TIME_WAIT && bpf_get_socket_uid(skb) == uid;
}

/* By a socket in the cgroup with this id, which is at this level, or below it. */
static __always_inline bool sent_from_cgroup(struct __sk_buff *skb, __u64 id, int level)
{
	return direction == CLASSIFY_EGRESS && bpf_skb_ancestor_cgroup_id(skb, level) == id;
}

#endif
