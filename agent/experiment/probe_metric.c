/* SPDX-License-Identifier: Apache-2.0 */
/* host:metric: a figure of this host, or a sample that an exporter shows, is above or below what it
 * may be. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/cloud.h"
#include "experiment/probe_rounds.h"
#include "experiment/probe_url.h"
#include "experiment/prometheus.h"
#include "host/memory.h"
#include "host/mounts.h"
#include "util/cleanup.h"
#include "util/duration.h"
#include "util/str.h"

#define ANSWER_MAX     (4 * 1024 * 1024)
#define FIRST_SHARE_MS 1000 /* what a share of time is first taken over, at most */

enum metric { SAMPLE, LOAD1, LOAD5, LOAD15, MEMORY_AVAILABLE, DISK_FREE, CPU, STEAL };

static const char *const metrics[] = {"sample",   "load1", "load5", "load15", "memoryAvailable",
				      "diskFree", "cpu",   "steal", NULL};

enum measure { NUMBER, PERCENT, BYTES };

static const enum measure measures[] = {
	[SAMPLE] = NUMBER,          [LOAD1] = NUMBER,    [LOAD5] = NUMBER, [LOAD15] = NUMBER,
	[MEMORY_AVAILABLE] = BYTES, [DISK_FREE] = BYTES, [CPU] = PERCENT,  [STEAL] = PERCENT,
};

struct metric_params {
	int metric; /* enum metric */
	char above[32], below[32];
	char path[256];
	char url[PROBE_URL_SIZE];
	char sample[512];
	uint64_t period_ms, for_ms, timeout_ms;
	int unreadable;
};

static const struct row rows[] = {
	{.name = "metric",
	 .type = ROW_ENUM,
	 FIELD(struct metric_params, metric),
	 .def = "sample",
	 .values = metrics,
	 .text = "What is measured; `sample` is that of `url`."},
	{.name = "above",
	 .type = ROW_STRING,
	 FIELD_STRING(struct metric_params, above),
	 .text = "It may not be above that: a number, percent, or of memory and disks bytes."},
	{.name = "below",
	 .type = ROW_STRING,
	 FIELD_STRING(struct metric_params, below),
	 .text = "It may not be below that."},
	{.name = "path",
	 .type = ROW_STRING,
	 FIELD_STRING(struct metric_params, path),
	 .text = "diskFree: a path on the file system; without it /."},
	{.name = "url",
	 .type = ROW_STRING,
	 FIELD_STRING(struct metric_params, url),
	 .text = "sample: where metrics are shown as Prometheus reads them."},
	{.name = "sample",
	 .type = ROW_STRING,
	 FIELD_STRING(struct metric_params, sample),
	 .text = "sample: the name, and as many labels as make it one series."},
	{.name = "period",
	 .type = ROW_DURATION,
	 FIELD(struct metric_params, period_ms),
	 .def = "1s",
	 .min = 100,
	 .max = 3600000,
	 .text = "How often it is looked at, and what cpu and steal are taken over."},
	{.name = "for",
	 .type = ROW_DURATION,
	 FIELD(struct metric_params, for_ms),
	 .min = 100,
	 .max = 12.0 * 3600000,
	 .text = "How long it must be so; before the start one look is enough."},
	{.name = "timeout",
	 .type = ROW_DURATION,
	 FIELD(struct metric_params, timeout_ms),
	 .def = "2s",
	 .min = 10,
	 .max = PROBE_TIMEOUT_MAX_MS,
	 .text = "sample: how long the answer is waited for."},
	PROBE_UNREADABLE_ROW(struct metric_params, unreadable),
};

struct limit {
	bool given, percent;
	double value;
};

/* A figure, and what its percents are of. */
struct reading {
	double value, whole;
};

/* Clock ticks since boot, of the whole host. */
struct times {
	uint64_t total, idle, steal;
};

struct metric_state {
	struct rounds rounds;
	struct limit above, below;
	uint64_t since_ms; /* since when it has been so, as uv_now(); 0: it is not */
	struct times last; /* cpu, steal: at the last round */
	struct fetching *fetching;
	uv_work_t work;
	bool working;
	/* The thread's, until it is done */
	int mount_r;
	struct mount_facts mount;
};

