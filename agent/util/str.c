/* SPDX-License-Identifier: Apache-2.0 */
#include "util/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where to cut at most `n` bytes so that no UTF-8 sequence is cut in two. */
static size_t cut_at(const char *s, size_t n)
{
	size_t back = 0;

	while (back < 3 && back < n && ((unsigned char)s[n - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < n && ((unsigned char)s[n - 1 - back] & 0xc0) == 0xc0) {
		unsigned char lead = (unsigned char)s[n - 1 - back];
		size_t need = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;

		if (need > back)
			return n - 1 - back;
	}
	return n;
}

bool str_copy(char *to, size_t size, const char *from)
{
	size_t n = strnlen(from, size);

	if (n < size) {
		memcpy(to, from, n + 1);
		return true;
	}
	n = cut_at(from, size - 1);
	memcpy(to, from, n);
	to[n] = '\0';
	return false;
}

void text_add(struct text *t, const char *format, ...)
{
	size_t room = t->size - t->length;
	va_list ap;
	int n;

	if (t->cut)
		return;
	va_start(ap, format);
	n = vsnprintf(t->data + t->length, room, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room) {
		t->cut = true;
		t->length = cut_at(t->data, t->size - 1);
		t->data[t->length] = '\0';
	} else {
		t->length += (size_t)n;
	}
}

void text_add_escaped(struct text *t, const char *from)
{
	text_add(t, "%s", "");
	for (const unsigned char *p = (const unsigned char *)from; *p; p++) {
		if (*p < 0x20 || *p == 0x7f || *p == '\\')
			text_add(t, "\\x%02x", *p);
		else
			text_add(t, "%c", *p);
	}
}

uint64_t str_hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3ULL;
	return h;
}

bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

int str_to_u64(const char *s, uint64_t *ret)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)s[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno == ERANGE)
		return -ERANGE;
	*ret = v;
	return 0;
}

int str_to_i64(const char *s, int64_t *ret)
{
	long long v;
	char *end;

	if (!isdigit((unsigned char)s[s[0] == '-']))
		return -EINVAL;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno == ERANGE)
		return -ERANGE;
	*ret = v;
	return 0;
}

int str_to_double(const char *s, double *ret)
{
	const char *p = s + (s[0] == '-');
	size_t whole = strspn(p, "0123456789");
	size_t part = p[whole] == '.' ? strspn(p + whole + 1, "0123456789") : 0;

	if (whole == 0 || (p[whole] == '.' && part == 0))
		return -EINVAL;
	if (p[whole + (p[whole] == '.') + part] != '\0' || whole + part > 300)
		return -EINVAL;
	*ret = strtod(s, NULL);
	return 0;
}

int str_each_item(const char *list, int (*each)(const char *item, void *arg), void *arg)
{
	const char *p = list;

	if (*p == '\0')
		return 0;
	for (;;) {
		size_t n = strcspn(p, ",");
		const char *first = p + strspn(p, " \t");
		const char *last = p + n;
		char item[256];
		int r;

		while (last > first && isblank((unsigned char)last[-1]))
			last--;
		if (first >= last || (size_t)(last - first) >= sizeof(item))
			return -EINVAL;
		memcpy(item, first, (size_t)(last - first));
		item[last - first] = '\0';
		r = each(item, arg);
		if (r != 0)
			return r;
		if (p[n] == '\0')
			return 0;
		p += n + 1;
	}
}

/* Length of the well-formed sequence at `s`, or 0 (RFC 3629, table 3-7 of the Unicode standard). */
static size_t utf8_sequence(const unsigned char *s, size_t left)
{
	size_t n = s[0] < 0x80   ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf5 ? 4
				 : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

void str_make_line(char *s)
{
	for (char *p = s; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	str_make_utf8(s);
}

void str_make_utf8(char *s)
{
	size_t left = strlen(s);

	while (left > 0) {
		size_t n = utf8_sequence((const unsigned char *)s, left);

		if (n == 0) {
			*s = '?';
			n = 1;
		}
		s += n;
		left -= n;
	}
}

bool str_is_utf8(const char *s, size_t length)
{
	const unsigned char *p = (const unsigned char *)s;

	while (length > 0) {
		size_t n = utf8_sequence(p, length);

		if (n == 0)
			return false;
		p += n;
		length -= n;
	}
	return true;
}

size_t str_characters(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}
