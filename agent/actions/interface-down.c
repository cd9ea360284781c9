/* SPDX-License-Identifier: Apache-2.0 */
/* interface-down: the victim finds an interface administratively down, and routes over it gone.
 * The interface is taken down; the kernel then forgets its routes, IPv6 addresses and permanent
 * neighbours, which are remembered before. Put back by taking it up and adding what is missing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "actions/action.h"
#include "host/features.h"
#include "host/kept.h"
#include "host/links.h"
#include "host/ssh.h"

#include <linux/capability.h>
#include <net/if_arp.h>

struct interface_down {
	struct name_list interface;
	bool allow_lockout;
};

static const struct row rows[] = {
	{.name = "interface",
	 .type = ROW_NAMES,
	 FIELD(struct interface_down, interface),
	 .required = true,
	 .text = "interfaces"},
	{.name = "allowLockout",
	 .type = ROW_BOOLEAN,
	 FIELD(struct interface_down, allow_lockout),
	 .def = "false",
	 .text = "also one that carries the default route or the caller's SSH connection"},
};

static int add_interface(const char *name, struct facts *facts, struct error *e)
{
	struct interface i;
	char known[160];
	struct text t = TEXT(known);
	int r = interface_find(name, &i);

	if (r == -ENODEV) {
		interface_names(&t);
		return error_field(e, "parameters.interface", name, known, "no interface %s", name);
	}
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot read the interfaces: %s",
				 strerror(-r));
	for (size_t k = 0; k < facts->n_interfaces; k++) {
		if (facts->interfaces[k].index == i.index)
			return 0;
	}
	if (facts->n_interfaces == INTERFACES_MAX)
		return error_field(e, "parameters.interface", "", "1 to 8 interfaces",
				   "more than 8 interfaces");
	facts->interfaces[facts->n_interfaces++] = i;
	return 0;
}

static int cannot_read(const struct interface *i, int r, struct error *e)
{
	return error_set(e, ERROR_FAILED, r, "cannot read what stands on %s: %s", i->name,
			 strerror(-r));
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
	return 0;
}

static int check(const struct interface_down *p, const struct interface *i,
		 const struct facts *facts, struct error *e)
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
	return p->allow_lockout ? 0 : check_lockout(i, facts, e);
}

static int look_kept(const struct interface *i, struct facts *facts, struct error *e)
{
	char why[200] = "";
	struct text t = TEXT(why);
	int r = kept_read(i->index, facts->kept, &t);

	if (r < 0 && t.length)
		return error_set(e, ERROR_CONFLICT, r,
				 "parameters.interface: %s cannot be put back as it is: %s",
				 i->name, why);
	return r < 0 ? cannot_read(i, r, e) : 0;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct interface_down *p = params;
	int r = 0;

	for (uint32_t i = 0; i < p->interface.n && r == 0; i++)
		r = add_interface(p->interface.name[i], facts, e);
	for (size_t i = 0; i < facts->n_interfaces && r == 0; i++)
		r = check(p, &facts->interfaces[i], facts, e);
	if (r < 0)
		return r;
	if (facts->n_interfaces == 0)
		return error_field(e, "parameters.interface", "", "1 to 8 interfaces", "is empty");
	if (!feature_capability(CAP_NET_ADMIN))
		return error_set(e, ERROR_UNSUPPORTED, -EPERM,
				 "faultd lacks CAP_NET_ADMIN: it cannot take interfaces down");
	facts->kept = calloc(1, sizeof(*facts->kept));
	if (!facts->kept)
		return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	for (size_t i = 0; i < facts->n_interfaces && r == 0; i++)
		r = look_kept(&facts->interfaces[i], facts, e);
	return r;
}

static struct step *add_step(struct plan *plan, enum step_kind kind, const struct interface *i)
{
	struct step *s = plan_add(plan, kind);

	if (!s)
		return NULL;
	(void)str_copy(s->hook.ifname, sizeof(s->hook.ifname), i->name);
	s->hook.ifindex = i->index;
	return s;
}

/* Undone backwards: the interface is up first, then what it had is added, the last first. */
static int plan_interface(const struct interface *i, const struct kept_list *kept,
			  struct plan *plan)
{
	for (size_t n = kept ? kept->n : 0; n-- > 0;) {
		const struct kept *k = &kept->kept[n];
		struct step *s;

		if (k->ifindex != i->index)
			continue;
		s = add_step(plan, STEP_KEEP, i);
		if (!s)
			return -errno;
		s->keep.type = k->type;
		s->keep.read_boot_ns = kept->read_boot_ns;
		(void)str_copy(s->keep.shown, sizeof(s->keep.shown), k->shown);
		(void)str_copy(s->keep.message, sizeof(s->keep.message), k->message);
	}
	if (!add_step(plan, STEP_LINK, i))
		return -errno;
	return plan_claim(plan, "interface-down of %s", i->name);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	int r = 0;

	for (size_t i = 0; i < facts->n_interfaces && r == 0; i++)
		r = plan_interface(&facts->interfaces[i], facts->kept, plan);
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot plan: %s", strerror(-r)) : 0;
}

static void describe(const void *params, struct text *t)
{
	const struct interface_down *p = params;

	text_add(t, "take ");
	for (uint32_t i = 0; i < p->interface.n; i++)
		text_add(t, "%s%s", i ? "," : "", p->interface.name[i]);
	text_add(t, " down");
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
		"again when duplicate address detection is through, others at once.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct interface_down),
	.look = look,
	.plan = plan,
	.describe = describe,
	.composition = "exclusive: one per interface",
};
