/* SPDX-License-Identifier: Apache-2.0 */
/* The stop conditions of an experiment: watched from before its first action to its end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "experiment/internal.h"
#include "util/str.h"

struct experiment_watch {
	struct probe *probe[TEMPLATE_CONDITIONS_MAX];
	size_t n, n_told;
};

static size_t index_of(const struct experiment_watch *w, const struct probe *p)
{
	size_t i = 0;

	while (i < w->n && w->probe[i] != p)
		i++;
	return i;
}

static void fired(struct experiment *x, const struct probe *p, const char *reason)
{
	char text[REASON_MAX];

	(void)snprintf(text, sizeof(text), "Stop condition %s: %.400s", p->type->source, reason);
	life_end(x, RUN_STOPPED, "", "", text);
}

static void on_told(struct probe *p, enum probe_state state, const char *reason, bool first,
		    void *arg)
{
	struct experiment *x = arg;
	struct experiment_watch *w = x->watch;

	if (!w || index_of(w, p) == w->n)
		return;
	if (first && ++w->n_told == w->n)
		x->life->is_watched = true;
	if (state == PROBE_FIRED)
		fired(x, p, reason);
	life_kick(x);
}

int watch_conditions(struct experiment *x, struct error *e)
{
	const struct template *t = x->template;
	int r = 0;

	x->watch = calloc(1, sizeof(*x->watch));
	if (!x->watch)
		return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	for (size_t i = 0; i < t->n_conditions && r == 0; i++) {
		const struct template_condition *c = &t->conditions[i];
		const struct probe_type *type = probe_type_find(c->source);
		struct probe *p;

		if (str_eq(c->source, "none"))
			continue;
		r = type ? probe_start(type, c->value, &x->owner->probe_env, on_told, x, &p, e)
			 : error_set(e, ERROR_UNSUPPORTED, -EOPNOTSUPP, "unknown source %s",
				     c->source);
		if (r == 0)
			x->watch->probe[x->watch->n++] = p;
	}
	x->life->is_watched = x->watch->n == 0;
	return r;
}

void watch_conditions_stop(struct experiment *x)
{
	for (size_t i = 0; x->watch && i < x->watch->n; i++)
		probe_stop(x->watch->probe[i]);
	free(x->watch);
	x->watch = NULL;
}
