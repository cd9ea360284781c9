/* SPDX-License-Identifier: Apache-2.0 */
/* One timerfd on CLOCK_BOOTTIME for everything that falls due, for libuv's timers stand still while
 * the machine sleeps. What has fallen due is found by looking at the faults themselves, against
 * their absolute times, so an alarm too many or too early is harmless. */
#include <errno.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "fault/internal.h"
#include "util/clock.h"

static void earlier(uint64_t *at, uint64_t candidate)
{
	if (candidate && (*at == 0 || candidate < *at))
		*at = candidate;
}

/* When this fault next needs attention; 0: not by itself. */
static uint64_t next_due(const struct fault *f)
{
	uint64_t at = 0;

	if (f->state == FAULT_JOURNALED || f->state == FAULT_STUCK || f->state == FAULT_UNDOING)
		return f->wait_boot_ns;
	if (f->state != FAULT_ACTIVE && f->state != FAULT_APPLYING)
		return 0;
	earlier(&at, f->deadline_boot_ns);
	earlier(&at, f->lease_boot_ns);
	earlier(&at, f->state == FAULT_APPLYING ? f->wait_boot_ns : f->interval_boot_ns);
	earlier(&at, f->begin_boot_ns);
	earlier(&at, f->grade_boot_ns);
	if (f->state == FAULT_ACTIVE)
		earlier(&at, f->resolve_boot_ns);
	return at;
}

void alarm_set(struct faults *all)
{
	struct itimerspec when = {0};
	uint64_t at = 0;

	for (const struct fault *f = all->first; f; f = f->next)
		earlier(&at, next_due(f));
	when.it_value.tv_sec = (time_t)(at / NSEC_PER_SEC);
	when.it_value.tv_nsec = (long)(at % NSEC_PER_SEC);
	/* A time that is past fires at once; zero disarms. Cannot fail with these arguments. */
	(void)timerfd_settime(all->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static bool is_due(uint64_t at, uint64_t now)
{
	return at && at <= now;
}

static void attend_open(struct fault *f, uint64_t now)
{
	if (is_due(f->deadline_boot_ns, now))
		fault_end(f, f->action->duration == DURATION_OPTIONAL && f->duration_ms == 0
				     ? "completed"
				     : "deadline");
	else if (is_due(f->lease_boot_ns, now))
		fault_end(f, "lease expired");
	else if (f->state == FAULT_APPLYING && is_due(f->wait_boot_ns, now))
		fault_settle(f);
	else if (is_due(f->begin_boot_ns, now))
		fault_begin(f);
	else if (is_due(f->grade_boot_ns, now))
		fault_regrade(f);
	else if (f->state == FAULT_ACTIVE && is_due(f->interval_boot_ns, now))
		fault_look_again(f);
	else if (f->state == FAULT_ACTIVE && is_due(f->resolve_boot_ns, now))
		fault_resolve_again(f);
}

static void guardian_is_silent(struct fault *f)
{
	struct error e;

	(void)error_set(&e, ERROR_UNAVAILABLE, -ETIMEDOUT,
			"the guardian did not answer within %d ms", GUARDIAN_ACK_MS);
	f->owner->guardian_is_silent = true;
	fault_fail(f, &e);
}

static void attend(struct fault *f, uint64_t now)
{
	if (f->state == FAULT_ACTIVE || f->state == FAULT_APPLYING)
		attend_open(f, now);
	else if (f->state == FAULT_JOURNALED && is_due(f->wait_boot_ns, now))
		guardian_is_silent(f);
	else if (f->state == FAULT_UNDOING && is_due(f->wait_boot_ns, now))
		fault_undo_on(f);
	else if (f->state == FAULT_STUCK && is_due(f->wait_boot_ns, now))
		fault_undo(f);
}

static void on_alarm(uv_poll_t *poll, int status, int events)
{
	struct faults *all = poll->data;
	uint64_t now = boot_ns(), ticks;

	if (read(all->alarm_fd, &ticks, sizeof(ticks)) < 0)
		return;
	for (struct fault *f = all->first, *next; f; f = next) {
		next = f->next;
		attend(f, now);
	}
	alarm_set(all);
}

int alarm_start(struct faults *all)
{
	int r;

	all->alarm_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (all->alarm_fd < 0)
		return -errno;
	r = uv_poll_init(all->loop, &all->alarm, all->alarm_fd);
	if (r < 0)
		return r;
	all->alarm.data = all;
	return uv_poll_start(&all->alarm, UV_READABLE, on_alarm);
}
