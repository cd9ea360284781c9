/* SPDX-License-Identifier: Apache-2.0 */
/* A cgroup may vanish at any moment: what is gone while we look is as if it had never been. */
#include "host/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/str.h"

#define FILE_PATH_MAX 544    /* a mount, a path, a file name */
#define PATHS_MAX     131072 /* 65536 cgroups, before what two hierarchies have is merged */

static bool is_gone(int error)
{
	return error == ENOENT || error == ENODEV || error == ENOTDIR;
}

int cgroup_file_path(const struct cgroup_hierarchy *h, const char *path, const char *file,
		     char *ret, size_t size)
{
	const char *below = str_eq(path, "/") ? "" : path;
	int n = snprintf(ret, size, "%s%s%s%s", h->mount, below, file[0] ? "/" : "", file);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int open_file(const struct cgroup_hierarchy *h, const char *path, const char *file)
{
	char full[FILE_PATH_MAX];
	int r = cgroup_file_path(h, path, file, full, sizeof(full));

	if (r == 0)
		r = open(full, O_RDONLY | O_CLOEXEC);
	return r < 0 && r != -ENAMETOOLONG ? -errno : r;
}

/* The first line of a small file, without its end. Returns 0 or a negative errno. */
static int read_line(const struct cgroup_hierarchy *h, const char *path, const char *file,
		     char *ret, size_t size)
{
	_cleanup_close_ int fd = open_file(h, path, file);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, ret, size - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

static bool has_cgroup(const struct cgroup_hierarchy *h, const char *path)
{
	char full[FILE_PATH_MAX];
	struct stat st;

	return cgroup_file_path(h, path, "", full, sizeof(full)) == 0 && stat(full, &st) == 0 &&
	       S_ISDIR(st.st_mode);
}

/* The hierarchies */

static uint32_t controller_bits(char *list, const char *separators)
{
	static const struct {
		const char *name;
		enum cgroup_controller controller;
	} names[] = {
		{"cpu", CGROUP_CPU},         {"cpuset", CGROUP_CPUSET}, {"memory", CGROUP_MEMORY},
		{"io", CGROUP_IO},           {"blkio", CGROUP_IO},      {"pids", CGROUP_PIDS},
		{"freezer", CGROUP_FREEZER},
	};
	uint32_t bits = 0;

	for (char *word = strsep(&list, separators); word; word = strsep(&list, separators)) {
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			if (str_eq(word, names[i].name))
				bits |= 1U << names[i].controller;
		}
	}
	return bits;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Blanks, tabs, line ends and backslashes in paths are \ooo in the kernel's tables. */
static void unescape_octal(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && is_octal(s[1]) && is_octal(s[2]) && is_octal(s[3])) {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

struct mounted {
	struct cgroup_hierarchy hierarchy;
	char device[24];
	bool whole; /* not only a part of the hierarchy, as in a bind mount */
};

/* "29 23 0:26 ROOT MOUNT rw,nosuid shared:4 - cgroup cgroup rw,memory" (proc_pid_mountinfo(5)) */
static bool parse_mount(char *line, struct mounted *ret)
{
	char *word[5], *type, *options;
	struct cgroup_hierarchy *h = &ret->hierarchy;

	for (size_t i = 0; i < ARRAY_SIZE(word); i++)
		word[i] = strsep(&line, " ");
	line = line ? strstr(line, " - ") : NULL;
	if (!line)
		return false;
	line += 3;
	type = strsep(&line, " ");
	(void)strsep(&line, " ");
	if (!line)
		return false;
	options = line;
	options[strcspn(options, "\n")] = '\0';
	*ret = (struct mounted){.whole = str_eq(word[3], "/"),
				.hierarchy.v2 = str_eq(type, "cgroup2")};
	if (!h->v2 && !str_eq(type, "cgroup"))
		return false;
	unescape_octal(word[4]);
	if (!str_copy(ret->device, sizeof(ret->device), word[2]) ||
	    !str_copy(h->mount, sizeof(h->mount), word[4]))
		return false;
	if (!h->v2)
		h->controllers = controller_bits(options, ",");
	return true;
}

/* Another file system may be mounted over it. */
static bool is_visible(const struct cgroup_hierarchy *h)
{
	char full[FILE_PATH_MAX];

	return cgroup_file_path(h, "/", "cgroup.procs", full, sizeof(full)) == 0 &&
	       access(full, F_OK) == 0;
}

static bool is_same(const struct mounted *a, const struct mounted *b)
{
	if (a->hierarchy.v2 != b->hierarchy.v2)
		return false;
	return a->hierarchy.v2 || str_eq(a->device, b->device) ||
	       (a->hierarchy.controllers & b->hierarchy.controllers) != 0;
}

/* The first mount of each hierarchy, and rather one that shows all of it. */
static void add_mount(struct mounted *list, size_t *n, const struct mounted *m)
{
	for (size_t i = 0; i < *n; i++) {
		if (!is_same(&list[i], m))
			continue;
		if (m->whole && !list[i].whole)
			list[i] = *m;
		return;
	}
	if (*n < CGROUP_HIERARCHIES_MAX)
		list[(*n)++] = *m;
}

static void find_v2_controllers(struct cgroup_hierarchy *h)
{
	char line[256];

	if (read_line(h, "/", "cgroup.controllers", line, sizeof(line)) == 0)
		h->controllers = controller_bits(line, " ");
	h->controllers |= 1U << CGROUP_FREEZER;
}

int cgroup_layout_parse(FILE *mountinfo, struct cgroup_layout *ret)
{
	struct mounted list[CGROUP_HIERARCHIES_MAX];
	_cleanup_free_
	char *line = NULL;
	size_t size = 0, n = 0;

	while (getline(&line, &size, mountinfo) > 0) {
		struct mounted m;

		if (parse_mount(line, &m) && is_visible(&m.hierarchy))
			add_mount(list, &n, &m);
	}
	if (ferror(mountinfo))
		return -EIO;
	*ret = (struct cgroup_layout){.n = n};
	for (size_t i = 0; i < n; i++) {
		ret->hierarchy[i] = list[i].hierarchy;
		if (ret->hierarchy[i].v2)
			find_v2_controllers(&ret->hierarchy[i]);
	}
	return 0;
}

int cgroup_layout_read(struct cgroup_layout *ret)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");

	return f ? cgroup_layout_parse(f, ret) : -errno;
}

const struct cgroup_hierarchy *cgroup_hierarchy_of(const struct cgroup_layout *l,
						   enum cgroup_controller controller)
{
	const struct cgroup_hierarchy *v1 = NULL, *v2 = NULL;

	for (size_t i = 0; i < l->n; i++) {
		const struct cgroup_hierarchy *h = &l->hierarchy[i];

		if (!(h->controllers & 1U << controller))
			continue;
		if (h->v2)
			v2 = h;
		else
			v1 = h;
	}
	/* Every v2 can freeze, but on a hybrid host containers may not be in it at all. */
	if (v1 && v2 && v2->controllers == 1U << CGROUP_FREEZER)
		return v1;
	return v2 ? v2 : v1;
}

/* Walking */

struct paths {
	char **path;
	size_t n, room;
};

static void paths_done(struct paths *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->path[i]);
	free(p->path);
}

#define _cleanup_paths_ __attribute__((cleanup(paths_done)))

static int paths_add(struct paths *p, const char *path)
{
	if (p->n == p->room) {
		size_t more = p->room ? p->room * 2 : 256;
		char **larger = reallocarray(p->path, more, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		p->path = larger;
		p->room = more;
	}
	if (p->n >= PATHS_MAX)
		return -E2BIG;
	p->path[p->n] = strdup(path);
	if (!p->path[p->n])
		return -ENOMEM;
	p->n++;
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void paths_sort(struct paths *p)
{
	size_t n = 0;

	if (p->n > 1)
		qsort(p->path, p->n, sizeof(*p->path), by_text);
	for (size_t i = 0; i < p->n; i++) {
		if (n > 0 && str_eq(p->path[n - 1], p->path[i]))
			free(p->path[i]);
		else
			p->path[n++] = p->path[i];
	}
	p->n = n;
}

static DIR *open_cgroup(const struct cgroup_hierarchy *h, const char *path)
{
	_cleanup_close_ int fd = open_file(h, path, "");
	struct stat st;
	DIR *dir;

	/* Kernel file systems count subdirectories in st_nlink: with two there are none, and no
	 * dozens of files to be listed. Those that do not count say 1. */
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_nlink == 2) {
		errno = fd < 0 ? -fd : ENOENT;
		return NULL;
	}
	dir = fdopendir(fd);
	if (dir)
		(void)steal_fd(&fd);
	return dir;
}

/* Paths that are too long for us are left out: nothing can be aimed at them. */
static int add_below(const struct cgroup_hierarchy *h, const char *path, struct paths *p)
{
	_cleanup_closedir_ DIR *dir = open_cgroup(h, path);
	int r = 0;

	if (!dir)
		return is_gone(errno) ? 0 : -errno;
	for (struct dirent *d = readdir(dir); d && r == 0; d = readdir(dir)) {
		char below[CGROUP_PATH_MAX];
		int n;

		if (d->d_type != DT_DIR || str_eq(d->d_name, ".") || str_eq(d->d_name, ".."))
			continue;
		n = snprintf(below, sizeof(below), "%s/%s", str_eq(path, "/") ? "" : path,
			     d->d_name);
		if (n > 0 && (size_t)n < sizeof(below))
			r = paths_add(p, below);
	}
	return r;
}

/* Adds the cgroup and all below it, level by level: the list is also the queue. */
static int walk(const struct cgroup_hierarchy *h, const char *from, struct paths *p)
{
	size_t i = p->n;
	int r = paths_add(p, from);

	for (; i < p->n && r == 0; i++)
		r = add_below(h, p->path[i], p);
	return r;
}

int cgroup_each(const struct cgroup_layout *l, int (*each)(const char *path, void *arg), void *arg)
{
	return cgroup_each_below(l, "/", each, arg);
}

int cgroup_each_below(const struct cgroup_layout *l, const char *from,
		      int (*each)(const char *path, void *arg), void *arg)
{
	_cleanup_paths_ struct paths p = {0};
	int r = 0;

	for (size_t i = 0; i < l->n; i++) {
		r = walk(&l->hierarchy[i], from, &p);
		if (r < 0)
			return r;
		paths_sort(&p);
	}
	for (size_t i = 0; i < p.n && r == 0; i++) {
		if (!str_eq(p.path[i], from))
			r = each(p.path[i], arg);
	}
	return r;
}

/* Finding */

/* What is below the longest mount that `path` begins with, or all of it. */
static const char *skip_mount(const struct cgroup_layout *l, const char *path)
{
	size_t longest = 0;

	for (size_t i = 0; i < l->n; i++) {
		const char *mount = l->hierarchy[i].mount;
		size_t n = strlen(mount);

		if (n > longest && str_starts(path, mount) && (path[n] == '/' || !path[n]))
			longest = n;
	}
	return path + longest;
}

static int make_plain(const char *path, char ret[static CGROUP_PATH_MAX])
{
	size_t length = 0;

	for (const char *p = path + strspn(path, "/"); *p; p += strspn(p, "/")) {
		size_t n = strcspn(p, "/");

		if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.') ||
		    length + 1 + n >= CGROUP_PATH_MAX)
			return -EINVAL;
		ret[length] = '/';
		memcpy(ret + length + 1, p, n);
		length += 1 + n;
		p += n;
	}
	if (length == 0)
		ret[length++] = '/';
	ret[length] = '\0';
	return 0;
}

int cgroup_find(const struct cgroup_layout *l, const char *path, char ret[static CGROUP_PATH_MAX])
{
	char plain[CGROUP_PATH_MAX];
	int r;

	if (!path[0])
		return -EINVAL;
	r = make_plain(skip_mount(l, path), plain);
	if (r < 0)
		return r;
	for (size_t i = 0; i < l->n; i++) {
		if (has_cgroup(&l->hierarchy[i], plain)) {
			memcpy(ret, plain, sizeof(plain));
			return 0;
		}
	}
	return -ENOENT;
}

/* Processes */

struct pids {
	pid_t *pid;
	size_t n, room;
};

static int pids_add(struct pids *p, pid_t pid)
{
	if (p->n == p->room) {
		size_t more = p->room ? p->room * 2 : 256;
		pid_t *larger = reallocarray(p->pid, more, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		p->pid = larger;
		p->room = more;
	}
	p->pid[p->n++] = pid;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

static void pids_sort(struct pids *p)
{
	size_t n = 0;

	if (p->n > 1)
		qsort(p->pid, p->n, sizeof(*p->pid), by_number);
	for (size_t i = 0; i < p->n; i++) {
		if (n == 0 || p->pid[n - 1] != p->pid[i])
			p->pid[n++] = p->pid[i];
	}
	p->n = n;
}

/* 0 stands for a process in a PID namespace that is not below ours: we cannot name it. */
static int add_numbers(int fd, struct pids *p)
{
	char buffer[16384];
	pid_t pid = 0;
	ssize_t n;

	for (;;) {
		n = read(fd, buffer, sizeof(buffer));
		/* ENODEV: it was removed; EOPNOTSUPP: a threaded one, whose processes are listed
		 * above */
		if (n < 0)
			return errno == ENODEV || errno == EOPNOTSUPP ? 0 : -errno;
		if (n == 0)
			return 0;
		for (ssize_t i = 0; i < n; i++) {
			if (buffer[i] >= '0' && buffer[i] <= '9') {
				pid = pid * 10 + (buffer[i] - '0');
				continue;
			}
			if (pid > 0 && pids_add(p, pid) < 0)
				return -ENOMEM;
			pid = 0;
		}
	}
}

static int add_processes(const struct cgroup_hierarchy *h, const char *path, struct pids *p)
{
	_cleanup_close_ int fd = open_file(h, path, "cgroup.procs");

	if (fd < 0)
		return is_gone(-fd) ? 0 : fd;
	return add_numbers(fd, p);
}

static int add_processes_below(const struct cgroup_hierarchy *h, const char *path, struct pids *p)
{
	_cleanup_paths_ struct paths all = {0};
	int r = walk(h, path, &all);

	for (size_t i = 0; i < all.n && r == 0; i++)
		r = add_processes(h, all.path[i], p);
	return r;
}

int cgroup_pids(const struct cgroup_layout *l, const char *path, bool deep, pid_t **ret,
		size_t *ret_n)
{
	struct pids p = {0};
	bool found = false;
	int r = 0;

	for (size_t i = 0; i < l->n && r == 0; i++) {
		const struct cgroup_hierarchy *h = &l->hierarchy[i];

		if (!has_cgroup(h, path))
			continue;
		found = true;
		r = deep ? add_processes_below(h, path, &p) : add_processes(h, path, &p);
	}
	if (r == 0 && !found)
		r = -ENOENT;
	if (r < 0) {
		free(p.pid);
		return r;
	}
	pids_sort(&p);
	*ret = p.pid;
	*ret_n = p.n;
	return 0;
}

/* Limits */

/* Shortens a path by its last part. Returns false when it was the root. */
static bool go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || str_eq(path, "/"))
		return false;
	slash[slash == path] = '\0';
	return true;
}

static bool read_number(const struct cgroup_hierarchy *h, const char *path, const char *file,
			uint64_t *ret)
{
	char line[64];

	return read_line(h, path, file, line, sizeof(line)) == 0 && str_to_u64(line, ret) == 0;
}

/* The quota in CPUs; 0: none. */
static double read_quota(const struct cgroup_hierarchy *h, const char *path)
{
	uint64_t quota, period;
	char line[64];

	if (h->v2) {
		char *rest = line;

		if (read_line(h, path, "cpu.max", line, sizeof(line)) < 0 ||
		    str_to_u64(strsep(&rest, " "), &quota) < 0 || !rest ||
		    str_to_u64(rest, &period) < 0)
			return 0;
	} else if (!read_number(h, path, "cpu.cfs_quota_us", &quota) ||
		   !read_number(h, path, "cpu.cfs_period_us", &period)) {
		return 0;
	}
	return period ? (double)quota / (double)period : 0;
}

static double find_quota(const struct cgroup_hierarchy *h, const char *path)
{
	char at[CGROUP_PATH_MAX];
	double tightest = 0;

	(void)str_copy(at, sizeof(at), path);
	do {
		double cpus = read_quota(h, at);

		if (cpus > 0 && (tightest == 0 || cpus < tightest))
			tightest = cpus;
	} while (go_up(at));
	return tightest;
}

/* The files that say how many there may be, and are. */
struct limit_files {
	const char *max, *used;
};

/* On v1 no memory limit is the largest number of whole pages that fits 63 bits. */
#define NONE_ON_V1 (UINT64_C(1) << 62)

/* Of equal limits the one further up binds: it is used by more. */
static void find_limit(const struct cgroup_hierarchy *h, const char *path,
		       const struct limit_files *files, uint64_t *ret, uint64_t *ret_used)
{
	char at[CGROUP_PATH_MAX];

	(void)str_copy(at, sizeof(at), path);
	(void)read_number(h, at, files->used, ret_used);
	do {
		uint64_t max;

		if (!read_number(h, at, files->max, &max) || max >= NONE_ON_V1 || max > *ret)
			continue;
		*ret = max;
		*ret_used = 0;
		(void)read_number(h, at, files->used, ret_used);
	} while (go_up(at));
}

int cgroup_limits_read(const struct cgroup_layout *l, const char *path, struct cgroup_limits *ret)
{
	static const struct limit_files memory_v1 = {"memory.limit_in_bytes",
						     "memory.usage_in_bytes"},
					memory_v2 = {"memory.max", "memory.current"},
					pids = {"pids.max", "pids.current"};
	const struct cgroup_hierarchy *h;

	if (strlen(path) >= CGROUP_PATH_MAX)
		return -ENAMETOOLONG;
	*ret = (struct cgroup_limits){.memory = CGROUP_NO_LIMIT, .pids = CGROUP_NO_LIMIT};
	h = cgroup_hierarchy_of(l, CGROUP_CPU);
	if (h && has_cgroup(h, path))
		ret->cpus = find_quota(h, path);
	h = cgroup_hierarchy_of(l, CGROUP_MEMORY);
	if (h && has_cgroup(h, path))
		find_limit(h, path, h->v2 ? &memory_v2 : &memory_v1, &ret->memory,
			   &ret->memory_used);
	h = cgroup_hierarchy_of(l, CGROUP_PIDS);
	if (h && has_cgroup(h, path))
		find_limit(h, path, &pids, &ret->pids, &ret->pids_used);
	return 0;
}

/* Is the CPU in a list such as "0-3,7"? */
static bool has_cpu(const char *list, unsigned cpu)
{
	const char *p = list;

	while (*p) {
		char *end;
		unsigned long first = strtoul(p, &end, 10), last = first;

		if (end == p)
			return false;
		if (*end == '-') {
			p = end + 1;
			last = strtoul(p, &end, 10);
			if (end == p)
				return false;
		}
		if (cpu >= first && cpu <= last)
			return true;
		p = end + (*end == ',');
	}
	return false;
}

int cgroup_cpus_read(const struct cgroup_layout *l, const char *path, const struct cpu_list *all,
		     struct cpu_list *ret)
{
	const struct cgroup_hierarchy *h = cgroup_hierarchy_of(l, CGROUP_CPUSET);
	char at[CGROUP_PATH_MAX], line[4096] = "";

	if (!str_copy(at, sizeof(at), path))
		return -ENAMETOOLONG;
	*ret = *all;
	if (!h || !has_cgroup(h, path))
		return 0;
	/* On v2 a cgroup has the file only where the controller was enabled for it; else it is with
	 * the next one above. */
	while (read_line(h, at, h->v2 ? "cpuset.cpus.effective" : "cpuset.effective_cpus", line,
			 sizeof(line)) < 0 ||
	       !line[0]) {
		if (!go_up(at))
			return 0;
	}
	ret->n = 0;
	for (uint32_t i = 0; i < all->n; i++) {
		if (has_cpu(line, all->cpu[i]))
			ret->cpu[ret->n++] = all->cpu[i];
	}
	return 0;
}

bool cgroup_is_inner(const struct cgroup_layout *l, const char *path)
{
	char line[256];

	for (size_t i = 0; i < l->n && !str_eq(path, "/"); i++) {
		const struct cgroup_hierarchy *h = &l->hierarchy[i];

		if (h->v2 &&
		    read_line(h, path, "cgroup.subtree_control", line, sizeof(line)) == 0 &&
		    line[0])
			return true;
	}
	return false;
}

/* Sockets */

static const struct cgroup_hierarchy *find_v2(const struct cgroup_layout *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->hierarchy[i].v2)
			return &l->hierarchy[i];
	}
	return NULL;
}

