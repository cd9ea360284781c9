/* SPDX-License-Identifier: Apache-2.0 */
/* All faults: the life cycle from request to done. Owns the journal directory and its lock, the tie
 * to the guardian, and the one alarm (timerfd on CLOCK_BOOTTIME) for deadlines, leases, intervals
 * and retries. */
#ifndef FAULTD_FAULT_FAULTS_H
#define FAULTD_FAULT_FAULTS_H

#include <uv.h>

#include "fault/fault.h"

struct faults;

struct faults_setup {
	uv_loop_t *loop;
	const char *runtime_dir;
	const char *state_dir;
	const char *load_path;
	const char *guardian_path;   /* NULL: a supervisor runs the guardian */
	const struct policy *policy; /* outlives the faults; may change in place */
};

/* Takes the lock, undoes what a dead faultd left, and ties up the guardian. Returns 0, or a
 * negative errno and the error: -EWOULDBLOCK another faultd runs here, -EUCLEAN something could not
 * be undone. */
int faults_start(const struct faults_setup *setup, struct faults **ret, struct error *e);

/* Ends every fault now, for `reason`. Those whose undo takes its time are still undoing by return.
 */
void faults_stop_all(struct faults *all, const char *reason);

/* Waits until none is undoing any more: done or stuck. For the end of faultd only. Returns how many
 * are still open. */
size_t faults_finish(struct faults *all);

/* The loop they live in, for whoever shows them. */
uv_loop_t *faults_loop(const struct faults *all);

/* Refuses new faults from here on. */
void faults_close(struct faults *all);

/* Refuses new faults for this reason, which is copied; NULL: does so no more. */
void faults_block(struct faults *all, const char *reason);

/* After faults_stop_all(): closes all handles (the loop must run until they are gone), then frees.
 */
void faults_release(struct faults *all);
void faults_free(struct faults *all);

/* Called on each change of state of any fault. */
typedef void (*fault_event_fn)(struct fault *f, void *arg);

struct fault_listener {
	struct fault_listener *next;
	fault_event_fn event;
	void (*guardian)(void *arg); /* it came or went; or NULL */
	void *arg;
};

void faults_listen(struct faults *all, struct fault_listener *l);
void faults_unlisten(struct faults *all, struct fault_listener *l);

/* Names among a request's peers mean something only when they have been resolved, for which
 * faults_request() does not wait. Fills `q->resolved`. Returns
 *  0  nothing has to be waited for;
 *  1  `done` will be called, within 5 s and not from within this, unless it is cancelled before;
 *     `q` has to stay where it is;
 *  or a negative errno and the error (a bad file of sets). A name that nobody knows is for
 *  faults_request() to refuse. */
struct resolving;
typedef void (*resolve_fn)(void *arg);
int faults_resolve(struct faults *all, struct request *q, resolve_fn done, void *arg,
		   struct resolving **ret, struct error *e);
void resolve_cancel(struct resolving *r); /* NULL: nothing; `done` is not called */

/* Checks and plans the request, then begins it. Returns
 *  0  `*ret` is begun: listeners hear when it is active, or over because it could not be applied;
 *  1  `*ret` is the fault that already has this clientToken;
 *  2  dry run: `*ret` is only planned, the caller frees it with fault_free();
 *  or a negative errno and the error: nothing was changed. A begun fault stays valid while it is
 * open, and until the next request after that. */
int faults_request(struct faults *all, const struct request *q, const struct caller *c,
		   struct fault **ret, struct error *e);
void fault_free(struct fault *f);

/* Ends it for `reason`. By return it is done, failed or stuck; or undoing, when that takes its
 * time: listeners hear of its end. Ending twice is nothing. */
void fault_end(struct fault *f, const char *reason);

/* Renews the lease. Returns 0, -ENOENT (it has none) or -ESTALE (it is ending). */
int fault_renew(struct fault *f);

struct fault *faults_find(struct faults *all, const char *id);
struct fault *faults_first(struct faults *all); /* open ones and the last finished, newest first */
size_t faults_count_open(const struct faults *all);
size_t faults_count_stuck(const struct faults *all);

/* Tries stuck undos again now. */
void faults_retry(struct faults *all);

bool faults_guardian_connected(const struct faults *all);
bool faults_guardian_answers(const struct faults *all); /* as far as it was asked */
pid_t faults_guardian_pid(const struct faults *all);

/* For the watchdog: is any open fault past its deadline by a margin and not stuck? Then the loop
 * does not do its work, and the supervisor should know. */
bool faults_healthy(const struct faults *all);

#endif
