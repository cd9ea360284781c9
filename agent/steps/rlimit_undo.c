/* SPDX-License-Identifier: Apache-2.0 */
/* Raising a limit again that we have lowered, if it still has a value of ours. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <sys/resource.h>

#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/proc.h"

static bool is_ours(const struct step_rlimit *l, uint64_t value)
{
	return value == l->want || value == l->want_before;
}

/* A hard limit that was lowered meanwhile is somebody's will. */
static int put_back(const struct step_rlimit *l, struct text *note)
{
	__rlimit_resource_t resource = (__rlimit_resource_t)l->resource;
	struct rlimit now;

	if (prlimit((pid_t)l->pid, resource, NULL, &now) < 0)
		return -errno;
	if (now.rlim_cur == l->was)
		return 0;
	if (!is_ours(l, now.rlim_cur)) {
		text_add(note,
			 "the limit of process %" PRIu64 " (%s) was changed by someone else to "
			 "%" PRIu64 " and left so",
			 l->pid, l->name, (uint64_t)now.rlim_cur);
		return 0;
	}
	now.rlim_cur = l->was < now.rlim_max ? l->was : now.rlim_max;
	if (prlimit((pid_t)l->pid, resource, &now, NULL) < 0)
		return -errno;
	return 0;
}

int rlimit_undo_alone(struct step *s, struct text *note)
{
	_cleanup_close_ int pidfd = proc_open((pid_t)s->rlimit.pid, s->rlimit.start);
	int r = pidfd < 0 ? pidfd : put_back(&s->rlimit, note);

	return r == -ESRCH ? 0 : r;
}
