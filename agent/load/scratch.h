/* SPDX-License-Identifier: Apache-2.0 */
/* Files without a name: nothing to delete, and nothing to find, whoever dies. Their blocks are free
 * again when the last descriptor is closed, which a SIGKILL does. */
#ifndef FAULTD_LOAD_SCRATCH_H
#define FAULTD_LOAD_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>

/* Opens one for reading and writing, on the file system of `path`: a directory, or what lies in
 * one. A file system that cannot make nameless files (vfat, NFS, overlayfs before 6.1) shows a name
 * (".faultd-…") between two system calls; NFS keeps one (".nfs…") until the file is closed.
 * Returns the descriptor or a negative errno; -EXDEV: `path` is a mount of its own, and no
 * directory. */
int scratch_open(const char *path) __attribute__((warn_unused_result));

struct scratch_space {
	uint64_t used;      /* bytes, by all; root's reserve is not part of it */
	uint64_t available; /* to everybody */
	uint64_t block;     /* what both are multiples of */
};

/* Of the file system that `fd` is on. Returns 0 or a negative errno. */
int scratch_space(int fd, struct scratch_space *ret) __attribute__((warn_unused_result));

/* The bytes of disk that `fd` holds. Returns 0 or a negative errno. */
int scratch_held(int fd, uint64_t *ret) __attribute__((warn_unused_result));

/* Gives the file blocks of its own from `offset` on, and makes it that long; by writing, where the
 * file system cannot do it otherwise. Returns 0; -ENOSPC, also for a quota, when there was not room
 * for all of it (some may have been taken); -EFBIG when the file can be no longer; or another
 * negative errno. */
int scratch_extend(int fd, uint64_t offset, uint64_t bytes) __attribute__((warn_unused_result));

/* Cuts it to `size`. Returns 0 or a negative errno. */
int scratch_cut(int fd, uint64_t size) __attribute__((warn_unused_result));

/* Bytes that no file system makes smaller. */
void scratch_noise(void *buffer, uint64_t size, uint64_t *seed);

#endif