static int parse_percent(const char *text, double *ret)
{
	char number[32];
	size_t length = strlen(text);

	str_copy(number, sizeof(number), text);
	if (length > 0 && length < sizeof(number) && number[length - 1] == '%')
		number[length - 1] = '\0';
	return str_to_double(number, ret) < 0 || *ret > 100 ? -EINVAL : 0;
}

static int parse_limit(enum measure m, const char *text, struct limit *ret)
{
	uint64_t bytes = 0;
	int r;

	*ret = (struct limit){.given = text[0] != '\0'};
	if (!ret->given)
		return 0;
	if (m == NUMBER) {
		r = str_to_double(text + (text[0] == '-'), &ret->value);
		if (text[0] == '-')
			ret->value = -ret->value;
		return r;
	}
	ret->percent = m == BYTES && text[strlen(text) - 1] == '%';
	if (m == PERCENT || ret->percent)
		return parse_percent(text, &ret->value);
	r = bytes_parse(text, &bytes);
	ret->value = (double)bytes;
	return r;
}

static int check_limit(const struct metric_params *c, const char *name, const char *text,
		       struct error *e)
{
	static const char *const wanted[] = {
		[NUMBER] = "a number such as 8 or 0.5",
		[PERCENT] = "0 to 100, percent",
		[BYTES] = ("percent such as 10%, or " BYTES_ALLOWED),
	};
	struct limit limit;

	if (parse_limit(measures[c->metric], text, &limit) == 0)
		return 0;
	return error_field(e, name, text, wanted[measures[c->metric]], "%s is not that", text);
}

static int check_sample(const struct metric_params *c, struct error *e)
{
	if (!c->url[0])
		return error_field(e, "url", "", "an URL, or a metric of this host",
				   "required for a sample and not given");
	if (probe_url_check("url", c->url, e) < 0)
		return -EINVAL;
	if (!c->sample[0])
		return error_field(e, "sample", "", PROMETHEUS_WANTED,
				   "required with an URL and not given");
	if (!prometheus_is_sample(c->sample))
		return error_field(e, "sample", c->sample, PROMETHEUS_WANTED, "%s is not that",
				   c->sample);
	return 0;
}

static int refuse_with(const char *name, const struct metric_params *c, const char *wanted,
		       struct error *e)
{
	return error_field(e, name, "", wanted, "not with metric=%s", metrics[c->metric]);
}

static int check(const void *from, struct error *e)
{
	const struct metric_params *c = from;

	if (c->metric == SAMPLE && check_sample(c, e) < 0)
		return -EINVAL;
	if (c->metric != SAMPLE && (c->url[0] || c->sample[0]))
		return refuse_with(c->url[0] ? "url" : "sample", c, "with metric=sample", e);
	if (c->metric != DISK_FREE && c->path[0])
		return refuse_with("path", c, "with metric=diskFree", e);
	if (c->path[0] && c->path[0] != '/')
		return error_field(e, "path", c->path, "an absolute path", "%s is not absolute",
				   c->path);
	if (!c->above[0] && !c->below[0])
		return error_field(e, "above", "", "above=, below= or both",
				   "required and not given");
	if (check_limit(c, "above", c->above, e) < 0)
		return -EINVAL;
	return check_limit(c, "below", c->below, e);
}

static double in_figures(const struct limit *l, const struct reading *now)
{
	return l->percent ? now->whole * l->value / 100 : l->value;
}

static void print_figure(const struct metric_params *c, const struct reading *now, struct text *t)
{
	switch (measures[c->metric]) {
	case NUMBER:
		text_add(t, "%.6g", now->value);
		break;
	case PERCENT:
		text_add(t, "%.1f %%", now->value);
		break;
	case BYTES:
		bytes_print((uint64_t)now->value, t);
		if (now->whole > 0)
			text_add(t, " (%.1f %%)", 100 * now->value / now->whole);
		break;
	}
}

static const char *subject(const struct metric_params *c)
{
	return c->metric == SAMPLE ? c->sample : metrics[c->metric];
}

