/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's side of the store: queues what is to be done, hands it to the thread batch by batch,
 * and tells how it went. The thread's side is the functions that take a struct database. */
#include "experiment/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/database.h"
#include "experiment/disk_thread.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/str.h"

#define OPEN_WAIT_NS   (10 * NSEC_PER_SEC)
#define CLOSE_WAIT_NS  (2 * NSEC_PER_SEC)
#define STALE_PAUSE_NS (10 * NSEC_PER_SEC)
#define BATCH_MAX      512 /* calls in one transaction */
#define BUCKETS        1024

enum op_kind { LOAD, PUT, DELETE, GET, PRUNE };

struct record {
	struct record *next;
	enum store_table table;
	int64_t order_us;
	char *id;
	char text[];
};

struct op {
	struct disk_job job;
	/* What is to be done; the loop's, and while it is being run nobody's to change. */
	enum op_kind kind;
	enum store_table table;
	int64_t order_us; /* PRUNE: before it; LOAD: how many experiments */
	char *id, *text;
	size_t size; /* of the text */
	store_done_fn done;
	store_text_fn got;
	void *arg;
	struct op *later, *latest; /* puts of the same record that came while it waited */
	struct op *bucket;         /* the next one waiting in its bucket, which is later */
	/* How it went; the thread's */
	int r;
	char *found;
	struct record *loaded, **loaded_end;
	bool is_there; /* of LOAD: a database that could not be read */
	struct database_news news;
};

struct store {
	struct disk_thread *thread;
	struct disk_job *first, **end; /* what waits for the thread */
	struct op *buckets[BUCKETS];
	size_t n_ops, bytes; /* of all that was not told yet */
	store_stale_fn stale;
	void *stale_arg;
	int health;
	bool delivering, closed;
	bool is_stale; /* `stale` is to be called */
	uint64_t told_stale_ns;
	char unread[96]; /* see store_unread() */
};

static void forget_records(struct op *op)
{
	while (op->loaded) {
		struct record *r = op->loaded;

		op->loaded = r->next;
		free(r);
	}
}

static void op_free(struct op *op)
{
	forget_records(op);
	free(op->found);
	free(op->text);
	free(op->id);
	free(op);
}

static void op_free_all(struct op *op)
{
	while (op) {
		struct op *later = op->later;

		op_free(op);
		op = later;
	}
}

static struct op *op_of(struct disk_job *job)
{
	return (struct op *)job;
}

/* In the thread */

static int keep_record(enum store_table table, const char *id, int64_t order_us, const char *text,
		       void *arg)
{
	size_t text_size = strlen(text) + 1, id_size = strlen(id) + 1;
	struct record *r = malloc(sizeof(*r) + text_size + id_size);
	struct op *op = arg;

	if (!r)
		return -ENOMEM;
	*r = (struct record){.table = table, .order_us = order_us, .id = r->text + text_size};
	memcpy(r->text, text, text_size);
	memcpy(r->id, id, id_size);
	*op->loaded_end = r;
	op->loaded_end = &r->next;
	return 0;
}

static int load_once(struct database *d, struct op *op)
{
	int r = database_open(d);

	forget_records(op);
	op->loaded_end = &op->loaded;
	for (enum store_table t = 0; r == 0 && t < _STORE_TABLE_MAX; t++)
		r = database_each(d, t, t == STORE_EXPERIMENTS ? (size_t)op->order_us : SIZE_MAX,
				  keep_record, op);
	return r;
}

/* Damage that is found only now is dealt with when it is opened again. */
static int load(struct database *d, struct op *op)
{
	int r = load_once(d, op);

	if (r == -EUCLEAN)
		r = load_once(d, op);
	op->is_there = r < 0 && database_is_there(d);
	return r;
}

static int change(struct database *d, const struct op *op)
{
	if (op->kind == PUT)
		return database_put(d, op->table, op->id, op->order_us, op->text);
	if (op->kind == DELETE)
		return database_delete(d, op->table, op->id);
	return database_prune(d, op->order_us);
}

static bool changes(const struct op *op)
{
	return op->kind == PUT || op->kind == DELETE || op->kind == PRUNE;
}

static struct op *next_op(const struct op *op)
{
	return op_of(op->job.next);
}

/* All from `from` to before `to` in one transaction. */
static int change_together(struct database *d, const struct op *from, const struct op *to)
{
	int r = database_begin(d);

	if (r < 0)
		return r;
	for (const struct op *op = from; r == 0 && op != to; op = next_op(op))
		r = change(d, op);
	if (r == 0)
		return database_commit(d);
	database_rollback(d, r);
	return r;
}

