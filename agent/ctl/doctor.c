/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: the daemon itself, and what this host can and cannot do. Informs; a missing feature is
 * not a failure of the command. */
#include <string.h>

#include "ctl/api.h"
#include "ctl/exit.h"
#include "ctl/out.h"

static const struct {
	const char *status;
	enum colour colour;
} status_colours[] = {{"ok", GREEN}, {"limited", YELLOW}, {"missing", RED}};

static void print_checks(const cJSON *checks)
{
	struct table t = {.columns = 3};
	const cJSON *check;

	cJSON_ArrayForEach(check, checks)
	{
		const char *status = json_text(check, "status");
		enum colour colour = PLAIN;

		for (size_t i = 0; i < sizeof(status_colours) / sizeof(status_colours[0]); i++)
			if (strcmp(status_colours[i].status, status) == 0)
				colour = status_colours[i].colour;
		table_cell(&t, colour, "%s", status);
		table_cell(&t, PLAIN, "%s", json_text(check, "name"));
		table_cell(&t, PLAIN, "%s", json_text(check, "detail"));
	}
	table_print(&t, 0);
}

static void print_status(const cJSON *status)
{
	const cJSON *guardian = json_object(status, "guardian");
	double stuck = json_number(status, "stuckFaults", 0);

	out_line(PLAIN, "faultd %s, pid %.0f%s, %.0f open", json_text(status, "version"),
		 json_number(status, "pid", 0),
		 json_true(status, "privileged") ? "" : ", without privileges",
		 json_number(status, "openFaults", 0));
	if (stuck > 0)
		out_line(RED, "%.0f stuck: the host is NOT put back; try 'faultctl recover'",
			 stuck);
	if (json_true(guardian, "connected"))
		out_line(PLAIN, "guardian connected, pid %.0f", json_number(guardian, "pid", 0));
	else
		out_line(RED, "no guardian is connected: no fault is accepted");
}

int cmd_doctor(struct ctl *ctl, int argc, char **argv)
{
	struct answer status = {0}, checks = {0};
	int r;

	if (argc > 1)
		return unexpected(argv[0], argv[1]);
	r = ask(ctl, "GET", "/v1/doctor", NULL, &checks);
	if (r == 0 && ctl->json)
		out_json(checks.raw.body, checks.raw.len);
	else if (r == 0)
		r = ask(ctl, "GET", "/v1/status", NULL, &status);
	if (r == 0 && !ctl->json) {
		print_status(status.json);
		print_checks(json_list(checks.json, "checks"));
	}
	answer_done(&status);
	answer_done(&checks);
	return r;
}
