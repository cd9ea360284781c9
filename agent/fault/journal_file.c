/* SPDX-License-Identifier: Apache-2.0 */
#include "fault/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "steps/replay.h"
#include "util/crash_point.h"

#define STEP_LINES_MAX                                                            \
	640 /* bytes of all the lines of one step: two step lines and three marks \
	     */

static int reserve_to(struct journal_file *j, off_t end)
{
	off_t to = (end + JOURNAL_CHUNK - 1) / JOURNAL_CHUNK * JOURNAL_CHUNK;

	if (to <= j->allocated)
		return 0;
	/* Not every file system can allocate ahead; tmpfs, ext4, xfs and btrfs can. */
	if (fallocate(j->fd, FALLOC_FL_KEEP_SIZE, j->allocated, to - j->allocated) < 0 &&
	    errno != EOPNOTSUPP)
		return -errno;
	j->allocated = to;
	return 0;
}

int journal_file_reserve(struct journal_file *j, size_t n)
{
	return reserve_to(j, j->end + (off_t)(n + 1) * STEP_LINES_MAX);
}

static int append(struct journal_file *j, const struct text *t)
{
	ssize_t n;

	if (j->fd < 0)
		return -EBADF;
	if (t->cut)
		return -E2BIG;
	do
		n = pwrite(j->fd, t->data, t->length, j->end);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)t->length)
		return n < 0 ? -errno
			     : -ENOSPC; /* a part of a line is torn: the next one overwrites it */
	j->end += n;
	crash_point("journal line written");
	return 0;
}

int journal_file_create(struct journal_file *j, int dirfd, const struct journal_header *h)
{
	char buffer[1024];
	struct text t = TEXT(buffer);
	int r;

	*j = (struct journal_file){.dirfd = dirfd, .fd = -1};
	(void)snprintf(j->name, sizeof(j->name), "%s" JOURNAL_SUFFIX, h->id);
	j->fd = openat(dirfd, j->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return -errno;
	crash_point("journal created");
	journal_print_header(h, &t);
	r = reserve_to(j, JOURNAL_CHUNK);
	if (r == 0)
		r = append(j, &t);
	if (r < 0)
		journal_file_finish(j);
	j->steps = j->end;
	return r;
}

int journal_file_step(struct journal_file *j, size_t index, const struct step *s)
{
	char buffer[JOURNAL_LINE_MAX];
	struct text t = TEXT(buffer);

	journal_print_step(index, s, &t);
	return append(j, &t);
}

int journal_file_mark(struct journal_file *j, enum journal_line_type type, size_t index)
{
	char buffer[80];
	struct text t = TEXT(buffer);

	journal_print_mark(type, index, &t);
	return append(j, &t);
}

int journal_file_sync(struct journal_file *j)
{
	return fdatasync(j->fd) < 0 || fsync(j->dirfd) < 0 ? -errno : 0;
}

int journal_file_restart(struct journal_file *j)
{
	if (ftruncate(j->fd, j->steps) < 0)
		return -errno;
	j->end = j->steps;
	j->allocated = 0; /* it went with the rest */
	crash_point("journal restarted");
	return 0;
}

void journal_file_finish(struct journal_file *j)
{
	if (j->fd < 0)
		return;
	(void)journal_file_mark(j, JOURNAL_END, 0);
	(void)unlinkat(j->dirfd, j->name, 0);
	(void)close(j->fd);
	j->fd = -1;
	crash_point("journal removed");
}
