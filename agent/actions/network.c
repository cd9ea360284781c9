/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/network.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "actions/peers.h"
#include "host/features.h"
#include "host/ssh.h"

const char *const network_directions[] = {"egress", "ingress", "both", NULL};
const char *const network_protocols[] = {"any", "tcp", "udp", "icmp", "sctp", NULL};
const char *const network_connections[] = {"all", "new", "established", NULL};
static const uint8_t protocol_numbers[] = {0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP};

struct looking {
	const struct network *network;
	struct facts *facts;
	uint8_t place; /* index into facts->places */
	bool too_many;
	struct error *e;
};

static int add_interface(const struct interface *i, void *arg)
{
	struct looking *l = arg;

	for (size_t k = 0; k < l->facts->n_interfaces; k++) {
		if (l->facts->interfaces[k].index == i->index && l->facts->place_of[k] == l->place)
			return 0;
	}
	if (l->facts->n_interfaces == INTERFACES_MAX) {
		l->too_many = true;
		return 0;
	}
	l->facts->interfaces[l->facts->n_interfaces] = *i;
	l->facts->place_of[l->facts->n_interfaces++] = l->place;
	return 0;
}

static int add_unless_loopback(const struct interface *i, void *arg)
{
	return str_eq(i->name, "lo") || !i->up ? 0 : add_interface(i, arg);
}

static int look_interface(const char *name, struct looking *l, struct error *e)
{
	const struct network_place *place = &l->facts->places[l->place];
	struct interface i;
	char known[160];
	struct text t = TEXT(known);
	int r;

	if (strcasecmp(name, "ALL") == 0)
		return interface_each(add_unless_loopback, l);
	if (strcasecmp(name, "DEFAULT") == 0) {
		r = interface_default(&i);
		if (r == -ENOENT)
			return error_field(e, "parameters.interface", name,
					   "the name of an interface", "%s has no default route",
					   place->netns.inode ? place->shown : "this host");
	} else {
		r = interface_find(name, &i);
	}
	if (r == 0)
		return add_interface(&i, l);
	interface_names(&t);
	if (r == -ENODEV)
		return error_field(e, "parameters.interface", name, known, "no interface %s%s%s",
				   name, place->netns.inode ? " in " : "",
				   place->netns.inode ? place->shown : "");
	return error_set(e, ERROR_FAILED, r, "cannot read the interfaces: %s", strerror(-r));
}

/* Inside the place. */
static int look_interfaces(void *arg)
{
	struct looking *l = arg;
	int r = 0;

	for (uint32_t i = 0; i < l->network->interface.n && r == 0; i++)
		r = look_interface(l->network->interface.name[i], l, l->e);
	return r;
}

static bool same_peer(const struct peer_list *a, const struct peer_list *b)
{
	for (uint32_t i = 0; i < a->cidrs.n; i++) {
		if (cidr_list_has(&b->cidrs, &a->cidrs.cidr[i]))
			return true;
	}
	for (uint32_t i = 0; i < a->names.n; i++) {
		if (name_list_has(&b->names, a->names.name[i]))
			return true;
	}
	return false;
}

static int check_rows(const struct network *n, struct error *e)
{
	bool ports = n->ports.n || n->source_ports.n;

	if (ports && n->protocol != 0 && protocol_numbers[n->protocol] == IPPROTO_ICMP)
		return error_field(e, n->ports.n ? "parameters.ports" : "parameters.sourcePorts",
				   "", "tcp, udp, sctp or any as protocol", "icmp has no ports");
	if (n->connections != CONNECTIONS_ALL && protocol_numbers[n->protocol] != IPPROTO_TCP)
		return error_field(e, "parameters.connections", network_connections[n->connections],
				   "all, or tcp as protocol", "only TCP opens connections");
	if (n->visible && n->direction == DIRECTION_INGRESS)
		return error_field(e, "parameters.visible", "true", "false, or egress or both",
				   "nobody here sends what arrives");
	if (n->aim.user[0] && n->direction != DIRECTION_EGRESS)
		return error_field(e, "parameters.user", n->aim.user, "egress as direction",
				   "what arrives is not known to be a user's");
	if (n->aim.target.seed && n->flows >= 100 &&
	    (n->packets <= 0 || n->packets >= 100) && /* 0: the action has no such row */
	    !selection_mode_chooses(n->aim.target.selection_mode))
		return error_field(e, "parameters.seed", "", "with flows or selectionMode",
				   "nothing is chosen by it");
	if (same_peer(&n->peers, &n->exclude_peers))
		return error_field(e, "parameters.excludePeers", "", "what peers has not",
				   "has something that is in peers too");
	if (n->exclude_peers.all)
		return error_field(e, "parameters.excludePeers", "ALL",
				   "addresses, prefixes, names of hosts or sets",
				   "ALL: there would be nobody left");
	return 0;
}

