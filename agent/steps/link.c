/* SPDX-License-Identifier: Apache-2.0 */
/* Taking an interface down. What the kernel forgets with it was remembered by the steps before. */
#include <errno.h>

#include "steps/kinds.h"

int link_prepare(struct step *s, const struct step_env *env, struct error *e)
{
	int r = link_is_up((uint32_t)s->hook.ifindex);

	if (r < 0)
		return hook_cannot(e, r, "take down", &s->hook);
	if (r == 0)
		return error_set(e, ERROR_CONFLICT, -EALREADY, "%s is down already",
				 s->hook.ifname);
	s->hook.ours = 1;
	return 1;
}

int link_apply(struct step *s, const struct step_env *env, struct error *e)
{
	int r = link_set((uint32_t)s->hook.ifindex, false);

	if (r == 0)
		r = link_is_up((uint32_t)s->hook.ifindex);
	if (r > 0)
		r = -EBUSY;
	return r < 0 ? hook_cannot(e, r, "take down", &s->hook) : 0;
}

int keep_apply(struct step *s, const struct step_env *env, struct error *e)
{
	return 0; /* it is in the journal */
}
