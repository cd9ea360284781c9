/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/classifier.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "classify.skel.h"
#include "host/interfaces.h"
#include "util/cleanup.h"

/* enum bpf_attach_type since Linux 6.6. libbpf before 1.3 does not name them, but passes them on.
 */
#define ATTACH_TCX_INGRESS ((enum bpf_attach_type)46)
#define ATTACH_TCX_EGRESS  ((enum bpf_attach_type)47)

/* What a slot holds beside the rule itself. */
struct slot {
	struct cidr_list include, exclude;
	struct classify_counters carried; /* counted by this rule in the slots it had before */
};

struct classifier {
	struct classifier *next;
	struct netns netns;
	uint32_t ifindex;
	uint32_t direction;
	struct classify_bpf *skel;
	int link_fd;
	unsigned users[_USE_MAX];
	uint64_t slots;                    /* bits of the rules in use */
	struct slot *slot[CLASSIFY_RULES]; /* of those; owned */
	unsigned next_slot; /* round robin: a cleared slot rests before it is written again */
	int n_cpus;
};

struct classifiers {
	struct classifier *first;
	struct qdisc_use qdiscs[QDISCS_MAX];
};

struct classifiers *classifiers_new(void)
{
	/* libbpf explains itself on stderr by default; errors reach the caller as errno instead. */
	libbpf_set_print(NULL);
	return calloc(1, sizeof(struct classifiers));
}

static void classifier_free(struct classifier *c)
{
	if (c->link_fd >= 0)
		(void)close(c->link_fd);
	classify_bpf__destroy(c->skel);
	for (unsigned i = 0; i < CLASSIFY_RULES; i++)
		free(c->slot[i]);
	free(c);
}

struct classifiers *classifiers_free(struct classifiers *all)
{
	for (struct classifier *c = all ? all->first : NULL, *next; c; c = next) {
		next = c->next;
		classifier_free(c);
	}
	free(all);
	return NULL;
}

static struct classifier *find(const struct classifiers *all, const struct step_hook *hook)
{
	for (struct classifier *c = all->first; c; c = c->next) {
		if (netns_same(&c->netns, &hook->netns) && c->ifindex == hook->ifindex &&
		    c->direction == hook->direction)
			return c;
	}
	return NULL;
}

static int load(struct classifier *c, int l2_length)
{
	struct classify_bpf *skel = classify_bpf__open();

	if (!skel)
		return -errno;
	skel->rodata->direction = c->direction;
	skel->rodata->l2_len = (uint32_t)l2_length;
	c->skel = skel;
	return classify_bpf__load(skel);
}

static int new_classifier(struct classifiers *all, const struct step_hook *hook,
			  struct classifier **ret)
{
	struct interface i;
	struct classifier *c;
	int r = interface_find(hook->ifname, &i);

	if (r == 0)
		r = i.index == hook->ifindex ? interface_l2_length(&i) : -ENODEV;
	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->link_fd = -1;
	c->netns = hook->netns;
	c->ifindex = (uint32_t)hook->ifindex;
	c->direction = (uint32_t)hook->direction;
	c->n_cpus = libbpf_num_possible_cpus();
	r = c->n_cpus < 0 ? c->n_cpus : load(c, r);
	if (r < 0) {
		classifier_free(c);
		return r;
	}
	c->next = all->first;
	all->first = c;
	*ret = c;
	return 0;
}

int classifier_take(struct classifiers *all, const struct step_hook *hook, enum classifier_use use)
{
	struct classifier *c = find(all, hook);
	int r = c ? 0 : new_classifier(all, hook, &c);

	return r < 0 ? r : (int)c->users[use]++;
}

static unsigned all_users(const struct classifier *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < _USE_MAX; i++)
		n += c->users[i];
	return n;
}

int classifier_drop(struct classifiers *all, const struct step_hook *hook, enum classifier_use use)
{
	struct classifier *c = find(all, hook);
	int left;

	if (!c || c->users[use] == 0)
		return -ENOENT;
	left = (int)--c->users[use];
	if (all_users(c) == 0) {
		struct classifier **p = &all->first;

		while (*p != c)
			p = &(*p)->next;
		*p = c->next;
		classifier_free(c);
	}
	return left;
}

unsigned classifier_users(const struct classifiers *all, const struct step_hook *hook,
			  enum classifier_use use)
{
	const struct classifier *c = find(all, hook);

	return c ? c->users[use] : 0;
}

struct qdisc_use *classifiers_qdisc(struct classifiers *all, const struct step_hook *hook)
{
	struct qdisc_use *unused = NULL;

	for (size_t i = 0; i < QDISCS_MAX; i++) {
		struct qdisc_use *q = &all->qdiscs[i];

		if (q->users > 0 && netns_same(&q->netns, &hook->netns) &&
		    q->ifindex == hook->ifindex)
			return q;
		if (q->users == 0 && !unused)
			unused = q;
	}
	if (unused)
		*unused = (struct qdisc_use){.netns = hook->netns,
					     .ifindex = (uint32_t)hook->ifindex};
	return unused;
}

