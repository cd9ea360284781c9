/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/protect.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/mounts.h"
#include "util/cleanup.h"
#include "util/proc.h"

bool protect_is_own(const struct process *p, const struct facts *facts)
{
	for (size_t i = 0; i < ARRAY_SIZE(facts->own_pids); i++) {
		pid_t own = facts->own_pids[i];

		if (own != 0 && (p->pid == own || p->ppid == own))
			return true;
	}
	return false;
}

const char *protect_process(const struct process *p, const struct facts *facts)
{
	if (p->pid == 1)
		return "it is PID 1";
	if (p->kernel_thread)
		return "it is a kernel thread";
	if (protect_is_own(p, facts))
		return "it is part of faultd";
	if (p->pid == facts->caller_pid)
		return "it is the caller";
	return policy_protects(facts->policy, p->name, p->contained) ? "its name is protected"
								     : NULL;
}

void protect_look(struct process *p, const struct facts *facts)
{
	if (policy_protects(facts->policy, p->name, false))
		p->contained = process_is_contained(p->pid);
}

/* Units */

static bool is_service(const char *name)
{
	static const char *const other[] = {".target", ".slice", ".scope",     ".socket",
					    ".mount",  ".swap",  ".automount", ".timer",
					    ".path",   ".device"};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < ARRAY_SIZE(other); i++) {
		if (str_eq(dot, other[i]))
			return false;
	}
	return true;
}

/* Is the unit part of the cgroup path at the end of a line of /proc/PID/cgroup? */
static bool is_in_unit(const char *line, const char *name)
{
	size_t n = strlen(name);
	const char *suffix = ".service";

	for (const char *p = strchr(line, '/'); p; p = strchr(p + 1, '/')) {
		const char *end = p + 1 + strcspn(p + 1, "/\n");

		if (strncmp(p + 1, name, n) != 0)
			continue;
		if (p + 1 + n == end || ((size_t)(end - p - 1) == n + strlen(suffix) &&
					 strncmp(p + 1 + n, suffix, strlen(suffix)) == 0))
			return true;
	}
	return false;
}

static bool runs_in_unit(pid_t pid, const char *name)
{
	char path[32], line[4096];
	_cleanup_fclose_ FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (is_in_unit(line, name))
			return true;
	}
	return false;
}

const char *protect_unit(const char *name, const struct facts *facts)
{
	char full[NAME_MAX];

	(void)snprintf(full, sizeof(full), "%s.service", name);
	if (policy_protects_unit(facts->policy, name) || policy_protects_unit(facts->policy, full))
		return "its name is protected";
	if (!is_service(name))
		return "it is not a service, and others depend on it";
	for (size_t i = 0; i < ARRAY_SIZE(facts->own_pids); i++) {
		if (facts->own_pids[i] != 0 && runs_in_unit(facts->own_pids[i], name))
			return "faultd runs in it";
	}
	return NULL;
}

/* Cgroups */

static bool part_ends(const char *part, const char *suffix)
{
	size_t n = strcspn(part, "/"), m = strlen(suffix);

	return n > m && strncmp(part + n - m, suffix, m) == 0;
}

/* The host's services are in slices only: below a service or a scope are those of a user's manager,
 * or of one in a container. NULL: it is in no service. */
static const char *service_of(const char *path)
{
	for (const char *part = path + 1;; part += strcspn(part, "/") + 1) {
		if (part_ends(part, ".service"))
			return part;
		if (!part_ends(part, ".slice") || !strchr(part, '/'))
			return NULL;
	}
}

struct unit_search {
	const struct policy *policy;
	char found[NAME_MAX];
};

/* For cgroup_each_below(): 1 ends it. */
static int search_protected_unit(const char *path, void *arg)
{
	struct unit_search *s = arg;
	const char *service = service_of(path);

	if (!service)
		return 0;
	(void)snprintf(s->found, sizeof(s->found), "%.*s", (int)strcspn(service, "/"), service);
	return policy_protects_unit(s->policy, s->found);
}

const char *protect_units_of(const char *path, const struct facts *facts, char *buffer, size_t size)
{
	struct unit_search s = {.policy = facts->policy};
	int r = search_protected_unit(path, &s);

	/* What is no slice has none below it. */
	if (r == 0 && part_ends(strrchr(path, '/') + 1, ".slice"))
		r = cgroup_each_below(&facts->cgroups, path, search_protected_unit, &s);
	if (r == 0)
		return NULL;
	if (r < 0)
		(void)snprintf(buffer, size, "what is in it cannot be told: %s", strerror(-r));
	else
		(void)snprintf(buffer, size, "the unit %.100s is protected by its name", s.found);
	return buffer;
}

/* What an inquiry into a cgroup is about. */
struct inquiry {
	const struct facts *facts;
	bool stops; /* what is in it would stop */
};

