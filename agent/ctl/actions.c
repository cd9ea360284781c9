/* SPDX-License-Identifier: Apache-2.0 */
/* actions, and the help of one action: the daemon's catalogue as text. No action is named here. */
#include <string.h>

#include "ctl/api.h"
#include "ctl/exit.h"
#include "ctl/out.h"
#include "ctl/params.h"

static void print_list(const cJSON *actions)
{
	struct table t = {.columns = 2};
	const cJSON *action;

	cJSON_ArrayForEach(action, actions)
	{
		table_cell(&t, BOLD, "%s", json_text(action, "name"));
		table_cell(&t, PLAIN, "%s%s", json_text(action, "summary"),
			   json_true(action, "irreversible") ? " (cannot be undone)" : "");
	}
	table_print(&t, 0);
}

/* "1 to 100 %", "at least 1 ms", "tcp, udp, all", or the unit alone. */
static char *allowed_text(const cJSON *row)
{
	const cJSON *values = json_list(row, "values");
	const cJSON *min = cJSON_GetObjectItemCaseSensitive(row, "minimum");
	const cJSON *max = cJSON_GetObjectItemCaseSensitive(row, "maximum");
	_cleanup_(freep) char *low = json_plain(min), *high = json_plain(max);
	const char *unit = json_text(row, "unit");
	const char *space = *unit ? " " : "";

	if (cJSON_GetArraySize(values))
		return json_plain(values);
	if (*low && *high)
		return textf("%s to %s%s%s", low, high, space, unit);
	if (*low)
		return textf("at least %s%s%s", low, space, unit);
	if (*high)
		return textf("at most %s%s%s", high, space, unit);
	return textf("%s", unit);
}

static void print_row(struct table *t, const cJSON *row)
{
	_cleanup_(freep) char *option = kebab(json_text(row, "name"));
	_cleanup_(freep) char *preset = json_plain(cJSON_GetObjectItem(row, "default"));
	_cleanup_(freep) char *allowed = allowed_text(row);

	if (!*option)
		return;
	table_cell(t, BOLD, "--%s", option);
	table_cell(t, PLAIN, "%s", json_text(row, "type"));
	if (json_true(row, "required"))
		table_cell(t, YELLOW, "required");
	else
		table_cell(t, PLAIN, "%s", *preset ? preset : "-");
	table_cell(t, PLAIN, "%s", *allowed ? allowed : "-");
	table_cell(t, PLAIN, "%s", json_text(row, "description"));
}

static void print_parameters(const cJSON *action)
{
	static const char *const heads[] = {"PARAMETER", "TYPE", "DEFAULT", "ALLOWED", "WHAT"};
	bool required = json_true(action, "durationRequired");
	struct table t = {.columns = 5};
	const cJSON *row;

	for (size_t i = 0; i < t.columns; i++)
		table_cell(&t, BOLD, "%s", heads[i]);
	table_cell(&t, BOLD, "--duration");
	table_cell(&t, PLAIN, "duration");
	table_cell(&t, required ? YELLOW : PLAIN, "%s", required ? "required" : "-");
	table_cell(&t, PLAIN, "-");
	table_cell(&t, PLAIN, "how long: 500ms, 30s, 5m, 1h30m or PT5M");
	cJSON_ArrayForEach(row, json_list(action, "parameters")) print_row(&t, row);
	table_print(&t, 2);
}

static void print_aliases(const cJSON *action)
{
	const cJSON *alias, *name;

	cJSON_ArrayForEach(alias, json_list(action, "aliases"))
	{
		out_put(DIM, "alias %s", json_text(alias, "name"));
		cJSON_ArrayForEach(name, json_object(alias, "parameters"))
		{
			const char *native = cJSON_GetStringValue(name);

			out_put(DIM, " %s=%s", name->string, native ? native : "?");
		}
		out_line(PLAIN, "%s", "");
	}
}

static void print_action(const cJSON *action)
{
	const char *name = json_text(action, "name"), *hold = json_text(action, "hold");

	out_put(BOLD, "%s: ", name);
	out_line(PLAIN, "%s", json_text(action, "summary"));
	out_line(PLAIN, "usage: faultctl run %s%s [--NAME VALUE]...", name,
		 json_true(action, "durationRequired") ? " --duration TIME" : "");
	print_parameters(action);
	if (json_true(action, "irreversible"))
		out_line(RED, "This cannot be undone: it needs --yes.");
	else if (*hold)
		out_line(DIM, "held by %s", hold);
	print_aliases(action);
}

int action_help(struct ctl *ctl, const char *name)
{
	struct answer a = {0};
	int r = ask_about(ctl, "GET", "/v1/actions/", name, "", &a);

	if (r)
		return r;
	if (ctl->json)
		out_json(a.raw.body, a.raw.len);
	else
		print_action(a.json);
	answer_done(&a);
	return EXIT_DONE;
}

int cmd_actions(struct ctl *ctl, int argc, char **argv)
{
	struct answer a = {0};
	int r;

	if (argc > 2)
		return unexpected(argv[0], argv[2]);
	if (argc == 2 && *argv[1])
		return action_help(ctl, argv[1]);
	r = ask(ctl, "GET", "/v1/actions", NULL, &a);
	if (r)
		return r;
	if (ctl->json)
		out_json(a.raw.body, a.raw.len);
	else
		print_list(json_list(a.json, "actions"));
	answer_done(&a);
	return EXIT_DONE;
}
