/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: the kernel's admin-guide/sysctl/{fs,kernel}.rst, networking/ip-sysctl.rst,
 * admin-guide/cgroup-v2.rst and admin-guide/cgroup-v1/pids.rst. */
#include "util/gauge.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/str.h"

#define PATH_ROOM 1024

/* Reads a small file whole, without the line's end. */
static int read_line(const char *path, char *to, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, to, size - 1);
	if (n < 0)
		return -errno;
	to[n] = '\0';
	to[strcspn(to, "\n")] = '\0';
	return 0;
}

static int read_number(const char *path, uint64_t *ret)
{
	char text[64];
	int r = read_line(path, text, sizeof(text));

	if (r < 0)
		return r;
	if (str_eq(text, "max")) {
		*ret = GAUGE_NO_LIMIT;
		return 0;
	}
	return str_to_u64(text, ret) < 0 ? -EBADMSG : 0;
}

int gauge_files_read(struct gauge *ret)
{
	char text[96];
	int r = read_line("/proc/sys/fs/file-nr", text, sizeof(text));

	if (r < 0)
		return r;
	/* The second one has been 0 since 2.6. */
	return sscanf(text, "%" SCNu64 " %*u %" SCNu64, &ret->used, &ret->limit) == 2 ? 0
										      : -EBADMSG;
}

int gauge_pids_read(struct gauge *ret)
{
	char text[96];
	uint64_t pid_max;
	int r = read_number("/proc/sys/kernel/threads-max", &ret->limit);

	if (r == 0)
		r = read_number("/proc/sys/kernel/pid_max", &pid_max);
	if (r == 0)
		r = read_line("/proc/loadavg", text, sizeof(text));
	if (r < 0)
		return r;
	if (pid_max < ret->limit)
		ret->limit = pid_max;
	/* Load averages, then "running/all" threads (proc_loadavg(5)). */
	return sscanf(text, "%*s %*s %*s %*u/%" SCNu64, &ret->used) == 1 ? 0 : -EBADMSG;
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = strstr(list, word); p; p = strstr(p + 1, word)) {
		if ((p == list || p[-1] == ',') && (p[n] == '\0' || p[n] == ','))
			return true;
	}
	return false;
}

/* The caller's cgroup in the hierarchy that has the pids controller: that of v1 where there is one.
 * A line is "ID:CONTROLLERS:PATH" (cgroups(7)). */
static int own_path(char *ret, size_t size, bool *ret_v2)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/cgroup", "re");
	char line[PATH_ROOM];
	bool found = false;

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':'), *path;

		path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*controllers++ = *path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		*ret_v2 = !has_word(controllers, "pids");
		if (*ret_v2 && *controllers)
			continue;
		if (!str_copy(ret, size, path))
			return -ENAMETOOLONG;
		found = true;
		if (!*ret_v2)
			return 0;
	}
	*ret_v2 = true;
	return found ? 0 : -ENOENT;
}

static int find_mount(bool v2, char *ret, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	int r = -ENOENT;

	if (!mounts)
		return -errno;
	for (const struct mntent *m = getmntent(mounts); m && r == -ENOENT; m = getmntent(mounts)) {
		if (v2 ? str_eq(m->mnt_type, "cgroup2")
		       : str_eq(m->mnt_type, "cgroup") && has_word(m->mnt_opts, "pids"))
			r = str_copy(ret, size, m->mnt_dir) ? 0 : -ENAMETOOLONG;
	}
	(void)endmntent(mounts);
	return r;
}

static uint64_t room_of(const struct gauge *g)
{
	return g->limit > g->used ? g->limit - g->used : 0;
}

/* A cgroup without these files (the root, or a controller that is not enabled) has no limit. */
static void add_cgroup(char *path, size_t length, struct gauge *tightest)
{
	struct gauge g;

	if (snprintf(path + length, PATH_ROOM - length, "/pids.max") >= (int)(PATH_ROOM - length) ||
	    read_number(path, &g.limit) < 0)
		return;
	(void)snprintf(path + length, PATH_ROOM - length, "/pids.current");
	if (g.limit == GAUGE_NO_LIMIT || read_number(path, &g.used) < 0)
		return;
	if (tightest->limit == GAUGE_NO_LIMIT || room_of(&g) < room_of(tightest))
		*tightest = g;
}

int gauge_own_cgroup_read(struct gauge *ret)
{
	char mount[PATH_ROOM], own[PATH_ROOM], path[PATH_ROOM];
	bool v2 = false;
	int r = own_path(own, sizeof(own), &v2);

	*ret = (struct gauge){.limit = GAUGE_NO_LIMIT};
	if (r == 0)
		r = find_mount(v2, mount, sizeof(mount));
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (;;) {
		size_t length = strlen(own);

		while (length && own[length - 1] == '/')
			own[--length] = '\0';
		r = snprintf(path, sizeof(path), "%s%s", mount, own);
		if (r >= (int)sizeof(path))
			return -ENAMETOOLONG;
		add_cgroup(path, (size_t)r, ret);
		if (!length)
			return 0;
		*strrchr(own, '/') = '\0'; /* every path begins with one */
	}
}

int gauge_ports_remove(const char *list, uint64_t bits[static PORT_BITS])
{
	while (*list) {
		unsigned first, last;
		int n = 0;

		if (sscanf(list, "%u%n", &first, &n) != 1)
			return -EBADMSG;
		list += n;
		last = first;
		if (*list == '-') {
			if (sscanf(list, "-%u%n", &last, &n) != 1)
				return -EBADMSG;
			list += n;
		}
		for (unsigned p = first; p <= last && p < 65536; p++)
			bit_clear(bits, p);
		list += strspn(list, ",");
	}
	return 0;
}

int gauge_ports_read(uint64_t ret[static PORT_BITS])
{
	static char reserved[65536];
	unsigned first, last;
	char text[64];
	int n = 0;
	int r = read_line("/proc/sys/net/ipv4/ip_local_port_range", text, sizeof(text));

	if (r < 0)
		return r;
	if (sscanf(text, "%u %u", &first, &last) != 2 || last >= 65536)
		return -EBADMSG;
	memset(ret, 0, PORT_BITS * sizeof(ret[0]));
	for (unsigned p = first; p <= last; p++)
		bit_set(ret, p);
	r = read_line("/proc/sys/net/ipv4/ip_local_reserved_ports", reserved, sizeof(reserved));
	if (r == 0)
		r = gauge_ports_remove(reserved, ret);
	if (r < 0)
		return r;
	for (size_t i = 0; i < PORT_BITS; i++)
		n += __builtin_popcountll(ret[i]);
	return n;
}
