/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/disk_thread.h"
#include "experiment/log_cloud.h"
#include "experiment/log_files.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/str.h"

#define STOP_WAIT_NS NSEC_PER_SEC
#define SAY_PAUSE_NS (10 * NSEC_PER_SEC)
#define BATCH_MAX    512

enum job_kind { APPEND, READ, DELETE, PRUNE };

/* A reading is one, too. */
struct log_reading {
	struct disk_job job;
	/* What is to be done; the loop's */
	enum job_kind kind;
	char *id, *line;
	size_t length;
	time_t before;
	log_text_fn done; /* NULL: cancelled */
	void *arg;
	/* How it went; the thread's */
	int r;
	char *text;
	size_t text_length;
};

struct experiment_log {
	struct disk_thread *thread;
	struct disk_job *first, **end; /* what waits for the thread */
	size_t n_jobs, bytes, n_readings;
	struct log_listener *listeners;
	struct log_cloud *to_cloud; /* NULL: nothing leaves the host */
	uint64_t lost, lost_before; /* and when it was said last that they are kept again, at: */
	uint64_t said_ns;
	int health;
	bool delivering, stopped;
};

static struct log_reading *job_of(struct disk_job *job)
{
	return (struct log_reading *)job;
}

static void job_free(struct log_reading *j)
{
	free(j->text);
	free(j->line);
	free(j->id);
	free(j);
}

/* In the thread */

static void run_one(struct log_files *f, struct log_reading *j)
{
	if (j->kind == APPEND)
		j->r = log_files_append(f, j->id, j->line, j->length);
	else if (j->kind == READ)
		j->r = log_files_read(f, j->id, &j->text, &j->text_length);
	else if (j->kind == DELETE)
		j->r = log_files_delete(f, j->id);
	else
		j->r = log_files_prune(f, j->before);
}

static void run(void *state, struct disk_job *batch)
{
	for (; batch; batch = batch->next)
		run_one(state, job_of(batch));
	log_files_rest(state);
}

static void drop(struct disk_job *batch)
{
	while (batch) {
		struct log_reading *j = job_of(batch);

		batch = batch->next;
		job_free(j);
	}
}

static void end(void *state)
{
	log_files_free(state);
}

static const struct disk_work work = {.run = run, .drop = drop, .end = end};

/* On the loop */

/* A batch ends with a reading: one text at a time is in memory. */
static struct disk_job *take_batch(struct experiment_log *l)
{
	struct disk_job *first = l->first, **to = &first;
	bool reads = false;

	for (size_t n = 0; *to && n < BATCH_MAX && !reads; n++) {
		reads = job_of(*to)->kind == READ;
		to = &(*to)->next;
	}
	l->first = *to;
	if (!l->first)
		l->end = &l->first;
	*to = NULL;
	return first;
}

static void hand_over(struct experiment_log *l)
{
	if (l->first && !l->delivering && disk_thread_idle(l->thread))
		disk_thread_hand(l->thread, take_batch(l));
}

/* Said once, until it was said that they are kept again. */
static void note_lost(struct experiment_log *l, int r)
{
	l->lost++;
	if (l->health == 0)
		log_error("records of experiments cannot be kept in files: %s", strerror(-r));
	l->health = r;
}

static void note_kept(struct experiment_log *l)
{
	uint64_t now = boot_ns();

	/* Where some are kept and some are not, that is not said with each. */
	if (l->health == 0 || (l->said_ns && now - l->said_ns < SAY_PAUSE_NS))
		return;
	l->health = 0;
	l->said_ns = now;
	log_notice("records of experiments are kept in files again; %llu were not",
		   (unsigned long long)(l->lost - l->lost_before));
	l->lost_before = l->lost;
}

static void note(struct experiment_log *l, const struct log_reading *j, int r)
{
	if (j->kind == APPEND && r < 0)
		note_lost(l, r);
	else if (j->kind == APPEND)
		note_kept(l);
	else if (j->kind != READ && r < 0)
		log_warning("old logs of experiments cannot all be deleted: %s", strerror(-r));
}

static void tell(struct experiment_log *l, const struct log_reading *j, int r)
{
	l->n_jobs--;
	l->bytes -= j->length;
	l->n_readings -= j->kind == READ;
	note(l, j, r);
	if (j->done)
		j->done(r, r < 0 ? NULL : j->text, r < 0 ? 0 : j->text_length, j->arg);
}

