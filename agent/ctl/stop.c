/* SPDX-License-Identifier: Apache-2.0 */
/* stop and recover: undo now. Both answer when the host is put back, or say that it is not. */
#include <stdio.h>
#include <string.h>

#include "ctl/api.h"
#include "ctl/exit.h"
#include "ctl/fault.h"
#include "ctl/out.h"

/* Only a stuck fault is a failure here: whatever the fault came to, it was asked to end. */
static int say_one(const cJSON *fault, bool silent)
{
	bool stuck = strcmp(json_text(fault, "state"), "stuck") == 0;
	_cleanup_(freep) char *outcome = fault_outcome(fault);

	if (stuck)
		out_error("%s %s: %s", json_text(fault, "id"), json_text(fault, "action"), outcome);
	else if (!silent)
		out_line(PLAIN, "%s %s: %s", json_text(fault, "id"), json_text(fault, "action"),
			 outcome);
	if (!silent)
		fault_print_notes(fault);
	return stuck ? EXIT_STUCK : EXIT_DONE;
}

static int undo_all(struct ctl *ctl, const char *method, const char *path, const char *nothing)
{
	struct answer a = {0};
	const cJSON *fault;
	int r = ask(ctl, method, path, NULL, &a);

	if (r)
		return r;
	if (ctl->json)
		out_json(a.raw.body, a.raw.len);
	else if (cJSON_GetArraySize(json_list(a.json, "faults")) == 0)
		out_line(PLAIN, "%s", nothing);
	cJSON_ArrayForEach(fault, json_list(a.json, "faults"))
	{
		int one = say_one(fault, ctl->json);

		r = one ? one : r;
	}
	answer_done(&a);
	return r;
}

static int stop_one(struct ctl *ctl, const char *id)
{
	struct answer a = {0};
	int r = ask_about(ctl, "DELETE", "/v1/faults/", id, "", &a);

	if (r)
		return r;
	if (ctl->json)
		out_json(a.raw.body, a.raw.len);
	r = say_one(a.json, ctl->json);
	answer_done(&a);
	return r;
}

static int usage(void)
{
	out_error("which fault? 'faultctl stop ID...' or 'faultctl stop --all'");
	return EXIT_USAGE;
}

int cmd_stop(struct ctl *ctl, int argc, char **argv)
{
	int worst = EXIT_DONE;

	if (argc == 2 && strcmp(argv[1], "--all") == 0)
		return undo_all(ctl, "DELETE", "/v1/faults", "nothing to stop");
	if (argc < 2)
		return usage();
	/* An empty ID would name all faults. */
	for (int i = 1; i < argc; i++)
		if (!*argv[i] || argv[i][0] == '-')
			return *argv[i] ? unexpected(argv[0], argv[i]) : usage();
	for (int i = 1; i < argc; i++) {
		int r = stop_one(ctl, argv[i]);

		if (r == EXIT_UNREACHABLE || r == EXIT_INTERRUPTED)
			return r;
		if (worst != EXIT_STUCK && r)
			worst = r;
	}
	return worst;
}

int cmd_recover(struct ctl *ctl, int argc, char **argv)
{
	int r;

	if (argc > 1)
		return unexpected(argv[0], argv[1]);
	r = undo_all(ctl, "POST", "/v1/recover", "nothing to recover: the host is as it was");
	if (r == EXIT_UNREACHABLE)
		out_error(
			"if faultd is dead, 'faultd-guardian --all' puts the host back from its journal");
	return r;
}
