/* SPDX-License-Identifier: Apache-2.0 */
/* host:unit: the services of systemd that run, but for faultd's own. */
#include <string.h>

#include "actions/units.h"
#include "experiment/resource_types.h"
#include "host/units.h"

static const struct resource_parameter rows[] = {
	{.name = "unit",
	 .description = "The unit, or a pattern such as web-*.service; all services if not given"},
	{0},
};

static bool is_left_out(const struct unit *u, const struct own_cgroups *own)
{
	return !u->running || str_starts(u->name, "faultd.") ||
	       str_starts(u->name, "faultd-guardian.") ||
	       (u->cgroup[0] && resource_is_own_cgroup(own, u->cgroup));
}

static bool describe(cJSON *p, const struct unit *u)
{
	return resource_set(p, "Id", u->name) && resource_set(p, "ActiveState", u->active) &&
	       resource_set(p, "ControlGroup", u->cgroup) &&
	       resource_set(p, "TriggeredBy", u->trigger) &&
	       cJSON_AddBoolToObject(p, "CanStart", u->can_start) &&
	       cJSON_AddBoolToObject(p, "CanStop", u->can_stop) &&
	       cJSON_AddBoolToObject(p, "Transient", u->transient);
}

static int add_unit(const struct unit *u, const struct identity *id, struct resource_list *ret,
		    struct error *e)
{
	char arn[ARN_MAX];
	struct resource *r;
	int result = resource_add(ret, identity_host_arn(id, "unit", u->name, arn), u->name, &r, e);

	if (r && result == 0 && !describe(r->properties, u))
		result = resource_no_memory(e);
	return result;
}

static int find(const cJSON *parameters, const struct identity *id, struct resource_list *ret,
		struct error *e)
{
	__attribute__((cleanup(unit_list_done))) struct unit_list list = {0};
	const char *wanted = resource_parameter(parameters, "unit"), *name;
	char full[UNIT_NAME_SIZE];
	struct own_cgroups own;
	int r;

	if (!unit_name_complete(wanted[0] ? wanted : "*", full))
		return error_field(e, "parameters.unit", wanted, "a unit's name or a pattern",
				   "it is too long");
	name = full;
	r = units_find(&name, 1, &list);
	if (r < 0)
		return units_cannot(e, r);
	resource_own_cgroups(id, &own);
	for (size_t i = 0; i < list.n && r == 0; i++) {
		if (!is_left_out(&list.unit[i], &own))
			r = add_unit(&list.unit[i], id, ret, e);
	}
	return r;
}

const struct resource_type resource_host_unit = {
	.name = "host:unit",
	.description = "The units of systemd that run on this host, but for faultd's own",
	.parameters = rows,
	.has_arns = true,
	.fault_parameter = "unit",
	.find = find,
};
