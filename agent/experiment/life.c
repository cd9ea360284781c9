/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an experiment. Whatever happens (a fault ends, a time is up, a stop condition fires)
 * only asks for a turn; a turn looks at how everything stands and does what follows from that. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/internal.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/str.h"

static void on_timer(uv_timer_t *timer);

#define SAVE_AGAIN_MS 1000
/* At most this long libuv's timers are trusted with what is due: they stand still while the machine
 * sleeps, and what is due does not. */
#define LOOK_AGAIN_MS 10000

static int save(struct experiment *x)
{
	struct experiments *all = x->owner;
	cJSON *saved = experiment_save(x, &all->identity);
	char *text = saved ? cJSON_PrintUnformatted(saved) : NULL;
	int r = text ? store_put(all->store, STORE_EXPERIMENTS, x->id, timespec_us(&x->created_at),
				 text, NULL, NULL)
		     : -ENOMEM;

	cJSON_free(text);
	cJSON_Delete(saved);
	return r;
}

/* What cannot be had now (too much waits for the disk, no memory) is tried again, also of one that
 * is over: on disk it would be running for ever. */
void life_save(struct experiment *x)
{
	struct experiment_life *life = x->life;
	int r = life->is_changed ? save(x) : 0;

	if (r < 0 && !life->is_refused)
		log_warning("%s: cannot be kept on disk now: %s", x->id, strerror(-r));
	life->is_refused = r < 0;
	life->is_changed = r == -EBUSY || r == -ENOMEM;
	if (life->is_changed && experiment_is_over(x))
		(void)uv_timer_start(&life->timer, on_timer, SAVE_AGAIN_MS, 0);
}

void experiment_changed(struct experiment *x)
{
	struct experiments *all = x->owner;
	struct experiment_line *line = line_find(all, x->id);
	cJSON *summary = line ? experiment_print_summary(x, &all->identity) : NULL;

	x->life->is_changed = true;
	if (summary) {
		cJSON_Delete(line->summary);
		line->summary = summary;
	}
	for (struct experiment_listener *l = all->listeners, *next; l; l = next) {
		next = l->next;
		l->changed(x, l->arg);
	}
}

void experiment_set_status(struct experiment *x, enum run_status status, const char *reason)
{
	x->status = status;
	(void)str_copy(x->reason, sizeof(x->reason), reason);
	if (status == RUN_INITIATING)
		(void)clock_gettime(CLOCK_REALTIME, &x->started_at);
	if (run_status_is_over(status))
		(void)clock_gettime(CLOCK_REALTIME, &x->ended_at);
	log_fault(status == RUN_FAILED ? LEVEL_WARNING : LEVEL_INFO, x->id, "experiment", "%s%s%s",
		  run_status_name(status), reason[0] ? ": " : "", reason);
	experiment_changed(x);
}

void action_set_status(struct experiment *x, size_t i, enum run_status status, const char *reason)
{
	struct experiment_action *a = &x->actions[i];

	a->status = status;
	(void)str_copy(a->reason, sizeof(a->reason), reason);
	if (status == RUN_INITIATING)
		(void)clock_gettime(CLOCK_REALTIME, &a->started_at);
	if (run_status_is_over(status))
		(void)clock_gettime(CLOCK_REALTIME, &a->ended_at);
	log_fault(status == RUN_FAILED ? LEVEL_WARNING : LEVEL_INFO, x->id,
		  x->template->actions[i].name, "%s%s%s", run_status_name(status),
		  reason[0] ? ": " : "", reason);
	experiment_changed(x);
}

static bool all_over(const struct experiment *x)
{
	for (size_t i = 0; i < x->template->n_actions; i++) {
		if (!run_status_is_over(x->actions[i].status))
			return false;
	}
	return true;
}

/* What has not begun never will; what is under way is ended. */
static void end_actions(struct experiment *x)
{
	for (size_t i = 0; i < x->template->n_actions; i++) {
		enum run_status s = x->actions[i].status;

		if (s == RUN_PENDING)
			action_set_status(x, i, RUN_CANCELLED,
					  "The experiment ended before the action was started.");
		else if (!run_status_is_over(s) || x->actions[i].run)
			run_stop(x, i, "the experiment is stopped");
	}
}

