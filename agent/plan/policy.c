/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/policy.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "util/duration.h"

#define COMM_LENGTH 15

/* By their names without ".service". */
static const char *const always_protected_units[] = {
	"dbus",
	"dbus-broker",
	"sshd",
	"ssh",
	"systemd-journald",
	"systemd-logind",
	"systemd-udevd",
	"systemd-networkd",
	"systemd-resolved",
	"NetworkManager",
	"networking",
	"amazon-ssm-agent",
	"snap.amazon-ssm-agent.amazon-ssm-agent",
	"kubelet",
	"containerd",
	"docker",
	"crio",
	"ecs",
	"faultd",
	"faultd-guardian",
};

/* What keeps a host reachable and in order; `protectedProcesses` adds to these. The first ones go
 * by the same names in containers, where they keep that container in order, not the host. */
static const char *const protected_on_host[] = {
	"systemd",         "init",        "systemd-journald", "systemd-logind", "systemd-udevd",
	"systemd-network", "dbus-daemon", "dbus-broker",      "NetworkManager", "sshd",
	"sshd-session",
};

static const char *const always_protected[] = {
	"amazon-ssm-agent",
	"ssm-agent-worker",
	"ssm-session-worker",
	"kubelet",
	"containerd",
	"containerd-shim",
	"dockerd",
	"crio",
	"conmon",
	"amazon-ecs-agent",
	"faultd",
	"faultd-guardian",
	"faultctl",
	"faultd-load",
};

static const char *const irreversible_values[] = {"confirm", "allow", "deny", NULL};
static const char *const host_values[] = {"deny", "allow", NULL};
static const char *const hook_values[] = {"auto", "tcx", "clsact", NULL};

const struct row policy_rows[] = {
	{.name = "maxDuration",
	 .type = ROW_DURATION,
	 FIELD(struct policy, max_duration_ms),
	 .def = "12h",
	 .min = 1000,
	 .max = DURATION_MAX_S * 1000.0,
	 .text = "longest fault that is accepted"},
	{.name = "maxFaults",
	 .type = ROW_INTEGER,
	 FIELD(struct policy, max_faults),
	 .def = "32",
	 .min = 1,
	 .max = 256,
	 .text = "faults open at the same time"},
	{.name = "irreversible",
	 .type = ROW_ENUM,
	 FIELD(struct policy, irreversible),
	 .def = "confirm",
	 .values = irreversible_values,
	 .text = "actions that cannot be undone: ask for consent, allow, deny"},
	{.name = "protectedProcesses",
	 .type = ROW_NAMES,
	 FIELD(struct policy, protected_processes),
	 .text = "process names that are never signalled, beside the built-in ones"},
	{.name = "protectedUnits",
	 .type = ROW_NAMES,
	 FIELD(struct policy, protected_units),
	 .text = "systemd units that are never stopped nor aimed at, beside the built-in ones"},
	{.name = "protectedMounts",
	 .type = ROW_NAMES,
	 FIELD(struct policy, protected_mounts),
	 .text = "mount points that are never frozen nor filled, beside those faultd needs itself"},
	{.name = "hostActions",
	 .type = ROW_ENUM,
	 FIELD(struct policy, host_actions),
	 .def = "deny",
	 .values = host_values,
	 .text = "host-reboot, host-shutdown and kernel-panic"},
	{.name = "group",
	 .type = ROW_STRING,
	 FIELD_STRING(struct policy, group),
	 .def = "faultd",
	 .text = "group whose members may use faultd, beside root"},
	{.name = "classifierHook",
	 .type = ROW_ENUM,
	 FIELD(struct policy, hook),
	 .def = "auto",
	 .values = hook_values,
	 .text = "where the packet classifier is attached: TCX where the kernel has it"},
	{.name = "networkSets",
	 .type = ROW_STRING,
	 FIELD_STRING(struct policy, network_sets),
	 .def = "/etc/faultd/networks.json",
	 .text = "file of named sets of prefixes for peers, read when a request names something"},
	{.name = "networkSpared",
	 .type = ROW_PEERS,
	 FIELD(struct policy, network_spared),
	 .text = "peers that network faults never touch unless allowLockout, such as the control path"},
};
const size_t n_policy_rows = ARRAY_SIZE(policy_rows);

/* They have rows, or forms, of their own: taken out of the tree before the rest is read. */
static int take_fis(cJSON *json, struct fis_settings *ret, struct error *e)
{
	cJSON *fis = cJSON_DetachItemFromObjectCaseSensitive(json, "fis");
	int r;

	if (cJSON_GetObjectItemCaseSensitive(json, "fis"))
		r = error_field(e, "fis", "", "each field once", "given twice");
	else
		r = fis_settings_parse(fis, ret, e);
	cJSON_Delete(fis);
	return r;
}

static int parse_tree(cJSON *json, const struct access_lookup *lookup, struct policy *ret,
		      struct error *e)
{
	struct fis_settings fis = {0};
	struct access *access = NULL;
	int r = take_fis(json, &fis, e);

