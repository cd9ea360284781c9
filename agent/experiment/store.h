/* SPDX-License-Identifier: Apache-2.0 */
/* Templates, experiments and the lever on disk: SQLite in a thread of its own, so that a slow or
 * full disk never holds up the loop, of which faults are ended. What is told to the store is taken
 * in order; what is asked of it afterwards sees it. The store knows JSON texts and keys, not what
 * they mean. Losing it loses history, never an undo. */
#ifndef FAULTD_EXPERIMENT_STORE_H
#define FAULTD_EXPERIMENT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "util/err.h"

enum store_table { STORE_TEMPLATES, STORE_EXPERIMENTS, STORE_STATE, _STORE_TABLE_MAX };

struct store;

/* Called once for each record at the start, oldest first, in the order of `order`. */
typedef void (*store_each_fn)(enum store_table table, const char *id, int64_t order_us,
			      const char *text, void *arg);

/* Opens (makes) STATE_DIR/faultd.db, mode 0600, checks it, and reads every record of the templates
 * and the state, and of the experiments the newest `experiments` ones. A database that is damaged
 * is set aside as faultd.db.bad, and a new one begun, which is logged. Blocks: for the start of
 * faultd only. When nothing can be opened (read only, full), it goes on without a disk, which is
 * logged too, and every write says so. Returns 0 or -ENOMEM. */
int store_open(uv_loop_t *loop, const char *state_dir, size_t experiments, store_each_fn each,
	       void *arg, struct store **ret);

/* Writes what is queued, for at most 2 s, then closes. `done` callbacks that are left are called
 * with -ECANCELED. Blocks: for the end of faultd only. */
void store_close(struct store *s);
void store_free(struct store *s); /* after the loop has run once more */

/* 0, or why it was not kept: -ENOSPC, -EROFS, -EIO …; called on the loop. */
typedef void (*store_done_fn)(int r, void *arg);

/* Keeps, replaces: `text` is copied. `done` may be NULL. On stable storage by the time `done` is
 * called with 0. Returns 0 or -ENOMEM (`done` is not called). */
int store_put(struct store *s, enum store_table table, const char *id, int64_t order_us,
	      const char *text, store_done_fn done, void *arg);
int store_delete(struct store *s, enum store_table table, const char *id, store_done_fn done,
		 void *arg);

/* Reads one: `text` is NULL when there is none, and then `r` is 0 or why it could not be read. */
typedef void (*store_text_fn)(int r, const char *text, void *arg);
int store_get(struct store *s, enum store_table table, const char *id, store_text_fn done,
	      void *arg);

/* Forgets experiments that are older than this. */
int store_prune(struct store *s, int64_t before_us);

/* The last write's outcome, for doctor and status: 0 or a negative errno. */
int store_health(const struct store *s);

#endif
