/* SPDX-License-Identifier: Apache-2.0 */
/* Where a load takes effect: inside a cgroup, counted against its limits; with the files and the
 * network of a container. */
#ifndef FAULTD_LOAD_ENTER_H
#define FAULTD_LOAD_ENTER_H

struct place {
	const char *cgroup;  /* path below the root of each hierarchy; NULL: stay */
	const char *process; /* "PID:START", its mount and network namespaces; NULL: stay */
};

/* Enters both. The calling process must have one thread. Returns 0, or a negative errno with
 * `ret_what` naming what could not be done. */
int place_enter(const struct place *place, const char **ret_what)
	__attribute__((warn_unused_result));

#endif
