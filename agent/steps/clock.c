/* SPDX-License-Identifier: Apache-2.0 */
/* Moving the wall clock, at once or in the steps of a ramp. */
#include "steps/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/timex.h>

#include "steps/kinds.h"
#include "util/clock.h"

int clock_prepare(struct step *s, const struct step_env *env, struct error *e)
{
	struct timex t = {0};

	if (clock_adjtime(CLOCK_REALTIME, &t) < 0)
		return error_set(e, ERROR_FAILED, -errno, "cannot read the clock's state: %s",
				 strerror(errno));
	s->clock.status = (uint64_t)t.status;
	s->clock.max_error_us = (uint64_t)t.maxerror;
	s->clock.error_us = (uint64_t)t.esterror;
	s->clock.boot_ns = boot_ns();
	s->clock.base_ns = (uint64_t)clock_difference();
	s->clock.before_ns = 0;
	return 1;
}

int clock_apply(struct step *s, const struct step_env *env, struct error *e)
{
	int64_t deviation = clock_difference() - (int64_t)s->clock.base_ns;
	int r;

	if (!clock_is_near(deviation, (int64_t)s->clock.before_ns))
		return error_set(e, ERROR_FAILED, -ESTALE,
				 "the wall clock was set by someone else meanwhile");
	if (s->clock.offset_ns == s->clock.before_ns)
		return 0; /* a ramp begins where the clock is: nothing to be set, nothing to be
			     forgotten */
	r = clock_move((int64_t)s->clock.offset_ns - deviation);
	if (r < 0)
		return error_set(e, r == -EPERM ? ERROR_UNSUPPORTED : ERROR_FAILED, r,
				 "cannot set the wall clock: %s",
				 r == -EPERM ? "faultd lacks the privilege (CAP_SYS_TIME)"
					     : strerror(-r));
	return 0;
}

bool clock_prepare_update(struct step *s, const struct step *fresh)
{
	s->clock.before_ns = s->clock.offset_ns;
	s->clock.offset_ns = fresh->clock.offset_ns;
	return true;
}
