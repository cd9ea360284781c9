/* SPDX-License-Identifier: Apache-2.0 */
/* See out.h. The two outputs that do not pass out_escape() are the sequences this file itself
 * makes and out_json(), which has its own rule. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/exit.h"
#include "ctl/out.h"

#define ESCAPED_MAX 4096
#define CELL_PAD    48 /* one long cell must not push the whole table off the screen */
#define BAR_CELLS   24

static bool terminal, colours, utf8;
static bool progress_drawn;
static size_t block_lines; /* that out_block() drew last, and nothing was printed since */
static int output_error;   /* errno, of stdout */

void out_init(void)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	(void)setlocale(LC_CTYPE, "");
	utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	terminal = isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
	colours = terminal && !(no_color && *no_color);
}

bool out_is_terminal(void)
{
	return terminal;
}

bool out_is_utf8(void)
{
	return utf8;
}

void *must(void *p)
{
	if (!p) {
		fputs("faultctl: out of memory\n", stderr);
		exit(EXIT_FAILED);
	}
	return p;
}

static const char *colour_on(enum colour colour)
{
	static const char *const codes[] = {
		[PLAIN] = "",         [BOLD] = "\033[1m",    [DIM] = "\033[2m",
		[GREEN] = "\033[32m", [YELLOW] = "\033[33m", [RED] = "\033[1;31m",
	};

	return colours ? codes[colour] : "";
}

static const char *colour_off(enum colour colour)
{
	return colours && colour != PLAIN ? "\033[0m" : "";
}

/* The length of the character at s, or 0 if the bytes there are not UTF-8. */
static size_t utf8_decode(const unsigned char *s, uint32_t *ret)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t c = n == 1 ? s[0] : n ? s[0] & (0x7fU >> n) : 0;

	if (s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fU);
	}
	if (n && (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)))
		return 0;
	*ret = c;
	return n;
}

/* Controls, and what is invisible or turns the direction of text: both can fake a screen. */
static bool is_hostile(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {{0, 0x1f},        {0x7f, 0x9f},      {0xad, 0xad},     {0x61c, 0x61c},
		      {0x200b, 0x200f}, {0x2028, 0x202e},  {0x2060, 0x206f}, {0xfeff, 0xfeff},
		      {0xfff9, 0xfffb}, {0xe0000, 0xe0fff}};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

char *out_escape(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	char *ret = must(malloc(ESCAPED_MAX + 16));
	size_t used = 0;

	while (*s && used < ESCAPED_MAX) {
		uint32_t c = 0;
		size_t n = utf8_decode(s, &c);

		if (n == 0 || (n == 1 && is_hostile(c))) {
			used += (size_t)sprintf(ret + used, "\\x%02x", *s);
			n = 1;
		} else if (is_hostile(c)) {
			used += (size_t)sprintf(ret + used, "\\u{%x}", c);
		} else {
			memcpy(ret + used, s, n);
			used += n;
		}
		s += n;
	}
	(void)strcpy(ret + used, *s ? "..." : "");
	return ret;
}

PRINTF(1, 0) static char *vtextf(const char *format, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	return must(text);
}

char *textf(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = vtextf(format, args);
	va_end(args);
	return text;
}

PRINTF(1, 0) static char *vescaped(const char *format, va_list args)
{
	_cleanup_(freep) char *text = vtextf(format, args);

	return out_escape(text);
}

/* The first failure is the one that tells why. */
static void flush(void)
{
	if ((fflush(stdout) != 0 || ferror(stdout)) && !output_error)
		output_error = errno;
}

int out_finish(void)
{
	flush();
	return output_error;
}

static void put(enum colour colour, const char *escaped, const char *end)
{
	printf("%s%s%s%s", colour_on(colour), escaped, colour_off(colour), end);
	flush();
}

void out_line(enum colour colour, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	_cleanup_(freep) char *text = vescaped(format, args);
	va_end(args);
	out_progress_clear();
	put(colour, text, "\n");
}

void out_put(enum colour colour, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	_cleanup_(freep) char *text = vescaped(format, args);
	va_end(args);
	put(colour, text, "");
}

void out_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	_cleanup_(freep) char *text = vescaped(format, args);
	va_end(args);
	out_progress_clear();
	fprintf(stderr, "faultctl: %s\n", text);
}

void out_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	_cleanup_(freep) char *text = vescaped(format, args);
	va_end(args);
	out_progress_clear();
	fprintf(stderr, "%s\n", text);
}

