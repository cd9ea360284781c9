/* SPDX-License-Identifier: Apache-2.0 */
/* experiment: what runs, what ran, and what would. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/exit.h"
#include "ctl/experiment_watch.h"
#include "ctl/fis.h"
#include "ctl/timeline.h"
#include "util/str.h"

#define PIPE_COLUMNS 160 /* where nothing is cut, a name of 64 characters has room */

struct starting {
	const char *what; /* a file, or a template's id */
	bool detach, skip_all;
	bool interrupted; /* while it was asked for: it is to be stopped at once */
	cJSON *tags;
};

static int take_tag(struct starting *s, const char *text)
{
	const char *equals = strchr(text, '=');

	if (!equals || equals == text) {
		out_error("--tag: \"%s\" is not NAME=VALUE", text);
		return EXIT_USAGE;
	}
	_cleanup_(freep) char *name = textf("%.*s", (int)(equals - text), text);
	cJSON_DeleteItemFromObjectCaseSensitive(s->tags, name);
	cJSON_AddStringToObject(s->tags, name, equals + 1);
	return 0;
}

static int read_arguments(int argc, char **argv, struct starting *s)
{
	int r = 0;

	for (int i = 1; r == 0 && i < argc; i++) {
		if (strcmp(argv[i], "--detach") == 0 && !s->skip_all)
			s->detach = true;
		else if (strcmp(argv[i], "--tag") == 0 && i + 1 < argc)
			r = take_tag(s, argv[++i]);
		else if (!s->what && *argv[i] && (argv[i][0] != '-' || !argv[i][1]))
			s->what = argv[i];
		else
			r = unexpected("experiment", argv[i]);
	}
	if (r == 0 && !s->what) {
		out_error("%s what? a template's ID, or a file", argv[0]);
		r = EXIT_USAGE;
	}
	return r;
}

/* A file that is there is one, and so is what no id looks like. */
static bool is_file(const char *what)
{
	return strcmp(what, "-") == 0 || strpbrk(what, "./") || access(what, F_OK) == 0;
}

static char *start_body(const struct starting *s, const char *template_id)
{
	_cleanup_(json_freep) cJSON *body = must(cJSON_CreateObject());
	_cleanup_(freep) char *token = fresh_token();

	cJSON_AddStringToObject(body, "clientToken", token);
	cJSON_AddStringToObject(body, "experimentTemplateId", template_id);
	cJSON_AddItemToObject(body, "tags", cJSON_Duplicate(s->tags, true));
	if (s->skip_all)
		cJSON_AddStringToObject(cJSON_AddObjectToObject(body, "experimentOptions"),
					"actionsMode", "skip-all");
	return must(cJSON_PrintUnformatted(body));
}

/* The template of a file is for this experiment alone: what runs is a snapshot of it. */
static void forget_template(struct ctl *ctl, const char *id)
{
	_cleanup_(freep) char *path = must(http_path("/experimentTemplates/", id, ""));
	struct http_answer answer = {0};

	if (http_call(ctl->http, "DELETE", path, NULL, &answer) == 0)
		http_answer_done(&answer);
}

static int post_experiment(struct ctl *ctl, struct starting *s, const char *template_id,
			   char **ret_id)
{
	_cleanup_(freep) char *body = start_body(s, template_id);
	struct answer a = {0};
	int r = ask_to_the_end(ctl, "/experiments", body, &s->interrupted, &a);

	if (r)
		return r;
	r = take_id(ctl, &a, "experiment", ret_id);
	answer_done(&a);
	return r;
}

/* Returns 0 and the experiment's id, to be freed, or an exit code. */
static int start_one(struct ctl *ctl, struct starting *s, char **ret_id)
{
	_cleanup_(freep) char *id = NULL;
	int r;

	if (!is_file(s->what))
		return post_experiment(ctl, s, s->what, ret_id);
	r = create_template(ctl, s->what, &s->interrupted, &id);
	if (r)
		return r;
	r = s->interrupted ? api_unreachable(ctl, -EINTR) : post_experiment(ctl, s, id, ret_id);
	forget_template(ctl, id);
	return r;
}

