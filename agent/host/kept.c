/* SPDX-License-Identifier: Apache-2.0 */
#include "host/kept.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "host/links.h"
#include "util/clock.h"
#include "util/nl.h"

/* Since Linux 5.18; older headers do not name them. */
#define IFA_PROTO_         11
#define IFAPROT_KERNEL_RA_ 2

/* Which come first when they are added again. */
enum rank { RANK_ADDRESS, RANK_NEIGHBOUR, RANK_DEVICE_ROUTE, RANK_GATEWAY, RANK_MULTIPATH };

#define TICKS_PER_S 100 /* USER_HZ, of rta_cacheinfo */
#define DUMPS_MAX   16

struct reading {
	uint32_t ifindex;
	bool router_advertisements; /* are taken by the kernel, which asks for them when it is up */
	struct kept_list *list;
	size_t first; /* of the list, that is this interface's */
	struct text *why;
};

static int refuse(const struct reading *g, const char *what, const char *shown)
{
	text_add(g->why, "%s%s%s", shown, shown[0] ? " " : "", what);
	return -EOPNOTSUPP;
}

static void add_address(int family, const struct rtattr *a, const char *before, struct text *t)
{
	char text[INET6_ADDRSTRLEN];

	if (a && RTA_PAYLOAD(a) >= (family == AF_INET ? 4 : 16) &&
	    inet_ntop(family, RTA_DATA(a), text, sizeof(text)))
		text_add(t, "%s%s", before, text);
}

static bool is_one_of(uint16_t type, const uint16_t *types, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (types[i] == type)
			return true;
	}
	return false;
}

static const struct rtattr *next(const struct rtattr *a, size_t *left)
{
	size_t step = RTA_ALIGN(a->rta_len);

	if (step > *left)
		return NULL;
	*left -= step;
	return (const struct rtattr *)(const void *)((const char *)a + step);
}

/* Copies the attributes of these types. Returns false when they do not fit. */
static bool copy_attributes(const struct nlmsghdr *m, size_t size, const uint16_t *types, size_t n,
			    struct nl_request *q)
{
	size_t left = m->nlmsg_len - NLMSG_LENGTH(NLMSG_ALIGN(size));
	const struct rtattr *a = (const void *)((const char *)NLMSG_DATA(m) + NLMSG_ALIGN(size));

	for (; a && left >= sizeof(*a) && a->rta_len >= sizeof(*a) && a->rta_len <= left;
	     a = next(a, &left)) {
		if (!is_one_of(a->rta_type & NLA_TYPE_MASK, types, n))
			continue;
		if (NLMSG_ALIGN(q->header.nlmsg_len) + RTA_ALIGN(a->rta_len) >
		    NLMSG_HDRLEN + KEPT_HEX_MAX / 2)
			return false;
		nl_put(q, a->rta_type, RTA_DATA(a), RTA_PAYLOAD(a));
	}
	return true;
}

static int keep(const struct reading *g, const struct nl_request *q, enum rank rank, bool backwards,
		const char *shown)
{
	struct kept_list *l = g->list;
	struct kept *k = &l->kept[l->n];
	struct text t;

	if (l->n == KEPT_MAX)
		return refuse(g, "more than 64 routes, addresses and neighbours would go with it",
			      "");
	*k = (struct kept){.ifindex = g->ifindex,
			   .rank = rank,
			   .order = backwards ? -(int32_t)l->n : (int32_t)l->n,
			   .type = q->header.nlmsg_type};
	t = TEXT(k->message);
	nl_print(q, &t);
	(void)str_copy(k->shown, sizeof(k->shown), shown);
	if (t.cut)
		return refuse(g, "is too long to be kept", shown);
	l->n++;
	return 0;
}

/* The kernel puts the newest address of a scope before the others: the last of a dump is added
 * first. Temporary addresses, and those of router advertisements, come back with the next
 * advertisement. */
