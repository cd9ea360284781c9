/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_API_AUTH_H
#define FAULTD_API_AUTH_H

#include <stdbool.h>
#include <sys/types.h>

/* Finds a group by name in /etc/group (a directory service could block the loop).
 * Returns 0 or -ENOENT. */
int group_lookup(const char *name, gid_t *ret);

/* Was the peer of this connection a member of `gid` when it connected? (SO_PEERGROUPS, Linux 4.13)
 */
bool peer_in_group(int fd, gid_t primary, gid_t gid);

#endif
