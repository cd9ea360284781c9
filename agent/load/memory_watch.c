/* SPDX-License-Identifier: Apache-2.0 */
/* Page cache that nobody has used for long is taken as available in a cgroup as it is on the host:
 * a limit is no obstacle to those who only have to reclaim it. */
#include "load/memory_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/meminfo.h"
#include "util/str.h"

/* The kernel brings the sums up to date every 2 s (PSI_FREQ). */
#define STALL_NS (2 * NSEC_PER_SEC)

#define NO_LIMIT UINT64_MAX
/* cgroup v1 says "none" by the largest number of pages there is. */
#define V1_NO_LIMIT (1ULL << 60)

struct hierarchy {
	char mount[256];
	bool v2;
};

static int read_text(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	return 0;
}

static int read_number(int fd, uint64_t *ret)
{
	char text[32];
	int r = read_text(fd, text, sizeof(text));

	if (r < 0)
		return r;
	if (str_starts(text, "max")) {
		*ret = NO_LIMIT;
		return 0;
	}
	text[strcspn(text, "\n")] = '\0';
	return str_to_u64(text, ret);
}

/* A v1 hierarchy that has the controller wins over a v2 that then cannot. */
static int find_hierarchy(struct hierarchy *ret)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");

	if (!mounts)
		return -errno;
	*ret = (struct hierarchy){0};
	for (const struct mntent *m = getmntent(mounts); m; m = getmntent(mounts)) {
		bool v1 = str_eq(m->mnt_type, "cgroup") && hasmntopt(m, "memory");

		if (!v1 && (ret->mount[0] || !str_eq(m->mnt_type, "cgroup2")))
			continue;
		if (!str_copy(ret->mount, sizeof(ret->mount), m->mnt_dir))
			continue;
		ret->v2 = !v1;
		if (v1)
			break;
	}
	(void)endmntent(mounts);
	return ret->mount[0] ? 0 : -ENOENT;
}

static bool names_memory(char *controllers)
{
	char *save = NULL;

	for (const char *c = strtok_r(controllers, ",", &save); c; c = strtok_r(NULL, ",", &save)) {
		if (str_eq(c, "memory"))
			return true;
	}
	return false;
}

/* A line is "ID:CONTROLLERS:PATH"; on v2 there are no controllers (cgroups(7)). */
static int find_own(const struct hierarchy *h, char *ret, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/cgroup", "re");
	char line[1024];

	while (f && fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*controllers++ = *path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (h->v2 ? *controllers == '\0' : names_memory(controllers))
			return str_copy(ret, size, path) ? 0 : -ENAMETOOLONG;
	}
	return -ENOENT;
}

/* A cgroup without the files (v2, when the controller is not enabled for it) is passed over. */
static void add_level(struct memory_watch *w, const struct hierarchy *h, const char *directory)
{
	static const char *const names[2][3] = {
		{"memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"},
		{"memory.max", "memory.current", "memory.stat"}};
	struct memory_level *l = &w->level[w->n_levels];
	_cleanup_close_ int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd[3] = {-1, -1, -1};

	for (int i = 0; i < 3 && dir >= 0; i++)
		fd[i] = openat(dir, names[h->v2][i], O_RDONLY | O_CLOEXEC);
	if (fd[0] >= 0 && fd[1] >= 0) {
		*l = (struct memory_level){fd[0], fd[1], fd[2]};
		w->n_levels++;
		return;
	}
	for (int i = 0; i < 3; i++) {
		if (fd[i] >= 0)
			(void)close(fd[i]);
	}
}

/* From the cgroup up to the root, which has no limit itself. */
static void open_levels(struct memory_watch *w, const struct hierarchy *h, char *path)
{
	size_t mount = strlen(h->mount);

	for (char *slash; (slash = strrchr(path, '/')) && slash >= path + mount; *slash = '\0') {
		if (slash[1] && w->n_levels < MEMORY_LEVELS_MAX)
			add_level(w, h, path);
	}
}