static int each_address(const struct nlmsghdr *m, void *arg)
{
	static const uint16_t types[] = {IFA_ADDRESS, IFA_LOCAL, IFA_RT_PRIORITY, IFA_PROTO_,
					 IFA_CACHEINFO};
	const struct reading *g = arg;
	const struct ifaddrmsg *from = NLMSG_DATA(m);
	const struct rtattr *address = nl_find(m, sizeof(*from), IFA_LOCAL);
	const struct rtattr *proto = nl_find(m, sizeof(*from), IFA_PROTO_);
	uint32_t flags = nl_u32(nl_find(m, sizeof(*from), IFA_FLAGS));
	char shown[128] = "";
	struct text t = TEXT(shown);
	struct nl_request q;
	struct ifaddrmsg *to;

	if (m->nlmsg_type != RTM_NEWADDR || from->ifa_index != g->ifindex ||
	    from->ifa_family != AF_INET6 || flags & IFA_F_TEMPORARY)
		return 0;
	if (g->router_advertisements && proto && RTA_PAYLOAD(proto) > 0 &&
	    *(const uint8_t *)RTA_DATA(proto) == IFAPROT_KERNEL_RA_)
		return 0;
	to = nl_begin(&q, RTM_NEWADDR, 0, sizeof(*to));
	*to = (struct ifaddrmsg){.ifa_family = from->ifa_family,
				 .ifa_prefixlen = from->ifa_prefixlen,
				 .ifa_scope = from->ifa_scope,
				 .ifa_index = from->ifa_index};
	nl_put_u32(&q, IFA_FLAGS,
		   flags & (IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR |
			    IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN));
	add_address(AF_INET6, address ? address : nl_find(m, sizeof(*from), IFA_ADDRESS),
		    "address ", &t);
	text_add(&t, "/%u", from->ifa_prefixlen);
	if (!copy_attributes(m, sizeof(*from), types, ARRAY_SIZE(types), &q))
		return refuse(g, "is too long to be kept", shown);
	return keep(g, &q, RANK_ADDRESS, true, shown);
}

/* What was learned is learned again; what was set by hand is kept, and what is answered for
 * others. */
static int each_neighbour(const struct nlmsghdr *m, void *arg)
{
	static const uint16_t types[] = {NDA_DST, NDA_LLADDR, NDA_PROTOCOL};
	const struct reading *g = arg;
	const struct ndmsg *from = NLMSG_DATA(m);
	bool proxy = from->ndm_flags & NTF_PROXY;
	char shown[128] = "";
	struct text t = TEXT(shown);
	struct nl_request q;
	struct ndmsg *to;

	if (m->nlmsg_type != RTM_NEWNEIGH || (uint32_t)from->ndm_ifindex != g->ifindex ||
	    (from->ndm_family != AF_INET && from->ndm_family != AF_INET6) ||
	    (!proxy && !(from->ndm_state & NUD_PERMANENT)))
		return 0;
	to = nl_begin(&q, RTM_NEWNEIGH, 0, sizeof(*to));
	*to = (struct ndmsg){.ndm_family = from->ndm_family,
			     .ndm_ifindex = from->ndm_ifindex,
			     .ndm_state = from->ndm_state,
			     .ndm_flags = from->ndm_flags & (NTF_PROXY | NTF_ROUTER),
			     .ndm_type = from->ndm_type};
	add_address(from->ndm_family, nl_find(m, sizeof(*from), NDA_DST),
		    proxy ? "neighbour proxy " : "neighbour ", &t);
	if (!copy_attributes(m, sizeof(*from), types, ARRAY_SIZE(types), &q))
		return refuse(g, "is too long to be kept", shown);
	return keep(g, &q, RANK_NEIGHBOUR, false, shown);
}

static uint32_t table_of(const struct nlmsghdr *m, const struct rtmsg *route)
{
	const struct rtattr *a = nl_find(m, sizeof(*route), RTA_TABLE);

	return a ? nl_u32(a) : route->rtm_table;
}

static void show_route(const struct nlmsghdr *m, struct text *t)
{
	const struct rtmsg *route = NLMSG_DATA(m);
	const struct rtattr *destination = nl_find(m, sizeof(*route), RTA_DST);
	uint32_t table = table_of(m, route);

	if (destination) {
		add_address(route->rtm_family, destination, "route ", t);
		text_add(t, "/%u", route->rtm_dst_len);
	} else {
		text_add(t, "default route");
	}
	add_address(route->rtm_family, nl_find(m, sizeof(*route), RTA_GATEWAY), " via ", t);
	if (nl_find(m, sizeof(*route), RTA_MULTIPATH))
		text_add(t, " over several hops");
	if (table != RT_TABLE_MAIN)
		text_add(t, " table %u", table);
}

/* Those of addresses the kernel adds with them, those it was told by routers it is told again. */
static bool comes_back(const struct reading *g, const struct nlmsghdr *m)
{
	const struct rtmsg *route = NLMSG_DATA(m);

	if (route->rtm_flags & RTM_F_CLONED || route->rtm_protocol == RTPROT_REDIRECT)
		return true;
	if (route->rtm_protocol == RTPROT_RA)
		return g->router_advertisements;
	return route->rtm_protocol == RTPROT_KERNEL && !nl_find(m, sizeof(*route), RTA_GATEWAY) &&
	       !nl_find(m, sizeof(*route), RTA_MULTIPATH);
}

struct hops {
	bool ours, dead;
};

