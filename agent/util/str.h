/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded strings and numbers from text. Nothing here allocates, nothing here logs. */
#ifndef FAULTD_UTIL_STR_H
#define FAULTD_UTIL_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Copies as much as fits without cutting a UTF-8 sequence, always terminates. Returns false when it
 * had to cut. */
bool str_copy(char *to, size_t size, const char *from);

/* A bounded text that grows at its end; once something did not fit, `cut` stays true. */
struct text {
	char *data;
	size_t size;
	size_t length;
	bool cut;
};

#define TEXT(buffer) ((struct text){.data = (buffer), .size = sizeof(buffer)})

void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds `from` with bytes that would break a line or a terminal as \xNN. */
void text_add_escaped(struct text *t, const char *from);

bool str_eq(const char *a, const char *b);

/* 64 bits of FNV-1a: to tell texts apart, not to keep them secret. */
uint64_t str_hash(const char *s);
bool str_starts(const char *s, const char *prefix);

/* Whole decimal numbers: no sign for the unsigned one, no blanks, no tail.
 * Return 0, -EINVAL (not a number), -ERANGE. */
int str_to_u64(const char *s, uint64_t *ret);
int str_to_i64(const char *s, int64_t *ret);

/* A plain decimal number such as 12 or 0.5: no exponent, hex, inf or nan. Returns 0 or -EINVAL. */
int str_to_double(const char *s, double *ret);

/* Calls `each` for every comma-separated item, blanks around it removed, into a buffer of at most
 * 255 characters. An empty item or one that is too long ends it with -EINVAL; what `each` returns
 * other than 0 ends it too. The empty string has no items. */
int str_each_item(const char *list, int (*each)(const char *item, void *arg), void *arg);

/* Replaces what would break a line or a terminal, and what is not well-formed UTF-8, with '?'. */
void str_make_line(char *s);

/* Replaces what is not well-formed UTF-8 (process names may be any bytes) with '?'. */
void str_make_utf8(char *s);

/* How many characters, of UTF-8. */
size_t str_characters(const char *s);

/* Is `s` well-formed UTF-8? */
bool str_is_utf8(const char *s, size_t length);

#endif
