/* SPDX-License-Identifier: Apache-2.0 */
/* One experiment, watched to its end. */
#ifndef FAULTD_CTL_EXPERIMENT_WATCH_H
#define FAULTD_CTL_EXPERIMENT_WATCH_H

#include <stdbool.h>

#include "ctl/ctl.h"

enum watch_mode {
	WATCH,         /* the first signal leaves */
	WATCH_OWNED,   /* the first one stops it, and its end is waited for; a second one leaves */
	WATCH_STOPPED, /* the same, and the first one has come already */
	WATCH_END,     /* what somebody has stopped: the first one leaves before it is over */
};

/* Shows how it goes until it is over: on a terminal its actions on a line of time, else a line for
 * each change. Signals are SIGINT, SIGTERM and SIGHUP. Returns the exit code of its end. */
int watch_experiment(struct ctl *ctl, const char *id, enum watch_mode mode);

/* The same, without a word about how it goes, but for its records with --json. */
int await_experiment(struct ctl *ctl, const char *id, enum watch_mode mode);

/* Without those, too. */
int await_silently(struct ctl *ctl, const char *id, enum watch_mode mode);

#endif
