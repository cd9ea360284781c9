/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/experiments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/internal.h"
#include "plan/policy.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/str.h"

#define HOUSEKEEPING_MS (3600 * 1000)
#define DAY_US          (INT64_C(86400) * 1000000)

static void on_fault_event(struct fault *f, void *arg)
{
	run_on_fault(arg, f);
	lever_turn(arg);
}

static const char interrupted_why[] =
	"faultd ended while the experiment ran; everything it had done was undone.";

/* What had begun failed, what had not never will. */
static void end_interrupted_action(struct experiments *all, const char *id, cJSON *a,
				   const cJSON *configuration)
{
	cJSON *s = cJSON_GetObjectItemCaseSensitive(a, "state");
	const char *status = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(s, "status"));
	bool begun = cJSON_HasObjectItem(a, "startTime");

	if (!status || cJSON_HasObjectItem(a, "endTime") ||
	    str_eq(status, run_status_name(RUN_CANCELLED)))
		return;
	cJSON_DeleteItemFromObjectCaseSensitive(s, "status");
	cJSON_DeleteItemFromObjectCaseSensitive(s, "reason");
	cJSON_AddStringToObject(s, "status", run_status_name(begun ? RUN_FAILED : RUN_CANCELLED));
	cJSON_AddStringToObject(s, "reason", interrupted_why);
	if (!begun)
		return;
	cJSON_AddNumberToObject(a, "endTime", (double)clock_ns(CLOCK_REALTIME) / 1e9);
	record_interrupted_action(all, id, a, configuration);
}

static cJSON *interrupted_state(const struct experiments *all)
{
	cJSON *state = cJSON_CreateObject(), *error;

	cJSON_AddStringToObject(state, "status", run_status_name(RUN_FAILED));
	cJSON_AddStringToObject(state, "reason", interrupted_why);
	error = cJSON_AddObjectToObject(state, "error");
	cJSON_AddStringToObject(error, "accountId", all->identity.account);
	cJSON_AddStringToObject(error, "code", "InternalFailure");
	cJSON_AddStringToObject(error, "location", "faultd");
	return state;
}

/* An experiment that ran when faultd ended: what it had done was undone by now, or faultd would not
 * have started. Its log comes to its end, too: somebody may follow it. */
static void end_interrupted(struct experiments *all, const char *id, int64_t created_us,
			    cJSON *saved)
{
	cJSON *x = cJSON_GetObjectItemCaseSensitive(saved, "experiment"), *a;
	const cJSON *configuration = cJSON_GetObjectItemCaseSensitive(x, "logConfiguration");
	const cJSON *all_actions = cJSON_GetObjectItemCaseSensitive(x, "actions");
	char *text;

	cJSON_ArrayForEach(a, all_actions)
	{
		end_interrupted_action(all, id, a, configuration);
	}
	cJSON_DeleteItemFromObjectCaseSensitive(x, "state");
	cJSON_AddItemToObject(x, "state", interrupted_state(all));
	cJSON_AddNumberToObject(x, "endTime", (double)clock_ns(CLOCK_REALTIME) / 1e9);
	record_interrupted(all, id, interrupted_why, configuration);
	text = cJSON_PrintUnformatted(saved);
	if (text)
		(void)store_put(all->store, STORE_EXPERIMENTS, id, created_us, text, NULL, NULL);
	cJSON_free(text);
	log_fault(LEVEL_WARNING, id, "experiment", "failed: %s", interrupted_why);
}

static bool is_interrupted(const cJSON *saved)
{
	const cJSON *x = cJSON_GetObjectItemCaseSensitive(saved, "experiment");
	const cJSON *state = cJSON_GetObjectItemCaseSensitive(x, "state");
	const char *status = cJSON_GetStringValue(cJSON_GetObjectItem(state, "status"));

	for (int s = 0; status && s < _RUN_STATUS_MAX; s++) {
		if (str_eq(status, run_status_name((enum run_status)s)))
			return !run_status_is_over((enum run_status)s);
	}
	return false;
}

