/* SPDX-License-Identifier: Apache-2.0 */
/* The safety lever: ends everything and lets nothing begin, until it is let go. What it does it
 * does at once, whatever the disk says; what the disk says is told. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/internal.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/str.h"

#define PULL_MAX_MS 5000

/* One that is under way. It goes when nobody has it any more: neither the loop nor the store, which
 * may have it for as long as the disk hangs. */
struct lever_pull {
	struct experiments *all;
	uv_timer_t timer;
	uint64_t late_boot_ns;
	bool engage, is_stored, is_late, is_over;
	unsigned holders;
	lever_done_fn done;
	void *arg;
	struct error error;
};

static const char *const names[] = {"disengaged", "engaging", "engaged"};

const char *lever_status_name(enum lever_status s)
{
	return names[s];
}

const struct lever *experiments_lever(const struct experiments *all)
{
	return &all->lever;
}

static void block(struct experiments *all)
{
	char why[REASON_MAX + 64];

	(void)snprintf(why, sizeof(why), "the safety lever is engaged: %s", all->lever.reason);
	faults_block(all->faults, all->lever.status == LEVER_DISENGAGED ? NULL : why);
}

static void let_go(struct lever_pull *p)
{
	if (--p->holders == 0)
		free(p);
}

static void on_closed(uv_handle_t *h)
{
	let_go(h->data);
}

static bool everything_is_over(struct experiments *all)
{
	for (const struct experiment *x = all->first; x; x = x->next) {
		if (!experiment_is_over(x))
			return false;
	}
	return faults_count_open(all->faults) == 0;
}

static void tell(struct lever_pull *p)
{
	p->is_over = true;
	p->all->pull = NULL;
	p->done(&p->all->lever, p->error.code == ERROR_NONE ? NULL : &p->error, p->arg);
	uv_close((uv_handle_t *)&p->timer, on_closed);
}

static void finish(struct lever_pull *p)
{
	struct experiments *all = p->all;

	all->lever.status = p->engage ? LEVER_ENGAGED : LEVER_DISENGAGED;
	if (!p->engage)
		block(all);
	if (p->engage && !everything_is_over(all))
		log_error("the safety lever is engaged, but not everything could be put back yet");
	log_notice("the safety lever is %s: %s", lever_status_name(all->lever.status),
		   all->lever.reason);
	if (!p->is_stored)
		(void)error_set(&p->error, ERROR_FAILED, -ETIMEDOUT,
				"it takes effect now, but the disk has not answered: it is not "
				"known whether it would outlive a restart");
	tell(p);
}

static void look(struct lever_pull *p)
{
	if (p->is_late || (p->is_stored && (!p->engage || everything_is_over(p->all))))
		finish(p);
}

/* Looked at when the loop turns: whoever tells of an end is in the middle of it. */
static void on_timer(uv_timer_t *t)
{
	struct lever_pull *p = t->data;
	uint64_t now = boot_ns();

	p->is_late = now >= p->late_boot_ns;
	look(p);
	if (!p->is_over)
		(void)uv_timer_start(t, on_timer, (p->late_boot_ns - now) / NSEC_PER_MSEC + 1, 0);
}

void lever_turn(struct experiments *all)
{
	if (all->pull)
		(void)uv_timer_start(&all->pull->timer, on_timer, 0, 0);
}

static void on_stored(int r, void *arg)
{
	struct lever_pull *p = arg;

	p->is_stored = true;
	if (r < 0)
		(void)error_set(&p->error, ERROR_FAILED, r,
				"it takes effect now, but would not outlive a restart: %s",
				strerror(-r));
	if (!p->is_over && !p->all->stopping)
		lever_turn(p->all);
	let_go(p);
}

static int put(struct experiments *all, bool engaged, store_done_fn done, void *arg)
{
	cJSON *o = cJSON_CreateObject();
	char *text = NULL;
	int r;

	if (cJSON_AddStringToObject(o, "status", engaged ? "engaged" : "disengaged") &&
	    cJSON_AddStringToObject(o, "reason", all->lever.reason))
		text = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	r = text ? store_put(all->store, STORE_STATE, "lever", 0, text, done, arg) : -ENOMEM;
	cJSON_free(text);
	return r;
}

static void store(struct experiments *all, struct lever_pull *p)
{
	int r;

	p->holders++;
	r = put(all, p->engage, on_stored, p);
	if (r < 0)
		on_stored(r, p);
}

void lever_save(struct experiments *all)
{
	bool engaged = all->pull ? all->pull->engage : all->lever.status != LEVER_DISENGAGED;
	int r = put(all, engaged, NULL, NULL);

	if (r < 0)
		log_error("the safety lever's state is not kept on disk: %s", strerror(-r));
}

void experiments_stop_all(struct experiments *all, const char *reason)
{
	for (struct experiment *x = all->first; x; x = x->next)
		experiment_stop(x, reason);
}

static void end_everything(struct experiments *all)
{
	char reason[REASON_MAX];

	(void)snprintf(reason, sizeof(reason), "The safety lever was engaged: %.440s",
		       all->lever.reason);
	experiments_stop_all(all, reason);
	faults_stop_all(all->faults, "the safety lever was engaged");
}

int experiments_pull_lever(struct experiments *all, bool engage, const char *reason,
			   lever_done_fn done, void *arg, struct error *e)
{
	struct lever_pull *p;

	if (all->pull)
		return error_set(e, ERROR_CONFLICT, -EBUSY,
				 "the safety lever is being moved; try again when that is done");
	p = calloc(1, sizeof(*p));
	if (!p)
		return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	*p = (struct lever_pull){.all = all,
				 .engage = engage,
				 .done = done,
				 .arg = arg,
				 .holders = 1,
				 .late_boot_ns = boot_ns() + PULL_MAX_MS * NSEC_PER_MSEC};
	(void)uv_timer_init(all->loop, &p->timer);
	p->timer.data = p;
	all->pull = p;
	(void)str_copy(all->lever.reason, sizeof(all->lever.reason), reason);
	if (engage) {
		all->lever.status = LEVER_ENGAGING;
		block(all);
		end_everything(all);
	}
	store(all, p);
	lever_turn(all);
	return 0;
}

static void engage_since(struct experiments *all, const char *reason)
{
	(void)str_copy(all->lever.reason, sizeof(all->lever.reason), reason);
	all->lever.status = LEVER_ENGAGED;
	block(all);
}

void lever_load(struct experiments *all, const cJSON *saved)
{
	const char *status =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(saved, "status"));
	const char *reason =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(saved, "reason"));

	if (!status || !reason || (!str_eq(status, "engaged") && !str_eq(status, "disengaged"))) {
		lever_unknown(all, "its record on disk makes no sense");
		return;
	}
	if (str_eq(status, "engaged")) {
		engage_since(all, reason);
		log_notice("the safety lever is engaged since before: %s", reason);
	} else {
		(void)str_copy(all->lever.reason, sizeof(all->lever.reason), reason);
	}
}

void lever_unknown(struct experiments *all, const char *why)
{
	char reason[REASON_MAX];

	(void)snprintf(
		reason, sizeof(reason),
		"It is not known how the lever was left (%.300s), so it is taken as engaged.", why);
	engage_since(all, reason);
	log_error("the safety lever: %s Nothing begins until it is disengaged", reason);
}

/* Nobody waits for its end any more; what it had moved, it has. */
void lever_free(struct experiments *all)
{
	if (!all->pull)
		return;
	(void)error_set(&all->pull->error, ERROR_UNAVAILABLE, -ESHUTDOWN, "faultd is stopping");
	tell(all->pull);
}