static int check_places(const struct network *n, const struct facts *facts, struct error *e)
{
	for (size_t i = 0; i < facts->n_places && n->direction != DIRECTION_EGRESS; i++) {
		if (facts->places[i].cgroup_id)
			return error_field(
				e, "parameters.direction", network_directions[n->direction],
				"egress",
				"%s is in the host's network namespace, where only what is sent can be told by cgroup",
				facts->places[i].shown);
	}
	return 0;
}

int network_look(const struct network *n, struct facts *facts, struct error *e)
{
	struct looking l = {.network = n, .facts = facts, .e = e};
	int r = check_rows(n, e);

	if (r == 0)
		r = network_places_look(&n->aim, facts, e);
	if (r == 0)
		r = check_places(n, facts, e);
	for (; l.place < facts->n_places && r == 0; l.place++)
		r = network_place_run(&facts->places[l.place], look_interfaces, &l, e);
	if (r < 0 || facts->n_places == 0)
		return r;
	if (l.too_many || facts->n_interfaces == 0)
		return error_field(e, "parameters.interface", "", "1 to 8 interfaces",
				   l.too_many ? "more than 8 interfaces" : "no interface is up");
	for (size_t i = 0; i < facts->n_interfaces; i++) {
		if (interface_l2_length(&facts->interfaces[i]) < 0)
			return error_set(
				e, ERROR_UNSUPPORTED, -EOPNOTSUPP,
				"parameters.interface: the classifier does not know links of the type of %s",
				facts->interfaces[i].name);
	}
	if (!feature_net_privilege())
		return error_set(
			e, ERROR_UNSUPPORTED, -EPERM,
			"faultd lacks CAP_NET_ADMIN and CAP_BPF: it cannot attach packet classifiers");
	facts->tcx = facts->policy->hook == HOOK_TCX ||
		     (facts->policy->hook == HOOK_AUTO && feature_tcx());
	if (!n->allow_lockout)
		facts->n_flows = ssh_connections(facts->caller_pid, facts->flows, FLOWS_MAX);
	return 0;
}

static int check_shaping(bool netem, struct error *e)
{
	const char *lacks = feature_shaping_lacks();
	bool only_netem = !lacks && netem && !feature_netem();

	if (!lacks && !only_netem)
		return 0;
	return error_set(e, ERROR_UNSUPPORTED, -EOPNOTSUPP,
			 "this kernel has no %s, through which packets would go; %snetwork-loss "
			 "(model bernoulli), network-blackhole and network-partition do without",
			 lacks ? lacks : "netem (sch_netem)", only_netem ? "network-rate, " : "");
}

int network_look_shaping(const struct network *n, bool netem, struct facts *facts, struct error *e)
{
	int r = network_look(n, facts, e);

	return r < 0 || facts->skipped ? r : check_shaping(netem, e);
}

static uint8_t copy_ports(const struct port_list *from, struct classify_ports *to)
{
	for (uint32_t i = 0; i < from->n; i++)
		to[i] = (struct classify_ports){from->range[i].first, from->range[i].last};
	return (uint8_t)from->n;
}

