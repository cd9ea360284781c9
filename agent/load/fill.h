/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of every load that holds a number of something: takes and gives back until it holds what
 * is wanted, and looks again once a second how many others need. */
#ifndef FAULTD_LOAD_FILL_H
#define FAULTD_LOAD_FILL_H

#include "load/hold.h"
#include "load/load.h"
#include "load/share.h"

/* First in a kind's argument struct. */
struct fill_args {
	double percent; /* 0: `count` is given */
	double count;
	uint64_t reserve;
	struct grade grade; /* of the one that is given */
};

#define FILL_OPTIONS                                                        \
	{.name = "percent",                                                 \
	 .value = "P",                                                      \
	 .summary = "how much of the limit is to be in use in all",         \
	 .type = LOAD_OPTION_NUMBER,                                        \
	 .offset = offsetof(struct fill_args, percent),                     \
	 .max = 100,                                                        \
	 .optional = true},                                                 \
		{.name = "count",                                           \
		 .value = "N",                                              \
		 .summary = "how many to take, when there is no --percent", \
		 .type = LOAD_OPTION_NUMBER,                                \
		 .offset = offsetof(struct fill_args, count),               \
		 .max = 1e9,                                                \
		 .optional = true},                                         \
		{.name = "reserve",                                         \
		 .value = "N",                                              \
		 .summary = "how many to leave, whatever is asked",         \
		 .type = LOAD_OPTION_UINT,                                  \
		 .offset = offsetof(struct fill_args, reserve),             \
		 .max = 1e9,                                                \
		 .optional = true},                                         \
		LOAD_GRADE_OPTIONS(struct fill_args, grade)

struct fill {
	const char *what; /* "open a file", for errors */
	uint64_t held;    /* kept by take() and give() */

	/* How many to hold now. Returns 0 or a negative errno. */
	int (*want)(struct fill *f, const struct share *share, uint64_t *ret);
	/* Takes `n` more, or as many as can be had: then a negative errno says why. */
	int (*take)(struct fill *f, uint64_t n);
	void (*give)(struct fill *f, uint64_t n);
};

/* Until the deadline, when everything has been given back. The exit status of a load_kind's run().
 */
int fill_run(const struct hold *hold, const struct fill_args *args, struct fill *f);

#endif
