/* SPDX-License-Identifier: Apache-2.0 */
/* interface-down: the victim finds an interface administratively down, and routes over it gone.
 * The interface is taken down; the kernel then forgets its routes, IPv6 addresses and permanent
 * neighbours, which are remembered before. Put back by taking it up and adding what is missing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actions/network_place.h"
#include "actions/peers.h"
#include "host/features.h"
#include "host/kept.h"
#include "host/links.h"
#include "host/ssh.h"

#include <linux/capability.h>
#include <net/if_arp.h>

struct interface_down {
	struct name_list interface;
	struct network_aim aim;
	bool allow_lockout;
};

/* At one place. */
struct looking {
	const struct interface_down *p;
	struct facts *facts;
	uint8_t place;     /* index into facts->places */
	bool may_lock_out; /* it is faultd's own, or the caller's */
	size_t first;      /* of its interfaces, in facts->interfaces */
	struct error *e;
};

static const struct row rows[] = {
	{.name = "interface",
	 .type = ROW_NAMES,
	 FIELD(struct interface_down, interface),
	 .required = true,
	 .text = "interfaces"},
	NETWORK_NAMESPACE_ROWS(struct interface_down, aim),
	{.name = "allowLockout",
	 .type = ROW_BOOLEAN,
	 FIELD(struct interface_down, allow_lockout),
	 .def = "false",
	 .text = "also one by which the host's default route, the caller's SSH connection, networkSpared or "
		 "metadata addresses are reached"},
};

static int no_interface(const char *name, const struct network_place *place, struct error *e)
{
	char known[160];
	struct text t = TEXT(known);

	interface_names(&t);
	return error_field(e, "parameters.interface", name, known, "no interface %s%s%s", name,
			   place->netns.inode ? " in " : "",
			   place->netns.inode ? place->shown : "");
}

static int add_interface(const char *name, struct looking *l)
{
	struct facts *facts = l->facts;
	struct interface i;
	int r = interface_find(name, &i);

	if (r == -ENODEV)
		return no_interface(name, &facts->places[l->place], l->e);
	if (r < 0)
		return error_set(l->e, ERROR_FAILED, r, "cannot read the interfaces: %s",
				 strerror(-r));
	for (size_t k = l->first; k < facts->n_interfaces; k++) {
		if (facts->interfaces[k].index == i.index)
			return 0;
	}
	if (facts->n_interfaces == INTERFACES_MAX)
		return error_field(l->e, "parameters.interface", "", "1 to 8 interfaces",
				   "more than 8 interfaces");
	facts->place_of[facts->n_interfaces] = l->place;
	facts->interfaces[facts->n_interfaces++] = i;
	return 0;
}

static int cannot_read(const struct interface *i, int r, struct error *e)
{
	return error_set(e, ERROR_FAILED, r, "cannot read what stands on %s: %s", i->name,
			 strerror(-r));
}

/* Interfaces of many addresses have few subnets. */
static int add_subnet(const char *address, void *arg)
{
	struct cidr_list *list = arg, one = {0};
	int r = cidr_list_add(&one, address);

	if (r < 0 || cidr_list_has(list, &one.cidr[0]))
		return r;
	if (list->n == CIDRS_MAX)
		return -E2BIG;
	list->cidr[list->n++] = one.cidr[0];
	return 0;
}

static bool is_reached(const struct cidr *c, const struct cidr_list *subnets,
		       const struct links_above *above)
{
	uint32_t ifindex;

	for (uint32_t i = 0; i < subnets->n; i++) {
		if (cidr_holds(&subnets->cidr[i], c) || cidr_holds(c, &subnets->cidr[i]))
			return true;
	}
	return route_to(c->addr, &ifindex) == 0 && links_above_has(above, ifindex);
}

/* A prefix is reached where its first address is, or where a part of it is a subnet. */
static int check_spared(const struct interface *i, const struct links_above *above,
			const struct facts *facts, struct error *e)
{
	struct cidr_list spared, subnets = {0};
	int r = peers_spared(facts, &spared, e);

	if (r < 0)
		return r;
	for (size_t k = 0; k < above->n && r == 0; k++)
		r = interface_addresses(above->ifindex[k], add_subnet, &subnets);
	if (r < 0)
		return cannot_read(i, r, e);
	for (uint32_t k = 0; k < spared.n; k++) {
		char shown[64];
		struct text t = TEXT(shown);

		if (!is_reached(&spared.cidr[k], &subnets, above))
			continue;
		cidr_print(&spared.cidr[k], &t);
		return error_set(
			e, ERROR_DENIED, -EACCES,
			"parameters.interface: %s leads to %s, which is spared (networkSpared or metadata); allowLockout permits it",
			i->name, shown);
	}
	return 0;
}

