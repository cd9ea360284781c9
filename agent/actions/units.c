/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/units.h"

#include <errno.h>
#include <string.h>

#include "actions/protect.h"

int units_cannot(struct error *e, int r)
{
	if (r == -ENOTCONN)
		return error_set(e, ERROR_UNSUPPORTED, r,
				 "systemd is not the init system here: there are no units");
	return error_set(e, ERROR_FAILED, r, "cannot ask systemd for its units: %s",
			 r == -ETIMEDOUT ? "it does not answer"
			 : r == -E2BIG   ? "there are too many"
					 : strerror(-r));
}

static const char *why_not(const struct unit *u, const struct facts *facts, char *buffer,
			   size_t size)
{
	const char *why = protect_unit(u->name, facts);

	if (!why && u->transient)
		return "it is transient, so systemd would forget it";
	if (!why && !u->can_start)
		return "it could not be started again by hand";
	if (!why && !u->can_stop && !u->dependent)
		return "it refuses to be stopped by hand";
	/* One without processes has no cgroup. */
	if (!why && u->cgroup[0])
		why = protect_cgroup(u->cgroup, facts, buffer, size);
	return why;
}

int units_check(const struct unit_list *list, const struct facts *facts, struct error *e)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct unit *u = &list->unit[i];
		char buffer[160];
		const char *why = u->running ? why_not(u, facts, buffer, sizeof(buffer)) : NULL;

		if (!why)
			continue;
		return error_set(e, ERROR_DENIED, -EACCES,
				 u->dependent
					 ? "systemd would stop %s as well, which is protected: %s"
					 : "unit %s is protected: %s",
				 u->name, why);
	}
	return 0;
}

int units_look(struct unit_list *list, struct facts *facts, struct error *e)
{
	struct unit_facts *found = &facts->unit;
	int r = units_add_dependents(list);

	if (r < 0)
		return units_cannot(e, r);
	r = units_check(list, facts, e);
	for (size_t i = 0; r == 0 && i < list->n; i++) {
		const struct unit *u = &list->unit[i];

		if (!u->running)
			continue;
		if (found->n == UNITS_MAX)
			return error_set(e, ERROR_QUOTA, -E2BIG,
					 "more than %d units would be stopped, with those that "
					 "systemd stops along",
					 UNITS_MAX);
		(void)str_copy(found->unit[found->n].name, sizeof(found->unit[0].name), u->name);
		(void)str_copy(found->unit[found->n].trigger, sizeof(found->unit[0].trigger),
			       u->trigger);
		found->n++;
	}
	return r;
}

void units_take_over(struct facts *facts)
{
	struct unit_facts *found = &facts->unit;

	for (size_t i = facts->so_far->n; i-- > 0;) {
		const struct step *s = &facts->so_far->steps[i];

		if (s->kind != STEP_UNIT || found->n == UNITS_MAX)
			continue;
		(void)str_copy(found->unit[found->n].name, sizeof(found->unit[0].name),
			       s->unit.name);
		(void)str_copy(found->unit[found->n].trigger, sizeof(found->unit[0].trigger),
			       s->unit.trigger);
		found->n++;
	}
}

/* The last is stopped first, and so started last: what depends comes behind what it depends on. */
int units_plan(const struct facts *facts, struct plan *plan, struct error *e)
{
	for (unsigned i = facts->unit.n; i-- > 0;) {
		struct step *s = plan_add(plan, STEP_UNIT);
		int r = s ? plan_claim(plan, "unit %s", facts->unit.unit[i].name) : -errno;

		if (r < 0)
			return error_set(e, ERROR_FAILED, r, "cannot plan: %s", strerror(-r));
		(void)str_copy(s->unit.name, sizeof(s->unit.name), facts->unit.unit[i].name);
		(void)str_copy(s->unit.trigger, sizeof(s->unit.trigger),
			       facts->unit.unit[i].trigger);
	}
	return 0;
}
