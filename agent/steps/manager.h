/* SPDX-License-Identifier: Apache-2.0 */
/* What faultd and its guardian ask of systemd: start a unit, stop it, tell its state. Spoken over
 * systemd's own socket (root only) rather than the bus, and marshalled here rather than by sd-bus:
 * the guardian links libc only and allocates nothing while it undoes, and it must work when the bus
 * is what was stopped. Every call takes at most MANAGER_CALL_MS. Not for several threads. */
#ifndef FAULTD_STEPS_MANAGER_H
#define FAULTD_STEPS_MANAGER_H

#include <stddef.h>
#include <stdint.h>

#define MANAGER_CALL_MS    1000 /* less than a lost heartbeat, more than a busy systemd takes */
#define MANAGER_UNIT_MAX   256  /* systemd's UNIT_NAME_MAX */
#define MANAGER_STATE_MAX  24
#define MANAGER_OBJECT_MAX (32 + 3 * MANAGER_UNIT_MAX)

/* StartUnit or StopUnit with mode "replace". Return 0 when the job was accepted (it goes on by
 * itself), or a negative errno: -ENOTCONN (there is no systemd here), -ENOENT (no such unit),
 * -ESHUTDOWN (the host is going down), -EPERM (masked, or may not be started by hand), -ETIMEDOUT,
 * -EPROTO, or -EIO with any other refusal. */
int manager_start_unit(const char *name);
int manager_stop_unit(const char *name);

/* "active", "deactivating", …; a unit that is not there is "inactive". Returns 0 or a negative
 * errno as above. */
int manager_unit_state(const char *name, char ret[static MANAGER_STATE_MAX]);

/* On CLOCK_MONOTONIC; 0: never. Returns 0 or a negative errno as above. */
struct manager_unit_times {
	uint64_t exit_us;  /* when it last ceased to be inactive */
	uint64_t enter_us; /* when it last became inactive */
};
int manager_unit_times(const char *name, struct manager_unit_times *ret);

/* For tests: the parts. */

/* One D-Bus method call; `text` are its arguments, all strings. */
struct manager_call {
	const char *path, *interface, *member;
	const char *text[2];
	unsigned n_text;
};

/* The bytes of the call. Returns their number, or 0 when they do not fit. */
size_t manager_call_encode(const struct manager_call *call, unsigned char *to, size_t room);

/* "/org/freedesktop/systemd1/unit/" and the name, escaped. */
void manager_unit_object(const char *name, char ret[static MANAGER_OBJECT_MAX]);

/* The conversation on a connected socket: authentication, the call, its reply. The body of the
 * reply is copied to `body`. Returns its length, or a negative errno. */
int manager_converse(int fd, const struct manager_call *call, uint64_t until_boot_ns,
		     unsigned char *body, size_t room);

#endif
