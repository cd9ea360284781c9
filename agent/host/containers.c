/* SPDX-License-Identifier: Apache-2.0 */
/* What the path of a cgroup says about whose it is. Pure: nothing here asks the host. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "host/cgroups.h"
#include "util/str.h"

#define CONTAINER_ID_LENGTH 64 /* of OCI runtimes' callers; ECS: 32, pods: a UUID */
#define ID_LENGTH_MIN       4  /* of the beginning of an id */

enum name_kind {
	NAME_NONE,
	NAME_PLAIN, /* chosen by people: "web-1" */
	NAME_ID,
	NAME_TASK, /* the id of an ECS task */
	NAME_POD,  /* a pod's UID */
};

/* Whose cgroup it is. */
struct owner {
	enum name_kind kind;
	char name[CGROUP_PATH_MAX];
};

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && str_eq(s + n - m, end);
}

static bool is_hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static bool is_task_id(const char *s)
{
	return is_hex(s, 32) || (strlen(s) == 36 && strspn(s, "0123456789abcdef-") == 36);
}

static bool own(struct owner *o, enum name_kind kind, const char *name)
{
	o->kind = kind;
	return str_copy(o->name, sizeof(o->name), name);
}

/* systemd writes what a unit's name cannot hold as \xNN, and "/" as "-" (systemd-escape(1)). */
static void unescape_unit(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] == 'x' && isxdigit((unsigned char)s[2]) &&
		    isxdigit((unsigned char)s[3])) {
			const char hex[] = {s[2], s[3], '\0'};

			*to++ = (char)strtoul(hex, NULL, 16);
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* "docker-ID.scope", "crio-ID": what runtimes write before the id. Their monitors' cgroups
 * ("crio-conmon-ID.scope") are not the container's. */
static const char *skip_runtime(const char *s)
{
	static const char *const runtimes[] = {"docker-", "cri-containerd-", "crio-", "libpod-",
					       "nerdctl-"};
	const char *colon = strrchr(s, ':');

	for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++) {
		if (str_starts(s, runtimes[i]))
			return s + strlen(runtimes[i]);
	}
	/* The systemd driver's notation, taken literally by the cgroupfs driver:
	 * "kubepods-podUID.slice:cri-containerd:ID" */
	return colon ? colon + 1 : s;
}

static bool own_container_id(const char *s, struct owner *ret)
{
	const char *id = skip_runtime(s);

	return is_hex(id, CONTAINER_ID_LENGTH) && own(ret, NAME_ID, id);
}

static bool read_scope(char *s, struct owner *ret)
{
	s[strlen(s) - strlen(".scope")] = '\0';
	if (own_container_id(s, ret))
		return true;
	if (!str_starts(s, "machine-"))
		return false;
	s += strlen("machine-");
	unescape_unit(s);
	return own(ret, NAME_PLAIN, s);
}

/* "kubepods-burstable-pod<uid with _>.slice", "ecstasks-<id>.slice" */
static bool read_slice(char *s, struct owner *ret)
{
	char *uid;

	s[strlen(s) - strlen(".slice")] = '\0';
	if (str_starts(s, "ecstasks-"))
		return own(ret, NAME_TASK, s + strlen("ecstasks-"));
	uid = strstr(s, "kubepods") ? strstr(s, "-pod") : NULL;
	if (!uid)
		return false;
	uid += strlen("-pod");
	for (char *p = uid; *p; p++) {
		if (*p == '_')
			*p = '-';
	}
	return own(ret, NAME_POD, uid);
}

/* Is the part right above the last one this? */
static bool is_in(const char *path, const char *parent)
{
	size_t n = strlen(parent);
	const char *last = last_part(path);

	return last >= path + n + 2 && last[-1] == '/' && strncmp(last - 1 - n, parent, n) == 0 &&
	       last[-2 - (ptrdiff_t)n] == '/';
}

