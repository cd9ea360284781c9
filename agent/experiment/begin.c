/* SPDX-License-Identifier: Apache-2.0 */
/* StartExperiment: from a template to an experiment that is pending. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/internal.h"
#include "experiment/make_id.h"
#include "plan/policy.h"
#include "util/cleanup.h"
#include "util/str.h"

size_t experiments_count_active(const struct experiments *all)
{
	size_t n = 0;

	for (const struct experiment *x = all->first; x; x = x->next)
		n += !experiment_is_over(x);
	return n;
}

/* The oldest finished ones leave; the store has them. */
void forget_finished(struct experiments *all)
{
	struct experiment **p = &all->first;
	size_t n = 0;

	while (*p) {
		struct experiment *x = *p;

		if (experiment_is_over(x) && ++n > FINISHED_KEPT_MAX &&
		    !experiment_holds_faults(x)) {
			*p = x->next;
			experiment_free(x);
		} else {
			p = &x->next;
		}
	}
}

/* 0: none were asked for. Whoever asks again asks with the same text. */
static uint64_t hash_tags(const cJSON *tags)
{
	char *text = tags ? cJSON_PrintUnformatted(tags) : NULL;
	uint64_t hash = text ? str_hash(text) : 0;

	cJSON_free(text);
	return hash;
}

/* One that is over and not in memory any more: it is not begun again. */
static int recall_line(struct experiments *all, const struct experiment_start *s, struct error *e)
{
	uint64_t token = str_hash(s->client_token);

	for (size_t i = 0; i < all->n_lines; i++) {
		if (all->lines[i]->token == token)
			return error_set(
				e, ERROR_CONFLICT, -EEXIST,
				"clientToken: already used for experiment %s, which is over",
				all->lines[i]->id);
	}
	return 0;
}

/* The one that this token began. Returns 1, 0 (there is none), or a negative errno and the error.
 */
static int recall(struct experiments *all, const struct experiment_start *s,
		  struct experiment **ret, struct error *e)
{
	for (struct experiment *x = all->first; x; x = x->next) {
		if (!str_eq(x->client_token, s->client_token))
			continue;
		if (!str_eq(x->template->id, s->template->id) || x->skip_all != s->skip_all ||
		    x->tags_asked != hash_tags(s->tags))
			return error_set(
				e, ERROR_CONFLICT, -EEXIST,
				"clientToken: already used for another request (experiment %s)",
				x->id);
		*ret = x;
		return 1;
	}
	return recall_line(all, s, e);
}

static int check_quota(struct experiments *all, struct error *e)
{
	size_t active = experiments_count_active(all);

	if (active < (size_t)all->policy->fis.active_experiments_max)
		return 0;
	return error_set(e, ERROR_QUOTA, -EDQUOT,
			 "%zu experiments are active, as many as there may be", active);
}

static struct experiment *new_experiment(struct experiments *all, struct experiment_start *s)
{
	struct experiment *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->owner = all;
	x->tags_asked = hash_tags(s->tags);
	x->template = template_ref(s->template);
	x->tags = s->tags ? steal_pointer(s->tags) : cJSON_CreateObject();
	x->client_token = strdup(s->client_token);
	x->caller = *s->caller;
	x->skip_all = s->skip_all;
	x->seed = make_seed(SEED_MAX);
	make_fis_id("EXP", x->id);
	(void)clock_gettime(CLOCK_REALTIME, &x->created_at);
	if (x->tags && x->client_token && life_start(x) == 0)
		return x;
	experiment_free(x);
	return NULL;
}

static void cancel_for_lever(struct experiments *all, struct experiment *x)
{
	char reason[REASON_MAX];

	for (size_t i = 0; i < x->template->n_actions; i++)
		x->actions[i].status = RUN_CANCELLED;
	(void)snprintf(reason, sizeof(reason), "The safety lever is engaged: %.440s",
		       all->lever.reason);
	experiment_set_status(x, RUN_CANCELLED, reason);
	record_experiment_end(x);
}

static int list(struct experiments *all, const struct experiment *x)
{
	const struct line_of of = {.id = x->id,
				   .template_id = x->template->id,
				   .token = x->client_token,
				   .created_us = timespec_us(&x->created_at)};

	return line_add(all, &of, experiment_print_summary(x, &all->identity));
}

static int begin(struct experiments *all, struct experiment_start *s, struct experiment **ret,
		 struct error *e)
{
	struct experiment *x = new_experiment(all, s);
	int r = x ? list(all, x) : -ENOMEM;

	if (r < 0) {
		experiment_free(x);
		return error_set(e, ERROR_FAILED, r, "out of memory");
	}
	x->next = all->first;
	all->first = x;
	if (all->lever.status != LEVER_DISENGAGED)
		cancel_for_lever(all, x);
	else
		experiment_set_status(x, RUN_PENDING, "");
	life_save(x);
	*ret = x;
	return 0;
}

int experiments_begin(struct experiments *all, struct experiment_start *s, struct experiment **ret,
		      struct error *e)
{
	int r = recall(all, s, ret, e);

	if (r == 0 && all->lever.status == LEVER_DISENGAGED)
		r = check_quota(all, e);
	if (r == 0) {
		forget_finished(all);
		lines_trim(all, (size_t)all->policy->fis.experiments_kept_max - 1, 0);
		r = begin(all, s, ret, e);
	}
	cJSON_Delete(s->tags);
	s->tags = NULL;
	return r;
}
