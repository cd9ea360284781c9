/* SPDX-License-Identifier: Apache-2.0 */
/* The units of systemd, as it tells them: over its own socket, else over the system bus. Read only;
 * each call takes at most UNITS_ASK_MS. */
#ifndef FAULTD_HOST_UNITS_H
#define FAULTD_HOST_UNITS_H

#include <stdbool.h>
#include <stddef.h>

#include "host/cgroups.h"

#define UNITS_ASK_MS    800
#define UNIT_NAME_SIZE  256 /* systemd's UNIT_NAME_MAX */
#define UNITS_FOUND_MAX 256

struct unit {
	char name[UNIT_NAME_SIZE]; /* its own: an alias leads to it */
	char active[24];           /* "active", "inactive", … */
	bool running;              /* active, or becoming so */
	bool dependent;            /* not asked for: it would be stopped with one that was */
	/* Of one that runs: */
	bool transient; /* systemd forgets it when it stops */
	bool can_start; /* by hand, as its file is now */
	bool can_stop;
	char cgroup[CGROUP_PATH_MAX]; /* of a service, else "" */
	char trigger[UNIT_NAME_SIZE]; /* a unit that starts it on demand, or "" */
};

struct unit_list {
	struct unit *unit;
	size_t n;
};

void unit_list_done(struct unit_list *list);

/* "nginx" -> "nginx.service", "web-*" -> "web-*.service"; a unit's suffix stays. Returns false when
 * it does not fit. Pure. */
bool unit_name_complete(const char *name, char ret[static UNIT_NAME_SIZE]);

/* Adds the loaded units that are so named or match one of these patterns, each once; a single name
 * may be an alias. Returns 0, or a negative errno: -ENOTCONN (systemd is not the init system here),
 * -ETIMEDOUT, -E2BIG … */
int units_find(const char *const *names, size_t n, struct unit_list *ret);

/* Adds, behind them, those that systemd would stop with the ones that run: what requires, is bound
 * to or is part of one. Returns as units_find(). */
int units_add_dependents(struct unit_list *list);

#endif
