/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/target.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actions/protect.h"
#include "host/units.h"
#include "util/cleanup.h"
#include "util/proc.h"

const char *const empty_modes[] = {"fail", "skip", NULL};

/* selectionMode */

/* The number in "COUNT(12)". Returns 0 or -EINVAL. */
static int read_number(const char *mode, const char *opening, uint64_t max, uint64_t *ret)
{
	size_t n = strlen(opening), length = strlen(mode);
	char digits[24];

	if (!str_starts(mode, opening) || length < n + 2 || length - n > sizeof(digits) ||
	    mode[length - 1] != ')')
		return -EINVAL;
	memcpy(digits, mode + n, length - n - 1);
	digits[length - n - 1] = '\0';
	return str_to_u64(digits, ret) < 0 || *ret < 1 || *ret > max ? -EINVAL : 0;
}

bool selection_mode_chooses(const char *mode)
{
	return mode[0] && !str_eq(mode, "ALL");
}

int selection_mode_count(const char *mode, size_t n, size_t *ret)
{
	uint64_t number;

	if (!selection_mode_chooses(mode)) {
		*ret = n;
	} else if (read_number(mode, "COUNT(", UINT32_MAX, &number) == 0) {
		*ret = number < n ? number : n;
	} else if (read_number(mode, "PERCENT(", 100, &number) == 0) {
		*ret = n * number / 100;
		if (*ret == 0 && n > 0)
			*ret = 1;
	} else {
		return -EINVAL;
	}
	return 0;
}

