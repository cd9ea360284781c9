/* SPDX-License-Identifier: Apache-2.0 */
/* One delivery for each experiment and destination: a queue, at most one request under way, a time
 * at which it is due again. One timer for all of them, armed while one is due. A request whose
 * answer got lost is sent again: records arrive at least once. */
#include "experiment/log_cloud.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uv.h>

#include "experiment/log_destination.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/str.h"

#define DELIVERIES_MAX  64
#define QUEUE_BYTES_MAX (2 * 1024 * 1024) /* of one delivery */
#define ATTEMPTS_MAX    6                 /* with the pauses between them: 31 s and the time-outs */
#define FIRST_PAUSE_MS  1000
#define TIMEOUT_MS      10000

/* How long a record waits for others. Every batch is an object of its own in S3. */
static const uint64_t linger_ms[_LOG_DESTINATION_MAX] = {
	[LOG_TO_CLOUDWATCH] = 1000,
	[LOG_TO_S3] = 60000,
};

struct delivery {
	struct delivery *next;
	struct log_cloud *l;
	struct log_destination to;
	struct log_record *first, **last;
	size_t bytes;         /* queued */
	size_t lost;          /* records */
	size_t under_way;     /* records of the batch, 0: none */
	uint64_t name;        /* of the batch */
	unsigned attempts;    /* of it */
	uint64_t due_boot_ns; /* 0: nothing is to be done */
	struct cloud_calling *call;
	bool refused; /* nothing more is sent */
	bool told;    /* a loss was logged */
	bool ended;
};

struct log_cloud {
	struct cloud *cloud;
	const struct identity *identity;
	uv_timer_t timer;
	struct delivery *first;
	size_t n;
	bool stopped, full; /* full: and that was logged */
};

/* Losses: the first is logged with its reason, the sum at the end. */

static void lose(struct delivery *d, size_t n, const char *why)
{
	char what[600];

	d->lost += n;
	if (d->told)
		return;
	d->told = true;
	log_warning("experiment %s: log records do not reach %s: %s", d->to.experiment_id,
		    log_destination_what(&d->to, what, sizeof(what)), why);
}

static size_t drop_records(struct delivery *d, size_t n)
{
	size_t dropped = 0;

	for (; d->first && dropped < n; dropped++) {
		struct log_record *r = d->first;

		d->first = r->next;
		d->bytes -= r->length;
		free(r);
	}
	if (!d->first)
		d->last = &d->first;
	return dropped;
}

static void free_delivery(struct delivery *d)
{
	struct log_cloud *l = d->l;
	char what[600];

	for (struct delivery **p = &l->first; *p; p = &(*p)->next)
		if (*p == d) {
			*p = d->next;
			l->n--;
			break;
		}
	cloud_call_cancel(d->call);
	if (d->first)
		lose(d, drop_records(d, SIZE_MAX), "faultd is stopping");
	if (d->lost)
		log_warning("experiment %s: %zu log records were not delivered to %s",
			    d->to.experiment_id, d->lost,
			    log_destination_what(&d->to, what, sizeof(what)));
	free(d);
}

/* Time */

static void on_timer(uv_timer_t *timer);

static void set_timer(struct log_cloud *l)
{
	uint64_t at = 0, now = boot_ns();

	for (const struct delivery *d = l->first; d; d = d->next)
		if (d->due_boot_ns && (!at || d->due_boot_ns < at))
			at = d->due_boot_ns;
	if (l->stopped)
		return;
	if (!at)
		(void)uv_timer_stop(&l->timer);
	else
		(void)uv_timer_start(&l->timer, on_timer,
				     at > now ? (at - now) / NSEC_PER_MSEC + 1 : 0, 0);
}

static void due_in(struct delivery *d, uint64_t ms)
{
	d->due_boot_ns = boot_ns() + ms * NSEC_PER_MSEC;
}

/* When what is queued is sent, unless a request is under way or waits to be tried again. */
static void plan_next(struct delivery *d)
{
	if (!d->first)
		d->due_boot_ns = 0;
	else if (d->ended || d->bytes >= LOG_BATCH_BYTES)
		due_in(d, 0);
	else if (!d->due_boot_ns)
		due_in(d, linger_ms[d->to.kind]);
}

/* Sending */

static void batch_is_over(struct delivery *d)
{
	(void)drop_records(d, d->under_way);
	d->under_way = 0;
	d->attempts = 0;
	d->due_boot_ns = 0;
	plan_next(d);
}

static void fail(struct delivery *d, enum log_outcome outcome, const char *why)
{
	if (outcome == LOG_TRY_AGAIN && ++d->attempts < ATTEMPTS_MAX) {
		due_in(d, (uint64_t)FIRST_PAUSE_MS << (d->attempts - 1));
		return;
	}
	if (outcome == LOG_REFUSED) {
		d->refused = true;
		lose(d, drop_records(d, SIZE_MAX), why);
	} else {
		lose(d, d->under_way, why);
	}
	batch_is_over(d);
}

static void on_answer(const struct fetch_answer *a, void *arg)
{
	struct delivery *d = arg;
	struct log_cloud *l = d->l;
	char why[LOG_WHY_MAX];
	size_t lost;
	enum log_outcome outcome = log_destination_outcome(&d->to, a, d->under_way, &lost, why);

	d->call = NULL;
	if (outcome == LOG_STREAM_MADE) {
		d->to.stream_made = true;
		d->attempts = 0;
		due_in(d, 0);
	} else if (outcome == LOG_DELIVERED) {
		if (lost)
			lose(d, lost, why);
		batch_is_over(d);
	} else {
		fail(d, outcome, why);
	}
	if (d->ended && !d->first)
		free_delivery(d);
	set_timer(l);
}

