/* SPDX-License-Identifier: Apache-2.0 */
/* Lowering a limit of a process, by prlimit(2). Only the soft limit is touched, so that putting it
 * back needs no privilege over the hard one. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/proc.h"

static int cannot(struct error *e, int r, const struct step_rlimit *l)
{
	if (r == -ESRCH)
		return error_set(e, ERROR_FAILED, r, "process %" PRIu64 " (%s) is gone", l->pid,
				 l->name);
	return error_set(e, r == -EPERM ? ERROR_UNSUPPORTED : ERROR_FAILED, r,
			 "cannot lower the limit of process %" PRIu64 " (%s): %s", l->pid, l->name,
			 r == -EPERM ? "it belongs to another user, and faultd lacks the privilege "
				       "(CAP_SYS_RESOURCE)"
				     : strerror(-r));
}

/* prlimit(2) knows no pidfd: that it was the process is known when it still lives afterwards. */
static int limit_of(const struct step_rlimit *l, const struct rlimit *set, struct rlimit *ret)
{
	_cleanup_close_ int pidfd = proc_open((pid_t)l->pid, l->start);

	if (pidfd < 0)
		return pidfd;
	if (prlimit((pid_t)l->pid, (__rlimit_resource_t)l->resource, set, ret) < 0)
		return -errno;
	return proc_signal(pidfd, 0) == -ESRCH ? -ESRCH : 0;
}

int rlimit_prepare(struct step *s, const struct step_env *env, struct error *e)
{
	struct step_rlimit *l = &s->rlimit;
	struct rlimit now;
	int r = limit_of(l, NULL, &now);

	if (r < 0)
		return cannot(e, r, l);
	l->since = boot_ns() / (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
	l->was = now.rlim_cur;
	l->want_before = l->lowest = l->highest = l->want;
	return 1;
}

static int lower(const struct step_rlimit *l, struct error *e)
{
	struct rlimit now;
	int r = limit_of(l, NULL, &now);

	if (r == 0 && l->want <= l->was && l->want <= now.rlim_max) {
		now.rlim_cur = l->want;
		r = limit_of(l, &now, NULL);
	}
	return r < 0 ? cannot(e, r, l) : 0;
}

int rlimit_apply(struct step *s, const struct step_env *env, struct error *e)
{
	return lower(&s->rlimit, e);
}

bool rlimit_prepare_update(struct step *s, const struct step *fresh)
{
	struct step_rlimit *l = &s->rlimit;

	if (l->want == fresh->rlimit.want)
		return false;
	l->want_before = l->want;
	l->want = fresh->rlimit.want;
	if (l->want < l->lowest)
		l->lowest = l->want;
	if (l->want > l->highest)
		l->highest = l->want;
	return true;
}

/* Somebody else's value stays: then this is no longer ours to raise or lower. */
int rlimit_update(struct step *s, const struct step_env *env, struct error *e)
{
	const struct step_rlimit *l = &s->rlimit;
	struct rlimit now;
	int r = limit_of(l, NULL, &now);

	if (r < 0)
		return cannot(e, r, l);
	return now.rlim_cur == l->want_before ? lower(l, e) : 0;
}
