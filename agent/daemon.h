/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon: puts the rooms together around one loop, answers signals and the supervisor. */
#ifndef FAULTD_DAEMON_H
#define FAULTD_DAEMON_H

#include <stdbool.h>

struct daemon_options {
	const char *socket;      /* path of the API's socket */
	const char *runtime_dir; /* journal, guardian's socket */
	const char *state_dir;   /* what outlives a boot */
	const char *config;
	bool config_required; /* it was named: then it must be there */
};

/* Runs until SIGTERM or SIGINT. Returns the exit status: 0 all undone, 1 could not start, 3
 * something was still not undone when it stopped. */
int daemon_run(const struct daemon_options *options);

#endif
