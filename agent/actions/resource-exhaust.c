/* SPDX-License-Identifier: Apache-2.0 */
/* resource-exhaust: the victim cannot open a file, start a thread or get a port.
 * Changed on the host: workers hold open files, sleeping threads or bound ports until so many are
 * in use; put back by killing them, they also die with faultd and at their own deadline. For the
 * files of one process its RLIMIT_NOFILE is lowered, and put back from the journal. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "actions/figures.h"
#include "actions/grade.h"
#include "actions/protect.h"
#include "actions/target.h"
#include "util/gauge.h"

enum resource { RESOURCE_FILES, RESOURCE_PIDS, RESOURCE_PORTS, _RESOURCE_MAX };
enum protocol { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_BOTH };

#define COUNT_MAX 4000000 /* about 1 GiB of kernel memory in open files */

struct resource_exhaust {
	int resource;
	double percent;
	int64_t count;
	int64_t reserve;
	int protocol;
	int64_t pid;
	struct target target;
	struct grading grading;
};

static const char *const resources[] = {"files", "pids", "ports", NULL};
static const char *const protocols[] = {"tcp", "udp", "both", NULL};

static const struct row rows[] = {
	{.name = "resource",
	 .type = ROW_ENUM,
	 FIELD(struct resource_exhaust, resource),
	 .required = true,
	 .values = resources,
	 .text = "files: of the host, or of one process; pids: processes and threads, of the host or inside a target; ports: ephemeral ones, of the host's or a target's network"},
	{.name = "percent",
	 .type = ROW_NUMBER,
	 FIELD(struct resource_exhaust, percent),
	 .min = 1,
	 .max = 100,
	 .unit = "%",
	 .text = "of the limit, so much is to be in use in all; 100 unless count is given"},
	{.name = "count",
	 .type = ROW_INTEGER,
	 FIELD(struct resource_exhaust, count),
	 .min = 1,
	 .max = COUNT_MAX,
	 .text = "so many are taken, in place of percent"},
	{.name = "reserve",
	 .type = ROW_INTEGER,
	 FIELD(struct resource_exhaust, reserve),
	 .min = 1,
	 .max = COUNT_MAX,
	 .text = "so many are left whatever is asked, and given back when others take them; unless given, 256 files, 64 pids or 64 ports of the host, none of a target or process"},
	{.name = "protocol",
	 .type = ROW_ENUM,
	 FIELD(struct resource_exhaust, protocol),
	 .def = "tcp",
	 .values = protocols,
	 .text = "whose ports"},
	{.name = "pid",
	 .type = ROW_INTEGER,
	 FIELD(struct resource_exhaust, pid),
	 .min = 1,
	 .max = INT32_MAX,
	 .text = "the process whose files; what it starts meanwhile inherits the lower limit, which is put back too while its parents live"},
	TARGET_ROWS(struct resource_exhaust),
	GRADE_ROWS(struct resource_exhaust, "percent or count"),
};

static double value_of(const struct resource_exhaust *p)
{
	return p->count ? (double)p->count : p->percent > 0 ? p->percent : 100;
}

static uint64_t reserve_of(const struct resource_exhaust *p)
{
	static const uint64_t of_host[_RESOURCE_MAX] = {256, 64, 64};

	if (p->reserve)
		return (uint64_t)p->reserve;
	return p->pid || target_is_given(&p->target) ? 0 : of_host[p->resource];
}

static int check(const struct resource_exhaust *p, struct error *e)
{
	const char *resource = resources[p->resource];

	if (p->count && p->percent > 0)
		return error_field(e, "parameters.count", "", "one of count and percent",
				   "excludes percent");
	if (p->pid && p->resource != RESOURCE_FILES)
		return error_field(e, "parameters.pid", "", "files, for resource",
				   "there is no such limit of one process for %s", resource);
	if (p->pid && target_is_given(&p->target))
		return error_field(e, "parameters.pid", "",
				   "a pid, or one of unit, cgroup and container",
				   "excludes unit, cgroup and container");
	if (target_is_given(&p->target) && p->resource == RESOURCE_FILES)
		return error_field(
			e, "parameters.resource", resource, "pids or ports, or a pid",
			"open files are limited for the host and for each process, not for a container");
	return p->count ? grading_check(&p->grading, 1, COUNT_MAX, e)
			: grading_check(&p->grading, 1, 100, e);
}

