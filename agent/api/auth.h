/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_API_AUTH_H
#define FAULTD_API_AUTH_H

#include <sys/types.h>

#include "plan/policy.h"

/* Finds a group by name in /etc/group (a directory service could block the loop).
 * Returns 0 or -ENOENT. */
int group_lookup(const char *name, gid_t *ret);

/* Fills in which groups the peer of this connection was in when it connected (SO_PEERGROUPS, Linux
 * 4.13). */
void peer_groups(int fd, struct caller *c);

#endif
