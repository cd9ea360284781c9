/* SPDX-License-Identifier: Apache-2.0 */
/* host:psi: tasks lose too much time waiting for CPU, memory or I/O, on the host or in a cgroup of
 * v2. The kernel tells (a trigger, Linux 5.2; accounting/psi.rst), so that nothing wakes up while
 * all is well. It looks ten times in the shortest window anybody has set for the same file; a
 * second trigger, whose window is the shortest there is and which nobody listens to, makes that
 * every 50 ms. Triggers are for CAP_SYS_RESOURCE: for anybody else they are refused, or come 2 s
 * late (6.5). There the stall time, which reading brings up to date, is read every 50 ms; not more
 * often, for the kernel weighs what it adds by the ticks since the last read. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "experiment/probe.h"
#include "host/cgroups.h"
#include "util/cleanup.h"
#include "util/duration.h"
#include "util/str.h"

#define SAMPLE_MS     50
#define WINDOW_MIN_MS 500 /* as the kernel has them */
#define WINDOW_MAX_MS 10000
#define SAMPLES_MAX   (WINDOW_MAX_MS / SAMPLE_MS + 2)
#define PATH_SIZE     (CGROUP_MOUNT_MAX + CGROUP_PATH_MAX + 32)

enum psi_resource { PSI_CPU, PSI_MEMORY, PSI_IO };
enum psi_kind { PSI_SOME, PSI_FULL };

static const char *const resources[] = {"cpu", "memory", "io", NULL};
static const char *const kinds[] = {"some", "full", NULL};

struct psi_params {
	int resource; /* enum psi_resource */
	int kind;     /* enum psi_kind */
	uint64_t stall_ms, window_ms;
	char cgroup[CGROUP_PATH_MAX]; /* "": the host */
	int unreadable;
};

static const struct row rows[] = {
	{.name = "resource",
	 .type = ROW_ENUM,
	 FIELD(struct psi_params, resource),
	 .required = true,
	 .values = resources,
	 .text = "What tasks wait for."},
	{.name = "kind",
	 .type = ROW_ENUM,
	 FIELD(struct psi_params, kind),
	 .def = "some",
	 .values = kinds,
	 .text = "Whether some of the tasks wait, or all that have something to do."},
	{.name = "stall",
	 .type = ROW_DURATION,
	 FIELD(struct psi_params, stall_ms),
	 .required = true,
	 .min = 1,
	 .max = WINDOW_MAX_MS,
	 .text = "How much waiting within the window is too much."},
	{.name = "window",
	 .type = ROW_DURATION,
	 FIELD(struct psi_params, window_ms),
	 .def = "1s",
	 .min = WINDOW_MIN_MS,
	 .max = WINDOW_MAX_MS,
	 .text = "The time the waiting is counted in."},
	{.name = "cgroup",
	 .type = ROW_STRING,
	 FIELD_STRING(struct psi_params, cgroup),
	 .text = "The cgroup of v2 whose tasks are meant; without it, all of the host."},
	PROBE_UNREADABLE_ROW(struct psi_params, unreadable),
};

struct sample {
	uint64_t at_ms;
	uint64_t total_us;
};

struct psi_state {
	struct probe *p;
	char path[PATH_SIZE];
	int fd, pace_fd; /* -1: not open */
	uv_poll_t poll;
	uv_timer_t timer;
	uv_handle_t *handle; /* the one of these that is in use; NULL: none */
	struct sample sample[SAMPLES_MAX];
	size_t first, n; /* a ring: the oldest, and how many */
};

/* What one line of such a file says. */
struct pressure {
	double avg10;
	uint64_t total_us;
};

static int check(const void *from, struct error *e)
{
	const struct psi_params *c = from;
	char window[32], stall[32], most[48];
	struct text w = TEXT(window), s = TEXT(stall), m = TEXT(most);

	if (c->resource == PSI_CPU && c->kind == PSI_FULL && !c->cgroup[0])
		return error_field(e, "kind", "full", "some",
				   "of the whole host never all tasks wait for the CPU");
	if (c->stall_ms <= c->window_ms)
		return 0;
	duration_print(c->window_ms, &w);
	duration_print(c->stall_ms, &s);
	text_add(&m, "1ms to %s, the window", window);
	return error_field(e, "stall", stall, most, "%s do not fit into the window", stall);
}

/* Reads the kind's line of the open file. Returns 0 or a negative errno. */
static int read_pressure(int fd, int kind, struct pressure *ret)
{
	char text[256], name[8];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%7s avg10=%lf avg60=%*f avg300=%*f total=%" SCNu64, name,
			   &ret->avg10, &ret->total_us) == 3 &&
		    str_eq(name, kinds[kind]))
			return 0;
	}
	return -EBADMSG;
}

