/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/select.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "actions/protect.h"
#include "util/cleanup.h"

const char *const select_orders[] = {"random", "newest", "oldest", NULL};

static bool has_pid(const struct number_list *list, pid_t pid)
{
	for (uint32_t i = 0; i < list->n; i++) {
		if (list->number[i] == pid)
			return true;
	}
	return false;
}

struct matcher {
	const struct selection *s;
	const struct facts *facts;
	regex_t regex;
	bool has_regex;
	pid_t above[32]; /* the caller, and what it runs in */
	size_t n_above;
};

static void find_above(struct matcher *m)
{
	const struct process *p = process_list_find(&m->facts->processes, m->facts->caller_pid);

	while (p && p->pid > 1 && m->n_above < ARRAY_SIZE(m->above)) {
		m->above[m->n_above++] = p->pid;
		p = process_list_find(&m->facts->processes, p->ppid);
	}
}

static int matcher_init(struct matcher *m, const struct selection *s, const struct facts *facts)
{
	*m = (struct matcher){.s = s, .facts = facts, .has_regex = s->pattern[0]};
	find_above(m);
	return m->has_regex && regcomp(&m->regex, s->pattern, REG_EXTENDED | REG_NOSUB) != 0
		       ? -EINVAL
		       : 0;
}

static void matcher_done(struct matcher *m)
{
	if (m->has_regex)
		regfree(&m->regex);
}

/* A pid that was chosen by its number is that process; whoever has the number later is not. */
static bool is_another(const struct plan *so_far, const struct process *p)
{
	for (size_t i = 0; so_far && i < so_far->n; i++) {
		if (so_far->steps[i].process.pid == (uint64_t)p->pid &&
		    so_far->steps[i].process.start == p->start)
			return false;
	}
	return so_far != NULL;
}

/* All criteria that are given must hold. Zombies are beyond any signal. */
static bool matches(const struct matcher *m, const struct process *p)
{
	const struct selection *s = m->s;

	if (p->state == 'Z' || p->state == 'X' || (target_is_given(&s->target) && !p->aimed))
		return false;
	if (s->pid.n && (!has_pid(&s->pid, p->pid) || is_another(m->facts->so_far, p)))
		return false;
	if (s->name[0] && !str_eq(s->name, p->name))
		return false;
	if (s->user[0] && p->uid != m->facts->user)
		return false;
	return !m->has_regex || (p->command[0] && regexec(&m->regex, p->command, 0, NULL, 0) == 0);
}

static bool is_own_program(const char *name)
{
	return str_starts(name, "faultd") || str_eq(name, "faultctl");
}

/* A name, pattern, user or target that also hits kernel threads, faultd, or the caller and what it
 * runs in (its shell, its sudo) means the others. One that hits a process that keeps the host
 * reachable is refused as a whole, and so is anything protected that is named by its pid, or a
 * program of ours by its name. */
static bool left_out(const struct matcher *m, const struct process *p)
{
	if (m->s->pid.n || is_own_program(m->s->name))
		return false;
	if (p->kernel_thread || protect_is_own(p, m->facts))
		return true;
	for (size_t i = 0; i < m->n_above; i++) {
		if (m->above[i] == p->pid)
			return true;
	}
	return is_own_program(p->name);
}

static bool has_back_reference(const char *pattern)
{
	for (const char *p = pattern; *p; p++) {
		if (*p == '\\' && p[1] >= '1' && p[1] <= '9')
			return true;
		if (*p == '\\' && p[1])
			p++;
	}
	return false;
}

static bool has_criterion(const struct selection *s)
{
	return s->name[0] || s->pattern[0] || s->pid.n || s->user[0];
}

bool select_is_whole(const struct selection *s)
{
	return target_is_given(&s->target) && !has_criterion(s) && !s->count && !s->percent &&
	       !selection_mode_chooses(s->target.selection_mode);
}

