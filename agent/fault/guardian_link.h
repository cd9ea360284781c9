/* SPDX-License-Identifier: Apache-2.0 */
/* faultd's end of the tie to its guardian: the socket it connects to, the heartbeat while a fault
 * is open, and, when no supervisor runs the guardian, the guardian itself. */
#ifndef FAULTD_FAULT_GUARDIAN_LINK_H
#define FAULTD_FAULT_GUARDIAN_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct guardian_link;

struct guardian_callbacks {
	/* The guardian has read the journals as of arm number `number`. */
	void (*acked)(uint32_t number, void *arg);
	/* It came or went. */
	void (*changed)(bool connected, void *arg);
	void *arg;
};

/* Listens on RUNTIME/guardian.sock; starts `program` --watch when not NULL, and again whenever it
 * ends. Returns 0 or a negative errno. */
int guardian_link_start(uv_loop_t *loop, const char *runtime_dir, const char *program,
			const struct guardian_callbacks *callbacks, struct guardian_link **ret);

/* Says good-bye and closes; the loop must run once more for the handles. Waits a moment for a
 * guardian that it started, so that nothing is left running. */
void guardian_link_stop(struct guardian_link *g, bool all_undone);
void guardian_link_free(struct guardian_link *g); /* after the loop is done */

bool guardian_link_connected(const struct guardian_link *g);
pid_t guardian_link_pid(const struct guardian_link *g); /* 0: none */

/* Tells it to read the journals and to expect beats from now on. Returns the number that acked()
 * will bring, or 0 when no guardian is connected. */
uint32_t guardian_link_arm(struct guardian_link *g);

/* A beat between two steps of something long, if one is due. */
void guardian_link_beat(struct guardian_link *g);

/* No fault is open: no beats until the next arm. */
void guardian_link_idle(struct guardian_link *g);

#endif