/* 100 % is exact: every u32 is below or equal to the largest. */
static uint32_t threshold_of(double percent)
{
	return percent >= 100.0 ? UINT32_MAX : (uint32_t)llround(percent / 100.0 * UINT32_MAX);
}

static uint32_t connection_flags(const struct network *n)
{
	static const uint32_t flags[] = {[CONNECTIONS_ALL] = 0,
					 [CONNECTIONS_NEW] = RULE_NEW,
					 [CONNECTIONS_ESTABLISHED] = RULE_ESTABLISHED};

	return flags[n->connections];
}

static void fill_rule(const struct network *n, const struct network_effect *effect,
		      const struct facts *facts, const struct network_place *place,
		      struct step_rule *ret)
{
	struct classify_rule *r = &ret->rule;

	r->verdict = (uint8_t)effect->verdict;
	r->rcode = effect->rcode;
	r->threshold = threshold_of(effect->percent);
	r->flow_threshold = threshold_of(n->flows);
	r->flow_seed = (uint32_t)facts->seed;
	r->protocol = protocol_numbers[n->protocol];
	r->n_dst_ports = copy_ports(&n->ports, r->dst_ports);
	r->n_src_ports = copy_ports(&n->source_ports, r->src_ports);
	r->flags = (n->visible ? RULE_VISIBLE : 0) | (n->allow_lockout ? RULE_LOCKOUT : 0) |
		   connection_flags(n);
	if (!place->netns.inode) { /* where the caller's connection is */
		r->n_flows = (uint8_t)facts->n_flows;
		memcpy(r->flows, facts->flows, facts->n_flows * sizeof(facts->flows[0]));
	}
	if (n->aim.user[0]) {
		r->flags |= RULE_HAS_USER;
		r->uid = facts->user;
	}
	if (place->cgroup_id) {
		r->flags |= RULE_HAS_CGROUP;
		r->cgroup_id = place->cgroup_id;
		r->cgroup_level = place->cgroup_level;
	}
	if (effect->names) {
		r->flags |= RULE_HAS_NAMES;
		ret->names = *effect->names;
	}
}

/* One interface in its place, and a direction. */
struct spot {
	const struct interface *interface;
	const struct network_place *place;
	uint32_t direction;
};

static struct step *add_hook(struct plan *plan, enum step_kind kind, const struct spot *at)
{
	struct step *s = plan_add(plan, kind);

	if (!s)
		return NULL;
	s->hook.netns = at->place->netns;
	(void)str_copy(s->hook.place, sizeof(s->hook.place), at->place->shown);
	(void)str_copy(s->hook.ifname, sizeof(s->hook.ifname), at->interface->name);
	s->hook.ifindex = at->interface->index;
	s->hook.direction = at->direction;
	return s;
}

static unsigned count_shapers(const struct plan *plan)
{
	unsigned n = 0;

	for (size_t i = 0; i < plan->n; i++)
		n += plan->steps[i].kind == STEP_SHAPER;
	return n;
}

/* Returns its id. */
static int add_shaper(const struct network_effect *effect, const struct facts *facts,
		      const struct spot *at, struct plan *plan, uint64_t *ret)
{
	uint32_t id = facts->shaper_id + count_shapers(plan);
	struct step *s = add_hook(plan, STEP_SHAPER, at);

	if (!s)
		return -errno;
	s->shaper.id = id;
	s->shaper.netem = effect->netem;
	*ret = id;
	return 0;
}

/* The rule comes last: what is attached before it does nothing yet, and undoing ends it first. A
 * shaper's filter is in clsact, wherever the classifier is. */
static int plan_direction(const struct network *n, const struct network_effect *effect,
			  const struct facts *facts, const struct spot *at, struct plan *plan)
{
	bool shape = effect->verdict == VERDICT_SHAPE;
	uint64_t id = 0;
	struct step *s;

	if ((!facts->tcx || shape) && !add_hook(plan, STEP_QDISC, at))
		return -errno;
	if (!add_hook(plan, facts->tcx ? STEP_BPF_LINK : STEP_FILTER, at))
		return -errno;
	if (shape && add_shaper(effect, facts, at, plan, &id) < 0)
		return -errno;
	s = add_hook(plan, STEP_RULE, at);
	if (!s)
		return -errno;
	fill_rule(n, effect, facts, at->place, &s->rule);
	s->rule.rule.mark = (uint16_t)id;
	return 0;
}

