/* SPDX-License-Identifier: Apache-2.0 */
/* host-reboot: the host goes down and comes up again.
 * Changed on the host: systemd is asked to reboot it as systemctl would, or the kernel is, at once.
 * It is not put back. */
#include "actions/power.h"

static const struct row rows[] = {POWER_DELAY_ROW, POWER_FORCE_ROW};

static int look(const void *params, struct facts *facts, struct error *e)
{
	return power_look(POWER_REBOOT, params, e);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	return power_plan(POWER_REBOOT, params, plan, e);
}

static void describe(const void *params, struct text *t)
{
	power_describe(POWER_REBOOT, params, t);
}

static const struct alias_row fis_rows[] = {{0}};
static const struct alias aliases[] = {{"aws:ec2:reboot-instances", fis_rows}, {0}};

extern const struct action action_host_reboot;
const struct action action_host_reboot = {
	.name = "host-reboot",
	.summary = "Reboot the host",
	.description =
		"systemd reboots the host in order; with force the kernel does at once, after the disks were written. "
		"Needs hostActions in the policy, and consent.",
	.hold = HOLD_NONE,
	.duration = DURATION_OPTIONAL,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct power_params),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
	.delay_ms = power_delay_ms,
	.composition = "exclusive: one at a time of host-reboot, host-shutdown and kernel-panic",
	.host_action = true,
};
