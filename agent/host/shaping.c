/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the kernel can shape, found by doing it in a network namespace that nobody else sees.
 * Asking so also loads the modules, where there are any. */
#include "host/features.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>

#include "util/netns.h"
#include "util/nl.h"

#define LOOPBACK_IFINDEX 1

/* What the kernel said: 0, or a negative errno. */
struct tried {
	int any; /* the namespace */
	int ifb, tbf, netem, mirred;
};

static int try_ifb(void)
{
	struct nl_request q;
	struct rtattr *info;

	(void)nl_begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	nl_put_string(&q, IFLA_IFNAME, "faultd-try");
	info = nl_nest(&q, IFLA_LINKINFO);
	nl_put_string(&q, IFLA_INFO_KIND, "ifb");
	nl_nest_end(&q, info);
	return nl_ask(&q);
}

static void begin_qdisc(struct nl_request *q, uint32_t handle, const char *kind)
{
	struct tcmsg *tc = nl_begin(q, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*tc));

	tc->tcm_ifindex = LOOPBACK_IFINDEX;
	tc->tcm_parent = TC_H_ROOT;
	tc->tcm_handle = handle << 16;
	nl_put_string(q, TCA_KIND, kind);
}

static int try_netem(void)
{
	const struct tc_netem_qopt options = {.limit = 1};
	struct nl_request q;

	begin_qdisc(&q, 1, "netem");
	nl_put(&q, TCA_OPTIONS, &options, sizeof(options));
	return nl_ask(&q);
}

static int try_tbf(void)
{
	const struct tc_tbf_qopt parameters = {
		.rate = {.linklayer = TC_LINKLAYER_ETHERNET, .rate = 1000000}, .limit = 100000};
	struct nl_request q;
	struct rtattr *options;

	begin_qdisc(&q, 2, "tbf");
	options = nl_nest(&q, TCA_OPTIONS);
	nl_put(&q, TCA_TBF_PARMS, &parameters, sizeof(parameters));
	nl_put_u32(&q, TCA_TBF_BURST, 100000);
	nl_nest_end(&q, options);
	return nl_ask(&q);
}

static int try_mirred(void)
{
	const struct tc_mirred redirect = {
		.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = LOOPBACK_IFINDEX};
	struct nl_request q;
	struct rtattr *actions, *first, *options;

	(void)nl_begin(&q, RTM_NEWACTION, NLM_F_CREATE, sizeof(struct tcamsg));
	actions = nl_nest(&q, TCA_ACT_TAB);
	first = nl_nest(&q, 1);
	nl_put_string(&q, TCA_ACT_KIND, "mirred");
	options = nl_nest(&q, TCA_ACT_OPTIONS);
	nl_put(&q, TCA_MIRRED_PARMS, &redirect, sizeof(redirect));
	nl_nest_end(&q, options);
	nl_nest_end(&q, first);
	nl_nest_end(&q, actions);
	return nl_ask(&q);
}

static int try_all(void *arg)
{
	struct tried *t = arg;

	t->ifb = try_ifb();
	t->netem = try_netem();
	t->tbf = try_tbf();
	t->mirred = try_mirred();
	return 0;
}

static const struct tried *tried(void)
{
	static struct tried t;
	static bool done;
	int unused;

	if (done)
		return &t;
	t.any = netns_run_empty(try_all, &t, &unused);
	done = t.any == 0;
	return &t;
}

static bool is_lacking(int r)
{
	return r == -ENOENT || r == -EOPNOTSUPP;
}

bool feature_netem(void)
{
	return !is_lacking(tried()->netem);
}

const char *feature_shaping_lacks(void)
{
	const struct tried *t = tried();

	return is_lacking(t->ifb)      ? "ifb devices (ifb)"
	       : is_lacking(t->mirred) ? "mirred (act_mirred)"
	       : is_lacking(t->tbf)    ? "tbf (sch_tbf)"
				       : NULL;
}

bool feature_shaping_known(void)
{
	return tried()->any == 0;
}
