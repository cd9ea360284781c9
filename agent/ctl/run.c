/* SPDX-License-Identifier: Apache-2.0 */
/* run and plan: from a command line to a request. Which options an action has comes from the
 * daemon's catalogue and what their values may be is the daemon's to say: nothing is checked
 * here but that an option exists and has a value. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/api.h"
#include "ctl/attach.h"
#include "ctl/exit.h"
#include "ctl/fault.h"
#include "ctl/out.h"
#include "ctl/params.h"

struct request {
	const char *action, *duration, *id, *lease;
	bool dry_run, detach, yes;
	bool irreversible; /* says the catalogue */
	cJSON *parameters;
};

#define TEXT_OPTION(option, member)                            \
	{                                                      \
		option, offsetof(struct request, member), true \
	}
#define FLAG_OPTION(option, member)                             \
	{                                                       \
		option, offsetof(struct request, member), false \
	}

static const struct own_option {
	const char *name;
	size_t offset;
	bool takes_value;
} own_options[] = {
	TEXT_OPTION("duration", duration), TEXT_OPTION("id", id),
	TEXT_OPTION("lease", lease),       FLAG_OPTION("dry-run", dry_run),
	FLAG_OPTION("detach", detach),     FLAG_OPTION("yes", yes),
};

#define OWN_OPTIONS (sizeof(own_options) / sizeof(own_options[0]))

/* Where a command line is being read. */
struct cursor {
	char **argv;
	int argc, i;
	const char *name; /* of the option at i, without "--" */
	size_t len;
	const char *value; /* behind its "=", or NULL */
};

static void cursor_split(struct cursor *c)
{
	c->name = c->argv[c->i] + 2;
	c->len = strcspn(c->name, "=");
	c->value = c->name[c->len] ? c->name + c->len + 1 : NULL;
}

static bool is_option(const char *arg)
{
	return strncmp(arg, "--", 2) == 0 && arg[2];
}

/* The value of the option at the cursor, which may be the next argument. NULL after an error. */
static const char *cursor_value(struct cursor *c)
{
	if (c->value)
		return c->value;
	if (c->i + 1 < c->argc && !is_option(c->argv[c->i + 1]))
		return c->argv[++c->i];
	out_error("--%.*s needs a value", (int)c->len, c->name);
	return NULL;
}

static const struct own_option *find_own(const struct cursor *c)
{
	for (size_t i = 0; i < OWN_OPTIONS; i++)
		if (strlen(own_options[i].name) == c->len &&
		    memcmp(own_options[i].name, c->name, c->len) == 0)
			return &own_options[i];
	return NULL;
}

static int twice(const struct cursor *c)
{
	out_error("--%.*s is given twice", (int)c->len, c->name);
	return EXIT_USAGE;
}

static int read_own(struct cursor *c, const struct own_option *own, struct request *q)
{
	void *member = (char *)q + own->offset;

	if (own->takes_value) {
		const char **text = member;

		if (*text)
			return twice(c);
		*text = cursor_value(c);
		return *text ? 0 : EXIT_USAGE;
	}
	if (c->value) {
		out_error("--%s takes no value", own->name);
		return EXIT_USAGE;
	}
	*(bool *)member = true;
	return 0;
}

static bool is_truth(const char *text)
{
	return text && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0);
}

/* Text, for the daemon to convert, except that a flag alone is true. */
static int read_param(struct cursor *c, const struct param *param, struct request *q)
{
	const char *value = c->value;

	if (cJSON_GetObjectItemCaseSensitive(q->parameters, param->name))
		return twice(c);
	if (param->boolean && !value && c->i + 1 < c->argc && is_truth(c->argv[c->i + 1]))
		value = c->argv[++c->i];
	if (param->boolean && (!value || is_truth(value))) {
		bool on = !value || strcmp(value, "true") == 0;

		must(cJSON_AddBoolToObject(q->parameters, param->name, on));
		return 0;
	}
	value = cursor_value(c);
	if (!value)
		return EXIT_USAGE;
	must(cJSON_AddStringToObject(q->parameters, param->name, value));
	return 0;
}

static int unknown_option(const struct cursor *c, const struct params *params, const char *action)
{
	_cleanup_(freep) char *name = must(strndup(c->name, c->len));
	const char *best = NULL;
	size_t distance = 0;

	for (size_t i = 0; i < params->count; i++)
		nearest(name, params->all[i].kebab, &best, &distance);
	for (size_t i = 0; i < OWN_OPTIONS; i++)
		nearest(name, own_options[i].name, &best, &distance);
	if (best)
		out_error("unknown option --%s; did you mean --%s?", name, best);
	else
		out_error("unknown option --%s; see 'faultctl actions %s'", name, action);
	return EXIT_USAGE;
}

static int read_option(struct cursor *c, const struct params *params, struct request *q)
{
	const struct own_option *own;
	const struct param *param;

	if (!is_option(c->argv[c->i]))
		return unexpected("run ACTION", c->argv[c->i]);
	cursor_split(c);
	own = find_own(c);
	if (own)
		return read_own(c, own, q);
	param = params_find(params, c->name, c->len);
	return param ? read_param(c, param, q) : unknown_option(c, params, q->action);
}

static int read_options(struct cursor *c, const cJSON *catalogue, struct request *q)
{
	struct params params;
	int r = 0;

	q->irreversible = json_true(catalogue, "irreversible");
	params_of(catalogue, q->action, &params);
	for (; r == 0 && c->i < c->argc; c->i++)
		r = read_option(c, &params, q);
	params_done(&params);
	return r;
}

