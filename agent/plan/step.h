/* SPDX-License-Identifier: Apache-2.0 */
/* A step as data: one change to the host, with all that is needed to take it back. The kinds are a
 * closed vocabulary, which the guardian knows too; doing and undoing them is in steps/. From the
 * tables here come the journal's text, the dry run and the sentences people read. Pure. */
#ifndef FAULTD_PLAN_STEP_H
#define FAULTD_PLAN_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "faultd/bpf-abi.h"
#include "faultd/load-report.h"
#include "faultd/limits.h"
#include "plan/netem.h"
#include "plan/values.h"
#include "util/netns.h"
#include "util/str.h"

/* What takes a step back when nobody does it. */
enum hold {
	HOLD_KERNEL,  /* the kernel, when faultd's descriptors close */
	HOLD_CHILD,   /* a child that dies with faultd, and at its own deadline */
	HOLD_JOURNAL, /* nobody: it must be undone, by faultd or from the journal */
	HOLD_NONE,    /* nothing can: irreversible */
	_HOLD_MAX,
};

enum step_kind {
	STEP_CHILD,    /* run faultd-load; undo: kill it */
	STEP_BPF_LINK, /* attach the classifier by a TCX link; undo: detach */
	STEP_QDISC,    /* add clsact; undo: delete it if it was ours and is empty */
	STEP_FILTER,   /* attach the classifier to clsact; undo: delete the filter */
	STEP_SHAPER,   /* make a device with netem and the filter that sends it what the rule marks;
			  undo: delete both */
	STEP_RULE,     /* one rule in the classifier; undo: clear it */
	STEP_SIGNAL,   /* stop a process; undo: continue it */
	STEP_KILL,     /* signal a process; no undo */
	STEP_ATTR,     /* write a kernel attribute; undo: what it was, if it is still ours */
	STEP_CGROUP,   /* make a cgroup for a load; undo: kill what is in it, remove it */
	STEP_UNIT,     /* stop a systemd unit; undo: start it, if it had been running */
	STEP_FREEZE,   /* freeze a file system; undo: thaw it */
	STEP_CLOCK,    /* move the wall clock; undo: where the boot clock says it would be */
	STEP_RLIMIT,   /* lower a limit of a process; undo: what it was, if it is still ours */
	STEP_POWER,    /* reboot, power off or panic; no undo */
	STEP_CUT,      /* end the TCP connections that a rule is about; no undo */
	STEP_KEEP,     /* remember what the kernel forgets when an interface goes down; undo: add it
			  again if it is missing */
	STEP_LINK,     /* take an interface down; undo: up again, if it is still down */
	_STEP_KIND_MAX,
};

enum step_state {
	STEP_PLANNED,
	STEP_APPLYING,
	STEP_APPLIED,
	STEP_UNDONE,
	STEP_FAILED, /* could not be applied, or its undo failed so far */
	_STEP_STATE_MAX,
};

struct step_child {
	char load[512]; /* faultd-load's arguments, without the ties: separated by blanks; see
			   step_load_add() */
	uint64_t pid;   /* learned when it runs */
	uint64_t start;
	/* at work */
	int ready_fd;                        /* one more than the descriptor; 0: none */
	struct load_report *report;          /* mapped by faultd while the worker lives, or NULL */
	uint64_t counted[_LOAD_COUNTER_MAX]; /* kept when it has ended */
	bool killed;                         /* got its SIGKILL: the rest is the kernel's to do */
};

/* BPF_LINK, QDISC, FILTER and the place of a RULE or SHAPER */
struct step_hook {
	struct netns netns; /* where the interface is */
	char place[96]; /* whose it is: "container 3f1c…"; not journalled. A RULE's: also whose
			   cgroup is meant */
	char ifname[16];
	uint64_t ifindex;
	uint64_t direction; /* enum classify_direction */
	uint64_t ours;      /* QDISC: clsact was made by faultd */
	bool taken;         /* at work, not journalled: counted as a user of what is shared */
};

struct step_rule {
	struct step_hook hook; /* first, so that its rows fit both */
	struct classify_rule rule;
	struct cidr_list include, exclude;
	struct classify_names names;      /* RULE_HAS_NAMES */
	uint64_t slot;                    /* learned when applied */
	struct classify_counters counted; /* kept when the rule is cleared */
};

struct shaper_counters {
	uint64_t sent, dropped; /* dropped: by netem's loss, and beyond its limit */
	uint64_t waiting;       /* now */
};

/* Its device is named "faultd-" and `id` in eight hexadecimal digits; the mark of its packets, and
 * the handle of its filter, are the low 16 bits of `id`. */
struct step_shaper {
	struct step_hook hook; /* first, as in struct step_rule */
	uint64_t id;
	struct netem netem;
	/* at work */
	uint64_t drained_ns;            /* CLOCK_BOOTTIME when draining began; 0: it has not */
	struct shaper_counters counted; /* kept when it is deleted */
};