/* splitmix64 (Steele, Lea, Flood 2014) */
uint64_t random_place(uint64_t seed, uint64_t what)
{
	uint64_t x = (seed ^ what) + 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Cgroups that match */

typedef char cgroup_path[CGROUP_PATH_MAX];

struct found {
	cgroup_path *path;
	size_t n, room;
};

static int found_add(struct found *f, const char *path)
{
	if (f->n == f->room) {
		size_t room = f->room ? f->room * 2 : 16;
		cgroup_path *p = reallocarray(f->path, room, sizeof(*p));

		if (!p)
			return -ENOMEM;
		f->path = p;
		f->room = room;
	}
	(void)str_copy(f->path[f->n++], sizeof(cgroup_path), path);
	return 0;
}

static void found_done(struct found *f)
{
	free(f->path);
}

#define _cleanup_found_ __attribute__((cleanup(found_done)))

static int by_path(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool is_inside(const char *path, const char *other)
{
	size_t n = strlen(other);

	return strncmp(path, other, n) == 0 && path[n] == '/';
}

/* A pod and its containers, a task and its: in what is sorted, what is outside comes before. */
static void keep_outermost(struct found *f)
{
	size_t kept = 0;

	qsort(f->path, f->n, sizeof(cgroup_path), by_path);
	for (size_t i = 0; i < f->n; i++) {
		bool inside = false;

		for (size_t k = 0; k < kept && !inside; k++)
			inside = is_inside(f->path[i], f->path[k]);
		if (!inside && i != kept)
			memcpy(f->path[kept], f->path[i], sizeof(cgroup_path));
		kept += !inside;
	}
	f->n = kept;
}

struct search {
	const char *wanted;
	bool (*matches)(const char *path, const char *wanted);
	struct found *found;
};

static int search_one(const char *path, void *arg)
{
	const struct search *s = arg;

	return s->matches(path, s->wanted) ? found_add(s->found, path) : 0;
}

static int search_all(const struct cgroup_layout *l, const char *wanted,
		      bool (*matches)(const char *path, const char *wanted), struct found *found)
{
	struct search s = {wanted, matches, found};

	return cgroup_each(l, search_one, &s);
}

/* Backslashes are part of names: systemd writes "-" as "\x2d". */
static bool fits_pattern(const char *path, const char *pattern)
{
	return fnmatch(pattern, path, FNM_PATHNAME | FNM_NOESCAPE) == 0;
}

/* A pattern may begin with a mount or lack its slash, as a path may. */
static const char *below_mount(const struct cgroup_layout *l, const char *pattern)
{
	size_t longest = 0;

	for (size_t i = 0; i < l->n; i++) {
		size_t n = strlen(l->hierarchy[i].mount);

		if (n > longest && is_inside(pattern, l->hierarchy[i].mount))
			longest = n;
	}
	return pattern + longest;
}

static int find_cgroup(const struct target *t, const struct cgroup_layout *l, struct found *found)
{
	char path[CGROUP_PATH_MAX], pattern[CGROUP_PATH_MAX + 1];
	const char *below;
	int r = cgroup_find(l, t->cgroup, path);

	if (r == 0)
		return found_add(found, path);
	if (!strpbrk(t->cgroup, "*?["))
		return r == -ENOENT ? 0 : r;
	below = below_mount(l, t->cgroup);
	(void)snprintf(pattern, sizeof(pattern), "%s%s", below[0] == '/' ? "" : "/", below);
	return search_all(l, pattern, fits_pattern, found);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The units of the host's own service manager are in slices only; below a service or a scope are
 * those of a user's manager, or of one in a container. */
static bool fits_unit(const char *path, const char *unit)
{
	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		if (p - path < 6 || strncmp(p - 6, ".slice", 6) != 0)
			return false;
	}
	return cgroup_is_unit(path, unit) || fnmatch(unit, last_part(path), FNM_NOESCAPE) == 0;
}

static void add_suffix(const char *unit, char *ret, size_t size)
{
	static const char *const suffixes[] = {".service", ".scope", ".slice",
					       ".socket",  ".mount", ".swap"};
	const char *dot = strrchr(unit, '.');
	bool has = false;

	for (size_t i = 0; dot && i < ARRAY_SIZE(suffixes); i++)
		has = has || str_eq(dot, suffixes[i]);
	(void)snprintf(ret, size, "%s%s", unit, has ? "" : ".service");
}

static int add_services(const char *name, struct found *found)
{
	__attribute__((cleanup(unit_list_done))) struct unit_list list = {0};
	int r = units_find(&name, 1, &list);

	for (size_t i = 0; r == 0 && i < list.n; i++) {
		if (list.unit[i].running && list.unit[i].cgroup[0])
			r = found_add(found, list.unit[i].cgroup);
	}
	return r;
}

/* systemd knows aliases, and where its services are; of slices and scopes, and where it cannot be
 * asked, the cgroup has the unit's name. */
static int find_unit(const struct target *t, const struct cgroup_layout *l, struct found *found)
{
	char name[sizeof(t->unit) + 16];

	add_suffix(t->unit, name, sizeof(name));
	if (add_services(name, found) == 0 && found->n > 0)
		return 0;
	found->n = 0;
	return search_all(l, name, fits_unit, found);
}

static int find(const struct target *t, const struct cgroup_layout *l, struct found *found)
{
	if (t->unit[0])
		return find_unit(t, l, found);
	if (t->cgroup[0])
		return find_cgroup(t, l, found);
	return search_all(l, t->container, cgroup_is_container, found);
}

/* Which of them */

/* For qsort_r(): the last argument is the seed. */
static int by_chance(const void *a, const void *b, void *seed)
{
	uint64_t x = random_place(*(const uint64_t *)seed, str_hash(a));
	uint64_t y = random_place(*(const uint64_t *)seed, str_hash(b));

	return x < y ? -1 : x > y;
}

static void choose(struct found *f, const char *mode, uint64_t seed)
{
	size_t n = f->n;

	if (selection_mode_count(mode, f->n, &n) < 0 || n == f->n)
		return;
	qsort_r(f->path, f->n, sizeof(cgroup_path), by_chance, &seed);
	f->n = n;
	qsort(f->path, f->n, sizeof(cgroup_path), by_path);
}

/* What a cgroup is like */

/* "container 3f1c0a9b12cd" out of "docker-3f1c0a9b12cd….scope"; a name is shown as it is. */
static void show_container(const char *part, struct text *t)
{
	for (const char *p = part; *p;) {
		size_t n = strspn(p, "0123456789abcdef");

		if (n >= 32) {
			text_add(t, "container %.12s", p);
			return;
		}
		p += n ? n : 1;
	}
	text_add(t, "container %s", part);
}

static void show(const struct target *t, const char *path, char *ret, size_t size)
{
	struct text to = {.data = ret, .size = size};

	if (t->unit[0])
		text_add(&to, "unit %s", last_part(path));
	else if (t->container[0])
		show_container(last_part(path), &to);
	else
		text_add(&to, "cgroup %s", path);
}

/* The oldest in it that is not a load of ours: of a container, what it was started with. */
static int find_first(const struct cgroup_layout *l, struct aim *aim)
{
	_cleanup_free_
	pid_t *pids = NULL;
	size_t n = 0;
	int r = cgroup_pids(l, aim->path, true, &pids, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct proc_stat st;

		if (proc_stat_read(pids[i], &st) < 0 || st.state == 'Z' || st.state == 'X' ||
		    str_eq(st.name, "faultd-load"))
			continue;
		if (aim->first_pid == 0 || st.start < aim->first_start) {
			aim->first_pid = pids[i];
			aim->first_start = st.start;
		}
	}
	return r;
}

/* In the freezer of cgroup v1 first: where it is mounted, it has what containers run in. */
static void find_freezer(const struct cgroup_layout *l, struct aim *aim)
{
	for (int v2 = 0; v2 < 2 && !aim->freezer[0]; v2++) {
		for (size_t i = 0; i < l->n; i++) {
			const struct cgroup_hierarchy *h = &l->hierarchy[i];

			if (h->v2 != v2 || (!v2 && !(h->controllers & 1U << CGROUP_FREEZER)))
				continue;
			if (cgroup_file_path(h, aim->path, v2 ? "cgroup.freeze" : "freezer.state",
					     aim->freezer, sizeof(aim->freezer)) < 0 ||
			    access(aim->freezer, F_OK) < 0)
				aim->freezer[0] = '\0';
		}
	}
}

/* By anyone, and above it counts as well (the v1 file says so; v2 has cgroup.events). */
static bool is_frozen(const struct aim *aim)
{
	char path[sizeof(aim->freezer) + 16], line[64];
	size_t n = strlen(aim->freezer) - strlen(last_part(aim->freezer));
	bool v2 = aim->freezer[0] && str_eq(last_part(aim->freezer), "cgroup.freeze");
	_cleanup_fclose_ FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "%.*s%s", (int)n, aim->freezer,
		       v2 ? "cgroup.events" : "freezer.state");
	f = aim->freezer[0] ? fopen(path, "re") : NULL;
	while (f && fgets(line, sizeof(line), f)) {
		if (str_starts(line, v2 ? "frozen 1" : "FR")) /* FREEZING, FROZEN */
			return true;
	}
	return false;
}

static int look_at(const struct target *t, const char *path, const struct cpu_list *all,
		   const struct cgroup_layout *l, struct aim *ret)
{
	int r;

	(void)str_copy(ret->path, sizeof(ret->path), path);
	show(t, path, ret->shown, sizeof(ret->shown));
	r = cgroup_limits_read(l, path, &ret->limits);
	if (r == 0)
		r = cgroup_cpus_read(l, path, all, &ret->cpus);
	if (r == 0)
		r = find_first(l, ret);
	ret->inner = cgroup_is_inner(l, path);
	find_freezer(l, ret);
	return r;
}

/* Looking and refusing */

static const char *field_of(const struct target *t)
{
	if (t->unit[0])
		return "parameters.unit";
	return t->cgroup[0] ? "parameters.cgroup" : "parameters.container";
}

static const char *value_of(const struct target *t)
{
	if (t->unit[0])
		return t->unit;
	return t->cgroup[0] ? t->cgroup : t->container;
}

static int check(const struct target *t, struct error *e)
{
	size_t n;

	if (!!t->unit[0] + !!t->cgroup[0] + !!t->container[0] > 1)
		return error_field(e,
				   t->container[0] ? "parameters.container" : "parameters.cgroup",
				   t->container[0] ? t->container : t->cgroup,
				   "one of unit, cgroup and container", "excludes the others");
	if (selection_mode_count(t->selection_mode, 1, &n) < 0)
		return error_field(e, "parameters.selectionMode", t->selection_mode,
				   "ALL, COUNT(n) or PERCENT(n), such as COUNT(2) or PERCENT(50)",
				   "%s is none of them", t->selection_mode);
	if (!target_is_given(t) && selection_mode_chooses(t->selection_mode))
		return error_field(e, "parameters.selectionMode", t->selection_mode,
				   "with unit, cgroup or container",
				   "there is nothing to choose from");
	return 0;
}

static int nothing_found(const struct target *t, struct facts *facts, struct error *e)
{
	if (t->empty == EMPTY_SKIP)
		facts->skipped = true;
	if (t->empty == EMPTY_SKIP || facts->so_far)
		return 0;
	return error_field(e, field_of(t), value_of(t),
			   "what is there, or emptyTargetResolutionMode=skip", "no %s matches %s",
			   field_of(t) + strlen("parameters."), value_of(t));
}

static int cannot_look(const struct target *t, int r, struct error *e)
{
	if (r == -EINVAL && t->cgroup[0])
		return error_field(e, "parameters.cgroup", t->cgroup,
				   "a path below the root of its hierarchy, without ..",
				   "%s is not a cgroup's path", t->cgroup);
	return error_set(e, ERROR_FAILED, r, "cannot read the cgroups of this host: %s",
			 strerror(-r));
}

static int check_protected(const struct target *t, const char *path, const struct facts *facts,
			   struct error *e)
{
	char buffer[160];
	const char *why = NULL;

	if (str_eq(path, "/"))
		return error_field(e, field_of(t), value_of(t),
				   "a cgroup below the root; for the host, none at all",
				   "the root is the whole host");
	/* A container may be inside its runtime's service. */
	if (!t->container[0])
		why = protect_units_of(path, facts, buffer, sizeof(buffer));
	if (!why)
		why = protect_target(path, facts, buffer, sizeof(buffer));
	return why ? error_set(e, ERROR_DENIED, -EACCES, "cgroup %s is protected: %s", path, why)
		   : 0;
}

static int fill(const struct target *t, const struct found *f, struct facts *facts, struct error *e)
{
	struct cpu_list all;
	int r = cpu_list_read(&all);

	if (f->n < 1 || f->n > AIMS_MAX)
		return error_field(e, "parameters.selectionMode", t->selection_mode,
				   "at most 64, such as COUNT(64)", "%zu match", f->n);
	facts->aims = calloc(f->n, sizeof(*facts->aims));
	if (!facts->aims)
		return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < f->n; i++) {
		struct aim *aim = &facts->aims[facts->n_aims++];

		r = look_at(t, f->path[i], &all, &facts->cgroups, aim);
		if (r == 0 && !facts->so_far && is_frozen(aim))
			return error_set(e, ERROR_CONFLICT, -EBUSY,
					 "%s is frozen: nothing happens in it", aim->shown);
	}
	return r < 0 ? cannot_look(t, r, e) : 0;
}

