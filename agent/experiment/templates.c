/* SPDX-License-Identifier: Apache-2.0 */
/* The templates there are: in memory, as they are on disk. A change is made in memory when the disk
 * has it, and only then is answered. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/internal.h"
#include "experiment/make_id.h"
#include "plan/policy.h"
#include "util/log.h"
#include "util/str.h"

enum change_kind { CHANGE_CREATE, CHANGE_REPLACE, CHANGE_DELETE };

/* One that is on its way to the disk. */
struct template_change {
	struct template_change *next;
	struct experiments *all;
	enum change_kind kind;
	struct template *template; /* a reference */
	template_done_fn done;
	void *arg;
};

static size_t find(const struct experiments *all, const char *id)
{
	size_t i = 0;

	while (i < all->n_templates && !str_eq(all->templates[i]->id, id))
		i++;
	return i;
}

struct template *templates_find(struct experiments *all, const char *id)
{
	size_t i = find(all, id);

	return i < all->n_templates ? all->templates[i] : NULL;
}

struct template *templates_next(struct experiments *all, const struct template *t)
{
	size_t i = t ? find(all, t->id) : all->n_templates;

	return i > 0 && i <= all->n_templates ? all->templates[i - 1] : NULL;
}

size_t templates_count(const struct experiments *all)
{
	return all->n_templates;
}

/* For `n` of them. */
static int make_room(struct experiments *all, size_t n)
{
	size_t room = n + 16;
	struct template **more;

	if (n <= all->templates_room)
		return 0;
	more = reallocarray(all->templates, room, sizeof(*more));
	if (!more)
		return -ENOMEM;
	all->templates = more;
	all->templates_room = room;
	return 0;
}

static void remove_at(struct experiments *all, size_t i)
{
	if (i < all->next_saved)
		all->next_saved--;
	template_unref(all->templates[i]);
	all->n_templates--;
	memmove(&all->templates[i], &all->templates[i + 1],
		(all->n_templates - i) * sizeof(all->templates[0]));
}

/* Puts what the disk has into memory; there is room. One that was deleted when it was replaced
 * stays so, and the disk is told once more. */
static int make(struct template_change *c)
{
	struct experiments *all = c->all;
	size_t i = find(all, c->template->id);

	if (c->kind == CHANGE_CREATE) {
		all->templates[all->n_templates++] = template_ref(c->template);
	} else if (c->kind == CHANGE_DELETE && i < all->n_templates) {
		remove_at(all, i);
	} else if (i < all->n_templates) {
		template_unref(all->templates[i]);
		all->templates[i] = template_ref(c->template);
	} else if (c->kind == CHANGE_REPLACE) {
		(void)store_delete(all->store, STORE_TEMPLATES, c->template->id, NULL, NULL);
		return -ENOENT;
	}
	return 0;
}

static void take_out(struct template_change *c)
{
	struct template_change **p = &c->all->changes;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
}

static void on_stored(int r, void *arg)
{
	struct template_change *c = arg;
	struct error e = {0};

	if (r < 0)
		(void)error_set(&e, ERROR_FAILED, r,
				"the template could not be kept on disk: %s; nothing is changed",
				store_strerror(r));
	if (r == 0)
		r = make(c);
	if (r == -ENOENT && e.code == ERROR_NONE)
		(void)error_set(&e, ERROR_NOT_FOUND, r,
				"experiment template %.64s was deleted meanwhile", c->template->id);
	take_out(c);
	c->done(r, c->template, &e, c->arg);
	template_unref(c->template);
	free(c);
}

static size_t count_with_changes(const struct experiments *all)
{
	size_t n = all->n_templates;

	for (const struct template_change *c = all->changes; c; c = c->next)
		n += c->kind == CHANGE_CREATE;
	return n;
}

static int put(struct experiments *all, const struct template *t, store_done_fn done, void *arg)
{
	cJSON *saved = template_save(t);
	char *text = saved ? cJSON_PrintUnformatted(saved) : NULL;
	int r = text ? store_put(all->store, STORE_TEMPLATES, t->id, timespec_us(&t->created_at),
				 text, done, arg)
		     : -ENOMEM;

	cJSON_free(text);
	cJSON_Delete(saved);
	return r;
}

/* Takes the reference over. */
static int change(struct experiments *all, enum change_kind kind, struct template *t,
		  template_done_fn done, void *arg, struct error *e)
{
	struct template_change *c = calloc(1, sizeof(*c));
	int r = -ENOMEM;

	if (c) {
		*c = (struct template_change){.next = all->changes,
					      .all = all,
					      .kind = kind,
					      .template = t,
					      .done = done,
					      .arg = arg};
		all->changes = c;
		r = make_room(all, count_with_changes(all));
	}
	if (r == 0) {
		r = kind == CHANGE_DELETE
			    ? store_delete(all->store, STORE_TEMPLATES, t->id, on_stored, c)
			    : put(all, t, on_stored, c);
	}
	if (r == 0)
		return 0;
	if (c)
		take_out(c);
	free(c);
	template_unref(t);
	return error_set(e, ERROR_FAILED, r, "the template cannot be kept: %s", strerror(-r));
}