/* One that the disk has no room for does not keep the others from it. */
static void change_or_each_alone(struct database *d, struct op *from, const struct op *to)
{
	int r = change_together(d, from, to);

	for (struct op *op = from; op != to; op = next_op(op))
		op->r = r < 0 && next_op(from) != to ? change_together(d, op, next_op(op)) : r;
}

static void ask(struct database *d, struct op *op)
{
	if (op->kind == LOAD)
		op->r = load(d, op);
	else
		op->r = database_get(d, op->table, op->id, &op->found);
}

static void run(void *state, struct disk_job *batch)
{
	struct database *d = state;

	for (struct op *op = op_of(batch), *to; op; op = to) {
		to = next_op(op);
		if (!changes(op)) {
			ask(d, op);
			continue;
		}
		while (to && changes(to))
			to = next_op(to);
		change_or_each_alone(d, op, to);
	}
	op_of(batch)->news = database_news(d);
}

static void drop(struct disk_job *batch)
{
	while (batch) {
		struct op *op = op_of(batch);

		batch = batch->next;
		op_free_all(op);
	}
}

static void end(void *state)
{
	database_free(state);
}

static const struct disk_work work = {.run = run, .drop = drop, .end = end};

/* On the loop */

static size_t bucket_of(enum store_table table, const char *id)
{
	size_t h = (size_t)table + 5381;

	for (; *id; id++)
		h = h * 33 + (unsigned char)*id;
	return h % BUCKETS;
}

/* The last that waits for this record. */
static struct op *find_waiting(const struct store *s, enum store_table table, const char *id)
{
	struct op *last = NULL;

	for (struct op *op = s->buckets[bucket_of(table, id)]; op; op = op->bucket) {
		if (op->table == table && str_eq(op->id, id))
			last = op;
	}
	return last;
}

static void index_add(struct store *s, struct op *op)
{
	struct op **at = &s->buckets[bucket_of(op->table, op->id)];

	while (*at)
		at = &(*at)->bucket;
	*at = op;
}

static void index_remove(struct store *s, struct op *op)
{
	struct op **at = &s->buckets[bucket_of(op->table, op->id)];

	while (*at != op)
		at = &(*at)->bucket;
	*at = op->bucket;
	op->bucket = NULL;
}

/* Takes up to BATCH_MAX of what waits, in its order. */
static struct disk_job *take_batch(struct store *s)
{
	struct disk_job *first = s->first, **end = &first;

	for (size_t n = 0; *end && n < BATCH_MAX; n++) {
		struct op *op = op_of(*end);

		if (op->id)
			index_remove(s, op);
		end = &op->job.next;
	}
	s->first = *end;
	if (!s->first)
		s->end = &s->first;
	*end = NULL;
	return first;
}

static void hand_over(struct store *s)
{
	if (s->first && !s->delivering && disk_thread_idle(s->thread))
		disk_thread_hand(s->thread, take_batch(s));
}

/* Of a batch that changed something: 0, or why the first that failed did. */
static void note_health(struct store *s, int r)
{
	int before = s->health;

	s->health = r;
	if (r < 0 && r != before)
		log_error("the store cannot be written: %s; experiments go on in memory",
			  store_strerror(r));
	if (r == 0 && before < 0)
		log_notice("the store is written again");
	s->is_stale = s->is_stale || (r == 0 && before < 0);
}

/* A disk on which some writes succeed and some do not is not asked to keep everything again with
 * every one that does. */
static void tell_stale(struct store *s)
{
	uint64_t now = boot_ns();

	if (!s->is_stale || !s->stale || s->health < 0 || s->closed)
		return;
	if (s->told_stale_ns && now - s->told_stale_ns < STALE_PAUSE_NS)
		return;
	s->is_stale = false;
	s->told_stale_ns = now;
	s->stale(s->stale_arg);
}

static void note_news(const struct database_news *n)
{
	if (n->aside[0])
		log_error("the store was damaged: it is kept as %s, and a new one begun", n->aside);
	else if (n->begun_anew)
		log_warning("the store was gone: a new one is begun");
}

static void tell(struct store *s, const struct op *op, int r)
{
	const char *found = op->found;

	for (; op; op = op->later) {
		s->n_ops--;
		s->bytes -= op->size;
		if (op->done)
			op->done(r, op->arg);
		if (op->got)
			op->got(r, found, op->arg);
	}
}

