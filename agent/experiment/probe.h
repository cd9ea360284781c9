/* SPDX-License-Identifier: Apache-2.0 */
/* Stop conditions: what is watched while an experiment runs, and ends it. One const descriptor per
 * source in its own file (probe_*.c), one line in the table. A condition's `value` in the template
 * is an ARN for aws:cloudwatch:alarm; for ours "name=value" pairs between blanks, checked by rows:
 *
 *   {"source": "host:psi", "value": "resource=memory kind=some stall=150ms window=1s"}
 *   {"source": "host:metric", "value": "metric=load1 above=8 period=1s"}
 *   {"source": "host:http", "value": "url=http://127.0.0.1:8080/health status=200 latency=500ms"}
 *   {"source": "host:unit", "value": "unit=nginx.service state=active"}
 *   {"source": "host:command", "value": "name=check-database timeout=2s"}
 *
 * A value with blanks stands in double quotes, within which \" and \\ mean what they stand for;
 * blanks within quotes further on, as in sample=up{job="a b"}, belong to the value as well.
 *
 * All of ours take unreadable=stop|ignore (stop): what happens when it cannot be told how things
 * are. Before the start one look counts: whatever a condition says of repetitions ("for",
 * "failures") is for an experiment that runs already. */
#ifndef FAULTD_EXPERIMENT_PROBE_H
#define FAULTD_EXPERIMENT_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "experiment/problems.h"
#include "plan/schema.h"

#define PROBE_VALUE_MAX  2048 /* FIS's bound */
#define PROBE_REASON_MAX 320
#define PROBE_FIRST_MS   10000
/* A type that asks and waits gives up before, so that it can say itself what it waited for. */
#define PROBE_TIMEOUT_MAX_MS 9000

struct cloud;
struct policy;
struct identity;

/* What probes may use; outlives them. */
struct probe_env {
	uv_loop_t *loop;
	struct cloud *cloud;
	const struct policy *policy;
	const struct identity *identity;
};

enum probe_state {
	PROBE_FINE,      /* nothing to stop for */
	PROBE_FIRED,     /* stop */
	PROBE_UNREADABLE /* could not be told, and the condition says `ignore` */
};

struct probe;

/* `first`: how it stands before the experiment starts, told once within PROBE_FIRST_MS of its
 * start; after that only PROBE_FIRED is told, once. `reason`: one line, such as "memory: stalled
 * 160 ms of 1 s; allowed: 150 ms". One that is unreadable and is not to be ignored is told as
 * PROBE_FIRED, with why. Called on the loop, never from within probe_start(). */
typedef void (*probe_fn)(struct probe *p, enum probe_state state, const char *reason, bool first,
			 void *arg);

struct probe_type {
	const char *source; /* "host:psi" */
	const char *description;
	const struct row *rows; /* NULL: the value is not pairs, and params are its text */
	size_t n_rows;
	size_t params_size;
	/* What rows cannot say, such as a bad URL or ARN. May be NULL. */
	int (*check)(const void *params, struct error *e);
	/* Begins to watch, and sets `p->state`. What it tells from within is told later. When it
	 * fails, it has left no handle and no state. */
	int (*start)(struct probe *p, struct error *e);
	/* Ends watching; closes handles, then calls probe_gone(), from within this or later. */
	void (*stop)(struct probe *p);
};

/* The row that all of ours end with; `member` is an int. */
extern const char *const probe_unreadable_values[];
#define PROBE_UNREADABLE_NAME "unreadable"
#define PROBE_UNREADABLE_ROW(params_type, member)                                                  \
	{                                                                                          \
		.name = PROBE_UNREADABLE_NAME, .type = ROW_ENUM, FIELD(params_type, member),       \
		.def = "stop", .values = probe_unreadable_values,                                  \
		.text = "When it cannot be told how things are: stop the experiment or ignore it." \
	}

extern const struct probe_type probe_type_alarm, probe_type_psi, probe_type_metric, probe_type_http,
	probe_type_unit, probe_type_command;

extern const struct probe_type *const probe_types[];
extern const size_t n_probe_types;
const struct probe_type *probe_type_find(const char *source); /* NULL: unknown, and "none" */

struct probe {
	const struct probe_type *type;
	const struct probe_env *env;
	void *params; /* of type->params_size; owned */
	void *state;  /* the type's, in one piece: freed with the probe */
	probe_fn tell;
	void *arg;
	bool told_first, fired, stopping;
	bool stop_when_unreadable;
	/* The rest is probe.c's */
	uv_timer_t first;      /* until `first` is told */
	bool starting;         /* within probe_start() */
	bool waiting;          /* something is to be told when the timer comes */
	bool unreadable;       /* the last that was learned is nothing */
	unsigned open;         /* the timer and the type: what is not closed yet */
	enum probe_state next; /* what waits */
	char next_reason[PROBE_REASON_MAX];
};

/* Reads a condition's value (NULL: the template has none). Problems, all of them, are told under
 * `path` ("stopConditions[0].value") as "NAME: what is wrong; allowed: …". `ret` may be NULL: only
 * checked; else malloc'd params. Returns 0, -EINVAL or -ENOMEM. */
int probe_parse(const struct probe_type *t, const char *value, const char *path, void **ret,
		struct problems *problems);

/* Begins. Returns 0 and a probe to be stopped, or a negative errno and the error. */
int probe_start(const struct probe_type *t, const char *value, const struct probe_env *env,
		probe_fn tell, void *arg, struct probe **ret, struct error *e);

/* Nothing is told any more from here on, and `env` is not looked at; frees itself when its handles
 * are closed, or, where a thread is at work for it, when that is over. NULL: nothing. */
void probe_stop(struct probe *p);

/* For types: how it stands, each time they know. Repeats and what comes after the end are dropped
 * here. The callback may stop the probe, whose memory stays until the type has returned to the
 * loop. `probe_cannot_read`: why, such as "/proc/pressure/cpu: No such file or directory". */
void probe_tell(struct probe *p, enum probe_state state, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void probe_cannot_read(struct probe *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void probe_gone(struct probe *p);

/* aws:cloudwatch:assert-alarm-state asks the same: `alarms` are ARNs. `states`: one "OK", "ALARM" …
 * for each, in their order; NULL when they cannot be read, then the error. Told within 9 s, on the
 * loop, never from within alarm_ask(), and that is its end. Returns 0 or a negative errno: -EINVAL
 * (not an ARN of an alarm), -ENOTSUP (there is no cloud to ask). */
struct alarm_asking;
typedef void (*alarm_fn)(const char *const *states, size_t n, const struct error *e, void *arg);
int alarm_ask(const struct probe_env *env, const char *const *alarms, size_t n, alarm_fn done,
	      void *arg, struct alarm_asking **ret);
void alarm_cancel(struct alarm_asking *a); /* NULL: nothing; `done` is not called */

#endif
