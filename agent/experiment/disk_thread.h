/* SPDX-License-Identifier: Apache-2.0 */
/* A thread for what a disk may hold up for ever. It takes batches of jobs, one batch at a time, and
 * the loop is told when one is done. Whoever uses it queues on the loop and hands over the next
 * batch when it is idle, so that nothing but a batch is ever shared.
 *
 * The thread has a table of descriptors of its own, with nothing of the daemon's in it: a thread in
 * uninterruptible sleep outlives the SIGKILL of its process, and would keep open what ends faults
 * by being closed (links, the guardian's connection, the journals' lock). */
#ifndef FAULTD_EXPERIMENT_DISK_THREAD_H
#define FAULTD_EXPERIMENT_DISK_THREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* The first member of a job. While a batch is with the thread, the loop may read what was there
 * before, and changes nothing. */
struct disk_job {
	struct disk_job *next;
};

/* What the thread does; called in it. `state` is the thread's alone. */
struct disk_work {
	void (*run)(void *state, struct disk_job *batch);
	void (*drop)(struct disk_job *batch); /* frees one that nobody waits for any more */
	void (*end)(void *state);             /* closes and frees; the last */
};

struct disk_thread;
typedef void (*disk_batch_fn)(struct disk_job *batch, void *arg);

/* `done` is called on the loop with each batch that was run. Returns 0, and `state` is the
 * thread's; or a negative errno, and it is still the caller's. */
int disk_thread_start(uv_loop_t *loop, const struct disk_work *work, void *state,
		      disk_batch_fn done, void *arg, struct disk_thread **ret);

bool disk_thread_idle(const struct disk_thread *t);
/* Only while it is idle. */
void disk_thread_hand(struct disk_thread *t, struct disk_job *batch);

/* Waits for the batch that is being run, and blocks the loop for that: until CLOCK_MONOTONIC says
 * `until_ns`. Returns the batch (`done` is not called for it), or NULL: none, or not in time. */
struct disk_job *disk_thread_wait(struct disk_thread *t, uint64_t until_ns);

/* Ends the thread; waits for that, no longer than `until_ns`. Returns whether it has ended. One
 * that hangs is abandoned: it touches nothing but its state, its batch and its own descriptors, and
 * frees them when it comes back, if ever. `left` is then called once with the batch it has, if any,
 * of which nothing may be kept or freed. `t` frees itself when its handle has closed. */
typedef void (*disk_left_fn)(const struct disk_job *batch, void *arg);
bool disk_thread_end(struct disk_thread *t, uint64_t until_ns, disk_left_fn left);

#endif
