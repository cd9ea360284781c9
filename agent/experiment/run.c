/* SPDX-License-Identifier: Apache-2.0 */
/* One action of an experiment: a fault for each resource it is aimed at, or a time to wait, or an
 * alarm to ask for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/internal.h"
#include "plan/policy.h"
#include "plan/request.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/proc.h"
#include "util/str.h"

/* A fault that is not begun yet, because names among its peers are being resolved. */
struct asked_fault {
	struct asked_fault *next;
	struct action_run *run;
	struct request request;
	struct resolving *resolving;
};

static struct experiment_action *action_of(const struct action_run *run)
{
	return &run->experiment->actions[run->index];
}

static const struct template_action *template_of(const struct action_run *run)
{
	return &run->experiment->template->actions[run->index];
}

/* What it is aimed at; NULL: nothing is named. */
static const struct resource_type *type_of(const struct action_run *run)
{
	int target = template_of(run)->target;

	return target < 0 ? NULL : run->experiment->template->targets[target].type;
}

/* FIS's codes of an ExperimentError. */
static const char *failure_code(enum error_code code)
{
	switch (code) {
	case ERROR_DENIED:
		return "AuthorizationFailure";
	case ERROR_NOT_FOUND:
		return "InvalidTarget";
	case ERROR_QUOTA:
		return "QuotaExceededFailure";
	case ERROR_VALIDATION:
	case ERROR_CONFLICT:
	case ERROR_UNSUPPORTED:
		return "ConfigurationFailure";
	case ERROR_UNAVAILABLE:
		return "DependentServiceFailure";
	default:
		return "InternalFailure";
	}
}

static bool has_failed(const struct action_run *run)
{
	return run->n_failed * 100 > run->call.max_errors_percent * run->n_faults;
}

/* `n_faults` is known by now. */
static void note_failure(struct action_run *run, enum error_code code, const char *why)
{
	run->n_failed++;
	if (!run->why[0]) {
		(void)str_copy(run->why, sizeof(run->why), why);
		(void)str_copy(run->error.code, sizeof(run->error.code), failure_code(code));
	}
	if (!run->failed_boot_ns && has_failed(run))
		run->failed_boot_ns = boot_ns();
}

static void free_asked(struct asked_fault *asked)
{
	struct asked_fault **p = &asked->run->asked;

	while (*p != asked)
		p = &(*p)->next;
	*p = asked->next;
	resolve_cancel(asked->resolving);
	request_done(&asked->request);
	free(asked);
}

static void add_fault(struct action_run *run, const struct fault *f)
{
	struct experiment_fault *mine = calloc(1, sizeof(*mine));

	if (!mine) {
		note_failure(run, ERROR_FAILED, "out of memory");
		fault_end((struct fault *)f, "out of memory");
		return;
	}
	(void)str_copy(mine->id, sizeof(mine->id), f->id);
	mine->next = action_of(run)->faults;
	action_of(run)->faults = mine;
}

static void begin_fault(struct action_run *run, const struct request *request)
{
	struct experiment *x = run->experiment;
	struct fault *f;
	struct error e;

	if (faults_request(x->owner->faults, request, &x->caller, &f, &e) < 0)
		note_failure(run, e.code, e.message);
	else
		add_fault(run, f);
}

static void on_resolved(void *arg)
{
	struct asked_fault *asked = arg;
	struct action_run *run = asked->run;

	asked->resolving = NULL;
	begin_fault(run, &asked->request);
	free_asked(asked);
	life_kick(run->experiment);
}

/* Aims the call at `value`, of the parameter that the type is aimed by. */
static int aim(cJSON *parameters, const struct resource_type *type, const char *value)
{
	if (!type || !type->fault_parameter || !value[0])
		return 0;
	cJSON_DeleteItemFromObjectCaseSensitive(parameters, type->fault_parameter);
	return cJSON_AddStringToObject(parameters, type->fault_parameter, value) ? 0 : -ENOMEM;
}