static int send_batch(struct delivery *d)
{
	struct log_request *q = malloc(sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	r = log_destination_request(&d->to, d->l->cloud, d->first, d->under_way, d->name, q);
	if (r == 0) {
		q->call.timeout_ms = TIMEOUT_MS;
		r = cloud_call(d->l->cloud, &q->call, on_answer, d, &d->call);
		log_request_done(q);
	}
	free(q);
	return r;
}

static void send_now(struct delivery *d)
{
	int r;

	if (!d->under_way) {
		d->under_way = log_destination_batch(&d->to, d->first);
		if (getrandom(&d->name, sizeof(d->name), GRND_NONBLOCK) != sizeof(d->name))
			d->name = boot_ns();
	}
	d->due_boot_ns = 0;
	r = send_batch(d);
	if (r < 0)
		fail(d, r == -ENOMEM ? LOG_TRY_AGAIN : LOG_REFUSED, strerror(-r));
}

static void on_timer(uv_timer_t *timer)
{
	struct log_cloud *l = timer->data;
	uint64_t now = boot_ns();
	struct delivery *d = l->first, *next;

	for (; d; d = next) {
		next = d->next;
		if (d->due_boot_ns && d->due_boot_ns <= now && d->first)
			send_now(d);
		if (d->ended && !d->first)
			free_delivery(d);
	}
	set_timer(l);
}

/* Records */

static struct delivery *find_delivery(struct log_cloud *l, const char *experiment_id,
				      enum log_destination_kind kind)
{
	struct delivery *d = l->first;

	while (d && (d->to.kind != kind || !str_eq(d->to.experiment_id, experiment_id)))
		d = d->next;
	return d;
}

static bool is_full(struct log_cloud *l)
{
	bool full = l->n >= DELIVERIES_MAX;

	if (full && !l->full)
		log_warning("log records of new experiments do not leave the host: %d deliveries "
			    "wait already",
			    DELIVERIES_MAX);
	l->full = full;
	return full;
}

/* NULL: this destination is not named, or there is no room for it. */
static struct delivery *make_delivery(struct log_cloud *l, const cJSON *configuration,
				      const char *experiment_id, enum log_destination_kind kind)
{
	struct log_destination to;
	char why[LOG_WHY_MAX];
	int r = log_destination_read(kind, configuration, l->identity, experiment_id, &to, why);
	struct delivery *d = r && !is_full(l) ? calloc(1, sizeof(*d)) : NULL;

	if (!d)
		return NULL;
	d->l = l;
	d->to = to;
	d->last = &d->first;
	d->next = l->first;
	l->first = d;
	l->n++;
	if (r < 0) {
		d->refused = true;
		lose(d, 0, why);
	}
	return d;
}

static void queue(struct delivery *d, const char *line, size_t length, int64_t time_ms)
{
	struct log_record *r;

	if (d->refused) {
		d->lost++;
		return;
	}
	if (length > LOG_RECORD_MAX || d->bytes + length > QUEUE_BYTES_MAX) {
		lose(d, 1, length > LOG_RECORD_MAX ? "a record is too large" : "too many wait");
		return;
	}
	r = malloc(sizeof(*r) + length + 1);
	if (!r) {
		lose(d, 1, "out of memory");
		return;
	}
	*r = (struct log_record){.time_ms = time_ms, .length = length};
	memcpy(r->line, line, length + 1);
	*d->last = r;
	d->last = &r->next;
	d->bytes += length;
	if (!d->under_way)
		plan_next(d);
}

void log_cloud_add(struct log_cloud *l, const cJSON *configuration, const char *experiment_id,
		   const char *line, int64_t time_ms)
{
	size_t length = strlen(line);

	if (l->stopped)
		return;
	for (enum log_destination_kind k = 0; k < _LOG_DESTINATION_MAX; k++) {
		struct delivery *d = find_delivery(l, experiment_id, k);

		if (!d)
			d = make_delivery(l, configuration, experiment_id, k);
		if (d)
			queue(d, line, length, time_ms);
	}
	set_timer(l);
}

void log_cloud_end(struct log_cloud *l, const char *experiment_id)
{
	for (enum log_destination_kind k = 0; k < _LOG_DESTINATION_MAX; k++) {
		struct delivery *d = find_delivery(l, experiment_id, k);

		if (!d)
			continue;
		d->ended = true;
		if (!d->first)
			free_delivery(d);
		else if (!d->under_way)
			plan_next(d);
	}
	set_timer(l);
}

int log_cloud_start(struct cloud *cloud, const struct identity *identity, struct log_cloud **ret)
{
	struct log_cloud *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->cloud = cloud;
	l->identity = identity;
	(void)uv_timer_init(cloud_loop(cloud), &l->timer);
	l->timer.data = l;
	*ret = l;
	return 0;
}

void log_cloud_stop(struct log_cloud *l)
{
	if (!l || l->stopped)
		return;
	l->stopped = true;
	while (l->first)
		free_delivery(l->first);
	uv_close((uv_handle_t *)&l->timer, NULL);
}

void log_cloud_free(struct log_cloud *l)
{
	free(l);
}