static int check_how_many(const struct selection *s, struct error *e)
{
	bool mode = selection_mode_chooses(s->target.selection_mode);
	size_t n;

	if (selection_mode_count(s->target.selection_mode, 1, &n) < 0)
		return error_field(e, "parameters.selectionMode", s->target.selection_mode,
				   "ALL, COUNT(n) or PERCENT(n), such as COUNT(2) or PERCENT(50)",
				   "%s is none of them", s->target.selection_mode);
	if (!!s->count + !!s->percent + s->all + mode > 1)
		return error_field(e,
				   mode     ? "parameters.selectionMode"
				   : s->all ? "parameters.all"
					    : "parameters.percent",
				   mode ? s->target.selection_mode : "",
				   "one of count, percent, all and selectionMode",
				   "excludes the others");
	return 0;
}

int select_check_pattern(const char *field, const char *pattern, struct error *e)
{
	regex_t regex;
	char why[96];
	int r;

	/* Bounded repetition multiplies out in memory, back-references in time: both by the
	 * caller's will. */
	if (strchr(pattern, '{') || has_back_reference(pattern))
		return error_field(e, field, pattern,
				   "an extended regular expression without {} and back-references",
				   "%s is not", pattern);
	r = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
	if (r != 0) {
		(void)regerror(r, &regex, why, sizeof(why));
		return error_field(e, field, pattern, "an extended regular expression", "%s: %s",
				   pattern, why);
	}
	regfree(&regex);
	return 0;
}

static int check_selection(const struct selection *s, struct facts *facts, struct error *e)
{
	if (!has_criterion(s) && !target_is_given(&s->target))
		return error_field(e, "parameters", "",
				   "name, pattern, pid, user, unit, cgroup or container",
				   "nothing says which processes");
	if (s->user[0] && user_lookup(s->user, &facts->user) < 0)
		return error_field(e, "parameters.user", s->user,
				   "a name of /etc/passwd or a number", "no user %s", s->user);
	return s->pattern[0] ? select_check_pattern("parameters.pattern", s->pattern, e) : 0;
}

static int check_pids(const struct selection *s, const struct facts *facts, struct error *e)
{
	for (uint32_t i = 0; i < s->pid.n; i++) {
		const struct process *p =
			process_list_find(&facts->processes, (pid_t)s->pid.number[i]);
		char shown[24];
		struct text t = TEXT(shown);

		text_add(&t, "%lld", (long long)s->pid.number[i]);
		if (!p || p->state == 'Z')
			return error_field(e, "parameters.pid", shown, "a process that runs",
					   "no process %s", shown);
	}
	return 0;
}

static int check_protected(const struct matcher *m, struct error *e)
{
	const struct process_list *list = &m->facts->processes;

	for (size_t i = 0; i < list->n; i++) {
		const struct process *p = &list->process[i];
		const char *why = protect_process(p, m->facts);

		if (why && matches(m, p) && !left_out(m, p))
			return error_set(e, ERROR_DENIED, -EACCES,
					 "process %d (%s) is protected: %s", (int)p->pid, p->name,
					 why);
	}
	return 0;
}

static int count_one(const struct process *p, void *arg)
{
	(*(size_t *)arg)++;
	return 0;
}

static int check_found(const struct selection *s, struct facts *facts, struct error *e)
{
	size_t n = 0;
	int r = select_each(s, facts, count_one, &n);
	char what[512];
	struct text t = TEXT(what);

	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot select processes: %s", strerror(-r));
	if (n > STEPS_MAX)
		return error_field(e, "parameters.count", "", "at most 1024 processes",
				   "%zu processes match", n);
	if (n == 0 && s->target.empty == EMPTY_SKIP)
		facts->skipped = true;
	if (n > 0 || facts->so_far || facts->skipped)
		return 0;
	select_describe(s, &t);
	return error_field(e, "parameters", what, "a selection that matches",
			   "no process matches (%s)", what);
}

/* The pids that can be meant, and nobody else. */
struct candidates {
	pid_t *pid; /* NULL: anybody */
	size_t n;
};

static void candidates_done(struct candidates *c)
{
	free(c->pid);
}