/* containerd's own: "/NAMESPACE/NAME", which looks like much else. */
static bool is_in_namespace(const char *path)
{
	static const char *const others[] = {".slice/",   ".scope/", ".service/", "/kubepods",
					     "/kubelet/", "/ecs/",   "/docker/",  "/lxc.monitor"};
	static const char *const units[] = {".service", ".scope", ".slice",  ".socket",
					    ".mount",   ".swap",  ".payload"};
	const char *last = last_part(path);

	if (last < path + 3 || strchr(path + 1, '/') != last - 1)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (strstr(path, others[i]))
			return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (ends_with(last, units[i]))
			return false;
	}
	return true;
}

/* With the cgroupfs driver the part alone says little: what it is below counts. */
static bool read_plain(const char *path, const char *s, struct owner *ret)
{
	if (own_container_id(s, ret))
		return true;
	if (str_starts(s, "lxc.payload."))
		return own(ret, NAME_PLAIN, s + strlen("lxc.payload."));
	if (is_in(path, "lxc") || is_in(path, "lxc.payload"))
		return own(ret, NAME_PLAIN, s);
	if (str_starts(s, "pod") && strstr(path, "/kubepods/"))
		return own(ret, NAME_POD, s + strlen("pod"));
	if (is_task_id(s) && strstr(path, "/ecs/"))
		return own(ret, NAME_TASK, s);
	return is_in_namespace(path) && own(ret, NAME_PLAIN, s);
}

static bool read_owner(const char *path, struct owner *ret)
{
	char last[CGROUP_PATH_MAX];

	if (!str_copy(last, sizeof(last), last_part(path)))
		return false;
	if (ends_with(last, ".scope"))
		return read_scope(last, ret);
	if (ends_with(last, ".slice"))
		return read_slice(last, ret);
	return read_plain(path, last, ret);
}

/* "arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID", formerly without the cluster. NULL: no such ARN. */
static const char *arn_task_id(const char *s)
{
	const char *task = strstr(s, ":task/");

	return task && strstr(s, ":ecs:") ? last_part(task) : NULL;
}

/* "web" is the beginning of "web-1", but not of "webhook", nor "web-1" that of "web-12". */
static bool begins_name(const char *name, const char *wanted)
{
	size_t n = strlen(wanted);

	return n > 0 && str_starts(name, wanted) &&
	       (!isalnum((unsigned char)name[n]) || !isalnum((unsigned char)wanted[n - 1]));
}

bool cgroup_is_container(const char *path, const char *wanted)
{
	const char *scheme = strstr(wanted, "://");
	struct owner o = {0};

	if (!read_owner(path, &o))
		return false;
	if (str_starts(wanted, "arn:")) {
		const char *id = arn_task_id(wanted);

		return o.kind == NAME_TASK && id && str_eq(o.name, id);
	}
	if (scheme)
		wanted = scheme + strlen("://");
	if (o.kind == NAME_PLAIN)
		return scheme ? str_eq(o.name, wanted) : begins_name(o.name, wanted);
	return strlen(wanted) >= ID_LENGTH_MIN && str_starts(o.name, wanted);
}

enum cgroup_owner cgroup_owner(const char *path, char ret_name[static CGROUP_PATH_MAX])
{
	static const enum cgroup_owner owners[] = {
		[NAME_NONE] = CGROUP_OF_NOBODY,  [NAME_PLAIN] = CGROUP_OF_NAMED,
		[NAME_ID] = CGROUP_OF_CONTAINER, [NAME_TASK] = CGROUP_OF_TASK,
		[NAME_POD] = CGROUP_OF_POD,
	};
	struct owner o = {0};

	ret_name[0] = '\0';
	if (!read_owner(path, &o))
		return CGROUP_OF_NOBODY;
	memcpy(ret_name, o.name, sizeof(o.name));
	return owners[o.kind];
}

bool cgroup_is_unit(const char *path, const char *unit)
{
	const char *last = last_part(path);

	/* systemd puts a "_" before names that would look like files of the kernel */
	return unit[0] && (str_eq(last, unit) || (last[0] == '_' && str_eq(last + 1, unit)));
}
