/* SPDX-License-Identifier: Apache-2.0 */
#include "util/duration.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define YEAR_US (366ULL * 24 * 3600 * 1000000)

struct unit {
	const char *name;
	uint64_t us;
	int rank; /* falling from left to right: 1m30s, never 30s1m */
};

static const struct unit short_units[] = {{"d", 86400000000, 6}, {"h", 3600000000, 5},
					  {"us", 1, 1},          {"ms", 1000, 2},
					  {"m", 60000000, 4},    {"s", 1000000, 3}};
static const struct unit iso_date_units[] = {{"D", 86400000000, 6}};
static const struct unit iso_time_units[] = {
	{"H", 3600000000, 5}, {"M", 60000000, 4}, {"S", 1000000, 3}};

static const struct unit *find_unit(const struct unit *units, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++) {
		if (str_starts(s, units[i].name))
			return &units[i];
	}
	return NULL;
}

/* Thousandths of a unit, so that 1.5s and PT0.25S are exact. Returns the characters read or 0. */
static size_t read_thousandths(const char *s, uint64_t *ret)
{
	uint64_t v = 0, scale = 1000;
	size_t i = 0;

	for (; isdigit((unsigned char)s[i]) && i < 12; i++)
		v = v * 10 + (uint64_t)(s[i] - '0');
	if (i == 0)
		return 0;
	v *= 1000;
	if (s[i] == '.') {
		size_t start = ++i;

		for (; isdigit((unsigned char)s[i]) && i - start < 3; i++) {
			scale /= 10;
			v += scale * (uint64_t)(s[i] - '0');
		}
		if (i == start)
			return 0;
	}
	*ret = v;
	return i;
}

/* Reads number-unit pairs up to the end of `s` or to the character `stop`. */
static int read_units(const char **s, char stop, const struct unit *units, size_t n, uint64_t *us)
{
	int rank = 99;

	while (**s && **s != stop) {
		const struct unit *u;
		uint64_t thousandths;
		size_t len = read_thousandths(*s, &thousandths);

		if (len == 0)
			return -EINVAL;
		u = find_unit(units, n, *s + len);
		if (!u || u->rank >= rank)
			return -EINVAL;
		if (thousandths / 1000 > YEAR_US / u->us)
			return -ERANGE;
		if (thousandths * u->us % 1000 != 0)
			return -EINVAL;
		rank = u->rank;
		*us += thousandths * u->us / 1000;
		*s += len + strlen(u->name);
	}
	return rank == 99 ? -ENODATA : 0;
}

static int parse_iso(const char *s, uint64_t *us)
{
	int date, time = -ENODATA;

	date = read_units(&s, 'T', iso_date_units, ARRAY_SIZE(iso_date_units), us);
	if (date < 0 && date != -ENODATA)
		return date;
	if (*s == 'T') {
		s++;
		time = read_units(&s, '\0', iso_time_units, ARRAY_SIZE(iso_time_units), us);
		if (time < 0)
			return time == -ENODATA ? -EINVAL : time;
	}
	return date < 0 && time < 0 ? -EINVAL : 0;
}

int duration_parse_us(const char *s, uint64_t *ret_us)
{
	uint64_t us = 0;
	int r;

	if (s[0] == 'P') {
		s++;
		r = parse_iso(s, &us);
	} else {
		r = read_units(&s, '\0', short_units, ARRAY_SIZE(short_units), &us);
	}
	if (r < 0)
		return r == -ENODATA ? -EINVAL : r;
	if (us > YEAR_US)
		return -ERANGE;
	*ret_us = us;
	return 0;
}

int duration_parse(const char *s, uint64_t *ret_ms)
{
	uint64_t us;
	int r = duration_parse_us(s, &us);

	if (r < 0)
		return r;
	if (us % 1000 != 0)
		return -EINVAL;
	*ret_ms = us / 1000;
	return 0;
}

void duration_print(uint64_t ms, struct text *t)
{
	uint64_t hours = ms / 3600000, minutes = ms / 60000 % 60, rest = ms % 60000;

	if (hours)
		text_add(t, "%" PRIu64 "h", hours);
	if (minutes)
		text_add(t, "%" PRIu64 "m", minutes);
	if (rest && rest < 1000 && !hours && !minutes)
		text_add(t, "%" PRIu64 "ms", rest);
	else if (rest % 1000 == 0 && (rest || ms == 0))
		text_add(t, "%" PRIu64 "s", rest / 1000);
	else if (rest) {
		uint64_t thousandths = rest % 1000;
		int digits = 3;

		for (; thousandths % 10 == 0; thousandths /= 10)
			digits--;
		text_add(t, "%" PRIu64 ".%0*" PRIu64 "s", rest / 1000, digits, thousandths);
	}
}
