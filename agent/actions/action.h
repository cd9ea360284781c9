/* SPDX-License-Identifier: Apache-2.0 */
/* What an action is: one const descriptor at the bottom of its own file, and its name in
 * actions/meson.build. Help, catalogue, JSON Schema and validation come from the rows; doing and
 * undoing from the plan. */
#ifndef FAULTD_ACTIONS_ACTION_H
#define FAULTD_ACTIONS_ACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "faultd/load-report.h"
#include "host/cgroups.h"
#include "host/cpus.h"
#include "host/exhaust.h"
#include "host/interfaces.h"
#include "host/kept.h"
#include "host/mounts.h"
#include "host/processes.h"
#include "plan/peers.h"
#include "plan/plan.h"
#include "plan/policy.h"
#include "plan/schema.h"
#include "util/err.h"
#include "util/grade.h"
#include "util/netns.h"

/* One cgroup that is aimed at. */
struct aim {
	char path[CGROUP_PATH_MAX]; /* below the root of its hierarchies: "/docker/3f1c…" */
	char shown[96]; /* how people name it: "container 3f1c…", "unit nginx.service" */
	struct cgroup_limits limits;
	bool inner; /* cgroup v2: has controllers below it, so that no process may be in it itself
		     */
	pid_t first_pid; /* a process in it, whose namespaces are those of the container; 0: none */
	uint64_t first_start;
	struct cpu_list cpus; /* it may run on */
	char freezer[320];    /* the file that freezes it, or "" */
	struct mount_facts
		mount; /* of a path, as its processes see it: for actions that have one */
};

struct memory_facts {
	uint64_t total, available; /* of the host */
};

/* How many there may be, and are. */
struct exhaust_facts {
	uint64_t limit, used;
	bool in_cgroup; /* faultd's own cgroup has a limit, which is not to be the host's */
	pid_t pid;      /* whose limit it is; 0: the host's or the cgroup's */
	uint64_t start;
	char name[16];
	struct descriptors descriptors; /* of that process */
};

/* The units to be stopped, in the order in which they are to be started again: first what was asked
 * for, then what systemd stops with it. */
#define UNITS_MAX 15 /* each is claimed, and there is room for one claim more */
struct unit_facts {
	struct {
		char name[256];
		char trigger[256]; /* what can start it meanwhile, or "" */
	} unit[UNITS_MAX];
	unsigned n;
};

/* Where packets are impaired: a network namespace, or only sockets in it. */
struct network_place {
	struct netns netns;
	char shown[96];     /* "container 3f1c…"; "": all of faultd's own */
	uint64_t cgroup_id; /* of cgroup v2: only sockets in it or below; 0: all */
	uint32_t cgroup_level;
};

#define AIMS_MAX 64
_Static_assert(AIMS_MAX <= CLAIMS_MAX, "each cgroup that is aimed at may be claimed");

/* What an action's `look` found on the host, and all that its `plan` may know beside parameters:
 * the same parameters and facts give the same plan. */
struct facts {
	/* Given by the caller of look() */
	const struct policy *policy;
	pid_t caller_pid;
	pid_t own_pids[2];         /* faultd and its guardian; 0: none */
	uint64_t seed;             /* of every random choice */
	const struct plan *so_far; /* `again`: the steps the fault has; NULL at its start */
	uint64_t since_ticks;      /* `again`: the fault's start, in clock ticks since boot */
	const char *runtime_dir, *state_dir; /* faultd's; NULL: none */
	const struct resolved *resolved;     /* names among the peers; NULL: there are none */

	/* Found */
	struct process_list processes;
	uid_t user; /* of the selection, when one is named */
	struct cpu_list cpus;
	struct cgroup_layout cgroups; /* read when a target is named */
	uint32_t leaf;                /* makes names of cgroups that are made for loads unique */
	struct aim *aims; /* the cgroups that a target was resolved to; owned, at most AIMS_MAX */
	size_t n_aims;
	bool aimed;   /* a target was named: not the host */
	bool skipped; /* it resolved to nothing, and that was to be skipped: plan nothing */
	double grade; /* the present value of the graded parameter; see grade.h */
	union {
		struct memory_facts memory;
		struct mount_facts mount;
		struct exhaust_facts exhaust;
		struct unit_facts unit;
	};
	struct network_place places[INTERFACES_MAX];
	size_t n_places;
	struct interface interfaces[INTERFACES_MAX];
	uint8_t place_of[INTERFACES_MAX]; /* each interface's, an index into places */
	size_t n_interfaces;
	struct kept_list *kept; /* what goes with them when they go down; owned, may be NULL */
	struct classify_flow flows[FLOWS_MAX]; /* connections of the caller's SSH session */
	size_t n_flows;
	struct cidr_list subnets; /* of these interfaces; read when they are to be spared */
	bool tcx;
	uint32_t shaper_id; /* given: of the fault's first shaper, the next ones count on. No two
			       open faults of a faultd have one of its low 16 bits in common */
};