static void fired(struct metric_state *s, const struct reading *now, const char *allowed,
		  const char *limit)
{
	const struct metric_params *c = s->rounds.p->params;
	char figure[64] = "", duration[48] = "";
	struct text f = TEXT(figure), d = TEXT(duration);

	print_figure(c, now, &f);
	if (s->rounds.p->told_first && c->for_ms) {
		text_add(&d, " for ");
		duration_print(c->for_ms, &d);
	}
	probe_tell(s->rounds.p, PROBE_FIRED, "%s%s%s: %s%s; allowed: %s %s", subject(c),
		   c->path[0] ? " of " : "", c->path, figure, duration, allowed, limit);
}

/* Is it long enough so? */
static bool lasts(struct metric_state *s)
{
	const struct metric_params *c = s->rounds.p->params;
	uint64_t now_ms = uv_now(s->rounds.timer.loop);

	if (!s->since_ms)
		s->since_ms = now_ms ? now_ms : 1;
	return !s->rounds.p->told_first || now_ms - s->since_ms >= c->for_ms;
}

static void judge(struct metric_state *s, const struct reading *now)
{
	const struct metric_params *c = s->rounds.p->params;
	bool high = s->above.given && now->value > in_figures(&s->above, now);
	bool low = s->below.given && now->value < in_figures(&s->below, now);

	if (!high && !low) {
		s->since_ms = 0;
		probe_tell(s->rounds.p, PROBE_FINE, "%s: fine", subject(c));
	} else if (lasts(s)) {
		fired(s, now, high ? "at most" : "at least", high ? c->above : c->below);
	}
}

static int read_times(struct times *ret)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/stat", "re");
	uint64_t v[8];

	if (!f)
		return -errno;
	/* user nice system idle iowait irq softirq steal; guest time is within user (proc_stat(5))
	 */
	if (fscanf(f,
		   "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %" SCNu64,
		   &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 8)
		return -EBADMSG;
	*ret = (struct times){.idle = v[3] + v[4], .steal = v[7]};
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		ret->total += v[i];
	return 0;
}

/* Since the last round. Returns -EAGAIN when there was none, or too little time has passed. Idle
 * and I/O wait may run backwards a little (proc_stat(5)). */
static int read_share(struct metric_state *s, struct reading *ret)
{
	const struct metric_params *c = s->rounds.p->params;
	struct times last = s->last, now = {0};
	double total, part;
	int r = read_times(&now);

	if (r < 0)
		return r;
	s->last = now;
	if (!last.total || now.total <= last.total)
		return -EAGAIN;
	total = (double)(now.total - last.total);
	part = c->metric == STEAL ? (double)now.steal - (double)last.steal
				  : total - ((double)now.idle - (double)last.idle);
	*ret = (struct reading){.value = fmin(fmax(100 * part / total, 0), 100)};
	return 0;
}

static int read_load(int metric, struct reading *ret)
{
	double load[3];

	if (getloadavg(load, 3) != 3)
		return -EIO;
	*ret = (struct reading){.value = load[metric - LOAD1]};
	return 0;
}

static int read_memory(struct reading *ret)
{
	uint64_t total = 0, available = 0;
	int r = memory_read(&total, &available);

	*ret = (struct reading){.value = (double)available, .whole = (double)total};
	return r;
}

/* What /proc tells. */
static void ask_host(struct metric_state *s)
{
	const struct metric_params *c = s->rounds.p->params;
	struct reading now;
	int r;

	if (c->metric == MEMORY_AVAILABLE)
		r = read_memory(&now);
	else if (c->metric == CPU || c->metric == STEAL)
		r = read_share(s, &now);
	else
		r = read_load(c->metric, &now);
	if (r == 0)
		judge(s, &now);
	else if (r != -EAGAIN)
		probe_cannot_read(s->rounds.p, "%s: %s", metrics[c->metric], strerror(-r));
	if (r == -EAGAIN && c->period_ms > FIRST_SHARE_MS)
		rounds_answered_again(&s->rounds, FIRST_SHARE_MS);
	else
		rounds_answered(&s->rounds);
}

static const char *path_of(const struct metric_params *c)
{
	return c->path[0] ? c->path : "/";
}

