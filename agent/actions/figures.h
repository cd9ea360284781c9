/* SPDX-License-Identifier: Apache-2.0 */
/* What workers have counted, as figures for people. */
#ifndef FAULTD_ACTIONS_FIGURES_H
#define FAULTD_ACTIONS_FIGURES_H

#include "actions/action.h"

struct counter_figure {
	enum load_counter counter;
	const char *name, *unit, *text;
	bool per_second; /* over the time the fault has been active */
};

/* For `figures` of an action: one for each row, as far as there is room. Returns how many. */
size_t figures_of(const struct counter_figure *rows, size_t n, const struct load_report_sum *sum,
		  double seconds, struct figure *ret, size_t room);

#endif