static int open_cgroups(struct memory_watch *w, enum memory_of of)
{
	char own[512], path[1024], pressure[1100];
	struct hierarchy h = {0};
	int r = find_hierarchy(&h);

	if (r == 0)
		r = find_own(&h, own, sizeof(own));
	if (r < 0)
		return r;
	if (of == MEMORY_OF_PARENT && strrchr(own, '/'))
		*strrchr(own, '/') = '\0';
	if (snprintf(path, sizeof(path), "%s/%s", h.mount, own + strspn(own, "/")) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	w->reclaimable = h.v2 ? "inactive_file" : "total_inactive_file";
	if (w->in_cgroup && h.v2) {
		(void)snprintf(pressure, sizeof(pressure), "%s/memory.pressure", path);
		w->pressure_fd = open(pressure, O_RDONLY | O_CLOEXEC);
	}
	open_levels(w, &h, path);
	return w->n_levels ? 0 : -ENOENT;
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345" (Documentation/accounting/psi.rst) */
static int read_stalled(const struct memory_watch *w, uint64_t *ret_us)
{
	char text[256];
	const char *total;
	int r = read_text(w->pressure_fd, text, sizeof(text));

	if (r < 0)
		return r;
	total = strstr(text, "total=");
	return total && sscanf(total, "total=%" SCNu64, ret_us) == 1 ? 0 : -EBADMSG;
}

static void open_pressure(struct memory_watch *w)
{
	if (w->pressure_fd < 0)
		w->pressure_fd = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
	if (w->pressure_fd < 0)
		return;
	w->stalled_at_ns = boot_ns();
	w->stalled_next_ns = w->stalled_at_ns + STALL_NS;
	if (read_stalled(w, &w->stalled_us) == 0)
		return;
	(void)close(w->pressure_fd); /* booted with psi=0 */
	w->pressure_fd = -1;
}

int memory_watch_open(struct memory_watch *w, enum memory_of of, const char **ret_what)
{
	int r;

	*w = (struct memory_watch){.pressure_fd = -1, .in_cgroup = of != MEMORY_OF_HOST};
	*ret_what = "read /proc/meminfo";
	w->meminfo_fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	if (w->meminfo_fd < 0)
		return -errno;
	*ret_what = "read the memory of the cgroup";
	r = open_cgroups(w, of);
	if (r < 0 && w->in_cgroup)
		return r;
	open_pressure(w);
	return 0;
}

static uint64_t reclaimable(const struct memory_watch *w, int fd)
{
	static char text[8192];
	size_t n = strlen(w->reclaimable);
	uint64_t bytes;

	if (fd < 0 || read_text(fd, text, sizeof(text)) < 0)
		return 0;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, w->reclaimable, n) == 0 &&
		    sscanf(line + n, " %" SCNu64, &bytes) == 1)
			return bytes;
	}
	return 0;
}

/* Limits are read anew each time: somebody may change them. One that cannot be read is gone with
 * its cgroup. */
static void read_levels(const struct memory_watch *w, struct memory_sample *ret)
{
	uint64_t tightest = NO_LIMIT;

	for (size_t i = 0; i < w->n_levels; i++) {
		const struct memory_level *l = &w->level[i];
		uint64_t limit, usage, cache;
		bool first = i == 0 && w->in_cgroup;

		if (read_number(l->limit_fd, &limit) < 0 || (limit >= V1_NO_LIMIT && !first))
			continue;
		if (read_number(l->usage_fd, &usage) < 0)
			continue;
		cache = reclaimable(w, l->stat_fd);
		usage = usage > cache ? usage - cache : 0;
		if (w->in_cgroup && (first || limit < tightest))
			ret->used = usage;
		if (limit >= V1_NO_LIMIT)
			continue;
		if (limit < tightest)
			tightest = limit;
		limit = limit > usage ? limit - usage : 0;
		if (limit < ret->available)
			ret->available = limit;
	}
}

static void read_pressure(struct memory_watch *w, struct memory_sample *ret)
{
	uint64_t us;

	ret->stall = -1;
	if (w->pressure_fd < 0 || ret->now_ns < w->stalled_next_ns)
		return;
	if (read_stalled(w, &us) == 0 && us >= w->stalled_us) {
		ret->stall = (double)(us - w->stalled_us) * 1000 /
			     (double)(ret->now_ns - w->stalled_at_ns);
		w->stalled_us = us;
		w->stalled_at_ns = ret->now_ns;
	}
	w->stalled_next_ns = ret->now_ns + STALL_NS;
}

int memory_watch_read(struct memory_watch *w, struct memory_sample *ret)
{
	static char text[MEMINFO_TEXT_MAX];
	uint64_t total = 0;
	int r = read_text(w->meminfo_fd, text, sizeof(text));

	if (r == 0)
		r = meminfo_find(text, "MemTotal", &total);
	if (r == 0)
		r = meminfo_find(text, "MemAvailable", &ret->available);
	if (r < 0)
		return r;
	ret->now_ns = boot_ns();
	ret->used = total > ret->available ? total - ret->available : 0;
	read_levels(w, ret);
	read_pressure(w, ret);
	return 0;
}

bool memory_watch_swap(const struct memory_watch *w)
{
	char text[MEMINFO_TEXT_MAX];
	uint64_t bytes;

	return read_text(w->meminfo_fd, text, sizeof(text)) == 0 &&
	       meminfo_find(text, "SwapTotal", &bytes) == 0 && bytes > 0;
}
