/* SPDX-License-Identifier: Apache-2.0 */
/* What this host can and cannot do, found out by asking the kernel, never from its version. */
#ifndef FAULTD_HOST_FEATURES_H
#define FAULTD_HOST_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Does the kernel have TCX links (Linux 6.6)? */
bool feature_tcx(void);

/* Is this process allowed to load and attach classifiers? */
bool feature_net_privilege(void);

/* Has the kernel netem, and all else that shapers are made of: what it lacks, or NULL? Found by
 * trying, once. True, and NULL, where that cannot be tried. */
bool feature_netem(void);
const char *feature_shaping_lacks(void);
bool feature_shaping_known(void); /* could it be tried? */

/* Does it hold this capability (CAP_*)? */
bool feature_capability(int capability);

enum check_status {
	CHECK_OK,
	CHECK_LIMITED, /* works, with less; the detail says what is missing */
	CHECK_MISSING,
};

struct check {
	const char *name;
	enum check_status status;
	char detail[200];
};

#define CHECKS_MAX 16

/* Fills at most CHECKS_MAX; returns how many. */
size_t features_check(pid_t guardian, struct check *ret);

#endif
