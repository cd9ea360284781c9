/* SPDX-License-Identifier: Apache-2.0 */
/* Durations as people and FIS write them. */
#ifndef FAULTD_UTIL_DURATION_H
#define FAULTD_UTIL_DURATION_H

#include <stdint.h>

#include "util/str.h"

#define DURATION_ALLOWED "a number with its unit, such as 500ms, 30s, 5m, 1h, 1m30s or PT5M"

/* Reads `500ms`, `30s`, `1m30s`, `1.5s` or ISO 8601 `PT5M`, `PT1H30M`, `P1D` into milliseconds.
 * A number without a unit, a sign, blanks, or units out of order are -EINVAL; more than a year is
 * -ERANGE. */
int duration_parse(const char *s, uint64_t *ret_ms);

/* The same to the microsecond: `500us`, `1.25ms` as well. */
int duration_parse_us(const char *s, uint64_t *ret_us);

/* Writes it in the short form: 1500 -> "1.5s", 90000 -> "1m30s", 0 -> "0s". */
void duration_print(uint64_t ms, struct text *t);

#endif
