/* SPDX-License-Identifier: Apache-2.0 */
/* Ending the TCP connections that a rule is about, by SOCK_DESTROY (Linux 4.5, where the kernel was
 * built with INET_DIAG_DESTROY): here the socket fails with ECONNABORTED, the peer gets a RST.
 * Nothing of the host is changed that could be put back: who was cut connects anew. */
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "host/cgroups.h"
#include "host/links.h"
#include "host/sockets.h"
#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/nl.h"

#define AT_ONCE      1024 /* so that nothing else waits for long */
#define ROUNDS_MAX   64   /* to those that are opened faster than they are cut there is no end */
#define OWN_MAX      64
#define ROUTES_KNOWN 64

struct cutting {
	const struct step_rule *rule;
	struct links_above above; /* of the interface */
	uint64_t own[OWN_MAX];
	size_t n_own;
	uint64_t *cgroups; /* the rule's and those below it */
	size_t n_cgroups;  /* 0: it is told by its id alone, or has none */
	struct {
		uint8_t remote[16];
		uint32_t ifindex;
		bool known;
	} route[ROUTES_KNOWN];
	struct connection *found;
	size_t n;
};

/* The same as in bpf/flow.h, so that of a share of the flows those are cut whose packets the rule
 * is about. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccd;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53;
	return x ^ x >> 33;
}

static uint64_t hash_end(const uint8_t address[16], uint16_t port)
{
	uint32_t word[4];

	memcpy(word, address, sizeof(word));
	return mix(
		mix(mix((uint64_t)word[0] << 32 | word[1]) ^ ((uint64_t)word[2] << 32 | word[3])) ^
		port);
}

static bool flow_is_chosen(const struct classify_rule *r, const struct classify_flow *f)
{
	uint64_t hash = (hash_end(f->local, f->local_port) + hash_end(f->remote, f->remote_port) +
			 IPPROTO_TCP) |
			1;

	return r->flow_threshold == UINT32_MAX ||
	       (uint32_t)mix(hash ^ (uint64_t)r->flow_seed << 1) < r->flow_threshold;
}

/* A share of the packets becomes one of the connections; asked again, the answer is the same. */
static bool connection_is_chosen(const struct classify_rule *r, const struct connection *c)
{
	uint64_t cookie = (uint64_t)c->id.idiag_cookie[1] << 32 | c->id.idiag_cookie[0];

	return r->threshold == UINT32_MAX ||
	       (uint32_t)mix(cookie ^ (uint64_t)r->flow_seed << 32) < r->threshold;
}

static bool port_matches(const struct classify_ports *ports, unsigned n, uint16_t port)
{
	for (unsigned i = 0; i < n; i++) {
		if (port >= ports[i].first && port <= ports[i].last)
			return true;
	}
	return n == 0;
}

static bool ports_match(const struct step_rule *s, const struct classify_flow *f)
{
	bool arrives = s->hook.direction == CLASSIFY_INGRESS;

	return port_matches(s->rule.dst_ports, s->rule.n_dst_ports,
			    arrives ? f->local_port : f->remote_port) &&
	       port_matches(s->rule.src_ports, s->rule.n_src_ports,
			    arrives ? f->remote_port : f->local_port);
}

static bool has_prefix(const uint8_t address[16], const struct cidr *c)
{
	unsigned bytes = c->bits / 8, bits = c->bits % 8;

	return memcmp(address, c->addr, bytes) == 0 &&
	       (bits == 0 || (address[bytes] ^ c->addr[bytes]) >> (8 - bits) == 0);
}

/* The longest prefix it has, in bits; -1: none. */
static int longest(const struct cidr_list *list, const uint8_t address[16])
{
	int bits = -1;

	for (uint32_t i = 0; i < list->n; i++) {
		if (has_prefix(address, &list->cidr[i]) && list->cidr[i].bits > bits)
			bits = list->cidr[i].bits;
	}
	return bits;
}

static bool peer_matches(const struct step_rule *s, const uint8_t remote[16])
{
	int in = longest(&s->include, remote), out = longest(&s->exclude, remote);

	return s->include.n ? in >= 0 && in > out : out < 0;
}

/* Those of EC2, ECS and EKS, as in bpf/classify.bpf.c. */
static bool is_metadata(const uint8_t remote[16])
{
	static const uint8_t known[][16] = {
		{[10] = 0xff, [11] = 0xff, [12] = 169, [13] = 254, [14] = 169, [15] = 254},
		{[10] = 0xff, [11] = 0xff, [12] = 169, [13] = 254, [14] = 170, [15] = 2},
		{[10] = 0xff, [11] = 0xff, [12] = 169, [13] = 254, [14] = 170, [15] = 23},
		{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54},
		{0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23}};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (memcmp(remote, known[i], sizeof(known[i])) == 0)
			return true;
	}
	return false;
}

static bool is_spared(const struct cutting *g, const struct connection *c)
{
	const struct classify_rule *r = &g->rule->rule;

	for (size_t i = 0; i < g->n_own; i++) {
		if (g->own[i] == c->inode)
			return true;
	}
	if (r->flags & RULE_LOCKOUT)
		return false;
	for (unsigned i = 0; i < r->n_flows; i++) {
		if (memcmp(&r->flows[i], &c->flow, sizeof(c->flow)) == 0)
			return true;
	}
	return is_metadata(c->flow.remote);
}

