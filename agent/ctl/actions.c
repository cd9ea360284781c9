/* SPDX-License-Identifier: Apache-2.0 */
/* actions, and the help of one action: the daemon's catalogue as text. No action is named here. */
#include <stdio.h>
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

#define TEXT_COLUMN 30

/* One option: its spelling, then what it does and is limited to, wrapped beside it. */
static void print_option(const char *spelling, const char *type, const char *about,
			 const char *limits)
{
	_cleanup_(freep) char *head = textf("  --%s %s", spelling, type);
	size_t at = strlen(head);

	out_put(BOLD, "  --%s", spelling);
	out_put(DIM, " %s", type);
	if (at + 2 > TEXT_COLUMN) {
		out_line(PLAIN, "%s", "");
		at = 0;
	}
	if (*limits)
		out_wrapped(at, TEXT_COLUMN, "%s [%s]", about, limits);
	else
		out_wrapped(at, TEXT_COLUMN, "%s", about);
}

/* "required", "1 to 100 %; default 7", "" … */
static char *limits_text(const cJSON *row)
{
	_cleanup_(freep) char *preset = json_plain(cJSON_GetObjectItem(row, "default"));
	_cleanup_(freep) char *allowed = allowed_text(row);
	bool required = json_true(row, "required");

	return textf("%s%s%s%s%s%s", required ? "required" : "", required && *allowed ? "; " : "",
		     allowed, *preset && (required || *allowed) ? "; " : "",
		     *preset ? "default " : "", preset);
}

static void print_row(const cJSON *row)
{
	_cleanup_(freep) char *option = kebab(json_text(row, "name"));
	_cleanup_(freep) char *limits = limits_text(row);

	if (*option)
		print_option(option, json_text(row, "type"), json_text(row, "description"), limits);
}

static void print_parameters(const cJSON *action)
{
	const cJSON *row;

	out_line(PLAIN, "%s", "");
	print_option("duration", "duration", "how long: 500ms, 30s, 5m, 1h30m or PT5M",
		     json_true(action, "durationRequired") ? "required" : "");
	cJSON_ArrayForEach(row, json_list(action, "parameters")) print_row(row);
	out_line(PLAIN, "%s", "");
}

/* "LoadPercent=percent …", or the names of those that have no meaning here. */
static char *alias_parameters(const cJSON *alias, bool meant)
{
	const cJSON *name;
	char *text = NULL;
	size_t len;
	FILE *to = must(open_memstream(&text, &len));

	cJSON_ArrayForEach(name, json_object(alias, "parameters"))
	{
		const char *native = cJSON_GetStringValue(name);
		bool has = native && *native;

		if (has == meant)
			fprintf(to, "%s%s%s%s", ftell(to) > 0 ? " " : "", name->string,
				has ? "=" : "", has ? native : "");
	}
	fclose(to);
	return must(text);
}

static void print_aliases(const cJSON *action)
{
	const cJSON *alias;

	cJSON_ArrayForEach(alias, json_list(action, "aliases"))
	{
		_cleanup_(freep) char *meant = alias_parameters(alias, true);
		_cleanup_(freep) char *ignored = alias_parameters(alias, false);

		out_line(PLAIN, "alias %s", json_text(alias, "name"));
		if (*meant)
			out_wrapped(0, 2, "%s", meant);
		if (*ignored)
			out_wrapped(0, 2, "accepted, nothing to do: %s", ignored);
	}
}

static void print_action(const cJSON *action)
{
	const char *name = json_text(action, "name"), *hold = json_text(action, "hold");

	out_put(BOLD, "%s:", name);
	out_wrapped(strlen(name) + 1, 0, "%s", json_text(action, "summary"));
	if (*json_text(action, "description"))
		out_wrapped(0, 0, "%s", json_text(action, "description"));
	out_line(PLAIN, "%s", "");
	out_line(PLAIN, "usage: faultctl run %s%s [--NAME VALUE]...", name,
		 json_true(action, "durationRequired") ? " --duration TIME" : "");
	print_parameters(action);
	if (json_true(action, "irreversible"))
		out_line(RED, "This cannot be undone: it needs --yes.");
	else if (*hold)
		out_line(DIM, "held by %s", hold);
	if (*json_text(action, "composition"))
		out_wrapped(0, 0, "%s", json_text(action, "composition"));
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