void facts_done(struct facts *f);

/* How another dialect names a parameter. */
struct alias_row {
	const char *name; /* there; NULL ends the table */
	const char
		*row; /* here; "duration": seconds as text; "": accepted, there is nothing to do */
	const char *def; /* their default, or NULL for ours */
	bool required;
	const char *from, *to; /* one value that is said differently; `to` NULL: as if not given */
};

struct alias {
	const char *name; /* a FIS action id or SSM document name; NULL ends the table */
	const struct alias_row *rows;
};

/* Something measured, for people. */
struct figure {
	const char *name;
	double value;
	const char *unit;
	const char *text;
};

/* The counters of all workers of a fault. */
struct load_report_sum {
	uint64_t counter[_LOAD_COUNTER_MAX];
	unsigned workers; /* that live */
};

enum duration_need {
	DURATION_REQUIRED,
	DURATION_OPTIONAL, /* done when its results are in; a duration is needed with `interval`
			      only */
};

struct action {
	const char *name;
	const char *summary;     /* one line */
	const char *description; /* what the victim sees, what is changed, how it is put back */
	enum hold hold;
	enum duration_need duration;
	const struct row *rows;
	size_t n_rows;
	size_t params_size;
	const struct alias *aliases; /* may be NULL */

	/* Reads the host, changes nothing; refuses what rows cannot say. Returns 0 or a negative
	 * errno. */
	int (*look)(const void *params, struct facts *facts, struct error *e);
	/* Appends steps. Pure. Returns 0 or a negative errno. */
	int (*plan)(const void *params, const struct facts *facts, struct plan *plan,
		    struct error *e);
	/* One line for people, without a full stop. */
	void (*describe)(const void *params, struct text *t);
	/* Milliseconds after which look() and plan() are asked again, for steps that are new by
	 * then; 0: never. May be NULL. */
	uint64_t (*interval_ms)(const void *params);

	/* Ramps and waves that faultd itself has to drive, because no worker does: fills the grade
	 * and the value a ramp ends at. Returns false when this fault has none. May be NULL.
	 * plan() is asked again with each new facts->grade, and must give the same steps with
	 * another value. */
	bool (*graded)(const void *params, struct grade *ret, double *ret_to);
	/* Before the change: so long nothing is changed, and stopping the fault is all it takes to
	 * abort. May be NULL. */
	uint64_t (*delay_ms)(const void *params);
	/* What workers of this action report, as people want it: `sum` over all of them, `seconds`
	 * since the fault became active. Returns how many of `room`. May be NULL. */
	size_t (*figures)(const struct load_report_sum *sum, double seconds, struct figure *ret,
			  size_t room);
	/* The OOM killer taking a worker is a result, not an error. */
	bool oom_is_outcome;
	/* What happens when another fault of the same kind is there, for the catalogue:
	 * "composes: …" or "exclusive: one per …". Exclusive ones say what they claim; see
	 * plan_claim(). */
	const char *composition;
	/* Needs policy `hostActions` as well. */
	bool host_action;
};

/* Kinds of hold that cannot be undone need consent. */
static inline bool action_is_irreversible(const struct action *a)
{
	return a->hold == HOLD_NONE;
}

extern const struct action *const actions[];
extern const size_t n_actions;

/* By name or alias; `ret_alias` is NULL for the action's own name. NULL: unknown. */
const struct action *action_find(const char *name, const struct alias **ret_alias);

/* Reads the parameters (JSON object) into `ret` (params_size bytes), through an alias if not NULL.
 * `ret_duration_ms` is set when the alias carries the duration in a parameter. */
int action_parse(const struct action *a, const struct alias *alias, const cJSON *parameters,
		 void *ret, uint64_t *ret_duration_ms, struct error *e);

/* The parameters as rows under the names of this dialect (`alias` NULL: our own), of a struct of
 * `*ret_size` bytes: for telling what there is, and for checking one value alone. Returns how many.
 */
#define ACTION_ROWS_MAX 56
size_t action_rows(const struct action *a, const struct alias *alias,
		   struct row ret[static ACTION_ROWS_MAX], size_t *ret_size);

/* The catalogue entry; `full` adds description and JSON Schema. NULL: out of memory. */
cJSON *action_print(const struct action *a, bool full);

#endif
