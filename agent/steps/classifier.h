/* SPDX-License-Identifier: Apache-2.0 */
/* The classifiers that are loaded: one program per namespace, interface and direction, shared by
 * all faults there, slot by slot. Called inside the namespace (step_run.c), but for the rules. Owns
 * the libbpf skeletons and the TCX links; the only home of libbpf. */
#ifndef FAULTD_STEPS_CLASSIFIER_H
#define FAULTD_STEPS_CLASSIFIER_H

#include <stdbool.h>

#include "plan/step.h"

struct classifiers;

struct classifiers *classifiers_new(void); /* NULL: out of memory */
struct classifiers *classifiers_free(struct classifiers *all);

/* Every step that needs the program counts as one user of its classifier. */
enum classifier_use { USE_LINK, USE_FILTER, USE_RULE, _USE_MAX };

/* Loads the program unless it is loaded, counts one more user.
 * Returns the users of this kind before (0: the caller is the first), or a negative errno. */
int classifier_take(struct classifiers *all, const struct step_hook *hook, enum classifier_use use);

/* Counts one user less and unloads the program with the last. Returns the users of this kind left,
 * or -ENOENT when there was none. */
int classifier_drop(struct classifiers *all, const struct step_hook *hook, enum classifier_use use);

/* Users of a kind now; 0 when nothing is loaded there. */
unsigned classifier_users(const struct classifiers *all, const struct step_hook *hook,
			  enum classifier_use use);

/* The clsact qdisc of one interface, shared by both directions and all faults. */
struct qdisc_use {
	struct netns netns;
	uint32_t ifindex;
	unsigned users;
	bool made; /* by faultd: deleted after its last user */
};

/* NULL when QDISCS_MAX interfaces are in use. A record without users may be reused. */
#define QDISCS_MAX 64
struct qdisc_use *classifiers_qdisc(struct classifiers *all, const struct step_hook *hook);

int classifier_prog_fd(const struct classifiers *all, const struct step_hook *hook);

/* TCX. Attaching returns 0 or a negative errno. Detaching waits for the kernel's grace period and
 * returns 0 when the program is gone from the hook, -EBUSY when it is still seen there. */
int classifier_attach(struct classifiers *all, const struct step_hook *hook);
int classifier_detach(struct classifiers *all, const struct step_hook *hook);

/* Puts a rule into a free slot and makes it count from now on. Returns 0, -ENOSPC (no free slot, or
 * too many prefixes), or another errno. Clearing makes it not count, at once. */
int classifier_rule_add(struct classifiers *all, struct step_rule *rule, uint64_t deadline_boot_ns);

/* Its threshold, and its prefixes: with other ones it moves to another slot, and every packet is
 * judged by the ones or the others. Returns as classifier_rule_add(); then it is as it was. */
int classifier_rule_change(struct classifiers *all, struct step_rule *rule);
void classifier_rule_clear(struct classifiers *all, const struct step_rule *rule);

/* Returns false when there is no such rule. */
bool classifier_rule_count(const struct classifiers *all, const struct step_rule *rule,
			   struct classify_counters *ret);

#endif
