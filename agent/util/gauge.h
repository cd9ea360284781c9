/* SPDX-License-Identifier: Apache-2.0 */
/* How many of something there may be, and are: what a process meets first when it wants one more.
 * Read only, nothing is allocated. */
#ifndef FAULTD_UTIL_GAUGE_H
#define FAULTD_UTIL_GAUGE_H

#include <stddef.h>
#include <stdint.h>

#define GAUGE_NO_LIMIT UINT64_MAX

struct gauge {
	uint64_t limit; /* GAUGE_NO_LIMIT */
	uint64_t used;
};

/* The open files of the host, and fs.file-max, which binds all but CAP_SYS_ADMIN. */
int gauge_files_read(struct gauge *ret);

/* The threads of the host; the limit is the smaller one of kernel.threads-max and kernel.pid_max.
 */
int gauge_pids_read(struct gauge *ret);

/* The threads of the cgroups that the caller is in: the one with the least room left, out of its
 * own and those above it. GAUGE_NO_LIMIT when none has a limit. */
int gauge_own_cgroup_read(struct gauge *ret);

/* The ephemeral ports of the caller's network namespace, without those that are reserved: a bit for
 * each port. Returns how many, or a negative errno. */
#define PORT_BITS (65536 / 64)
int gauge_ports_read(uint64_t ret[static PORT_BITS]);

/* "1-5,9" of ip_local_reserved_ports: takes them out of `bits`. Returns 0 or -EBADMSG. Pure. */
int gauge_ports_remove(const char *list, uint64_t bits[static PORT_BITS]);

static inline int bit_get(const uint64_t *bits, size_t i)
{
	return (int)(bits[i / 64] >> (i % 64) & 1);
}

static inline void bit_set(uint64_t *bits, size_t i)
{
	bits[i / 64] |= 1ULL << (i % 64);
}

static inline void bit_clear(uint64_t *bits, size_t i)
{
	bits[i / 64] &= ~(1ULL << (i % 64));
}

#endif