static void note_batch(struct store *s, const struct disk_job *batch)
{
	bool changed = false;
	int r = 0;

	for (; batch; batch = batch->next) {
		const struct op *op = (const struct op *)batch;

		note_news(&op->news);
		s->is_stale = s->is_stale || op->news.begun_anew;
		changed = changed || changes(op);
		if (changes(op) && r == 0)
			r = op->r;
		if (op->kind == LOAD && op->r == 0)
			log_warning("the store has answered, too late: what is in it is read when "
				    "faultd starts next");
	}
	if (changed)
		note_health(s, r);
}

static void on_batch(struct disk_job *batch, void *arg)
{
	struct store *s = arg;

	s->delivering = true;
	note_batch(s, batch);
	while (batch) {
		struct op *op = op_of(batch);

		batch = batch->next;
		tell(s, op, op->r);
		op_free_all(op);
	}
	tell_stale(s);
	s->delivering = false;
	if (!s->closed)
		hand_over(s);
}

static struct op *op_new(enum op_kind kind, enum store_table table, const char *id,
			 const char *text)
{
	struct op *op = calloc(1, sizeof(*op));

	if (!op)
		return NULL;
	op->kind = kind;
	op->table = table;
	op->id = id ? strdup(id) : NULL;
	op->text = text ? strdup(text) : NULL;
	op->size = text ? strlen(text) + 1 : 0;
	if ((id && !op->id) || (text && !op->text)) {
		op_free(op);
		return NULL;
	}
	return op;
}

static int check_room(const struct store *s, const char *text)
{
	size_t length = text ? strlen(text) : 0;

	if (s->closed)
		return -ECANCELED;
	if (length > STORE_TEXT_MAX)
		return -E2BIG;
	return s->n_ops >= STORE_QUEUE_MAX || s->bytes + length >= STORE_QUEUE_BYTES_MAX ? -EBUSY
											 : 0;
}

static void append(struct store *s, struct op *op)
{
	*s->end = &op->job;
	s->end = &op->job.next;
	if (op->id)
		index_add(s, op);
}

/* The one that waits is given the later one's text, and stays where it is: whatever was told to the
 * store before a put is there when the put is. The later one is only told. */
static void supersede(struct store *s, struct op *waiting, struct op *op)
{
	free(waiting->text);
	waiting->text = steal_pointer(op->text);
	s->bytes -= waiting->size;
	waiting->size = op->size;
	op->size = 0;
	waiting->order_us = op->order_us;
	if (waiting->latest)
		waiting->latest->later = op;
	else
		waiting->later = op;
	waiting->latest = op;
}

static void enqueue(struct store *s, struct op *op)
{
	struct op *waiting = op->kind == PUT ? find_waiting(s, op->table, op->id) : NULL;

	s->n_ops++;
	s->bytes += op->size;
	if (waiting && waiting->kind == PUT)
		supersede(s, waiting, op);
	else
		append(s, op);
	hand_over(s);
}

int store_put(struct store *s, enum store_table table, const char *id, int64_t order_us,
	      const char *text, store_done_fn done, void *arg)
{
	int r = check_room(s, text);
	struct op *op = r == 0 ? op_new(PUT, table, id, text) : NULL;

	if (!op)
		return r < 0 ? r : -ENOMEM;
	op->order_us = order_us;
	op->done = done;
	op->arg = arg;
	enqueue(s, op);
	return 0;
}

int store_delete(struct store *s, enum store_table table, const char *id, store_done_fn done,
		 void *arg)
{
	int r = check_room(s, NULL);
	struct op *op = r == 0 ? op_new(DELETE, table, id, NULL) : NULL;

	if (!op)
		return r < 0 ? r : -ENOMEM;
	op->done = done;
	op->arg = arg;
	enqueue(s, op);
	return 0;
}

int store_get(struct store *s, enum store_table table, const char *id, store_text_fn done,
	      void *arg)
{
	int r = check_room(s, NULL);
	struct op *op = r == 0 ? op_new(GET, table, id, NULL) : NULL;

	if (!op)
		return r < 0 ? r : -ENOMEM;
	op->got = done;
	op->arg = arg;
	enqueue(s, op);
	return 0;
}

int store_prune(struct store *s, int64_t before_us)
{
	int r = check_room(s, NULL);
	struct op *op = r == 0 ? op_new(PRUNE, STORE_EXPERIMENTS, NULL, NULL) : NULL;

	if (!op)
		return r < 0 ? r : -ENOMEM;
	op->order_us = before_us;
	enqueue(s, op);
	return 0;
}