/* Out of the whole experiment, the members of FIS's ExperimentSummary. */
static cJSON *summary_of(const cJSON *saved)
{
	static const char *const members[] = {
		"id",           "arn",  "experimentTemplateId", "state",
		"creationTime", "tags", "experimentOptions"};
	const cJSON *x = cJSON_GetObjectItemCaseSensitive(saved, "experiment");
	cJSON *o = cJSON_CreateObject();

	for (size_t i = 0; o && i < ARRAY_SIZE(members); i++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(x, members[i]);

		if (v)
			cJSON_AddItemToObject(o, members[i], cJSON_Duplicate(v, true));
	}
	return o;
}

struct interrupted {
	struct interrupted *next;
	int64_t created_us;
	cJSON *saved;
	char id[TEMPLATE_ID_MAX];
};

struct loading {
	struct experiments *all;
	struct interrupted *interrupted; /* written when the store is there to be written to */
};

static void add_line(struct experiments *all, const char *id, int64_t created_us,
		     const cJSON *saved)
{
	const cJSON *x = cJSON_GetObjectItemCaseSensitive(saved, "experiment");
	const char *template_id =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(x, "experimentTemplateId"));
	const char *token =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(saved, "clientToken"));
	const struct line_of of = {.id = id,
				   .template_id = template_id ? template_id : "",
				   .token = token ? token : "",
				   .created_us = created_us};

	if (line_add(all, &of, summary_of(saved)) < 0)
		log_warning("%.64s: out of memory: it is not listed", id);
}

static void load_experiment(struct loading *l, const char *id, int64_t order_us, cJSON *saved)
{
	struct interrupted *i = is_interrupted(saved) ? calloc(1, sizeof(*i)) : NULL;

	if (i) {
		i->next = l->interrupted;
		i->created_us = order_us;
		i->saved = saved;
		(void)str_copy(i->id, sizeof(i->id), id);
		l->interrupted = i;
		return;
	}
	add_line(l->all, id, order_us, saved);
	cJSON_Delete(saved);
}

static void on_record(enum store_table table, const char *id, int64_t order_us, const char *text,
		      void *arg)
{
	struct loading *l = arg;
	cJSON *saved = cJSON_Parse(text);

	if (!saved && table == STORE_STATE && str_eq(id, "lever"))
		lever_unknown(l->all, "its record on disk makes no sense");
	if (!saved) {
		log_warning("a record on disk cannot be read and is left out: %.64s", id);
		return;
	}
	if (table == STORE_EXPERIMENTS) {
		load_experiment(l, id, order_us, saved);
		return;
	}
	if (table == STORE_TEMPLATES)
		(void)templates_load(l->all, saved);
	else if (str_eq(id, "lever"))
		lever_load(l->all, saved);
	cJSON_Delete(saved);
}

static void end_all_interrupted(struct loading *l)
{
	while (l->interrupted) {
		struct interrupted *i = l->interrupted;

		l->interrupted = i->next;
		end_interrupted(l->all, i->id, i->created_us, i->saved);
		add_line(l->all, i->id, i->created_us, i->saved);
		cJSON_Delete(i->saved);
		free(i);
	}
}

/* The disk may lack what was to be kept: all that is here is told to it again. */
static void on_stale(void *arg)
{
	struct experiments *all = arg;

	templates_save(all);
	lever_save(all);
	for (struct experiment *x = all->first; x; x = x->next) {
		x->life->is_changed = true;
		life_save(x);
	}
}

static int compare_lines(const void *a, const void *b)
{
	const struct experiment_line *const *x = a, *const *y = b;

	return (*x)->created_us < (*y)->created_us ? -1 : (*x)->created_us > (*y)->created_us;
}

/* A clock that a fault has set a year ahead would make everything too old. */
static bool clock_is_off(const struct experiments *all)
{
	for (const struct fault *f = faults_first(all->faults); f; f = f->next) {
		if (fault_is_open(f) && str_eq(f->action->name, "clock-skew"))
			return true;
	}
	return false;
}

static void keep_house(struct experiments *all)
{
	int64_t before = (int64_t)(clock_ns(CLOCK_REALTIME) / 1000) -
			 all->policy->fis.retention_days * DAY_US;

	if (clock_is_off(all))
		return;
	lines_trim(all, (size_t)all->policy->fis.experiments_kept_max, before);
	(void)store_prune(all->store, before);
	experiment_log_prune(all->log, (time_t)(before / 1000000));
}