void out_json(const char *json, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)json[i];
		unsigned char next = i + 1 < len ? (unsigned char)json[i + 1] : 0;

		if (c == 0xc2 && next >= 0x80 && next <= 0x9f) {
			printf("\\u%04x", next);
			i++;
		} else if ((c < 0x20 && !strchr("\t\r\n", c)) || c == 0x7f || c == 0) {
			printf("\\u%04x", c);
		} else {
			putchar(c);
		}
	}
	if (len == 0 || json[len - 1] != '\n')
		putchar('\n');
	flush();
}

/* How many characters the text takes; every one is taken to be one column wide. */
static size_t width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void cut(char *text, size_t columns)
{
	for (; *text; text++)
		if (((unsigned char)*text & 0xc0) != 0x80 && columns-- == 0)
			break;
	*text = '\0';
}

size_t out_columns(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

static void put_bar(double fraction)
{
	int full = (int)(fraction * BAR_CELLS + 0.5);

	fputs(colour_on(GREEN), stdout);
	for (int i = 0; i < BAR_CELLS; i++) {
		if (i == full)
			printf("%s%s", colour_off(GREEN), colour_on(DIM));
		fputs(i < full ? (utf8 ? "█" : "#") : (utf8 ? "░" : "-"), stdout);
	}
	printf("%s ", colour_off(GREEN));
}

void out_wrapped(size_t at, size_t indent, const char *format, ...)
{
	size_t room = out_columns();
	char *text;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	must(text);
	for (char *save = NULL, *word = strtok_r(text, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		_cleanup_(freep) char *shown = out_escape(word);
		size_t w = width(shown);
		bool fresh = at <= indent;

		if (!fresh && at + 1 + w > room) {
			fputs("\n", stdout);
			at = 0;
			fresh = true;
		}
		if (fresh)
			printf("%*s%s", (int)(indent - at), "", shown);
		else
			printf(" %s", shown);
		at = (fresh ? indent : at + 1) + w;
	}
	fputs("\n", stdout);
	free(text);
}

void out_progress(double fraction, const char *text)
{
	_cleanup_(freep) char *line = out_escape(text);
	size_t room = out_columns() - 1;
	bool bar = fraction >= 0 && room > 2 * (BAR_CELLS + 1);

	fputs("\r", stdout);
	if (bar)
		put_bar(fraction > 1 ? 1 : fraction);
	cut(line, bar ? room - BAR_CELLS - 1 : room);
	printf("%s\033[K", line);
	flush();
	progress_drawn = true;
}

void out_block(char **lines)
{
	size_t room = out_columns() - 1;

	if (block_lines)
		printf("\033[%zuA", block_lines);
	block_lines = 0;
	for (size_t i = 0; lines[i]; i++) {
		_cleanup_(freep) char *line = out_escape(lines[i]);

		cut(line, room);
		printf("\r%s%s%s\033[K\n", i ? "" : colour_on(BOLD), line,
		       i ? "" : colour_off(BOLD));
		block_lines++;
	}
	flush();
}

void out_progress_clear(void)
{
	block_lines = 0;
	if (!progress_drawn)
		return;
	fputs("\r\033[K", stdout);
	flush();
	progress_drawn = false;
}

void table_cell(struct table *t, enum colour colour, const char *format, ...)
{
	va_list args;

	if (t->count == t->room) {
		t->room = t->room ? 2 * t->room : 32;
		t->cells = must(reallocarray(t->cells, t->room, sizeof(*t->cells)));
	}
	va_start(args, format);
	t->cells[t->count].text = vescaped(format, args);
	va_end(args);
	t->cells[t->count++].colour = colour;
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t widest = 0;

	for (size_t i = column; i < t->count; i += t->columns) {
		size_t w = width(t->cells[i].text);

		if (w <= CELL_PAD && w > widest)
			widest = w;
	}
	return widest;
}

static void put_row(const struct cell *row, const size_t *widths, size_t columns, int indent)
{
	int gap = indent;

	for (size_t i = 0; i < columns; i++) {
		size_t w = width(row[i].text);

		/* Blanks only before something: no line ends in them. */
		if (w) {
			printf("%*s%s%s%s", gap, "", colour_on(row[i].colour), row[i].text,
			       colour_off(row[i].colour));
			gap = 0;
		}
		gap += (int)(widths[i] > w ? widths[i] - w : 0) + 2;
	}
	putchar('\n');
}

void table_print(struct table *t, int indent)
{
	_cleanup_(freep) size_t *widths = must(calloc(t->columns, sizeof(*widths)));

	for (size_t i = 0; i < t->columns; i++)
		widths[i] = column_width(t, i);
	for (size_t i = 0; i + t->columns <= t->count; i += t->columns)
		put_row(t->cells + i, widths, t->columns, indent);
	flush();
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i].text);
	free(t->cells);
	*t = (struct table){.columns = t->columns};
}
