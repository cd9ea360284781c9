/* SPDX-License-Identifier: Apache-2.0 */
/* All that faultctl prints for people. Owns colours, the progress line and tables; everything
 * goes through one escape, so no text of the daemon reaches the terminal as a control sequence.
 * Must never print a text that has not been through it. */
#ifndef FAULTD_CTL_OUT_H
#define FAULTD_CTL_OUT_H

#include <stdbool.h>
#include <stddef.h>

#define PRINTF(f, a) __attribute__((format(printf, f, a)))

enum colour { PLAIN, BOLD, DIM, GREEN, YELLOW, RED };

/* Looks at stdout, TERM and NO_COLOR once, before anything is printed. */
void out_init(void);

/* Whether stdout is a terminal that can overwrite a line. */
bool out_is_terminal(void);

/* How wide the terminal is (or 80), and whether it shows more than ASCII. */
size_t out_columns(void);
bool out_is_utf8(void);

/* Draws lines (NULL-terminated, cut at the terminal's width; of more than it has rows, the first)
 * over those of the call before, if nothing was printed since. For a terminal only. */
void out_block(char **lines);

/* p, or the end of the program: a client that has no memory cannot do its one job. */
void *must(void *p);

/* A copy of text, to be freed, fit for a terminal: control and direction-changing characters and
 * bytes that are not UTF-8 become \xNN or \u{NNNN}, and so does all but ASCII where the terminal's
 * character set is another; what is longer than 4 KiB is cut. */
char *out_escape(const char *text);

/* The same, to be freed, cut or padded to this many columns; and how many columns it takes whole.
 */
char *out_fitted(const char *text, size_t columns);
size_t out_width(const char *text);

/* Formatted text, to be freed, not escaped. */
char *textf(const char *format, ...) PRINTF(1, 2);

/* The formatted text, escaped, on stdout: out_line with a newline, out_put without. */
void out_line(enum colour colour, const char *format, ...) PRINTF(2, 3);
void out_put(enum colour colour, const char *format, ...) PRINTF(2, 3);

/* One line on stderr, escaped; out_error begins it with "faultctl: ". */
void out_error(const char *format, ...) PRINTF(1, 2);
void out_note(const char *format, ...) PRINTF(1, 2);

/* One JSON document as it came, and a newline. Control characters, which no JSON text holds
 * unescaped, are written as \u00NN, and so is what a terminal of another character set would take
 * for them. */
void out_json(const char *json, size_t len);

/* The formatted text, escaped, in lines of the terminal's width (or 80), each behind `indent`
 * spaces; `at` is the column the cursor is in. */
void out_wrapped(size_t at, size_t indent, const char *format, ...) PRINTF(3, 4);

/* Draws a bar of fraction (0 to 1; below 0: no bar) and the text over the line the cursor is in. */
void out_progress(double fraction, const char *text);

/* Wipes the progress line, if one is drawn. */
void out_progress_clear(void);

/* Writes out what is buffered. Returns 0, or the errno that first kept output from being written.
 */
int out_finish(void);

struct table {
	size_t columns, count, room;
	struct cell {
		char *text;
		enum colour colour;
	} * cells;
};

/* Adds the next cell, left to right, top to bottom. */
void table_cell(struct table *t, enum colour colour, const char *format, ...) PRINTF(3, 4);

/* Prints every row behind `indent` spaces and empties the table. */
void table_print(struct table *t, int indent);

#endif