struct step_process {
	uint64_t pid;
	uint64_t start;
	char name[16];
	uint64_t signal;
	uint64_t was_stopped; /* SIGNAL: it was stopped before us: nothing to undo */
	/* KILL: what it led to */
	uint64_t sent_boot_ns;
	uint64_t exited_after_ms; /* 0 while it has not */
	bool gone;                /* it vanished before the signal */
	bool held;                /* SIGNAL, at work: counted among those we hold stopped */
};

/* One value, or one line of a file that has a line per `key` (a device). */
struct step_attr {
	char path[320];
	char key[32]; /* "8:0", or "": the whole file */
	char want[96];
	char want_before[96]; /* of ours, while it changes in steps: ours as well */
	char was[96];         /* read before the change */
};

struct step_cgroup {
	char path[320]; /* of the directory, absolute */
	uint64_t made;  /* it was not there before */
};

struct step_unit {
	char name[256];
	uint64_t was_active;
	char trigger[256]; /* a unit that can start it meanwhile, or ""; for people */
	/* at work, not journalled; CLOCK_MONOTONIC, as systemd tells it */
	uint64_t stopped_us;
	uint64_t started_us;
	bool released; /* systemd has accepted to start it: nobody needs to see to it again */
};

/* Freezing waits for what is being written, so a worker does it (faultd-load freeze). */
struct step_freeze {
	char path[256];  /* the mount point */
	uint64_t device; /* st_dev, to tell that it is still that file system */
	uint64_t pid;    /* of the worker, learned when it runs */
	uint64_t start;
	/* at work */
	int ready_fd;  /* as in struct step_child */
	int frozen_fd; /* likewise: the mount point, from the worker's kill to the thaw */
};

struct step_clock {
	uint64_t offset_ns; /* int64_t: how far from the right time the clock is to be */
	uint64_t before_ns; /* int64_t: and was until the change to it; of ours as well */
	uint64_t base_ns;   /* int64_t: CLOCK_REALTIME - CLOCK_BOOTTIME before the first change */
	uint64_t status;    /* of adjtimex(2), before the first change, and what else moving the
			       clock resets */
	uint64_t max_error_us, error_us;
	uint64_t boot_ns; /* when that was */
};

struct step_rlimit {
	uint64_t pid;
	uint64_t start;
	char name[16];
	uint64_t resource; /* RLIMIT_* */
	uint64_t since;    /* clock ticks since boot: its children from then on inherit the limit */
	uint64_t want;     /* the soft limit */
	uint64_t want_before; /* of ours, while it changes in steps: ours as well */
	uint64_t lowest,
		highest; /* of all that it was: what it started meanwhile has one of them */
	uint64_t was;    /* read before the change */
};

enum power { POWER_REBOOT, POWER_OFF, POWER_PANIC, _POWER_MAX };

struct step_power {
	uint64_t how;   /* enum power */
	uint64_t force; /* at once, without stopping services */
};

/* Of its rule those fields count that say which packets. */
struct step_cut {
	struct step_rule rule; /* first, for its hook */
	uint64_t cut;          /* how many connections */
	uint64_t rounds;       /* at work */
};

/* LINK needs a hook alone; `ours`: it was up before. Changes nothing when applied. */
struct step_keep {
	struct step_hook hook;          /* first, as in struct step_rule */
	char shown[128];                /* "route 10.2.0.0/16 via 10.1.0.1" */
	uint64_t type;                  /* RTM_NEWROUTE, RTM_NEWADDR, RTM_NEWNEIGH */
	uint64_t read_boot_ns;          /* from then on what is left of a lifetime is counted */
	char message[KEPT_HEX_MAX + 1]; /* family header and attributes; see nl_read() */
};

struct step {
	enum step_kind kind;
	enum step_state state;
	union {
		struct step_child child;
		struct step_hook hook;
		struct step_rule rule;
		struct step_shaper shaper;
		struct step_process process;
		struct step_attr attr;
		struct step_cgroup cgroup;
		struct step_unit unit;
		struct step_freeze freeze;
		struct step_clock clock;
		struct step_rlimit rlimit;
		struct step_power power;
		struct step_cut cut;
		struct step_keep keep;
	};
};

/* The hook of a kind that begins with one, or NULL. */
const struct step_hook *step_hook_of(const struct step *s);

const char *step_kind_name(enum step_kind kind);
const char *step_state_name(enum step_state state);
const char *hold_name(enum hold hold);
enum hold step_hold(enum step_kind kind);

/* What it does and how it is taken back, as sentences without a full stop. */
void step_describe(const struct step *s, struct text *t);
void step_describe_undo(const struct step *s, struct text *t);

/* Adds one argument of faultd-load to `load` of a child step, blanks and percent signs in it as
 * %XX. Returns false when there is no room. */
bool step_load_add(struct step *s, const char *argument);

/* Takes the %XX of one argument back, in place. */
void step_load_decode(char *argument);

/* "kind=signal pid=12 …", and back. Decoding returns 0 or -EBADMSG: unknown kind, or a
 * field that is missing or malformed. Only what undoing needs is encoded. */
void step_encode(const struct step *s, struct text *t);
int step_decode(const char *line, struct step *ret);

/* Do both change the same thing? (same kind and target; what was learned since does not count) */
bool step_same(const struct step *a, const struct step *b);

#endif
