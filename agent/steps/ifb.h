/* SPDX-License-Identifier: Apache-2.0 */
/* The device of a shaper, found and deleted: for faultd and guardian, on the stack. */
#ifndef FAULTD_STEPS_IFB_H
#define FAULTD_STEPS_IFB_H

#include <stdint.h>
#include <stdio.h>

#include "plan/step.h"

#define SHAPER_NAME_SIZE 16

static inline void shaper_name(const struct step_shaper *p, char name[SHAPER_NAME_SIZE])
{
	(void)snprintf(name, SHAPER_NAME_SIZE, "faultd-%08x", (unsigned)p->id);
}

static inline uint32_t shaper_mark(const struct step_shaper *p)
{
	return (uint32_t)p->id & 0xffff;
}

/* Returns 1 and its index, 0 when there is no device of that name or it is no ifb (then *ret is 0
 * or its index), or a negative errno. */
int ifb_find(const char *name, uint32_t *ret);

/* Deletes it. Returns 0 (deleted, absent, or no ifb) or a negative errno. */
int ifb_delete(const char *name);

#endif
