/* SPDX-License-Identifier: Apache-2.0 */
/* Adding again what the kernel forgot when an interface went down. The kernel itself is asked
 * whether it is missing: what is there already, exactly so, it refuses with EEXIST. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <string.h>

#include "steps/kinds.h"
#include "util/clock.h"
#include "util/nl.h"

static size_t header_size(uint64_t type)
{
	switch (type) {
	case RTM_NEWROUTE:
		return sizeof(struct rtmsg);
	case RTM_NEWADDR:
		return sizeof(struct ifaddrmsg);
	case RTM_NEWNEIGH:
		return sizeof(struct ndmsg);
	default:
		return 0;
	}
}

static int ask(struct nl_request *q, unsigned flags)
{
	q->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	return nl_ask(q);
}

/* Added, and asked again: then it has to be there. */
static int add(struct nl_request *q, unsigned flags)
{
	int r = ask(q, flags);

	if (r == 0)
		r = ask(q, flags);
	return r == 0 ? -EBUSY : r == -EEXIST ? 0 : r;
}

static void *data_of(struct nl_request *q, size_t size, uint16_t type, size_t length)
{
	const struct rtattr *a = nl_find(&q->header, size, type);

	if (!a || RTA_PAYLOAD(a) < length)
		return NULL;
	return q->bytes + ((const char *)RTA_DATA(a) - q->bytes);
}

/* Returns false when it has run out; UINT32_MAX is for ever. */
static bool shorten(uint32_t *seconds, uint64_t since_ns)
{
	uint64_t past = (boot_ns() - since_ns) / NSEC_PER_SEC;

	if (*seconds == UINT32_MAX)
		return true;
	*seconds = *seconds > past ? (uint32_t)(*seconds - past) : 0;
	return *seconds > 0;
}

static bool shorten_route(const struct step_keep *k, struct nl_request *q)
{
	void *at = data_of(q, sizeof(struct rtmsg), RTA_EXPIRES, sizeof(uint32_t));
	uint32_t seconds = UINT32_MAX;
	bool lives;

	if (!at)
		return true;
	memcpy(&seconds, at, sizeof(seconds));
	lives = shorten(&seconds, k->read_boot_ns);
	memcpy(at, &seconds, sizeof(seconds));
	return lives;
}

/* Behind others for the same prefix, as it may have been: append, which adds only what is not there
 * in just this way. */
static int route_undo(const struct step_keep *k, struct nl_request *q)
{
	return shorten_route(k, q) ? add(q, NLM_F_CREATE | NLM_F_APPEND) : 0;
}

static bool shorten_address(const struct step_keep *k, struct nl_request *q)
{
	void *at =
		data_of(q, sizeof(struct ifaddrmsg), IFA_CACHEINFO, sizeof(struct ifa_cacheinfo));
	struct ifa_cacheinfo c;
	bool lives;

	if (!at)
		return true;
	memcpy(&c, at, sizeof(c));
	lives = shorten(&c.ifa_valid, k->read_boot_ns);
	(void)shorten(&c.ifa_prefered, k->read_boot_ns);
	memcpy(at, &c, sizeof(c));
	return lives;
}

/* Nobody else took the address in the meantime that had it a moment ago: it is added without
 * duplicate address detection, by which it would be of no use for seconds, and then changed to
 * what it was, for the flag would stay visible. */
static int address_undo(const struct step_keep *k, struct nl_request *q)
{
	void *at = data_of(q, sizeof(struct ifaddrmsg), IFA_FLAGS, sizeof(uint32_t));
	uint32_t flags, without;
	int r;

	if (!at)
		return -EBADMSG;
	if (!shorten_address(k, q))
		return 0;
	memcpy(&flags, at, sizeof(flags));
	without = flags | IFA_F_NODAD;
	memcpy(at, &without, sizeof(without));
	r = ask(q, NLM_F_CREATE | NLM_F_EXCL);
	if (r < 0)
		return r == -EEXIST ? 0 : r;
	memcpy(at, &flags, sizeof(flags));
	r = flags == without ? 0 : ask(q, NLM_F_REPLACE);
	return r < 0 ? r : add(q, NLM_F_CREATE | NLM_F_EXCL);
}

