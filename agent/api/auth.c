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

void peer_groups(int fd, struct caller *c)
{
	socklen_t size = sizeof(c->groups);

	/* ERANGE: there are more. Nothing is told of the first ones then. */
	c->groups_unknown = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, c->groups, &size) < 0;
	c->n_groups = c->groups_unknown ? 0 : (uint16_t)(size / sizeof(c->groups[0]));
}
