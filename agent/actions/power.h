/* SPDX-License-Identifier: Apache-2.0 */
/* host-reboot, host-shutdown and kernel-panic: what they have in common. */
#ifndef FAULTD_ACTIONS_POWER_H
#define FAULTD_ACTIONS_POWER_H

#include "actions/action.h"

struct power_params {
	uint64_t delay_ms;
	bool force;
};

#define POWER_DELAY_ROW                                                                      \
	{                                                                                    \
		.name = "delay", .type = ROW_DURATION, FIELD(struct power_params, delay_ms), \
		.def = "0s", .max = 3600000,                                                 \
		.text = "wait so long first; until then it can be stopped"                   \
	}

#define POWER_FORCE_ROW                                                                      \
	{                                                                                    \
		.name = "force", .type = ROW_BOOLEAN, FIELD(struct power_params, force),     \
		.def = "false",                                                              \
		.text = "at once: write what is in memory to the disks, but stop no service" \
	}

/* Refuses where this process cannot do it, or would do it to something else than the host: in a
 * container, without the privilege, and in order where no systemd is. */
int power_look(enum power how, const struct power_params *p, struct error *e);

int power_plan(enum power how, const struct power_params *p, struct plan *plan, struct error *e);

/* "reboot the host at once, in 30s" */
void power_describe(enum power how, const struct power_params *p, struct text *t);

/* For `delay_ms` of an action. */
uint64_t power_delay_ms(const void *params);

#endif
