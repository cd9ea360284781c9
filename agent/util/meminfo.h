/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of the host, as proc_meminfo(5) tells it. */
#ifndef FAULTD_UTIL_MEMINFO_H
#define FAULTD_UTIL_MEMINFO_H

#include <stdint.h>

#define MEMINFO_TEXT_MAX 8192

/* The value of a line "NAME:  123 kB", in bytes. Returns 0 or -ENOENT. */
int meminfo_find(const char *text, const char *name, uint64_t *ret)
	__attribute__((warn_unused_result));

#endif
