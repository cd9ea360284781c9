/* SPDX-License-Identifier: Apache-2.0 */
/* TCP connections of the network namespace, read by sock_diag(7). */
#ifndef FAULTD_HOST_SOCKETS_H
#define FAULTD_HOST_SOCKETS_H

#include <linux/inet_diag.h>
#include <stddef.h>
#include <stdint.h>

#include "faultd/bpf-abi.h"

struct connection {
	struct classify_flow flow;  /* IPv4 mapped, as everywhere */
	struct inet_diag_sockid id; /* as the kernel names it */
	uint8_t family;             /* AF_INET6 also for IPv4 over an IPv6 socket */
	uint32_t uid;
	uint64_t inode;     /* 0: nobody holds it any more */
	uint64_t cgroup_id; /* of cgroup v2, in which it was made (Linux 5.8); 0: not known */
};

/* Calls `each` for every TCP connection over which data can still flow, in at least one direction;
 * what it returns other than 0 is returned in the end. With a cgroup of v2 (0: none): only those of
 * sockets in exactly it, picked by the kernel (5.8). Returns -EOPNOTSUPP or -ENOENT where the
 * kernel has no inet_diag. */
int connections_each(uint64_t cgroup_id, int (*each)(const struct connection *c, void *arg),
		     void *arg);

/* The inodes of this process' own TCP sockets; returns how many. */
size_t connections_own(uint64_t *ret, size_t room);

#endif