static int plan_cut(const struct network *n, const struct network_effect *effect,
		    const struct facts *facts, const struct spot *at, struct plan *plan)
{
	struct step *s = add_hook(plan, STEP_CUT, at);

	if (!s)
		return -errno;
	fill_rule(n, effect, facts, at->place, &s->cut.rule);
	return 0;
}

typedef int (*plan_spot_fn)(const struct network *n, const struct network_effect *effect,
			    const struct facts *facts, const struct spot *at, struct plan *plan);

static int plan_each(plan_spot_fn each, const struct network *n,
		     const struct network_effect *effect, const struct facts *facts,
		     struct plan *plan, struct error *e)
{
	struct cidr_list include, exclude;
	size_t first = plan->n;
	int r = peers_prefixes(n, facts, &include, &exclude, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < facts->n_interfaces && r == 0; i++) {
		struct spot at = {.interface = &facts->interfaces[i],
				  .place = &facts->places[facts->place_of[i]],
				  .direction = CLASSIFY_EGRESS};

		if (n->direction != DIRECTION_INGRESS)
			r = each(n, effect, facts, &at, plan);
		at.direction = CLASSIFY_INGRESS;
		if (n->direction != DIRECTION_EGRESS && r == 0)
			r = each(n, effect, facts, &at, plan);
	}
	for (size_t i = first; i < plan->n; i++) {
		struct step *s = &plan->steps[i];
		struct step_rule *rule = s->kind == STEP_RULE  ? &s->rule
					 : s->kind == STEP_CUT ? &s->cut.rule
							       : NULL;

		if (!rule)
			continue;
		rule->include = include;
		rule->exclude = exclude;
	}
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot plan: %s", strerror(-r)) : 0;
}

int network_plan(const struct network *n, const struct network_effect *effect,
		 const struct facts *facts, struct plan *plan, struct error *e)
{
	return plan_each(plan_direction, n, effect, facts, plan, e);
}

int network_plan_cut(const struct network *n, const struct network_effect *effect,
		     const struct facts *facts, struct plan *plan, struct error *e)
{
	return plan_each(plan_cut, n, effect, facts, plan, e);
}

static void describe_ports(const char *what, const struct port_list *list, struct text *t)
{
	for (uint32_t i = 0; i < list->n; i++) {
		text_add(t, "%s", i ? "," : what);
		port_range_print(&list->range[i], t);
	}
}

static void describe_peers(const char *what, const struct peer_list *list, struct text *t)
{
	if (list->all || list->cidrs.n || list->names.n)
		text_add(t, "%s", what);
	peer_list_print(list, t);
}

void network_describe(const struct network *n, struct text *t)
{
	static const char *const verbs[] = {"leaving", "arriving on", "leaving or arriving on"};
	static const char *const connections[] = {[CONNECTIONS_ALL] = "",
						  [CONNECTIONS_NEW] = " that open connections",
						  [CONNECTIONS_ESTABLISHED] =
							  " of established connections"};

	text_add(t, "%s%spackets", n->protocol ? network_protocols[n->protocol] : "",
		 n->protocol ? " " : "");
	text_add(t, "%s", connections[n->connections]);
	if (n->flows < 100)
		text_add(t, " of %.6g %% of the flows", n->flows);
	describe_ports(" to ports ", &n->ports, t);
	describe_ports(" from ports ", &n->source_ports, t);
	describe_peers(" exchanged with ", &n->peers, t);
	describe_peers(" but not with ", &n->exclude_peers, t);
	text_add(t, " %s ", verbs[n->direction]);
	for (uint32_t i = 0; i < n->interface.n; i++)
		text_add(t, "%s%s", i ? "," : "", n->interface.name[i]);
	network_places_describe(&n->aim, t);
}