/* The flags that say how a hop is at the moment are taken off, if `clean`: no request may have
 * them. */
static struct hops walk_hops(void *multipath, size_t left, uint32_t ifindex, bool clean)
{
	struct hops found = {0};
	char *at = multipath;

	while (left >= sizeof(struct rtnexthop)) {
		struct rtnexthop hop;
		size_t step;

		memcpy(&hop, at, sizeof(hop));
		step = RTA_ALIGN(hop.rtnh_len);
		if (hop.rtnh_len < sizeof(hop) || step > left)
			break;
		found.ours |= (uint32_t)hop.rtnh_ifindex == ifindex;
		found.dead |= hop.rtnh_flags & RTNH_F_DEAD;
		hop.rtnh_flags &= RTNH_F_ONLINK;
		if (clean)
			memcpy(at, &hop, sizeof(hop));
		at += step;
		left -= step;
	}
	return found;
}

static struct hops hops_of(const struct nlmsghdr *m, uint32_t ifindex)
{
	const size_t size = sizeof(struct rtmsg);
	const struct rtattr *multipath = nl_find(m, size, RTA_MULTIPATH);

	if (multipath)
		return walk_hops(RTA_DATA(multipath), RTA_PAYLOAD(multipath), ifindex, false);
	return (struct hops){.ours = nl_u32(nl_find(m, size, RTA_OIF)) == ifindex};
}

/* Of an IPv6 route with a lifetime the dump has what is left of it, in ticks. */
static void put_lifetime(const struct nlmsghdr *m, struct nl_request *q)
{
	const struct rtmsg *route = NLMSG_DATA(m);
	const struct rtattr *a = nl_find(m, sizeof(*route), RTA_CACHEINFO);
	struct rta_cacheinfo c;

	if (route->rtm_family != AF_INET6 || !a || RTA_PAYLOAD(a) < sizeof(c))
		return;
	memcpy(&c, RTA_DATA(a), sizeof(c));
	if ((int32_t)c.rta_expires > 0)
		nl_put_u32(q, RTA_EXPIRES, (uint32_t)c.rta_expires / TICKS_PER_S + 1);
}

static void clean_hops(struct nl_request *q)
{
	const struct rtattr *a = nl_find(&q->header, sizeof(struct rtmsg), RTA_MULTIPATH);

	if (a)
		(void)walk_hops(q->bytes + ((const char *)RTA_DATA(a) - q->bytes), RTA_PAYLOAD(a),
				0, true);
}

static enum rank rank_of(const struct nlmsghdr *m)
{
	if (nl_find(m, sizeof(struct rtmsg), RTA_MULTIPATH))
		return RANK_MULTIPATH;
	return nl_find(m, sizeof(struct rtmsg), RTA_GATEWAY) ||
			       nl_find(m, sizeof(struct rtmsg), RTA_VIA)
		       ? RANK_GATEWAY
		       : RANK_DEVICE_ROUTE;
}

static int keep_route(const struct reading *g, const struct nlmsghdr *m, const char *shown)
{
	static const uint16_t types[] = {RTA_DST,      RTA_SRC,      RTA_OIF,     RTA_GATEWAY,
					 RTA_PRIORITY, RTA_PREFSRC,  RTA_METRICS, RTA_FLOW,
					 RTA_TABLE,    RTA_PREF,     RTA_VIA,     RTA_ENCAP_TYPE,
					 RTA_ENCAP,    RTA_MULTIPATH};
	const struct rtmsg *from = NLMSG_DATA(m);
	struct nl_request q;
	struct rtmsg *to = nl_begin(&q, RTM_NEWROUTE, 0, sizeof(*to));

	*to = *from;
	to->rtm_flags &= RTNH_F_ONLINK | RTNH_F_PERVASIVE;
	put_lifetime(m, &q);
	if (!copy_attributes(m, sizeof(*from), types, ARRAY_SIZE(types), &q))
		return refuse(g, "is too long to be kept", shown);
	clean_hops(&q);
	return keep(g, &q, rank_of(m), false, shown);
}

static bool is_kept_address(const struct reading *g, const struct rtattr *address)
{
	for (size_t i = g->first; address && i < g->list->n; i++) {
		const struct kept *k = &g->list->kept[i];
		struct nl_request q;

		if (k->type == RTM_NEWADDR &&
		    nl_read(k->message, k->type, sizeof(struct ifaddrmsg), &q) == 0) {
			const struct rtattr *a =
				nl_find(&q.header, sizeof(struct ifaddrmsg), IFA_LOCAL);

			a = a ? a : nl_find(&q.header, sizeof(struct ifaddrmsg), IFA_ADDRESS);
			if (a && RTA_PAYLOAD(a) == RTA_PAYLOAD(address) &&
			    memcmp(RTA_DATA(a), RTA_DATA(address), RTA_PAYLOAD(a)) == 0)
				return true;
		}
	}
	return false;
}

