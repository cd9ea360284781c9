/* SPDX-License-Identifier: Apache-2.0 */
/* A cgroup of faultd's own for a load, below the one that is aimed at. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "steps/kinds.h"

int cgroup_prepare(struct step *s, const struct step_env *env, struct error *e)
{
	struct stat st;

	if (lstat(s->cgroup.path, &st) == 0) {
		s->cgroup.made = 0; /* somebody's: used and left */
		return 1;
	}
	if (errno != ENOENT)
		return error_set(e, ERROR_FAILED, -errno, "cannot look at %s: %s", s->cgroup.path,
				 strerror(errno));
	s->cgroup.made = 1;
	return 1;
}

int cgroup_apply(struct step *s, const struct step_env *env, struct error *e)
{
	if (mkdir(s->cgroup.path, 0755) == 0) {
		if (s->cgroup.made)
			return 0;
		/* The journal says that it was somebody's: it would be nobody's to remove. */
		(void)rmdir(s->cgroup.path);
		return error_set(e, ERROR_FAILED, -ESTALE, "%s was removed while it was needed",
				 s->cgroup.path);
	}
	if (errno == EEXIST) {
		if (!s->cgroup.made)
			return 0;
		s->cgroup.made = 0; /* made by somebody in between */
		return 1;
	}
	return error_set(e, errno == EACCES || errno == EPERM ? ERROR_UNSUPPORTED : ERROR_FAILED,
			 -errno, "cannot make the cgroup %s: %s", s->cgroup.path, strerror(errno));
}

int cgroup_undo(struct step *s, const struct step_env *env, struct text *note)
{
	return cgroup_remove(s, 0);
}
