/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_LISTEN_H
#define FAULTD_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "util/err.h"

/* The API's listening socket: the one a supervisor passed (LISTEN_FDS), else bound at `path` with
 * mode 0660 and group `gid` ((gid_t)-1: left as it is). What is at `path` is replaced only when it
 * is a socket on which nobody listens. Returns the descriptor, or a negative errno and the error.
 * `ret_own`: bound here, so ours to unlink. */
int listen_open(const char *path, gid_t gid, bool *ret_own, struct error *e);

#endif
