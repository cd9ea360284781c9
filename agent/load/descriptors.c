/* SPDX-License-Identifier: Apache-2.0 */
/* Open files, out of those the host may have (fs.file-max). Every one is an open of its own:
 * duplicates of a descriptor share the file that is counted. The kernel lets CAP_SYS_ADMIN go above
 * the limit, this load stays below it. */
#include <errno.h>
#include <fcntl.h>

#include "load/fill.h"
#include "load/report.h"
#include "load/tables.h"

#include <string.h>

struct descriptors {
	struct fill fill; /* first */
	struct tables tables;
};

static int open_one(void *arg)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int want(struct fill *f, const struct share *share, uint64_t *ret)
{
	struct gauge g;
	int r = gauge_files_read(&g);

	if (r == 0)
		*ret = share_want(share, &g, f->held);
	return r;
}

static int take(struct fill *f, uint64_t n)
{
	struct descriptors *d = (struct descriptors *)f;
	uint64_t taken;
	int r = tables_take(&d->tables, n, &taken);

	f->held += taken;
	return r;
}

static void give(struct fill *f, uint64_t n)
{
	struct descriptors *d = (struct descriptors *)f;

	tables_give(&d->tables, n);
	f->held -= n;
}

static int descriptors_run(const struct hold *hold, const void *args)
{
	static struct descriptors d = {
		.fill = {.what = "open files", .want = want, .take = take, .give = give},
		.tables = {.open = open_one},
	};
	int r = tables_init(&d.tables);

	if (r < 0)
		return report_failure("cannot raise the limit of open files: %s", strerror(-r));
	return fill_run(hold, args, &d.fill);
}

static const struct load_option descriptors_options[] = {FILL_OPTIONS, {0}};

const struct load_kind load_descriptors = {
	.name = "descriptors",
	.summary = "keep files open, of those the host may have",
	.options = descriptors_options,
	.args_size = sizeof(struct fill_args),
	.run = descriptors_run,
};
