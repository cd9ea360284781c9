/* SPDX-License-Identifier: Apache-2.0 */
/* Ramps and waves as parameters, for every action that has a graded one. */
#ifndef FAULTD_ACTIONS_GRADE_H
#define FAULTD_ACTIONS_GRADE_H

#include "actions/action.h"

struct grading {
	double from;
	double to;
	uint64_t over_ms;
	int64_t steps;
	uint64_t every_ms;
	uint64_t for_ms;
};

/* The rows, for a params struct whose member `grading` is a struct grading. `what`: the name of the
 * graded parameter, in quotes; of several, names and words between them. */
#define GRADE_ROWS(params, what)                                                                \
	{.name = "from",                                                                        \
	 .type = ROW_QUANTITY,                                                                  \
	 FIELD(params, grading.from),                                                           \
	 .text = "ramp: where " what " begins",                                                 \
	 .in_place_of = what},                                                                  \
		{.name = "to",                                                                  \
		 .type = ROW_QUANTITY,                                                          \
		 FIELD(params, grading.to),                                                     \
		 .text = "ramp: where it ends, in place of " what,                              \
		 .in_place_of = what},                                                          \
		{.name = "over",                                                                \
		 .type = ROW_DURATION,                                                          \
		 FIELD(params, grading.over_ms),                                                \
		 .min = 100,                                                                    \
		 .max = DURATION_MAX_S * 1000.0,                                                \
		 .text = "ramp: how long it takes"},                                            \
		{.name = "steps",                                                               \
		 .type = ROW_INTEGER,                                                           \
		 FIELD(params, grading.steps),                                                  \
		 .min = 1,                                                                      \
		 .max = 1000,                                                                   \
		 .def = "10",                                                                   \
		 .text = "ramp: in how many equal steps"},                                      \
		{.name = "every",                                                               \
		 .type = ROW_DURATION,                                                          \
		 FIELD(params, grading.every_ms),                                               \
		 .min = 1000,                                                                   \
		 .max = DURATION_MAX_S * 1000.0,                                                \
		 .text = "waves: on once in every so long"},                                    \
	{                                                                                       \
		.name = "for", .type = ROW_DURATION, FIELD(params, grading.for_ms), .min = 100, \
		.max = DURATION_MAX_S * 1000.0, .text = "waves: and for so long each time"      \
	}

/* Refuses what does not go together, and `from` or `to` outside `min` to `max` (of the graded
 * parameter). Returns 0 or -EINVAL. */
int grading_check(const struct grading *g, double min, double max, struct error *e);

/* The value a ramp ends at: `to` when given, else `value`. */
double grading_end(const struct grading *g, double value);

/* For an action's `graded`. Returns false when it is flat. */
bool grading_of(const struct grading *g, double value, struct grade *ret, double *ret_to);

/* For workers: adds the options of LOAD_GRADE_OPTIONS() to a child step. Returns false when there
 * is no room. */
bool grading_add_load(const struct grading *g, struct step *s);

/* ", from 10 in 5 steps over 1m, on for 2s every 10s"; nothing when it is flat. */
void grading_describe(const struct grading *g, struct text *t);

#endif
