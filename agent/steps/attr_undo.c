/* SPDX-License-Identifier: Apache-2.0 */
/* One value of a kernel file, put back if it still is ours. The formats are those of the kernel's
 * admin-guide/cgroup-v2.rst and cgroup-v1/{blkio-controller,freezer-subsystem}.rst: a file that has
 * a line per device drops the line when nothing is limited any more. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "steps/attr.h"
#include "steps/kinds.h"
#include "util/cleanup.h"

#define FILE_TEXT_MAX 32768 /* io.max of some hundred devices */

/* Static: undoing must not wait for memory. One thread, one step at a time. */
static char file_text[FILE_TEXT_MAX];

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool attr_is_file(const struct step_attr *a, const char *file)
{
	return str_eq(last_part(a->path), file);
}

void attr_name(const struct step_attr *a, struct text *t)
{
	text_add(t, "%s%s%s", a->key, a->key[0] ? " of " : "", a->path);
}

int attr_sibling(const struct step_attr *a, const char *file, char *ret, size_t size)
{
	int directory = (int)(last_part(a->path) - a->path);
	int n = snprintf(ret, size, "%.*s%s", directory, a->path, file);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int attr_read_file(const char *path, char *ret, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (length < size && (n = read(fd, ret + length, size - length)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		length += (size_t)n;
	}
	if (length == size)
		return -EFBIG;
	ret[length] = '\0';
	return 0;
}

/* What follows the key on its line, cut off there; NULL when there is no such line. */
static char *find_line(char *text, const char *key)
{
	size_t n = strlen(key);

	for (char *line = text; *line;) {
		char *end = line + strcspn(line, "\n");
		bool last = *end == '\0';

		*end = '\0';
		if (n == 0)
			return line;
		if (strncmp(line, key, n) == 0 && line[n] == ' ')
			return line + n + 1;
		line = last ? end : end + 1;
	}
	return NULL;
}

/* The word "NAME=…" in a line, and its length. */
static const char *find_word(const char *line, const char *name, size_t n, size_t *ret_length)
{
	for (const char *w = line; *w; w += strspn(w, " \t")) {
		*ret_length = strcspn(w, " \t");
		if (*ret_length > n && w[n] == '=' && memcmp(w, name, n) == 0)
			return w;
		w += *ret_length;
	}
	return NULL;
}

/* Of a line of "name=value" words those that `want` names, in its order. A third party's limits on
 * the same line are theirs, before and after. */
static void pick_words(const char *line, const char *want, struct text *t)
{
	for (const char *w = want; *w; w += strspn(w, " ")) {
		size_t length = strcspn(w, " "), name = strcspn(w, "="), there;
		const char *found = find_word(line, w, name, &there);

		text_add(t, "%s", t->length ? " " : "");
		if (found)
			text_add(t, "%.*s", (int)there, found);
		else
			text_add(t, "%.*s=max", (int)name, w);
		w += length;
	}
}

static void copy_single_blanks(const char *line, struct text *t)
{
	for (const char *w = line + strspn(line, " \t"); *w; w += strspn(w, " \t")) {
		size_t length = strcspn(w, " \t");

		text_add(t, "%s%.*s", t->length ? " " : "", (int)length, w);
		w += length;
	}
}

/* freezer.state also says FROZEN below a frozen cgroup; what was written to it itself is told
 * apart (3.3). */
static int read_freezer(const struct step_attr *a, char *ret)
{
	char path[sizeof(a->path) + 32];
	int r = attr_sibling(a, "freezer.self_freezing", path, sizeof(path));

	if (r == 0)
		r = attr_read_file(path, file_text, sizeof(file_text));
	if (r == 0)
		(void)str_copy(ret, ATTR_VALUE_MAX, file_text[0] == '1' ? "FROZEN" : "THAWED");
	return r;
}

int attr_read(const struct step_attr *a, char ret[static ATTR_VALUE_MAX])
{
	struct text t = {.data = ret, .size = ATTR_VALUE_MAX};
	const char *line;
	int r;

	ret[0] = '\0';
	if (attr_is_file(a, "freezer.state"))
		return read_freezer(a, ret);
	r = attr_read_file(a->path, file_text, sizeof(file_text));
	if (r < 0)
		return r;
	line = find_line(file_text, a->key);
	if (a->key[0] && strchr(a->want, '='))
		pick_words(line ? line : "", a->want, &t);
	else if (line)
		copy_single_blanks(line, &t);
	else if (a->key[0])
		text_add(&t, "0");
	return t.cut ? -EFBIG : 0;
}

int attr_write(const struct step_attr *a, const char *value)
{
	char line[sizeof(a->key) + ATTR_VALUE_MAX + 2];
	struct text t = TEXT(line);
	_cleanup_close_ int fd = -1;

	text_add(&t, "%s%s%s\n", a->key, a->key[0] ? " " : "", value);
	fd = open(a->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, line, t.length) < 0 ? -errno : 0;
}

/* The cgroup has ended, or the device has: what was set went with it. */
static bool is_gone(int r)
{
	return r == -ENOENT || r == -ENODEV;
}

static bool is_ours(const struct step_attr *a, const char *now)
{
	return str_eq(now, a->want) || (a->want_before[0] && str_eq(now, a->want_before));
}

int attr_undo_alone(struct step *s, struct text *note)
{
	const struct step_attr *a = &s->attr;
	char now[ATTR_VALUE_MAX];
	int r = attr_read(a, now);

	if (r == 0 && str_eq(now, a->was))
		return 0;
	if (r == 0 && !is_ours(a, now)) {
		attr_name(a, note);
		text_add(note, " is now '%s', which is not ours: left alone", now);
		return 0;
	}
	if (r == 0)
		r = attr_write(a, a->was);
	if (r == 0)
		r = attr_read(a, now);
	if (r < 0)
		return is_gone(r) ? 0 : r;
	/* Somebody was faster: the next time it is theirs. */
	return str_eq(now, a->was) ? 0 : -EAGAIN;
}
