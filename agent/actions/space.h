/* SPDX-License-Identifier: Apache-2.0 */
/* What the actions on the space of a file system share: its path, and where that leads, on the host
 * or in each cgroup that is aimed at, whose processes may see other files. */
#ifndef FAULTD_ACTIONS_SPACE_H
#define FAULTD_ACTIONS_SPACE_H

#include "actions/action.h"

/* One place where a fault takes effect. */
struct space_place {
	const struct aim *aim; /* NULL: the host */
	const struct mount_facts *mount;
};

/* Looks at the file system that `path` is on, in each place that the target was resolved to.
 * Refused are those that hold no files, are read-only, or hold something that the policy protects.
 * Returns 0 or a negative errno and the error. */
int space_look(const char *path, struct facts *facts, struct error *e);

/* How many there are, and each. */
size_t space_places(const struct facts *facts);
struct space_place space_place(const struct facts *facts, size_t i);

/* Adds faultd-load KIND --path PATH for this place, in its cgroup and with its files; `leaf` is
 * that of target_add_leaf(). NULL and the error when it cannot. */
struct step *space_add_worker(const struct space_place *place, const char *leaf, const char *kind,
			      const char *path, struct plan *plan, struct error *e);

/* Adds an option and its value. */
bool space_add_number(struct step *s, const char *option, double v);

/* "cannot plan: …" */
int space_cannot_plan(int r, struct error *e);

#endif
