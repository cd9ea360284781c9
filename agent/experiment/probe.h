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
 * All of ours take unreadable=stop|ignore (stop): what happens when it cannot be told how things
 * are. */
#ifndef FAULTD_EXPERIMENT_PROBE_H
#define FAULTD_EXPERIMENT_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "experiment/problems.h"
#include "plan/schema.h"

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

/* `first`: how it stands before the experiment starts, told once within 10 s of its start; after
 * that only PROBE_FIRED is told, once. `reason`: one line, such as "memory: stalled 160 ms of 1 s;
 * allowed: 150 ms". One that is unreadable and is not to be ignored is told as PROBE_FIRED, with
 * why. Called on the loop, never from within probe_start(). */
typedef void (*probe_fn)(struct probe *p, enum probe_state state, const char *reason, bool first,
			 void *arg);

struct probe_type {
	const char *source; /* "host:psi" */
	const char *description;
	const struct row *rows; /* NULL: the value is not pairs */
	size_t n_rows;
	size_t params_size;
	/* What rows cannot say, such as a bad URL or ARN. May be NULL. */
	int (*check)(const void *params, struct error *e);
	/* Begins to watch; `p->state` is the type's own. */
	int (*start)(struct probe *p, struct error *e);
	/* Ends watching; closes handles, then calls probe_gone(). */
	void (*stop)(struct probe *p);
};

extern const struct probe_type *const probe_types[];
extern const size_t n_probe_types;
const struct probe_type *probe_type_find(const char *source); /* NULL: unknown, and "none" */

struct probe {
	const struct probe_type *type;
	const struct probe_env *env;
	void *params; /* of type->params_size; owned */
	void *state;  /* owned by the type */
	probe_fn tell;
	void *arg;
	bool told_first, fired, stopping;
	bool stop_when_unreadable;
};

/* Reads a condition's value. Problems are told under `path` ("stopConditions[0].value"). `ret` may
 * be NULL: only checked; else malloc'd params. Returns 0, -EINVAL or -ENOMEM. */
int probe_parse(const struct probe_type *t, const char *value, const char *path, void **ret,
		struct problems *problems);

/* Begins. Returns 0 and a probe to be stopped, or a negative errno and the error. */
int probe_start(const struct probe_type *t, const char *value, const struct probe_env *env,
		probe_fn tell, void *arg, struct probe **ret, struct error *e);

/* Nothing is told any more from here on; frees itself when its handles are closed. NULL: nothing.
 */
void probe_stop(struct probe *p);

/* For types: how it stands. Repeats and what comes after the end are dropped here. */
void probe_tell(struct probe *p, enum probe_state state, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void probe_cannot_read(struct probe *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void probe_gone(struct probe *p);

/* aws:cloudwatch:assert-alarm-state asks the same: `alarms` are ARNs. `states`: one "OK", "ALARM" …
 * for each, in their order; NULL when they cannot be read, then the error. */
struct alarm_asking;
typedef void (*alarm_fn)(const char *const *states, size_t n, const struct error *e, void *arg);
int alarm_ask(const struct probe_env *env, const char *const *alarms, size_t n, alarm_fn done,
	      void *arg, struct alarm_asking **ret);
void alarm_cancel(struct alarm_asking *a); /* NULL: nothing; `done` is not called */

#endif
