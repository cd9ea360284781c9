/* SPDX-License-Identifier: Apache-2.0 */
/* An experiment's log over HTTP, and, beside FIS's own operations, checking a template without
 * keeping it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/fis.h"

/* A log that is read, then followed until the experiment is over or the client goes. What comes
 * while the files are read is kept until they are. */
struct follow {
	struct http_request *q;
	struct api *api;
	struct log_listener listener;
	struct log_reading *reading;
	char *waiting; /* lines that came meanwhile */
	size_t n_waiting;
	bool goes_on; /* not only what there is */
	bool over;
	char id[TEMPLATE_ID_MAX];
};

static void free_follow(struct follow *f)
{
	log_reading_cancel(f->reading);
	if (f->listener.record)
		experiment_log_unlisten(experiments_log(f->api->experiments), &f->listener);
	f->q->data = NULL;
	f->q->gone = NULL;
	free(f->waiting);
	free(f);
}

static void on_gone(struct http_request *q)
{
	free_follow(q->data);
}

static void end(struct follow *f)
{
	struct http_request *q = f->q;

	free_follow(f);
	http_stream_end(q);
}

static bool is_end(const char *line)
{
	return strstr(line, "\"log_type\":\"" LOG_EXPERIMENT_END "\"") != NULL;
}

static void keep(struct follow *f, const char *line)
{
	size_t n = strlen(line);
	char *more = realloc(f->waiting, f->n_waiting + n + 2);

	if (!more)
		return; /* it is in the file */
	memcpy(more + f->n_waiting, line, n);
	memcpy(more + f->n_waiting + n, "\n", 2);
	f->waiting = more;
	f->n_waiting += n + 1;
}

static void on_record(const char *experiment_id, const char *line, void *arg)
{
	struct follow *f = arg;

	if (!str_eq(experiment_id, f->id))
		return;
	f->over |= is_end(line);
	if (f->reading)
		keep(f, line);
	else
		(void)http_stream_add(f->q, line);
	if (f->over && !f->reading)
		end(f);
}

/* What came while the files were read may be in them, too: told once. */
static const char *not_yet_told(const struct follow *f, const char *text)
{
	const char *at = f->waiting;

	while (at && *at) {
		size_t n = strcspn(at, "\n") + 1;

		if (!text || !memmem(text, strlen(text), at, n))
			return at;
		at += n;
	}
	return NULL;
}

/* Nothing more comes of it, also when its last record is in no file. */
static bool is_over(struct api *api, const char *id)
{
	const struct experiment *x = experiments_find(api->experiments, id);

	return !x || experiment_is_over(x);
}

/* In one piece, of which the last newline is the stream's: a log may be longer than what a stream
 * keeps for a client that does not read. */
static void add_text(struct follow *f, const char *text)
{
	const char *rest = not_yet_told(f, text);
	char *all = NULL;
	int n = asprintf(&all, "%s%s", text ? text : "", rest ? rest : "");

	if (n <= 0) {
		if (n == 0)
			free(all);
		return;
	}
	if (all[n - 1] == '\n')
		all[n - 1] = '\0';
	(void)http_stream_add(f->q, all);
	free(all);
}

static void on_text(int r, const char *text, size_t length, void *arg)
{
	struct follow *f = arg;

	f->reading = NULL;
	f->over |= is_over(f->api, f->id);
	add_text(f, text);
	if (!f->goes_on || f->over)
		end(f);
}

void get_experiment_log(struct api *api, struct http_request *q, const char *id)
{
	const char *follow = http_query(q, "follow", 0);
	struct follow *f;
	struct error e;

	if (!fis_find_line(api, id)) {
		(void)error_set(&e, ERROR_NOT_FOUND, -ENOENT, "no experiment %.64s", id);
		answer_error(q, &e);
		return;
	}
	f = calloc(1, sizeof(*f));
	if (!f) {
		http_answer(q, 500, NULL, NULL);
		return;
	}
	f->q = q;
	f->api = api;
	f->goes_on = follow && !str_eq(follow, "false");
	(void)str_copy(f->id, sizeof(f->id), id);
	f->listener = (struct log_listener){.record = on_record, .arg = f};
	experiment_log_listen(experiments_log(api->experiments), &f->listener);
	q->data = f;
	q->gone = on_gone;
	if (experiment_log_read(experiments_log(api->experiments), id, on_text, f, &f->reading) <
	    0) {
		free_follow(f);
		http_answer(q, 500, NULL, NULL);
		return;
	}
	http_watch_client(q);
	http_stream_begin(q);
}

/* A template file may carry a clientToken, as CreateExperimentTemplate's input does. */
void validate_template(struct api *api, struct http_request *q, const char *id)
{
	struct problems problems = {0};
	struct template *t = NULL;
	struct error e;
	cJSON *json = json_read(q->body, q->body_length, &e), *o;
	int r;

	if (!json) {
		answer_error(q, &e);
		return;
	}
	cJSON_DeleteItemFromObjectCaseSensitive(json, "clientToken");
	r = template_parse(json, &t, &problems);
	o = r < 0 ? problems_print(&problems) : cJSON_CreateObject();
	if (o)
		cJSON_AddBoolToObject(o, "valid", r == 0);
	answer_json(q, r == -ENOMEM ? 500 : 200, o);
	template_unref(t);
	problems_done(&problems);
}
