/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side of faultd/load-report.h. Started by hand, without a page and a pipe, the same
 * calls do nothing that anybody sees. */
#ifndef FAULTD_LOAD_REPORT_H
#define FAULTD_LOAD_REPORT_H

#include "faultd/load-report.h"

void report_open(void);

void report_set(enum load_counter counter, uint64_t value);
void report_add(enum load_counter counter, uint64_t more);

/* The load has begun. Once. */
void report_ready(void);

/* It cannot: says why on stderr and to faultd, before report_ready(). Returns EXIT_FAILURE, for
 * `return report_failure(...)`. */
int report_failure(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
