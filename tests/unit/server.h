/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/cloud_server.py as a child: started and stopped with a group of tests. */
#ifndef FAULTD_TESTS_UNIT_SERVER_H
#define FAULTD_TESTS_UNIT_SERVER_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	pid_t pid;
	int its_input;
	unsigned port, tls_port; /* tls_port: 0 where no certificate can be made */
} server;

static inline int start_server(void **state)
{
	int in[2], out[2];
	char text[32] = "", *end = text;
	FILE *said;

	if (pipe(in) < 0 || pipe(out) < 0)
		return -1;
	(void)fcntl(in[1], F_SETFD, FD_CLOEXEC);
	server.pid = fork();
	if (server.pid == 0) {
		(void)dup2(in[0], STDIN_FILENO);
		(void)dup2(out[1], STDOUT_FILENO);
		(void)execlp("python3", "python3", CLOUD_SERVER, NULL);
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	server.its_input = in[1];
	said = fdopen(out[0], "r");
	if (server.pid < 0 || !said || !fgets(text, sizeof(text), said))
		return -1;
	(void)fclose(said);
	server.port = (unsigned)strtoul(text, &end, 10);
	server.tls_port = (unsigned)strtoul(end, NULL, 10);
	(void)signal(SIGPIPE, SIG_IGN); /* as faultd does */
	return server.port ? 0 : -1;
}

static inline int stop_server(void **state)
{
	(void)close(server.its_input);
	return waitpid(server.pid, NULL, 0) == server.pid ? 0 : -1;
}

/* Valid until it was asked for eight more. */
static inline const char *url_of(const char *path)
{
	static char url[8][256];
	static unsigned i;
	char *u = url[i++ % 8];

	(void)snprintf(u, sizeof(url[0]), "http://127.0.0.1:%u%s", server.port, path);
	return u;
}

#endif