static void ask_fault(struct action_run *run, const struct resource_type *type, const char *value)
{
	struct asked_fault *asked = calloc(1, sizeof(*asked));
	struct error e = {0};
	int r = -ENOMEM;

	if (!asked) {
		note_failure(run, ERROR_FAILED, "out of memory");
		return;
	}
	asked->run = run;
	asked->next = run->asked;
	run->asked = asked;
	(void)str_copy(asked->request.action, sizeof(asked->request.action), run->call.action);
	asked->request.duration_ms = run->call.fault_ms;
	/* Who wrote it into a template, and may start that, has consented. */
	asked->request.confirm = true;
	asked->request.parameters = cJSON_Duplicate(run->call.parameters, true);
	if (asked->request.parameters)
		r = aim(asked->request.parameters, type, value);
	(void)error_set(&e, ERROR_FAILED, r, "out of memory");
	if (r == 0)
		r = faults_resolve(run->experiment->owner->faults, &asked->request, on_resolved,
				   asked, &asked->resolving, &e);
	if (r > 0)
		return;
	if (r < 0)
		note_failure(run, e.code, e.message);
	else
		begin_fault(run, &asked->request);
	free_asked(asked);
}

/* A process may have ended since it was chosen, and another one may have its pid by now. */
static bool is_still_there(const struct resource_type *type, const struct resource *r)
{
	const cJSON *start = cJSON_GetObjectItemCaseSensitive(r->properties, "StartTicks");
	struct proc_stat st;
	uint64_t pid;

	if (!str_eq(type->name, "host:process") || !cJSON_IsNumber(start))
		return true;
	return str_to_u64(r->value, &pid) == 0 && proc_stat_read((pid_t)pid, &st) == 0 &&
	       (double)st.start == start->valuedouble;
}

/* Those that are still there; returns how many of RESOURCES_USED_MAX. */
static size_t values_of(const struct action_run *run, const char **ret)
{
	const struct resource_list *l =
		&run->experiment->targets[template_of(run)->target].resources;
	const struct resource_type *type = type_of(run);
	size_t n = 0;

	for (size_t i = 0; i < l->n && n < RESOURCES_USED_MAX; i++) {
		if (is_still_there(type, &l->resource[i]))
			ret[n++] = l->resource[i].value;
		else
			log_fault(LEVEL_NOTICE, run->experiment->id, template_of(run)->name,
				  "process %s has ended since it was chosen", l->resource[i].value);
	}
	return n;
}

/* "12,15,99": all of them at once. NULL: out of memory. */
static char *join(const char *const *values, size_t n)
{
	size_t size = 1;
	struct text t;
	char *text;

	for (size_t i = 0; i < n; i++)
		size += strlen(values[i]) + 1;
	text = calloc(1, size);
	t = (struct text){.data = text, .size = size};
	for (size_t i = 0; text && i < n; i++)
		text_add(&t, "%s%s", i ? "," : "", values[i]);
	return text;
}

static void ask_for_all(struct action_run *run, const char *const *values, size_t n)
{
	char *all = join(values, n);

	if (all)
		ask_fault(run, type_of(run), all);
	else
		note_failure(run, ERROR_FAILED, "out of memory");
	free(all);
}

/* When more have failed than may, no other is begun. */
static void ask_for_each(struct action_run *run, const char *const *values, size_t n)
{
	run->n_faults = (unsigned)n;
	for (size_t i = 0; i < n && !has_failed(run); i++)
		ask_fault(run, type_of(run), values[i]);
}

static void ask_faults(struct action_run *run)
{
	const struct template_action *a = template_of(run);
	const struct resource_type *type = type_of(run);
	const char *values[RESOURCES_USED_MAX];
	size_t n = type ? values_of(run, values) : 0;

	run->n_faults = 1;
	if (!type)
		ask_fault(run, NULL, "");
	else if (n == 0)
		note_failure(run, ERROR_NOT_FOUND,
			     "Everything that its target was resolved to has ended since.");
	else if (fis_action_takes_list(a->kind, type))
		ask_for_all(run, values, n);
	else
		ask_for_each(run, values, n);
}

