/* SPDX-License-Identifier: Apache-2.0 */
/* faultctl: the command table, the options every command has, and the set-up that all of them
 * rely on: standard descriptors that are open, signals that arrive on a descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/exit.h"
#include "ctl/http.h"
#include "ctl/out.h"
#include "ctl/params.h"

#define SOCKET_DEFAULT "/run/faultd/faultd.sock"

static command_fn cmd_help;

static const struct command {
	const char *name, *usage, *summary, *more;
	command_fn *run;
} commands[] = {
	{"run", "ACTION [--NAME VALUE]...", "start a fault, hold it to its end or Ctrl-C",
	 "  --duration TIME   how long: 500ms, 30s, 5m, 1h30m or PT5M\n"
	 "  --NAME VALUE      a parameter: 'faultctl run ACTION --help' lists them\n"
	 "  --dry-run         say what would be done, change nothing\n"
	 "  --detach          print the ID and leave; the fault ends at its deadline\n"
	 "  --lease TIME      undo unless renewed; while attached, faultctl renews it\n"
	 "  --id TOKEN        the same token starts one fault only [env SSM_COMMAND_ID]\n"
	 "  --yes             go on with what cannot be undone\n"
	 "\n"
	 "The fault is undone when faultctl ends, however it ends. Ctrl-C undoes it and\n"
	 "waits until the host is put back; a second one leaves without waiting.\n",
	 cmd_run},
	{"plan", "ACTION [--NAME VALUE]...", "say what run would do; change nothing", "", cmd_plan},
	{"list", "", "open faults, then the last finished ones", "", cmd_list},
	{"show", "ID", "everything about one fault", "", cmd_show},
	{"stop", "ID...|--all", "undo now, and wait until the host is put back", "", cmd_stop},
	{"watch", "", "every change of every fault, until Ctrl-C", "", cmd_watch},
	{"actions", "[NAME]", "what can be injected; of NAME the parameters", "", cmd_actions},
	{"experiment", "start|preview|...", "a template's actions on their targets",
	 "  start FILE|ID     start it and watch; Ctrl-C stops it\n"
	 "      --detach      print the ID and leave\n"
	 "      --tag N=V     tag the experiment\n"
	 "  preview FILE|ID   say what it would aim at; no action is run\n"
	 "  list              those that run, and those that ran\n"
	 "  show ID           its actions and targets\n"
	 "  watch ID          its actions on a line of time, to its end\n"
	 "  stop ID           stop it, and wait until the host is put back\n"
	 "  logs [-f] ID      its log, a JSON object a line; -f: to its end\n"
	 "\n"
	 "A FILE is an experiment template as AWS FIS has it, in JSON; \"-\" is stdin.\n",
	 cmd_experiment},
	{"template", "create|validate|...", "templates of experiments",
	 "  create FILE       keep it; prints its ID\n"
	 "  list              all there are\n"
	 "  show ID           one of them, as JSON\n"
	 "  delete ID         forget it; experiments that run go on\n"
	 "  validate FILE     say all that is wrong with it; keep nothing\n",
	 cmd_template},
	{"lever", "[engage|disengage WHY]", "end everything, and let nothing begin",
	 "  Without a word: how it stands.\n"
	 "  engage REASON     stop every experiment and every fault now, block new ones\n"
	 "  disengage REASON  let them begin again\n",
	 cmd_lever},
	{"recover", "", "stop all, try every stuck undo again now", "", cmd_recover},
	{"doctor", "", "what this host can and cannot do, and why", "", cmd_doctor},
	{"help", "[COMMAND|ACTION]", "help for a command or an action", "", cmd_help},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct {
	int code;
	const char *text;
} exits[] = {
#define EXIT_ROW(name, code, text) {code, text},
	EXIT_CODES(EXIT_ROW)
#undef EXIT_ROW
};

struct options {
	bool help, version, json;
	const char *socket;
};

int unexpected(const char *command, const char *argument)
{
	out_error("%s: unexpected \"%s\"; see 'faultctl help %.*s'", command, argument,
		  (int)strcspn(command, " "), command);
	return EXIT_USAGE;
}

static void print_help(void)
{
	printf("usage: faultctl [OPTION]... COMMAND ...\n"
	       "Inject faults into this host, watch them, and have them undone.\n\n");
	for (size_t i = 0; i < COMMANDS; i++) {
		int used = printf("  %s %s", commands[i].name, commands[i].usage);

		printf("%*s%s\n", used < 33 ? 33 - used : 1, "", commands[i].summary);
	}
	printf("\n"
	       "  --socket PATH  faultd's socket [env FAULTD_SOCKET] (" SOCKET_DEFAULT ")\n"
	       "  --json         print faultd's own JSON: an object, or one a line\n"
	       "  --version, --help\n"
	       "\n"
	       "Exit status:\n");
	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
		bool last = i % 3 == 2;

		printf("  %d %-*s%s", exits[i].code, last ? 0 : 24, exits[i].text,
		       last ? "\n" : "");
	}
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int command_help(const struct command *c)
{
	printf("usage: faultctl %s%s%s\n%s\n", c->name, *c->usage ? " " : "", c->usage, c->summary);
	if (*c->more)
		printf("\n%s", c->more);
	return EXIT_DONE;
}

static int cmd_help(struct ctl *ctl, int argc, char **argv)
{
	const struct command *c;

	if (argc > 2)
		return unexpected(argv[0], argv[2]);
	if (argc < 2) {
		print_help();
		return EXIT_DONE;
	}
	c = find_command(argv[1]);
	return c ? command_help(c) : action_help(ctl, argv[1]);
}

static int unknown_command(const char *name)
{
	const char *best = NULL;
	size_t distance = 0;

	for (size_t i = 0; i < COMMANDS; i++)
		nearest(name, commands[i].name, &best, &distance);
	if (best)
		out_error("unknown command \"%s\"; did you mean \"%s\"?", name, best);
	else
		out_error("unknown command \"%s\"; see 'faultctl --help'", name);
	return EXIT_USAGE;
}

/* Takes the global options out of argv, wherever they stand. Returns the new argc, or -1. */
static int take_options(int argc, char **argv, struct options *o)
{
	int kept = 1;

	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];

		if (strcmp(arg, "--json") == 0)
			o->json = true;
		else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
			o->help = true;
		else if (strcmp(arg, "--version") == 0 && kept == 1)
			o->version = true;
		else if (strncmp(arg, "--socket=", strlen("--socket=")) == 0)
			o->socket = arg + strlen("--socket=");
		else if (strcmp(arg, "--socket") != 0)
			argv[kept++] = argv[i];
		else if (i + 1 < argc)
			o->socket = argv[++i];
		else
			return -1;
	}
	argv[kept] = NULL;
	return kept;
}