static const char *why_not(int r)
{
	switch (r) {
	case -ENOENT:
		return "the kernel does not tell it: that takes Linux 4.20, CONFIG_PSI and psi=1, "
		       "and of a cgroup that it is one of v2";
	case -EOPNOTSUPP:
		return "switched off; the kernel must be started with psi=1, or cgroup.pressure be "
		       "1";
	case -ENODEV:
		return "the cgroup is gone";
	case -EBADMSG:
		return "says nothing of that kind";
	default:
		return strerror(-r);
	}
}

static int find_path(const struct psi_params *c, char *ret, size_t size, const char **why)
{
	static const char *const files[] = {"cpu.pressure", "memory.pressure", "io.pressure"};
	_cleanup_free_
	struct cgroup_layout *layout = NULL;
	char plain[CGROUP_PATH_MAX];
	int r;

	*why = NULL;
	if (!c->cgroup[0]) {
		(void)snprintf(ret, size, "/proc/pressure/%s", resources[c->resource]);
		return 0;
	}
	str_copy(ret, size, c->cgroup);
	layout = calloc(1, sizeof(*layout));
	if (!layout)
		return -ENOMEM;
	r = cgroup_layout_read(layout);
	if (r == 0)
		r = cgroup_find(layout, c->cgroup, plain);
	if (r < 0) {
		*why = r == -ENOENT ? "no such cgroup" : NULL;
		return r;
	}
	for (size_t i = 0; i < layout->n; i++) {
		if (layout->hierarchy[i].v2)
			return cgroup_file_path(&layout->hierarchy[i], plain, files[c->resource],
						ret, size);
	}
	*why = "cgroup v2 is not mounted, and v1 does not tell it";
	return -ENOENT;
}

static bool may_set_triggers(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	return syscall(SYS_capget, &header, data) == 0 &&
	       data[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective & CAP_TO_MASK(CAP_SYS_RESOURCE);
}

/* Returns a descriptor that is told when it comes to that, or a negative errno. */
static int open_trigger(const char *path, int kind, uint64_t stall_ms, uint64_t window_ms)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	char text[64];
	int length = snprintf(text, sizeof(text), "%s %" PRIu64 " %" PRIu64, kinds[kind],
			      stall_ms * 1000, window_ms * 1000);

	/* With its NUL, which old kernels put over the last byte. */
	if (fd < 0 || write(fd, text, (size_t)length + 1) < 0)
		return -errno;
	return steal_fd(&fd);
}

static void end_watch(struct psi_state *s)
{
	if (s->handle == (uv_handle_t *)&s->poll)
		(void)uv_poll_stop(&s->poll);
	else if (s->handle)
		(void)uv_timer_stop(&s->timer);
}

static void lost(struct psi_state *s, int r)
{
	end_watch(s);
	probe_cannot_read(s->p, "%s: %s", s->path, why_not(r));
}

static void fired(struct psi_state *s, uint64_t stall_ms, const char *or_more)
{
	const struct psi_params *c = s->p->params;
	char stall[32], window[32], most[32];
	struct text st = TEXT(stall), w = TEXT(window), m = TEXT(most);

	end_watch(s);
	duration_print(stall_ms, &st);
	duration_print(c->window_ms, &w);
	duration_print(c->stall_ms, &m);
	probe_tell(s->p, PROBE_FIRED, "%s%s%s: %s tasks stalled %s%s of %s; allowed: less than %s",
		   resources[c->resource], c->cgroup[0] ? " of " : "", c->cgroup,
		   c->kind == PSI_SOME ? "some" : "all", stall, or_more, window, most);
}

/* The trigger's event says the same when the cgroup has gone: then the file cannot be read. */
static void on_trigger(uv_poll_t *poll, int status, int events)
{
	struct psi_state *s = poll->data;
	const struct psi_params *c = s->p->params;
	struct pressure now = {0};
	int r = read_pressure(s->fd, c->kind, &now);

	if (r == 0 && status < 0)
		r = status;
	if (r < 0)
		lost(s, r);
	else
		fired(s, c->stall_ms, " or more");
}

static const struct sample *sample_at(const struct psi_state *s, size_t i)
{
	return &s->sample[(s->first + i) % SAMPLES_MAX];
}

/* Of what is older than the window one is kept. */
static void add_sample(struct psi_state *s, uint64_t window_ms, uint64_t at_ms, uint64_t total_us)
{
	while (s->n == SAMPLES_MAX || (s->n > 1 && at_ms - sample_at(s, 1)->at_ms >= window_ms)) {
		s->first = (s->first + 1) % SAMPLES_MAX;
		s->n--;
	}
	s->sample[(s->first + s->n) % SAMPLES_MAX] =
		(struct sample){.at_ms = at_ms, .total_us = total_us};
	s->n++;
}

/* What was added within the window: of the time between two samples that its beginning lies in, as
 * much as is inside, which may be the whole of it when faultd itself had to wait. */
