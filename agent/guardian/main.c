/* SPDX-License-Identifier: Apache-2.0 */
/* faultd-guardian: the undo program. Three callers, one code path: resident beside faultd
 * (--watch), after it or by hand (--all), and people who want to see (--list). */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <fcntl.h>
#include <unistd.h>

#include "guardian/watch.h"
#include "steps/replay.h"
#include "util/log.h"

#define EXIT_USAGE   2
#define EXIT_RUNNING 3
#define LOCK_WAIT_MS 5000

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const char help[] =
	"faultd-guardian: puts the host back when faultd cannot\n"
	"\n"
	"  faultd-guardian --watch   stay, and undo when faultd dies, hangs or is overdue\n"
	"  faultd-guardian --all     undo all that a dead faultd left, now\n"
	"  faultd-guardian --list    show what is open, change nothing\n"
	"\n"
	"  --runtime-dir DIR   where faultd keeps its journal (default /run/faultd)\n"
	"  --once              with --watch: end after the first faultd\n"
	"  --version, --help\n"
	"\n"
	"Exit: 0 all is undone, 1 something could not be undone or read, 2 usage,\n"
	"3 faultd is running and undoes its own faults (faultctl stop --all).\n";

/* Nothing that is broken on the host may keep us from undoing: no page that must be read from disk,
 * no memory to wait for, no queue behind busy processes, last choice of the OOM killer. */
static void lock_down(void)
{
	static const char last[] = "-1000";
	const struct sched_param realtime = {.sched_priority = 1};
	char stack[64 * 1024];
	int fd;

	if (!SANITIZED && mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		log_info("cannot lock memory: %s; going on without", strerror(errno));
	memset(stack, 0, sizeof(stack));
	__asm__ volatile("" : : "r"(stack) : "memory"); /* the stack is now there, and stays */
	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &realtime) < 0 &&
	    setpriority(PRIO_PROCESS, 0, -20) < 0)
		log_info("cannot raise the priority: %s; going on without", strerror(errno));
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, last, strlen(last)) < 0)
		log_info("cannot lower the OOM score: %s; going on without", strerror(errno));
	if (fd >= 0)
		(void)close(fd);
}

static int run_watch(const char *runtime_dir, bool once)
{
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	lock_down();
	r = watch(runtime_dir, once);
	if (r < 0)
		log_error("cannot watch faultd at %s: %s", runtime_dir, strerror(-r));
	return r != 0;
}

static int run_all(const char *runtime_dir)
{
	int dirfd = journal_dir_open(runtime_dir, false), r;

	if (dirfd == -ENOENT)
		return 0;
	if (dirfd < 0) {
		log_error("cannot open %s/journal: %s", runtime_dir, strerror(-dirfd));
		return 1;
	}
	r = undo_all(dirfd, LOCK_WAIT_MS, false);
	if (r == -EWOULDBLOCK) {
		log_error("faultd is running and undoes its own faults: faultctl stop --all");
		return EXIT_RUNNING;
	}
	if (r < 0)
		log_error("cannot undo: %s", strerror(-r));
	return r != 0;
}

static int run_list(const char *runtime_dir)
{
	int dirfd = journal_dir_open(runtime_dir, false), r;

	if (dirfd == -ENOENT)
		return 0;
	r = dirfd < 0 ? dirfd : replay_list(dirfd);
	if (r < 0)
		log_error("cannot read %s/journal: %s", runtime_dir, strerror(-r));
	return r != 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"watch", no_argument, NULL, 'w'}, {"all", no_argument, NULL, 'a'},
		{"list", no_argument, NULL, 'l'},  {"runtime-dir", required_argument, NULL, 'r'},
		{"once", no_argument, NULL, 'o'},  {"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},  {0}};
	const char *runtime_dir = "/run/faultd";
	bool once = false;
	int c, mode = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == '?')
			return EXIT_USAGE;
		if (c == 'h')
			return fputs(help, stdout) < 0;
		if (c == 'v')
			return puts("faultd-guardian " FAULTD_VERSION) < 0;
		if (c == 'r')
			runtime_dir = optarg;
		else if (c == 'o')
			once = true;
		else if (mode && mode != c)
			mode = '?';
		else
			mode = c;
	}
	if (optind != argc || mode == 0 || mode == '?') {
		(void)fputs("faultd-guardian: give one of --watch, --all, --list (see --help)\n",
			    stderr);
		return EXIT_USAGE;
	}
	return mode == 'w'   ? run_watch(runtime_dir, once)
	       : mode == 'a' ? run_all(runtime_dir)
			     : run_list(runtime_dir);
}