/* More than the limit leaves is a mistake, less is for the worker to see. */
static int check_count(const struct resource_exhaust *p, uint64_t limit, struct error *e)
{
	double most = grading_end(&p->grading, (double)p->count);
	char shown[24], allowed[64];
	uint64_t reserve = reserve_of(p);
	uint64_t room = limit > reserve ? limit - reserve : 0;

	if (!p->count || most <= (double)room)
		return 0;
	(void)snprintf(shown, sizeof(shown), "%.15g", most);
	(void)snprintf(allowed, sizeof(allowed), "1 to %" PRIu64, room);
	return error_field(e, "parameters.count", shown, allowed,
			   "the limit is %" PRIu64 ", of which %" PRIu64 " are left", limit,
			   reserve);
}

static int cannot_read(struct error *e, int r, const char *what)
{
	return error_set(e, ERROR_UNSUPPORTED, r, "cannot read %s: %s", what, strerror(-r));
}

static int look_files(const struct resource_exhaust *p, struct facts *facts, struct error *e)
{
	double most = grading_end(&p->grading, value_of(p));
	struct gauge g;
	int r = gauge_files_read(&g);

	if (r < 0)
		return cannot_read(e, r, "how many files are open");
	facts->exhaust.limit = g.limit;
	facts->exhaust.used = g.used;
	if (!p->count && (double)g.limit * most / 100 - (double)g.used > COUNT_MAX)
		return error_set(
			e, ERROR_UNSUPPORTED, -ERANGE,
			"this host may have %" PRIu64 " files open (fs.file-max) and has %" PRIu64
			": that is nothing to exhaust; give count, or pid for the limit of one process",
			g.limit, g.used);
	return check_count(p, g.limit, e);
}

static int look_pids(const struct resource_exhaust *p, struct facts *facts, struct error *e)
{
	struct gauge g, own = {0};
	int r = gauge_pids_read(&g);

	if (r == 0)
		r = gauge_own_cgroup_read(&own);
	if (r < 0)
		return cannot_read(e, r, "how many threads there are");
	facts->exhaust.limit = g.limit;
	facts->exhaust.used = g.used;
	facts->exhaust.in_cgroup = own.limit != GAUGE_NO_LIMIT;
	return check_count(p, g.limit, e);
}

static int look_ports(const struct resource_exhaust *p, struct facts *facts, struct error *e)
{
	uint64_t ports[PORT_BITS];
	int n = gauge_ports_read(ports);

	if (n < 0)
		return cannot_read(e, n, "the range of ephemeral ports");
	facts->exhaust.limit = (uint64_t)n;
	return check_count(p, facts->exhaust.limit, e);
}

/* After our own change the limit is not what it was: of a ramp, that counts. */
static void recall_limit(struct facts *facts)
{
	const struct step *s = facts->so_far && facts->so_far->n ? &facts->so_far->steps[0] : NULL;
	uint64_t now = facts->exhaust.limit;

	if (s && s->kind == STEP_RLIMIT && (now == s->rlimit.want || now == s->rlimit.want_before))
		facts->exhaust.limit = s->rlimit.was;
}

static int look_process(const struct resource_exhaust *p, struct facts *facts, struct error *e)
{
	struct exhaust_facts *x = &facts->exhaust;
	const struct process *process;
	struct process looked_at;
	const char *why;
	char shown[24];
	int r = process_list_read(false, &facts->processes);

	if (r < 0)
		return cannot_read(e, r, "/proc");
	(void)snprintf(shown, sizeof(shown), "%" PRId64, p->pid);
	process = process_list_find(&facts->processes, (pid_t)p->pid);
	if (!process || process->state == 'Z')
		return error_field(e, "parameters.pid", shown, "a process that runs",
				   "no process %s", shown);
	looked_at = *process;
	protect_look(&looked_at, facts);
	why = protect_process(&looked_at, facts);
	if (why)
		return error_set(e, ERROR_DENIED, -EACCES, "process %s (%s) is protected: %s",
				 shown, process->name, why);
	r = descriptors_read(process->pid, &x->descriptors);
	if (r < 0)
		return error_set(e, ERROR_UNSUPPORTED, r,
				 "cannot read the descriptors of process %s (%s): %s", shown,
				 process->name,
				 r == -EPERM ? "it belongs to another user, and faultd lacks the "
					       "privilege (CAP_SYS_RESOURCE)"
					     : strerror(-r));
	x->pid = process->pid;
	x->start = process->start;
	(void)str_copy(x->name, sizeof(x->name), process->name);
	x->limit = x->descriptors.limit;
	x->used = x->descriptors.used;
	recall_limit(facts);
	return check_count(p, x->limit, e);
}

