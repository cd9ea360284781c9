/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/ifb.h"

#include <errno.h>
#include <linux/if_link.h>
#include <stdbool.h>

#include "util/nl.h"
#include "util/str.h"

struct found {
	uint32_t ifindex;
	bool is_ifb;
};

static int one_link(const struct nlmsghdr *m, void *arg)
{
	struct found *f = arg;
	const struct ifinfomsg *info = NLMSG_DATA(m);
	const struct rtattr *kind = nl_find(m, sizeof(*info), IFLA_LINKINFO);

	if (m->nlmsg_type != RTM_NEWLINK)
		return 0;
	f->ifindex = (uint32_t)info->ifi_index;
	f->is_ifb = str_eq(nl_string(nl_find_in(kind, IFLA_INFO_KIND)), "ifb");
	return 0;
}

int ifb_find(const char *name, uint32_t *ret)
{
	struct found found = {0};
	struct nl_request q;
	int r;

	(void)nl_begin(&q, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	nl_put_string(&q, IFLA_IFNAME, name);
	r = nl_get(&q, one_link, &found);
	*ret = found.ifindex;
	if (r == -ENODEV)
		return 0;
	return r < 0 ? r : found.is_ifb;
}

int ifb_delete(const char *name)
{
	struct nl_request q;
	struct ifinfomsg *info;
	uint32_t ifindex;
	int r = ifb_find(name, &ifindex);

	if (r <= 0)
		return r;
	info = nl_begin(&q, RTM_DELLINK, 0, sizeof(*info));
	info->ifi_index = (int)ifindex;
	r = nl_ask(&q);
	if (r < 0 && r != -ENODEV)
		return r;
	r = ifb_find(name, &ifindex);
	return r > 0 ? -EBUSY : r;
}
