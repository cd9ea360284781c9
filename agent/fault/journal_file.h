/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of one fault, as a file that faultd appends to. Space is allocated ahead of its end,
 * so that a full file system refuses a fault before anything changed and never strands one. */
#ifndef FAULTD_FAULT_JOURNAL_FILE_H
#define FAULTD_FAULT_JOURNAL_FILE_H

#include <sys/types.h>

#include "plan/journal.h"

struct journal_file {
	int dirfd; /* not owned */
	int fd;
	off_t end;
	off_t steps; /* where the header ends */
	off_t allocated;
	char name[64];
};

/* Creates ID.journal with the header. Returns 0 or a negative errno; then nothing is left. */
int journal_file_create(struct journal_file *j, int dirfd, const struct journal_header *h);

/* Append one line. Return 0 or a negative errno. */
int journal_file_step(struct journal_file *j, size_t index, const struct step *s);
int journal_file_mark(struct journal_file *j, enum journal_line_type type, size_t index);

/* Makes the plan durable (the file and its name). Once, before the first change. */
int journal_file_sync(struct journal_file *j);

/* Makes room for `n` more steps, all their lines included. Returns 0 or -ENOSPC and the like. */
int journal_file_reserve(struct journal_file *j, size_t n);

/* Forgets all steps and what became of them, for when none is owed. Returns 0 or a negative errno.
 */
int journal_file_restart(struct journal_file *j);

/* Nothing is left to undo: marks the end, removes the file. Safe to call twice. */
void journal_file_finish(struct journal_file *j);

#endif
