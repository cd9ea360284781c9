/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the space of a file system, and keeps as much of it as it should while others take and free
 * theirs. All of it is in files without a name: the kernel gives it back when this process ends,
 * however it ends. */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load/disk_want.h"
#include "load/hold.h"
#include "load/load.h"
#include "load/report.h"
#include "load/scratch.h"
#include "util/clock.h"

/* Small enough that a kill is prompt, and that others see it grow. */
#define PIECE_MAX (64ULL << 20)

/* More than one file where there is a limit to one: 4 GiB on vfat, or RLIMIT_FSIZE. */
#define FILES_MAX 512

#define LOOK_NS       (100 * NSEC_PER_MSEC) /* after what others do; statfs is cheap */
#define LOOK_FULL_NS  NSEC_PER_SEC          /* when there was no more to be had */
#define READY_MOST_NS NSEC_PER_SEC          /* a large disk takes longer than that to fill */

struct disk_args {
	const char *path;
	double value;
	int of;
	uint64_t reserve;
	struct grade grade;
};

struct disk {
	const struct disk_args *args;
	int fd[FILES_MAX];
	size_t n;
	uint64_t piece; /* halved while there is not room for it */
	struct disk_space space;
};

static int open_next(struct disk *d)
{
	int fd;

	if (d->n == FILES_MAX)
		return -ENOSPC;
	fd = scratch_open(d->args->path);
	if (fd < 0)
		return fd;
	d->fd[d->n++] = fd;
	return 0;
}

/* What the file system itself says is held, and free. */
static int look(struct disk *d)
{
	struct scratch_space space;
	uint64_t held = 0;
	int r = scratch_space(d->fd[0], &space);

	for (size_t i = 0; r == 0 && i < d->n; i++) {
		uint64_t one;

		r = scratch_held(d->fd[i], &one);
		held += r == 0 ? one : 0;
	}
	if (r < 0)
		return r;
	d->space.used = space.used;
	d->space.available = space.available;
	d->space.block = space.block;
	d->space.held = held;
	return 0;
}

static int start(struct disk *d)
{
	int r = open_next(d);

	if (r == 0)
		r = look(d);
	d->space.free_at_first = d->space.available + d->space.held;
	d->piece = PIECE_MAX;
	return r;
}

static int size_of_last(const struct disk *d, uint64_t *ret)
{
	struct stat st;

	if (fstat(d->fd[d->n - 1], &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

/* One piece more, at most `bytes`. Returns 1, 0 when there is no block to be had, or a negative
 * errno. */
static int grow(struct disk *d, uint64_t bytes)
{
	uint64_t size = 0;
	int r;

	if (bytes > d->piece)
		bytes = d->piece;
	r = size_of_last(d, &size);
	if (r == 0)
		r = scratch_extend(d->fd[d->n - 1], size, bytes);
	if (r == -EFBIG) {
		if (bytes > d->space.block) {
			d->piece = bytes / 2 - bytes / 2 % d->space.block;
			return 1;
		}
		d->piece = PIECE_MAX;
		r = open_next(d);
	}
	if (r != -ENOSPC)
		return r < 0 ? r : 1;
	d->piece = bytes / 2 - bytes / 2 % d->space.block;
	return d->piece > 0;
}

/* The last are given back first. */
static int shrink(struct disk *d, uint64_t bytes)
{
	while (bytes > 0) {
		uint64_t size = 0;
		int r = size_of_last(d, &size);

		if (r < 0)
			return r;
		if (bytes < size || d->n == 1)
			return scratch_cut(d->fd[d->n - 1], bytes < size ? size - bytes : 0);
		(void)close(d->fd[--d->n]);
		bytes -= size;
	}
	return 0;
}

/* One step towards the value. Returns 1 when there may be more to do at once, 0 when not, or a
 * negative errno. */
static int approach(struct disk *d, double value, bool had_reached)
{
	uint64_t wanted;
	int r = look(d);

	if (r < 0)
		return r;
	wanted = disk_wanted((enum disk_of)d->args->of, value, d->args->reserve, &d->space);
	report_set(LOAD_WANTED, wanted);
	if (d->space.held >= wanted + d->space.block) {
		r = shrink(d, d->space.held - wanted);
		if (had_reached)
			report_add(LOAD_YIELDED, 1);
	} else if (wanted >= d->space.held + d->space.block) {
		r = grow(d, wanted - d->space.held);
	}
	if (look(d) == 0)
		report_set(LOAD_HELD, d->space.held);
	return r;
}

static int failed(bool ready, const struct disk_args *a, int r)
{
	const char *why = r == -EXDEV ? "it is a mount of its own, and no directory" : strerror(-r);

	if (!ready)
		return report_failure("cannot fill the file system of %s: %s", a->path, why);
	warnx("cannot go on filling the file system of %s: %s", a->path, why);
	return EXIT_FAILURE;
}

static int disk_run(const struct hold *hold, const void *args)
{
	const struct disk_args *a = args;
	static struct disk d;
	struct grade_point point;
	uint64_t began = boot_ns(), change_ns, pause;
	double value, reached = -1;
	bool ready = false;
	int r;

	(void)signal(SIGXFSZ, SIG_IGN); /* then it is EFBIG */
	d.args = a;
	r = start(&d);
	do {
		hold_grade(hold, &a->grade, a->value, &point, &change_ns);
		value = point.on ? point.value : 0;
		if (r == 0)
			r = approach(&d, value, value == reached);
		if (r < 0)
			return failed(ready, a, r);
		pause = r > 0 ? 0 : d.piece ? LOOK_NS : LOOK_FULL_NS;
		if (r == 0) {
			reached = value;
			d.piece = PIECE_MAX;
		}
		if (!ready && (r == 0 || boot_ns() - began > READY_MOST_NS)) {
			report_ready();
			ready = true;
		}
		r = 0;
		pause += boot_ns();
	} while (hold_sleep(hold, pause < change_ns ? pause : change_ns));
	return EXIT_SUCCESS;
}

static const char *const ofs[] = {
	[DISK_FILESYSTEM] = "filesystem", [DISK_FREE] = "free", [DISK_BYTES] = "bytes", NULL};

static const struct load_option disk_options[] = {
	{"path", "PATH", "anything on the file system to fill", LOAD_OPTION_TEXT,
	 offsetof(struct disk_args, path), 0, 0, NULL},
	{"value", "V", "how full, or how much", LOAD_OPTION_NUMBER,
	 offsetof(struct disk_args, value), 0, 1e15, NULL},
	{"of", "WHAT",
	 "percent of the file system, used by all (filesystem), percent of what is free at first "
	 "(free), or bytes",
	 LOAD_OPTION_CHOICE, offsetof(struct disk_args, of), 0, 0, ofs},
	{"reserve", "BYTES", "what stays free in any case", LOAD_OPTION_UINT,
	 offsetof(struct disk_args, reserve), 0, 1e18, NULL, true},
	LOAD_GRADE_OPTIONS(struct disk_args, grade),
	{0},
};

const struct load_kind load_disk = {
	.name = "disk",
	.summary = "take the space of a file system",
	.options = disk_options,
	.args_size = sizeof(struct disk_args),
	.run = disk_run,
};
