/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes a scratch file without a name: in turn a stretch of it in order, then places at
 * random, with a sync now and then. Past the page cache where the file system can (O_DIRECT), else
 * through it, and then out of it again, so that reads come from the disk. Only what has been
 * written is read: blocks that were only set aside would be read as zeros, without the disk. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load/hold.h"
#include "load/load.h"
#include "load/report.h"
#include "load/scratch.h"
#include "util/clock.h"

#define UNIT         (1ULL << 20) /* the file's size is a multiple */
#define PIECE_MAX    (64 * UNIT)  /* that it grows by */
#define ORDERLY_SIZE (256U << 10) /* of one read or write, in order */
#define ALIGNMENT    4096U        /* enough for O_DIRECT on disks of 512 and of 4096 bytes */
#define RANDOM_SIZES 5            /* 4 KiB to 64 KiB */

/* One round */
#define N_ORDERLY 4
#define N_RANDOM  8
#define SYNC_EACH 48 /* writes */

#define LOOK_NS NSEC_PER_SEC /* after how much others have left free */

struct io_args {
	const char *path;
	double value;
	uint64_t percent_of; /* bytes that a value of 100 means; 0: the value is in bytes */
	uint64_t workers;    /* that share it */
	uint64_t reserve;
	struct grade grade;
};

struct io {
	const struct hold *hold;
	const struct io_args *args;
	int fd;
	bool direct;
	uint64_t wanted, size;
	uint64_t most;    /* after others took the room */
	uint64_t written; /* from the beginning up to here all blocks have been */
	uint64_t write_at, read_at;
	uint64_t seed;
	unsigned unsynced;
	uint64_t look_ns;
};

static _Alignas(ALIGNMENT) char buffer[ORDERLY_SIZE];

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t random_below(struct io *io, uint64_t n)
{
	io->seed ^= io->seed << 13;
	io->seed ^= io->seed >> 7;
	io->seed ^= io->seed << 17;
	return io->seed % n;
}

static bool is_over(const struct io *io)
{
	return boot_ns() >= io->hold->deadline_boot_ns;
}

