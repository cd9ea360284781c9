/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_HOST_OOM_H
#define FAULTD_HOST_OOM_H

#include <stdint.h>

/* How many processes the OOM killer has taken since boot, for the host or for a cgroup (`oom_kill`
 * of /proc/vmstat, Linux 4.13). 0 when it cannot be read. */
uint64_t oom_kills_read(void);

#endif
