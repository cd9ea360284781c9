/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what, to what, for how long. Pure: callers bring the facts. */
#ifndef FAULTD_PLAN_POLICY_H
#define FAULTD_PLAN_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan/schema.h"
#include "plan/values.h"
#include "util/err.h"

enum irreversible_policy {
	IRREVERSIBLE_CONFIRM, /* the request must carry consent */
	IRREVERSIBLE_ALLOW,
	IRREVERSIBLE_DENY,
};

enum host_policy { HOST_ACTIONS_DENY, HOST_ACTIONS_ALLOW };

/* The configuration file; every value has a default, so an absent file is a full policy. */
struct policy {
	uint64_t max_duration_ms;
	int64_t max_faults;
	int irreversible; /* enum irreversible_policy */
	struct name_list protected_processes;
	struct name_list protected_units;
	struct name_list protected_mounts;
	int host_actions;                /* enum host_policy */
	char group[32];                  /* whose members may, beside root */
	int hook;                        /* enum hook_choice */
	char network_sets[256];          /* file of named sets of prefixes */
	struct peer_list network_spared; /* from every rule without allowLockout */
};

enum hook_choice { HOOK_AUTO, HOOK_TCX, HOOK_CLSACT };

extern const struct row policy_rows[];
extern const size_t n_policy_rows;

struct caller {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	bool in_group; /* a member of policy.group */
};

/* Reads the text of a configuration file; `text` NULL gives the defaults. */
int policy_parse(const char *text, size_t length, struct policy *ret, struct error *e);

/* May this caller use the API at all? `daemon_uid`: the user faultd runs as. Returns 0 or -EACCES.
 */
int policy_check_caller(const struct caller *c, uid_t daemon_uid, struct error *e);

/* May such a fault start now? Returns 0, or a negative errno and the error. */
struct policy_question {
	uint64_t duration_ms;
	size_t open_faults;
	bool irreversible;
	bool host_action; /* reboots, or the like */
	bool confirmed;
	bool dry_run;
	const char *action;
};
int policy_check_fault(const struct policy *p, const struct policy_question *q, struct error *e);

/* Is a process of this name out of bounds? Only the first 15 characters of a name exist in the
 * kernel. `contained`: it runs in a container, where an init or an sshd is not the host's. */
bool policy_protects(const struct policy *p, const char *name, bool contained);

/* Is this unit, or what is mounted at this point, out of bounds by name? */
bool policy_protects_unit(const struct policy *p, const char *name);
bool policy_protects_mount(const struct policy *p, const char *point);

#endif
