/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/prometheus.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 32

/* A part of the text it was read from. */
struct span {
	const char *at;
	size_t length;
};

struct series {
	struct span name;
	struct {
		struct span name, value; /* the value with its escapes */
	} label[LABELS_MAX];
	size_t n;
};

static bool same(struct span a, struct span b)
{
	return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

static void skip_blanks(const char **s)
{
	while (**s == ' ' || **s == '\t')
		(*s)++;
}

static bool take(const char **s, char c)
{
	skip_blanks(s);
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

static bool take_name(const char **s, struct span *ret)
{
	skip_blanks(s);
	ret->at = *s;
	while (isalnum((unsigned char)**s) || **s == '_' || **s == ':')
		(*s)++;
	ret->length = (size_t)(*s - ret->at);
	return ret->length > 0 && !isdigit((unsigned char)*ret->at);
}

static bool take_value(const char **s, struct span *ret)
{
	if (!take(s, '"'))
		return false;
	ret->at = *s;
	for (; **s != '"'; (*s)++) {
		if (**s == '\0' || **s == '\n')
			return false;
		if (**s == '\\' && (*s)[1] != '\0')
			(*s)++;
	}
	ret->length = (size_t)(*s - ret->at);
	(*s)++;
	return true;
}

/* A name and its labels. Label sets may end with a comma. */
static bool take_series(const char **s, struct series *ret)
{
	ret->n = 0;
	if (!take_name(s, &ret->name))
		return false;
	if (!take(s, '{'))
		return true;
	while (!take(s, '}')) {
		if (ret->n == LABELS_MAX || !take_name(s, &ret->label[ret->n].name) ||
		    !take(s, '=') || !take_value(s, &ret->label[ret->n].value))
			return false;
		ret->n++;
		if (take(s, ','))
			continue;
		if (!take(s, '}'))
			return false;
		break;
	}
	return true;
}

bool prometheus_is_sample(const char *sample)
{
	struct series series;

	return take_series(&sample, &series) && *sample == '\0';
}

static bool has_label(const struct series *series, struct span name, struct span value)
{
	for (size_t i = 0; i < series->n; i++) {
		if (same(series->label[i].name, name))
			return same(series->label[i].value, value);
	}
	return false;
}

static bool fits(const struct series *series, const struct series *wanted)
{
	for (size_t i = 0; i < wanted->n; i++) {
		if (!has_label(series, wanted->label[i].name, wanted->label[i].value))
			return false;
	}
	return true;
}

/* Behind the value there may be the time. */
static int take_number(const char *s, double *ret)
{
	char *end;

	skip_blanks(&s);
	if (*s == '\n')
		return -EBADMSG;
	*ret = strtod(s, &end);
	return end == s || (*end && !isspace((unsigned char)*end)) ? -EBADMSG : 0;
}

int prometheus_find(const char *text, const char *sample, double *ret)
{
	struct series wanted, series;
	int r = -ENOENT;

	if (!prometheus_is_sample(sample) || !take_series(&sample, &wanted))
		return -EINVAL;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		const char *s;

		line += *line == '\n';
		s = line;
		if (!take_name(&s, &series.name) || !same(series.name, wanted.name))
			continue;
		s = line;
		if (!take_series(&s, &series))
			return -EBADMSG;
		if (!fits(&series, &wanted))
			continue;
		if (r == 0)
			return -ENOTUNIQ;
		r = take_number(s, ret);
		if (r < 0)
			return r;
	}
	return r;
}
