/* SPDX-License-Identifier: Apache-2.0 */
#include "host/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/str.h"

#define MANAGER_ADDRESS "unix:path=/run/systemd/private"
#define MANAGER         "org.freedesktop.systemd1"
#define MANAGER_OBJECT  "/org/freedesktop/systemd1"

static void message_done(sd_bus_message **m)
{
	(void)sd_bus_message_unref(*m);
}

#define _cleanup_message_ __attribute__((cleanup(message_done)))

/* One inquiry: the connection and the time it may take. */
struct inquiry {
	sd_bus *bus;
	uint64_t until_ns;
};

static void inquiry_done(const struct inquiry *q)
{
	(void)sd_bus_close_unref(q->bus);
}

#define _cleanup_inquiry_ __attribute__((cleanup(inquiry_done)))

void unit_list_done(struct unit_list *list)
{
	free(list->unit);
	*list = (struct unit_list){0};
}

bool unit_name_complete(const char *name, char ret[static UNIT_NAME_SIZE])
{
	static const char *const suffixes[] = {".service", ".socket",    ".target", ".device",
					       ".mount",   ".automount", ".swap",   ".timer",
					       ".path",    ".slice",     ".scope"};
	struct text t = {.data = ret, .size = UNIT_NAME_SIZE};
	const char *dot = strrchr(name, '.');
	bool has = false;

	for (size_t i = 0; dot && i < ARRAY_SIZE(suffixes); i++)
		has = has || str_eq(dot, suffixes[i]);
	ret[0] = '\0';
	text_add(&t, "%s%s", name, has ? "" : ".service");
	return !t.cut;
}

/* Limits the next call to the time that is left. */
static int next_call(const struct inquiry *q)
{
	uint64_t now = boot_ns();

	if (now >= q->until_ns)
		return -ETIMEDOUT;
	return sd_bus_set_method_call_timeout(q->bus, (q->until_ns - now) / 1000 + 1);
}

/* A call would wait for the authentication without a limit of ours. */
static int wait_until_ready(const struct inquiry *q)
{
	for (;;) {
		int r = sd_bus_is_ready(q->bus);

		if (r != 0)
			return r < 0 ? r : 0;
		r = sd_bus_process(q->bus, NULL);
		if (r == 0) {
			uint64_t now = boot_ns();

			if (now >= q->until_ns)
				return -ETIMEDOUT;
			r = sd_bus_wait(q->bus, (q->until_ns - now) / 1000 + 1);
		}
		if (r < 0)
			return r;
	}
}

static int open_private(struct inquiry *q)
{
	int r = sd_bus_new(&q->bus);

	if (r >= 0)
		r = sd_bus_set_address(q->bus, MANAGER_ADDRESS);
	if (r >= 0)
		r = sd_bus_start(q->bus);
	return r < 0 ? r : wait_until_ready(q);
}

static int open_bus(struct inquiry *q)
{
	int r;

	if (sd_booted() <= 0)
		return -ENOTCONN;
	q->until_ns = boot_ns() + UNITS_ASK_MS * NSEC_PER_MSEC;
	r = open_private(q);
	if (r == 0 || r == -ETIMEDOUT)
		return r;
	q->bus = sd_bus_close_unref(q->bus);
	r = sd_bus_open_system(&q->bus);
	return r < 0 ? r : wait_until_ready(q);
}

static bool is_running(const char *active)
{
	static const char *const states[] = {"active", "reloading", "activating", "refreshing"};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (str_eq(states[i], active))
			return true;
	}
	return false;
}

static bool has_unit(const struct unit_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++) {
		if (str_eq(list->unit[i].name, name))
			return true;
	}
	return false;
}

static int get_text(const struct inquiry *q, const char *object, const char *type,
		    const char *property, char *ret, size_t size)
{
	_cleanup_free_
	char *value = NULL;
	char interface[64];
	struct text t = TEXT(interface);
	int r = next_call(q);

	text_add(&t, MANAGER ".%s", type);
	if (r >= 0)
		r = sd_bus_get_property_string(q->bus, MANAGER, object, interface, property, NULL,
					       &value);
	if (r < 0)
		return r;
	return str_copy(ret, size, value) ? 0 : -E2BIG;
}

