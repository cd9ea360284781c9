/* SPDX-License-Identifier: Apache-2.0 */
/* faultd-load from faultd's side: it ties itself to faultd (parent-death signal) and to the
 * deadline; here it is started, heard of and watched for its first word. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "steps/kinds.h"
#include "util/cleanup.h"
#include "util/proc.h"
#include "util/spawn.h"

#define ARGUMENTS_MAX  48
#define WORKER_WAIT_MS 20 /* what is longer (memory to be freed) is waited for by the loop */

struct arguments {
	char load[sizeof(((struct step_child *)0)->load)];
	char deadline[24], start[24], parent[16];
	char *argv[ARGUMENTS_MAX];
};

static void fill_argv(struct arguments *a, const char *load, const struct step_env *env)
{
	char *ties[] = {(char *)"--deadline-boot-ns", a->deadline,
			(char *)"--start-boot-ns",    a->start,
			(char *)"--parent",           a->parent};
	size_t n = 0;

	(void)str_copy(a->load, sizeof(a->load), load);
	(void)snprintf(a->deadline, sizeof(a->deadline), "%" PRIu64, env->deadline_boot_ns);
	(void)snprintf(a->start, sizeof(a->start), "%" PRIu64, env->start_boot_ns);
	(void)snprintf(a->parent, sizeof(a->parent), "%d", (int)getpid());
	a->argv[n++] = (char *)"faultd-load";
	for (char *save = NULL, *word = strtok_r(a->load, " ", &save);
	     word && n < ARGUMENTS_MAX - ARRAY_SIZE(ties) - 1; word = strtok_r(NULL, " ", &save)) {
		step_load_decode(word);
		a->argv[n++] = word;
	}
	for (size_t i = 0; i < ARRAY_SIZE(ties); i++)
		a->argv[n++] = ties[i];
	a->argv[n] = NULL;
}

/* The page cannot be made smaller, so reading it can never fault. */
static int make_report(struct load_report **ret)
{
	_cleanup_close_ int fd = memfd_create("faultd-report", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *page;

	if (fd < 0 || ftruncate(fd, LOAD_REPORT_SIZE) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	page = mmap(NULL, LOAD_REPORT_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	*ret = page;
	return steal_fd(&fd);
}

/* Returns the pid, or a negative errno. */
static pid_t spawn(const char *load, const struct step_env *env, int report_fd, int *ret_ready_fd)
{
	struct arguments a;
	int ready[2], r;
	pid_t pid = -1;

	if (pipe2(ready, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	fill_argv(&a, load, env);
	r = spawn_program(env->load_path, a.argv, SPAWN_OWN_GROUP, report_fd, ready[1], &pid);
	(void)close(ready[1]);
	if (r < 0) {
		(void)close(ready[0]);
		return r;
	}
	*ret_ready_fd = ready[0] + 1;
	return pid;
}

int worker_start(const char *load, const struct step_env *env, uint64_t *ret_pid,
		 uint64_t *ret_start, int *ret_ready_fd, struct load_report **report,
		 struct error *e)
{
	_cleanup_close_ int report_fd = report ? make_report(report) : -1;
	struct proc_stat st;
	pid_t pid = report && report_fd < 0 ? report_fd : spawn(load, env, report_fd, ret_ready_fd);
	int r;

	if (pid <= 0)
		return error_set(e, ERROR_FAILED, pid < 0 ? pid : -EIO, "cannot run %s: %s",
				 env->load_path, strerror(-pid));
	r = proc_stat_read(pid, &st); /* ours and not waited for: it cannot be gone */
	if (r < 0) {
		/* Not waited for, so the pid is still its own. */
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return error_set(e, ERROR_FAILED, r, "cannot read /proc/%d/stat: %s", (int)pid,
				 strerror(-r));
	}
	*ret_pid = (uint64_t)pid;
	*ret_start = st.start;
	return 0;
}

static void close_ready(int *ready_fd)
{
	if (*ready_fd)
		(void)close(*ready_fd - 1);
	*ready_fd = 0;
}

int worker_settle(int *ready_fd, const char *load, struct error *e)
{
	char line[256];
	ssize_t n;

	if (*ready_fd == 0)
		return 0;
	n = read(*ready_fd - 1, line, sizeof(line) - 1);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	close_ready(ready_fd);
	if (n <= 0)
		return error_set(e, ERROR_FAILED, -EPIPE,
				 "a worker ended before it began (faultd-load %s)", load);
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (str_eq(line, LOAD_READY))
		return 0;
	str_make_line(line);
	return error_set(e, ERROR_FAILED, -EIO, "a worker could not begin: %s", line);
}

int child_apply(struct step *s, const struct step_env *env, struct error *e)
{
	struct load_report *report = NULL;
	int ready_fd = 0;
	int r = worker_start(s->child.load, env, &s->child.pid, &s->child.start, &ready_fd, &report,
			     e);

	s->child.ready_fd = ready_fd;
	s->child.report = report;
	return r < 0 ? r : 1;
}

int child_settle(struct step *s, const struct step_env *env, struct error *e)
{
	int r = worker_settle(&s->child.ready_fd, s->child.load, e);

	/* Its end was seen: what it said before is no longer true. */
	if (r == 0 && s->child.pid == 0)
		return error_set(e, ERROR_FAILED, -EPIPE,
				 "a worker ended as soon as it had begun (faultd-load %s)",
				 s->child.load);
	return r;
}

/* What it had counted is kept for the result. */
static void release(struct step_child *c)
{
	close_ready(&c->ready_fd);
	if (!c->report)
		return;
	for (size_t i = 0; i < _LOAD_COUNTER_MAX; i++)
		c->counted[i] = atomic_load_explicit(&c->report->counter[i], memory_order_relaxed);
	(void)munmap(c->report, LOAD_REPORT_SIZE);
	c->report = NULL;
}

int child_undo(struct step *s, const struct step_env *env, struct text *note)
{
	release(&s->child);
	return worker_kill(&s->child.pid, s->child.start, WORKER_WAIT_MS);
}
