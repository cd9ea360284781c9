/* SPDX-License-Identifier: Apache-2.0 */
/* The clsact qdisc, below TCX. A clsact that was there before is used and left; one that faultd
 * added is shared by its faults, and whoever ends last deletes it, if no one else uses it by then.
 */
#include <errno.h>

#include "host/interfaces.h"
#include "steps/classifier.h"
#include "steps/clsact.h"
#include "steps/kinds.h"

/* `ours` is journalled before the qdisc is added. One that another fault of ours added is ours too:
 * from each of their journals alone it must come out that it has to go. */
int qdisc_prepare(struct step *s, const struct step_env *env, struct error *e)
{
	const struct qdisc_use *q = classifiers_qdisc(env->classifiers, &s->hook);
	int r = interface_has_clsact((uint32_t)s->hook.ifindex);

	if (!q)
		return error_set(e, ERROR_QUOTA, -ENOSPC, "more than %d interfaces with faults",
				 QDISCS_MAX);
	if (r < 0)
		return hook_cannot(e, r, "read the qdiscs of", &s->hook);
	s->hook.ours = r == 0 || q->made;
	return (int)s->hook.ours;
}

int qdisc_apply(struct step *s, const struct step_env *env, struct error *e)
{
	struct qdisc_use *q = classifiers_qdisc(env->classifiers, &s->hook);
	int r = interface_has_clsact((uint32_t)s->hook.ifindex);
	bool learned = false;

	/* The journal says that it was somebody's: one added now would be nobody's to remove. */
	if (r == 0 && !s->hook.ours)
		return hook_cannot(e, -ESTALE, "use the clsact of", &s->hook);
	/* Also when a fault of ours had added one: somebody may have deleted it. */
	if (r == 0)
		r = clsact_add((uint32_t)s->hook.ifindex);
	else if (r > 0 && s->hook.ours && !q->made)
		r = -EEXIST;
	if (r < 0 && r != -EEXIST)
		return hook_cannot(e, r, "add clsact to", &s->hook);
	if (r == -EEXIST) {
		s->hook.ours = 0; /* somebody added it in between, so it is theirs */
		learned = true;
	} else if (s->hook.ours) {
		q->made = true;
	}
	q->users++;
	s->hook.taken = true;
	return learned;
}

int qdisc_undo(struct step *s, const struct step_env *env, struct text *note)
{
	struct qdisc_use *q = classifiers_qdisc(env->classifiers, &s->hook);
	int r = 0;

	if (!s->hook.taken)
		return 0;
	if (q->users == 1 && q->made) {
		struct step last = {.kind = s->kind, .hook = s->hook};

		last.hook.ours = 1;
		r = qdisc_undo_alone(&last, note);
	}
	if (r < 0)
		return r;
	q->users--;
	s->hook.taken = false;
	return 0;
}