/* Does the caller run in it: its shell, its sudo, the session? */
static bool is_above_caller(pid_t pid, pid_t caller)
{
	struct proc_stat st;

	for (int depth = 0; depth < 64 && caller > 1; depth++) {
		if (caller == pid)
			return true;
		if (proc_stat_read(caller, &st) < 0)
			return false;
		caller = st.ppid;
	}
	return false;
}

static const char *why_not(const struct inquiry *q, pid_t pid, char name[static 16])
{
	struct process p = {.pid = pid};
	struct proc_stat st;

	if (proc_stat_read(pid, &st) < 0)
		return NULL; /* gone meanwhile */
	(void)str_copy(name, 16, st.name);
	(void)str_copy(p.name, sizeof(p.name), st.name);
	p.ppid = st.ppid;
	p.kernel_thread = st.flags & PROC_KTHREAD;
	if (!q->stops && (str_eq(p.name, "faultd-load") || pid == q->facts->caller_pid))
		return NULL;
	if (q->stops && is_above_caller(pid, q->facts->caller_pid))
		return "the caller runs in it";
	protect_look(&p, q->facts);
	return protect_process(&p, q->facts);
}

static const char *inquire(const struct inquiry *q, const char *path, char *buffer, size_t size)
{
	const struct cgroup_layout *l = &q->facts->cgroups;
	_cleanup_free_
	pid_t *pids = NULL;
	struct cgroup_layout own;
	size_t n = 0;
	int r = 0;

	if (l->n == 0) {
		r = cgroup_layout_read(&own);
		l = &own;
	}
	if (r == 0)
		r = cgroup_pids(l, path, true, &pids, &n);
	if (r < 0) {
		(void)snprintf(buffer, size, "what is in it cannot be told: %s", strerror(-r));
		return buffer;
	}
	for (size_t i = 0; i < n; i++) {
		char name[16];
		const char *why = why_not(q, pids[i], name);

		if (!why)
			continue;
		(void)snprintf(buffer, size, "it holds process %d (%s): %s", (int)pids[i], name,
			       why);
		return buffer;
	}
	return NULL;
}

const char *protect_cgroup(const char *path, const struct facts *facts, char *buffer, size_t size)
{
	return inquire(&(struct inquiry){facts, .stops = true}, path, buffer, size);
}

const char *protect_target(const char *path, const struct facts *facts, char *buffer, size_t size)
{
	return inquire(&(struct inquiry){facts, .stops = false}, path, buffer, size);
}

/* Mounts */

/* Is it on that file system? A btrfs has a number for each of its subvolumes and one for them all,
 * an overlay is on the file system that takes its writes. */
static bool is_on(const char *path, uint64_t device)
{
	struct mount_facts m;
	struct stat st;

	if (!path || stat(path, &st) < 0)
		return false;
	return st.st_dev == device || (mount_read(0, path, &m) == 0 && m.filesystem == device);
}

static bool has_program_of(pid_t pid, uint64_t device)
{
	char path[32], program[4096];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	if (is_on(path, device))
		return true;
	n = readlink(path, program, sizeof(program) - 1);
	if (n < 0)
		return false;
	program[n] = '\0';
	return is_on(program, device);
}

static bool has_own_program(uint64_t device, const struct facts *facts)
{
	for (size_t i = 0; i < ARRAY_SIZE(facts->own_pids); i++) {
		if (facts->own_pids[i] != 0 && has_program_of(facts->own_pids[i], device))
			return true;
	}
	return has_program_of(getpid(), device);
}

/* The standard error is a log file of faultd's when it was sent to one. */
static bool has_own_log(uint64_t device)
{
	struct stat st;

	return fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == device;
}

/* "\040" and its like back to what they stand for, in place: proc_swaps and mount tables. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static bool has_swap_file(uint64_t device)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/swaps", "re");
	char line[4096], path[4096], type[32];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%4095s %31s", path, type) != 2 || !str_eq(type, "file"))
			continue;
		unescape(path);
		if (is_on(path, device))
			return true;
	}
	return false;
}

const char *protect_mount(const char *point, uint64_t device, const struct facts *facts)
{
	static const struct {
		const char *path, *why;
	} always[] = {
		{"/", "it is the root"},
		{"/usr", "it holds /usr"},
		{"/etc", "it holds /etc"},
		{"/var/log", "it holds /var/log"},
		{"/var/log/journal", "it holds the journal"},
		{"/run/log/journal", "it holds the journal"},
	};

	if (policy_protects_mount(facts->policy, point))
		return "it is protected by the policy";
	for (size_t i = 0; i < ARRAY_SIZE(always); i++) {
		if (is_on(always[i].path, device))
			return always[i].why;
	}
	if (has_own_program(device, facts))
		return "it holds faultd's programs";
	if (is_on(facts->runtime_dir, device) || is_on(facts->state_dir, device))
		return "it holds faultd's own files";
	if (has_own_log(device))
		return "it holds faultd's log";
	return has_swap_file(device) ? "it holds a swap file" : NULL;
}