int store_health(const struct store *s)
{
	return s->health;
}

const char *store_unread(const struct store *s)
{
	return s->unread[0] ? s->unread : NULL;
}

const char *store_strerror(int r)
{
	switch (r) {
	case -EPROTONOSUPPORT:
		return "a later version of faultd has made it";
	case -EUCLEAN:
		return "it is damaged, and cannot be set aside";
	default:
		return strerror(-r);
	}
}

void store_on_stale(struct store *s, store_stale_fn stale, void *arg)
{
	s->stale = stale;
	s->stale_arg = arg;
}

/* What was read is told here, on the loop's thread. */
static void on_load(struct store *s, struct op *op, store_each_fn each, void *arg)
{
	s->health = op->r;
	note_news(&op->news);
	if (op->r < 0)
		log_error("the store cannot be read: %s; experiments go on in memory",
			  store_strerror(op->r));
	if (op->news.aside[0])
		(void)snprintf(s->unread, sizeof(s->unread),
			       "the store was damaged, it is kept as %s", op->news.aside);
	else if (op->r < 0 && op->is_there)
		(void)snprintf(s->unread, sizeof(s->unread), "the store cannot be read: %s",
			       store_strerror(op->r));
	for (const struct record *r = op->loaded; r; r = r->next)
		each(r->table, r->id, r->order_us, r->text, arg);
	op_free(op);
}

static int open_thread(struct store *s, uv_loop_t *loop, const char *state_dir)
{
	struct database *d = database_new(state_dir);
	int r;

	if (!d)
		return -ENOMEM;
	r = disk_thread_start(loop, &work, d, on_batch, s, &s->thread);
	if (r < 0)
		database_free(d);
	return r;
}

static int open_store(struct store *s, uv_loop_t *loop, const char *state_dir, struct op *op)
{
	int r = open_thread(s, loop, state_dir);

	if (r < 0)
		return r;
	s->end = &s->first;
	s->n_ops = 1;
	disk_thread_hand(s->thread, &op->job);
	return 0;
}

int store_open(uv_loop_t *loop, const char *state_dir, size_t experiments, store_each_fn each,
	       void *arg, struct store **ret)
{
	struct store *s = calloc(1, sizeof(*s));
	struct op *op = op_new(LOAD, STORE_EXPERIMENTS, NULL, NULL);
	int r = -ENOMEM;

	if (s && op) {
		op->order_us = experiments > INT64_MAX ? INT64_MAX : (int64_t)experiments;
		r = open_store(s, loop, state_dir, op);
	}
	if (r < 0) {
		free(s);
		free(op);
		return r;
	}
	*ret = s;
	if (disk_thread_wait(s->thread, clock_ns(CLOCK_MONOTONIC) + OPEN_WAIT_NS)) {
		s->n_ops = 0;
		on_load(s, op, each, arg);
		return 0;
	}
	s->health = -ETIMEDOUT;
	(void)str_copy(s->unread, sizeof(s->unread), "the store does not answer");
	log_error("the store does not answer; experiments go on in memory");
	return 0;
}

static void cancel(struct store *s, struct disk_job *batch)
{
	while (batch) {
		struct op *op = op_of(batch);

		batch = batch->next;
		tell(s, op, -ECANCELED);
		op_free_all(op);
	}
}

/* What the thread still has: it is told, and the thread's to free. */
static void on_left(const struct disk_job *batch, void *arg)
{
	for (; batch; batch = batch->next) {
		const struct op *op = (const struct op *)batch;

		for (; op; op = op->later) {
			if (op->done)
				op->done(-ECANCELED, op->arg);
			if (op->got)
				op->got(-ECANCELED, NULL, op->arg);
		}
	}
}

void store_close(struct store *s)
{
	uint64_t until_ns = clock_ns(CLOCK_MONOTONIC) + CLOSE_WAIT_NS;
	struct disk_job *batch;

	s->closed = true;
	while (!disk_thread_idle(s->thread) || s->first) {
		if (disk_thread_idle(s->thread))
			disk_thread_hand(s->thread, take_batch(s));
		batch = disk_thread_wait(s->thread, until_ns);
		if (!batch)
			break;
		on_batch(batch, s);
	}
	if (!disk_thread_end(s->thread, until_ns, on_left))
		log_error("the store does not answer: what was to be written is not known to be");
	cancel(s, steal_pointer(s->first));
}

void store_free(struct store *s)
{
	free(s);
}
