/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/peers.h"

#include <errno.h>
#include <string.h>

/* Of EC2, ECS and EKS; the classifier spares the same, see bpf/classify.bpf.c. */
static const char *const metadata[] = {"169.254.169.254", "169.254.170.2", "169.254.170.23",
				       "fd00:ec2::254", "fd00:ec2::23"};

struct prefixes {
	const struct facts *facts;
	struct cidr_list *include, *exclude;
	struct cidr_list spared, metadata;
	struct error *e;
};

static int too_many(struct error *e, const char *field)
{
	return error_field(e, field, "", "128 prefixes, excludePeers and networkSpared included",
			   "too many prefixes");
}

static int add(struct cidr_list *to, const struct cidr *c, const char *field, struct error *e)
{
	if (cidr_list_has(to, c))
		return 0;
	if (to->n == CIDRS_MAX)
		return too_many(e, field);
	to->cidr[to->n++] = *c;
	return 0;
}

static int add_all(struct cidr_list *to, const struct cidr_list *from, const char *field,
		   struct error *e)
{
	int r = 0;

	for (uint32_t i = 0; i < from->n && r == 0; i++)
		r = add(to, &from->cidr[i], field, e);
	return r;
}

static const struct cidr *holder(const struct cidr_list *list, const struct cidr *c)
{
	for (uint32_t i = 0; i < list->n; i++) {
		if (cidr_holds(&list->cidr[i], c))
			return &list->cidr[i];
	}
	return NULL;
}

/* Once it is active, a name may come to mean what is spared: then that address is excluded, rather
 * than the fault ended. Of the same prefix in both lists the exclusion counts. */
static int check_spared(struct prefixes *p, const char *shown, const struct cidr *c)
{
	const struct cidr *spared = holder(&p->spared, c);
	bool is_metadata = holder(&p->metadata, c) != NULL;
	char why[128] = "metadata";
	struct text t = TEXT(why);

	if (!spared && !is_metadata)
		return 0;
	if (p->facts->so_far)
		return add(p->exclude, c, "parameters.excludePeers", p->e);
	if (!is_metadata) {
		text_add(&t, "networkSpared ");
		cidr_print(spared, &t);
	}
	return error_field(p->e, "parameters.peers", shown,
			   "what is not spared, or allowLockout: true", "%s is spared (%s)", shown,
			   why);
}

static int include(struct prefixes *p, const char *name, const struct cidr_list *list)
{
	int r = 0;

	for (uint32_t i = 0; i < list->n && r == 0; i++) {
		char shown[NAME_TEXT_MAX + 64];
		struct text t = TEXT(shown);

		text_add(&t, "%s%s", name, name[0] ? " (" : "");
		cidr_print(&list->cidr[i], &t);
		text_add(&t, "%s", name[0] ? ")" : "");
		r = check_spared(p, shown, &list->cidr[i]);
		if (r == 0)
			r = add(p->include, &list->cidr[i], "parameters.peers", p->e);
	}
	return r;
}

/* What a name means now. */
static int look_up(const struct prefixes *p, const char *field, const char *name,
		   const struct cidr_list **ret)
{
	const struct resolved *all = p->facts->resolved;
	const struct named_peer *peer = all ? resolved_find(all, name) : NULL;

	if (!peer)
		return error_field(p->e, field, name, "addresses and prefixes",
				   "%s has not been resolved", name);
	if (peer->kind == NAMED_RESERVED) {
		char known[160];
		struct text t = TEXT(known);

		text_add(&t, "%s defined in %s", name, all->sets_path);
		return error_field(p->e, field, name, known,
				   "%s is the name of a set, and no file defines it", name);
	}
	if (peer->list.n == 0)
		return error_field(
			p->e, field, name, "a host name that resolves, or a set of networkSets",
			"%s does not resolve: %s", name, peer->why[0] ? peer->why : "no address");
	*ret = &peer->list;
	return 0;
}

static int spare(struct prefixes *p)
{
	const struct facts *facts = p->facts;
	const struct peer_list *spared =
		facts->resolved ? &facts->resolved->spared : &facts->policy->network_spared;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(metadata); i++)
		(void)cidr_list_add(&p->metadata, metadata[i]);
	if (spared->all)
		return error_set(p->e, ERROR_DENIED, -EACCES,
				 "networkSpared is ALL: no packet may be touched");
	r = add_all(&p->spared, &spared->cidrs, "networkSpared", p->e);
	for (uint32_t i = 0; i < spared->names.n && r == 0; i++) {
		const struct cidr_list *list = NULL;

		r = look_up(p, "networkSpared", spared->names.name[i], &list);
		if (r == 0)
			r = add_all(&p->spared, list, "networkSpared", p->e);
		else
			p->e->code = ERROR_CONFLICT;
	}
	return r;
}

int peers_spared(const struct facts *facts, struct cidr_list *ret, struct error *e)
{
	struct prefixes p = {.facts = facts, .e = e};
	int r = spare(&p);

	*ret = p.spared;
	return r == 0 ? add_all(ret, &p.metadata, "networkSpared", e) : r;
}

/* ALL beside others stands for both families, for the others may be within what is excluded. */
static int add_peers(struct prefixes *p, const struct peer_list *peers)
{
	struct cidr_list everybody = {0};
	int r = include(p, "", &peers->cidrs);

	for (uint32_t i = 0; i < peers->names.n && r == 0; i++) {
		const struct cidr_list *list = NULL;

		r = look_up(p, "parameters.peers", peers->names.name[i], &list);
		if (r == 0)
			r = include(p, peers->names.name[i], list);
	}
	if (r < 0 || !peers->all || p->include->n == 0)
		return r;
	(void)cidr_list_add(&everybody, "0.0.0.0/0");
	(void)cidr_list_add(&everybody, "::/0");
	return add_all(p->include, &everybody, "parameters.peers", p->e);
}

static int add_excluded(struct prefixes *p, const struct peer_list *excluded)
{
	int r = add_all(p->exclude, &excluded->cidrs, "parameters.excludePeers", p->e);

	for (uint32_t i = 0; i < excluded->names.n && r == 0; i++) {
		const struct cidr_list *list = NULL;

		r = look_up(p, "parameters.excludePeers", excluded->names.name[i], &list);
		if (r == 0)
			r = add_all(p->exclude, list, "parameters.excludePeers", p->e);
	}
	return r;
}

int peers_prefixes(const struct network *n, const struct facts *facts, struct cidr_list *include,
		   struct cidr_list *exclude, struct error *e)
{
	struct prefixes p = {.facts = facts, .include = include, .exclude = exclude, .e = e};
	int r = 0;

	*include = *exclude = (struct cidr_list){0};
	if (!n->allow_lockout)
		r = spare(&p);
	if (r == 0)
		r = add_peers(&p, &n->peers);
	if (r == 0)
		r = add_excluded(&p, &n->exclude_peers);
	if (r == 0)
		r = add_all(exclude, &p.spared, "networkSpared", e);
	return r == 0 && include->n + exclude->n > CIDRS_MAX ? too_many(e, "parameters.peers") : r;
}
