/* SPDX-License-Identifier: Apache-2.0 */
/* Names among peers, and whom they mean by now: sets of prefixes out of a file, and hosts, whose
 * addresses change. Pure: callers bring the file's text and the resolver's answers. */
#ifndef FAULTD_PLAN_PEERS_H
#define FAULTD_PLAN_PEERS_H

#include "plan/values.h"
#include "util/err.h"

#define PEER_KEPT_ANSWERS 3 /* that are without an address, before it is forgotten */

enum named_kind {
	NAMED_HOST,
	NAMED_SET,
	NAMED_RESERVED, /* what FIS calls so, such as S3 or a zone: only ever a set, and no file
			   defines it */
};

struct named_peer {
	char name[NAME_TEXT_MAX];
	enum named_kind kind;
	struct cidr_list list;
	uint8_t missed[CIDRS_MAX]; /* HOST: answers in a row that were without it */
	char why[96];              /* the last answer was none: why; or "" */
};

/* All names of one request, and of networkSpared. Upper and lower case are the same. */
struct resolved {
	char sets_path[256]; /* that was read, for people */
	struct peer_list spared;
	size_t n;
	struct named_peer peer[];
};

/* Of these lists and of `spared`, each name once. NULL: out of memory. */
struct resolved *resolved_new(const struct peer_list *const *lists, size_t n,
			      const struct peer_list *spared);
struct resolved *resolved_copy(const struct resolved *r); /* NULL: out of memory, or of NULL */
size_t resolved_size(const struct resolved *r);

/* Takes the sets out of the file's text, which is checked whole; NULL: there is no file. Names that
 * are in it are sets from then on. */
int resolved_take_sets(struct resolved *r, const char *text, size_t length, struct error *e);

const struct named_peer *resolved_find(const struct resolved *r, const char *name);
bool resolved_has_hosts(const struct resolved *r);

/* Does the name look like a set that FIS knows? */
bool is_set_name(const char *name);

/* What the resolver says now; returns whether `p->list` is another one. `why` (no answer) keeps
 * what there was. An address that is missing is kept for PEER_KEPT_ANSWERS answers: some servers
 * tell a part of the addresses each time. */
bool named_peer_answer(struct named_peer *p, const struct cidr_list *answer);
void named_peer_no_answer(struct named_peer *p, const char *why);

#endif
