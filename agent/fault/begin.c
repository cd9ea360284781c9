/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to a fault that is on record: find the action, read the parameters, ask the
 * policy, look at the host, plan, journal, and tell the guardian. Up to the journal nothing is
 * changed anywhere. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "fault/internal.h"
#include "util/clock.h"
#include "util/duration.h"

static void make_id(char *ret)
{
	static const char digits[] =
		"0123456789abcdefghjkmnpqrstvwxyz"; /* Crockford: nothing looks alike */
	uint8_t random[12] = {0};

	if (getrandom(random, sizeof(random), 0) < 0)
		memcpy(random, &(uint64_t){boot_ns()}, sizeof(uint64_t));
	(void)strcpy(ret, "f-");
	for (size_t i = 0; i < sizeof(random); i++)
		ret[2 + i] = digits[random[i] % 32];
	ret[2 + sizeof(random)] = '\0';
}

#define SHAPERS_EACH (2 * INTERFACES_MAX) /* one for each direction of each interface */

static bool shaper_id_is_used(const struct faults *all, uint32_t id)
{
	for (const struct fault *f = all->first; f; f = f->next) {
		if (fault_is_open(f) && f->shaper_id == id)
			return true;
	}
	return false;
}

/* The first of a fault's sixteen, none of which is MARK_SHAPED or has a mark of 0. Counted from a
 * random start, for another faultd may shape the same interface. */
static uint32_t next_shaper_id(struct faults *all)
{
	uint32_t id;

	do {
		all->shapers = all->shapers % (MARK_SHAPED / SHAPERS_EACH - 1) + 1;
		id = all->shaper_base | (all->shapers * SHAPERS_EACH);
	} while (shaper_id_is_used(all, id));
	return id;
}

static struct fault *new_fault(struct faults *all, const struct request *q, const struct caller *c,
			       const struct action *action)
{
	struct fault *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->owner = all;
	f->action = action;
	f->caller = *c;
	f->attached = q->attach;
	f->duration_ms = q->duration_ms;
	f->lease_ms = q->lease_ms;
	f->journal.fd = -1;
	f->shaper_id = next_shaper_id(all);
	f->requested_boot_ns = boot_ns();
	(void)clock_gettime(CLOCK_REALTIME, &f->created_at);
	(void)str_copy(f->client_token, sizeof(f->client_token), q->client_token);
	f->params = calloc(1, action->params_size);
	if (f->params)
		return f;
	fault_free(f);
	return NULL;
}

static int find_action(const struct request *q, const struct action **ret,
		       const struct alias **ret_alias, struct error *e)
{
	char known[160];
	struct text t = TEXT(known);

	*ret = action_find(q->action, ret_alias);
	if (*ret)
		return 0;
	for (size_t i = 0; i < n_actions; i++)
		text_add(&t, "%s%s", i ? ", " : "", actions[i]->name);
	return error_field(e, "action", q->action, known, "no action %s", q->action);
}

/* An alias may carry the duration in a parameter; both ways at once must not differ. */
static int settle_duration(struct fault *f, uint64_t from_alias_ms, struct error *e)
{
	bool interval = f->action->interval_ms && f->action->interval_ms(f->params) > 0;

	if (from_alias_ms && f->duration_ms && from_alias_ms != f->duration_ms)
		return error_field(e, "duration", "", "one of them, or both the same",
				   "differs from the duration in the parameters");
	if (from_alias_ms)
		f->duration_ms = from_alias_ms;
	if (f->duration_ms == 0 &&
	    (f->action->duration == DURATION_REQUIRED || interval || f->lease_ms))
		return error_field(e, "duration", "",
				   "a number with its unit, such as 30s, 5m or PT5M",
				   "required%s and not given", interval ? " with interval" : "");
	return 0;
}

/* What ends before it begins would be accepted and never be. */
static int check_delay(const struct fault *f, struct error *e)
{
	uint64_t ms = f->action->delay_ms ? f->action->delay_ms(f->params) : 0;
	char shown[32], allowed[48];
	struct text t = TEXT(shown), a = TEXT(allowed);

	if (ms == 0 || f->duration_ms == 0 || ms < f->duration_ms)
		return 0;
	duration_print(ms, &t);
	text_add(&a, "less than the duration, ");
	duration_print(f->duration_ms, &a);
	return error_field(e, "parameters.delay", shown, allowed, "%s is too long", shown);
}