/* alarmStates: each alarm has to be in one of them. */
static void on_alarms(const char *const *states, size_t n, const struct error *e, void *arg)
{
	struct action_run *run = arg;
	char why[REASON_MAX];

	run->asking = NULL;
	run->is_over = true;
	if (!states)
		note_failure(run, e->code, e->message);
	for (size_t i = 0; states && i < n; i++) {
		if (fis_call_alarm_is_fine(&run->call, states[i]))
			continue;
		(void)snprintf(why, sizeof(why), "Alarm %.300s is in state %.32s.",
			       run->call.alarms[i], states[i]);
		note_failure(run, ERROR_FAILED, why);
	}
	life_kick(run->experiment);
}

static void ask_alarms(struct action_run *run)
{
	int r;

	run->n_faults = 1;
	r = alarm_ask(&run->experiment->owner->probe_env, run->call.alarms, run->call.n_alarms,
		      on_alarms, run, &run->asking);
	if (r == 0)
		return;
	run->is_over = true;
	note_failure(run, ERROR_FAILED, strerror(-r));
}

/* Its duration in experiments' own time; see clock_speed. */
static uint64_t own_time(const struct experiment *x, uint64_t ms)
{
	return (uint64_t)((double)ms / x->owner->clock_speed);
}

static void prepare(struct action_run *run)
{
	const struct template_action *a = template_of(run);
	struct problems problems = {0};
	struct error e = {.message = "out of memory"};
	int r = fis_call_parse(a->kind, type_of(run), a->parameters, "", &run->call, &problems);

	run->n_faults = 1;
	if (r == -EINVAL)
		problems_error(&problems, &e);
	if (r < 0)
		note_failure(run, r == -EINVAL ? ERROR_VALIDATION : ERROR_FAILED, e.message);
	problems_done(&problems);
	if (run->call.action_ms)
		run->due_boot_ns =
			boot_ns() + own_time(run->experiment, run->call.action_ms) * NSEC_PER_MSEC;
}

static bool is_empty(const struct experiment *x, const struct template_action *a)
{
	return a->target >= 0 && x->targets[a->target].resources.n == 0;
}

static void skip(struct experiment *x, size_t i, const char *reason)
{
	(void)clock_gettime(CLOCK_REALTIME, &x->actions[i].started_at);
	record_action_start(x, i);
	action_set_status(x, i, RUN_SKIPPED, reason);
	record_action_end(x, i);
}

void run_start(struct experiment *x, size_t i)
{
	const struct template_action *a = &x->template->actions[i];
	struct action_run *run;

	if (x->skip_all) {
		skip(x, i, "The experiment's actionsMode is skip-all.");
		return;
	}
	if (is_empty(x, a)) {
		skip(x, i, "Its target resolved to nothing.");
		return;
	}
	run = calloc(1, sizeof(*run));
	action_set_status(x, i, RUN_INITIATING, "");
	record_action_start(x, i);
	if (!run) {
		action_set_status(x, i, RUN_FAILED, "out of memory");
		record_action_end(x, i);
		return;
	}
	run->experiment = x;
	run->index = i;
	x->actions[i].run = run;
	prepare(run);
	if (has_failed(run) || a->kind->kind == FIS_WAIT)
		;
	else if (a->kind->kind == FIS_ASSERT_ALARM)
		ask_alarms(run);
	else
		ask_faults(run);
	run_turn(x, i);
}

/* What its faults have come to. Those that fault/ has forgotten were seen by run_on_fault(). */
static bool faults_are_over(const struct experiment_action *a)
{
	for (const struct experiment_fault *f = a->faults; f; f = f->next) {
		if (!f->over)
			return false;
	}
	return true;
}

static bool faults_are_applied(struct experiment *x, const struct experiment_action *a)
{
	for (const struct experiment_fault *f = a->faults; f; f = f->next) {
		const struct fault *fault = f->over ? NULL : faults_find(x->owner->faults, f->id);

		if (fault && (fault->state == FAULT_JOURNALED || fault->state == FAULT_APPLYING))
			return false;
	}
	return true;
}

