/* SPDX-License-Identifier: Apache-2.0 */
/* Templates, experiments and the lever on disk: SQLite in a thread of its own, so that a slow or
 * full disk never holds up the loop, of which faults are ended. What is told to the store is taken
 * in order; what is asked of it afterwards sees it. The store knows JSON texts and keys, not what
 * they mean. Losing it loses history, never an undo.
 *
 * At most STORE_QUEUE_MAX calls and STORE_QUEUE_BYTES_MAX of their texts wait for the disk; one
 * more is refused with -EBUSY. A put whose record is put again while it still waits is not written:
 * it is told what becomes of the later one, which takes its place. */
#ifndef FAULTD_EXPERIMENT_STORE_H
#define FAULTD_EXPERIMENT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "util/err.h"

enum store_table { STORE_TEMPLATES, STORE_EXPERIMENTS, STORE_STATE, _STORE_TABLE_MAX };

#define STORE_TEXT_MAX        (4u << 20)
#define STORE_QUEUE_MAX       16384
#define STORE_QUEUE_BYTES_MAX (32u << 20)

struct store;

/* Called once for each record at the start: table by table, in each oldest first (by `order_us`,
 * then by id). */
typedef void (*store_each_fn)(enum store_table table, const char *id, int64_t order_us,
			      const char *text, void *arg);

/* Opens (makes) STATE_DIR/faultd.db, mode 0600, checks it, and reads every record of the templates
 * and the state, and of the experiments the newest `experiments` ones. A database that is damaged
 * is set aside as faultd.db.bad (with its -wal), and a new one begun, which is logged. Blocks, for
 * at most 10 s: for the start of faultd only. When it cannot be opened (full, another process has
 * it, a later faultd made it), it goes on without a disk, which is logged too, every write says so,
 * and the next write tries again, once a second. What is on a file system that is read-only is read
 * all the same. Returns 0, or a negative errno: out of memory, of threads, of descriptors. */
int store_open(uv_loop_t *loop, const char *state_dir, size_t experiments, store_each_fn each,
	       void *arg, struct store **ret);

/* Why what had been kept is not known: the database was there when it was opened, but could not be
 * read, or was damaged; or it was not known in time whether it was there. NULL: all that was kept
 * was told, or there was none yet. */
const char *store_unread(const struct store *s);

/* After this, what is on disk may lack what was to be kept: writes failed and succeed again, or a
 * new database took the place of one that was damaged or deleted. Whoever has it all in memory puts
 * it again. Called on the loop, after the `done` of the write that succeeded. */
typedef void (*store_stale_fn)(void *arg);
void store_on_stale(struct store *s, store_stale_fn stale, void *arg);

/* Writes what is queued, for at most 2 s, then closes. Callbacks that are left are called with
 * -ECANCELED, from within this: it is not known whether the write that was under way is kept. A
 * thread that hangs in the disk is left behind; it shares nothing with the store any more. (The
 * kernel ends it with the process, which is a zombie until the disk answers.) Blocks: for the end
 * of faultd only. */
void store_close(struct store *s);
void store_free(struct store *s); /* after the loop has run once more; NULL: nothing */

/* 0, or why it was not kept: -ENOSPC, -EROFS, -EIO …; called on the loop, never from within the
 * call. */
typedef void (*store_done_fn)(int r, void *arg);

/* Keeps, replaces: `text` is copied. `done` may be NULL. On stable storage by the time `done` is
 * called with 0. Returns 0, or -ENOMEM, -EBUSY (too much waits for the disk), -E2BIG (the text is
 * longer than STORE_TEXT_MAX), -ECANCELED (it is closed); then `done` is not called. */
int store_put(struct store *s, enum store_table table, const char *id, int64_t order_us,
	      const char *text, store_done_fn done, void *arg);
int store_delete(struct store *s, enum store_table table, const char *id, store_done_fn done,
		 void *arg);

/* Reads one: `text` is NULL when there is none, and then `r` is 0 or why it could not be read. */
typedef void (*store_text_fn)(int r, const char *text, void *arg);
int store_get(struct store *s, enum store_table table, const char *id, store_text_fn done,
	      void *arg);

/* Forgets experiments whose `order_us` is less than this. */
int store_prune(struct store *s, int64_t before_us);

/* The last write's outcome, for doctor and status: 0 or a negative errno. */
int store_health(const struct store *s);
const char *store_strerror(int r); /* of what it returns and tells */

#endif
