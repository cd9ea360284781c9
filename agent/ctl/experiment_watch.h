/* SPDX-License-Identifier: Apache-2.0 */
/* One experiment, watched to its end. */
#ifndef FAULTD_CTL_EXPERIMENT_WATCH_H
#define FAULTD_CTL_EXPERIMENT_WATCH_H

#include <stdbool.h>

#include "ctl/ctl.h"

/* Shows how it goes until it is over: on a terminal its actions on a line of time, else a line for
 * each change. `owned`: the first SIGINT, SIGTERM or SIGHUP stops it, and its end is waited for; a
 * second one leaves. Else the first one leaves. Returns the exit code of its end. */
int watch_experiment(struct ctl *ctl, const char *id, bool owned);

/* The same, owned, without a word about how it goes. */
int await_experiment(struct ctl *ctl, const char *id);

#endif