int classifier_prog_fd(const struct classifiers *all, const struct step_hook *hook)
{
	const struct classifier *c = find(all, hook);

	return c ? bpf_program__fd(c->skel->progs.classify) : -ENOENT;
}

static enum bpf_attach_type attach_type(const struct classifier *c)
{
	return c->direction == CLASSIFY_INGRESS ? ATTACH_TCX_INGRESS : ATTACH_TCX_EGRESS;
}

int classifier_attach(struct classifiers *all, const struct step_hook *hook)
{
	struct classifier *c = find(all, hook);
	int fd;

	if (!c)
		return -ENOENT;
	fd = bpf_link_create(bpf_program__fd(c->skel->progs.classify), (int)c->ifindex,
			     attach_type(c), NULL);
	if (fd < 0)
		return -errno;
	c->link_fd = fd;
	return 0;
}

/* Is our program among those on the hook? A hook that cannot be asked (its device is gone) has
 * none. */
static bool is_attached(const struct classifier *c)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info), ids[64], n = 64, flags = 0;

	if (bpf_obj_get_info_by_fd(bpf_program__fd(c->skel->progs.classify), &info, &size) < 0 ||
	    bpf_prog_query((int)c->ifindex, attach_type(c), 0, &flags, ids, &n) < 0)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (ids[i] == info.id)
			return true;
	}
	return false;
}

int classifier_detach(struct classifiers *all, const struct step_hook *hook)
{
	struct classifier *c = find(all, hook);

	if (!c || c->link_fd < 0)
		return 0;
	/* Not by closing alone: whoever looks at links (bpftool) holds descriptors of them too.
	 * Waits until no CPU runs the program. */
	if (bpf_link_detach(c->link_fd) < 0 && is_attached(c))
		return -EBUSY;
	(void)close(steal_fd(&c->link_fd));
	return is_attached(c) ? -EBUSY : 0;
}

