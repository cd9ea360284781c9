/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/str.h"

#define MESSAGE_MAX 1024 /* FIS's ExceptionMessage */

/* What did not fit is told as a number: that too is an answer. */
#define ROOM_FOR_MORE 32

void problems_add(struct problems *p, enum error_code code, const char *path, const char *format,
		  ...)
{
	struct problem *new;
	char text[2 * sizeof(new->text)];
	va_list ap;

	if (p->n == 0 && p->dropped == 0)
		p->code = code;
	if (!p->problem)
		p->problem = calloc(PROBLEMS_MAX, sizeof(*p->problem));
	if (!p->problem || p->n == PROBLEMS_MAX) {
		p->dropped++;
		return;
	}
	new = &p->problem[p->n++];
	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	/* Both may quote what anybody sent. */
	str_make_line(text);
	(void)str_copy(new->text, sizeof(new->text), text);
	(void)str_copy(new->path, sizeof(new->path), path);
	str_make_line(new->path);
}

/* An error's message begins with its field, which the path says here. */
static const char *without_field(const struct error *e)
{
	size_t n = strlen(e->field);

	if (n > 0 && strncmp(e->message, e->field, n) == 0 && str_starts(e->message + n, ": "))
		return e->message + n + 2;
	return e->message;
}

void problems_add_error(struct problems *p, const char *path, const char *prefix,
			const struct error *e)
{
	size_t n = strlen(prefix);
	const char *field = e->field;
	char at[PROBLEM_PATH_MAX];

	if (n > 0 && strncmp(field, prefix, n) == 0)
		field += field[n] == '.' ? n + 1 : n;
	problems_add(p, e->code, field[0] ? problem_path(at, path, field) : path, "%s",
		     without_field(e));
}

void problem_shown(const char *text, char ret[static PROBLEM_SHOWN_MAX])
{
	struct text t = {.data = ret, .size = PROBLEM_SHOWN_MAX};

	text_add_escaped(&t, text);
}

const char *problem_path(char ret[static PROBLEM_PATH_MAX], const char *parent, const char *name)
{
	char path[PROBLEM_PATH_MAX] = "", shown[PROBLEM_SHOWN_MAX];
	struct text t = TEXT(path);

	problem_shown(name, shown);
	text_add(&t, "%s%s%s", parent, parent[0] ? "." : "", shown);
	memcpy(ret, path, sizeof(path));
	return ret;
}

const char *problem_path_at(char ret[static PROBLEM_PATH_MAX], const char *parent, size_t i)
{
	char path[PROBLEM_PATH_MAX] = "";
	struct text t = TEXT(path);

	text_add(&t, "%s[%zu]", parent, i);
	memcpy(ret, path, sizeof(path));
	return ret;
}

void problems_done(struct problems *p)
{
	free(p->problem);
	*p = (struct problems){0};
}

/* "PATH: TEXT"; what concerns the whole has no path. */
static void line_of(const struct problem *one, struct text *t)
{
	text_add(t, "%s%s%s", one->path, one->path[0] ? ": " : "", one->text);
}

static void make_message(const struct problems *p, struct text *t)
{
	size_t told = 0, all = p->n + p->dropped;

	if (all > 1)
		text_add(t, "%zu problems: ", all);
	for (; told < p->n; told++) {
		char line[sizeof(p->problem->path) + sizeof(p->problem->text) + 4];
		struct text l = TEXT(line);

		line_of(&p->problem[told], &l);
		if (told > 0 && t->length + l.length + ROOM_FOR_MORE >= t->size)
			break;
		text_add(t, "%s%s", told ? "; " : "", line);
	}
	if (told == 0)
		text_add(t, "out of memory");
	else if (told < all)
		text_add(t, "; and %zu more", all - told);
}

static cJSON *print_one(const struct problem *one)
{
	cJSON *o = cJSON_CreateObject();

	if (cJSON_AddStringToObject(o, "path", one->path) &&
	    cJSON_AddStringToObject(o, "message", one->text))
		return o;
	cJSON_Delete(o);
	return NULL;
}

static bool add_all(const struct problems *p, cJSON *array)
{
	for (size_t i = 0; array && i < p->n; i++) {
		cJSON *o = print_one(&p->problem[i]);

		if (!o || !cJSON_AddItemToArray(array, o)) {
			cJSON_Delete(o);
			return false;
		}
	}
	return array;
}

cJSON *problems_print(const struct problems *p)
{
	cJSON *o = cJSON_CreateObject();
	char message[MESSAGE_MAX + 1];
	struct text t = TEXT(message);

	make_message(p, &t);
	if (cJSON_AddStringToObject(o, "message", message) &&
	    add_all(p, cJSON_AddArrayToObject(o, "problems")))
		return o;
	cJSON_Delete(o);
	return NULL;
}

void problems_error(const struct problems *p, struct error *e)
{
	const struct problem *first = p->problem;
	char line[sizeof(first->path) + sizeof(first->text) + 4];
	struct text t = TEXT(line);

	if (p->n == 0) {
		error_set_text(e, ERROR_FAILED, "out of memory");
		return;
	}
	line_of(first, &t);
	error_set_text(e, p->code, "%s", line);
	(void)str_copy(e->field, sizeof(e->field), first->path);
}
