/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/network_place.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/proc.h"
#include "util/str.h"

/* netns */

static int bad_netns(const char *value, int r, struct error *e)
{
	static const char allowed[] =
		"a name under /run/netns, the path of a namespace's file, or pid:NUMBER";

	if (r == -ENOENT || r == -ESRCH)
		return error_field(e, "parameters.netns", value, allowed,
				   "there is no network namespace %s", value);
	if (r == -EINVAL)
		return error_field(e, "parameters.netns", value, allowed,
				   "%s is no network namespace", value);
	return error_set(e, r == -EPERM || r == -EACCES ? ERROR_UNSUPPORTED : ERROR_FAILED, r,
			 "parameters.netns: cannot enter %s: %s", value, strerror(-r));
}

/* Where its file is. Returns 0 or -EINVAL. */
static int path_of(const char *netns, char *ret, size_t size)
{
	uint64_t pid;
	int n;

	if (str_starts(netns, "pid:")) {
		if (str_to_u64(netns + 4, &pid) < 0 || pid < 1 || pid > INT32_MAX)
			return -EINVAL;
		n = snprintf(ret, size, "/proc/%" PRIu64 "/ns/net", pid);
	} else if (netns[0] == '/') {
		n = snprintf(ret, size, "%s", netns);
	} else if (strchr(netns, '/') || netns[0] == '.') {
		return -EINVAL;
	} else {
		n = snprintf(ret, size, "/run/netns/%s", netns);
	}
	return n < 0 || (size_t)n >= size ? -EINVAL : 0;
}

static int look_netns(const char *netns, struct facts *facts, struct error *e)
{
	struct network_place *place = &facts->places[0];
	struct text shown = TEXT(place->shown);
	char path[NETNS_PATH_MAX];
	int r = path_of(netns, path, sizeof(path));

	if (r == 0)
		r = netns_read(path, &place->netns);
	if (r < 0)
		return bad_netns(netns, r, e);
	if (str_starts(netns, "pid:"))
		text_add(&shown, "the netns of process %s", netns + 4);
	else
		text_add(&shown, "netns %s", netns);
	facts->n_places = 1;
	return 0;
}

/* Targets */

static int look_cgroup(const struct aim *aim, const struct facts *facts, struct network_place *ret,
		       struct error *e)
{
	int r = cgroup_id(&facts->cgroups, aim->path, &ret->cgroup_id, &ret->cgroup_level);

	if (r == -ENOENT)
		return error_set(
			e, ERROR_UNSUPPORTED, -EOPNOTSUPP,
			"%s is in the host's network namespace and in no cgroup of v2, by which its packets could be told",
			aim->shown);
	if (r == -EXDEV)
		return error_set(
			e, ERROR_UNSUPPORTED, -EOPNOTSUPP,
			"faultd is in a cgroup namespace of its own: it cannot tell packets by cgroup");
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot read the cgroup of %s: %s", aim->shown,
				 strerror(-r))
		     : 0;
}

static int refuse_shared(const struct target *t, const struct aim *aim, struct error *e)
{
	const char *field = t->unit[0]     ? "parameters.unit"
			    : t->cgroup[0] ? "parameters.cgroup"
					   : "parameters.container";

	return error_field(e, field, aim->shown, "one with a network namespace of its own",
			   "%s is in the host's network namespace: its interfaces are everybody's",
			   aim->shown);
}

static int look_aim(const struct aim *aim, struct network_place *ret, struct error *e)
{
	char path[48];
	struct proc_stat st;
	int r = -ESRCH;

	*ret = (struct network_place){0};
	(void)str_copy(ret->shown, sizeof(ret->shown), aim->shown);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)aim->first_pid);
	if (aim->first_pid)
		r = netns_read(path, &ret->netns);
	/* It may be another process by now, but was this one before. */
	if (r == 0)
		r = proc_stat_read(aim->first_pid, &st);
	if (r == 0 && st.start != aim->first_start)
		r = -ESRCH;
	if (r == -ENOENT || r == -ESRCH)
		return error_set(e, ERROR_FAILED, -ESRCH,
				 "no process is in %s: its network namespace is not known",
				 aim->shown);
	if (r < 0)
		return error_set(e, r == -EPERM || r == -EACCES ? ERROR_UNSUPPORTED : ERROR_FAILED,
				 r, "cannot enter the network namespace of %s: %s", aim->shown,
				 strerror(-r));
	return 0;
}

static bool is_known(const struct facts *facts, const struct network_place *p)
{
	for (size_t i = 0; i < facts->n_places; i++) {
		if (netns_same(&facts->places[i].netns, &p->netns) &&
		    facts->places[i].cgroup_id == p->cgroup_id)
			return true;
	}
	return false;
}

/* `whole`: a namespace is meant, not sockets in one. */
static int look_target(const struct target *t, bool whole, struct facts *facts, struct error *e)
{
	int r = target_look(t, facts, e);

	for (size_t i = 0; i < facts->n_aims && r == 0; i++) {
		struct network_place p;

		r = look_aim(&facts->aims[i], &p, e);
		if (r == 0 && !p.netns.inode)
			r = whole ? refuse_shared(t, &facts->aims[i], e)
				  : look_cgroup(&facts->aims[i], facts, &p, e);
		if (r < 0 || is_known(facts, &p))
			continue;
		if (facts->n_places == INTERFACES_MAX)
			return error_field(e, "parameters.selectionMode", t->selection_mode,
					   "at most 8, such as COUNT(8)",
					   "more than 8 network namespaces and cgroups");
		facts->places[facts->n_places++] = p;
	}
	return r;
}

static int check(const struct network_aim *aim, struct facts *facts, struct error *e)
{
	if (aim->netns[0] && target_is_given(&aim->target))
		return error_field(e, "parameters.netns", aim->netns,
				   "one of netns, unit, cgroup and container",
				   "excludes the others");
	if (aim->user[0] && user_lookup(aim->user, &facts->user) < 0)
		return error_field(e, "parameters.user", aim->user,
				   "a name of /etc/passwd or a number", "no user %s", aim->user);
	return 0;
}

static int look_places(const struct network_aim *aim, bool whole, struct facts *facts,
		       struct error *e)
{
	int r = check(aim, facts, e);

	if (r < 0)
		return r;
	if (aim->netns[0])
		return look_netns(aim->netns, facts, e);
	r = look_target(&aim->target, whole, facts, e);
	if (r == 0 && !facts->aimed)
		facts->n_places = 1; /* which is all zero: faultd's own */
	return r;
}

int network_places_look(const struct network_aim *aim, struct facts *facts, struct error *e)
{
	return look_places(aim, false, facts, e);
}

int network_namespaces_look(const struct network_aim *aim, struct facts *facts, struct error *e)
{
	return look_places(aim, true, facts, e);
}

int network_place_run(const struct network_place *place, int (*run)(void *arg), void *arg,
		      struct error *e)
{
	int result, r;

	if (!place->netns.inode)
		return run(arg);
	r = netns_run(&place->netns, run, arg, &result);
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot enter the network namespace of %s: %s",
				 place->shown, r == -ENOENT ? "it is gone" : strerror(-r))
		     : result;
}

void network_places_describe(const struct network_aim *aim, struct text *t)
{
	if (aim->netns[0])
		text_add(t, " in the network namespace %s", aim->netns);
	target_describe(&aim->target, t);
	if (aim->user[0])
		text_add(t, " of user %s", aim->user);
}
