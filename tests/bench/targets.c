/* SPDX-License-Identifier: Apache-2.0 */
/* The hands of targets.py: a host full of sleeping processes, and the clock beside those who look
 * for one of them. Prints a line a measurement: CASE, nanoseconds, nanoseconds of CPU, how many
 * were found.
 *
 * The benchmark itself and what it descends from are always among what is found.
 * The cases that begin with "floor" do the system calls alone, as often as there are processes:
 * listing /proc; one fstatat(); open, read and close of one small file.
 */
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/processes.h"

#define CROWD_MAX 20000
#define NEEDLE    "needle"
#define USER      65534 /* nobody */

static pid_t crowd[CROWD_MAX];
static int n_crowd;

static void lie_down(pid_t parent, char *command, int is_needle)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	prctl(PR_SET_NAME, is_needle ? NEEDLE : "hay");
	if (is_needle) {
		snprintf(command, strlen(command) + 1, "%s", NEEDLE);
		if (setuid(USER) < 0)
			_exit(1);
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* setuid() forgets it */
	}
	for (;;)
		pause();
}

static void gather(int n, char *command)
{
	pid_t parent = getpid();

	for (n_crowd = 0; n_crowd < n; n_crowd++) {
		crowd[n_crowd] = fork();
		if (crowd[n_crowd] < 0) {
			warn("only %d processes", n_crowd);
			return;
		}
		if (crowd[n_crowd] == 0)
			lie_down(parent, command, n_crowd == n / 2);
	}
}

static void dismiss(void)
{
	for (int i = 0; i < n_crowd; i++)
		kill(crowd[i], SIGKILL);
	for (int i = 0; i < n_crowd; i++)
		waitpid(crowd[i], NULL, 0);
}

static int count_list(struct process_list *list)
{
	int n = (int)list->n;

	process_list_done(list);
	return n;
}

static int read_all(int commands)
{
	struct process_list list;

	if (process_list_read(commands, &list) < 0)
		errx(1, "cannot read /proc");
	return count_list(&list);
}

static int all(void)
{
	return read_all(0);
}

static int all_commands(void)
{
	return read_all(1);
}

static int read_some(const struct process_filter *criteria)
{
	struct process_filter filter = *criteria;
	struct process_list list;

	filter.and_above = getpid(); /* as for a caller */
	if (process_list_read_some(&filter, &list) < 0)
		errx(1, "cannot read /proc");
	return count_list(&list);
}

static bool matches(const char *command, void *regex)
{
	return regexec(regex, command, 0, NULL, 0) == 0;
}

static int by_pattern(const char *pattern)
{
	struct process_filter filter = {.command_fits = matches};
	regex_t regex;
	int n;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		errx(1, "no pattern: %s", pattern);
	filter.arg = &regex;
	n = read_some(&filter);
	regfree(&regex);
	return n;
}

static int name_of_one(void)
{
	return read_some(&(struct process_filter){.name = NEEDLE});
}

static int name_of_all(void)
{
	return read_some(&(struct process_filter){.name = "hay"});
}

static int user_of_one(void)
{
	return read_some(&(struct process_filter){.user = &(uid_t){USER}});
}

static int user_of_all(void)
{
	return read_some(&(struct process_filter){.user = &(uid_t){0}});
}

static int user_and_name(void)
{
	return read_some(&(struct process_filter){.user = &(uid_t){USER}, .name = NEEDLE});
}

static int pattern_of_one(void)
{
	return by_pattern("^" NEEDLE);
}

static int pid_of_one(void)
{
	return read_some(&(struct process_filter){.pid = &crowd[n_crowd / 2], .n_pids = 1});
}

static int pids_of_100(void)
{
	return read_some(&(struct process_filter){.pid = crowd, .n_pids = 100});
}

static int floor_of(const char *file)
{
	DIR *dir = opendir("/proc");
	int n = 0;

	for (struct dirent *d = readdir(dir); d; d = readdir(dir)) {
		char path[300], buffer[4096];
		struct stat st;
		int fd;

		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		n++;
		if (!file)
			continue;
		if (!file[0]) {
			(void)fstatat(dirfd(dir), d->d_name, &st, 0);
			continue;
		}
		snprintf(path, sizeof(path), "%s/%s", d->d_name, file);
		fd = openat(dirfd(dir), path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		(void)!read(fd, buffer, sizeof(buffer));
		close(fd);
	}
	closedir(dir);
	return n;
}

static int floor_list(void)
{
	return floor_of(NULL);
}

static int floor_stat(void)
{
	return floor_of("");
}

static int floor_comm(void)
{
	return floor_of("comm");
}

static int floor_cmdline(void)
{
	return floor_of("cmdline");
}

static int floor_proc_stat(void)
{
	return floor_of("stat");
}

static const struct {
	const char *name;
	int (*run)(void);
} cases[] = {
	{"all", all},
	{"all, with command lines", all_commands},
	{"name, of one", name_of_one},
	{"name, of all", name_of_all},
	{"user, of one", user_of_one},
	{"user, of all", user_of_all},
	{"user and name, of one", user_and_name},
	{"pattern, of one", pattern_of_one},
	{"pid", pid_of_one},
	{"pids, 100 of them", pids_of_100},
	{"floor: list /proc", floor_list},
	{"floor: and fstatat() each", floor_stat},
	{"floor: and read comm of each", floor_comm},
	{"floor: and read cmdline of each", floor_cmdline},
	{"floor: and read stat of each", floor_proc_stat},
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
	int n = argc == 3 ? atoi(argv[1]) : 0, rounds = argc == 3 ? atoi(argv[2]) : 0;

	if (n < 1 || n > CROWD_MAX || rounds < 1)
		errx(1, "usage: targets PROCESSES ROUNDS");
	gather(n, argv[0]);
	for (int round = 0; round < rounds; round++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			uint64_t start = now_ns(CLOCK_MONOTONIC);
			uint64_t cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
			int found = cases[i].run();

			cpu = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
			printf("%s\t%llu\t%llu\t%d\n", cases[i].name,
			       (unsigned long long)(now_ns(CLOCK_MONOTONIC) - start),
			       (unsigned long long)cpu, found);
		}
	}
	dismiss();
	return 0;
}