static int start(struct ctl *ctl, int argc, char **argv)
{
	struct starting s = {.tags = must(cJSON_CreateObject())};
	_cleanup_(freep) char *id = NULL;
	int r = read_arguments(argc, argv, &s);

	if (r == 0)
		r = start_one(ctl, &s, &id);
	cJSON_Delete(s.tags);
	if (r)
		return r;
	if (s.interrupted)
		return watch_experiment(ctl, id, WATCH_STOPPED);
	if (!s.detach)
		return watch_experiment(ctl, id, WATCH_OWNED);
	print_id(ctl, id);
	return EXIT_DONE;
}

static int get(struct ctl *ctl, const char *id, struct answer *ret)
{
	return ask_about(ctl, "GET", "/experiments/", id, "", ret);
}

static void print_targets(const cJSON *targets)
{
	struct table t = {.columns = 3};
	const cJSON *one, *information;

	cJSON_ArrayForEach(one, targets)
	{
		_cleanup_(freep) char *what = textf("%s", "");

		cJSON_ArrayForEach(information, json_object(one, "targetInformation"))
		{
			_cleanup_(freep) char *value = json_plain(information);
			char *more = textf("%s%s%s=%s", what, *what ? " " : "", information->string,
					   value);

			free(what);
			what = more;
		}
		table_cell(&t, PLAIN, "%s", json_text(one, "targetName"));
		table_cell(&t, PLAIN, "%s", json_text(one, "resourceType"));
		table_cell(&t, PLAIN, "%s", what);
	}
	table_print(&t, 2);
}

static int show_targets(struct ctl *ctl, const char *id)
{
	_cleanup_(json_freep) cJSON *targets = NULL;
	_cleanup_(freep) char *path = must(http_path("/experiments/", id, "/resolvedTargets"));
	int r = ask_all(ctl, path, "resolvedTargets", &targets);

	if (r == 0 && cJSON_GetArraySize(targets) > 0) {
		out_line(BOLD, "targets");
		print_targets(targets);
	}
	return r;
}

static void print_actions(const cJSON *x)
{
	char **lines =
		timeline_draw(x, json_time(x, "endTime", now_seconds()),
			      out_is_terminal() ? out_columns() : PIPE_COLUMNS, out_is_utf8());

	for (size_t i = 0; lines[i]; i++)
		out_line(i ? PLAIN : BOLD, "%s", lines[i]);
	timeline_free(lines);
}

static int show(struct ctl *ctl, int argc, char **argv)
{
	struct answer a = {0};
	const char *id;
	int r = take_one(argc, argv, "experiment", &id);

	if (r == 0)
		r = get(ctl, id, &a);
	if (r)
		return r;
	if (ctl->json) {
		out_json(a.raw.body, a.raw.len);
	} else {
		print_actions(json_object(a.json, "experiment"));
		r = show_targets(ctl, id);
	}
	answer_done(&a);
	return r;
}

static void print_list(const cJSON *list)
{
	static const char *const heads[] = {"ID", "TEMPLATE", "STARTED", "STATE", "WHY"};
	struct table t = {.columns = 5};
	const cJSON *one;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		table_cell(&t, BOLD, "%s", heads[i]);
	cJSON_ArrayForEach(one, list)
	{
		const cJSON *state = json_object(one, "state");
		_cleanup_(freep) char *when = local_time(json_time(one, "creationTime", 0));

		table_cell(&t, PLAIN, "%s", json_text(one, "id"));
		table_cell(&t, PLAIN, "%s", json_text(one, "experimentTemplateId"));
		table_cell(&t, PLAIN, "%s", when);
		table_cell(&t, status_colour(json_text(state, "status")), "%s",
			   json_text(state, "status"));
		table_cell(&t, PLAIN, "%s", json_text(state, "reason"));
	}
	table_print(&t, 0);
}

static int list(struct ctl *ctl, int argc, char **argv)
{
	return argc > 1
		       ? unexpected(argv[0], argv[1])
		       : list_all(ctl, "/experiments", "experiments", "no experiments", print_list);
}

static int print_one(struct ctl *ctl, const char *id)
{
	struct answer a = {0};
	int r = get(ctl, id, &a);

	if (r)
		return r;
	out_json(a.raw.body, a.raw.len);
	answer_done(&a);
	return EXIT_DONE;
}

