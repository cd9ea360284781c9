/* SPDX-License-Identifier: Apache-2.0 */
/* list, show and watch: what there is and what happens. Changes nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/api.h"
#include "ctl/exit.h"
#include "ctl/fault.h"
#include "ctl/out.h"

int cmd_list(struct ctl *ctl, int argc, char **argv)
{
	struct answer a = {0};
	int r;

	if (argc > 1)
		return unexpected(argv[0], argv[1]);
	r = ask(ctl, "GET", "/v1/faults", NULL, &a);
	if (r)
		return r;
	if (ctl->json)
		out_json(a.raw.body, a.raw.len);
	else if (cJSON_GetArraySize(json_list(a.json, "faults")))
		fault_print_list(json_list(a.json, "faults"));
	else
		out_line(PLAIN, "no faults");
	answer_done(&a);
	return EXIT_DONE;
}

int cmd_show(struct ctl *ctl, int argc, char **argv)
{
	struct answer a = {0};
	int r;

	if (argc > 2)
		return unexpected(argv[0], argv[2]);
	if (argc < 2 || !*argv[1]) {
		out_error("which fault? see 'faultctl list'");
		return EXIT_USAGE;
	}
	r = ask_about(ctl, "GET", "/v1/faults/", argv[1], "", &a);
	if (r)
		return r;
	if (ctl->json)
		out_json(a.raw.body, a.raw.len);
	else
		fault_print(a.json);
	answer_done(&a);
	return EXIT_DONE;
}

static int on_line(void *data, const char *line, size_t len)
{
	struct ctl *ctl = data;
	_cleanup_(json_freep) cJSON *event = json_parse(line, len);
	const char *reason = json_text(event, "reason");

	if (!cJSON_IsObject(event))
		return -EBADMSG;
	if (ctl->json)
		out_json(line, len);
	else
		out_line(PLAIN, "%s  %s  %s  %s%s%s%s", json_text(event, "time"),
			 json_text(event, "id"), json_text(event, "action"),
			 json_text(event, "state"), *reason ? " (" : "", reason,
			 *reason ? ")" : "");
	/* Nobody reads any more. */
	return ferror(stdout) ? 1 : 0;
}

static int on_signal(void *data, int number)
{
	(void)data;
	(void)number;
	return 1;
}

int cmd_watch(struct ctl *ctl, int argc, char **argv)
{
	const struct http_watcher watcher = {on_line, on_signal, NULL, ctl};
	struct http_answer answer = {0};
	int r;

	if (argc > 1)
		return unexpected(argv[0], argv[1]);
	r = http_stream(ctl->http, "GET", "/v1/events", NULL, &watcher, &answer);
	if (r > 0)
		return EXIT_DONE;
	if (r == 0 && answer.status >= 400) {
		r = api_refusal(ctl, &answer);
	} else if (r == 0 || r == -ECONNRESET) {
		out_error("the connection to faultd was lost");
		r = EXIT_LOST;
	} else {
		r = api_unreachable(ctl, r);
	}
	http_answer_done(&answer);
	return r;
}