static void on_housekeeping(uv_timer_t *t)
{
	keep_house(t->data);
}

static void take_fresh_identity(struct experiments *all)
{
	if (!all->has_fresh)
		return;
	identity_done(&all->identity);
	all->identity = all->fresh;
	all->has_fresh = false;
}

/* Of a configuration that was read anew, too: until metadata have answered the host is who it was,
 * or its ARNs would be others in between. */
static void on_instance(const struct cloud_instance *i, void *arg)
{
	struct experiments *all = arg;

	take_fresh_identity(all);
	if (i && identity_from_instance(&all->identity, i) == 0)
		log_info("this is %s in %s", all->identity.instance_id, all->identity.region);
}

static struct cloud_setup cloud_setup_of(const struct experiments *all)
{
	const struct fis_settings *s = &all->policy->fis;

	return (struct cloud_setup){.loop = all->loop,
				    .metadata = s->metadata == METADATA_AUTO,
				    .metadata_endpoint = s->metadata_endpoint,
				    .monitoring_endpoint = s->cloudwatch_endpoint,
				    .logs_endpoint = s->logs_endpoint,
				    .s3_endpoint = s->s3_endpoint};
}

static int start_cloud(struct experiments *all, struct error *e)
{
	const struct cloud_setup setup = cloud_setup_of(all);
	int r = cloud_start(&setup, &all->cloud);

	if (r == 0)
		r = cloud_instance(all->cloud, on_instance, all);
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot set up requests: %s", strerror(-r))
		     : 0;
}

static int start_all(struct experiments *all, const char *state_dir, struct error *e)
{
	struct loading loading = {.all = all};
	int r = identity_from_settings(&all->policy->fis, &all->identity);

	if (r == 0)
		r = catalogue_make();
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot set up experiments: %s", strerror(-r));
	r = start_cloud(all, e);
	if (r < 0)
		return r;
	r = experiment_log_start(all->loop, state_dir, all->cloud, &all->identity, &all->log);
	if (r == 0)
		r = store_open(all->loop, state_dir, (size_t)all->policy->fis.experiments_kept_max,
			       on_record, &loading, &all->store);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot set up experiments: %s", strerror(-r));
	if (store_unread(all->store))
		lever_unknown(all, store_unread(all->store));
	store_on_stale(all->store, on_stale, all);
	end_all_interrupted(&loading);
	if (all->n_lines)
		qsort(all->lines, all->n_lines, sizeof(all->lines[0]), compare_lines);
	return 0;
}

static void set_clock(struct experiments *all)
{
	all->clock_speed = 1;
#if FAULTD_CRASH_POINTS
	const char *text = getenv("FAULTD_CLOCK_SPEED");
	double speed;

	if (text && str_to_double(text, &speed) == 0 && speed >= 1)
		all->clock_speed = speed;
#endif
}

int experiments_start(const struct experiments_setup *setup, struct experiments **ret,
		      struct error *e)
{
	struct experiments *all = calloc(1, sizeof(*all));
	int r;

	if (!all)
		return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	all->loop = setup->loop;
	all->faults = setup->faults;
	all->policy = setup->policy;
	set_clock(all);
	r = start_all(all, setup->state_dir, e);
	if (r < 0) {
		free(all); /* the program ends: what is open goes with it */
		return r;
	}
	all->probe_env = (struct probe_env){.loop = all->loop,
					    .cloud = all->cloud,
					    .policy = all->policy,
					    .identity = &all->identity};
	all->fault_listener = (struct fault_listener){.event = on_fault_event, .arg = all};
	faults_listen(all->faults, &all->fault_listener);
	(void)uv_timer_init(all->loop, &all->housekeeping);
	all->housekeeping.data = all;
	(void)uv_timer_start(&all->housekeeping, on_housekeeping, HOUSEKEEPING_MS, HOUSEKEEPING_MS);
	(void)uv_timer_init(all->loop, &all->saving);
	all->saving.data = all;
	keep_house(all);
	*ret = all;
	return 0;
}

