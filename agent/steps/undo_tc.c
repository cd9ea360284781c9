/* SPDX-License-Identifier: Apache-2.0 */
/* Undoing qdisc, filter and shaper without what faultd held: from the journal alone. */
#include <errno.h>

#include "steps/clsact.h"
#include "steps/kinds.h"
#include "steps/shaper_device.h"

int filter_undo_alone(struct step *s, struct text *note)
{
	int r = filter_delete((uint32_t)s->hook.ifindex, (uint32_t)s->hook.direction);

	if (r < 0)
		return r;
	r = filter_present((uint32_t)s->hook.ifindex, (uint32_t)s->hook.direction);
	return r > 0 ? -EBUSY : r;
}

int qdisc_undo_alone(struct step *s, struct text *note)
{
	int r;

	if (!s->hook.ours)
		return 0;
	r = clsact_delete_empty((uint32_t)s->hook.ifindex);
	if (r == -EAGAIN)
		return 0;
	if (r != -EBUSY)
		return r;
	text_add(note, "clsact on %s holds filters of others: left alone", s->hook.ifname);
	return 0;
}

/* Without draining: what waits in the device is lost. */
int shaper_undo_alone(struct step *s, struct text *note)
{
	uint32_t ifindex = (uint32_t)s->hook.ifindex, side = shaper_side(&s->shaper);
	uint32_t mark = shaper_mark(&s->shaper);
	int filter = mark_filter_delete(ifindex, side, mark), device;

	if (filter == 0)
		filter = mark_filter_present(ifindex, side, mark);
	if (filter > 0)
		filter = -EBUSY;
	device = shaper_device_delete(&s->shaper);
	return filter < 0 ? filter : device;
}
