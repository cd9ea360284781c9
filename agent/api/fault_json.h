/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_API_FAULT_JSON_H
#define FAULTD_API_FAULT_JSON_H

#include <cjson/cJSON.h>

#include "fault/fault.h"

/* The fault as api/README.md shows it; `full` adds steps and results, which a list goes without.
 * NULL: out of memory. */
cJSON *fault_json(struct fault *f, bool full);

/* {"event":"state",…}, {"event":"figures",…}, {"event":NAME,"fault":{…}} as one line of text; NULL:
 * out of memory. The caller frees it. */
char *fault_event_line(const struct fault *f);
char *fault_figures_line(struct fault *f);
char *fault_whole_line(struct fault *f, const char *event);

cJSON *error_json(const struct error *e);

#endif