static uint64_t grown_us(const struct psi_state *s, uint64_t window_ms)
{
	const struct sample *oldest = sample_at(s, 0), *last = sample_at(s, s->n - 1), *next;
	uint64_t age_ms = last->at_ms - oldest->at_ms, apart_ms, outside_ms;

	if (age_ms <= window_ms)
		return last->total_us - oldest->total_us;
	next = sample_at(s, 1);
	apart_ms = next->at_ms - oldest->at_ms;
	outside_ms = age_ms - window_ms;
	return last->total_us - oldest->total_us -
	       (next->total_us - oldest->total_us) * outside_ms / apart_ms;
}

static void on_sample(uv_timer_t *timer)
{
	struct psi_state *s = timer->data;
	const struct psi_params *c = s->p->params;
	struct pressure now = {0};
	int r = read_pressure(s->fd, c->kind, &now);
	uint64_t grown;

	if (r < 0) {
		lost(s, r);
		return;
	}
	add_sample(s, c->window_ms, uv_hrtime() / 1000000, now.total_us);
	grown = grown_us(s, c->window_ms);
	if (grown >= c->stall_ms * 1000)
		fired(s, grown / 1000, "");
}

static int watch_trigger(struct psi_state *s)
{
	const struct psi_params *c = s->p->params;
	_cleanup_close_ int fd = -1;
	int r;

	if (!may_set_triggers())
		return -EPERM;
	fd = open_trigger(s->path, c->kind, c->stall_ms, c->window_ms);
	if (fd < 0)
		return fd;
	r = uv_poll_init(s->p->env->loop, &s->poll, fd);
	if (r < 0)
		return r;
	/* Without it the condition is told later, not wrongly. */
	if (c->window_ms > WINDOW_MIN_MS)
		s->pace_fd = open_trigger(s->path, c->kind, WINDOW_MIN_MS, WINDOW_MIN_MS);
	s->fd = steal_fd(&fd);
	s->poll.data = s;
	s->handle = (uv_handle_t *)&s->poll;
	return uv_poll_start(&s->poll, UV_PRIORITIZED, on_trigger);
}

static int watch_samples(struct psi_state *s)
{
	s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0)
		return -errno;
	(void)uv_timer_init(s->p->env->loop, &s->timer);
	s->timer.data = s;
	s->handle = (uv_handle_t *)&s->timer;
	return uv_timer_start(&s->timer, on_sample, 0, SAMPLE_MS);
}

static int watch(struct psi_state *s)
{
	int r = watch_trigger(s);

	return r < 0 && !s->handle ? watch_samples(s) : r;
}

/* How it was until now: the kernel's average of the last 10 s, as a part of the whole. */
static void look_back(struct psi_state *s)
{
	const struct psi_params *c = s->p->params;
	double most = 100.0 * (double)c->stall_ms / (double)c->window_ms;
	struct pressure now = {0};
	int r = read_pressure(s->fd, c->kind, &now);

	if (r < 0) {
		lost(s, r);
	} else if (now.avg10 >= most) {
		end_watch(s);
		probe_tell(s->p, PROBE_FIRED,
			   "%s%s%s: %s tasks stalled %.2f %% of the last 10 s; allowed: less than "
			   "%.4g %%",
			   resources[c->resource], c->cgroup[0] ? " of " : "", c->cgroup,
			   c->kind == PSI_SOME ? "some" : "all", now.avg10, most);
	} else {
		probe_tell(s->p, PROBE_FINE, "%s: %s", s->path, "fine");
	}
}

static int start(struct probe *p, struct error *e)
{
	struct psi_state *s = calloc(1, sizeof(*s));
	const char *why;
	int r;

	if (!s)
		return error_set(e, ERROR_FAILED, -ENOMEM, "host:psi: out of memory");
	*s = (struct psi_state){.p = p, .fd = -1, .pace_fd = -1};
	p->state = s;
	r = find_path(p->params, s->path, sizeof(s->path), &why);
	if (r == 0)
		r = watch(s);
	if (r == 0)
		look_back(s);
	else
		probe_cannot_read(p, "%s: %s", s->path, why ? why : why_not(r));
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct psi_state *s = h->data;

	probe_gone(s->p);
}

static void stop(struct probe *p)
{
	struct psi_state *s = p->state;

	if (s->handle)
		uv_close(s->handle, on_closed);
	if (s->fd >= 0)
		(void)close(s->fd);
	if (s->pace_fd >= 0)
		(void)close(s->pace_fd);
	if (!s->handle)
		probe_gone(p);
}

const struct probe_type probe_type_psi = {
	.source = "host:psi",
	.description = "Tasks wait too long for CPU, memory or I/O (pressure stall information).",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct psi_params),
	.check = check,
	.start = start,
	.stop = stop,
};
