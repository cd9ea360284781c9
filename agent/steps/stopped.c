/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/stopped.h"

#include <errno.h>
#include <stdlib.h>

struct holder {
	uint64_t pid, start;
	unsigned n;
};

struct stopped {
	struct holder *holder;
	size_t n, room;
};

struct stopped *stopped_new(void)
{
	return calloc(1, sizeof(struct stopped));
}

struct stopped *stopped_free(struct stopped *all)
{
	if (all)
		free(all->holder);
	free(all);
	return NULL;
}

static struct holder *find(const struct stopped *all, const struct step_process *p)
{
	for (size_t i = 0; i < all->n; i++) {
		if (all->holder[i].pid == p->pid && all->holder[i].start == p->start)
			return &all->holder[i];
	}
	return NULL;
}

bool stopped_is_held(const struct stopped *all, const struct step_process *p)
{
	return find(all, p) != NULL;
}

int stopped_take(struct stopped *all, const struct step_process *p)
{
	struct holder *h = find(all, p);

	if (!h && all->n == all->room) {
		size_t room = all->room ? all->room * 2 : 16;

		h = reallocarray(all->holder, room, sizeof(*h));
		if (!h)
			return -ENOMEM;
		all->holder = h;
		all->room = room;
		h = NULL;
	}
	if (!h) {
		h = &all->holder[all->n++];
		*h = (struct holder){.pid = p->pid, .start = p->start};
	}
	h->n++;
	return 0;
}

bool stopped_drop(struct stopped *all, const struct step_process *p)
{
	struct holder *h = find(all, p);

	if (!h)
		return true;
	if (--h->n > 0)
		return false;
	*h = all->holder[--all->n];
	return true;
}
