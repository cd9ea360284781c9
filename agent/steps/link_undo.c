/* SPDX-License-Identifier: Apache-2.0 */
/* Taking an interface up again that we took down. */
#include <errno.h>
#include <net/if.h>
#include <sys/socket.h>

#include "steps/kinds.h"
#include "util/nl.h"

static int each_link(const struct nlmsghdr *m, void *arg)
{
	const struct ifinfomsg *info = NLMSG_DATA(m);
	unsigned *flags = arg;

	if (m->nlmsg_type == RTM_NEWLINK)
		*flags = info->ifi_flags;
	return 0;
}

int link_is_up(uint32_t ifindex)
{
	unsigned flags = 0;
	struct nl_request q;
	struct ifinfomsg *info = nl_begin(&q, RTM_GETLINK, 0, sizeof(*info));
	int r;

	info->ifi_index = (int)ifindex;
	r = nl_get(&q, each_link, &flags);
	return r < 0 ? r : (flags & IFF_UP) != 0;
}

int link_set(uint32_t ifindex, bool up)
{
	struct nl_request q;
	struct ifinfomsg *info = nl_begin(&q, RTM_NEWLINK, 0, sizeof(*info));

	info->ifi_family = AF_UNSPEC;
	info->ifi_index = (int)ifindex;
	info->ifi_change = IFF_UP;
	info->ifi_flags = up ? IFF_UP : 0;
	return nl_ask(&q);
}

int link_undo_alone(struct step *s, struct text *note)
{
	uint32_t ifindex = (uint32_t)s->hook.ifindex;
	int r;

	if (!s->hook.ours)
		return 0;
	r = link_is_up(ifindex);
	if (r == 0) {
		r = link_set(ifindex, true);
		if (r == 0)
			r = link_is_up(ifindex);
		if (r == 0)
			return -EBUSY;
	} else if (r > 0 && s->state == STEP_APPLIED) {
		text_add(note, "%s was taken up by somebody meanwhile: left alone", s->hook.ifname);
	}
	if (r == -ENODEV) {
		text_add(note, "%s is gone: nothing of it can be put back", s->hook.ifname);
		return 0;
	}
	return r < 0 ? r : 0;
}
