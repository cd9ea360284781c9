/* SPDX-License-Identifier: Apache-2.0 */
/* One rule in a classifier. It lives in a map that dies with faultd, or with the filter, and
 * carries the fault's deadline itself. */
#include <errno.h>
#include <string.h>

#include "steps/classifier.h"
#include "steps/kinds.h"

int rule_apply(struct step *s, const struct step_env *env, struct error *e)
{
	struct step_hook *hook = &s->rule.hook;
	int users = classifier_take(env->classifiers, hook, USE_RULE);
	int r = users < 0 ? users
			  : classifier_rule_add(env->classifiers, &s->rule, env->deadline_boot_ns);

	if (r == 0) {
		hook->taken = true;
		return 0;
	}
	if (users >= 0)
		(void)classifier_drop(env->classifiers, hook, USE_RULE);
	if (r == -ENOSPC)
		return error_set(e, ERROR_QUOTA, r,
				 "%s already has as many rules or prefixes as fit (%d, %d)",
				 hook->ifname, CLASSIFY_RULES, CLASSIFY_CIDRS);
	return hook_cannot(e, r, "write a rule for", hook);
}

bool rule_prepare_update(struct step *s, const struct step *fresh)
{
	struct step_rule *was = &s->rule;
	const struct step_rule *now = &fresh->rule;
	bool changed = was->rule.threshold != now->rule.threshold ||
		       memcmp(&was->include, &now->include, sizeof(now->include)) != 0 ||
		       memcmp(&was->exclude, &now->exclude, sizeof(now->exclude)) != 0;

	was->rule.threshold = now->rule.threshold;
	was->include = now->include;
	was->exclude = now->exclude;
	return changed;
}

int rule_update(struct step *s, const struct step_env *env, struct error *e)
{
	int r = classifier_rule_change(env->classifiers, &s->rule);

	return r < 0 ? hook_cannot(e, r, "change a rule for", &s->rule.hook) : 0;
}

int rule_undo(struct step *s, const struct step_env *env, struct text *note)
{
	if (!s->rule.hook.taken)
		return 0;
	(void)classifier_rule_count(env->classifiers, &s->rule, &s->rule.counted);
	classifier_rule_clear(env->classifiers, &s->rule);
	s->rule.slot = 0; /* the slot is another rule's from now on */
	s->rule.hook.taken = false;
	(void)classifier_drop(env->classifiers, &s->rule.hook, USE_RULE);
	return 0;
}
