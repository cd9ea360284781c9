/* SPDX-License-Identifier: Apache-2.0 */
/* service-stop: the victim sees a service that is down, in order, as `systemctl stop` leaves it.
 * Changed on the host: systemd is asked to stop the unit, and so stops what requires it. Put back
 * by starting all that ran; their names are in the journal, so the guardian can do it too. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "actions/protect.h"
#include "actions/target.h"
#include "actions/units.h"

#define _cleanup_units_ __attribute__((cleanup(unit_list_done)))

struct service_stop {
	char unit[UNIT_NAME_SIZE];
	char selection_mode[24];
	int64_t seed;
	int empty; /* enum empty_mode */
};

static const struct row rows[] = {
	{.name = "unit",
	 .type = ROW_STRING,
	 FIELD_STRING(struct service_stop, unit),
	 .required = true,
	 .text = "the service, or a pattern such as web-*.service for all that match and run"},
	{.name = "selectionMode",
	 .type = ROW_STRING,
	 FIELD_STRING(struct service_stop, selection_mode),
	 .def = "ALL",
	 .text = "how many of what matches: ALL, COUNT(n) or PERCENT(n)"},
	{.name = "seed",
	 .type = ROW_INTEGER,
	 FIELD(struct service_stop, seed),
	 .min = 1,
	 .max = SEED_MAX,
	 .text = "of the random choice: the same seed chooses the same"},
	{.name = "emptyTargetResolutionMode",
	 .type = ROW_ENUM,
	 FIELD(struct service_stop, empty),
	 .def = "fail",
	 .values = empty_modes,
	 .text = "when nothing that matches runs: fail, or skip and end at once"},
};

static int check(const struct service_stop *p, char ret_name[static UNIT_NAME_SIZE],
		 struct error *e)
{
	const char *suffix = ".service";
	size_t n, length;

	if (selection_mode_count(p->selection_mode, 1, &n) < 0)
		return error_field(e, "parameters.selectionMode", p->selection_mode,
				   "ALL, COUNT(n) or PERCENT(n), such as COUNT(2) or PERCENT(50)",
				   "%s is none of them", p->selection_mode);
	length = unit_name_complete(p->unit, ret_name) ? strlen(ret_name) : 0;
	if (length <= strlen(suffix) || !str_eq(ret_name + length - strlen(suffix), suffix))
		return error_field(e, "parameters.unit", p->unit,
				   "a service, such as nginx or nginx.service", "%s is not one",
				   p->unit);
	return 0;
}

static void drop_stopped(struct unit_list *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->n; i++) {
		if (list->unit[i].running)
			list->unit[kept++] = list->unit[i];
	}
	list->n = kept;
}

static uint64_t hash(const char *name)
{
	uint64_t h = 0xcbf29ce484222325ULL; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3ULL;
	return h;
}

/* For qsort_r(): the last argument is the seed. */
static int by_chance(const void *a, const void *b, void *seed)
{
	const struct unit *p = a, *q = b;
	uint64_t x = random_place(*(const uint64_t *)seed, hash(p->name));
	uint64_t y = random_place(*(const uint64_t *)seed, hash(q->name));

	return x < y ? -1 : x > y;
}

static int by_name(const void *a, const void *b)
{
	const struct unit *p = a, *q = b;

	return strcmp(p->name, q->name);
}

/* The order in which systemd lists them is that of a hash table. */
static void choose(const struct service_stop *p, struct unit_list *list, uint64_t seed)
{
	size_t n = list->n;

	if (selection_mode_count(p->selection_mode, list->n, &n) == 0 && n < list->n) {
		qsort_r(list->unit, list->n, sizeof(*list->unit), by_chance, &seed);
		list->n = n;
	}
	qsort(list->unit, list->n, sizeof(*list->unit), by_name);
}

static int nothing_runs(const struct service_stop *p, const char *name, bool there,
			struct facts *facts, struct error *e)
{
	if (p->empty == EMPTY_SKIP) {
		facts->skipped = true;
		return 0;
	}
	return error_field(e, "parameters.unit", p->unit,
			   "what runs, or emptyTargetResolutionMode=skip",
			   there ? "%s does not run" : "no unit %s is loaded", name);
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct service_stop *p = params;
	_cleanup_units_ struct unit_list list = {0};
	char name[UNIT_NAME_SIZE];
	bool there;
	int r = check(p, name, e);

	if (r < 0)
		return r;
	if (p->seed)
		facts->seed = (uint64_t)p->seed;
	r = units_find(&(const char *){name}, 1, &list);
	if (r < 0)
		return units_cannot(e, r);
	there = list.n > 0;
	drop_stopped(&list);
	if (list.n == 0)
		return nothing_runs(p, name, there, facts, e);
	r = units_check(&list, facts, e);
	if (r < 0)
		return r;
	choose(p, &list, facts->seed);
	return units_look(&list, facts, e);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	char name[UNIT_NAME_SIZE];
	int r = check(params, name, e);

	return r < 0 ? r : units_plan(facts, plan, e);
}

static void describe(const void *params, struct text *t)
{
	const struct service_stop *p = params;

	text_add(t, "stop %s", p->unit);
	if (selection_mode_chooses(p->selection_mode))
		text_add(t, ", %s of what matches", p->selection_mode);
}

extern const struct action action_service_stop;
const struct action action_service_stop = {
	.name = "service-stop",
	.summary = "Stop systemd services and start them at the end",
	.description =
		"systemd stops the services as systemctl stop would, and with them what requires them, and starts "
		"all that ran when the fault ends. A service that a socket or timer triggers can be started by it "
		"meanwhile. Protected units, and those faultd or the caller runs in, are refused.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct service_stop),
	.look = look,
	.plan = plan,
	.describe = describe,
	.composition = "exclusive: one per unit",
};