static int stop(struct ctl *ctl, int argc, char **argv)
{
	struct answer a = {0};
	const char *id;
	int r = take_one(argc, argv, "experiment", &id);

	if (r == 0)
		r = ask_about(ctl, "DELETE", "/experiments/", id, "", &a);
	if (r)
		return r;
	answer_done(&a);
	r = ctl->json ? await_silently(ctl, id, WATCH_END) : watch_experiment(ctl, id, WATCH_END);
	/* How it ended is not what was asked for: that it is over. */
	if (r != EXIT_DONE && r != EXIT_FAILED)
		return r;
	return ctl->json ? print_one(ctl, id) : EXIT_DONE;
}

static int watch(struct ctl *ctl, int argc, char **argv)
{
	const char *id;
	int r = take_one(argc, argv, "experiment", &id);

	return r ? r : watch_experiment(ctl, id, WATCH);
}

static int on_line(void *data, const char *line, size_t len)
{
	out_json(line, len);
	return ferror(stdout) ? 1 : 0;
}

static int on_signal(void *data, int number)
{
	return 1;
}

static int logs(struct ctl *ctl, int argc, char **argv)
{
	const struct http_watcher watcher = {on_line, on_signal, NULL, NULL};
	bool follow = argc > 1 && (strcmp(argv[1], "-f") == 0 || strcmp(argv[1], "--follow") == 0);
	struct http_answer answer = {0};
	const char *id;
	int r = take_one(argc - follow, argv + follow, "experiment", &id);

	if (r)
		return r;
	_cleanup_(freep) char *path =
		must(http_path("/v1/experiments/", id, follow ? "/log?follow=true" : "/log"));
	r = http_stream(ctl->http, "GET", path, NULL, &watcher, &answer);
	if (r == 0 && answer.status >= 400)
		r = api_refusal(ctl, &answer);
	else
		r = r < 0 ? api_unreachable(ctl, r) : EXIT_DONE;
	http_answer_done(&answer);
	return r;
}

static char *list_text(const cJSON *list, const char *before)
{
	_cleanup_(freep) char *items = json_plain(list);

	return cJSON_GetArraySize(list) ? textf("%s %s", before, items) : textf("%s", "");
}

static void print_plan(const cJSON *x)
{
	struct table t = {.columns = 4};
	const cJSON *a;

	cJSON_ArrayForEach(a, json_object(x, "actions"))
	{
		const cJSON *targets = json_object(a, "targets");
		const char *target =
			targets && targets->child ? json_text(targets, targets->child->string) : "";
		_cleanup_(freep) char *after = list_text(json_list(a, "startAfter"), "after");

		table_cell(&t, PLAIN, "%s", a->string);
		table_cell(&t, PLAIN, "%s", json_text(a, "actionId"));
		table_cell(&t, PLAIN, "%s%s", *target ? "on " : "", target);
		table_cell(&t, PLAIN, "%s", after);
	}
	out_line(BOLD, "would run");
	table_print(&t, 2);
}

/* skip-all: what would be aimed at, by a run of which every action is skipped. */
static int preview(struct ctl *ctl, int argc, char **argv)
{
	struct starting s = {.skip_all = true, .tags = must(cJSON_CreateObject())};
	_cleanup_(freep) char *id = NULL;
	struct answer a = {0};
	int r = read_arguments(argc, argv, &s), code;

	if (r == 0)
		r = start_one(ctl, &s, &id);
	cJSON_Delete(s.tags);
	if (r)
		return r;
	code = await_experiment(ctl, id, s.interrupted ? WATCH_STOPPED : WATCH_OWNED);
	if (ctl->json)
		return code;
	r = get(ctl, id, &a);
	if (r)
		return r;
	if (code == EXIT_DONE)
		print_plan(json_object(a.json, "experiment"));
	else
		out_error("%s", json_text(json_object(json_object(a.json, "experiment"), "state"),
					  "reason"));
	answer_done(&a);
	return code == EXIT_DONE ? show_targets(ctl, id) : code;
}

int cmd_experiment(struct ctl *ctl, int argc, char **argv)
{
	static const struct subcommand table[] = {
		{"start", "FILE|ID [--detach] [--tag NAME=VALUE]...", start},
		{"preview", "FILE|ID", preview},
		{"list", "", list},
		{"show", "ID", show},
		{"stop", "ID", stop},
		{"watch", "ID", watch},
		{"logs", "[-f] ID", logs}};

	return run_subcommand(ctl, table, sizeof(table) / sizeof(table[0]), argc, argv);
}