int target_look(const struct target *t, struct facts *facts, struct error *e)
{
	_cleanup_found_ struct found found = {0};
	int r = check(t, e);

	if (r < 0)
		return r;
	facts->leaf = (uint32_t)random_place(facts->seed, 0);
	if (t->seed)
		facts->seed = (uint64_t)t->seed;
	if (!target_is_given(t))
		return 0;
	facts->aimed = true;
	r = cgroup_layout_read(&facts->cgroups);
	if (r == 0)
		r = find(t, &facts->cgroups, &found);
	if (r < 0)
		return cannot_look(t, r, e);
	if (found.n == 0)
		return nothing_found(t, facts, e);
	keep_outermost(&found);
	for (size_t i = 0; i < found.n && r == 0; i++)
		r = check_protected(t, found.path[i], facts, e);
	if (r < 0)
		return r;
	choose(&found, t->selection_mode, facts->seed);
	return fill(t, &found, facts, e);
}

/* Plans */

void target_describe(const struct target *t, struct text *to)
{
	if (!target_is_given(t))
		return;
	text_add(to, " in %s %s", field_of(t) + strlen("parameters."), value_of(t));
	if (selection_mode_chooses(t->selection_mode))
		text_add(to, ", %s of what matches", t->selection_mode);
}

bool target_add_load(const struct aim *aim, const char *leaf, bool enter, struct step *s)
{
	char process[48];

	if (!step_load_add(s, "--cgroup") || !step_load_add(s, leaf[0] ? leaf : aim->path))
		return false;
	if (!enter)
		return true;
	(void)snprintf(process, sizeof(process), "%d:%" PRIu64, (int)aim->first_pid,
		       aim->first_start);
	return aim->first_pid != 0 && step_load_add(s, "--enter") && step_load_add(s, process);
}

