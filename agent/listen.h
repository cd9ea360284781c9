/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_LISTEN_H
#define FAULTD_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "util/err.h"

/* The API's listening socket: the one a supervisor passed (LISTEN_FDS), else bound at `path` with
 * mode 0660 and group `gid` ((gid_t)-1: left as it is). What is at `path` is replaced only when it
 * is a socket on which nobody listens. Returns the descriptor, or a negative errno and the error.
 * `ret_own`: bound here, so ours to unlink. */
int listen_open(const char *path, gid_t gid, bool *ret_own, struct error *e);

#define LISTEN_NAME_MAX 64

/* A listening TCP socket at a loopback address and port: "127.0.0.1:7340", "[::1]:7340"; port 0: a
 * free one. Any other address is refused. Returns the descriptor, or a negative errno and the
 * error. `ret_name`: where it listens, in the same form. */
int listen_loopback(const char *at, char ret_name[static LISTEN_NAME_MAX], struct error *e);

#endif