static struct template *with_token(struct experiments *all, const char *token)
{
	for (size_t i = 0; i < all->n_templates; i++) {
		if (str_eq(all->templates[i]->client_token, token))
			return all->templates[i];
	}
	for (struct template_change *c = all->changes; c; c = c->next) {
		if (c->kind == CHANGE_CREATE && str_eq(c->template->client_token, token))
			return c->template;
	}
	return NULL;
}

static int check_quota(struct experiments *all, struct error *e)
{
	if (count_with_changes(all) < (size_t)all->policy->fis.templates_max)
		return 0;
	return error_set(e, ERROR_QUOTA, -EDQUOT,
			 "there are %zu experiment templates already, as many as there may be",
			 count_with_changes(all));
}

/* A token that is known: the template there is, written once more, so that who asks again hears of
 * it when it is on disk, too. */
static int create_again(struct experiments *all, struct template *before, struct template *t,
			template_done_fn done, void *arg, struct error *e)
{
	bool same = before->canonical && t->canonical && str_eq(before->canonical, t->canonical);

	template_unref(t);
	if (!same)
		return error_set(e, ERROR_CONFLICT, -EEXIST,
				 "clientToken: already used for another request (template %s)",
				 before->id);
	return change(all, CHANGE_REPLACE, template_ref(before), done, arg, e);
}

int templates_create(struct experiments *all, struct template *t, template_done_fn done, void *arg,
		     struct error *e)
{
	struct template *before = with_token(all, t->client_token);
	int r;

	if (before)
		return create_again(all, before, t, done, arg, e);
	r = check_quota(all, e);
	if (r < 0) {
		template_unref(t);
		return r;
	}
	make_fis_id("EXT", t->id);
	(void)clock_gettime(CLOCK_REALTIME, &t->created_at);
	t->updated_at = t->created_at;
	return change(all, CHANGE_CREATE, t, done, arg, e);
}

int templates_replace(struct experiments *all, struct template *t, template_done_fn done, void *arg,
		      struct error *e)
{
	return change(all, CHANGE_REPLACE, t, done, arg, e);
}

int templates_delete(struct experiments *all, const char *id, template_done_fn done, void *arg,
		     struct error *e)
{
	struct template *t = templates_find(all, id);

	if (!t)
		return error_set(e, ERROR_NOT_FOUND, -ENOENT, "no experiment template %.64s", id);
	return change(all, CHANGE_DELETE, template_ref(t), done, arg, e);
}

/* A template that this faultd does not understand any more is left on disk, and told of. */
int templates_load(struct experiments *all, const cJSON *saved)
{
	struct problems problems = {0};
	struct template *t = NULL;
	struct error e;
	int r = make_room(all, all->n_templates + 1);

	if (r == 0)
		r = template_load(saved, &t, &problems);
	if (r == 0) {
		all->templates[all->n_templates++] = t;
	} else if (r != -ENOMEM) {
		problems_error(&problems, &e);
		log_warning("a template on disk is not understood and left out: %s", e.message);
	}
	problems_done(&problems);
	return r;
}

#define SAVE_PAUSE_MS 200

static void on_saving(uv_timer_t *t);

static bool is_changing(const struct experiments *all, const struct template *t)
{
	const struct template_change *c = all->changes;

	while (c && !str_eq(c->template->id, t->id))
		c = c->next;
	return c;
}

/* As many as the store takes at a time. What is told to it after a change must not be older. */
static void save_on(struct experiments *all)
{
	int r = 0;

	while (r == 0 && all->next_saved < all->n_templates) {
		const struct template *t = all->templates[all->next_saved];

		if (!is_changing(all, t))
			r = put(all, t, NULL, NULL);
		all->next_saved += r == 0;
	}
	if (r == -EBUSY || r == -ENOMEM)
		(void)uv_timer_start(&all->saving, on_saving, SAVE_PAUSE_MS, 0);
	else if (r < 0)
		log_error("the templates are not all kept on disk: %s", strerror(-r));
}

static void on_saving(uv_timer_t *t)
{
	save_on(t->data);
}

void templates_save(struct experiments *all)
{
	all->next_saved = 0;
	save_on(all);
}

void templates_free(struct experiments *all)
{
	for (size_t i = 0; i < all->n_templates; i++)
		template_unref(all->templates[i]);
	free(all->templates);
	while (all->changes) {
		struct template_change *c = all->changes;

		all->changes = c->next;
		template_unref(c->template);
		free(c);
	}
}
