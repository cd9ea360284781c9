/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a kernel attribute. Values are compared as text, so what is wanted has to be as the
 * kernel prints it; what it makes into something else is taken back at once and refused. */
#include "steps/attr.h"

#include <errno.h>
#include <string.h>

#include "steps/kinds.h"

static int cannot(struct error *e, int r, const char *what, const struct step_attr *a)
{
	char name[sizeof(a->path) + sizeof(a->key) + 8];
	struct text t = TEXT(name);
	const char *why = r == -EFBIG ? "its value is longer than can be put back" : strerror(-r);

	attr_name(a, &t);
	return error_set(e, r == -EACCES || r == -EPERM ? ERROR_UNSUPPORTED : ERROR_FAILED, r,
			 "cannot %s %s: %s", what, name, why);
}

int attr_prepare(struct step *s, const struct step_env *env, struct error *e)
{
	int r = attr_read(&s->attr, s->attr.was);

	s->attr.want_before[0] = '\0';
	return r < 0 ? cannot(e, r, "read", &s->attr) : 1;
}

/* What is there now came from the value that we replace: unless somebody else set another. */
static int check_still_ours(const struct step_attr *a, struct error *e)
{
	char now[ATTR_VALUE_MAX];
	int r;

	if (!a->want_before[0])
		return 0;
	r = attr_read(a, now);
	if (r < 0)
		return cannot(e, r, "read", a);
	if (str_eq(now, a->want_before) || str_eq(now, a->want))
		return 0;
	return error_set(e, ERROR_CONFLICT, -ESTALE, "%s is now '%s', which somebody else set",
			 a->path, now);
}

int attr_apply(struct step *s, const struct step_env *env, struct error *e)
{
	const struct step_attr *a = &s->attr;
	char now[ATTR_VALUE_MAX];
	int r = check_still_ours(a, e);

	if (r < 0)
		return r;
	r = attr_write(a, a->want);
	if (r < 0)
		return cannot(e, r, "write", a);
	r = attr_read(a, now);
	if (r < 0)
		return cannot(e, r, "read back", a);
	if (str_eq(now, a->want))
		return 0;
	/* Undoing would take it for somebody else's. */
	(void)attr_write(a, a->was);
	return error_set(e, ERROR_FAILED, -EIO, "%s took '%s' for '%s'", a->path, a->want, now);
}

/* Freezing takes as long as its processes take to come out of the kernel. */
int attr_settle(struct step *s, const struct step_env *env, struct error *e)
{
	const struct step_attr *a = &s->attr;
	bool v1 = attr_is_file(a, "freezer.state") && str_eq(a->want, "FROZEN");
	bool v2 = attr_is_file(a, "cgroup.freeze") && str_eq(a->want, "1");
	char path[sizeof(a->path) + 32], text[256];
	int r;

	if (!v1 && !v2)
		return 0;
	r = attr_sibling(a, v1 ? "freezer.state" : "cgroup.events", path, sizeof(path));
	if (r == 0)
		r = attr_read_file(path, text, sizeof(text));
	if (r < 0)
		return cannot(e, r, "read the state of", a);
	return strstr(text, v1 ? "FROZEN" : "frozen 1") ? 0 : -EAGAIN;
}

bool attr_prepare_update(struct step *s, const struct step *fresh)
{
	struct step_attr *a = &s->attr;

	(void)str_copy(a->want_before, sizeof(a->want_before), a->want);
	(void)str_copy(a->want, sizeof(a->want), fresh->attr.want);
	return true;
}
