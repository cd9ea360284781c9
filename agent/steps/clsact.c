/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/clsact.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
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

static struct tcmsg *begin_filter(struct nl_request *q, uint16_t type, uint16_t flags,
				  uint32_t ifindex, uint32_t direction)
{
	struct tcmsg *tc = nl_begin(q, type, flags, sizeof(*tc));

	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = (int)ifindex;
	tc->tcm_parent = parent_of(direction);
	tc->tcm_handle = FILTER_HANDLE;
	tc->tcm_info = TC_H_MAKE((uint32_t)FILTER_PREF << 16, htons(ETH_P_ALL));
	return tc;
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
	uint32_t direction;
	bool any;
	bool foreign;
	bool ours;
};

static int each_filter(const struct nlmsghdr *m, void *arg)
{
	struct filter_search *s = arg;
	const struct tcmsg *tc = NLMSG_DATA(m);
	const struct rtattr *options = nl_find(m, sizeof(*tc), TCA_OPTIONS);

	/* A dump shows every filter, and a chain head (handle 0) before it. */
	if (m->nlmsg_type != RTM_NEWTFILTER)
		return 0;
	s->any = true;
	if (tc->tcm_handle == FILTER_HANDLE && tc->tcm_info >> 16 == FILTER_PREF &&
	    str_eq(nl_string(nl_find(m, sizeof(*tc), TCA_KIND)), "bpf") &&
	    str_starts(nl_string(nl_find_in(options, TCA_BPF_NAME)), FILTER_NAME))
		s->ours = true;
	else if (tc->tcm_handle != 0 || tc->tcm_info >> 16 != FILTER_PREF)
		s->foreign = true;
	return 0;
}

static int search_filters(uint32_t ifindex, uint32_t direction, struct filter_search *ret)
{
	struct nl_request q;
	struct tcmsg *tc = nl_begin(&q, RTM_GETTFILTER, 0, sizeof(*tc));
	int r;

	*ret = (struct filter_search){.direction = direction};
	tc->tcm_ifindex = (int)ifindex;
	tc->tcm_parent = parent_of(direction);
	r = nl_dump(&q, each_filter, ret);
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

int filter_add(uint32_t ifindex, uint32_t direction, int prog_fd)
{
	struct nl_request q;
	struct rtattr *options;

	(void)begin_filter(&q, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, ifindex, direction);
	nl_put_string(&q, TCA_KIND, "bpf");
	options = nl_nest(&q, TCA_OPTIONS);
	nl_put_u32(&q, TCA_BPF_FD, (uint32_t)prog_fd);
	nl_put_string(&q, TCA_BPF_NAME, FILTER_NAME);
	nl_put_u32(&q, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	nl_nest_end(&q, options);
	return nl_ask(&q);
}

int filter_delete(uint32_t ifindex, uint32_t direction)
{
	struct nl_request q;
	int r = filter_present(ifindex, direction);

	if (r <= 0)
		return r;
	(void)begin_filter(&q, RTM_DELTFILTER, 0, ifindex, direction);
	nl_put_string(&q, TCA_KIND, "bpf");
	r = nl_ask(&q);
	return is_absent(r) ? 0 : r;
}

int filter_present(uint32_t ifindex, uint32_t direction)
{
	struct filter_search s = {0};
	int r = search_filters(ifindex, direction, &s);

	return r < 0 ? r : s.ours;
}
