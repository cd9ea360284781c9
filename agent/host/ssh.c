/* SPDX-License-Identifier: Apache-2.0 */
#include "host/ssh.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/proc.h"
#include "util/str.h"

#define TCP_ESTABLISHED 1 /* include/net/tcp_states.h, as printed in /proc/net/tcp */

struct inodes {
	uint64_t inode[64];
	size_t n;
};

static void socket_inodes(pid_t pid, struct inodes *ret)
{
	char path[300], link[64];
	_cleanup_closedir_ DIR *dir = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, d->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = '\0';
		if (ret->n < ARRAY_SIZE(ret->inode) &&
		    sscanf(link, "socket:[%" SCNu64 "]", &ret->inode[ret->n]) == 1)
			ret->n++;
	}
}

static bool has_inode(const struct inodes *i, uint64_t inode)
{
	for (size_t k = 0; k < i->n; k++) {
		if (i->inode[k] == inode)
			return true;
	}
	return false;
}

/* The kernel prints addresses as 32-bit words in host byte order: 8 digits for IPv4, 32 for IPv6.
 */
static bool parse_address(const char *hex, uint8_t *addr)
{
	size_t words = strlen(hex) / 8;
	uint32_t w[4];

	memset(addr, 0, 16);
	if (words != 1 && words != 4)
		return false;
	for (size_t i = 0; i < words; i++) {
		if (sscanf(hex + 8 * i, "%8" SCNx32, &w[i]) != 1)
			return false;
	}
	if (words == 1) {
		addr[10] = addr[11] = 0xff;
		memcpy(addr + 12, w, 4);
	} else {
		memcpy(addr, w, 16);
	}
	return true;
}

static bool parse_line(const char *line, struct classify_flow *ret, uint64_t *ret_inode)
{
	char local[33], remote[33];
	unsigned local_port, remote_port, state;

	if (sscanf(line,
		   " %*d: %32[0-9A-Fa-f]:%x %32[0-9A-Fa-f]:%x %x %*s %*s %*s %*d %*d %" SCNu64,
		   local, &local_port, remote, &remote_port, &state, ret_inode) != 6)
		return false;
	ret->local_port = (uint16_t)local_port;
	ret->remote_port = (uint16_t)remote_port;
	return state == TCP_ESTABLISHED && parse_address(local, ret->local) &&
	       parse_address(remote, ret->remote);
}

static size_t connections_in(pid_t pid, const char *table, const struct inodes *inodes,
			     struct classify_flow *ret, size_t room)
{
	char path[64], line[512];
	_cleanup_fclose_ FILE *f = NULL;
	size_t n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)pid, table);
	f = fopen(path, "re");
	while (f && n < room && fgets(line, sizeof(line), f)) {
		uint64_t inode;

		if (parse_line(line, &ret[n], &inode) && has_inode(inodes, inode))
			n++;
	}
	return n;
}

size_t ssh_connections(pid_t pid, struct classify_flow *ret, size_t room)
{
	struct proc_stat st;
	size_t n = 0;

	for (int depth = 0; depth < 64 && pid > 1 && proc_stat_read(pid, &st) == 0; depth++) {
		if (str_eq(st.name, "sshd") || str_eq(st.name, "sshd-session")) {
			struct inodes inodes = {0};

			socket_inodes(pid, &inodes);
			n += connections_in(pid, "tcp", &inodes, ret + n, room - n);
			n += connections_in(pid, "tcp6", &inodes, ret + n, room - n);
		}
		pid = st.ppid;
	}
	return n;
}
