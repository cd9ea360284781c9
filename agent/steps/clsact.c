/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/clsact.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>
#include <stdbool.h>

#include "util/nl.h"
#include "util/str.h"

static uint32_t parent_of(uint32_t direction)
{
	return TC_H_MAKE(TC_H_CLSACT,
			 direction == CLASSIFY_INGRESS ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

static struct tcmsg *begin_qdisc(struct nl_request *q, uint16_t type, uint16_t flags,
				 uint32_t ifindex)
{
	struct tcmsg *tc = nl_begin(q, type, flags, sizeof(*tc));

	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = (int)ifindex;
	tc->tcm_parent = TC_H_CLSACT;
	tc->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	return tc;
}

/* What tells a filter of ours. */
struct filter_key {
	uint32_t pref, handle;
	const char *name;
};

static const struct filter_key classifier_key = {FILTER_PREF, FILTER_HANDLE, FILTER_NAME};

static struct filter_key mark_key(uint32_t mark)
{
	return (struct filter_key){MARK_FILTER_PREF, mark, MARK_FILTER_NAME};
}

static void begin_filter(struct nl_request *q, uint16_t type, uint16_t flags, uint32_t ifindex,
			 uint32_t direction, const struct filter_key *key)
{
	struct tcmsg *tc = nl_begin(q, type, flags, sizeof(*tc));

	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = (int)ifindex;
	tc->tcm_parent = parent_of(direction);
	tc->tcm_handle = key->handle;
	tc->tcm_info = TC_H_MAKE(key->pref << 16, htons(ETH_P_ALL));
	nl_put_string(q, TCA_KIND, "bpf");
}

/* The kernel's answers for "that device or qdisc is not there". */
static bool is_absent(int r)
{
	return r == -ENOENT || r == -ENODEV || r == -EINVAL;
}

int clsact_add(uint32_t ifindex)
{
	struct nl_request q;

	(void)begin_qdisc(&q, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex);
	nl_put_string(&q, TCA_KIND, "clsact");
	return nl_ask(&q);
}

struct filter_search {
	const struct filter_key *key;
	bool found;
	bool any;
	bool foreign;
};

static bool is_filter(const struct nlmsghdr *m, uint32_t pref, const char *name)
{
	const struct tcmsg *tc = NLMSG_DATA(m);
	const struct rtattr *options = nl_find(m, sizeof(*tc), TCA_OPTIONS);

	return tc->tcm_info >> 16 == pref &&
	       str_eq(nl_string(nl_find(m, sizeof(*tc), TCA_KIND)), "bpf") &&
	       str_starts(nl_string(nl_find_in(options, TCA_BPF_NAME)), name);
}

static int each_filter(const struct nlmsghdr *m, void *arg)
{
	struct filter_search *s = arg;
	const struct tcmsg *tc = NLMSG_DATA(m);
	uint32_t pref = tc->tcm_info >> 16;
	bool ours;

	/* A dump shows every filter, and a chain head (handle 0) before it. */
	if (m->nlmsg_type != RTM_NEWTFILTER)
		return 0;
	s->any = true;
	ours = tc->tcm_handle == 0 ? pref == FILTER_PREF || pref == MARK_FILTER_PREF
	       : tc->tcm_handle == FILTER_HANDLE && is_filter(m, FILTER_PREF, FILTER_NAME)
		       ? true
		       : is_filter(m, MARK_FILTER_PREF, MARK_FILTER_NAME);
	s->foreign |= !ours;
	s->found |= s->key && tc->tcm_handle == s->key->handle &&
		    is_filter(m, s->key->pref, s->key->name);
	return 0;
}

static int search_filters(uint32_t ifindex, uint32_t direction, struct filter_search *s)
{
	struct nl_request q;
	struct tcmsg *tc = nl_begin(&q, RTM_GETTFILTER, 0, sizeof(*tc));
	int r;

	tc->tcm_ifindex = (int)ifindex;
	tc->tcm_parent = parent_of(direction);
	r = nl_dump(&q, each_filter, s);
	return is_absent(r) ? 0 : r;
}

int clsact_delete_empty(uint32_t ifindex)
{
	struct filter_search egress = {0}, ingress = {0};
	struct nl_request q;
	int r;

	r = search_filters(ifindex, CLASSIFY_EGRESS, &egress);
	if (r == 0)
		r = search_filters(ifindex, CLASSIFY_INGRESS, &ingress);
	if (r < 0)
		return r;
	if (egress.foreign || ingress.foreign)
		return -EBUSY;
	if (egress.any || ingress.any)
		return -EAGAIN;
	(void)begin_qdisc(&q, RTM_DELQDISC, 0, ifindex);
	r = nl_ask(&q);
	return is_absent(r) ? 0 : r;
}

static struct rtattr *begin_program(struct nl_request *q, uint32_t ifindex, uint32_t direction,
				    const struct filter_key *key, int prog_fd)
{
	struct rtattr *options;

	begin_filter(q, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, ifindex, direction, key);
	options = nl_nest(q, TCA_OPTIONS);
	nl_put_u32(q, TCA_BPF_FD, (uint32_t)prog_fd);
	nl_put_string(q, TCA_BPF_NAME, key->name);
	return options;
}

int filter_add(uint32_t ifindex, uint32_t direction, int prog_fd)
{
	struct nl_request q;
	struct rtattr *options = begin_program(&q, ifindex, direction, &classifier_key, prog_fd);

	nl_put_u32(&q, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	nl_nest_end(&q, options);
	return nl_ask(&q);
}

/* Not direct-action: what the program returns says whether the action is run. */
int mark_filter_add(uint32_t ifindex, uint32_t direction, uint32_t mark, int prog_fd, uint32_t to)
{
	const struct tc_mirred redirect = {
		.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = to};
	const struct filter_key key = mark_key(mark);
	struct nl_request q;
	struct rtattr *options = begin_program(&q, ifindex, direction, &key, prog_fd);
	struct rtattr *actions = nl_nest(&q, TCA_BPF_ACT);
	struct rtattr *first = nl_nest(&q, 1);
	struct rtattr *action;

	nl_put_string(&q, TCA_ACT_KIND, "mirred");
	action = nl_nest(&q, TCA_ACT_OPTIONS);
	nl_put(&q, TCA_MIRRED_PARMS, &redirect, sizeof(redirect));
	nl_nest_end(&q, action);
	nl_nest_end(&q, first);
	nl_nest_end(&q, actions);
	nl_nest_end(&q, options);
	return nl_ask(&q);
}

static int is_present(uint32_t ifindex, uint32_t direction, const struct filter_key *key)
{
	struct filter_search s = {.key = key};
	int r = search_filters(ifindex, direction, &s);

	return r < 0 ? r : s.found;
}

static int delete_filter(uint32_t ifindex, uint32_t direction, const struct filter_key *key)
{
	struct nl_request q;
	int r = is_present(ifindex, direction, key);

	if (r <= 0)
		return r;
	begin_filter(&q, RTM_DELTFILTER, 0, ifindex, direction, key);
	r = nl_ask(&q);
	return is_absent(r) ? 0 : r;
}

int filter_delete(uint32_t ifindex, uint32_t direction)
{
	return delete_filter(ifindex, direction, &classifier_key);
}

int filter_present(uint32_t ifindex, uint32_t direction)
{
	return is_present(ifindex, direction, &classifier_key);
}

int mark_filter_delete(uint32_t ifindex, uint32_t direction, uint32_t mark)
{
	const struct filter_key key = mark_key(mark);

	return delete_filter(ifindex, direction, &key);
}

int mark_filter_present(uint32_t ifindex, uint32_t direction, uint32_t mark)
{
	const struct filter_key key = mark_key(mark);

	return is_present(ifindex, direction, &key);
}
