/* SPDX-License-Identifier: Apache-2.0 */
#include "host/sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/nl.h"
#include "util/str.h"

/* include/net/tcp_states.h */
enum { ESTABLISHED = 1, FIN_WAIT1 = 4, FIN_WAIT2 = 5, CLOSE_WAIT = 8 };

struct walk {
	int (*each)(const struct connection *c, void *arg);
	void *arg;
};

static void copy_address(uint8_t family, const __be32 from[4], uint8_t to[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (family == AF_INET6) {
		memcpy(to, from, 16);
		return;
	}
	memcpy(to, mapped, sizeof(mapped));
	memcpy(to + 12, from, 4);
}

static int each_socket(const struct nlmsghdr *m, void *arg)
{
	const struct walk *w = arg;
	const struct inet_diag_msg *d = NLMSG_DATA(m);
	struct connection c;

	if (m->nlmsg_type != SOCK_DIAG_BY_FAMILY || m->nlmsg_len < NLMSG_LENGTH(sizeof(*d)))
		return 0;
	c = (struct connection){.id = d->id,
				.family = d->idiag_family,
				.uid = d->idiag_uid,
				.inode = d->idiag_inode,
				.cgroup_id = nl_u64(nl_find(m, sizeof(*d), INET_DIAG_CGROUP_ID)),
				.flow = {.local_port = ntohs(d->id.idiag_sport),
					 .remote_port = ntohs(d->id.idiag_dport)}};
	copy_address(c.family, d->id.idiag_src, c.flow.local);
	copy_address(c.family, d->id.idiag_dst, c.flow.remote);
	return w->each(&c, w->arg);
}

/* The kernel's own filter (Linux 5.8): beyond the end of the program is what does not match. */
static void put_cgroup(struct nl_request *q, uint64_t id)
{
	struct {
		struct inet_diag_bc_op op;
		uint32_t id[2];
	} program = {.op = {.code = INET_DIAG_BC_CGROUP_COND,
			    .yes = sizeof(program),
			    .no = sizeof(program) + 4}};

	memcpy(program.id, &id, sizeof(id));
	nl_put(q, INET_DIAG_REQ_BYTECODE, &program, sizeof(program));
}

int connections_each(uint64_t cgroup_id, int (*each)(const struct connection *c, void *arg),
		     void *arg)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct walk w = {each, arg};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++) {
		struct nl_request q;
		struct inet_diag_req_v2 *d = nl_begin(&q, SOCK_DIAG_BY_FAMILY, 0, sizeof(*d));

		q.protocol = NETLINK_SOCK_DIAG;
		d->sdiag_family = families[i];
		d->sdiag_protocol = IPPROTO_TCP;
		d->idiag_states =
			1U << ESTABLISHED | 1U << FIN_WAIT1 | 1U << FIN_WAIT2 | 1U << CLOSE_WAIT;
		if (cgroup_id)
			put_cgroup(&q, cgroup_id);
		r = nl_dump(&q, each_socket, &w);
	}
	return r;
}

static bool is_tcp(int fd)
{
	int protocol = 0;
	socklen_t size = sizeof(protocol);

	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
	       protocol == IPPROTO_TCP;
}

size_t connections_own(uint64_t *ret, size_t room)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc/self/fd");
	struct stat st;
	size_t n = 0;

	for (struct dirent *d = dir ? readdir(dir) : NULL; d && n < room; d = readdir(dir)) {
		uint64_t fd;

		if (str_to_u64(d->d_name, &fd) == 0 && is_tcp((int)fd) && fstat((int)fd, &st) == 0)
			ret[n++] = st.st_ino;
	}
	return n;
}
