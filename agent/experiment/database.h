/* SPDX-License-Identifier: Apache-2.0 */
/* The store's database, seen from its thread: everything here may block. SQLite is spoken to here
 * and nowhere else. One that is not open is opened with the next call, at most once a second. */
#ifndef FAULTD_EXPERIMENT_DATABASE_H
#define FAULTD_EXPERIMENT_DATABASE_H

#include "experiment/store.h"

struct database;

struct database *database_new(const char *state_dir); /* NULL: out of memory */
void database_close(struct database *d);
void database_free(struct database *d); /* closes too */

/* Opens it if it is not; makes it, checks it, and sets a damaged one aside. Finds out, too, that
 * the file has gone. Returns 0 or a negative errno:
 *   -EUCLEAN          damaged, and could not be set aside
 *   -EPROTONOSUPPORT  a later faultd made it; it is left alone
 *   -EBUSY            another process has it
 *   -EROFS and others what the system says; what is there can perhaps be read all the same */
int database_open(struct database *d);

/* Is there one, whether it can be opened or not? A file without a byte is none yet. */
bool database_is_there(const struct database *d);

/* What was noticed since the last call. */
struct database_news {
	bool begun_anew; /* an empty one took the place of one that was open, or was damaged */
	char aside[32];  /* the name that a damaged one has now, or "" */
};
struct database_news database_news(struct database *d);

/* Return 0 or a negative errno. Between begin and commit nothing is kept; commit is on stable
 * storage when it returns 0, and rolls back when it does not. `why`: what is being given up for. */
int database_begin(struct database *d);
int database_commit(struct database *d);
void database_rollback(struct database *d, int why);
int database_put(struct database *d, enum store_table table, const char *id, int64_t order_us,
		 const char *text);
int database_delete(struct database *d, enum store_table table, const char *id);
int database_prune(struct database *d, int64_t before_us); /* experiments */

/* `ret` is malloc'd, or NULL: there is none. */
int database_get(struct database *d, enum store_table table, const char *id, char **ret);

/* The newest `limit` ones, oldest first. What `each` returns other than 0 ends it. */
typedef int (*database_each_fn)(enum store_table table, const char *id, int64_t order_us,
				const char *text, void *arg);
int database_each(struct database *d, enum store_table table, size_t limit, database_each_fn each,
		  void *arg);

#endif
