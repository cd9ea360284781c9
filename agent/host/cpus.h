/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_HOST_CPUS_H
#define FAULTD_HOST_CPUS_H

#include <stddef.h>
#include <stdint.h>

#include "faultd/limits.h"

/* The CPUs faultd may run on, ascending: those a worker can be pinned to. */
struct cpu_list {
	uint32_t n;
	uint16_t cpu[CPUS_MAX];
};

/* Returns 0 or a negative errno. */
int cpu_list_read(struct cpu_list *ret);

/* Busy and total time of the whole host since boot, in clock ticks (/proc/stat).
 * Returns 0 or a negative errno. */
int cpu_times_read(uint64_t *ret_busy, uint64_t *ret_total);

#endif