bool experiment_holds_faults(const struct experiment *x)
{
	for (size_t i = 0; i < x->template->n_actions; i++) {
		for (const struct experiment_fault *f = x->actions[i].faults; f; f = f->next) {
			if (!f->over)
				return true;
		}
	}
	return false;
}

static void finish(struct experiment *x, enum run_status status, const char *reason)
{
	char kept[REASON_MAX];

	(void)str_copy(kept, sizeof(kept), reason);
	watch_conditions_stop(x);
	experiment_set_status(x, status, kept);
	record_experiment_end(x);
	lever_turn(x->owner);
}

void life_end(struct experiment *x, enum run_status end, const char *code, const char *location,
	      const char *reason)
{
	if (experiment_is_over(x) || x->life->end != RUN_PENDING)
		return;
	x->life->end = end;
	(void)str_copy(x->error.code, sizeof(x->error.code), code);
	(void)str_copy(x->error.location, sizeof(x->error.location), location);
	experiment_set_status(x, RUN_STOPPING, reason);
	end_actions(x);
	life_kick(x);
}

void experiment_stop(struct experiment *x, const char *reason)
{
	life_end(x, RUN_STOPPED, "", "", reason);
}

/* The one that failed before any other; TEMPLATE_ACTIONS_MAX: none did. */
static size_t first_failure(const struct experiment *x)
{
	uint64_t first = UINT64_MAX;
	size_t found = TEMPLATE_ACTIONS_MAX;

	for (size_t i = 0; i < x->template->n_actions; i++) {
		const struct experiment_action *a = &x->actions[i];
		/* Without a run: there was no memory for it. */
		uint64_t at = a->run ? a->run->failed_boot_ns : a->status == RUN_FAILED;

		if (at && at < first) {
			first = at;
			found = i;
		}
	}
	return found;
}

/* Looked for as soon as it is known, not when what it did is undone, which may take its time: until
 * then nothing else would be ended. */
static void look_for_failure(struct experiment *x)
{
	size_t i = first_failure(x);
	char location[160], reason[REASON_MAX];
	const struct action_run *run;
	const char *name;

	if (i == TEMPLATE_ACTIONS_MAX || x->life->end != RUN_PENDING)
		return;
	run = x->actions[i].run;
	name = x->template->actions[i].name;
	(void)snprintf(location, sizeof(location), "actions.%.64s", name);
	(void)snprintf(reason, sizeof(reason), "Action %.64s failed: %.400s", name,
		       run ? run->why : x->actions[i].reason);
	life_end(x, RUN_FAILED, run && run->error.code[0] ? run->error.code : "InternalFailure",
		 location, reason);
}

static void start_ready(struct experiment *x)
{
	const struct template *t = x->template;
	struct schedule_action all[TEMPLATE_ACTIONS_MAX];
	size_t ready[TEMPLATE_ACTIONS_MAX], n = 1;

	/* One that is over as soon as it is started makes others ready. */
	while (n > 0 && x->life->end == RUN_PENDING) {
		for (size_t i = 0; i < t->n_actions; i++)
			all[i] = (struct schedule_action){.status = x->actions[i].status,
							  .after = t->actions[i].after,
							  .n_after = t->actions[i].n_after};
		n = schedule_ready(all, t->n_actions, TEMPLATE_PARALLEL_MAX, ready,
				   TEMPLATE_ACTIONS_MAX);
		for (size_t i = 0; i < n && x->life->end == RUN_PENDING; i++) {
			run_start(x, ready[i]);
			look_for_failure(x);
		}
	}
}

static void fail_on(struct experiment *x, const struct error *e, const char *location)
{
	life_end(x, RUN_FAILED, "ConfigurationFailure", location, e->message);
}

/* From pending to initiating: what can be refused is, before anything is done. */
static void initiate(struct experiment *x)
{
	struct error e;

	experiment_set_status(x, RUN_INITIATING, "");
	record_experiment_start(x);
	if (life_find_role(x) < 0 || life_resolve(x) < 0 || life_check_role(x) < 0)
		return;
	if (watch_conditions(x, &e) < 0)
		fail_on(x, &e, "stopConditions");
}