static int read_id(const struct cgroup_hierarchy *h, const char *path, uint64_t *ret)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + sizeof(*ret)];
	} u = {.handle.handle_bytes = sizeof(*ret)};
	char full[FILE_PATH_MAX];
	int ignored, r = cgroup_file_path(h, path, "", full, sizeof(full));

	if (r < 0)
		return r;
	if (name_to_handle_at(AT_FDCWD, full, &u.handle, &ignored, 0) < 0)
		return -errno;
	memcpy(ret, u.handle.f_handle, sizeof(*ret));
	return 0;
}

int cgroup_id(const struct cgroup_layout *l, const char *path, uint64_t *ret_id,
	      uint32_t *ret_level)
{
	const struct cgroup_hierarchy *h = find_v2(l);
	char full[FILE_PATH_MAX];
	int r;

	if (!h || !has_cgroup(h, path))
		return -ENOENT;
	/* Every cgroup but the root has this file. */
	r = cgroup_file_path(h, "/", "cgroup.type", full, sizeof(full));
	if (r == 0 && access(full, F_OK) == 0)
		return -EXDEV;
	if (r == 0)
		r = read_id(h, path, ret_id);
	if (r < 0)
		return r;
	*ret_level = 0;
	for (const char *p = path; p[0] && p[1]; p++)
		*ret_level += p[0] == '/';
	return 0;
}

static const char *find_path(const struct cgroup_hierarchy *h, const struct paths *p, uint64_t id)
{
	for (size_t i = 0; i < p->n; i++) {
		uint64_t found = 0;

		if (read_id(h, p->path[i], &found) == 0 && found == id)
			return p->path[i];
	}
	return NULL;
}

int cgroup_ids_below(const struct cgroup_layout *l, uint64_t id, uint64_t **ret, size_t *ret_n)
{
	_cleanup_paths_ struct paths all = {0}, below = {0};
	const struct cgroup_hierarchy *h = find_v2(l);
	const char *path;
	int r = h ? walk(h, "/", &all) : -ENOENT;

	if (r < 0)
		return r;
	path = find_path(h, &all, id);
	r = path ? walk(h, path, &below) : -ENOENT;
	if (r < 0)
		return r;
	*ret = calloc(below.n, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	*ret_n = 0;
	for (size_t i = 0; i < below.n; i++)
		*ret_n += read_id(h, below.path[i], &(*ret)[*ret_n]) == 0;
	return 0;
}
