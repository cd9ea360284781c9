/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what, to what, for how long. Pure: callers bring the facts. */
#ifndef FAULTD_PLAN_POLICY_H
#define FAULTD_PLAN_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan/access.h"
#include "plan/fis_settings.h"
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
	struct fis_settings fis;
	struct access *access; /* owned */
};

enum hook_choice { HOOK_AUTO, HOOK_TCX, HOOK_CLSACT };

extern const struct row policy_rows[];
extern const size_t n_policy_rows;

#define CALLER_GROUPS_MAX 256

/* Who asks: the peer of a Unix socket, or who signed the request. */
struct caller {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	bool in_group;       /* a member of policy.group */
	bool groups_unknown; /* of which it is in more than can be told: none allows it anything */
	uint16_t n_groups;
	gid_t groups[CALLER_GROUPS_MAX]; /* beside `gid` */
	char key[ACCESS_KEY_ID_MAX + 1]; /* that signed the request; "": nobody did */
};

/* Reads the text of a configuration file; `text` NULL gives the defaults. `lookup` (NULL: no name
 * is known) is for users and groups that it names. Returns 0 and a policy to be released with
 * policy_done(), or a negative errno and the error. */
int policy_parse(const char *text, size_t length, const struct access_lookup *lookup,
		 struct policy *ret, struct error *e);
void policy_done(struct policy *p);

/* May this caller use the API at all? `daemon_uid`: the user faultd runs as. Returns 0 or -EACCES.
 */
int policy_check_caller(const struct policy *p, const struct caller *c, uid_t daemon_uid,
			struct error *e);

/* Is it in this group? */
bool caller_has_group(const struct caller *c, gid_t gid);

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
