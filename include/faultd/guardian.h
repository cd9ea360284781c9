/* SPDX-License-Identifier: Apache-2.0 */
/* The contract between faultd and its guardian: messages of this struct over the SOCK_SEQPACKET
 * socket RUNTIME/guardian.sock, on which faultd listens and the guardian connects. End of file
 * there means to the guardian that faultd is lost: it fences it and undoes from the journal. */
#ifndef FAULTD_GUARDIAN_H
#define FAULTD_GUARDIAN_H

#include <stdint.h>

#define GUARDIAN_SOCKET "guardian.sock"

enum guardian_message_type {
	GUARDIAN_HELLO = 1, /* guardian: I watch. number = its pid. Answered by ARM or IDLE */
	GUARDIAN_ARM,  /* faultd: a journal was written, nothing is changed yet; beats follow */
	GUARDIAN_ACK,  /* guardian: I have read the journals. number as in ARM; 0: there was none to
			  read */
	GUARDIAN_BEAT, /* faultd: alive; every HEARTBEAT_MS while a fault is open */
	GUARDIAN_IDLE, /* faultd: no fault is open, no beats until the next ARM */
	GUARDIAN_BYE,  /* faultd: all undone, going; the end of file means nothing */
};

struct guardian_message {
	uint32_t type;
	uint32_t number;
};

#endif
