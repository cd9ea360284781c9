/* SPDX-License-Identifier: Apache-2.0 */
/* FIS on this host: the templates, the experiments, the lever. Owns the store, the log, the probes;
 * starts faults through fault/faults.h like any other caller. What the API's operations do is here,
 * in terms of structs; what they look like on the wire is api/'s. */
#ifndef FAULTD_EXPERIMENT_EXPERIMENTS_H
#define FAULTD_EXPERIMENT_EXPERIMENTS_H

#include <uv.h>

#include "experiment/experiment.h"
#include "experiment/log.h"
#include "experiment/template.h"
#include "fault/faults.h"

struct experiments;

struct experiments_setup {
	uv_loop_t *loop;
	struct faults *faults;
	const struct policy *policy; /* outlives them; may change in place */
	const char *state_dir;
};

/* Reads what is on disk; experiments that ran when an earlier faultd ended are `failed`. Returns 0,
 * or a negative errno and the error. */
int experiments_start(const struct experiments_setup *setup, struct experiments **ret,
		      struct error *e);
/* The configuration was read anew. */
void experiments_reload(struct experiments *all);
/* After the faults were ended (faults_finish()): ends them all, those that went on as `failed` for
 * this reason ("faultd was stopped"), which what became of their faults is added to, and closes the
 * handles; then, after the loop has run once more, free. Blocks for some seconds at most. */
void experiments_stop(struct experiments *all, const char *reason);
void experiments_free(struct experiments *all);

const struct identity *experiments_identity(const struct experiments *all);
struct experiment_log *experiments_log(struct experiments *all);
int experiments_store_health(const struct experiments *all);

/* Templates. Those that change something answer through `done`, when the change is on disk, never
 * from within the call: `r` 0, or a negative errno and the error, and then nothing is changed. The
 * template is valid during the callback. */
typedef void (*template_done_fn)(int r, struct template *t, const struct error *e, void *arg);

/* CreateExperimentTemplate: `t`, which has its clientToken, is taken over. The same token and
 * request again: the template there is. Another request with that token: -EEXIST (ERROR_CONFLICT).
 * Over the quota: ERROR_QUOTA. Returns 0 (`done` will be called), or a negative errno and the
 * error. */
int templates_create(struct experiments *all, struct template *t, template_done_fn done, void *arg,
		     struct error *e);
/* Puts `t` (of template_patch(), or with other tags) in the place of the one with its id. */
int templates_replace(struct experiments *all, struct template *t, template_done_fn done, void *arg,
		      struct error *e);
int templates_delete(struct experiments *all, const char *id, template_done_fn done, void *arg,
		     struct error *e);
struct template *templates_find(struct experiments *all, const char *id); /* NULL: none */
/* In the order of their creation, newest first: the first of them, or the one after `t`. */
struct template *templates_next(struct experiments *all, const struct template *t);
size_t templates_count(const struct experiments *all);

/* Experiments */
struct experiment_start {
	struct template *template; /* a reference is taken */
	const char *client_token;
	bool skip_all; /* actionsMode skip-all */
	cJSON *tags;   /* an object of strings, taken over; NULL: none */
	const struct caller *caller;
};
/* StartExperiment. Returns 0 and an experiment that is `pending` (or `cancelled`: the lever is
 * engaged), 1 and the one that has this token already, or a negative errno and the error
 * (ERROR_QUOTA, ERROR_CONFLICT: also when the one with this token is no longer in memory; nothing
 * is ever started twice). It stays valid until the loop turns. */
int experiments_begin(struct experiments *all, struct experiment_start *s, struct experiment **ret,
		      struct error *e);
/* Live ones, and the finished ones that are still in memory; NULL: look at the store. */
struct experiment *experiments_find(struct experiments *all, const char *id);
size_t experiments_count_active(const struct experiments *all);
/* StopExperiment: ends it; it is `stopping` or `stopped` by return. One that is over stays. */
void experiment_stop(struct experiment *x, const char *reason);
void experiments_stop_all(struct experiments *all, const char *reason); /* each of them */

/* One that is over and no longer in memory: its saved form (see experiment_print()), or NULL, and
 * then `r` is 0 (there is none of this id) or why it could not be read. Called on the loop, not
 * from within this. */
typedef void (*experiment_json_fn)(int r, cJSON *saved,
				   void *arg); /* `saved` is the callee's to delete */
struct experiment_reading;
int experiments_read(struct experiments *all, const char *id, experiment_json_fn done, void *arg,
		     struct experiment_reading **ret);
void experiment_reading_cancel(struct experiment_reading *r);

/* What lists are made from: one line about each experiment that is kept, newest first. */
struct experiment_line {
	char id[TEMPLATE_ID_MAX], template_id[TEMPLATE_ID_MAX];
	int64_t created_us;
	uint64_t token; /* hash of the clientToken */
	cJSON *summary; /* FIS's ExperimentSummary; owned by the line; as it stands now */
};
const struct experiment_line *experiments_line(struct experiments *all, size_t i); /* or NULL */

/* Replaces the tags of one that is in memory or only in the store. */
int experiments_set_tags(struct experiments *all, const char *id, cJSON *tags, struct error *e);

/* Every change of state of an experiment or of one of its actions, after it was made. */
struct experiment_listener {
	struct experiment_listener *next;
	void (*changed)(struct experiment *x, void *arg);
	void *arg;
};
void experiments_listen(struct experiments *all, struct experiment_listener *l);
void experiments_unlisten(struct experiments *all, struct experiment_listener *l);

/* The safety lever. Engaging ends every experiment and every fault, and blocks new ones, on every
 * channel, also after a restart. */
enum lever_status { LEVER_DISENGAGED, LEVER_ENGAGING, LEVER_ENGAGED };
struct lever {
	enum lever_status status;
	char reason[513];
};
const struct lever *experiments_lever(const struct experiments *all);
const char *lever_status_name(enum lever_status s);
/* Moves it. `done` is called when it is on disk and, engaging, everything has ended (or after 5 s);
 * until then it is `engaging`. Returns 0, or a negative errno and the error: -EBUSY
 * (ERROR_CONFLICT) while it is `engaging`. It takes effect at once, also when the disk refuses,
 * which `e` then tells. */
typedef void (*lever_done_fn)(const struct lever *l, const struct error *e, void *arg);
int experiments_pull_lever(struct experiments *all, bool engage, const char *reason,
			   lever_done_fn done, void *arg, struct error *e);

#endif
