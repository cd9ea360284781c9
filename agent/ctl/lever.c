/* SPDX-License-Identifier: Apache-2.0 */
/* lever: ends everything, and lets nothing begin until it is let go. */
#include <stdio.h>
#include <string.h>

#include "ctl/exit.h"
#include "ctl/fis.h"

static int print(struct ctl *ctl, struct answer *a)
{
	const cJSON *state = json_object(json_object(a->json, "safetyLever"), "state");
	const char *status = json_text(state, "status"), *reason = json_text(state, "reason");

	if (ctl->json)
		out_json(a->raw.body, a->raw.len);
	else
		out_line(status_colour(status), "%s%s%s", status, *reason ? ": " : "", reason);
	answer_done(a);
	return EXIT_DONE;
}

static int move(struct ctl *ctl, const char *status, const char *reason)
{
	_cleanup_(json_freep) cJSON *body = must(cJSON_CreateObject());
	cJSON *state = cJSON_AddObjectToObject(body, "state");
	struct answer a = {0};
	int r;

	cJSON_AddStringToObject(state, "status", status);
	cJSON_AddStringToObject(state, "reason", reason);
	_cleanup_(freep) char *text = must(cJSON_PrintUnformatted(body));
	r = ask(ctl, "PATCH", "/safetyLevers/default/state", text, &a);
	return r ? r : print(ctl, &a);
}

/* All words are the reason: nobody quotes in a hurry. */
static char *join(int argc, char **argv)
{
	char *text = textf("%s", argc > 1 ? argv[1] : "");

	for (int i = 2; i < argc; i++) {
		char *more = textf("%s %s", text, argv[i]);

		free(text);
		text = more;
	}
	return text;
}

static int pull(struct ctl *ctl, const char *status, int argc, char **argv)
{
	_cleanup_(freep) char *reason = join(argc, argv);

	if (!*reason) {
		out_error("%s needs a reason: 'faultctl lever %s REASON'", argv[0], argv[0]);
		return EXIT_USAGE;
	}
	return move(ctl, status, reason);
}

static int engage(struct ctl *ctl, int argc, char **argv)
{
	return pull(ctl, "engaged", argc, argv);
}

static int disengage(struct ctl *ctl, int argc, char **argv)
{
	return pull(ctl, "disengaged", argc, argv);
}

int cmd_lever(struct ctl *ctl, int argc, char **argv)
{
	static const struct subcommand table[] = {{"engage", "REASON", engage},
						  {"disengage", "REASON", disengage}};
	struct answer a = {0};
	int r;

	if (argc > 1)
		return run_subcommand(ctl, table, sizeof(table) / sizeof(table[0]), argc, argv);
	r = ask(ctl, "GET", "/safetyLevers/default", NULL, &a);
	return r ? r : print(ctl, &a);
}
