/* SPDX-License-Identifier: Apache-2.0 */
/* Undoing from journals: what the guardian does, and faultd at its start, when whoever wrote them
 * is dead. Allocates nothing: static memory, a descriptor or two, small reads. */
#ifndef FAULTD_STEPS_REPLAY_H
#define FAULTD_STEPS_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "plan/journal.h"

#define JOURNAL_SUFFIX ".journal"
#define JOURNAL_LOCK   "lock"

/* Opens RUNTIME/journal, which is created (0700) when `create`. Returns it or a negative errno. */
int journal_dir_open(const char *runtime_dir, bool create);

/* Whoever undoes or applies holds this lock. Returns a descriptor; -EWOULDBLOCK when another has it
 * after `wait_ms`; or another errno. */
int journal_lock(int dirfd, int wait_ms);

/* This boot's id, as text of 36 characters. Returns 0 or a negative errno. */
int boot_id_read(char ret[static 40]);

struct replay_result {
	unsigned faults; /* journals that were found open */
	unsigned undone; /* steps */
	unsigned failed; /* steps whose undo failed; their journals stay */
	unsigned unread; /* files that could not be opened or read just now; they stay */
	unsigned bad;    /* lines or files that could not be read; those files are kept as *.bad */
};

/* Undoes every open journal in `dirfd`, newest fault first, and removes those that are done.
 * The caller holds the lock. Returns 0, or a negative errno if the directory cannot be read. */
int replay_all(int dirfd, struct replay_result *ret);

/* Prints every open journal and what it owes, one line each, to stdout. */
int replay_list(int dirfd);

/* The earliest deadline of the open journals, CLOCK_BOOTTIME in ns; 0 when there is none. */
int replay_earliest_deadline(int dirfd, uint64_t *ret);

/* How many journals there are. */
int replay_count(int dirfd, size_t *ret);

#endif