static void on_batch(struct disk_job *batch, void *arg)
{
	struct experiment_log *l = arg;

	l->delivering = true;
	while (batch) {
		struct log_reading *j = job_of(batch);

		batch = batch->next;
		tell(l, j, j->r);
		job_free(j);
	}
	l->delivering = false;
	if (!l->stopped)
		hand_over(l);
}

static struct log_reading *job_new(enum job_kind kind, const char *id)
{
	struct log_reading *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->kind = kind;
	j->id = strdup(id);
	if (!j->id) {
		free(j);
		return NULL;
	}
	return j;
}

static void enqueue(struct experiment_log *l, struct log_reading *j)
{
	l->n_jobs++;
	l->bytes += j->length;
	l->n_readings += j->kind == READ;
	*l->end = &j->job;
	l->end = &j->job.next;
	hand_over(l);
}

/* Takes the line over. */
static int append(struct experiment_log *l, const char *id, char *line)
{
	size_t length = strlen(line);
	struct log_reading *j = NULL;
	int r = -ENOMEM;

	if (l->stopped)
		r = -ECANCELED;
	else if (!log_files_can_be_called(id))
		r = -EINVAL;
	else if (l->n_jobs >= LOG_QUEUE_MAX || l->bytes + length > LOG_QUEUE_BYTES_MAX)
		r = -EBUSY;
	else
		j = job_new(APPEND, id);
	if (!j) {
		free(line);
		return r;
	}
	j->line = line;
	j->length = length;
	enqueue(l, j);
	return 0;
}

const char *experiment_log_time(const struct timespec *t, char ret[static LOG_TIME_MAX])
{
	struct tm tm;

	if (!gmtime_r(&t->tv_sec, &tm) || !strftime(ret, LOG_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm))
		ret[0] = '\0';
	return ret;
}

/* Owns `details` in any case. Returns malloc'd text, or NULL. */
static char *print_record(const char *id, const char *type, cJSON *details,
			  const struct timespec *now)
{
	cJSON *record = cJSON_CreateObject();
	char time[LOG_TIME_MAX], *line = NULL;

	if (cJSON_AddStringToObject(record, "id", id) &&
	    cJSON_AddStringToObject(record, "log_type", type) &&
	    cJSON_AddStringToObject(record, "event_timestamp", experiment_log_time(now, time)) &&
	    cJSON_AddStringToObject(record, "version", "2") &&
	    cJSON_AddItemToObject(record, "details", details)) {
		details = NULL; /* the record's */
		line = cJSON_PrintUnformatted(record);
	}
	cJSON_Delete(details);
	cJSON_Delete(record);
	return line;
}

/* To journald: the details alone, for id and kind are fields of their own. */
static void tell_journal(const char *id, const char *type, const cJSON *details)
{
	char *text = cJSON_PrintUnformatted(details);

	log_record(id, type, text ? text : "{}");
	cJSON_free(text);
}

static void tell_listeners(const struct experiment_log *l, const char *id, const char *line)
{
	const struct log_listener *next;

	for (const struct log_listener *i = l->listeners; i; i = next) {
		next = i->next;
		i->record(id, line, i->arg);
	}
}

static void tell_cloud(struct experiment_log *l, const char *id, const char *type,
		       const cJSON *configuration, const char *line, const struct timespec *now)
{
	if (!l->to_cloud || l->stopped)
		return;
	log_cloud_add(l->to_cloud, configuration, id, line,
		      (int64_t)(timespec_ns(now) / NSEC_PER_MSEC));
	if (str_eq(type, LOG_EXPERIMENT_END))
		log_cloud_end(l->to_cloud, id);
}

void experiment_log(struct experiment_log *l, const char *experiment_id, const char *type,
		    cJSON *details, const cJSON *configuration)
{
	struct timespec now = {0};
	char *line = NULL;
	int r = -ENOMEM;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (details) {
		tell_journal(experiment_id, type, details);
		line = print_record(experiment_id, type, details, &now);
	}
	if (line) {
		tell_listeners(l, experiment_id, line);
		tell_cloud(l, experiment_id, type, configuration, line, &now);
		r = append(l, experiment_id, line);
	}
	if (r < 0)
		note_lost(l, r);
}

