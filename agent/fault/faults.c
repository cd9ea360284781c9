/* SPDX-License-Identifier: Apache-2.0 */
#include "fault/faults.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault/internal.h"
#include "steps/classifier.h"
#include "steps/replay.h"
#include "steps/stopped.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/proc.h"

#define LOCK_WAIT_MS     5000 /* a guardian may be undoing for our predecessor */
#define OVER_KEPT_MAX    128  /* finished faults that can still be shown */
#define OVERDUE_FATAL_MS 1000

static void on_ack(uint32_t number, void *arg)
{
	struct faults *all = arg;

	all->guardian_is_silent = false;
	/* The guardian reads everything each time: an answer covers all that was asked before it.
	 */
	for (struct fault *f = all->first, *next; f; f = next) {
		next = f->next;
		if (f->state == FAULT_JOURNALED && f->arm_number && f->arm_number <= number) {
			f->arm_number = 0;
			if (fault_remaining_ms(f) == 0)
				fault_end(f, "deadline");
			else
				fault_apply(f);
		}
	}
}

static void on_guardian(bool connected, void *arg)
{
	struct faults *all = arg;
	struct error e;

	all->guardian_is_silent = false;
	for (const struct fault_listener *l = all->listeners; l; l = l->next) {
		if (l->guardian)
			l->guardian(l->arg);
	}
	if (connected)
		return;
	(void)error_set(&e, ERROR_UNAVAILABLE, -ENOTCONN,
			"the guardian went away; nothing was changed");
	for (struct fault *f = all->first, *next; f; f = next) {
		next = f->next;
		if (f->state == FAULT_JOURNALED)
			fault_fail(f, &e);
	}
}

static int clean_up_after_predecessor(struct faults *all, struct error *e)
{
	struct replay_result result;
	int r;

	all->lock_fd = journal_lock(all->dirfd, LOCK_WAIT_MS);
	if (all->lock_fd == -EWOULDBLOCK)
		return error_set(e, ERROR_CONFLICT, -EWOULDBLOCK,
				 "another faultd (or a guardian that undoes) holds the journal");
	if (all->lock_fd < 0)
		return error_set(e, ERROR_FAILED, all->lock_fd, "cannot lock the journal: %s",
				 strerror(-all->lock_fd));
	r = replay_all(all->dirfd, &result);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot read the journals: %s", strerror(-r));
	if (result.faults)
		log_notice("put back what %u faults of an earlier faultd had left: %u steps",
			   result.faults, result.undone);
	if (result.bad)
		log_error(
			"%u bad lines or files in the journal: kept as *.bad, all others are undone",
			result.bad);
	if (result.failed || result.unread)
		return error_set(
			e, ERROR_FAILED, -EUCLEAN,
			"%u steps of an earlier faultd could not be undone; see the log, then faultd-guardian --all",
			result.failed + result.unread);
	return 0;
}

static int open_all(struct faults *all, const struct faults_setup *setup, struct error *e)
{
	const struct guardian_callbacks callbacks = {on_ack, on_guardian, all};
	struct proc_stat self;
	int r;

	all->dirfd = journal_dir_open(setup->runtime_dir, true);
	if (all->dirfd < 0)
		return error_set(e, ERROR_FAILED, all->dirfd, "cannot open %s/journal: %s",
				 setup->runtime_dir, strerror(-all->dirfd));
	r = clean_up_after_predecessor(all, e);
	if (r < 0)
		return r;
	r = proc_stat_read(getpid(), &self);
	all->self_start = self.start;
	all->shaper_base = (uint32_t)boot_ns() << 16;
	all->shapers = (uint32_t)(boot_ns() >> 16) & 0x7ff;
	if (r == 0)
		r = boot_id_read(all->boot_id);
	if (r == 0)
		r = alarm_start(all);
	if (r == 0)
		r = guardian_link_start(setup->loop, setup->runtime_dir, setup->guardian_path,
					&callbacks, &all->guardian);
	all->env.classifiers = classifiers_new();
	all->env.stopped = stopped_new();
	if (r == 0 && (!all->env.classifiers || !all->env.stopped))
		r = -ENOMEM;
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot set up in %s: %s", setup->runtime_dir,
				 strerror(-r))
		     : 0;
}

int faults_start(const struct faults_setup *setup, struct faults **ret, struct error *e)
{
	struct faults *all = calloc(1, sizeof(*all));
	int r;

	if (!all)
		return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	all->loop = setup->loop;
	all->policy = setup->policy;
	all->runtime_dir = setup->runtime_dir;
	all->state_dir = setup->state_dir;
	all->env.load_path = setup->load_path;
	all->dirfd = all->lock_fd = all->alarm_fd = -1;
	r = open_all(all, setup, e);
	if (r < 0) {
		free(all); /* the program ends: descriptors and handles go with it */
		return r;
	}
	*ret = all;
	return 0;
}

