/* SPDX-License-Identifier: Apache-2.0 */
/* The ends of processes, by pidfd: a worker that ends early ends its fault, for a load that is not
 * there must not be reported; a victim's end is its result. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault/internal.h"
#include "host/oom.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/proc.h"

static void free_watch(uv_handle_t *h)
{
	free(h->data);
}

static void close_watch(struct watch *w)
{
	struct watch **p = &w->fault->watches;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	uv_close((uv_handle_t *)&w->poll, free_watch);
	(void)close(w->pidfd);
}

void watch_stop(struct fault *f)
{
	while (f->watches)
		close_watch(f->watches);
}

static bool all_results_are_in(const struct fault *f)
{
	return f->watches == NULL && f->action->duration == DURATION_OPTIONAL &&
	       f->interval_boot_ns == 0;
}

static void victim_ended(struct fault *f, struct step *s)
{
	uint64_t ms = (boot_ns() - s->process.sent_boot_ns) / NSEC_PER_MSEC;

	s->process.exited_after_ms = ms ? ms : 1;
	if (f->state == FAULT_ACTIVE && all_results_are_in(f))
		fault_end(f, "completed");
}

/* The worker is the first that the OOM killer takes: for a fault that is about memory that is what
 * it was to show. */
static bool was_taken_by_oom(const struct fault *f, int how)
{
	return f->action->oom_is_outcome && WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL &&
	       oom_kills_read() > f->oom_kills;
}

static void worker_ended(struct fault *f, struct step *s)
{
	char reason[TEXT_MAX];
	int how = 0;

	if (waitpid((pid_t)s->child.pid, &how, WNOHANG) <= 0)
		return;
	s->child.pid = 0;
	/* At the deadline both sides end by themselves; whoever is first, it is the deadline. */
	if (f->state != FAULT_ACTIVE || fault_remaining_ms(f) == 0)
		return;
	if (was_taken_by_oom(f, how)) {
		fault_end(f, "oomKilled");
		return;
	}
	if (WIFSIGNALED(how))
		(void)snprintf(reason, sizeof(reason), "a worker was killed by %s",
			       signal_name(WTERMSIG(how)));
	else
		(void)snprintf(reason, sizeof(reason), "a worker ended early with status %d",
			       WEXITSTATUS(how));
	(void)error_set(&f->error, ERROR_FAILED, 0, "%s (faultd-load %s)", reason, s->child.load);
	fault_end(f, reason);
}

static void on_exit_of(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct fault *f = w->fault;
	struct step *s = &f->plan.steps[w->step];

	close_watch(w);
	if (s->kind == STEP_CHILD)
		worker_ended(f, s);
	else
		victim_ended(f, s);
}

/* Without memory for a watch the fault goes on without: its deadline does not depend on it. */
void watch_step(struct fault *f, size_t step)
{
	const struct step *s = &f->plan.steps[step];
	_cleanup_close_ int pidfd = -1;
	struct watch *w;

	if (s->kind == STEP_CHILD)
		pidfd = proc_open((pid_t)s->child.pid, s->child.start);
	else if (s->kind == STEP_KILL && !s->process.gone)
		pidfd = proc_open((pid_t)s->process.pid, s->process.start);
	if (pidfd < 0) {
		/* Dead and reaped between signal and look: that is its end. */
		if (s->kind == STEP_KILL && !s->process.gone && pidfd == -ESRCH)
			f->plan.steps[step].process.exited_after_ms = 1;
		return;
	}
	w = calloc(1, sizeof(*w));
	if (!w || uv_poll_init(f->owner->loop, &w->poll, pidfd) < 0) {
		free(w);
		return;
	}
	w->poll.data = w;
	w->fault = f;
	w->step = step;
	w->pidfd = steal_fd(&pidfd);
	w->next = f->watches;
	f->watches = w;
	(void)uv_poll_start(&w->poll, UV_READABLE, on_exit_of);
}