/* fcntl(2) says no where the file system cannot. */
static void use_direct(struct io *io, bool direct)
{
	int flags = fcntl(io->fd, F_GETFL);

	io->direct = flags >= 0 &&
		     fcntl(io->fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0 &&
		     direct;
	if (!io->direct)
		warnx("the file system of %s does not take O_DIRECT: through the page cache",
		      io->args->path);
}

static int cut(struct io *io, uint64_t size)
{
	io->size = size - size % UNIT;
	io->written = min_u64(io->written, io->size);
	io->write_at = min_u64(io->write_at, io->written);
	io->read_at = min_u64(io->read_at, io->written);
	report_set(LOAD_HELD, io->size);
	return scratch_cut(io->fd, io->size);
}

/* Others need the room: this much is enough from now on. */
static int yield(struct io *io, uint64_t size)
{
	report_add(LOAD_YIELDED, 1);
	io->most = size - size % UNIT;
	return io->size > io->most ? cut(io, io->most) : 0;
}

/* A piece more, if that leaves the reserve alone: also when all workers take theirs now. */
static int grow(struct io *io)
{
	uint64_t bytes = min_u64(PIECE_MAX, min_u64(io->wanted, io->most) - io->size), room = 0;
	struct scratch_space space;
	int r = scratch_space(io->fd, &space);

	if (r < 0)
		return r;
	if (space.available > io->args->reserve)
		room = space.available - io->args->reserve;
	/* The first is for everyone. */
	room = io->size ? room / io->args->workers : min_u64(room, UNIT);
	if (room < UNIT)
		return yield(io, io->size);
	bytes = min_u64(bytes, room);
	bytes -= bytes % UNIT;
	r = scratch_extend(io->fd, io->size, bytes);
	if (r == -EINVAL && io->direct) {
		use_direct(io, false);
		return 0;
	}
	if (r == -ENOSPC || r == -EFBIG) {
		r = cut(io, io->size); /* some may have been taken */
		return r < 0 ? r : yield(io, io->size);
	}
	if (r == 0)
		io->size += bytes;
	report_set(LOAD_HELD, io->size);
	return r;
}

/* Gives back what others lack. */
static int look(struct io *io)
{
	struct scratch_space space;
	uint64_t lacking;
	int r;

	if (boot_ns() < io->look_ns)
		return 0;
	io->look_ns = boot_ns() + LOOK_NS;
	r = scratch_space(io->fd, &space);
	if (r < 0 || space.available >= io->args->reserve)
		return r;
	lacking = io->args->reserve - space.available + UNIT - 1;
	return yield(io, io->size > lacking ? io->size - lacking : 0);
}

static int fit(struct io *io)
{
	int r = look(io);

	if (r < 0)
		return r;
	if (io->size > io->wanted)
		return cut(io, io->wanted);
	return io->size < min_u64(io->wanted, io->most) ? grow(io) : 0;
}

/* What has come of a call: bytes, or what to make of the failure. Returns 0 when the call is to be
 * forgotten, or a negative errno. */
static int account(struct io *io, ssize_t n, enum load_counter calls, enum load_counter bytes)
{
	if (n >= 0) {
		report_add(calls, 1);
		report_add(bytes, (uint64_t)n);
		return (int)n;
	}
	switch (errno) {
	case EINTR:
		return 0;
	case EINVAL:
		if (!io->direct)
			return -EINVAL;
		use_direct(io, false);
		return 0;
	case ENOSPC: /* blocks set aside are no promise where writing copies (btrfs) */
	case EDQUOT:
		return yield(io, io->size - io->size / 4);
	default:
		return -errno;
	}
}

static int sync_now(struct io *io)
{
	io->unsynced = 0;
	if (fdatasync(io->fd) < 0)
		return errno == ENOSPC || errno == EDQUOT ? yield(io, io->size - io->size / 4)
							  : -errno;
	report_add(LOAD_SYNCS, 1);
	if (!io->direct)
		(void)posix_fadvise(io->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static int write_some(struct io *io, uint64_t at, uint64_t size)
{
	int r = account(io, pwrite(io->fd, buffer, size, (off_t)at), LOAD_WRITES,
			LOAD_WRITTEN_BYTES);

	if (r > 0 && ++io->unsynced >= SYNC_EACH) {
		int synced = sync_now(io);

		return synced < 0 ? synced : r;
	}
	return r;
}

static int read_some(struct io *io, uint64_t at, uint64_t size)
{
	return account(io, pread(io->fd, buffer, size, (off_t)at), LOAD_READS, LOAD_READ_BYTES);
}

static int write_orderly(struct io *io)
{
	int r;

	if (io->size == 0)
		return 0;
	if (io->write_at + ORDERLY_SIZE > io->size)
		io->write_at = 0;
	r = write_some(io, io->write_at, ORDERLY_SIZE);
	if (r <= 0)
		return r;
	io->write_at = min_u64(io->write_at + (uint64_t)r - (uint64_t)r % ALIGNMENT, io->size);
	if (io->write_at > io->written)
		io->written = io->write_at;
	return 0;
}

static int read_orderly(struct io *io)
{
	if (io->read_at + ORDERLY_SIZE > io->written)
		io->read_at = 0;
	if (io->written < ORDERLY_SIZE)
		return 0;
	io->read_at += ORDERLY_SIZE;
	return read_some(io, io->read_at - ORDERLY_SIZE, ORDERLY_SIZE);
}

static int random_place(struct io *io, int (*some)(struct io *io, uint64_t at, uint64_t size))
{
	uint64_t size = (uint64_t)ALIGNMENT << random_below(io, RANDOM_SIZES);

	if (io->written < size)
		return 0;
	return some(io, random_below(io, io->written / size) * size, size);
}

static int write_random(struct io *io)
{
	return random_place(io, write_some);
}

static int read_random(struct io *io)
{
	return random_place(io, read_some);
}

static int play_round(struct io *io)
{
	static const struct {
		int (*once)(struct io *io);
		unsigned n;
	} parts[] = {
		{write_orderly, N_ORDERLY},
		{write_random, N_RANDOM},
		{read_orderly, N_ORDERLY},
		{read_random, N_RANDOM},
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (unsigned n = 0; n < parts[i].n && !is_over(io); n++) {
			int r = parts[i].once(io);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* This worker's part of what all of them are to work on. */
static uint64_t part_of(const struct io_args *a, double value)
{
	double bytes = a->percent_of ? value / 100 * (double)a->percent_of : value;
	uint64_t part = (uint64_t)(bytes / (double)a->workers);

	return part < UNIT ? UNIT : part - part % UNIT;
}

static int start(struct io *io)
{
	int r;

	io->fd = scratch_open(io->args->path);
	if (io->fd < 0)
		return io->fd;
	use_direct(io, true);
	scratch_noise(buffer, sizeof(buffer), &io->seed);
	io->wanted = UNIT;
	r = fit(io);
	if (r == 0 && io->size == 0)
		r = fit(io); /* without O_DIRECT by now */
	if (r == 0 && io->size == 0)
		return -ENOSPC;
	return r < 0 ? r : play_round(io);
}

static int failed(const struct io_args *a, int r)
{
	warnx("cannot go on reading and writing on the file system of %s: %s", a->path,
	      strerror(-r));
	return EXIT_FAILURE;
}

static int io_run(const struct hold *hold, const void *args)
{
	struct io io = {.hold = hold,
			.args = args,
			.most = UINT64_MAX,
			.seed = boot_ns() ^ ((uint64_t)getpid() << 32) ^ 1};
	double last = -1;
	int r = start(&io);

	if (r < 0)
		return report_failure(
			"cannot read and write on the file system of %s: %s", io.args->path,
			r == -EXDEV ? "it is a mount of its own, and no directory" : strerror(-r));
	report_ready();
	do {
		struct grade_point point;
		uint64_t change_ns, until = 0;

		hold_grade(hold, &io.args->grade, io.args->value, &point, &change_ns);
		if (point.value != last) {
			io.wanted = part_of(io.args, point.value);
			io.most = UINT64_MAX;
			report_set(LOAD_WANTED, io.wanted);
			last = point.value;
		}
		r = fit(&io);
		if (!point.on || point.value <= 0)
			until = min_u64(change_ns, boot_ns() + LOOK_NS); /* others may need room */
		else if (r == 0)
			r = play_round(&io);
		if (r < 0)
			return failed(io.args, r);
		if (io.size == 0) {
			until = boot_ns() + LOOK_NS;
			io.most = UNIT; /* it is tried again */
		}
		if (!hold_sleep(hold, until))
			break;
	} while (true);
	return EXIT_SUCCESS;
}

static const struct load_option io_options[] = {
	{"path", "PATH", "anything on the file system to read and write on", LOAD_OPTION_TEXT,
	 offsetof(struct io_args, path), 0, 0, NULL},
	{"value", "V", "how much to work on", LOAD_OPTION_NUMBER, offsetof(struct io_args, value),
	 0, 1e15, NULL},
	{"percent-of", "BYTES", "what 100 means: not given, the value is in bytes",
	 LOAD_OPTION_UINT, offsetof(struct io_args, percent_of), 1, 1e19, NULL, true},
	{"workers", "N", "that share it", LOAD_OPTION_UINT, offsetof(struct io_args, workers), 1,
	 1024, NULL},
	{"reserve", "BYTES", "what stays free in any case", LOAD_OPTION_UINT,
	 offsetof(struct io_args, reserve), 0, 1e18, NULL, true},
	LOAD_GRADE_OPTIONS(struct io_args, grade),
	{0},
};

const struct load_kind load_io = {
	.name = "io",
	.summary = "read and write on a file system",
	.options = io_options,
	.args_size = sizeof(struct io_args),
	.run = io_run,
};
