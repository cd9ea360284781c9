/* SPDX-License-Identifier: Apache-2.0 */
#include "api/auth.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "util/cleanup.h"
#include "util/str.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

int group_lookup(const char *name, gid_t *ret)
{
	_cleanup_fclose_ FILE *f = fopen("/etc/group", "re");

	for (struct group *g = f ? fgetgrent(f) : NULL; g; g = fgetgrent(f)) {
		if (str_eq(g->gr_name, name)) {
			*ret = g->gr_gid;
			return 0;
		}
	}
	return -ENOENT;
}

bool peer_in_group(int fd, gid_t primary, gid_t gid)
{
	gid_t groups[256];
	socklen_t size = sizeof(groups);

	if (primary == gid)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(groups[0]); i++) {
		if (groups[i] == gid)
			return true;
	}
	return false;
}
