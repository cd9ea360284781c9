/* SPDX-License-Identifier: Apache-2.0 */
/* Between HTTP and the commands: sends a request, turns every way it can go wrong into one line
 * and an exit code, and reads JSON of which nothing is sure. */
#ifndef FAULTD_CTL_API_H
#define FAULTD_CTL_API_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "ctl/ctl.h"
#include "ctl/http.h"

struct answer {
	struct http_answer raw;
	cJSON *json; /* an object */
};

/* Asks and waits. Returns 0 and the answer, to be emptied with answer_done(); otherwise an exit
 * code, after the line that says why (with --json also the daemon's error object on stdout). */
int ask(struct ctl *ctl, const char *method, const char *path, const char *body,
	struct answer *ret);
void answer_done(struct answer *a);

/* As ask(), for the path prefix + name + suffix, name escaped. */
int ask_about(struct ctl *ctl, const char *method, const char *prefix, const char *name,
	      const char *suffix, struct answer *ret);

/* Says why http_call() or http_stream() returned r < 0. Returns the exit code. */
int api_unreachable(const struct ctl *ctl, int r);

/* Says what the daemon says in an answer of status 400 and above. Returns the exit code. */
int api_refusal(const struct ctl *ctl, const struct http_answer *raw);

/* The value in text of len bytes and nothing else, to be deleted, or NULL. */
cJSON *json_parse(const char *text, size_t len);

/* Members of an object; obj may be NULL or anything else. A member that is absent, of another
 * type or not finite is "", the fallback, false or an empty list (NULL). */
const char *json_text(const cJSON *obj, const char *key);
double json_number(const cJSON *obj, const char *key, double fallback);
bool json_true(const cJSON *obj, const char *key);
const cJSON *json_list(const cJSON *obj, const char *key);
const cJSON *json_object(const cJSON *obj, const char *key);

/* Any value as people write it: text without quotes, a list with commas. To be freed. */
char *json_plain(const cJSON *value);

static inline void json_freep(cJSON **p)
{
	cJSON_Delete(*p);
}

#endif
