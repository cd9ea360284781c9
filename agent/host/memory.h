/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_HOST_MEMORY_H
#define FAULTD_HOST_MEMORY_H

#include <stdint.h>

/* The memory of this host, and how much of it can be had without swapping, in bytes. Returns 0 or a
 * negative errno. */
int memory_read(uint64_t *ret_total, uint64_t *ret_available);

#endif
