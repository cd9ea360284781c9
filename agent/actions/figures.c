/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/figures.h"

size_t figures_of(const struct counter_figure *rows, size_t n, const struct load_report_sum *sum,
		  double seconds, struct figure *ret, size_t room)
{
	size_t i = 0;

	for (; i < n && i < room; i++) {
		double value = (double)sum->counter[rows[i].counter];

		if (rows[i].per_second)
			value = seconds > 0 ? value / seconds : 0;
		ret[i] = (struct figure){rows[i].name, value, rows[i].unit, rows[i].text};
	}
	return i;
}
