/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of a fill: how much it should hold, given what there is. Pure: no clock, no
 * kernel. */
#ifndef FAULTD_LOAD_DISK_WANT_H
#define FAULTD_LOAD_DISK_WANT_H

#include <stdint.h>

enum disk_of {
	DISK_FILESYSTEM, /* percent used in the end, by all, as df(1) counts */
	DISK_FREE,       /* percent of what was free at first */
	DISK_BYTES,
};

struct disk_space {
	uint64_t used;          /* bytes, by all; what is held included */
	uint64_t available;     /* to everybody: root's reserve is not part of it */
	uint64_t held;          /* by us */
	uint64_t free_at_first; /* `available`, before anything was held */
	uint64_t block;         /* the answer is a multiple */
};

/* Bytes to hold. In `filesystem` the whole is used + available, so that 100 % is where df says 100
 * % and nobody but root can write; root's reserve is never asked for. What others take or free
 * changes the answer. Whatever is asked for, `reserve` bytes stay available, so long as what is
 * held can make up for them. */
uint64_t disk_wanted(enum disk_of of, double value, uint64_t reserve, const struct disk_space *s)
	__attribute__((warn_unused_result));

#endif
