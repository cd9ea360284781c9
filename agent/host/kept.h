/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel forgets when an interface goes down and does not bring back by itself: IPv6
 * addresses, routes of all tables, permanent neighbours; each as the request that adds it again. */
#ifndef FAULTD_HOST_KEPT_H
#define FAULTD_HOST_KEPT_H

#include <stddef.h>
#include <stdint.h>

#include "faultd/limits.h"
#include "util/str.h"

struct kept {
	uint32_t ifindex;
	uint32_t rank;   /* they are added again in this order, for some stand on others, */
	int32_t order;   /* and in this one within a rank */
	uint16_t type;   /* RTM_NEWROUTE, RTM_NEWADDR, RTM_NEWNEIGH */
	uint8_t place;   /* not filled in here: in which network namespace */
	char shown[128]; /* "route 10.2.0.0/16 via 10.1.0.1" */
	char message[KEPT_HEX_MAX + 1]; /* see nl_print() */
};

struct kept_list {
	struct kept kept[KEPT_MAX];
	size_t n;
	uint64_t read_boot_ns;
};

/* Adds what is to be kept of this interface, in the order in which it is added again.
 * Returns 0; -EOPNOTSUPP and the reason when something could not be put back as it is; or another
 * errno. */
int kept_read(uint32_t ifindex, struct kept_list *list, struct text *why);

#endif