static int add_cidrs(const struct classifier *c, uint32_t slot, const struct cidr_list *list,
		     uint8_t value)
{
	for (uint32_t i = 0; i < list->n; i++) {
		struct classify_cidr key = {.prefixlen = 32u + list->cidr[i].bits, .slot = slot};

		memcpy(key.addr, list->cidr[i].addr, sizeof(key.addr));
		if (bpf_map__update_elem(c->skel->maps.cidrs, &key, sizeof(key), &value,
					 sizeof(value), BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

static void delete_cidrs(const struct classifier *c, uint32_t slot, const struct cidr_list *list)
{
	for (uint32_t i = 0; i < list->n; i++) {
		struct classify_cidr key = {.prefixlen = 32u + list->cidr[i].bits, .slot = slot};

		memcpy(key.addr, list->cidr[i].addr, sizeof(key.addr));
		(void)bpf_map__delete_elem(c->skel->maps.cidrs, &key, sizeof(key), 0);
	}
}

/* Where no given prefix says anything. IPv4 has its own, or ::/0 and the like would mean IPv4 too,
 * which is mapped into it. */
static const struct cidr_list everything = {
	.n = 2, .cidr = {{.bits = 0}, {.addr = {[10] = 0xff, [11] = 0xff}, .bits = 96}}};

static int write_rule(const struct classifier *c, uint32_t slot, const struct step_rule *rule,
		      uint64_t deadline_boot_ns)
{
	struct classify_rule r = rule->rule;
	struct classify_counters *zero = calloc((size_t)c->n_cpus, sizeof(*zero));
	int e;

	if (!zero)
		return -ENOMEM;
	r.deadline_boot_ns = deadline_boot_ns;
	if (rule->include.n || rule->exclude.n)
		r.flags |= RULE_HAS_CIDRS;
	e = bpf_map__update_elem(c->skel->maps.counters, &slot, sizeof(slot), zero,
				 (size_t)c->n_cpus * sizeof(*zero), BPF_ANY);
	free(zero);
	if (e == 0 && r.flags & RULE_HAS_CIDRS)
		e = add_cidrs(c, slot, &everything, rule->include.n ? CIDR_EXCLUDE : CIDR_INCLUDE);
	if (e == 0)
		e = add_cidrs(c, slot, &rule->include, CIDR_INCLUDE);
	if (e == 0)
		e = add_cidrs(c, slot, &rule->exclude, CIDR_EXCLUDE);
	if (e == 0 && r.flags & RULE_HAS_NAMES)
		e = bpf_map__update_elem(c->skel->maps.names, &slot, sizeof(slot), &rule->names,
					 sizeof(rule->names), BPF_ANY);
	if (e == 0)
		e = bpf_map__update_elem(c->skel->maps.rules, &slot, sizeof(slot), &r, sizeof(r),
					 BPF_ANY);
	return e;
}

static int free_slot(const struct classifier *c)
{
	for (unsigned i = 0; i < CLASSIFY_RULES; i++) {
		unsigned slot = (c->next_slot + i) % CLASSIFY_RULES;

		if (!(c->slots & 1ull << slot))
			return (int)slot;
	}
	return -ENOSPC;
}

static void set_active(const struct classifier *c)
{
	/* The program reads it in place: the maps of its globals are mapped here. */
	__atomic_store_n(&c->skel->bss->active, c->slots, __ATOMIC_RELEASE);
}

/* With what the rule had counted before it came there. */
static bool count_slot(const struct classifier *c, uint32_t slot, struct classify_counters *ret)
{
	_cleanup_free_
	struct classify_counters *per_cpu = calloc((size_t)c->n_cpus, sizeof(*per_cpu));

	*ret = c->slot[slot] ? c->slot[slot]->carried : (struct classify_counters){0};
	if (!per_cpu || bpf_map__lookup_elem(c->skel->maps.counters, &slot, sizeof(slot), per_cpu,
					     (size_t)c->n_cpus * sizeof(*per_cpu), 0) < 0)
		return false;
	for (int i = 0; i < c->n_cpus; i++) {
		ret->matched += per_cpu[i].matched;
		ret->dropped += per_cpu[i].dropped;
		ret->shaped += per_cpu[i].shaped;
		ret->answered += per_cpu[i].answered;
	}
	return true;
}

/* Also what was written of it by half. */
static void forget(struct classifier *c, uint32_t slot)
{
	struct slot *s = c->slot[slot];

	delete_cidrs(c, slot, &everything);
	if (s) {
		delete_cidrs(c, slot, &s->include);
		delete_cidrs(c, slot, &s->exclude);
	}
	free(s);
	c->slot[slot] = NULL;
}

/* Into a free slot, which does not count yet. Returns it, or a negative errno. */
static int place(struct classifier *c, const struct step_rule *rule, uint64_t deadline_boot_ns)
{
	int slot = free_slot(c), r;

	if (slot < 0)
		return slot;
	c->slot[slot] = calloc(1, sizeof(*c->slot[slot]));
	if (!c->slot[slot])
		return -ENOMEM;
	c->slot[slot]->include = rule->include;
	c->slot[slot]->exclude = rule->exclude;
	r = write_rule(c, (uint32_t)slot, rule, deadline_boot_ns);
	if (r < 0) {
		forget(c, (uint32_t)slot);
		return r;
	}
	c->next_slot = (unsigned)slot + 1;
	return slot;
}

int classifier_rule_add(struct classifiers *all, struct step_rule *rule, uint64_t deadline_boot_ns)
{
	struct classifier *c = find(all, &rule->hook);
	int slot = c ? place(c, rule, deadline_boot_ns) : -ENOENT;

	if (slot < 0)
		return slot;
	rule->slot = (uint64_t)slot + 1;
	c->slots |= 1ull << slot;
	set_active(c);
	return 0;
}

/* Both bits change in one store, and the program reads them once per packet. */
static int move_rule(struct classifier *c, struct step_rule *rule, uint32_t from,
		     uint64_t deadline_boot_ns)
{
	int to = place(c, rule, deadline_boot_ns);

	if (to < 0) {
		rule->include = c->slot[from]->include;
		rule->exclude = c->slot[from]->exclude;
		return to;
	}
	c->slots = (c->slots & ~(1ull << from)) | 1ull << to;
	set_active(c);
	(void)count_slot(c, from, &c->slot[to]->carried);
	forget(c, from);
	rule->slot = (uint64_t)to + 1;
	return 0;
}

static bool has_prefixes_of(const struct slot *s, const struct step_rule *rule)
{
	return memcmp(&s->include, &rule->include, sizeof(s->include)) == 0 &&
	       memcmp(&s->exclude, &rule->exclude, sizeof(s->exclude)) == 0;
}

/* The threshold is written over in place: all else is the same before and after, so a packet sees
 * one of the two. */
int classifier_rule_change(struct classifiers *all, struct step_rule *rule)
{
	struct classifier *c = find(all, &rule->hook);
	uint32_t slot = (uint32_t)rule->slot - 1;
	struct classify_rule r;
	int e;

	if (!c || rule->slot == 0)
		return -ENOENT;
	e = bpf_map__lookup_elem(c->skel->maps.rules, &slot, sizeof(slot), &r, sizeof(r), 0);
	if (e < 0)
		return e;
	if (!has_prefixes_of(c->slot[slot], rule))
		return move_rule(c, rule, slot, r.deadline_boot_ns);
	r.threshold = rule->rule.threshold;
	return bpf_map__update_elem(c->skel->maps.rules, &slot, sizeof(slot), &r, sizeof(r),
				    BPF_EXIST);
}

void classifier_rule_clear(struct classifiers *all, const struct step_rule *rule)
{
	struct classifier *c = find(all, &rule->hook);
	uint32_t slot = (uint32_t)rule->slot - 1;

	if (!c || rule->slot == 0)
		return;
	c->slots &= ~(1ull << slot);
	set_active(c);
	forget(c, slot);
}

bool classifier_rule_count(const struct classifiers *all, const struct step_rule *rule,
			   struct classify_counters *ret)
{
	const struct classifier *c = find(all, &rule->hook);

	*ret = (struct classify_counters){0};
	return c && rule->slot > 0 && count_slot(c, (uint32_t)rule->slot - 1, ret);
}
