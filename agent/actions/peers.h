/* SPDX-License-Identifier: Apache-2.0 */
/* From peers by any name to the prefixes of a rule. Pure. */
#ifndef FAULTD_ACTIONS_PEERS_H
#define FAULTD_ACTIONS_PEERS_H

#include "actions/network.h"

/* What no fault may cut off unless allowLockout: networkSpared, and metadata addresses. */
int peers_spared(const struct facts *facts, struct cidr_list *ret, struct error *e);

/* Fills both lists, with what is spared in `exclude`. Refuses names that mean nothing, and peers
 * that are spared. An address that a name has come to mean since (facts->so_far) and that is spared
 * is let be. */
int peers_prefixes(const struct network *n, const struct facts *facts, struct cidr_list *include,
		   struct cidr_list *exclude, struct error *e);

#endif
