/* SPDX-License-Identifier: Apache-2.0 */
/* Policy documents: read, and asked. A part of plan/access; pure. */
#ifndef FAULTD_PLAN_ACCESS_STATEMENT_H
#define FAULTD_PLAN_ACCESS_STATEMENT_H

#include "plan/access.h"

/* What reading statements needs to know. */
struct access_reading {
	const struct access_lookup *lookup; /* NULL: no name is known */
	const struct access *access;        /* for its keys */
	bool callers;                       /* statements for callers, not of a role */
	struct error *e;
};

/* Checks the whole document, and makes numbers of the names of its principals. `path` is its own.
 * Returns 0, -EINVAL or -ENOMEM, and the error. */
int access_policy_check(const cJSON *policy, const char *path, const struct access_reading *in);

enum access_verdict { ACCESS_UNSAID, ACCESS_ALLOWED, ACCESS_DENIED };

/* What a checked document says. `c` NULL: it is a role's. */
enum access_verdict access_policy_decide(const cJSON *policy, const struct access_question *q,
					 const struct caller *c);

/* Does it allow this caller anything? */
bool access_policy_knows(const cJSON *policy, const struct caller *c);

#endif