uint64_t experiment_log_lost(const struct experiment_log *l)
{
	return l->lost;
}

void experiment_log_listen(struct experiment_log *l, struct log_listener *listener)
{
	listener->next = l->listeners;
	l->listeners = listener;
}

void experiment_log_unlisten(struct experiment_log *l, struct log_listener *listener)
{
	for (struct log_listener **at = &l->listeners; *at; at = &(*at)->next) {
		if (*at == listener) {
			*at = listener->next;
			return;
		}
	}
}

int experiment_log_read(struct experiment_log *l, const char *experiment_id, log_text_fn done,
			void *arg, struct log_reading **ret)
{
	struct log_reading *j;

	if (l->stopped)
		return -ECANCELED;
	if (!log_files_can_be_called(experiment_id))
		return -EINVAL;
	if (l->n_readings >= LOG_READINGS_MAX)
		return -EBUSY;
	j = job_new(READ, experiment_id);
	if (!j)
		return -ENOMEM;
	j->done = done;
	j->arg = arg;
	enqueue(l, j);
	*ret = j;
	return 0;
}

void log_reading_cancel(struct log_reading *r)
{
	if (r)
		r->done = NULL;
}

void experiment_log_delete(struct experiment_log *l, const char *experiment_id)
{
	bool room = !l->stopped && l->n_jobs < LOG_QUEUE_MAX;
	struct log_reading *j = room && log_files_can_be_called(experiment_id)
					? job_new(DELETE, experiment_id)
					: NULL;

	if (j)
		enqueue(l, j);
}

void experiment_log_prune(struct experiment_log *l, time_t before)
{
	bool room = !l->stopped && l->n_jobs < LOG_QUEUE_MAX;
	struct log_reading *j = room ? job_new(PRUNE, "") : NULL;

	if (!j)
		return;
	j->before = before;
	enqueue(l, j);
}

/* What the thread still has: it is told, and the thread's to free. */
static void on_left(const struct disk_job *batch, void *arg)
{
	for (; batch; batch = batch->next)
		tell(arg, (const struct log_reading *)batch, -ECANCELED);
}

static int start_files(struct experiment_log *l, uv_loop_t *loop, const char *state_dir)
{
	struct log_files *files = log_files_new(state_dir);
	int r = -ENOMEM;

	l->end = &l->first;
	if (files)
		r = disk_thread_start(loop, &work, files, on_batch, l, &l->thread);
	if (r < 0)
		log_files_free(files);
	return r;
}

int experiment_log_start(uv_loop_t *loop, const char *state_dir, struct cloud *cloud,
			 const struct identity *identity, struct experiment_log **ret)
{
	struct experiment_log *l = calloc(1, sizeof(*l));
	int r = l ? start_files(l, loop, state_dir) : -ENOMEM;

	if (r == 0 && cloud) {
		r = log_cloud_start(cloud, identity, &l->to_cloud);
		if (r < 0)
			(void)disk_thread_end(l->thread, clock_ns(CLOCK_MONOTONIC) + STOP_WAIT_NS,
					      on_left);
	}
	if (r < 0) {
		free(l);
		return r;
	}
	*ret = l;
	return 0;
}

static void cancel(struct experiment_log *l, struct disk_job *batch)
{
	while (batch) {
		struct log_reading *j = job_of(batch);

		batch = batch->next;
		tell(l, j, -ECANCELED);
		job_free(j);
	}
}

void experiment_log_stop(struct experiment_log *l)
{
	uint64_t until_ns = clock_ns(CLOCK_MONOTONIC) + STOP_WAIT_NS;
	struct disk_job *batch;

	l->stopped = true;
	while (!disk_thread_idle(l->thread) || l->first) {
		if (disk_thread_idle(l->thread))
			disk_thread_hand(l->thread, take_batch(l));
		batch = disk_thread_wait(l->thread, until_ns);
		if (!batch)
			break;
		on_batch(batch, l);
	}
	(void)disk_thread_end(l->thread, until_ns, on_left);
	cancel(l, steal_pointer(l->first));
	log_cloud_stop(l->to_cloud);
}

void experiment_log_free(struct experiment_log *l)
{
	if (l)
		log_cloud_free(l->to_cloud);
	free(l);
}
