/* SPDX-License-Identifier: Apache-2.0 */
/* How many of a limited thing a load takes, when others take and give some as well. Pure. */
#ifndef FAULTD_LOAD_SHARE_H
#define FAULTD_LOAD_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "util/gauge.h"

struct share {
	bool percent; /* what `value` is: of the limit, in use in all; or so many of our own */
	double value;
	uint64_t reserve; /* how many are left, whatever is asked */
};

/* How many to hold now, where `used` counts the `held` that are ours. */
uint64_t share_want(const struct share *s, const struct gauge *g, uint64_t held);

#endif