static int candidates_add(struct candidates *c, const pid_t *pid, size_t n)
{
	pid_t *more = reallocarray(c->pid, c->n + n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	if (n > 0)
		memcpy(more + c->n, pid, n * sizeof(*pid));
	c->pid = more;
	c->n += n;
	return 0;
}

/* Those in the target's cgroups, all of them: selectionMode is for processes here. */
static int look_inside(const struct selection *s, struct facts *facts, struct candidates *ret,
		       struct error *e)
{
	struct target whole = s->target;
	int r;

	whole.selection_mode[0] = '\0';
	r = target_look(&whole, facts, e);
	if (r < 0 || !target_is_given(&s->target))
		return r;
	r = candidates_add(ret, NULL, 0);
	for (size_t i = 0; r == 0 && i < facts->n_aims; i++) {
		_cleanup_free_
		pid_t *pids = NULL;
		size_t n = 0;

		r = cgroup_pids(&facts->cgroups, facts->aims[i].path, true, &pids, &n);
		if (r == 0)
			r = candidates_add(ret, pids, n);
		else if (r == -ENOENT)
			r = 0;
		if (r < 0)
			return error_set(e, ERROR_FAILED, r, "cannot read %s: %s",
					 facts->aims[i].shown, strerror(-r));
	}
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot read cgroups: %s", strerror(-r)) : 0;
}

static bool command_fits(const char *command, void *regex)
{
	return regexec(regex, command, 0, NULL, 0) == 0;
}

/* Processes named by their pids are all read, whatever else they have to be: what is wrong with
 * them can be said then. */
static int read_named(const struct selection *s, pid_t caller, struct process_list *ret)
{
	struct process_filter filter = {.commands = s->pattern[0], .and_above = caller};
	_cleanup_free_
	pid_t *pid = calloc(s->pid.n, sizeof(*pid));

	if (!pid)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->pid.n; i++)
		pid[i] = (pid_t)s->pid.number[i];
	filter.pid = pid;
	filter.n_pids = s->pid.n;
	return process_list_read_some(&filter, ret);
}

