/* SPDX-License-Identifier: Apache-2.0 */
/* Freezing a file system, by a worker: FIFREEZE waits until all that is being written is on the
 * disk. The worker freezes only when it is told to, which is after its pid has been journalled: who
 * undoes must always know which process may still be inside FIFREEZE. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/proc.h"

static int load_of(const struct step_freeze *f, struct step *ret, struct error *e)
{
	char device[24];

	*ret = (struct step){.kind = STEP_CHILD};
	(void)snprintf(device, sizeof(device), "%" PRIu64, f->device);
	if (step_load_add(ret, "freeze") && step_load_add(ret, "--path") &&
	    step_load_add(ret, f->path) && step_load_add(ret, "--device") &&
	    step_load_add(ret, device))
		return 0;
	return error_set(e, ERROR_VALIDATION, -ENAMETOOLONG, "the path %s is too long", f->path);
}

int freeze_apply(struct step *s, const struct step_env *env, struct error *e)
{
	struct step_freeze *f = &s->freeze;
	struct step child;
	int r = load_of(f, &child, e);

	if (r == 0)
		r = worker_start(child.child.load, env, &f->pid, &f->start, &f->ready_fd, NULL, e);
	return r < 0 ? r : 1;
}

/* Said again until it is ready: before it listens, SIGCONT is nothing to it. */
static void tell_to_freeze(const struct step_freeze *f)
{
	_cleanup_close_ int pidfd = proc_open((pid_t)f->pid, f->start);

	if (pidfd >= 0)
		(void)proc_signal(pidfd, SIGCONT);
}

int freeze_settle(struct step *s, const struct step_env *env, struct error *e)
{
	struct step_freeze *f = &s->freeze;
	struct step child;
	int r = load_of(f, &child, e);

	if (r < 0)
		return r;
	r = worker_settle(&f->ready_fd, child.child.load, e);
	if (r == -EAGAIN)
		tell_to_freeze(f);
	if (r == -EIO)
		f->device = 0; /* it has said why not: whoever froze it, it was not us */
	return r;
}

int freeze_undo(struct step *s, const struct step_env *env, struct text *note)
{
	if (s->freeze.ready_fd > 0) {
		(void)close(s->freeze.ready_fd - 1);
		s->freeze.ready_fd = 0;
	}
	return freeze_thaw(s, 0, note);
}
