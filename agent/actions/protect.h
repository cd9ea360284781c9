/* SPDX-License-Identifier: Apache-2.0 */
/* What no fault may hit, in one place: processes, units, cgroups and mounts that keep the host
 * reachable and in order, and faultd itself with its guardian. */
#ifndef FAULTD_ACTIONS_PROTECT_H
#define FAULTD_ACTIONS_PROTECT_H

#include "actions/action.h"

/* Faultd, its guardian, or what they run? */
bool protect_is_own(const struct process *p, const struct facts *facts);

/* Reads what protect_process() has to know beside the process' name; without it a container's own
 * init is taken for the host's. */
void protect_look(struct process *p, const struct facts *facts);

/* Each returns why it is out of bounds, or NULL. */
const char *protect_process(const struct process *p, const struct facts *facts);
const char *protect_unit(const char *name, const struct facts *facts);
/* For what stops a cgroup as a whole: it, or one below it, holds a protected process (workers of
 * other faults are, for what is frozen cannot be undone) or what the caller runs in. Reads /proc.
 */
const char *protect_cgroup(const char *path, const struct facts *facts, char *buffer, size_t size);
/* For what takes place inside it: workers may be there already, and the caller. */
const char *protect_target(const char *path, const struct facts *facts, char *buffer, size_t size);
/* For both: it is, is inside of, or holds a protected service of the host's own manager. */
const char *protect_units_of(const char *path, const struct facts *facts, char *buffer,
			     size_t size);
/* For what stops a file system: the root, and where faultd and the guardian have their programs,
 * sockets, journals and logs. `device`: of the file system as a whole, or st_dev. Reads the host.
 */
const char *protect_mount(const char *point, uint64_t device, const struct facts *facts);

#endif
