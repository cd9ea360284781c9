/* SPDX-License-Identifier: Apache-2.0 */
#include "util/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <unistd.h>

static void add_file(posix_spawn_file_actions_t *files, int from, int to)
{
	if (from < 0)
		posix_spawn_file_actions_addopen(files, to, "/dev/null", O_RDWR, 0);
	else
		posix_spawn_file_actions_adddup2(files, from, to);
}

int spawn_program(const char *program, char **argv, enum spawn_place place, int in_fd, int out_fd,
		  pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	char *environment[] = {NULL};
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attributes);
	add_file(&files, in_fd, STDIN_FILENO);
	add_file(&files, out_fd, STDOUT_FILENO);
	if (place == SPAWN_STRANGER)
		add_file(&files, -1, STDERR_FILENO);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(
		&attributes,
		POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
			(place == SPAWN_OWN_GROUP ? POSIX_SPAWN_SETPGROUP : POSIX_SPAWN_SETSID));
	r = -posix_spawn(ret, program, &files, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return r;
}