static int check_lockout(const struct interface *i, const struct facts *facts, struct error *e)
{
	struct classify_flow flows[FLOWS_MAX];
	size_t n = ssh_connections(facts->caller_pid, flows, FLOWS_MAX);
	struct links_above above;
	uint32_t ifindex;
	int r = links_above(i->index, &above);

	if (r == 0)
		r = route_default_over(&above);
	if (r < 0)
		return cannot_read(i, r, e);
	if (r > 0)
		return error_set(
			e, ERROR_DENIED, -EACCES,
			"parameters.interface: %s carries the default route; allowLockout permits it",
			i->name);
	for (size_t k = 0; k < n; k++) {
		if (route_to(flows[k].remote, &ifindex) == 0 && links_above_has(&above, ifindex))
			return error_set(
				e, ERROR_DENIED, -EACCES,
				"parameters.interface: %s carries the caller's SSH connection; allowLockout permits it",
				i->name);
	}
	return check_spared(i, &above, facts, e);
}

static int check(const struct looking *l, const struct interface *i, struct error *e)
{
	char vlan[16];
	int r;

	if (i->type == ARPHRD_LOOPBACK)
		return error_set(e, ERROR_DENIED, -EACCES,
				 "parameters.interface: %s is loopback, which is protected",
				 i->name);
	if (!i->up)
		return error_set(e, ERROR_CONFLICT, -EALREADY,
				 "parameters.interface: %s is down already", i->name);
	r = link_vlan(i->index, vlan, sizeof(vlan));
	if (r < 0)
		return cannot_read(i, r, e);
	if (r > 0)
		return error_set(
			e, ERROR_CONFLICT, -EBUSY,
			"parameters.interface: the VLAN %s stands on %s and would go down with it",
			vlan, i->name);
	return l->p->allow_lockout || !l->may_lock_out ? 0 : check_lockout(i, l->facts, e);
}

static int look_kept(const struct looking *l, const struct interface *i, struct error *e)
{
	struct kept_list *kept = l->facts->kept;
	size_t first = kept->n;
	char why[200] = "";
	struct text t = TEXT(why);
	int r = kept_read(i->index, kept, &t);

	for (size_t k = first; k < kept->n; k++)
		kept->kept[k].place = l->place;
	if (r < 0 && t.length)
		return error_set(e, ERROR_CONFLICT, r,
				 "parameters.interface: %s cannot be put back as it is: %s",
				 i->name, why);
	return r < 0 ? cannot_read(i, r, e) : 0;
}

/* Inside the place. */
static int look_inside(void *arg)
{
	struct looking *l = arg;
	const struct name_list *names = &l->p->interface;
	struct facts *facts = l->facts;
	int r = 0;

	l->first = facts->n_interfaces;
	for (uint32_t i = 0; i < names->n && r == 0; i++)
		r = add_interface(names->name[i], l);
	for (size_t i = l->first; i < facts->n_interfaces && r == 0; i++)
		r = check(l, &facts->interfaces[i], l->e);
	for (size_t i = l->first; i < facts->n_interfaces && r == 0; i++)
		r = look_kept(l, &facts->interfaces[i], l->e);
	return r;
}

/* Whom a container's default route locks out is the container, which is what was asked for. */
static bool may_lock_out(const struct network_place *place, pid_t caller_pid)
{
	char path[48];
	struct netns callers;

	if (!place->netns.inode)
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)caller_pid);
	return caller_pid > 0 && netns_read(path, &callers) == 0 &&
	       netns_same(&callers, &place->netns);
}

static int look_place(const struct interface_down *p, uint8_t place, struct facts *facts,
		      struct error *e)
{
	struct looking l = {.p = p,
			    .facts = facts,
			    .place = place,
			    .may_lock_out = may_lock_out(&facts->places[place], facts->caller_pid),
			    .e = e};