	if (r == 0)
		r = access_parse(json, lookup, &access, e);
	if (r == 0)
		r = schema_parse(policy_rows, n_policy_rows, json, "", ret, sizeof(*ret), e);
	ret->fis = fis; /* reading the rows zeroes the struct */
	ret->access = access;
	return r;
}

int policy_parse(const char *text, size_t length, const struct access_lookup *lookup,
		 struct policy *ret, struct error *e)
{
	cJSON *json = NULL;
	int r;

	*ret = (struct policy){0};
	if (text) {
		json = json_read(text, length, e);
		if (!json)
			return -EINVAL;
	}
	r = parse_tree(json, lookup, ret, e);
	cJSON_Delete(json);
	if (r == 0 && ret->network_sets[0] != '/')
		r = error_field(e, "networkSets", ret->network_sets, "an absolute path",
				"%s is not absolute", ret->network_sets);
	if (r < 0)
		policy_done(ret);
	return r;
}

void policy_done(struct policy *p)
{
	fis_settings_done(&p->fis);
	access_free(p->access);
	p->access = NULL;
}

int policy_check_caller(const struct policy *p, const struct caller *c, uid_t daemon_uid,
			struct error *e)
{
	if (access_knows_caller(p->access, c, daemon_uid))
		return 0;
	if (c->key[0])
		return error_set(e, ERROR_DENIED, -EACCES,
				 "key %s may not use faultd: no statement of the policy allows it "
				 "anything",
				 c->key);
	return error_set(e, ERROR_DENIED, -EACCES,
			 "uid %u may not use faultd: only root, and whom the policy allows or, "
			 "without one, the members of its group",
			 (unsigned)c->uid);
}

bool caller_has_group(const struct caller *c, gid_t gid)
{
	if (c->gid == gid)
		return true;
	for (size_t i = 0; i < c->n_groups; i++) {
		if (c->groups[i] == gid)
			return true;
	}
	return false;
}

static int check_duration(const struct policy *p, const struct policy_question *q, struct error *e)
{
	char most[32];
	struct text t = TEXT(most);

	if (q->duration_ms <= p->max_duration_ms)
		return 0;
	duration_print(p->max_duration_ms, &t);
	return error_field(e, "duration", "", most, "longer than the policy's maxDuration");
}

int policy_check_fault(const struct policy *p, const struct policy_question *q, struct error *e)
{
	int r = check_duration(p, q, e);

	if (r < 0)
		return r;
	if (q->host_action && p->host_actions == HOST_ACTIONS_DENY && !q->dry_run)
		return error_set(e, ERROR_DENIED, -EACCES,
				 "%s is denied by the policy's hostActions, which has to say allow",
				 q->action);
	if (q->irreversible && p->irreversible == IRREVERSIBLE_DENY)
		return error_set(e, ERROR_DENIED, -EACCES,
				 "%s cannot be undone, and the policy denies such actions",
				 q->action);
	if (q->irreversible && p->irreversible == IRREVERSIBLE_CONFIRM && !q->confirmed &&
	    !q->dry_run)
		return error_field(e, "confirm", "false", "true",
				   "%s cannot be undone and needs consent", q->action);
	if (!q->dry_run && q->open_faults >= (size_t)p->max_faults)
		return error_set(e, ERROR_QUOTA, -EDQUOT,
				 "%zu faults are open; the policy's maxFaults is %lld",
				 q->open_faults, (long long)p->max_faults);
	return 0;
}

static bool has_comm(const char *const *names, size_t n, const char *comm)
{
	for (size_t i = 0; i < n; i++) {
		if (strncmp(names[i], comm, COMM_LENGTH) == 0)
			return true;
	}
	return false;
}

bool policy_protects(const struct policy *p, const char *name, bool contained)
{
	if (has_comm(always_protected, ARRAY_SIZE(always_protected), name) ||
	    (!contained && has_comm(protected_on_host, ARRAY_SIZE(protected_on_host), name)))
		return true;
	for (size_t i = 0; i < p->protected_processes.n; i++) {
		if (strncmp(p->protected_processes.name[i], name, COMM_LENGTH) == 0)
			return true;
	}
	return false;
}

/* A service is meant with and without its suffix. */
bool policy_protects_unit(const struct policy *p, const char *name)
{
	size_t n = strlen(name), suffix = strlen(".service");
	char plain[NAME_TEXT_MAX * 4];

	(void)str_copy(plain, sizeof(plain), name);
	if (n > suffix && n < sizeof(plain) && str_eq(name + n - suffix, ".service"))
		plain[n - suffix] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(always_protected_units); i++) {
		if (str_eq(always_protected_units[i], plain))
			return true;
	}
	return name_list_has(&p->protected_units, name) ||
	       name_list_has(&p->protected_units, plain);
}

bool policy_protects_mount(const struct policy *p, const char *point)
{
	return name_list_has(&p->protected_mounts, point);
}