/* A signal that was ignored from the start (nohup, background) stays so: blocked, it would be
 * delivered. */
static int open_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct sigaction old;

		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaddset(&set, numbers[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* A socket must not become a standard descriptor that is printed to. */
static void open_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int run_command(struct ctl *ctl, const struct options *o, int argc, char **argv)
{
	const struct command *c = argc > 1 ? find_command(argv[1]) : NULL;
	bool of_action =
		c && (c->run == cmd_run || c->run == cmd_plan) && argc > 2 && argv[2][0] != '-';

	if (o->help && of_action)
		return action_help(ctl, argv[2]);
	if (o->help && c && c->run != cmd_help)
		return command_help(c);
	if (c)
		return c->run(ctl, argc - 1, argv + 1);
	if (argc > 1)
		return unknown_command(argv[1]);
	if (o->help) {
		print_help();
		return EXIT_DONE;
	}
	out_error("which command? see 'faultctl --help'");
	return EXIT_USAGE;
}

static const char *find_socket(const struct options *o)
{
	const char *socket = o->socket ? o->socket : getenv("FAULTD_SOCKET");

	return socket && *socket ? socket : SOCKET_DEFAULT;
}

static int start(const struct options *o, int argc, char **argv)
{
	struct ctl ctl = {.socket = find_socket(o), .json = o->json};
	int r;

	if (strlen(ctl.socket) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		out_error("the path of the socket is too long: %s", ctl.socket);
		return EXIT_USAGE;
	}
	ctl.signal_fd = open_signals();
	ctl.http = ctl.signal_fd < 0 ? NULL : http_open(ctl.socket, ctl.signal_fd);
	if (!ctl.http) {
		out_error("cannot start: %s", strerror(errno));
		return EXIT_FAILED;
	}
	r = run_command(&ctl, o, argc, argv);
	http_close(ctl.http);
	close(ctl.signal_fd);
	return r;
}

/* Output that was lost is a failure, unless its reader chose to go. */
static int end_output(int code)
{
	int error = out_finish();

	if (error == 0 || error == EPIPE)
		return code;
	out_error("cannot write the output: %s", strerror(error));
	return code ? code : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct options o = {0};

	open_standard_fds();
	out_init();
	argc = take_options(argc, argv, &o);
	if (argc < 0) {
		out_error("--socket needs a value");
		return EXIT_USAGE;
	}
	if (o.version) {
		puts("faultctl " FAULTD_VERSION);
		return end_output(EXIT_DONE);
	}
	return end_output(start(&o, argc, argv));
}