static void look_at_mount(uv_work_t *work)
{
	struct metric_state *s = work->data;

	s->mount_r = mount_read(0, path_of(s->rounds.p->params), &s->mount);
}

static void on_mount(uv_work_t *work, int status)
{
	struct metric_state *s = work->data;
	const struct metric_params *c = s->rounds.p->params;
	const struct reading now = {.value = (double)s->mount.available,
				    .whole = (double)s->mount.size};

	s->working = false;
	if (status < 0 || s->mount_r < 0)
		probe_cannot_read(s->rounds.p, "%s: %s", path_of(c),
				  mount_strerror(status < 0 ? status : s->mount_r));
	else
		judge(s, &now);
	rounds_answered(&s->rounds);
}

static void judge_answer(struct metric_state *s, const struct fetch_answer *a)
{
	struct probe *p = s->rounds.p;
	const struct metric_params *c = p->params;
	struct reading now = {0};
	int r;

	if (a->r < 0 || a->status != 200) {
		if (a->r < 0)
			probe_cannot_read(p, "%s: %s", c->url, a->message);
		else
			probe_cannot_read(p, "%s: status %u", c->url, a->status);
		return;
	}
	r = prometheus_find(a->body, c->sample, &now.value);
	if (r == 0 && !isnan(now.value))
		judge(s, &now);
	else
		probe_cannot_read(p, "%s: %s: %s", c->url, c->sample,
				  r == 0           ? "not a number"
				  : r == -ENOENT   ? "no such sample"
				  : r == -ENOTUNIQ ? "more than one series; give more labels"
						   : "the answer cannot be understood");
}

static void on_answer(const struct fetch_answer *a, void *arg)
{
	struct metric_state *s = arg;

	s->fetching = NULL;
	judge_answer(s, a);
	rounds_answered(&s->rounds);
}

static void ask_url(struct metric_state *s)
{
	static const char *const headers[] = {"Accept: text/plain;version=0.0.4", NULL};
	struct probe *p = s->rounds.p;
	const struct metric_params *c = p->params;
	const struct fetch_request q = {.method = "GET",
					.url = c->url,
					.headers = headers,
					.timeout_ms = c->timeout_ms,
					.answer_max = ANSWER_MAX};
	int r = fetch(cloud_fetcher(p->env->cloud), &q, on_answer, s, &s->fetching);

	if (r == 0)
		return;
	s->fetching = NULL;
	probe_cannot_read(p, "%s: %s", c->url, probe_fetch_strerror(r));
	rounds_answered(&s->rounds);
}

static void ask(struct probe *p)
{
	struct metric_state *s = p->state;
	const struct metric_params *c = p->params;

	if (c->metric == SAMPLE) {
		ask_url(s);
	} else if (c->metric == DISK_FREE) {
		s->working = true;
		(void)uv_queue_work(p->env->loop, &s->work, look_at_mount, on_mount);
	} else {
		ask_host(s);
	}
}

static int start(struct probe *p, struct error *e)
{
	const struct metric_params *c = p->params;
	struct metric_state *s;

	if (c->metric == SAMPLE && !p->env->cloud)
		return error_set(e, ERROR_UNSUPPORTED, -ENOTSUP,
				 "host:metric: this faultd asks no URLs");
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(e, ERROR_FAILED, -ENOMEM, "host:metric: out of memory");
	(void)parse_limit(measures[c->metric], c->above, &s->above); /* checked */
	(void)parse_limit(measures[c->metric], c->below, &s->below);
	s->work.data = s;
	p->state = s;
	rounds_start(&s->rounds, p, c->period_ms, ask);
	return 0;
}

static void stop(struct probe *p)
{
	struct metric_state *s = p->state;

	if (s->fetching) {
		fetch_cancel(s->fetching);
		s->fetching = NULL;
		s->rounds.asking = false;
	}
	if (s->working)
		(void)uv_cancel((uv_req_t *)&s->work); /* one that runs ends by itself */
	rounds_stop(&s->rounds);
}

const struct probe_type probe_type_metric = {
	.source = "host:metric",
	.description = "A figure of this host, or of an exporter's, is too high or too low.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct metric_params),
	.check = check,
	.start = start,
	.stop = stop,
};