static int ask_policy(const struct faults *all, const struct fault *f, const struct request *q,
		      struct error *e)
{
	const struct policy_question question = {
		.duration_ms = f->duration_ms,
		.open_faults = faults_count_open(all),
		.irreversible = action_is_irreversible(f->action),
		.host_action = f->action->host_action,
		.confirmed = q->confirm,
		.dry_run = q->dry_run,
		.action = f->action->name,
	};

	return policy_check_fault(all->policy, &question, e);
}

struct facts fault_facts(const struct fault *f)
{
	const struct faults *all = f->owner;

	return (struct facts){.policy = all->policy,
			      .caller_pid = f->caller.pid,
			      .own_pids = {getpid(), guardian_link_pid(all->guardian)},
			      .runtime_dir = all->runtime_dir,
			      .state_dir = all->state_dir,
			      .resolved = f->resolved,
			      .seed = f->seed,
			      .shaper_id = f->shaper_id,
			      .grade = f->grade_to};
}

/* Whole as a JSON number, so that what is shown can be given again. */
static uint64_t random_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) < 0)
		seed = boot_ns();
	seed &= SEED_MAX;
	return seed ? seed : 1;
}

static int make_plan(struct fault *f, struct error *e)
{
	struct facts facts;
	struct grade_point point;
	int r;

	f->seed = random_seed();
	if (f->action->graded)
		f->has_grade = f->action->graded(f->params, &f->grade, &f->grade_to);
	facts = fault_facts(f);
	if (f->has_grade) {
		grade_at(&f->grade, f->grade_to, 0, &point);
		facts.grade = point.value;
	}
	r = f->action->look(f->params, &facts, e);
	f->skipped = r == 0 && facts.skipped;
	f->seed = facts.seed;
	if (r == 0 && !facts.skipped)
		r = f->action->plan(f->params, &facts, &f->plan, e);
	facts_done(&facts);
	return r;
}

/* Two faults that cannot both have what they claim. */
static int check_claims(const struct faults *all, const struct fault *f, struct error *e)
{
	for (const struct fault *other = all->first; other; other = other->next) {
		const char *claim =
			fault_is_open(other) ? plan_conflict(&other->plan, &f->plan) : NULL;

		if (claim)
			return error_set(e, ERROR_CONFLICT, -EBUSY,
					 "fault %s (%s) has the %s; stop it first", other->id,
					 other->action->name, claim);
	}
	return 0;
}

static int write_journal(struct faults *all, struct fault *f)
{
	struct journal_header h = {.deadline = f->deadline_boot_ns,
				   .pid = (uint64_t)getpid(),
				   .start = all->self_start,
				   .number = ++all->next_number};
	int r;

	(void)str_copy(h.id, sizeof(h.id), f->id);
	(void)str_copy(h.action, sizeof(h.action), f->action->name);
	(void)str_copy(h.boot, sizeof(h.boot), all->boot_id);
	r = journal_file_create(&f->journal, all->dirfd, &h);
	if (r == 0)
		r = journal_file_reserve(&f->journal, f->plan.n);
	for (size_t i = 0; i < f->plan.n && r == 0; i++)
		r = journal_file_step(&f->journal, i, &f->plan.steps[i]);
	if (r == 0)
		r = journal_file_sync(&f->journal);
	if (r < 0)
		journal_file_finish(&f->journal);
	return r;
}

static int no_guardian(struct error *e)
{
	return error_set(
		e, ERROR_UNAVAILABLE, -ENOTCONN,
		"no guardian is connected: without it nothing would put the host back if faultd died");
}

/* Puts it on record and asks the guardian to read it; fault_apply() follows its answer. */
static int begin(struct faults *all, struct fault *f, struct error *e)
{
	uint64_t delay_ms = f->action->delay_ms ? f->action->delay_ms(f->params) : 0;
	uint64_t held_ms = f->duration_ms ? f->duration_ms : delay_ms + RESULT_WAIT_MS;
	int r;

	make_id(f->id);
	f->deadline_boot_ns = boot_ns() + held_ms * NSEC_PER_MSEC;
	f->lease_boot_ns = f->lease_ms ? boot_ns() + f->lease_ms * NSEC_PER_MSEC : 0;
	r = write_journal(all, f);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r,
				 "cannot write the journal: %s; nothing was changed", strerror(-r));
	f->arm_number = guardian_link_arm(all->guardian);
	if (f->arm_number == 0) {
		journal_file_finish(&f->journal);
		faults_after_end(f);
		return no_guardian(e);
	}
	f->wait_boot_ns = boot_ns() + GUARDIAN_ACK_MS * NSEC_PER_MSEC;
	faults_trim(all);
	f->next = all->first;
	all->first = f;
	fault_set_state(f, FAULT_JOURNALED, "");
	alarm_set(all);
	return 0;
}

