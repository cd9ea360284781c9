/* SPDX-License-Identifier: Apache-2.0 */
/* host:interface: the network interfaces of this host. */
#include <errno.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/resource_types.h"
#include "util/cleanup.h"

static const struct resource_parameter rows[] = {
	{.name = "name",
	 .description =
		 "The interface, or a pattern such as eth*; all if not given. Loopback is meant by its name only"},
	{0},
};

/* The devices of shapers come and go with their faults (steps/shaper_device.h). A name with a comma
 * cannot be in a list, and two words mean something else there. */
static bool is_left_out(const char *name)
{
	return str_starts(name, "faultd-") || str_starts(name, "faultd_") || strchr(name, ',') ||
	       str_eq(name, "ALL") || str_eq(name, "DEFAULT");
}

static int add_interface(const struct interface *i, void *arg)
{
	struct interface_list *l = arg;

	if (is_left_out(i->name))
		return 0;
	if (l->n == RESOURCE_INTERFACES_MAX)
		return -E2BIG;
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 8;
		struct interface *more = reallocarray(l->interface, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->interface = more;
		l->room = room;
	}
	l->interface[l->n++] = *i;
	return 0;
}

int resource_interfaces(struct interface_list *ret, struct error *e)
{
	int r = interface_each(add_interface, ret);

	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot read the interfaces of this host: %s",
				 strerror(-r))
		     : 0;
}

void interface_list_done(struct interface_list *l)
{
	free(l->interface);
}

static int add_address(const char *address, void *arg)
{
	cJSON *item = cJSON_CreateString(address);

	if (item && cJSON_AddItemToArray(arg, item))
		return 0;
	cJSON_Delete(item);
	return -ENOMEM;
}

static bool describe(cJSON *p, const struct interface *i)
{
	cJSON *addresses = cJSON_AddArrayToObject(p, "Addresses");

	return addresses && interface_addresses(i->index, add_address, addresses) != -ENOMEM &&
	       resource_set(p, "Name", i->name) && resource_set_number(p, "Index", i->index) &&
	       resource_set_number(p, "Mtu", interface_mtu(i->name)) &&
	       cJSON_AddBoolToObject(p, "Up", i->up) &&
	       cJSON_AddBoolToObject(p, "Loopback", i->type == ARPHRD_LOOPBACK);
}

static bool fits(const struct interface *i, const char *name)
{
	if (i->type == ARPHRD_LOOPBACK)
		return str_eq(i->name, name);
	return !name[0] || resource_fits_pattern(i->name, name);
}

static int find(const cJSON *parameters, const struct identity *id, struct resource_list *ret,
		struct error *e)
{
	__attribute__((cleanup(interface_list_done))) struct interface_list l = {0};
	const char *name = resource_parameter(parameters, "name");
	char arn[ARN_MAX];
	int result = resource_interfaces(&l, e);

	for (size_t i = 0; i < l.n && result == 0; i++) {
		const struct interface *one = &l.interface[i];
		struct resource *r;

		if (!fits(one, name))
			continue;
		result = resource_add(ret, identity_host_arn(id, "interface", one->name, arn),
				      one->name, &r, e);
		if (r && result == 0 && !describe(r->properties, one))
			result = resource_no_memory(e);
	}
	return result;
}

const struct resource_type resource_host_interface = {
	.name = "host:interface",
	.description = "The network interfaces of this host, in faultd's own network namespace",
	.parameters = rows,
	.has_arns = true,
	.fault_parameter = "interface",
	.together = true,
	.find = find,
};
