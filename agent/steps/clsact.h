/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink for the clsact qdisc and our filter in it: on the stack, for faultd and guardian. */
#ifndef FAULTD_STEPS_CLSACT_H
#define FAULTD_STEPS_CLSACT_H

#include <stdint.h>

#include "faultd/bpf-abi.h"

/* Our filter is known by these three together: a foreign one is never touched. */
#define FILTER_PREF   0xfa17
#define FILTER_HANDLE 0xfa17
#define FILTER_NAME   "faultd_classify"

/* The filter of a shaper: its handle is the shaper's mark. Behind the classifier's. */
#define MARK_FILTER_PREF 0xfa18
#define MARK_FILTER_NAME "faultd_shape"

/* Returns 0, -EEXIST when there is one, or another errno. */
int clsact_add(uint32_t ifindex);

/* Deletes it when it holds no filter. Returns 0 (deleted, or absent), -EBUSY (holds filters of
 * others), -EAGAIN (holds only ours, so its turn comes), or another errno; a device that is gone
 * counts as absent. */
int clsact_delete_empty(uint32_t ifindex);

/* Attaches a program as our filter. Returns 0, -EEXIST or another errno. */
int filter_add(uint32_t ifindex, uint32_t direction, int prog_fd);

/* Deletes our filter. Returns 0 (deleted, or absent) or a negative errno. */
int filter_delete(uint32_t ifindex, uint32_t direction);

/* Is our filter there? Returns 1, 0 or a negative errno. */
int filter_present(uint32_t ifindex, uint32_t direction);

/* The same for the filter that redirects what its program says to the device `to`. */
int mark_filter_add(uint32_t ifindex, uint32_t direction, uint32_t mark, int prog_fd, uint32_t to);
int mark_filter_delete(uint32_t ifindex, uint32_t direction, uint32_t mark);
int mark_filter_present(uint32_t ifindex, uint32_t direction, uint32_t mark);

#endif