	return network_place_run(&facts->places[place], look_inside, &l, e);
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct interface_down *p = params;
	int r = network_namespaces_look(&p->aim, facts, e);

	if (r < 0 || facts->n_places == 0)
		return r;
	facts->kept = calloc(1, sizeof(*facts->kept));
	if (!facts->kept)
		return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	for (uint8_t i = 0; i < facts->n_places && r == 0; i++)
		r = look_place(p, i, facts, e);
	if (r < 0)
		return r;
	if (facts->n_interfaces == 0)
		return error_field(e, "parameters.interface", "", "1 to 8 interfaces", "is empty");
	if (!feature_capability(CAP_NET_ADMIN))
		return error_set(e, ERROR_UNSUPPORTED, -EPERM,
				 "faultd lacks CAP_NET_ADMIN: it cannot take interfaces down");
	return 0;
}

/* One interface in its place. */
struct spot {
	const struct interface *interface;
	const struct network_place *place;
};

static struct step *add_step(struct plan *plan, enum step_kind kind, const struct spot *at)
{
	struct step *s = plan_add(plan, kind);

	if (!s)
		return NULL;
	s->hook.netns = at->place->netns;
	(void)str_copy(s->hook.place, sizeof(s->hook.place), at->place->shown);
	(void)str_copy(s->hook.ifname, sizeof(s->hook.ifname), at->interface->name);
	s->hook.ifindex = at->interface->index;
	return s;
}

static int add_keep(struct plan *plan, const struct spot *at, const struct kept *k,
		    uint64_t read_boot_ns)
{
	struct step *s = add_step(plan, STEP_KEEP, at);

	if (!s)
		return -errno;
	s->keep.type = k->type;
	s->keep.read_boot_ns = read_boot_ns;
	(void)str_copy(s->keep.shown, sizeof(s->keep.shown), k->shown);
	(void)str_copy(s->keep.message, sizeof(s->keep.message), k->message);
	return 0;
}

static int claim(struct plan *plan, const struct spot *at)
{
	if (!at->place->netns.inode)
		return plan_claim(plan, "interface-down of %s", at->interface->name);
	return plan_claim(plan, "interface-down of %s in the network namespace %" PRIu64,
			  at->interface->name, at->place->netns.inode);
}

/* Undone backwards: the interface is up first, then what it had is added, the last first. */
static int plan_interface(const struct facts *facts, size_t n, struct plan *plan)
{
	const struct kept_list *kept = facts->kept;
	uint8_t place = facts->place_of[n];
	struct spot at = {&facts->interfaces[n], &facts->places[place]};

	for (size_t i = kept ? kept->n : 0; i-- > 0;) {
		const struct kept *k = &kept->kept[i];
		int r = 0;

		if (k->ifindex == at.interface->index && k->place == place)
			r = add_keep(plan, &at, k, kept->read_boot_ns);
		if (r < 0)
			return r;
	}
	if (!add_step(plan, STEP_LINK, &at))
		return -errno;
	return claim(plan, &at);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	int r = 0;

	for (size_t i = 0; i < facts->n_interfaces && r == 0; i++)
		r = plan_interface(facts, i, plan);
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot plan: %s", strerror(-r)) : 0;
}

static void describe(const void *params, struct text *t)
{
	const struct interface_down *p = params;

	text_add(t, "take ");
	for (uint32_t i = 0; i < p->interface.n; i++)
		text_add(t, "%s%s", i ? "," : "", p->interface.name[i]);
	text_add(t, " down");
	network_places_describe(&p->aim, t);
}

extern const struct action action_interface_down;
const struct action action_interface_down = {
	.name = "interface-down",
	.summary = "Take an interface down",
	.description =
		"The interface is administratively down. What the kernel forgets with it (routes of all tables, IPv6 "
		"addresses, permanent neighbours) is remembered and added again when it is up; what router "
		"advertisements had brought, and what was learned, comes back as after every reboot. Refused when "
		"something could not be put back: nexthop objects, VLANs on it. Link-local IPv6 addresses are usable "
		"again when duplicate address detection is through, others at once. In a container with a network namespace "
		"of its own it is that one's interface; a target in the host's namespace is refused.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct interface_down),
	.look = look,
	.plan = plan,
	.describe = describe,
	.composition = "exclusive: one per interface of a network namespace",
};
