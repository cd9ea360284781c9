/* SPDX-License-Identifier: Apache-2.0 */
#include "host/links.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_vlan.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "util/nl.h"

bool links_above_has(const struct links_above *above, uint32_t ifindex)
{
	for (size_t i = 0; i < above->n; i++) {
		if (above->ifindex[i] == ifindex)
			return true;
	}
	return false;
}

static int dump_links(nl_each_fn each, void *arg)
{
	struct nl_request q;

	(void)nl_begin(&q, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	return nl_dump(&q, each, arg);
}

/* The number of an interface of another namespace says nothing here. */
static uint32_t lower_of(const struct nlmsghdr *m)
{
	if (nl_find(m, sizeof(struct ifinfomsg), IFLA_LINK_NETNSID))
		return 0;
	return nl_u32(nl_find(m, sizeof(struct ifinfomsg), IFLA_LINK));
}

static int add(struct links_above *above, uint32_t ifindex)
{
	if (ifindex == 0 || links_above_has(above, ifindex))
		return 0;
	if (above->n == LINKS_ABOVE_MAX)
		return -E2BIG;
	above->ifindex[above->n++] = ifindex;
	return 0;
}

static int each_above(const struct nlmsghdr *m, void *arg)
{
	struct links_above *above = arg;
	const struct ifinfomsg *info = NLMSG_DATA(m);

	if (m->nlmsg_type != RTM_NEWLINK)
		return 0;
	if (links_above_has(above, (uint32_t)info->ifi_index))
		return add(above, nl_u32(nl_find(m, sizeof(*info), IFLA_MASTER)));
	if (links_above_has(above, lower_of(m)))
		return add(above, (uint32_t)info->ifi_index);
	return 0;
}

int links_above(uint32_t ifindex, struct links_above *ret)
{
	size_t before = 0;
	int r = 0;

	*ret = (struct links_above){.ifindex = {ifindex}, .n = 1};
	while (r == 0 && before != ret->n) {
		before = ret->n;
		r = dump_links(each_above, ret);
	}
	return r;
}

struct vlan_search {
	uint32_t ifindex;
	char *name;
	size_t size;
	bool found;
};

/* One with loose binding stays up, other kinds of upper interfaces lose their carrier only. */
static int each_vlan(const struct nlmsghdr *m, void *arg)
{
	struct vlan_search *s = arg;
	const struct ifinfomsg *info = NLMSG_DATA(m);
	const struct rtattr *kind = nl_find(m, sizeof(*info), IFLA_LINKINFO);
	const struct rtattr *flags = nl_find_in(nl_find_in(kind, IFLA_INFO_DATA), IFLA_VLAN_FLAGS);

	if (m->nlmsg_type != RTM_NEWLINK || lower_of(m) != s->ifindex ||
	    !(info->ifi_flags & IFF_UP) ||
	    !str_eq(nl_string(nl_find_in(kind, IFLA_INFO_KIND)), "vlan") ||
	    nl_u32(flags) & VLAN_FLAG_LOOSE_BINDING)
		return 0;
	(void)str_copy(s->name, s->size, nl_string(nl_find(m, sizeof(*info), IFLA_IFNAME)));
	s->found = true;
	return 0;
}

int link_vlan(uint32_t ifindex, char *name, size_t size)
{
	struct vlan_search s = {.ifindex = ifindex, .name = name, .size = size};
	int r = dump_links(each_vlan, &s);

	return r < 0 ? r : s.found;
}

static int each_configured(const struct nlmsghdr *m, void *arg)
{
	const struct rtattr *ipv6 =
		nl_find_in(nl_find(m, sizeof(struct ifinfomsg), IFLA_AF_SPEC), AF_INET6);
	const struct rtattr *conf = nl_find_in(ipv6, IFLA_INET6_CONF);
	int32_t values[DEVCONF_ACCEPT_RA + 1];
	bool *takes = arg;

	if (m->nlmsg_type != RTM_NEWLINK || !conf || RTA_PAYLOAD(conf) < sizeof(values))
		return 0;
	memcpy(values, RTA_DATA(conf), sizeof(values));
	*takes = values[DEVCONF_ACCEPT_RA] == 2 ||
		 (values[DEVCONF_ACCEPT_RA] == 1 && !values[DEVCONF_FORWARDING]);
	return 0;
}

int link_takes_advertisements(uint32_t ifindex)
{
	struct nl_request q;
	struct ifinfomsg *info = nl_begin(&q, RTM_GETLINK, 0, sizeof(*info));
	bool takes = false;
	int r;

	info->ifi_index = (int)ifindex;
	r = nl_get(&q, each_configured, &takes);
	return r < 0 ? r : takes;
}

struct default_search {
	const struct links_above *above;
	bool found;
};

static bool hop_is_over(const struct rtattr *multipath, const struct links_above *above)
{
	const char *at = multipath ? RTA_DATA(multipath) : NULL;
	size_t left = multipath ? RTA_PAYLOAD(multipath) : 0;

	while (left >= sizeof(struct rtnexthop)) {
		struct rtnexthop hop;

		memcpy(&hop, at, sizeof(hop));
		if (links_above_has(above, (uint32_t)hop.rtnh_ifindex))
			return true;
		if (hop.rtnh_len < sizeof(hop) || RTA_ALIGN(hop.rtnh_len) > left)
			break;
		left -= RTA_ALIGN(hop.rtnh_len);
		at += RTA_ALIGN(hop.rtnh_len);
	}
	return false;
}

static int each_default(const struct nlmsghdr *m, void *arg)
{
	struct default_search *s = arg;
	const struct rtmsg *route = NLMSG_DATA(m);

	if (m->nlmsg_type == RTM_NEWROUTE && route->rtm_dst_len == 0 &&
	    route->rtm_type == RTN_UNICAST && route->rtm_table == RT_TABLE_MAIN &&
	    (links_above_has(s->above, nl_u32(nl_find(m, sizeof(*route), RTA_OIF))) ||
	     hop_is_over(nl_find(m, sizeof(*route), RTA_MULTIPATH), s->above)))
		s->found = true;
	return 0;
}

int route_default_over(const struct links_above *above)
{
	static const unsigned char families[] = {AF_INET, AF_INET6};
	struct default_search s = {.above = above};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++) {
		struct nl_request q;
		struct rtmsg *route = nl_begin(&q, RTM_GETROUTE, 0, sizeof(*route));

		route->rtm_family = families[i];
		r = nl_dump(&q, each_default, &s);
	}
	return r < 0 ? r : s.found;
}

static int each_answer(const struct nlmsghdr *m, void *arg)
{
	uint32_t *ifindex = arg;

	if (m->nlmsg_type == RTM_NEWROUTE)
		*ifindex = nl_u32(nl_find(m, sizeof(struct rtmsg), RTA_OIF));
	return 0;
}

int route_to(const uint8_t address[16], uint32_t *ret_ifindex)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool v4 = memcmp(address, mapped, sizeof(mapped)) == 0;
	struct nl_request q;
	struct rtmsg *route = nl_begin(&q, RTM_GETROUTE, 0, sizeof(*route));

	*ret_ifindex = 0;
	route->rtm_family = v4 ? AF_INET : AF_INET6;
	route->rtm_dst_len = v4 ? 32 : 128;
	nl_put(&q, RTA_DST, v4 ? address + 12 : address, v4 ? 4 : 16);
	return nl_get(&q, each_answer, ret_ifindex);
}