/* What makes it the same request again: the action and its parameters as they were understood,
 * whatever their order and spelling. `attach` may differ. */
static char *print_canonical(const struct fault *f)
{
	cJSON *parameters = schema_print(f->action->rows, f->action->n_rows, f->params);
	char *text = parameters ? cJSON_PrintUnformatted(parameters) : NULL;
	char *whole = NULL;

	if (text && asprintf(&whole, "%s %" PRIu64 " %" PRIu64 " %s", f->action->name,
			     f->duration_ms, f->lease_ms, text) < 0)
		whole = NULL;
	cJSON_free(text);
	cJSON_Delete(parameters);
	return whole;
}

struct fault *fault_with_token(struct faults *all, const char *token)
{
	for (struct fault *f = token[0] ? all->first : NULL; f; f = f->next) {
		if (str_eq(f->client_token, token))
			return f;
	}
	return NULL;
}

/* Reads the request into a new fault; nothing of the host is looked at. */
static int understand(struct faults *all, const struct request *q, const struct caller *c,
		      struct fault **ret, struct error *e)
{
	const struct action *action;
	const struct alias *alias;
	uint64_t alias_ms = 0;
	struct fault *f;
	int r = find_action(q, &action, &alias, e);

	if (r < 0)
		return r;
	f = new_fault(all, q, c, action);
	if (!f)
		return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	f->resolved = resolved_copy(q->resolved);
	r = q->resolved && !f->resolved ? error_set(e, ERROR_FAILED, -ENOMEM, "out of memory") : 0;
	if (r == 0)
		r = action_parse(action, alias, q->parameters, f->params, &alias_ms, e);
	if (r == 0)
		r = settle_duration(f, alias_ms, e);
	if (r == 0)
		r = check_delay(f, e);
	if (r == 0)
		f->canonical = print_canonical(f);
	if (r == 0 && !f->canonical)
		r = error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	if (r < 0) {
		fault_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

/* The fault that already has this token, if it was the same request. Returns 1, 0 (there is none),
 * or -EINVAL and the error. */
static int recall(struct faults *all, const struct fault *f, struct fault **ret, struct error *e)
{
	struct fault *before = fault_with_token(all, f->client_token);

	if (!before)
		return 0;
	if (!str_eq(before->canonical, f->canonical)) {
		(void)error_field(e, "clientToken", f->client_token, "a new token",
				  "already used for another request (fault %s)", before->id);
		e->code = ERROR_CONFLICT;
		return -EINVAL;
	}
	*ret = before;
	return 1;
}

static int plan_and_begin(struct faults *all, const struct request *q, struct fault *f,
			  struct error *e)
{
	int r = ask_policy(all, f, q, e);

	if (r == 0)
		r = make_plan(f, e);
	if (r < 0 || q->dry_run)
		return r < 0 ? r : 2;
	r = check_claims(all, f, e);
	if (r < 0)
		return r;
	if (all->closing)
		return error_set(e, ERROR_UNAVAILABLE, -ESHUTDOWN, "faultd is stopping");
	if (all->blocked[0])
		return error_set(e, ERROR_CONFLICT, -EPERM, "no fault may begin: %s", all->blocked);
	return guardian_link_connected(all->guardian) ? begin(all, f, e) : no_guardian(e);
}

int faults_request(struct faults *all, const struct request *q, const struct caller *c,
		   struct fault **ret, struct error *e)
{
	struct fault *f;
	int r = understand(all, q, c, &f, e);

	if (r < 0)
		return r;
	*ret = f;
	r = q->dry_run ? 0 : recall(all, f, ret, e);
	if (r == 0)
		r = plan_and_begin(all, q, f, e);
	if (r < 0 || r == 1)
		fault_free(f);
	return r;
}
