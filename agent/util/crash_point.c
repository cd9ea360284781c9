/* SPDX-License-Identifier: Apache-2.0 */
#include "util/crash_point.h"

#if FAULTD_CRASH_POINTS
#include <signal.h>
#include <stdlib.h>

#include "util/log.h"

void crash_point(const char *where)
{
	static int count;
	const char *at = getenv("FAULTD_HALT_AT");

	count++;
	if (!at || atoi(at) != count)
		return;
	log_notice("halted at crash point %d: %s", count, where);
	(void)raise(SIGSTOP);
}
#endif