static void turn_actions(struct experiment *x)
{
	for (size_t i = 0; i < x->template->n_actions; i++) {
		if (x->actions[i].run)
			run_turn(x, i);
	}
}

static void end_turn(struct experiment *x)
{
	char reason[REASON_MAX];

	end_actions(x);
	if (!all_over(x) || experiment_holds_faults(x))
		return;
	(void)str_copy(reason, sizeof(reason), x->reason);
	finish(x, x->life->end, reason);
}

static void run_out(struct experiment *x)
{
	if (boot_ns() >= x->life->due_boot_ns)
		life_end(x, RUN_STOPPED, "", "",
			 "The experiment took longer than the 12 hours that one may.");
}

static void turn(struct experiment *x)
{
	if (x->status == RUN_PENDING && x->life->end == RUN_PENDING)
		initiate(x);
	if (x->status == RUN_INITIATING && x->life->is_watched && x->life->end == RUN_PENDING)
		experiment_set_status(x, RUN_RUNNING, "");
	turn_actions(x);
	look_for_failure(x);
	run_out(x);
	if (x->life->end == RUN_PENDING && x->status == RUN_RUNNING)
		start_ready(x);
	if (x->life->end != RUN_PENDING)
		end_turn(x);
	else if (x->status == RUN_RUNNING && all_over(x))
		finish(x, RUN_COMPLETED, "Experiment completed.");
}

static void set_timer(struct experiment *x);

static void on_timer(uv_timer_t *timer)
{
	struct experiment_life *life = timer->data;
	struct experiment *x = life->experiment;

	if (!x)
		return;
	if (!experiment_is_over(x))
		turn(x);
	life_save(x);
	if (!experiment_is_over(x))
		set_timer(x);
}

static void earlier(uint64_t *at, uint64_t candidate, uint64_t now)
{
	if (candidate > now && candidate < *at)
		*at = candidate;
}

/* When the next action's time, or the experiment's, is up. What is past does not count: then an
 * undo is waited for, or a disk, and its end is told. */
static uint64_t next_due(const struct experiment *x, uint64_t now)
{
	uint64_t at = now + LOOK_AGAIN_MS * NSEC_PER_MSEC;

	if (x->life->is_changed)
		earlier(&at, now + SAVE_AGAIN_MS * NSEC_PER_MSEC, now);
	if (x->life->end != RUN_PENDING)
		return at;
	earlier(&at, x->life->due_boot_ns, now);
	for (size_t i = 0; i < x->template->n_actions; i++) {
		const struct action_run *run = x->actions[i].run;

		if (run && !run_status_is_over(x->actions[i].status))
			earlier(&at, run->due_boot_ns, now);
	}
	return at;
}

static void set_timer(struct experiment *x)
{
	uint64_t now = boot_ns();

	/* A kick that came during the turn stands. */
	if (uv_is_active((uv_handle_t *)&x->life->timer) &&
	    uv_timer_get_due_in(&x->life->timer) == 0)
		return;
	/* Never 0: libuv (1.44) runs a timer that its own callback starts with 0 at once, again and
	 * again, and the loop sees nothing else. */
	(void)uv_timer_start(&x->life->timer, on_timer,
			     (next_due(x, now) - now) / NSEC_PER_MSEC + 1, 0);
}

void life_kick(struct experiment *x)
{
	if (!experiment_is_over(x))
		(void)uv_timer_start(&x->life->timer, on_timer, 0, 0);
}

int life_start(struct experiment *x)
{
	struct experiment_life *life = calloc(1, sizeof(*life));

	if (!life)
		return -ENOMEM;
	life->experiment = x;
	life->due_boot_ns = boot_ns() + TEMPLATE_DURATION_MAX_S * NSEC_PER_SEC;
	life->end = RUN_PENDING;
	(void)uv_timer_init(x->owner->loop, &life->timer);
	life->timer.data = life;
	x->life = life;
	life_kick(x);
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void life_free(struct experiment *x)
{
	if (!x->life)
		return;
	x->life->experiment = NULL;
	uv_close((uv_handle_t *)&x->life->timer, on_closed);
	x->life = NULL;
}
