/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_UTIL_SPAWN_H
#define FAULTD_UTIL_SPAWN_H

#include <sys/types.h>

enum spawn_place {
	SPAWN_OWN_GROUP,   /* a terminal's Ctrl-C is the parent's to answer */
	SPAWN_OWN_SESSION, /* nor does a kill of the parent's group or a hangup reach it */
	SPAWN_STRANGER,    /* the same, and its stderr is /dev/null: a program that is not ours */
};

/* Runs `program` with these as stdin and stdout (-1: /dev/null), no environment, default signals,
 * and only the descriptors that are not close-on-exec. posix_spawn() shares memory until the exec,
 * so nothing of the caller is copied. A child with a parent-death signal dies with the thread that
 * called this, so that must be the main one. Returns 0 and the pid, or a negative errno. */
int spawn_program(const char *program, char **argv, enum spawn_place place, int in_fd, int out_fd,
		  pid_t *ret);

#endif