static int check_aim(const struct resource_exhaust *p, const struct aim *aim, struct error *e)
{
	if (p->resource == RESOURCE_PORTS)
		return aim->first_pid
			       ? 0
			       : error_set(e, ERROR_UNSUPPORTED, -ESRCH,
					   "%s has no process, and so no network", aim->shown);
	if (aim->limits.pids == CGROUP_NO_LIMIT)
		return error_set(e, ERROR_UNSUPPORTED, -ERANGE,
				 "%s has no limit of its own (pids.max): without a target, the "
				 "pids of the host can be exhausted",
				 aim->shown);
	return check_count(p, aim->limits.pids, e);
}

static int look_aims(const struct resource_exhaust *p, struct facts *facts, struct error *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < facts->n_aims; i++)
		r = check_aim(p, &facts->aims[i], e);
	return r;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	static int (*const of_host[_RESOURCE_MAX])(const struct resource_exhaust *p,
						   struct facts *facts, struct error *e) = {
		look_files, look_pids, look_ports};
	const struct resource_exhaust *p = params;
	int r = check(p, e);

	if (r == 0)
		r = target_look(&p->target, facts, e);
	if (r < 0)
		return r;
	if (p->pid)
		return look_process(p, facts, e);
	return target_is_given(&p->target) ? look_aims(p, facts, e)
					   : of_host[p->resource](p, facts, e);
}

static bool graded(const void *params, struct grade *ret, double *ret_to)
{
	const struct resource_exhaust *p = params;
	bool flat = !grading_of(&p->grading, value_of(p), ret, ret_to);

	return p->pid && !flat;
}

/* As if so many of its numbers were in use: what is left then can still be opened. */
static uint64_t process_limit(const struct resource_exhaust *p, const struct exhaust_facts *x,
			      double value)
{
	double left = (double)x->limit -
		      (p->count ? (double)x->used + value : (double)x->limit * value / 100);
	uint64_t reserve = reserve_of(p), room = left > 0 ? (uint64_t)left : 0, want;

	want = descriptors_limit_for(&x->descriptors, room > reserve ? room : reserve);
	return want < x->limit ? want : x->limit;
}

static int plan_process(const struct resource_exhaust *p, const struct facts *facts,
			struct plan *plan)
{
	const struct exhaust_facts *x = &facts->exhaust;
	struct step *s = plan_add(plan, STEP_RLIMIT);
	struct grade grade;
	double to;

	if (!s)
		return -errno;
	s->rlimit.pid = (uint64_t)x->pid;
	s->rlimit.start = x->start;
	(void)str_copy(s->rlimit.name, sizeof(s->rlimit.name), x->name);
	s->rlimit.resource = RLIMIT_NOFILE;
	s->rlimit.want = process_limit(p, x, graded(p, &grade, &to) ? facts->grade : to);
	return plan_claim(plan, "limit of files of process %d", (int)x->pid);
}

static bool add_number(struct step *s, const char *option, double v)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%.15g", v);
	return step_load_add(s, option) && step_load_add(s, text);
}