/* By which way it goes; of a socket that is bound to an interface that is known. */
static bool goes_over(struct cutting *g, const struct connection *c)
{
	size_t at = hash_end(c->flow.remote, 0) % ROUTES_KNOWN;

	if (c->id.idiag_if)
		return links_above_has(&g->above, c->id.idiag_if);
	if (!g->route[at].known || memcmp(g->route[at].remote, c->flow.remote, 16) != 0) {
		g->route[at].known = true;
		memcpy(g->route[at].remote, c->flow.remote, 16);
		if (route_to(c->flow.remote, &g->route[at].ifindex) < 0)
			g->route[at].ifindex = 0;
	}
	return links_above_has(&g->above, g->route[at].ifindex);
}

/* As the classifier's rule: in the cgroup or below it. */
static bool is_inside(const struct cutting *g, const struct connection *c)
{
	for (size_t i = 0; i < g->n_cgroups; i++) {
		if (g->cgroups[i] == c->cgroup_id)
			return true;
	}
	return g->n_cgroups == 0;
}

static int each_connection(const struct connection *c, void *arg)
{
	struct cutting *g = arg;
	const struct classify_rule *r = &g->rule->rule;

	if (g->n_cgroups && !c->cgroup_id)
		return -EOPNOTSUPP;
	if (g->n == AT_ONCE || r->flags & RULE_NEW || !ports_match(g->rule, &c->flow) ||
	    !peer_matches(g->rule, c->flow.remote) || !flow_is_chosen(r, &c->flow) ||
	    !connection_is_chosen(r, c) || (r->flags & RULE_HAS_USER && c->uid != r->uid) ||
	    !is_inside(g, c) || is_spared(g, c) || !goes_over(g, c))
		return 0;
	g->found[g->n++] = *c;
	return 0;
}

/* Returns 1, 0 when it has ended by itself, or a negative errno. */
static int destroy(const struct connection *c)
{
	struct nl_request q;
	struct inet_diag_req_v2 *d = nl_begin(&q, SOCK_DESTROY, 0, sizeof(*d));
	int r;

	q.protocol = NETLINK_SOCK_DIAG;
	d->sdiag_family = c->family;
	d->sdiag_protocol = IPPROTO_TCP;
	d->idiag_states = UINT32_MAX;
	d->id = c->id;
	r = nl_ask(&q);
	return r == 0 ? 1 : r == -ENOENT || r == -ESTALE ? 0 : r;
}

static int cannot(struct error *e, int r, bool by_cgroup)
{
	bool missing = r == -EOPNOTSUPP || r == -EPROTONOSUPPORT || r == -EINVAL;

	return error_set(
		e, missing || r == -EPERM ? ERROR_UNSUPPORTED : ERROR_FAILED, r,
		"cannot cut connections: %s",
		missing && by_cgroup
			? "this kernel was built without INET_DIAG_DESTROY, or is older than 5.8 and tells no cgroups"
		: missing     ? "this kernel was built without INET_DIAG_DESTROY"
		: r == -EPERM ? "faultd lacks the privilege (CAP_NET_ADMIN)"
			      : strerror(-r));
}

/* The kernel's filter compares ids, so it will do for a cgroup only that has none below it, or is
 * gone. */
static int find_cgroups(struct cutting *g)
{
	struct cgroup_layout layout;
	int r = cgroup_layout_read(&layout);

	if (r == 0)
		r = cgroup_ids_below(&layout, g->rule->rule.cgroup_id, &g->cgroups, &g->n_cgroups);
	if (g->n_cgroups == 1)
		g->n_cgroups = 0;
	return r == -ENOENT ? 0 : r;
}

static int find(struct cutting *g)
{
	uint64_t cgroup_id = g->rule->rule.cgroup_id;
	int r = links_above((uint32_t)g->rule->hook.ifindex, &g->above);

	if (r == 0 && cgroup_id)
		r = find_cgroups(g);
	if (r < 0)
		return r;
	g->n_own = connections_own(g->own, OWN_MAX);
	r = connections_each(g->n_cgroups ? 0 : cgroup_id, each_connection, g);
	return r == -ENOENT ? -EOPNOTSUPP : r;
}

/* Returns how many it found, or a negative errno. */
static int cut_some(struct step_cut *cut, struct error *e)
{
	_cleanup_free_
	struct connection *found = calloc(AT_ONCE, sizeof(*found));
	struct cutting g = {.rule = &cut->rule, .found = found};
	int r = found ? find(&g) : -ENOMEM;

	for (size_t i = 0; i < g.n && r >= 0; i++) {
		r = destroy(&found[i]);
		cut->cut += r > 0;
	}
	free(g.cgroups);
	return r < 0 ? cannot(e, r, cut->rule.rule.cgroup_id != 0) : (int)g.n;
}

int cut_apply(struct step *s, const struct step_env *env, struct error *e)
{
	s->cut.rounds = 0;
	return 0; /* at last, when the packets of those that connect anew are taken care of */
}

int cut_settle(struct step *s, const struct step_env *env, struct error *e)
{
	struct step_cut *cut = &s->cut;
	int r;

	if (cut->rounds == ROUNDS_MAX)
		return 0;
	r = cut_some(cut, e);
	cut->rounds = r == AT_ONCE ? cut->rounds + 1 : ROUNDS_MAX;
	return r < 0 ? r : r == AT_ONCE ? -EAGAIN : 0;
}