void faults_stop_all(struct faults *all, const char *reason)
{
	/* First what takes no time, for all of them. */
	for (struct fault *f = all->first; f; f = f->next) {
		if (f->state == FAULT_ACTIVE)
			(void)fault_release(f);
	}
	for (struct fault *f = all->first, *next; f; f = next) {
		next = f->next;
		fault_end(f, reason);
	}
}

size_t faults_finish(struct faults *all)
{
	static const struct timespec pause = {.tv_nsec = 5 * NSEC_PER_MSEC};
	bool waiting = true;

	while (waiting) {
		waiting = false;
		for (struct fault *f = all->first, *next; f; f = next) {
			next = f->next;
			if (f->state == FAULT_UNDOING)
				fault_undo_on(f);
			waiting |= f->state == FAULT_UNDOING;
		}
		if (waiting)
			(void)nanosleep(&pause, NULL);
	}
	return faults_count_open(all);
}

uv_loop_t *faults_loop(const struct faults *all)
{
	return all->loop;
}

void faults_close(struct faults *all)
{
	all->closing = true;
}

void faults_block(struct faults *all, const char *reason)
{
	(void)str_copy(all->blocked, sizeof(all->blocked), reason ? reason : "");
}

void faults_release(struct faults *all)
{
	uv_close((uv_handle_t *)&all->alarm, NULL);
	for (struct fault *f = all->first; f; f = f->next)
		watch_stop(f);
	guardian_link_stop(all->guardian, faults_count_open(all) == 0);
}

void faults_free(struct faults *all)
{
	for (struct fault *f = all->first, *next; f; f = next) {
		next = f->next;
		fault_free(f);
	}
	guardian_link_free(all->guardian);
	(void)classifiers_free(all->env.classifiers);
	(void)stopped_free(all->env.stopped);
	(void)close(all->alarm_fd);
	(void)close(all->lock_fd);
	(void)close(all->dirfd);
	free(all);
}

void faults_listen(struct faults *all, struct fault_listener *l)
{
	l->next = all->listeners;
	all->listeners = l;
}

void faults_unlisten(struct faults *all, struct fault_listener *l)
{
	struct fault_listener **p = &all->listeners;

	while (*p && *p != l)
		p = &(*p)->next;
	if (*p)
		*p = l->next;
}

/* The oldest finished fault goes when too many are kept. */
void faults_trim(struct faults *all)
{
	size_t n = 0;
	struct fault **p = &all->first;

	while (*p) {
		struct fault *f = *p;

		if (!fault_is_open(f) && ++n > OVER_KEPT_MAX) {
			*p = f->next;
			fault_free(f);
		} else {
			p = &f->next;
		}
	}
}

void faults_after_end(struct fault *f)
{
	if (faults_count_open(f->owner) == 0)
		guardian_link_idle(f->owner->guardian);
}

struct fault *faults_find(struct faults *all, const char *id)
{
	for (struct fault *f = all->first; f; f = f->next) {
		if (str_eq(f->id, id))
			return f;
	}
	return NULL;
}

struct fault *faults_first(struct faults *all)
{
	return all->first;
}

size_t faults_count_open(const struct faults *all)
{
	size_t n = 0;

	for (const struct fault *f = all->first; f; f = f->next)
		n += fault_is_open(f);
	return n;
}

size_t faults_count_stuck(const struct faults *all)
{
	size_t n = 0;

	for (const struct fault *f = all->first; f; f = f->next)
		n += f->state == FAULT_STUCK;
	return n;
}

void faults_retry(struct faults *all)
{
	for (struct fault *f = all->first, *next; f; f = next) {
		next = f->next;
		if (f->state == FAULT_STUCK)
			fault_undo(f);
	}
}

bool faults_guardian_connected(const struct faults *all)
{
	return guardian_link_connected(all->guardian);
}

bool faults_guardian_answers(const struct faults *all)
{
	return guardian_link_connected(all->guardian) && !all->guardian_is_silent;
}

pid_t faults_guardian_pid(const struct faults *all)
{
	return guardian_link_pid(all->guardian);
}

bool faults_healthy(const struct faults *all)
{
	uint64_t now = boot_ns();

	for (const struct fault *f = all->first; f; f = f->next) {
		if (f->state == FAULT_ACTIVE &&
		    now > f->deadline_boot_ns + OVERDUE_FATAL_MS * NSEC_PER_MSEC)
			return false;
	}
	return true;
}
