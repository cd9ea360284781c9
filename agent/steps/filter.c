/* SPDX-License-Identifier: Apache-2.0 */
/* The classifier as a filter of clsact. It outlives faultd, so it is journalled; the deadline
 * inside the program ends its effect in any case. */
#include <errno.h>

#include "steps/classifier.h"
#include "steps/clsact.h"
#include "steps/kinds.h"

/* A filter that is there before our first is of another faultd: it must not be begun, or undoing
 * would delete it. */
int filter_prepare(struct step *s, const struct step_env *env, struct error *e)
{
	int r = classifier_users(env->classifiers, &s->hook, USE_FILTER)
			? 0
			: filter_present((uint32_t)s->hook.ifindex, (uint32_t)s->hook.direction);

	if (r > 0)
		return error_set(e, ERROR_CONFLICT, -EEXIST,
				 "cannot add a filter to %s: it has one of another faultd",
				 s->hook.ifname);
	return r < 0 ? hook_cannot(e, r, "read the filters of", &s->hook) : 0;
}

int filter_apply(struct step *s, const struct step_env *env, struct error *e)
{
	int users = classifier_take(env->classifiers, &s->hook, USE_FILTER);
	int r = users;

	/* Also when it should be there: somebody may have deleted it, or the qdisc with it. */
	if (users == 0 || (users > 0 && filter_present((uint32_t)s->hook.ifindex,
						       (uint32_t)s->hook.direction) == 0))
		r = filter_add((uint32_t)s->hook.ifindex, (uint32_t)s->hook.direction,
			       classifier_prog_fd(env->classifiers, &s->hook));
	if (r >= 0) {
		s->hook.taken = true;
		return 0;
	}
	if (users >= 0)
		(void)classifier_drop(env->classifiers, &s->hook, USE_FILTER);
	return hook_cannot(e, r, "add a filter to", &s->hook);
}

int filter_undo(struct step *s, const struct step_env *env, struct text *note)
{
	int r = 0;

	if (!s->hook.taken)
		return 0;
	if (classifier_users(env->classifiers, &s->hook, USE_FILTER) == 1)
		r = filter_undo_alone(s, note);
	if (r < 0)
		return r;
	s->hook.taken = false;
	(void)classifier_drop(env->classifiers, &s->hook, USE_FILTER);
	return 0;
}
