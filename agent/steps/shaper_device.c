/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/shaper_device.h"

#include <errno.h>
#include <linux/if_link.h>
#include <stdbool.h>

#include "util/nl.h"
#include "util/str.h"

static int one_link(const struct nlmsghdr *m, void *arg)
{
	struct link_seen *s = arg;
	const struct ifinfomsg *info = NLMSG_DATA(m);
	const struct rtattr *kind = nl_find(m, sizeof(*info), IFLA_LINKINFO);

	if (m->nlmsg_type != RTM_NEWLINK)
		return 0;
	s->ifindex = (uint32_t)info->ifi_index;
	/* An index of another namespace says nothing here. */
	if (!nl_find(m, sizeof(*info), IFLA_LINK_NETNSID))
		s->peer = nl_u32(nl_find(m, sizeof(*info), IFLA_LINK));
	(void)str_copy(s->kind, sizeof(s->kind), nl_string(nl_find_in(kind, IFLA_INFO_KIND)));
	return 0;
}

int link_look(const char *name, uint32_t ifindex, struct link_seen *ret)
{
	struct nl_request q;
	struct ifinfomsg *info = nl_begin(&q, RTM_GETLINK, 0, sizeof(*info));
	int r;

	*ret = (struct link_seen){0};
	info->ifi_index = (int)ifindex;
	if (name)
		nl_put_string(&q, IFLA_IFNAME, name);
	r = nl_get(&q, one_link, ret);
	return r == -ENODEV ? 0 : r < 0 ? r : ret->ifindex != 0;
}

/* A veth pair is ours when both ends have our names. */
static int is_pair(const struct step_shaper *p, const struct link_seen *one)
{
	char name[SHAPER_NAME_SIZE];
	struct link_seen other;
	int r;

	shaper_peer_name(p, name);
	r = link_look(name, 0, &other);
	if (r <= 0)
		return r;
	return str_eq(other.kind, "veth") && one->peer == other.ifindex &&
	       other.peer == one->ifindex;
}

int shaper_device_find(const struct step_shaper *p, uint32_t *ret)
{
	char name[SHAPER_NAME_SIZE];
	struct link_seen seen;
	int r;

	shaper_name(p, name);
	r = link_look(name, 0, &seen);
	*ret = seen.ifindex;
	if (r <= 0 || str_eq(seen.kind, "ifb"))
		return r;
	return str_eq(seen.kind, "veth") ? is_pair(p, &seen) : 0;
}

int shaper_device_delete(const struct step_shaper *p)
{
	struct nl_request q;
	struct ifinfomsg *info;
	uint32_t ifindex;
	int r = shaper_device_find(p, &ifindex);

	if (r <= 0)
		return r;
	info = nl_begin(&q, RTM_DELLINK, 0, sizeof(*info));
	info->ifi_index = (int)ifindex;
	r = nl_ask(&q);
	if (r < 0 && r != -ENODEV)
		return r;
	r = shaper_device_find(p, &ifindex);
	return r > 0 ? -EBUSY : r;
}
