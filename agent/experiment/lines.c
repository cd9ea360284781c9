/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/internal.h"
#include "util/str.h"

static void line_free(struct experiment_line *line)
{
	cJSON_Delete(line->summary);
	free(line);
}

int line_add(struct experiments *all, const struct line_of *of, cJSON *summary)
{
	struct experiment_line *line = summary ? calloc(1, sizeof(*line)) : NULL;

	if (line && all->n_lines == all->lines_room) {
		size_t room = all->lines_room ? 2 * all->lines_room : 16;
		struct experiment_line **more = reallocarray(all->lines, room, sizeof(*more));

		if (more) {
			all->lines = more;
			all->lines_room = room;
		}
	}
	if (!line || all->n_lines == all->lines_room) {
		free(line);
		cJSON_Delete(summary);
		return -ENOMEM;
	}
	(void)str_copy(line->id, sizeof(line->id), of->id);
	(void)str_copy(line->template_id, sizeof(line->template_id), of->template_id);
	line->created_us = of->created_us;
	line->token = str_hash(of->token);
	line->summary = summary;
	all->lines[all->n_lines++] = line;
	return 0;
}

/* From the newest on: those are asked for. */
struct experiment_line *line_find(struct experiments *all, const char *id)
{
	for (size_t i = all->n_lines; i > 0; i--) {
		if (str_eq(all->lines[i - 1]->id, id))
			return all->lines[i - 1];
	}
	return NULL;
}

const struct experiment_line *experiments_line(struct experiments *all, size_t i)
{
	return i < all->n_lines ? all->lines[all->n_lines - 1 - i] : NULL;
}

static bool may_go(struct experiments *all, const struct experiment_line *line)
{
	const struct experiment *x = experiments_find(all, line->id);

	return !x || experiment_is_over(x);
}

/* With their records and logs: those before `before_us`, and the oldest of more than `most`; none
 * that goes on. */
void lines_trim(struct experiments *all, size_t most, int64_t before_us)
{
	size_t n = 0;

	while (n < all->n_lines && may_go(all, all->lines[n]) &&
	       (all->n_lines - n > most || all->lines[n]->created_us < before_us)) {
		(void)store_delete(all->store, STORE_EXPERIMENTS, all->lines[n]->id, NULL, NULL);
		experiment_log_delete(all->log, all->lines[n]->id);
		line_free(all->lines[n++]);
	}
	if (n == 0)
		return;
	all->n_lines -= n;
	memmove(all->lines, all->lines + n, all->n_lines * sizeof(all->lines[0]));
}

void lines_free(struct experiments *all)
{
	for (size_t i = 0; i < all->n_lines; i++)
		line_free(all->lines[i]);
	free(all->lines);
}
