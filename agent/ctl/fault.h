/* SPDX-License-Identifier: Apache-2.0 */
/* Fault objects of the API as text for people. Reads only; decides nothing but the exit code
 * that the end of a fault stands for. */
#ifndef FAULTD_CTL_FAULT_H
#define FAULTD_CTL_FAULT_H

#include <cjson/cJSON.h>

/* "12.3s", "4m59s", "1h02m": what is left. A length is the same but for "30s". To be freed. */
char *human_time(double ms);
char *human_length(double ms);

/* A row for each fault, newest as the daemon orders them. */
void fault_print_list(const cJSON *faults);

/* Everything about one fault, or of a plan: what would be done. */
void fault_print(const cJSON *fault);
void fault_print_plan(const cJSON *plan);

/* "dropped 17 packets, …", "" without figures. To be freed. */
char *figures_text(const cJSON *figures);

/* What became of a fault and whether the host was put back: "done (deadline), put back in
 * 0.9 ms". To be freed. */
char *fault_outcome(const cJSON *fault);

/* The exit code for a fault that ended: its end as asked, a stop by someone, or otherwise. */
int fault_exit(const cJSON *fault);

/* The tables and lists that go below an outcome. Nothing if they are empty. */
void fault_print_results(const cJSON *fault);
void fault_print_notes(const cJSON *fault);

#endif
