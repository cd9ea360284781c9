/* SPDX-License-Identifier: Apache-2.0 */
/* What a fault is aimed at instead of the host: the parameters that actions share, how they are
 * resolved to cgroups, and FIS's selectionMode. */
#ifndef FAULTD_ACTIONS_TARGET_H
#define FAULTD_ACTIONS_TARGET_H

#include "actions/action.h"

enum empty_mode { EMPTY_FAIL, EMPTY_SKIP };

struct target {
	char unit[256];
	char cgroup[CGROUP_PATH_MAX];
	char container[256];
	char selection_mode[24]; /* ALL, COUNT(n), PERCENT(n) */
	int64_t seed;
	int empty; /* enum empty_mode */
};

extern const char *const empty_modes[];

/* The rows, for a params struct whose member `target` is a struct target; and for one that has it
 * elsewhere. */
#define TARGET_ROWS(params) TARGET_ROWS_AT(params, target)
#define TARGET_ROWS_AT(params, target)                                                                                      \
	{.name = "unit",                                                                                                    \
	 .type = ROW_STRING,                                                                                                \
	 FIELD_STRING(params, target.unit),                                                                                 \
	 .text = "inside this systemd unit (a pattern such as web-*.service means all that match)"},                        \
		{.name = "cgroup",                                                                                          \
		 .type = ROW_STRING,                                                                                        \
		 FIELD_STRING(params, target.cgroup),                                                                       \
		 .text = "inside this cgroup, a path below its hierarchy's root (or a pattern)"},                           \
		{.name = "container",                                                                                       \
		 .type = ROW_STRING,                                                                                        \
		 FIELD_STRING(params, target.container),                                                                    \
		 .text = "inside this container: its id or name (or the beginning), an ECS task's ARN or id, a pod's UID"}, \
		{.name = "selectionMode",                                                                                   \
		 .type = ROW_STRING,                                                                                        \
		 FIELD_STRING(params, target.selection_mode),                                                               \
		 .def = "ALL",                                                                                              \
		 .text = "how many of what matches: ALL, COUNT(n) or PERCENT(n)"},                                          \
		{.name = "seed",                                                                                            \
		 .type = ROW_INTEGER,                                                                                       \
		 FIELD(params, target.seed),                                                                                \
		 .min = 1,                                                                                                  \
		 .max = SEED_MAX,                                                                                           \
		 .text = "of the random choice: the same seed chooses the same"},                                           \
	{                                                                                                                   \
		.name = "emptyTargetResolutionMode", .type = ROW_ENUM,                                                      \
		FIELD(params, target.empty), .def = "fail", .values = empty_modes,                                          \
		.text = "when nothing matches: fail, or skip and end at once"                                               \
	}

static inline bool target_is_given(const struct target *t)
{
	return t->unit[0] || t->cgroup[0] || t->container[0];
}

/* Resolves it into facts->aims (facts->aimed, facts->skipped; neither: the host). Of cgroups inside
 * each other the outermost is taken; COUNT of more than there are takes all. Cgroups that hold
 * something protected are refused, the root and frozen ones too. Asked `again`, nothing found is
 * no error. Returns 0 or a negative errno and the error. */
int target_look(const struct target *t, struct facts *facts, struct error *e);

/* "ALL" (or ""), "COUNT(2)", "PERCENT(50)": how many of `n` (PERCENT is rounded down, but at least
 * one). Returns 0 or -EINVAL. */
int selection_mode_count(const char *mode, size_t n, size_t *ret);

/* Does it choose among what matches? */
bool selection_mode_chooses(const char *mode);

/* The place of `what` in a random order; the same seed gives the same. Pure. */
uint64_t random_place(uint64_t seed, uint64_t what);

/* " in container 3f1c…", or nothing for the host. */
void target_describe(const struct target *t, struct text *to);

/* For a child step: adds --cgroup (and --enter, with `enter`) for this aim; when the aim is an
 * inner cgroup, a STEP_CGROUP step has to come before, and `leaf` is what it makes. False when
 * there is no room, or nobody in the cgroup whose namespaces could be entered. */
bool target_add_load(const struct aim *aim, const char *leaf, bool enter, struct step *s);

/* Adds the STEP_CGROUP step for an inner aim, and tells the path for target_add_load(); "" when the
 * aim needs none. Returns 0 or a negative errno. */
int target_add_leaf(const struct aim *aim, const struct facts *facts, struct plan *plan,
		    char ret_leaf[static CGROUP_PATH_MAX], struct error *e);

#endif