/* Options of faultctl itself may stand before the action; its parameters are known only then. */
static int read_action(struct cursor *c, struct request *q)
{
	for (; c->i < c->argc; c->i++) {
		const struct own_option *own;
		int r;

		if (!is_option(c->argv[c->i])) {
			q->action = c->argv[c->i++];
			break;
		}
		cursor_split(c);
		own = find_own(c);
		if (!own) {
			out_error("--%.*s: the action comes before its parameters", (int)c->len,
				  c->name);
			return EXIT_USAGE;
		}
		r = read_own(c, own, q);
		if (r)
			return r;
	}
	if (q->action && *q->action)
		return 0;
	out_error("which action? see 'faultctl actions'");
	return EXIT_USAGE;
}

static int read_request(struct ctl *ctl, int argc, char **argv, struct request *q)
{
	struct cursor c = {.argv = argv, .argc = argc, .i = 1};
	struct answer catalogue = {0};
	int r = read_action(&c, q);

	if (r == 0)
		r = ask_about(ctl, "GET", "/v1/actions/", q->action, "", &catalogue);
	if (r == 0)
		r = read_options(&c, catalogue.json, q);
	answer_done(&catalogue);
	return r;
}

static void add_text(cJSON *body, const char *key, const char *text)
{
	if (text)
		must(cJSON_AddStringToObject(body, key, text));
}

/* A plan starts nothing, so it has neither token nor connection. */
static char *request_body(const struct request *q, bool dry_run, bool confirm)
{
	const char *command = getenv("SSM_COMMAND_ID");
	const char *token = q->id ? q->id : command && *command ? command : NULL;
	_cleanup_(json_freep) cJSON *body = must(cJSON_CreateObject());

	add_text(body, "action", q->action);
	must(cJSON_AddItemReferenceToObject(body, "parameters", q->parameters) ? body : NULL);
	add_text(body, "duration", q->duration);
	add_text(body, "lease", q->lease);
	add_text(body, "clientToken", dry_run ? NULL : token);
	must(cJSON_AddBoolToObject(body, "dryRun", dry_run));
	must(cJSON_AddBoolToObject(body, "attach", !dry_run && !q->detach));
	must(cJSON_AddBoolToObject(body, "confirm", confirm));
	return must(cJSON_PrintUnformatted(body));
}

static int ask_plan(struct ctl *ctl, const struct request *q, bool confirm, struct answer *ret)
{
	_cleanup_(freep) char *body = request_body(q, true, confirm);

	return ask(ctl, "POST", "/v1/faults", body, ret);
}

static int plan(struct ctl *ctl, const struct request *q)
{
	struct answer a = {0};
	int r = ask_plan(ctl, q, q->yes, &a);

	if (r == 0 && ctl->json) {
		out_json(a.raw.body, a.raw.len);
	} else if (r == 0) {
		fault_print_plan(a.json);
		out_line(DIM, "Nothing was changed.");
	}
	answer_done(&a);
	return r;
}

/* Whether a person typed a line that begins with y; a signal or the end of input is a no. */
static bool read_yes(const struct ctl *ctl)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = ctl->signal_fd, .events = POLLIN}};
	char line[64];
	ssize_t n;

	if (poll(fds, 2, -1) < 0 || fds[1].revents)
		return false;
	n = read(STDIN_FILENO, line, sizeof(line));
	return n > 0 && (line[0] == 'y' || line[0] == 'Y');
}

/* Shows the plan of what cannot be undone and asks. 0 to go on. */
static int consent(struct ctl *ctl, struct request *q)
{
	struct answer a = {0};
	int r = ask_plan(ctl, q, true, &a);

	if (r == 0 && json_true(a.json, "irreversible")) {
		fault_print_plan(a.json);
		out_put(PLAIN, "Do it? [y/N] ");
		q->yes = read_yes(ctl);
		if (!q->yes) {
			out_error("not confirmed: nothing was done");
			r = EXIT_REFUSED;
		}
	}
	answer_done(&a);
	return r;
}

static int detach(struct ctl *ctl, const char *body)
{
	struct answer a = {0};
	int r = ask(ctl, "POST", "/v1/faults", body, &a);

	if (r == 0) {
		const char *id = json_text(a.json, "id");

		if (ctl->json)
			out_json(a.raw.body, a.raw.len);
		else
			out_line(PLAIN, "%s", id);
		if (json_number(a.json, "leaseRemainingMs", -1) >= 0)
			out_note("the lease is yours to renew, or the fault is undone: "
				 "POST /v1/faults/%s/renew on %s",
				 id, ctl->socket);
	}
	answer_done(&a);
	return r;
}

static int start(struct ctl *ctl, struct request *q)
{
	bool person = out_is_terminal() && isatty(STDIN_FILENO) && !ctl->json;

	if (q->irreversible && !q->yes && person) {
		int r = consent(ctl, q);

		if (r)
			return r;
	}
	_cleanup_(freep) char *body = request_body(q, false, q->yes);
	return q->detach ? detach(ctl, body) : attach(ctl, body);
}

static int run(struct ctl *ctl, int argc, char **argv, bool dry_run)
{
	struct request q = {.dry_run = dry_run, .parameters = must(cJSON_CreateObject())};
	int r = read_request(ctl, argc, argv, &q);

	if (r == 0)
		r = q.dry_run ? plan(ctl, &q) : start(ctl, &q);
	cJSON_Delete(q.parameters);
	return r;
}

int cmd_run(struct ctl *ctl, int argc, char **argv)
{
	return run(ctl, argc, argv, false);
}

int cmd_plan(struct ctl *ctl, int argc, char **argv)
{
	return run(ctl, argc, argv, true);
}
