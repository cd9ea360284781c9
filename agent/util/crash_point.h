/* SPDX-License-Identifier: Apache-2.0 */
/* Numbered places at which the crash tests halt the program: between every two journal lines and
 * every two steps. Built in only with -Dcrash_points=true; otherwise it is nothing. */
#ifndef FAULTD_UTIL_CRASH_POINT_H
#define FAULTD_UTIL_CRASH_POINT_H

#if FAULTD_CRASH_POINTS
/* Counts; at number $FAULTD_HALT_AT it says so on stderr and raises SIGSTOP. */
void crash_point(const char *where);
#else
static inline void crash_point(const char *where)
{
	(void)where;
}
#endif

#endif
