/* SPDX-License-Identifier: Apache-2.0 */
#include "host/interfaces.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/ethtool.h>
#include <linux/pkt_sched.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "util/cleanup.h"
#include "util/nl.h"

struct walk {
	int (*each)(const struct interface *i, void *arg);
	void *arg;
};

static int each_link(const struct nlmsghdr *m, void *arg)
{
	const struct walk *w = arg;
	const struct ifinfomsg *info = NLMSG_DATA(m);
	struct interface i = {.index = (uint32_t)info->ifi_index, .type = info->ifi_type};

	if (m->nlmsg_type != RTM_NEWLINK)
		return 0;
	i.up = info->ifi_flags & IFF_UP;
	str_copy(i.name, sizeof(i.name), nl_string(nl_find(m, sizeof(*info), IFLA_IFNAME)));
	return w->each(&i, w->arg);
}

int interface_each(int (*each)(const struct interface *i, void *arg), void *arg)
{
	struct nl_request q;
	struct walk w = {each, arg};

	(void)nl_begin(&q, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	return nl_dump(&q, each_link, &w);
}

struct search {
	const char *name; /* or … */
	uint32_t index;
	struct interface *ret;
	bool found;
};

static int match_interface(const struct interface *i, void *arg)
{
	struct search *s = arg;

	if (s->name ? str_eq(i->name, s->name) : i->index == s->index) {
		*s->ret = *i;
		s->found = true;
	}
	return 0;
}

static int search(struct search *s)
{
	int r = interface_each(match_interface, s);

	return r < 0 ? r : s->found ? 0 : -ENODEV;
}

int interface_find(const char *name, struct interface *ret)
{
	return search(&(struct search){.name = name, .ret = ret});
}

struct default_route {
	uint32_t ifindex;
	uint32_t metric;
};

/* A default route over several interfaces: the first stands for it. */
static uint32_t first_hop(const struct rtattr *multipath)
{
	struct rtnexthop hop;

	if (!multipath || RTA_PAYLOAD(multipath) < sizeof(hop))
		return 0;
	memcpy(&hop, RTA_DATA(multipath), sizeof(hop));
	return (uint32_t)hop.rtnh_ifindex;
}

static int each_route(const struct nlmsghdr *m, void *arg)
{
	struct default_route *best = arg;
	const struct rtmsg *route = NLMSG_DATA(m);
	uint32_t metric, oif;

	if (m->nlmsg_type != RTM_NEWROUTE || route->rtm_dst_len != 0 ||
	    route->rtm_type != RTN_UNICAST || route->rtm_table != RT_TABLE_MAIN)
		return 0;
	oif = nl_u32(nl_find(m, sizeof(*route), RTA_OIF));
	if (oif == 0)
		oif = first_hop(nl_find(m, sizeof(*route), RTA_MULTIPATH));
	metric = nl_u32(nl_find(m, sizeof(*route), RTA_PRIORITY));
	if (oif != 0 && (best->ifindex == 0 || metric < best->metric))
		*best = (struct default_route){oif, metric};
	return 0;
}

int interface_default(struct interface *ret)
{
	static const unsigned char families[] = {AF_INET, AF_INET6};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct default_route best = {0};
		struct nl_request q;
		struct rtmsg *route = nl_begin(&q, RTM_GETROUTE, 0, sizeof(*route));
		int r;

		route->rtm_family = families[i];
		r = nl_dump(&q, each_route, &best);
		if (r < 0)
			return r;
		if (best.ifindex)
			return search(&(struct search){.index = best.ifindex, .ret = ret});
	}
	return -ENOENT;
}

static int add_name(const struct interface *i, void *arg)
{
	struct text *t = arg;

	text_add(t, "%s%s", t->length ? ", " : "", i->name);
	return 0;
}

void interface_names(struct text *t)
{
	(void)interface_each(add_name, t);
}

struct addresses {
	uint32_t index;
	int (*each)(const char *address, void *arg);
	void *arg;
};

static int each_address(const struct nlmsghdr *m, void *arg)
{
	const struct addresses *a = arg;
	const struct ifaddrmsg *info = NLMSG_DATA(m);
	const struct rtattr *address = nl_find(m, sizeof(*info), IFA_ADDRESS);
	size_t size = info->ifa_family == AF_INET ? 4 : 16;
	char shown[INET6_ADDRSTRLEN];
	char prefix[INET6_ADDRSTRLEN + 4];

	if (m->nlmsg_type != RTM_NEWADDR || info->ifa_index != a->index || !address ||
	    (info->ifa_family != AF_INET && info->ifa_family != AF_INET6) ||
	    RTA_PAYLOAD(address) < size ||
	    !inet_ntop(info->ifa_family, RTA_DATA(address), shown, sizeof(shown)))
		return 0;
	(void)snprintf(prefix, sizeof(prefix), "%s/%u", shown, info->ifa_prefixlen);
	return a->each(prefix, a->arg);
}

int interface_addresses(uint32_t ifindex, int (*each)(const char *address, void *arg), void *arg)
{
	struct nl_request q;
	struct addresses a = {ifindex, each, arg};

	(void)nl_begin(&q, RTM_GETADDR, 0, sizeof(struct ifaddrmsg));
	return nl_dump(&q, each_address, &a);
}

int interface_l2_length(const struct interface *i)
{
	switch (i->type) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return 14;
	case ARPHRD_NONE: /* tun, wireguard */
	case ARPHRD_PPP:
	case ARPHRD_RAWIP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static int each_qdisc(const struct nlmsghdr *m, void *arg)
{
	const struct tcmsg *tc = NLMSG_DATA(m);
	struct search *s = arg;

	if (m->nlmsg_type == RTM_NEWQDISC && (uint32_t)tc->tcm_ifindex == s->index &&
	    tc->tcm_parent == TC_H_CLSACT) {
		/* "ingress" sits in the same place, and would run an egress filter on what arrives.
		 */
		if (!str_eq(nl_string(nl_find(m, sizeof(*tc), TCA_KIND)), "clsact"))
			return -EADDRINUSE;
		s->found = true;
	}
	return 0;
}

int interface_has_clsact(uint32_t ifindex)
{
	struct search s = {.index = ifindex};
	struct nl_request q;
	struct tcmsg *tc = nl_begin(&q, RTM_GETQDISC, 0, sizeof(*tc));
	int r;

	tc->tcm_ifindex = (int)ifindex;
	r = nl_dump(&q, each_qdisc, &s);
	return r < 0 ? r : s.found;
}

static bool ask_device(const char *name, unsigned long what, struct ifreq *request)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)str_copy(request->ifr_name, sizeof(request->ifr_name), name);
	return fd >= 0 && ioctl(fd, what, request) == 0;
}

uint32_t interface_mtu(const char *name)
{
	struct ifreq request = {0};

	return ask_device(name, SIOCGIFMTU, &request) ? (uint32_t)request.ifr_mtu : 0;
}

/* The older of the two questions: it needs no negotiation, and every kernel answers it. */
uint32_t interface_speed_mbit(const char *name)
{
	struct ethtool_cmd command = {.cmd = ETHTOOL_GSET};
	struct ifreq request = {.ifr_data = (char *)&command};
	uint32_t speed = 0;

	if (ask_device(name, SIOCETHTOOL, &request))
		speed = ethtool_cmd_speed(&command);
	return speed == (uint32_t)SPEED_UNKNOWN ? 0 : speed;
}
