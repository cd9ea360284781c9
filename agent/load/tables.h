/* SPDX-License-Identifier: Apache-2.0 */
/* More descriptors than RLIMIT_NOFILE lets a process have: the limit is one of each descriptor
 * table, and a thread can have a table of its own (unshare(2), CLONE_FILES). All end with the
 * process. */
#ifndef FAULTD_LOAD_TABLES_H
#define FAULTD_LOAD_TABLES_H

#include <stddef.h>
#include <stdint.h>

#define TABLES_MAX 4096

struct table;
struct tables {
	struct table *table[TABLES_MAX];
	size_t n;
	uint32_t capacity; /* of each */
	/* Called in the thread whose table it is, one at a time. `open` returns a descriptor or a
	 * negative errno. `closing` may be NULL. */
	int (*open)(void *arg);
	void (*closing)(void *arg, int fd);
	void *arg;
};

/* Raises the soft limit. Returns 0 or a negative errno. */
int tables_init(struct tables *t);

/* Opens `n`; `ret_n`: how many there were. Returns 0, or why they were fewer. */
int tables_take(struct tables *t, uint64_t n, uint64_t *ret_n);

/* Closes the `n` newest. */
void tables_give(struct tables *t, uint64_t n);

#endif
