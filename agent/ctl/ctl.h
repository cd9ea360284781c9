/* SPDX-License-Identifier: Apache-2.0 */
/* What every command of faultctl is given and what it is. Commands know this header and the
 * rooms below it (api, fault, params, http, out), never each other. */
#ifndef FAULTD_CTL_CTL_H
#define FAULTD_CTL_CTL_H

#include <stdbool.h>
#include <stdlib.h>

struct http;

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void freep(void *p)
{
	free(*(void **)p);
}

struct ctl {
	const char *socket;
	bool json;
	int signal_fd; /* SIGINT, SIGTERM and SIGHUP arrive here and nowhere else */
	struct http *http;
};

/* argv[0] is the name of the command, global options are already taken out. Returns an exit
 * code, after at most one line on stderr that says why it is not 0. */
typedef int command_fn(struct ctl *ctl, int argc, char **argv);

command_fn cmd_run, cmd_plan, cmd_list, cmd_show, cmd_stop, cmd_watch, cmd_actions, cmd_recover,
	cmd_doctor, cmd_experiment, cmd_template, cmd_lever;

/* Prints the help of one action, made from the daemon's catalogue. Returns an exit code. */
int action_help(struct ctl *ctl, const char *name);

/* Says on stderr that `argument` is not expected after `command`. Returns EXIT_USAGE. */
int unexpected(const char *command, const char *argument);

#endif
