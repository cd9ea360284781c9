/* SPDX-License-Identifier: Apache-2.0 */
/* One fault: its plan, its state, its deadline. Faults belong to a struct faults (faults.h), which
 * makes, drives and ends them; everyone else reads. */
#ifndef FAULTD_FAULT_FAULT_H
#define FAULTD_FAULT_FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "actions/action.h"
#include "fault/journal_file.h"
#include "plan/policy.h"
#include "plan/request.h"

enum fault_state {
	FAULT_PLANNED,   /* checked; nothing is written, nothing is changed */
	FAULT_JOURNALED, /* on record; waiting for the guardian to have read it */
	FAULT_APPLYING,
	FAULT_ACTIVE,
	FAULT_UNDOING,
	FAULT_STUCK,  /* an undo failed; it is tried again */
	FAULT_DONE,   /* ended; the host is as before */
	FAULT_FAILED, /* could not be applied; the host is as before */
	_FAULT_STATE_MAX,
};

#define NOTES_MAX   16
#define FIGURES_MAX 8

/* What rules and shapers counted. */
struct packet_counts {
	struct classify_counters rules;
	struct shaper_counters shapers;
};

struct fault {
	struct fault *next;
	struct faults *owner;

	/* What was asked */
	char id[FAULT_ID_MAX];
	const struct action *action;
	void *params; /* of action->params_size */
	char client_token[CLIENT_TOKEN_MAX + 1];
	char *canonical; /* of the request, to tell the same one from another */
	struct caller caller;
	bool attached;
	uint64_t duration_ms;
	uint64_t lease_ms; /* 0: none */

	/* How it stands */
	enum fault_state state;
	char reason[TEXT_MAX]; /* why it ends */
	struct error error;    /* code ERROR_NONE: none */
	struct plan plan;
	struct journal_file journal;
	uint32_t arm_number;    /* that the guardian has yet to acknowledge; 0: none */
	bool has_failed;        /* ends in FAILED, not DONE */
	char *notes[NOTES_MAX]; /* owned */
	unsigned n_notes;

	/* Times; CLOCK_BOOTTIME but for created_at */
	struct timespec created_at;
	uint64_t requested_boot_ns;
	uint64_t deadline_boot_ns;
	uint64_t lease_boot_ns;    /* when the lease runs out; 0: none */
	uint64_t interval_boot_ns; /* when to look again; 0: never */
	/* JOURNALED: patience with the guardian; APPLYING, UNDOING: when to ask again; STUCK: next
	 * try */
	uint64_t wait_boot_ns;
	uint64_t begin_boot_ns; /* a delayed change is due; 0: none */
	uint64_t start_boot_ns; /* when it was applied: what ramps and waves count from */
	uint64_t undo_boot_ns;  /* when the present attempt began */
	size_t undo_asked;      /* the step whose undo takes its time, and one more; 0: none */
	uint64_t grade_boot_ns; /* when the graded value changes next; 0: never */
	uint64_t delayed_ns;
	uint64_t settle_us;
	uint64_t retry_ms;
	uint64_t applied_ns; /* from request to applied; 0: not yet */
	uint64_t undone_ns;  /* from the decision to end to undone; 0: not yet */
	uint64_t ending_boot_ns;

	/* Ramps and waves that faultd drives */
	bool has_grade;
	bool is_off;         /* between two waves, or on the way there: */
	bool is_turning_off; /* an undo takes its time */
	struct grade grade;
	double grade_to;

	uint64_t seed;               /* of its random choices */
	uint32_t shaper_id;          /* see struct facts */
	struct resolved *resolved;   /* names among its peers; owned, or NULL */
	struct resolved *fresh;      /* being resolved again; owned */
	struct resolving *resolving; /* that */
	uint64_t resolve_boot_ns;    /* when to do so; 0: not by itself */
	bool skipped;                /* its target resolved to nothing */
	struct packet_counts past;   /* of the waves that are over */
	uint64_t oom_kills;          /* on the whole host, before it was applied */

	/* Watched processes: workers, and victims of signals */
	struct watch *watches;

	/* The last sample of processor time, for the figures */
	uint64_t sample_boot_ns, sample_cpu_ns, sample_busy, sample_total;
	double load, host_load;
};

const char *fault_state_name(enum fault_state state);

/* Not over: something is changed, or may be. */
bool fault_is_open(const struct fault *f);

/* Milliseconds to the deadline; 0 when it is over or past. */
uint64_t fault_remaining_ms(const struct fault *f);

/* What it does by now, measured: load, packets, processes. Returns how many of FIGURES_MAX. */
size_t fault_figures(struct fault *f, struct figure *ret);

/* What one rule has matched and dropped; false: the step is no rule. */
bool fault_rule_counters(const struct fault *f, const struct step *s,
			 struct classify_counters *ret);

/* Adds what a step has counted that is undone. */
void fault_add_counts(const struct step *s, struct packet_counts *to);

/* Adds a note for people; those over NOTES_MAX are dropped. */
void fault_note(struct fault *f, const char *text);

#endif
