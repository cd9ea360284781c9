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
#include <wchar.h>

#include "ctl/ctl.h"
#include "ctl/exit.h"
#include "ctl/out.h"

#define ESCAPED_MAX 4096
#define CELL_PAD    48 /* one long cell must not push the whole table off the screen */
#define BAR_CELLS   24

static bool terminal, colours, utf8;
static bool ascii_alone; /* a terminal of another character set: there, 0x9b begins a sequence */
static bool progress_drawn;
static size_t block_lines; /* that out_block() drew last, and nothing was printed since */
static int output_error;   /* errno, of stdout */

void out_init(void)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	(void)setlocale(LC_CTYPE, "");
	utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	ascii_alone = !utf8 && (isatty(STDOUT_FILENO) || isatty(STDERR_FILENO));
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
		} else if (is_hostile(c) || (ascii_alone && n > 1)) {
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

/* What stands for it in JSON: one \u, or, above the 16 bits that has room for, two. */
static void put_unicode(uint32_t c)
{
	if (c > 0xffff) {
		printf("\\u%04x", 0xd7c0U + (c >> 10));
		c = 0xdc00U | (c & 0x3ff);
	}
	printf("\\u%04x", c);
}

static bool is_for_json(uint32_t c)
{
	return c == '\t' || c == '\r' || c == '\n' || (c >= 0x20 && c < 0x7f) ||
	       (c > 0x9f && !ascii_alone);
}

void out_json(const char *json, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		const unsigned char *at = (const unsigned char *)json + i;
		uint32_t c = 0;

		n = utf8_decode(at, &c);
		if (n == 0 && ascii_alone)
			putchar('?');
		else if (n == 0 || is_for_json(c))
			(void)fwrite(at, 1, n ? n : 1, stdout);
		else
			put_unicode(c);
		n = n ? n : 1;
	}
	if (len == 0 || json[len - 1] != '\n')
		putchar('\n');
	flush();
}

/* How many columns this character takes; goes to the next. */
static size_t step(const char **text)
{
	uint32_t c = 0;
	size_t n = utf8_decode((const unsigned char *)*text, &c);
	int columns = n > 1 ? wcwidth((wchar_t)c) : 1;

	*text += n ? n : 1;
	return columns < 0 ? 1 : (size_t)columns;
}

static size_t width(const char *text)
{
	size_t n = 0;

	while (*text)
		n += step(&text);
	return n;
}

/* Returns how many columns are left. */
static size_t cut(char *text, size_t columns)
{
	const char *at = text, *next = text;

	for (; *at; at = next) {
		size_t w = step(&next);

		if (w > columns)
			break;
		columns -= w;
	}
	text[at - text] = '\0';
	return columns;
}

char *out_fitted(const char *text, size_t columns)
{
	_cleanup_(freep) char *shown = out_escape(text);
	const char *more = width(shown) <= columns ? "" : utf8 ? "…" : "..";
	size_t w = width(more), left = cut(shown, columns > w ? columns - w : 0);

	return textf("%s%s%*s", shown, more, (int)left, "");
}

size_t out_width(const char *text)
{
	_cleanup_(freep) char *shown = out_escape(text);

	return width(shown);
}

static size_t rows(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 ? 24 : size.ws_row;
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
	(void)cut(line, bar ? room - BAR_CELLS - 1 : room);
	printf("%s\033[K", line);
	flush();
	progress_drawn = true;
}

static void put_block_line(const char *text, bool head)
{
	_cleanup_(freep) char *line = out_escape(text);

	(void)cut(line, out_columns() - 1);
	printf("\r%s%s%s\033[K\n", head ? colour_on(BOLD) : "", line, head ? colour_off(BOLD) : "");
}

/* The cursor is below the block, and cannot go up to what has left the screen. */
void out_block(char **lines)
{
	size_t n = 0, most = rows() > 3 ? rows() - 1 : 2, shown;

	while (lines[n])
		n++;
	shown = n > most ? most - 1 : n;
	if (block_lines)
		printf("\033[%zuA", block_lines < most ? block_lines : most);
	for (size_t i = 0; i < shown; i++)
		put_block_line(lines[i], i == 0);
	if (shown < n) {
		_cleanup_(freep) char *more = textf("  and %zu more", n - shown);

		put_block_line(more, false);
	}
	fputs("\033[J", stdout);
	block_lines = shown < n ? most : n;
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