void experiments_reload(struct experiments *all)
{
	const struct cloud_setup setup = cloud_setup_of(all);
	struct identity fresh;

	if (identity_from_settings(&all->policy->fis, &fresh) < 0) {
		log_warning("out of memory: the host's identity stays as it was");
		return;
	}
	if (all->has_fresh)
		identity_done(&all->fresh);
	all->fresh = fresh;
	all->has_fresh = true;
	(void)cloud_configure(all->cloud, &setup); /* the settings' texts are as long as its own */
	if (cloud_instance(all->cloud, on_instance, all) < 0)
		take_fresh_identity(all);
	keep_house(all);
}

static void end_actions_now(struct experiment *x, const char *reason)
{
	for (size_t i = 0; i < x->template->n_actions; i++) {
		enum run_status s = x->actions[i].status;

		if (s == RUN_PENDING)
			action_set_status(x, i, RUN_CANCELLED, reason);
		else if (!run_status_is_over(s))
			action_set_status(x, i, s == RUN_STOPPING ? RUN_STOPPED : RUN_FAILED,
					  reason);
		if (!run_status_is_over(s) && s != RUN_PENDING)
			record_action_end(x, i);
	}
}

/* The faults were ended before; there is no loop any more that would take the turns. One that was
 * on its way to its end is there now, unless something could not be put back. */
static void end_now(struct experiment *x, const char *why)
{
	bool held = experiment_holds_faults(x);
	char reason[REASON_MAX];

	if (x->life->end != RUN_PENDING && !held) {
		(void)str_copy(reason, sizeof(reason), x->reason);
		end_actions_now(x, reason);
		experiment_set_status(x, x->life->end, reason);
	} else {
		(void)snprintf(reason, sizeof(reason), "%.200s; %s", why,
			       held ? "not everything it did could be put back, which is still "
				      "being tried."
				    : "what the experiment did is undone.");
		end_actions_now(x, reason);
		(void)str_copy(x->error.code, sizeof(x->error.code), "InternalFailure");
		(void)str_copy(x->error.location, sizeof(x->error.location), "faultd");
		experiment_set_status(x, RUN_FAILED, reason);
	}
	record_experiment_end(x);
	life_save(x);
}

void experiments_stop(struct experiments *all, const char *reason)
{
	all->stopping = true;
	faults_unlisten(all->faults, &all->fault_listener);
	for (struct experiment *x = all->first; x; x = x->next) {
		if (!experiment_is_over(x))
			end_now(x, reason);
	}
	store_close(all->store);
	experiment_log_stop(all->log);
	lever_free(all);
	while (all->first) {
		struct experiment *x = all->first;

		all->first = x->next;
		experiment_free(x);
	}
	cloud_stop(all->cloud);
	uv_close((uv_handle_t *)&all->housekeeping, NULL);
	uv_close((uv_handle_t *)&all->saving, NULL);
}

void experiments_free(struct experiments *all)
{
	templates_free(all);
	lines_free(all);
	store_free(all->store);
	experiment_log_free(all->log);
	cloud_free(all->cloud);
	if (all->has_fresh)
		identity_done(&all->fresh);
	identity_done(&all->identity);
	catalogue_free();
	free(all);
}

const struct identity *experiments_identity(const struct experiments *all)
{
	return &all->identity;
}

struct experiment_log *experiments_log(struct experiments *all)
{
	return all->log;
}

int experiments_store_health(const struct experiments *all)
{
	return store_health(all->store);
}

void experiments_listen(struct experiments *all, struct experiment_listener *l)
{
	l->next = all->listeners;
	all->listeners = l;
}

void experiments_unlisten(struct experiments *all, struct experiment_listener *l)
{
	struct experiment_listener **p = &all->listeners;

	while (*p && *p != l)
		p = &(*p)->next;
	if (*p)
		*p = l->next;
}

struct experiment *experiments_find(struct experiments *all, const char *id)
{
	for (struct experiment *x = all->first; x; x = x->next) {
		if (str_eq(x->id, id))
			return x;
	}
	return NULL;
}
