/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound that more than one program relies on, in one place. */
#ifndef FAULTD_LIMITS_H
#define FAULTD_LIMITS_H

/* Names */
#define FAULT_ID_MAX     24 /* "f-" and 12 characters, and room to grow */
#define ACTION_NAME_MAX  64
#define CLIENT_TOKEN_MAX 64 /* as FIS: 1 to 64 characters */
#define TEXT_MAX         256

/* A plan */
#define STEPS_MAX       1024 /* steps of one fault, those added by `interval` included */
#define CPUS_MAX        1024
#define INTERFACES_MAX  8
#define PORT_RANGES_MAX 16
#define CIDRS_MAX       128 /* include and exclude together, per rule */
#define FLOWS_MAX       4   /* spared connections, per rule */
#define KEPT_MAX                                                                        \
	64 /* routes, addresses and neighbours that go with the interfaces of one fault \
	    */
#define KEPT_HEX_MAX 600 /* each as text */

#define SEED_MAX 2147483647 /* of a fault's random choices; short enough to be typed */

/* Requests */
#define REQUEST_BODY_MAX       (64 * 1024)
#define FIS_BODY_MAX           (1024 * 1024) /* a template of many actions */
#define LARGE_BODIES_MAX       16 /* more than REQUEST_BODY_MAX, held at once per listener */
#define JSON_DEPTH_MAX         16
#define CONNECTIONS_MAX        2048
#define REMOTE_CONNECTIONS_MAX 256 /* over TCP */
#define CONNECTION_IDLE_S      10  /* to deliver a whole request, and between two requests */

/* Time */
#define DURATION_MAX_S    (12 * 3600) /* as FIS */
#define HEARTBEAT_MS      500         /* faultd -> guardian, only while a fault is open */
#define HEARTBEAT_LOST_MS 1750 /* then the guardian fences faultd: 2 s in all, undo included */
#define OVERDUE_MS        500  /* past a deadline, then the guardian fences faultd */
#define GUARDIAN_ACK_MS   1000 /* to answer that it has read a new journal */
#define LEASE_MIN_MS      1000

/* Journal */
#define JOURNAL_LINE_MAX 4096
#define JOURNAL_CHUNK    (16 * 1024) /* preallocated ahead of the end of the file */

#endif
