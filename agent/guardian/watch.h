/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_GUARDIAN_WATCH_H
#define FAULTD_GUARDIAN_WATCH_H

#include <stdbool.h>

/* Watches the faultd of `runtime_dir`: waits for it, connects, and when it is lost (end of file,
 * dead, no heartbeat, a fault overdue) fences it and undoes. Returns 0 after the first faultd when
 * `once`, 1 when something could not be undone then, a negative errno when it cannot watch at all;
 * without `once` it waits for the next faultd for ever. */
int watch(const char *runtime_dir, bool once);

/* Undoes what the journals of a dead faultd owe, with a few tries. The lock must be free within
 * `wait_ms`; `force`: go on without it after that (its holder is fenced and runs no more code).
 * Returns 0, 1 when something could not be undone, or a negative errno (-EWOULDBLOCK: locked). */
int undo_all(int dirfd, int wait_ms, bool force);

#endif