static int read_fitting(const struct selection *s, const struct facts *facts,
			const struct candidates *in, struct process_list *ret)
{
	struct process_filter filter = {.pid = in->pid,
					.n_pids = in->n,
					.name = s->name,
					.user = s->user[0] ? &facts->user : NULL,
					.and_above = facts->caller_pid};
	regex_t regex;
	int r;

	if (!s->pattern[0])
		return process_list_read_some(&filter, ret);
	if (regcomp(&regex, s->pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return -EINVAL;
	filter.command_fits = command_fits;
	filter.arg = &regex;
	r = process_list_read_some(&filter, ret);
	regfree(&regex);
	return r;
}

static int by_number(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

static void mark(struct process_list *list, struct candidates *in)
{
	if (in->n > 1)
		qsort(in->pid, in->n, sizeof(*in->pid), by_number);
	for (size_t i = 0; i < list->n && in->n > 0; i++) {
		struct process *p = &list->process[i];

		p->aimed = bsearch(&p->pid, in->pid, in->n, sizeof(*in->pid), by_number);
	}
}

static int read_processes(const struct selection *s, bool descendants, struct facts *facts,
			  struct error *e)
{
	__attribute__((cleanup(candidates_done))) struct candidates in = {0};
	int r = look_inside(s, facts, &in, e);

	if (r < 0 || facts->skipped)
		return r;
	if (descendants)
		r = process_list_read(s->pattern[0], &facts->processes);
	else if (s->pid.n)
		r = read_named(s, facts->caller_pid, &facts->processes);
	else
		r = read_fitting(s, facts, &in, &facts->processes);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot read /proc: %s", strerror(-r));
	mark(&facts->processes, &in);
	for (size_t i = 0; i < facts->processes.n; i++)
		protect_look(&facts->processes.process[i], facts);
	return 0;
}

int select_look(const struct selection *s, bool descendants, struct facts *facts, struct error *e)
{
	struct matcher m;
	int r = check_how_many(s, e);

	if (r == 0)
		r = check_selection(s, facts, e);
	if (r == 0)
		r = read_processes(s, descendants, facts, e);
	if (r < 0 || facts->skipped)
		return r;
	r = facts->so_far ? 0 : check_pids(s, facts, e);
	if (r < 0)
		return r;
	r = matcher_init(&m, s, facts);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot use the pattern: %s", strerror(-r));
	r = check_protected(&m, e);
	matcher_done(&m);
	return r < 0 ? r : check_found(s, facts, e);
}

/* For qsort_r(): the last argument is the seed. */
static int by_age(const void *a, const void *b, void *seed)
{
	const struct process *p = *(const struct process *const *)a,
			     *q = *(const struct process *const *)b;

	if (p->start != q->start)
		return p->start < q->start ? -1 : 1;
	return p->pid < q->pid ? -1 : p->pid > q->pid;
}

static int by_youth(const void *a, const void *b, void *seed)
{
	return by_age(b, a, seed);
}

static int by_chance(const void *a, const void *b, void *seed)
{
	const struct process *p = *(const struct process *const *)a,
			     *q = *(const struct process *const *)b;
	uint64_t x = random_place(*(const uint64_t *)seed, (uint64_t)p->pid);
	uint64_t y = random_place(*(const uint64_t *)seed, (uint64_t)q->pid);

	return x < y ? -1 : x > y;
}

static size_t how_many(const struct selection *s, size_t n)
{
	size_t part = n;

	if (s->count)
		return (size_t)s->count < n ? (size_t)s->count : n;
	if (!s->percent) {
		(void)selection_mode_count(s->target.selection_mode, n, &part);
		return part;
	}
	part = n * (size_t)s->percent / 100;
	return part || n == 0 ? part : 1;
}

int select_each(const struct selection *s, const struct facts *facts,
		int (*each)(const struct process *p, void *arg), void *arg)
{
	static int (*const orders[])(const void *, const void *, void *) = {by_chance, by_youth,
									    by_age};
	_cleanup_free_
	const struct process **chosen = calloc(facts->processes.n + 1, sizeof(*chosen));
	uint64_t seed = facts->seed;
	struct matcher m;
	size_t n = 0;
	int r = chosen ? matcher_init(&m, s, facts) : -ENOMEM;

	if (r < 0)
		return r;
	for (size_t i = 0; i < facts->processes.n; i++) {
		const struct process *p = &facts->processes.process[i];

		if (matches(&m, p) && !left_out(&m, p) && !protect_process(p, facts))
			chosen[n++] = p;
	}
	matcher_done(&m);
	qsort_r(chosen, n, sizeof(*chosen), orders[s->order], &seed);
	n = how_many(s, n);
	for (size_t i = 0; i < n && r == 0; i++)
		r = each(chosen[i], arg);
	return r;
}

void select_describe(const struct selection *s, struct text *t)
{
	struct target whole = s->target;

	if (s->count)
		text_add(t, "%lld %s process%s", (long long)s->count, select_orders[s->order],
			 s->count == 1 ? "" : "es");
	else if (s->percent)
		text_add(t, "%lld %% (%s) of the processes", (long long)s->percent,
			 select_orders[s->order]);
	else if (selection_mode_chooses(s->target.selection_mode))
		text_add(t, "%s (%s) of the processes", s->target.selection_mode,
			 select_orders[s->order]);
	else
		text_add(t, "all processes");
	if (s->name[0])
		text_add(t, " named %s", s->name);
	if (s->pattern[0])
		text_add(t, " matching %s", s->pattern);
	if (s->user[0])
		text_add(t, " of user %s", s->user);
	for (uint32_t i = 0; i < s->pid.n; i++)
		text_add(t, "%s%lld", i ? "," : " with pid ", (long long)s->pid.number[i]);
	whole.selection_mode[0] = '\0';
	target_describe(&whole, t);
}
