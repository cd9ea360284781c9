/* SPDX-License-Identifier: Apache-2.0 */
/* Experiments that are over and only in the store. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/internal.h"
#include "util/log.h"
#include "util/str.h"

struct experiment_reading {
	experiment_json_fn done; /* NULL: nobody waits for it any more */
	void *arg;
};

static void on_text(int r, const char *text, void *arg)
{
	struct experiment_reading *reading = arg;
	cJSON *saved = text && reading->done ? cJSON_Parse(text) : NULL;

	if (r < 0)
		log_warning("an experiment's record cannot be read: %s", strerror(-r));
	if (reading->done)
		reading->done(r, saved, reading->arg);
	free(reading);
}

int experiments_read(struct experiments *all, const char *id, experiment_json_fn done, void *arg,
		     struct experiment_reading **ret)
{
	struct experiment_reading *reading = calloc(1, sizeof(*reading));
	int r;

	if (!reading)
		return -ENOMEM;
	reading->done = done;
	reading->arg = arg;
	r = store_get(all->store, STORE_EXPERIMENTS, id, on_text, reading);
	if (r < 0)
		free(reading);
	else
		*ret = reading;
	return r;
}

void experiment_reading_cancel(struct experiment_reading *r)
{
	if (r)
		r->done = NULL;
}

static void replace_tags(cJSON *o, const cJSON *tags)
{
	cJSON_DeleteItemFromObjectCaseSensitive(o, "tags");
	cJSON_AddItemToObject(o, "tags", cJSON_Duplicate(tags, true));
}

/* The tags of one that is only in the store: read, changed, written. */
struct retagging {
	struct experiments *all;
	int64_t created_us;
	cJSON *tags;
	char id[TEMPLATE_ID_MAX];
};

static void on_retag(int r, const char *text, void *arg)
{
	struct retagging *t = arg;
	/* One that is kept no more must not come back. */
	bool is_kept = !t->all->stopping && line_find(t->all, t->id);
	cJSON *saved = text && is_kept ? cJSON_Parse(text) : NULL;
	char *changed = NULL;

	if (saved) {
		replace_tags(cJSON_GetObjectItemCaseSensitive(saved, "experiment"), t->tags);
		changed = cJSON_PrintUnformatted(saved);
	}
	if (changed)
		(void)store_put(t->all->store, STORE_EXPERIMENTS, t->id, t->created_us, changed,
				NULL, NULL);
	else
		log_warning("%s: its tags are not kept on disk", t->id);
	cJSON_free(changed);
	cJSON_Delete(saved);
	cJSON_Delete(t->tags);
	free(t);
}

static int retag_stored(struct experiments *all, const struct experiment_line *line, cJSON *tags)
{
	struct retagging *t = calloc(1, sizeof(*t));
	int r = -ENOMEM;

	if (t) {
		*t = (struct retagging){.all = all, .created_us = line->created_us, .tags = tags};
		(void)str_copy(t->id, sizeof(t->id), line->id);
		r = store_get(all->store, STORE_EXPERIMENTS, t->id, on_retag, t);
	}
	if (r < 0) {
		cJSON_Delete(tags);
		free(t);
	}
	return r;
}

int experiments_set_tags(struct experiments *all, const char *id, cJSON *tags, struct error *e)
{
	struct experiment_line *line = line_find(all, id);
	struct experiment *x = experiments_find(all, id);
	int r = 0;

	if (!line) {
		cJSON_Delete(tags);
		return error_set(e, ERROR_NOT_FOUND, -ENOENT, "no experiment %.64s", id);
	}
	replace_tags(line->summary, tags);
	if (x) {
		cJSON_Delete(x->tags);
		x->tags = tags;
		experiment_changed(x);
		life_save(x);
	} else {
		r = retag_stored(all, line, tags);
	}
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot keep the tags: %s", strerror(-r)) : 0;
}
