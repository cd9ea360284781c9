/* SPDX-License-Identifier: Apache-2.0 */
/* host:process: the processes of this host, but for kernel threads and faultd's own. */
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "actions/select.h"
#include "experiment/resource_types.h"
#include "host/processes.h"

#define PATTERN_MAX 256 /* as an action's own */

static const char *refuse_name(const char *value)
{
	return strlen(value) > 15 ? "a process's name has at most 15 characters" : NULL;
}

static const char *refuse_pattern(const char *value)
{
	struct error e = {0};

	if (strlen(value) >= PATTERN_MAX)
		return "at most 255 characters are allowed";
	return select_check_pattern("", value, &e) < 0
		       ? "it is no extended regular expression without {} and back-references"
		       : NULL;
}

static const struct resource_parameter rows[] = {
	{.name = "name",
	 .refuse = refuse_name,
	 .description =
		 "Processes of exactly this name (the first 15 characters, as in ps -o comm)"},
	{.name = "pattern",
	 .refuse = refuse_pattern,
	 .description =
		 "Processes whose command line matches this extended regular expression (without {} and "
		 "back-references)"},
	{.name = "user",
	 .description = "Processes of this user, a name of /etc/passwd or a number"},
	{0},
};

/* Kernel threads, faultd, its guardian and their workers; what is dead already. */
static bool is_left_out(const struct process *p)
{
	return p->kernel_thread || p->state == 'Z' || p->state == 'X' || p->pid == getpid() ||
	       p->ppid == getpid() || str_starts(p->name, "faultd") || str_eq(p->name, "faultctl");
}

/* Command lines are not among them: reading them takes as long as all the rest, and `pattern` is
 * for them. */
static bool describe(cJSON *to, const struct process *p)
{
	const char state[] = {p->state, '\0'};

	return resource_set_number(to, "Pid", p->pid) &&
	       resource_set_number(to, "ParentPid", p->ppid) &&
	       resource_set_number(to, "Uid", p->uid) &&
	       resource_set_number(to, "StartTicks", (double)p->start) &&
	       resource_set(to, "Name", p->name) && resource_set(to, "State", state);
}

static int add_process(const struct process *p, const struct identity *id,
		       struct resource_list *ret, struct error *e)
{
	char arn[ARN_MAX], pid[16];
	struct resource *r;
	int result;

	(void)snprintf(pid, sizeof(pid), "%d", (int)p->pid);
	result = resource_add(ret, identity_host_arn(id, "process", pid, arn), pid, &r, e);
	if (r && result == 0 && !describe(r->properties, p))
		result = resource_no_memory(e);
	return result;
}

static bool command_fits(const char *command, void *regex)
{
	return regexec(regex, command, 0, NULL, 0) == 0;
}

static int read_processes(const cJSON *parameters, struct process_list *ret, struct error *e)
{
	const char *user = resource_parameter(parameters, "user");
	const char *pattern = resource_parameter(parameters, "pattern");
	struct process_filter filter = {.name = resource_parameter(parameters, "name")};
	uid_t uid;
	regex_t regex;
	int r;

	if (user[0] && user_lookup(user, &uid) < 0)
		return error_field(e, "parameters.user", user, "a name of /etc/passwd or a number",
				   "no user %s", user);
	filter.user = user[0] ? &uid : NULL;
	if (pattern[0]) {
		r = select_check_pattern("parameters.pattern", pattern, e);
		if (r < 0)
			return r;
		if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
			return resource_no_memory(e);
		filter.command_fits = command_fits;
		filter.arg = &regex;
	}
	r = process_list_read_some(&filter, ret);
	if (pattern[0])
		regfree(&regex);
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot read /proc: %s", strerror(-r)) : 0;
}

static int find(const cJSON *parameters, const struct identity *id, struct resource_list *ret,
		struct error *e)
{
	__attribute__((cleanup(process_list_done))) struct process_list list = {0};
	int r = read_processes(parameters, &list, e);

	for (size_t i = 0; i < list.n && r == 0; i++) {
		if (!is_left_out(&list.process[i]))
			r = add_process(&list.process[i], id, ret, e);
	}
	return r;
}

const struct resource_type resource_host_process = {
	.name = "host:process",
	.description = "The processes of this host, but for kernel threads and faultd's own",
	.parameters = rows,
	.has_arns = true,
	.fault_parameter = "pid",
	.together = true,
	.find = find,
};