static bool is_done(const struct action_run *run)
{
	const struct template_action *a = template_of(run);
	bool elapsed = run->due_boot_ns == 0 || boot_ns() >= run->due_boot_ns;

	if (run->asked || run->asking || !elapsed)
		return false;
	if (a->kind->kind == FIS_ASSERT_ALARM)
		return run->is_over;
	/* A document that runs longer than its action goes on: as with FIS, the action is over. But
	 * not before it was begun. */
	return a->kind->kind == FIS_SEND_COMMAND ? action_of(run)->status == RUN_RUNNING
						 : faults_are_over(action_of(run));
}

static void end(struct experiment *x, size_t i, enum run_status status, const char *reason)
{
	action_set_status(x, i, status, reason);
	record_action_end(x, i);
}

void run_turn(struct experiment *x, size_t i)
{
	struct experiment_action *a = &x->actions[i];
	struct action_run *run = a->run;

	if (!run || run_status_is_over(a->status))
		return;
	if (!run->ending && has_failed(run))
		run_stop(x, i, "another fault of its action failed");
	if (run->ending) {
		if (!faults_are_over(a))
			return;
		if (has_failed(run))
			end(x, i, RUN_FAILED, run->why);
		else
			end(x, i, RUN_STOPPED, "Action was stopped.");
		return;
	}
	if (a->status == RUN_INITIATING && !run->asked && faults_are_applied(x, a))
		action_set_status(x, i, RUN_RUNNING, "");
	if (is_done(run))
		end(x, i, RUN_COMPLETED, "Action was completed.");
}

/* Also of an action that is over: a document's fault may go on after it. */
void run_stop(struct experiment *x, size_t i, const char *reason)
{
	struct experiment_action *a = &x->actions[i];
	struct action_run *run = a->run;

	if (!run || (run->ending && faults_are_over(a)))
		return;
	if (!run->ending && !run_status_is_over(a->status))
		action_set_status(x, i, RUN_STOPPING, has_failed(run) ? run->why : "");
	run->ending = true;
	while (run->asked)
		free_asked(run->asked);
	alarm_cancel(run->asking);
	run->asking = NULL;
	for (struct experiment_fault *f = a->faults; f; f = f->next) {
		struct fault *fault = f->over ? NULL : faults_find(x->owner->faults, f->id);

		if (fault)
			fault_end(fault, reason);
	}
}

void run_free(struct experiment *x, size_t i)
{
	struct action_run *run = x->actions[i].run;

	if (!run)
		return;
	while (run->asked)
		free_asked(run->asked);
	alarm_cancel(run->asking);
	fis_call_done(&run->call);
	free(run);
	x->actions[i].run = NULL;
}

/* It came to its end by itself, and as it should. */
static bool ended_well(const struct fault *f)
{
	return f->state == FAULT_DONE &&
	       (str_eq(f->reason, "deadline") || str_eq(f->reason, "completed") ||
		str_eq(f->reason, "oomKilled") || str_starts(f->reason, "skipped: "));
}

static void take_end(struct experiment *x, size_t i, const struct fault *f)
{
	struct action_run *run = x->actions[i].run;
	char why[REASON_MAX];

	if (!run || run->ending || ended_well(f))
		return;
	(void)snprintf(why, sizeof(why), "Fault %s: %.440s", f->id,
		       f->error.code != ERROR_NONE ? f->error.message : f->reason);
	note_failure(run, f->error.code, why);
}

/* Called on each change of any fault. */
void run_on_fault(struct experiments *all, const struct fault *f)
{
	for (struct experiment *x = all->first; x; x = x->next) {
		for (size_t i = 0; i < x->template->n_actions; i++) {
			for (struct experiment_fault *mine = x->actions[i].faults; mine;
			     mine = mine->next) {
				if (!str_eq(mine->id, f->id))
					continue;
				if (!fault_is_open(f) && !mine->over) {
					mine->over = true;
					take_end(x, i, f);
				}
				life_kick(x);
				return;
			}
		}
	}
}
