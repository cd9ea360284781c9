/* SPDX-License-Identifier: Apache-2.0 */
/* wait: the victim sees nothing. Nothing is changed on the host; what it is for is the time it
 * takes between two others. */
#include "actions/action.h"

struct wait {
	char nothing; /* it has no parameters */
};

static int look(const void *params, struct facts *facts, struct error *e)
{
	return 0;
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	return 0;
}

static void describe(const void *params, struct text *t)
{
	text_add(t, "wait");
}

static const struct alias_row fis_rows[] = {{0}};
static const struct alias aliases[] = {{"aws:fis:wait", fis_rows}, {0}};

extern const struct action action_wait;
const struct action action_wait = {
	.name = "wait",
	.summary = "Do nothing for a while",
	.description =
		"Changes nothing, and is active for as long as was asked: a pause between faults.",
	.hold = HOLD_KERNEL,
	.duration = DURATION_REQUIRED,
	.params_size = sizeof(struct wait),
	.aliases = aliases,
	.look = look,
	.plan = plan,
	.describe = describe,
	.composition = "composes: it touches nothing",
};
