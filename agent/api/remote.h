/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that came over TCP: who sent them is known from their signature alone. A browser on this
 * host can be made to send anything to loopback, also under a name of somebody else's that resolves
 * to it: it cannot leave out Origin where it can read the answer, and it says the name in Host. */
#ifndef FAULTD_API_REMOTE_H
#define FAULTD_API_REMOTE_H

#include <stdint.h>

#include "api/http.h"
#include "experiment/identity.h"

/* Refusals are logged, but only so many per second; the others are counted. */
struct remote_log {
	uint64_t since_boot_ns;
	unsigned logged, more;
};

/* Is it for this host, and signed by one of the policy's keys? Returns 0 and names the key in
 * q->caller; or a negative errno and the error, which is logged. */
int remote_admit(struct http_request *q, const struct policy *policy,
		 const struct identity *identity, struct remote_log *log, struct error *e);

#endif
