/* SPDX-License-Identifier: Apache-2.0 */
/* aws:ec2:subnet: the subnet of this host, as far as this host is in it. */
#include <errno.h>
#include <net/if_arp.h>
#include <string.h>

#include "experiment/resource_types.h"
#include "plan/values.h"

static const struct resource_parameter rows[] = {
	{.name = "availabilityZoneIdentifier",
	 .description = "Only if this host is in this availability zone (us-east-1a or use1-az1)"},
	{.name = "vpc", .description = "Only if this host is in this VPC: its id or its ARN"},
	{0},
};

/* In a VPC a subnet is a prefix of its own, and an interface that has an address in it is in it.
 * The link-local prefix is everywhere, and addresses of whole length are no subnet. */
static int add_prefix(const char *address, void *arg)
{
	struct cidr_list *list = arg, one = {0};
	int r = cidr_list_add(&one, address);

	if (r < 0 || str_starts(address, "fe80:") || one.cidr[0].bits == 128 ||
	    cidr_list_has(list, &one.cidr[0]) || list->n == CIDRS_MAX)
		return 0;
	list->cidr[list->n++] = one.cidr[0];
	return 0;
}

struct search {
	const char *address;
	bool found;
};

/* "10.0.0.5/24" */
static int match_address(const char *address, void *arg)
{
	struct search *s = arg;
	size_t n = strcspn(address, "/");

	if (strlen(s->address) == n && strncmp(address, s->address, n) == 0)
		s->found = true;
	return 0;
}

/* The one with the instance's private address; not known: the one of the default route. Returns 0,
 * or -ENOENT. */
static int find_primary(const struct interface_list *l, const struct identity *id,
			struct interface *ret)
{
	struct search s = {.address = id->private_ip};

	for (size_t i = 0; s.address[0] && i < l->n; i++) {
		if (interface_addresses(l->interface[i].index, match_address, &s) == 0 && s.found) {
			*ret = l->interface[i];
			return 0;
		}
	}
	return interface_default(ret);
}

static bool is_in(const struct interface *i, const struct interface *primary,
		  const struct cidr_list *subnet)
{
	struct cidr_list its = {0};

	if (i->index == primary->index)
		return true;
	if (i->type == ARPHRD_LOOPBACK || interface_addresses(i->index, add_prefix, &its) < 0)
		return false;
	for (uint32_t k = 0; k < its.n; k++) {
		if (cidr_list_has(subnet, &its.cidr[k]))
			return true;
	}
	return false;
}

/* Its interfaces, separated by commas. Returns 0, -ENOENT (none), or a negative errno and the
 * error. */
static int list_interfaces(const struct identity *id, struct text *to, struct error *e)
{
	__attribute__((cleanup(interface_list_done))) struct interface_list l = {0};
	struct cidr_list subnet = {0};
	struct interface primary;
	int r = resource_interfaces(&l, e);

	if (r < 0)
		return r;
	if (find_primary(&l, id, &primary) < 0)
		return -ENOENT;
	(void)interface_addresses(primary.index, add_prefix, &subnet);
	for (size_t i = 0; i < l.n; i++) {
		if (is_in(&l.interface[i], &primary, &subnet))
			text_add(to, "%s%s", to->length ? "," : "", l.interface[i].name);
	}
	return to->length ? 0 : -ENOENT;
}

static bool is_vpc(const struct identity *id, const char *vpc)
{
	const char *slash = strrchr(vpc, '/');

	return !vpc[0] || str_eq(slash ? slash + 1 : vpc, id->vpc_id);
}

static bool describe(struct resource *r, const struct identity *id)
{
	cJSON *p = r->properties;

	return resource_set(p, "SubnetId", id->subnet_id) && resource_set(p, "SubnetArn", r->arn) &&
	       resource_set(p, "VpcId", id->vpc_id) && resource_set(p, "OwnerId", id->account) &&
	       resource_set(p, "State", "available") &&
	       resource_set(p, "AvailabilityZone", id->availability_zone) &&
	       resource_set(p, "AvailabilityZoneId", id->availability_zone_id);
}

static int find(const cJSON *parameters, const struct identity *id, struct resource_list *ret,
		struct error *e)
{
	char arn[ARN_MAX], names[RESOURCE_VALUE_MAX] = "";
	struct text text = TEXT(names);
	struct resource *r = NULL;
	int result;

	if (!id->subnet_id[0] ||
	    !resource_is_in_zone(id,
				 resource_parameter(parameters, "availabilityZoneIdentifier")) ||
	    !is_vpc(id, resource_parameter(parameters, "vpc")))
		return 0;
	result = list_interfaces(id, &text, e);
	if (result == -ENOENT)
		return 0;
	if (result == 0)
		result =
			resource_add(ret, identity_aws_arn(id, "ec2", "subnet", id->subnet_id, arn),
				     names, &r, e);
	if (result < 0 || !r)
		return result;
	return describe(r, id) ? 0 : resource_no_memory(e);
}

const struct resource_type resource_ec2_subnet = {
	.name = "aws:ec2:subnet",
	.description =
		"The subnet this host is in, if the configuration or the instance's metadata say which. A fault "
		"is aimed at this host's interfaces in it, and at no other host",
	.parameters = rows,
	.has_arns = true,
	.fault_parameter = "interface",
	.together = true,
	.find = find,
};