static const struct cgroup_hierarchy *hierarchy_v2(const struct cgroup_layout *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->hierarchy[i].v2)
			return &l->hierarchy[i];
	}
	return NULL;
}

int target_add_leaf(const struct aim *aim, const struct facts *facts, struct plan *plan,
		    char ret_leaf[static CGROUP_PATH_MAX], struct error *e)
{
	const struct cgroup_hierarchy *h = hierarchy_v2(&facts->cgroups);
	char name[24];
	struct step *s;
	size_t n = strlen(aim->path);

	ret_leaf[0] = '\0';
	if (!aim->inner || !h)
		return 0;
	s = plan_add(plan, STEP_CGROUP);
	if (!s)
		return error_set(e, ERROR_FAILED, -errno, "cannot plan: %s", strerror(errno));
	(void)snprintf(name, sizeof(name), "faultd-%08" PRIx32, facts->leaf);
	if (n + 1 + strlen(name) >= CGROUP_PATH_MAX ||
	    cgroup_file_path(h, aim->path, name, s->cgroup.path, sizeof(s->cgroup.path)) < 0)
		return error_set(e, ERROR_FAILED, -ENAMETOOLONG, "the path of %s is too long",
				 aim->shown);
	memcpy(ret_leaf, aim->path, n);
	ret_leaf[n] = '/';
	memcpy(ret_leaf + n + 1, name, strlen(name) + 1);
	return 0;
}