static int add_worker(const struct resource_exhaust *p, int protocol, const struct facts *facts,
		      const struct aim *aim, struct plan *plan, struct error *e)
{
	static const char *const loads[_RESOURCE_MAX] = {"descriptors", "threads", "ports"};
	char leaf[CGROUP_PATH_MAX] = "";
	struct step *s;
	bool fits;
	int r = aim ? target_add_leaf(aim, facts, plan, leaf, e) : 0;

	if (r < 0)
		return r;
	s = plan_add(plan, STEP_CHILD);
	if (!s)
		return error_set(e, ERROR_FAILED, -errno, "cannot plan: %s", strerror(errno));
	fits = step_load_add(s, loads[p->resource]) &&
	       add_number(s, p->count ? "--count" : "--percent",
			  grading_end(&p->grading, value_of(p))) &&
	       add_number(s, "--reserve", (double)reserve_of(p));
	if (p->resource == RESOURCE_PORTS)
		fits = fits && step_load_add(s, "--protocol") &&
		       step_load_add(s, protocols[protocol]);
	fits = fits && grading_add_load(&p->grading, s);
	if (aim)
		fits = fits && target_add_load(aim, leaf, p->resource == RESOURCE_PORTS, s);
	else if (p->resource == RESOURCE_PIDS && facts->exhaust.in_cgroup)
		fits = fits && step_load_add(s, "--cgroup") && step_load_add(s, "/");
	return fits ? 0 : error_set(e, ERROR_FAILED, -E2BIG, "cannot plan: a path is too long");
}

static int add_workers(const struct resource_exhaust *p, const struct facts *facts,
		       const struct aim *aim, struct plan *plan, struct error *e)
{
	int r;

	if (p->resource != RESOURCE_PORTS || p->protocol != PROTOCOL_BOTH)
		return add_worker(p, p->protocol, facts, aim, plan, e);
	r = add_worker(p, PROTOCOL_TCP, facts, aim, plan, e);
	return r < 0 ? r : add_worker(p, PROTOCOL_UDP, facts, aim, plan, e);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	const struct resource_exhaust *p = params;
	int r = 0;

	if (p->pid) {
		r = plan_process(p, facts, plan);
		return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot plan: %s", strerror(-r)) : 0;
	}
	if (!facts->aimed)
		return add_workers(p, facts, NULL, plan, e);
	for (size_t i = 0; i < facts->n_aims && r == 0; i++)
		r = add_workers(p, facts, &facts->aims[i], plan, e);
	return r;
}

static void describe(const void *params, struct text *t)
{
	static const char *const of_protocol[] = {"tcp ports", "udp ports", "tcp and udp ports"};
	const struct resource_exhaust *p = params;
	double to = grading_end(&p->grading, value_of(p));

	text_add(t, p->count ? "take %.15g " : "exhaust %.6g %% of the ", to);
	text_add(t, "%s",
		 p->resource == RESOURCE_PORTS ? of_protocol[p->protocol] : resources[p->resource]);
	if (p->pid)
		text_add(t, " of process %" PRId64, p->pid);
	else if (target_is_given(&p->target))
		target_describe(&p->target, t);
	else
		text_add(t, " of the host");
	if (reserve_of(p))
		text_add(t, ", leaving %" PRIu64, reserve_of(p));
	grading_describe(&p->grading, t);
}

/* A process whose limit was lowered has no workers. */
static size_t figures(const struct load_report_sum *sum, double seconds, struct figure *ret,
		      size_t room)
{
	static const struct counter_figure shown[] = {
		{LOAD_HELD, "held", "", "held", false},
		{LOAD_WANTED, "wanted", "", "wanted", false},
		{LOAD_YIELDED, "yielded", "times", "gave way", false},
	};

	if (!sum->workers && !sum->counter[LOAD_WANTED])
		return 0;
	return figures_of(shown, ARRAY_SIZE(shown), sum, seconds, ret, room);
}

extern const struct action action_resource_exhaust;
const struct action action_resource_exhaust = {
	.name = "resource-exhaust",
	.summary = "Use up open files, processes and threads, or ports",
	.description =
		"Workers hold open files, sleeping threads (each costs about 28 KiB of memory, counted in the "
		"cgroup it is in) or bound ephemeral ports until so many are in use in all. Once a second they "
		"look what others use, and give back what the reserve lacks. They die when the fault ends, with "
		"faultd, and at their own deadline; tens of thousands of threads take up to a second for it. Root may open files beyond the host's limit, and a port that "
		"already has a connection can still serve for connections to other peers. For the files of one "
		"process its soft limit is lowered instead and put back at the end, from the journal.",
	.hold = HOLD_JOURNAL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct resource_exhaust),
	.look = look,
	.plan = plan,
	.describe = describe,
	.graded = graded,
	.figures = figures,
	.composition =
		"composes: percentages are of all that is in use, counts add up, each reserve is "
		"kept; exclusive: one for the files of a process",
};