struct neighbour_search {
	const struct ndmsg *header;
	const struct rtattr *address, *link_address;
	bool permanent, same;
};

static bool same_data(const struct rtattr *a, const struct rtattr *b)
{
	if (!a || !b)
		return a == b;
	return RTA_PAYLOAD(a) == RTA_PAYLOAD(b) &&
	       memcmp(RTA_DATA(a), RTA_DATA(b), RTA_PAYLOAD(a)) == 0;
}

static int each_neighbour(const struct nlmsghdr *m, void *arg)
{
	struct neighbour_search *s = arg;
	const struct ndmsg *nd = NLMSG_DATA(m);

	if (m->nlmsg_type != RTM_NEWNEIGH || nd->ndm_ifindex != s->header->ndm_ifindex ||
	    nd->ndm_family != s->header->ndm_family ||
	    !same_data(nl_find(m, sizeof(*nd), NDA_DST), s->address))
		return 0;
	s->permanent = nd->ndm_state & NUD_PERMANENT;
	s->same = nd->ndm_state == s->header->ndm_state &&
		  same_data(nl_find(m, sizeof(*nd), NDA_LLADDR), s->link_address);
	return 0;
}

static int find_neighbour(const struct nl_request *kept, struct neighbour_search *ret)
{
	struct nl_request q;
	struct ndmsg *nd = nl_begin(&q, RTM_GETNEIGH, 0, sizeof(*nd));
	const struct ndmsg *header = NLMSG_DATA(&kept->header);

	*ret = (struct neighbour_search){
		.header = header,
		.address = nl_find(&kept->header, sizeof(*header), NDA_DST),
		.link_address = nl_find(&kept->header, sizeof(*header), NDA_LLADDR)};
	nd->ndm_family = header->ndm_family;
	return nl_dump(&q, each_neighbour, ret);
}

/* As soon as the interface is up the kernel may have asked for the neighbour itself: its entry is
 * replaced, a permanent one that somebody has set is not. */
static int neighbour_undo(const struct step_keep *k, struct nl_request *q, struct text *note)
{
	struct neighbour_search found = {0};
	int r = ask(q, NLM_F_CREATE | NLM_F_EXCL);

	if (((const struct ndmsg *)NLMSG_DATA(&q->header))->ndm_flags & NTF_PROXY)
		return r;
	if (r == -EEXIST) {
		r = find_neighbour(q, &found);
		if (r < 0)
			return r;
		if (found.same)
			return 0;
		if (found.permanent) {
			text_add(note, "%s on %s was set by somebody meanwhile: left alone",
				 k->shown, k->hook.ifname);
			return 0;
		}
		r = ask(q, NLM_F_CREATE | NLM_F_REPLACE);
	}
	if (r == 0)
		r = find_neighbour(q, &found);
	return r < 0 ? r : found.same ? 0 : -EBUSY;
}

/* The kernel's answers when what it stood on is no longer there: an address, another interface. */
static bool stands_on_nothing(int r)
{
	return r == -ENETUNREACH || r == -EHOSTUNREACH || r == -EADDRNOTAVAIL || r == -EINVAL ||
	       r == -EACCES || r == -ENETDOWN;
}

int keep_undo_alone(struct step *s, struct text *note)
{
	const struct step_keep *k = &s->keep;
	size_t size = header_size(k->type);
	struct nl_request q;
	int up = link_is_up((uint32_t)k->hook.ifindex), r;

	if (up == -ENODEV) /* as the step of the interface says */
		return 0;
	if (up <= 0)
		return up < 0 ? up : -ENETDOWN;
	if (size == 0 || nl_read(k->message, (uint16_t)k->type, size, &q) < 0)
		return -EBADMSG;
	r = k->type == RTM_NEWROUTE  ? route_undo(k, &q)
	    : k->type == RTM_NEWADDR ? address_undo(k, &q)
				     : neighbour_undo(k, &q, note);
	if (!stands_on_nothing(r))
		return r;
	text_add(note, "the %s of %s could not be added again (%s): others have changed the host",
		 k->shown, k->hook.ifname, strerror(-r));
	return 0;
}
