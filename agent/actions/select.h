/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes: the parameters that process actions share, and the choice they make. */
#ifndef FAULTD_ACTIONS_SELECT_H
#define FAULTD_ACTIONS_SELECT_H

#include "actions/action.h"
#include "actions/target.h"

enum select_order { ORDER_RANDOM, ORDER_NEWEST, ORDER_OLDEST };

struct selection {
	char name[16];
	char pattern[256];
	struct number_list pid;
	char user[64];
	int64_t count;
	int64_t percent;
	bool all;
	int order;            /* enum select_order */
	struct target target; /* its selectionMode counts processes */
};

extern const char *const select_orders[];

/* The rows, for a params struct whose member `selection` is a struct selection. */
#define SELECT_ROWS(params)                                                                                                         \
	{.name = "name",                                                                                                            \
	 .type = ROW_STRING,                                                                                                        \
	 FIELD_STRING(params, selection.name),                                                                                      \
	 .text = "processes of exactly this name (the first 15 characters, as in ps -o comm)"},                                     \
		{.name = "pattern",                                                                                                 \
		 .type = ROW_STRING,                                                                                                \
		 FIELD_STRING(params, selection.pattern),                                                                           \
		 .text = "processes whose command line matches this extended regular expression (without {} and back-references)"}, \
		{.name = "pid",                                                                                                     \
		 .type = ROW_NUMBERS,                                                                                               \
		 FIELD(params, selection.pid),                                                                                      \
		 .text = "these processes"},                                                                                        \
		{.name = "user",                                                                                                    \
		 .type = ROW_STRING,                                                                                                \
		 FIELD_STRING(params, selection.user),                                                                              \
		 .text = "processes of this user, a name of /etc/passwd or a number"},                                              \
		{.name = "count",                                                                                                   \
		 .type = ROW_INTEGER,                                                                                               \
		 FIELD(params, selection.count),                                                                                    \
		 .min = 1,                                                                                                          \
		 .max = STEPS_MAX,                                                                                                  \
		 .text = "at most so many of them"},                                                                                \
		{.name = "percent",                                                                                                 \
		 .type = ROW_INTEGER,                                                                                               \
		 FIELD(params, selection.percent),                                                                                  \
		 .min = 1,                                                                                                          \
		 .max = 100,                                                                                                        \
		 .unit = "%",                                                                                                       \
		 .text = "this share of them, at least one"},                                                                       \
		{.name = "all",                                                                                                     \
		 .type = ROW_BOOLEAN,                                                                                               \
		 FIELD(params, selection.all),                                                                                      \
		 .def = "false",                                                                                                    \
		 .text = "all of them, as also when neither count nor percent is given"},                                           \
		{.name = "order",                                                                                                   \
		 .type = ROW_ENUM,                                                                                                  \
		 FIELD(params, selection.order),                                                                                    \
		 .def = "random",                                                                                                   \
		 .values = select_orders,                                                                                           \
		 .text = "which ones count, percent and selectionMode take first"},                                                 \
		TARGET_ROWS_AT(params, selection.target)

/* Is it a regular expression that `pattern` may be? Returns 0, or -EINVAL and the error, which
 * names `field`. */
int select_check_pattern(const char *field, const char *pattern, struct error *e);

/* Is it whole cgroups that are meant: a target, and nothing that chooses among its processes? */
bool select_is_whole(const struct selection *s);

/* Reads the processes that can be meant into `facts`, with `descendants` all there are, and refuses
 * what selects nothing (facts->skipped, when that was to be skipped), a pid that is not there, a
 * protected process. `e` and the return value as for look(). */
int select_look(const struct selection *s, bool descendants, struct facts *facts, struct error *e);

/* Calls `each` for the chosen processes, in their order; what it returns other than 0 ends it. */
int select_each(const struct selection *s, const struct facts *facts,
		int (*each)(const struct process *p, void *arg), void *arg);

void select_describe(const struct selection *s, struct text *t);

#endif
