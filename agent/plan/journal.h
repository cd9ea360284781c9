/* SPDX-License-Identifier: Apache-2.0 */
/* The journal as text: one file per fault, append-only lines, each behind its CRC-32, readable at
 * night with cat. Pure: who holds the file passes lines in and out.
 *
 *   1c291ca3 fault id=f-… action=… boot=… deadline=NS pid=… start=… number=…
 *   8d3f9a10 step 0 kind=signal pid=… …     what will be done, with all that undoing needs
 *   …        step 0 …                       again: something was learned; the last one counts
 *   …        begin 0                        written before the change; from here on it is undone
 *   …        did 0
 *   …        undone 0
 *   …        end                            nothing is left to undo
 *
 * Between two waves, when nothing is owed, it is cut off after its first line and begins anew.
 *
 * A line that is torn at the end of the file never preceded a change, so it is dropped and told. A
 * bad line in the middle is skipped and told: all else is still undone. */
#ifndef FAULTD_PLAN_JOURNAL_H
#define FAULTD_PLAN_JOURNAL_H

#include <stdbool.h>
#include <sys/types.h>

#include "plan/step.h"

struct journal_header {
	char id[FAULT_ID_MAX];
	char action[ACTION_NAME_MAX];
	char boot[40];       /* /proc/sys/kernel/random/boot_id */
	uint64_t deadline;   /* CLOCK_BOOTTIME, ns */
	uint64_t pid, start; /* of the faultd that wrote it */
	uint64_t number;     /* rising: faults are undone in the reverse order */
};

enum journal_line_type {
	JOURNAL_FAULT,
	JOURNAL_STEP,
	JOURNAL_BEGIN,
	JOURNAL_DID,
	JOURNAL_UNDONE,
	JOURNAL_END,
	_JOURNAL_LINE_TYPE_MAX,
};

/* Each adds one complete line, newline included. A text that was cut must not be written. */
void journal_print_header(const struct journal_header *h, struct text *t);
void journal_print_step(size_t index, const struct step *s, struct text *t);
void journal_print_mark(enum journal_line_type type, size_t index, struct text *t);

/* Reads one line (without its newline). `ret_body` points behind type and index, into `line`.
 * Returns 0, or -EBADMSG for a wrong checksum, type or index. */
int journal_parse(const char *line, enum journal_line_type *ret_type, size_t *ret_index,
		  const char **ret_body);
int journal_parse_header(const char *body, struct journal_header *ret);

/* What a whole file said, small enough to be static: for every step where its line is, and how far
 * it came. Feed the lines in order. */
struct journal_replay {
	struct journal_header header;
	bool has_header;
	bool ended;
	size_t n_steps; /* highest index seen, and one */
	size_t bad_lines;
	off_t step_at[STEPS_MAX]; /* of its last step line; 0: none was readable */
	uint8_t begun[STEPS_MAX];
	uint8_t undone[STEPS_MAX];
	uint8_t idle[STEPS_MAX]; /* does nothing to the host by itself: a cgroup made for a load */
};

void journal_replay_line(struct journal_replay *replay, const char *line, off_t at);

/* Has this step to be undone? (begun, and not undone) */
bool journal_owes(const struct journal_replay *replay, size_t index);

/* Does it still have an effect? (as above, and not idle) A cgroup whose workers were killed has
 * none, but can be removed only when the kernel has done with them. */
bool journal_affects(const struct journal_replay *replay, size_t index);

uint32_t crc32_of(const char *data, size_t n);

#endif
