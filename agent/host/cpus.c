/* SPDX-License-Identifier: Apache-2.0 */
#include "host/cpus.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>

#include "util/cleanup.h"

int cpu_list_read(struct cpu_list *ret)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -errno;
	ret->n = 0;
	for (unsigned i = 0; i < CPUS_MAX && i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &set))
			ret->cpu[ret->n++] = (uint16_t)i;
	}
	return 0;
}

int cpu_times_read(uint64_t *ret_busy, uint64_t *ret_total)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/stat", "re");
	uint64_t v[8];

	if (!f)
		return -errno;
	/* user nice system idle iowait irq softirq steal; guest time is within user (proc_stat(5))
	 */
	if (fscanf(f,
		   "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %" SCNu64,
		   &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 8)
		return -EBADMSG;
	*ret_busy = v[0] + v[1] + v[2] + v[5] + v[6] + v[7];
	*ret_total = *ret_busy + v[3] + v[4];
	return 0;
}
