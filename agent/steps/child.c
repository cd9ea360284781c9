/* SPDX-License-Identifier: Apache-2.0 */
/* A faultd-load worker. It ties itself to faultd (parent-death signal) and to the deadline; here it
 * is started, and killed by pidfd. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/proc.h"
#include "util/spawn.h"

#define ARGUMENTS_MAX 24
#define KILL_WAIT_MS  2000

/* Splits `load` in place and appends the ties. */
static void fill_argv(char *load, char *deadline, char *parent, char **argv)
{
	size_t n = 0;

	argv[n++] = (char *)"faultd-load";
	for (char *save = NULL, *word = strtok_r(load, " ", &save); word && n < ARGUMENTS_MAX - 5;
	     word = strtok_r(NULL, " ", &save))
		argv[n++] = word;
	argv[n++] = (char *)"--deadline-boot-ns";
	argv[n++] = deadline;
	argv[n++] = (char *)"--parent";
	argv[n++] = parent;
	argv[n] = NULL;
}

int child_apply(struct step *s, const struct step_env *env, struct error *e)
{
	char load[sizeof(s->child.load)], deadline[24], parent[16];
	char *argv[ARGUMENTS_MAX];
	struct proc_stat st;
	pid_t pid;
	int r;

	(void)str_copy(load, sizeof(load), s->child.load);
	(void)snprintf(deadline, sizeof(deadline), "%" PRIu64, env->deadline_boot_ns);
	(void)snprintf(parent, sizeof(parent), "%d", (int)getpid());
	fill_argv(load, deadline, parent, argv);
	r = spawn_program(env->load_path, argv, SPAWN_OWN_GROUP, &pid);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "cannot run %s: %s", env->load_path,
				 strerror(-r));
	s->child.pid = (uint64_t)pid;
	r = proc_stat_read(pid, &st); /* ours and not waited for: it cannot be gone */
	if (r < 0) {
		/* Not waited for, so the pid is still its own. */
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		s->child.pid = 0;
		return error_set(e, ERROR_FAILED, r, "cannot read /proc/%d/stat: %s", (int)pid,
				 strerror(-r));
	}
	s->child.start = st.start;
	return 1;
}

int child_undo(struct step *s, struct text *note)
{
	_cleanup_close_ int pidfd = -1;
	int r;

	if (s->child.pid == 0)
		return 0; /* never ran, or its end was seen; an unseen child dies of its parent's
			     death */
	pidfd = proc_open((pid_t)s->child.pid, s->child.start);
	if (pidfd == -ESRCH) {
		(void)waitpid((pid_t)s->child.pid, NULL, WNOHANG);
		s->child.pid = 0;
		return 0;
	}
	if (pidfd < 0)
		return pidfd;
	r = proc_signal(pidfd, SIGKILL);
	if (r < 0 && r != -ESRCH)
		return r;
	r = proc_wait_exit(pidfd, KILL_WAIT_MS);
	if (r <= 0)
		return r < 0 ? r : -ETIMEDOUT;
	/* Another faultd's orphan is not ours to wait for: ECHILD. */
	(void)waitpid((pid_t)s->child.pid, NULL, WNOHANG);
	s->child.pid = 0;
	return 0;
}
