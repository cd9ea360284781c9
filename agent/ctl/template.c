/* SPDX-License-Identifier: Apache-2.0 */
/* template: what experiments are made from. */
#include <stdio.h>
#include <string.h>

#include "ctl/exit.h"
#include "ctl/fis.h"
#include "util/str.h"

static int create(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_(freep) char *id = NULL;
	const char *path;
	int r = take_one(argc, argv, "file", &path);

	if (r == 0)
		r = create_template(ctl, path, NULL, &id);
	if (r)
		return r;
	print_id(ctl, id);
	return EXIT_DONE;
}

static void print_list(const cJSON *list)
{
	static const char *const heads[] = {"ID", "CREATED", "DESCRIPTION"};
	struct table t = {.columns = 3};
	const cJSON *one;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		table_cell(&t, BOLD, "%s", heads[i]);
	cJSON_ArrayForEach(one, list)
	{
		_cleanup_(freep) char *when = local_time(json_time(one, "creationTime", 0));

		table_cell(&t, PLAIN, "%s", json_text(one, "id"));
		table_cell(&t, PLAIN, "%s", when);
		table_cell(&t, PLAIN, "%s", json_text(one, "description"));
	}
	table_print(&t, 0);
}

static int list(struct ctl *ctl, int argc, char **argv)
{
	return argc > 1 ? unexpected(argv[0], argv[1])
			: list_all(ctl, "/experimentTemplates", "experimentTemplates",
				   "no templates", print_list);
}

static int show(struct ctl *ctl, int argc, char **argv)
{
	struct answer a = {0};
	const char *id;
	int r = take_one(argc, argv, "template", &id);

	if (r == 0)
		r = ask_about(ctl, "GET", "/experimentTemplates/", id, "", &a);
	if (r)
		return r;
	if (ctl->json) {
		out_json(a.raw.body, a.raw.len);
	} else {
		/* A template is read, changed and given again as the JSON that it is. */
		_cleanup_(freep) char *text =
			must(cJSON_Print(json_object(a.json, "experimentTemplate")));

		out_json(text, strlen(text));
	}
	answer_done(&a);
	return EXIT_DONE;
}

static int delete (struct ctl *ctl, int argc, char **argv)
{
	struct answer a = {0};
	const char *id;
	int r = take_one(argc, argv, "template", &id);

	if (r == 0)
		r = ask_about(ctl, "DELETE", "/experimentTemplates/", id, "", &a);
	if (r)
		return r;
	if (ctl->json)
		out_json(a.raw.body, a.raw.len);
	else
		out_line(PLAIN, "%s deleted", id);
	answer_done(&a);
	return EXIT_DONE;
}

static void print_problems(const char *path, const cJSON *json)
{
	const cJSON *p, *problems = json_list(json, "problems");
	int n = cJSON_GetArraySize(problems);

	out_error("%s: %d problem%s", path, n, n == 1 ? "" : "s");
	cJSON_ArrayForEach(p, problems)
		out_note("  %s: %s", json_text(p, "path"), json_text(p, "message"));
}

static int validate(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_(json_freep) cJSON *json = NULL;
	struct answer a = {0};
	const char *path;
	bool valid;
	int r = take_one(argc, argv, "file", &path);

	if (r == 0)
		r = read_json_file(ctl, path, &json);
	if (r)
		return r;
	_cleanup_(freep) char *body = must(cJSON_PrintUnformatted(json));
	r = ask(ctl, "POST", "/v1/templates/validate", body, &a);
	if (r)
		return r;
	valid = json_true(a.json, "valid");
	if (ctl->json)
		out_json(a.raw.body, a.raw.len);
	else if (valid)
		out_line(PLAIN, "%s: this host can do it", path);
	else
		print_problems(path, a.json);
	answer_done(&a);
	return valid ? EXIT_DONE : EXIT_REFUSED;
}

int cmd_template(struct ctl *ctl, int argc, char **argv)
{
	static const struct subcommand table[] = {{"create", "FILE", create},
						  {"list", "", list},
						  {"show", "ID", show},
						  {"delete", "ID", delete},
						  {"validate", "FILE", validate}};

	return run_subcommand(ctl, table, sizeof(table) / sizeof(table[0]), argc, argv);
}
