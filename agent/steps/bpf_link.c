/* SPDX-License-Identifier: Apache-2.0 */
/* The classifier on a TCX hook (Linux 6.6). The link is not pinned, so the kernel detaches it when
 * faultd ends, however it ends. Faults share it: the first attaches, the last detaches. */
#include "steps/classifier.h"
#include "steps/kinds.h"

int bpf_link_apply(struct step *s, const struct step_env *env, struct error *e)
{
	int users = classifier_take(env->classifiers, &s->hook, USE_LINK);
	int r = users == 0 ? classifier_attach(env->classifiers, &s->hook) : users;

	if (r >= 0) {
		s->hook.taken = true;
		return 0;
	}
	if (users >= 0)
		(void)classifier_drop(env->classifiers, &s->hook, USE_LINK);
	return hook_cannot(e, r, "attach the classifier to", &s->hook);
}

int bpf_link_undo(struct step *s, const struct step_env *env, struct text *note)
{
	int r = 0;

	if (!s->hook.taken)
		return 0;
	if (classifier_users(env->classifiers, &s->hook, USE_LINK) == 1)
		r = classifier_detach(env->classifiers, &s->hook);
	if (r < 0)
		return r;
	s->hook.taken = false;
	(void)classifier_drop(env->classifiers, &s->hook, USE_LINK);
	return 0;
}
