/* SPDX-License-Identifier: Apache-2.0 */
/* faultd: argv, and nothing else. */
#include <getopt.h>
#include <stdio.h>

#include "daemon.h"
#include "journald.h"
#include "util/log.h"
#include "util/str.h"

#define EXIT_USAGE 2

static const char help[] =
	"faultd: injects faults on this host, and always puts it back\n"
	"\n"
	"  --socket PATH        where the API listens (default RUNTIME-DIR/faultd.sock)\n"
	"  --runtime-dir DIR    journal and sockets, on tmpfs (default /run/faultd)\n"
	"  --state-dir DIR      what outlives a boot (default /var/lib/faultd)\n"
	"  --config FILE        policy (default /etc/faultd/faultd.json, which may be absent)\n"
	"  --log-level LEVEL    error, warning, notice, info or debug (default info)\n"
	"  --version, --help\n"
	"\n"
	"SIGTERM and SIGINT undo everything, then end. SIGHUP reads the policy again.\n"
	"Exit: 0 all undone, 1 could not start, 2 usage, 3 something was not undone yet.\n";

static int set_level(const char *name)
{
	int level = log_level_from_name(name);

	if (level < 0) {
		(void)fprintf(
			stderr,
			"faultd: --log-level: %s is not one of error, warning, notice, info, debug\n",
			name);
		return EXIT_USAGE;
	}
	log_set_level((enum log_level)level);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
						{"runtime-dir", required_argument, NULL, 'r'},
						{"state-dir", required_argument, NULL, 't'},
						{"config", required_argument, NULL, 'c'},
						{"log-level", required_argument, NULL, 'l'},
						{"version", no_argument, NULL, 'v'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct daemon_options o = {.runtime_dir = "/run/faultd",
				   .state_dir = "/var/lib/faultd",
				   .config = "/etc/faultd/faultd.json"};
	char socket[256];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == '?' || (c == 'l' && set_level(optarg) != 0))
			return EXIT_USAGE;
		if (c == 'h')
			return fputs(help, stdout) < 0;
		if (c == 'v')
			return puts("faultd " FAULTD_VERSION) < 0;
		if (c == 's')
			o.socket = optarg;
		else if (c == 'r')
			o.runtime_dir = optarg;
		else if (c == 't')
			o.state_dir = optarg;
		else if (c == 'c') {
			o.config = optarg;
			o.config_required = true;
		}
	}
	if (optind != argc) {
		(void)fprintf(stderr, "faultd: unexpected argument %s (see --help)\n",
			      argv[optind]);
		return EXIT_USAGE;
	}
	(void)snprintf(socket, sizeof(socket), "%s/faultd.sock", o.runtime_dir);
	if (!o.socket)
		o.socket = socket;
	journald_start();
	return daemon_run(&o);
}
