/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a unit again, for faultd and the guardian: asked for, not waited for. */
#include <errno.h>

#include "steps/kinds.h"
#include "steps/manager.h"

int unit_undo_alone(struct step *s, struct text *note)
{
	const char *why = NULL;
	int r = s->unit.was_active ? manager_start_unit(s->unit.name) : 0;

	/* What others have decided since is theirs. */
	if (r == -ENOENT)
		why = "was removed by someone else";
	else if (r == -EPERM)
		why = "was masked by someone else";
	else if (r == -ESHUTDOWN)
		why = "was not started: the host is going down";
	if (why)
		text_add(note, "%s %s", s->unit.name, why);
	return why ? 0 : r;
}