/* A route over another interface stays, but loses the source address that goes with this one. */
static int check_other(const struct reading *g, const struct nlmsghdr *m, const char *shown)
{
	const struct rtmsg *route = NLMSG_DATA(m);

	if (route->rtm_family == AF_INET6 && route->rtm_protocol != RTPROT_KERNEL &&
	    is_kept_address(g, nl_find(m, sizeof(*route), RTA_PREFSRC)))
		return refuse(g, "over another interface would lose its source address", shown);
	return 0;
}

static int each_route(const struct nlmsghdr *m, void *arg)
{
	const struct reading *g = arg;
	char shown[128] = "";
	struct text t = TEXT(shown);
	struct hops hops;

	if (m->nlmsg_type != RTM_NEWROUTE)
		return 0;
	hops = hops_of(m, g->ifindex);
	if (hops.ours && comes_back(g, m))
		return 0;
	show_route(m, &t);
	if (!hops.ours)
		return check_other(g, m, shown);
	if (nl_find(m, sizeof(struct rtmsg), RTA_NH_ID))
		return refuse(g, "goes by a nexthop object, which would be lost", shown);
	if (hops.dead)
		return refuse(g, "has a hop that is down, by which it could not be added again",
			      shown);
	return keep_route(g, m, shown);
}

static int each_nexthop(const struct nlmsghdr *m, void *arg)
{
	const struct reading *g = arg;

	if (m->nlmsg_type != RTM_NEWNEXTHOP ||
	    nl_u32(nl_find(m, sizeof(struct nhmsg), NHA_OIF)) != g->ifindex)
		return 0;
	return refuse(g, "has nexthop objects (ip nexthop), which would be lost", "");
}

/* What an interrupted dump left out would be lost: it is read again, and not for ever on a host
 * that changes all the time. */
static int dump(uint16_t type, size_t size, uint8_t family, nl_each_fn each, struct reading *g)
{
	const size_t before = g->list->n;
	struct nl_request q;
	int r;

	for (unsigned i = 0; i < DUMPS_MAX; i++) {
		uint8_t *header = nl_begin(&q, type, 0, size);

		*header = family; /* all these headers begin with it */
		g->list->n = before;
		r = nl_dump(&q, each, g);
		if (r < 0 || !q.interrupted)
			return r;
	}
	return -EBUSY;
}

static int dump_proxies(uint8_t family, struct reading *g)
{
	struct nl_request q;
	struct ndmsg *nd = nl_begin(&q, RTM_GETNEIGH, 0, sizeof(*nd));

	nd->ndm_family = family;
	nd->ndm_flags = NTF_PROXY;
	return nl_dump(&q, each_neighbour, g);
}

static bool comes_after(const struct kept *a, const struct kept *b)
{
	return a->rank > b->rank || (a->rank == b->rank && a->order > b->order);
}

static void sort(struct kept_list *l, size_t first)
{
	for (size_t i = first + 1; i < l->n; i++) {
		struct kept k = l->kept[i];
		size_t at = i;

		for (; at > first && comes_after(&l->kept[at - 1], &k); at--)
			l->kept[at] = l->kept[at - 1];
		l->kept[at] = k;
	}
}

int kept_read(uint32_t ifindex, struct kept_list *list, struct text *why)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct reading g = {.ifindex = ifindex, .list = list, .first = list->n, .why = why};
	int r = link_takes_advertisements(ifindex);

	list->read_boot_ns = boot_ns();

	g.router_advertisements = r > 0;
	if (r >= 0)
		r = dump(RTM_GETNEXTHOP, sizeof(struct nhmsg), AF_UNSPEC, each_nexthop, &g);
	if (r == -EOPNOTSUPP && why->length == 0)
		r = 0; /* before Linux 5.3 */
	if (r == 0)
		r = dump(RTM_GETADDR, sizeof(struct ifaddrmsg), AF_INET6, each_address, &g);
	for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++) {
		r = dump(RTM_GETNEIGH, sizeof(struct ndmsg), families[i], each_neighbour, &g);
		if (r == 0)
			r = dump_proxies(families[i], &g);
	}
	/* IPv6 first: a gateway of an IPv4 route may have an IPv6 address. */
	for (size_t i = ARRAY_SIZE(families); i-- > 0 && r == 0;)
		r = dump(RTM_GETROUTE, sizeof(struct rtmsg), families[i], each_route, &g);
	if (r == 0)
		sort(list, g.first);
	return r;
}