static int get_names(const struct inquiry *q, const char *object, const char *property, char ***ret)
{
	int r = next_call(q);

	return r < 0 ? r
		     : sd_bus_get_property_strv(q->bus, MANAGER, object, MANAGER ".Unit", property,
						NULL, ret);
}

static int get_bool(const struct inquiry *q, const char *object, const char *property, bool *ret)
{
	int value = 0, r = next_call(q);

	if (r >= 0)
		r = sd_bus_get_property_trivial(q->bus, MANAGER, object, MANAGER ".Unit", property,
						NULL, 'b', &value);
	*ret = value;
	return r < 0 ? r : 0;
}

static void free_names(char **names)
{
	for (char **p = names; p && *p; p++)
		free(*p);
	free(names);
}

static int find_trigger(const struct inquiry *q, const char *object, struct unit *u)
{
	char **names = NULL;
	int r = get_names(q, object, "TriggeredBy", &names);

	if (r >= 0 && names && names[0] && !str_copy(u->trigger, sizeof(u->trigger), names[0]))
		r = -E2BIG;
	free_names(names);
	return r < 0 ? r : 0;
}

static bool is_service(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && str_eq(dot, ".service");
}

static int describe_unit(const struct inquiry *q, const char *object, struct unit *u)
{
	int r = get_text(q, object, "Unit", "ActiveState", u->active, sizeof(u->active));

	if (r < 0)
		return r;
	u->running = is_running(u->active);
	if (!u->running)
		return 0;
	r = find_trigger(q, object, u);
	if (r == 0)
		r = get_bool(q, object, "Transient", &u->transient);
	if (r == 0)
		r = get_bool(q, object, "CanStart", &u->can_start);
	if (r == 0)
		r = get_bool(q, object, "CanStop", &u->can_stop);
	if (r == 0 && is_service(u->name))
		r = get_text(q, object, "Service", "ControlGroup", u->cgroup, sizeof(u->cgroup));
	return r;
}

static int add_unit(const struct inquiry *q, const char *name, bool dependent,
		    struct unit_list *list)
{
	_cleanup_free_
	char *object = NULL;
	struct unit *u;
	int r;

	if (has_unit(list, name))
		return 0;
	if (list->n == UNITS_FOUND_MAX)
		return -E2BIG;
	u = reallocarray(list->unit, list->n + 1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	list->unit = u;
	u = &list->unit[list->n];
	*u = (struct unit){.dependent = dependent};
	if (!str_copy(u->name, sizeof(u->name), name))
		return -ENAMETOOLONG;
	r = sd_bus_path_encode(MANAGER_OBJECT "/unit", name, &object);
	if (r >= 0)
		r = describe_unit(q, object, u);
	if (r < 0)
		return r;
	if (u->running || !dependent)
		list->n++;
	return 0;
}

/* By a name, which may be an alias. What is not loaded does not run. */
static int find_name(const struct inquiry *q, const char *name, struct unit_list *ret)
{
	_cleanup_message_ sd_bus_message *reply = NULL;
	sd_bus_error why = SD_BUS_ERROR_NULL;
	const char *object;
	char id[UNIT_NAME_SIZE];
	int r = next_call(q);
	bool absent;

	if (r >= 0)
		r = sd_bus_call_method(q->bus, MANAGER, MANAGER_OBJECT, MANAGER ".Manager",
				       "GetUnit", &why, &reply, "s", name);
	absent = sd_bus_error_has_name(&why, MANAGER ".NoSuchUnit") ||
		 sd_bus_error_has_name(&why, SD_BUS_ERROR_INVALID_ARGS);
	sd_bus_error_free(&why);
	if (absent)
		return 0;
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &object);
	if (r >= 0)
		r = get_text(q, object, "Unit", "Id", id, sizeof(id));
	return r < 0 ? r : add_unit(q, id, false, ret);
}

