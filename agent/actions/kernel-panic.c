/* SPDX-License-Identifier: Apache-2.0 */
/* kernel-panic: the kernel crashes: nothing is stopped and nothing is written first.
 * Changed on the host: 'c' is written to /proc/sysrq-trigger. It is not put back. */
#include "actions/power.h"

static const struct row rows[] = {POWER_DELAY_ROW};

static int look(const void *params, struct facts *facts, struct error *e)
{
	return power_look(POWER_PANIC, params, e);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	return power_plan(POWER_PANIC, params, plan, e);
}

static void describe(const void *params, struct text *t)
{
	power_describe(POWER_PANIC, params, t);
}

extern const struct action action_kernel_panic;
const struct action action_kernel_panic = {
	.name = "kernel-panic",
	.summary = "Crash the kernel",
	.description =
		"The kernel panics; what was in memory only is lost. It reboots after kernel.panic seconds, stands still "
		"when that is 0, and leaves a dump where kdump is set up. Needs hostActions in the policy, and consent.",
	.hold = HOLD_NONE,
	.duration = DURATION_OPTIONAL,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct power_params),
	.look = look,
	.plan = plan,
	.describe = describe,
	.delay_ms = power_delay_ms,
	.composition = "exclusive: one at a time of host-reboot, host-shutdown and kernel-panic",
	.host_action = true,
};
