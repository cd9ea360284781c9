/* SPDX-License-Identifier: Apache-2.0 */
/* One attached fault, from the request to its end. */
#ifndef FAULTD_CTL_ATTACH_H
#define FAULTD_CTL_ATTACH_H

#include "ctl/ctl.h"

/* Starts what body asks for ("attach": true) and holds the connection until the fault has ended:
 * shows its progress, renews its lease, and on SIGINT, SIGTERM or SIGHUP stops it and still waits
 * for the end; a second signal only leaves. Returns the exit code of the end, after saying what
 * happened and whether the host was put back. */
int attach(struct ctl *ctl, const char *body);

#endif