static int read_units(const struct inquiry *q, sd_bus_message *reply, struct unit_list *ret)
{
	const char *name, *state[5], *object, *job[2];
	uint32_t job_id;
	int r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");

	while (r >= 0) {
		r = sd_bus_message_read(reply, "(ssssssouso)", &name, &state[0], &state[1],
					&state[2], &state[3], &state[4], &object, &job_id, &job[0],
					&job[1]);
		if (r == 0)
			break;
		if (r > 0)
			r = add_unit(q, name, false, ret);
	}
	return r;
}

static int find_patterns(const struct inquiry *q, const char *const *patterns, size_t n,
			 struct unit_list *ret)
{
	_cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
	int r = sd_bus_message_new_method_call(q->bus, &call, MANAGER, MANAGER_OBJECT,
					       MANAGER ".Manager", "ListUnitsByPatterns");

	if (r >= 0)
		r = sd_bus_message_append(call, "as", 0);
	if (r >= 0)
		r = sd_bus_message_open_container(call, 'a', "s");
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = sd_bus_message_append(call, "s", patterns[i]);
	if (r >= 0)
		r = sd_bus_message_close_container(call);
	if (r >= 0)
		r = next_call(q);
	if (r >= 0)
		r = sd_bus_call(q->bus, call, 0, NULL, &reply);
	return r < 0 ? r : read_units(q, reply, ret);
}

int units_find(const char *const *names, size_t n, struct unit_list *ret)
{
	_cleanup_inquiry_ struct inquiry q = {0};
	int r = open_bus(&q);

	if (r < 0)
		return r;
	return n == 1 && !strpbrk(names[0], "*?[") ? find_name(&q, names[0], ret)
						   : find_patterns(&q, names, n, ret);
}

/* What depends on a unit comes behind it: one that was there before goes to the end, where its own
 * are looked at again. Returns whether it moved something before `at`. */
static bool move_behind(struct unit_list *list, size_t at, const char *name)
{
	for (size_t i = 0; i < at; i++) {
		struct unit u = list->unit[i];

		if (!str_eq(u.name, name))
			continue;
		memmove(&list->unit[i], &list->unit[i + 1], (list->n - i - 1) * sizeof(u));
		list->unit[list->n - 1] = u;
		return true;
	}
	return false;
}

/* Goes through the units that depend on the one at `*at`, which moves with its unit. */
static int add_dependents_of(const struct inquiry *q, struct unit_list *list, size_t *at,
			     unsigned *moves)
{
	/* Along which systemd propagates a stop (unit-dependency-atom.c, UNIT_ATOM_PROPAGATE_STOP).
	 * The last one is there since version 249. */
	static const char *const properties[] = {"RequiredBy", "RequisiteOf", "BoundBy",
						 "ConsistsOf", "PropagatesStopTo"};
	_cleanup_free_
	char *object = NULL;
	int r = sd_bus_path_encode(MANAGER_OBJECT "/unit", list->unit[*at].name, &object);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(properties); i++) {
		char **names = NULL;

		r = get_names(q, object, properties[i], &names);
		if (r < 0 && r != -ETIMEDOUT && i == ARRAY_SIZE(properties) - 1)
			r = 0;
		for (char **p = names; r >= 0 && p && *p; p++) {
			r = add_unit(q, *p, true, list);
			/* Two that need each other would go round for ever. */
			if (r >= 0 && *moves > 0 && move_behind(list, *at, *p)) {
				(*moves)--;
				(*at)--;
			}
		}
		free_names(names);
	}
	return r < 0 ? r : 0;
}

int units_add_dependents(struct unit_list *list)
{
	_cleanup_inquiry_ struct inquiry q = {0};
	unsigned moves = UNITS_FOUND_MAX;
	int r = list->n > 0 ? open_bus(&q) : 0;

	for (size_t i = 0; r == 0 && i < list->n; i++) {
		if (list->unit[i].running)
			r = add_dependents_of(&q, list, &i, &moves);
	}
	return r;
}
