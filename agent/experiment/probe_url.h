/* SPDX-License-Identifier: Apache-2.0 */
/* What stop conditions that ask a URL share. */
#ifndef FAULTD_EXPERIMENT_PROBE_URL_H
#define FAULTD_EXPERIMENT_PROBE_URL_H

#include <stdbool.h>

#include "cloud/fetch.h"
#include "util/err.h"

#define PROBE_URL_SIZE 1024

/* http: or https:, with a host, without a user. Returns 0 or -EINVAL and the error. Pure. */
int probe_url_check(const char *name, const char *url, struct error *e);

/* Is it about ourselves (no memory, no descriptors, an answer too long for us)? */
bool probe_answer_says_nothing(const struct fetch_answer *a);

/* Why fetch() did not begin, in words. */
const char *probe_fetch_strerror(int r);

#endif
