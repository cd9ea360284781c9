/* SPDX-License-Identifier: Apache-2.0 */
/* host:command: a program of the operator's, out of one directory, says whether all is well: status
 * 0, or another one and, on the first line of its output, why. It is given nothing: no arguments,
 * no environment, no descriptors but /dev/null and the pipe. Its priority stays ours, for the CPU
 * may be what a fault takes; the OOM killer takes it first. It is looked at and started in a
 * thread: the disk it is on may be what a fault holds up. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiment/probe_program.h"
#include "experiment/probe_rounds.h"
#include "plan/policy.h"
#include "util/cleanup.h"
#include "util/duration.h"
#include "util/log.h"
#include "util/proc.h"
#include "util/spawn.h"
#include "util/str.h"

#define OUTPUT_MAX   200
#define KILL_WAIT_MS 1000
#define NAME_WANTED  "the name of a program in fis.probeDir, without slashes"

struct command_params {
	char name[128];
	uint64_t period_ms, timeout_ms;
	int unreadable;
};

static const struct row rows[] = {
	{.name = "name",
	 .type = ROW_STRING,
	 FIELD_STRING(struct command_params, name),
	 .required = true,
	 .text = "The program, in the directory that the configuration names (fis.probeDir)."},
	{.name = "period",
	 .type = ROW_DURATION,
	 FIELD(struct command_params, period_ms),
	 .def = "5s",
	 .min = 100,
	 .max = 3600000,
	 .text = "How often it is run."},
	{.name = "timeout",
	 .type = ROW_DURATION,
	 FIELD(struct command_params, timeout_ms),
	 .def = "2s",
	 .min = 10,
	 .max = PROBE_TIMEOUT_MAX_MS,
	 .text = "How long it may take; then it is killed, and nothing is known."},
	PROBE_UNREADABLE_ROW(struct command_params, unreadable),
};

struct command_state {
	struct rounds rounds; /* its timer is the timeout while a round is asking */
	char directory[256], path[512];
	/* The thread's, while it starts the program */
	uv_work_t work;
	bool starting;
	int pipe_fd;   /* where the program writes to */
	pid_t pid;     /* 0: none, or it could not be killed and is left alone */
	char why[320]; /* none was started; "" */
	/* The program that runs */
	int pidfd, output_fd;
	uv_poll_t exit, output;
	unsigned polls;  /* not closed yet */
	bool killed;     /* or to be killed as soon as it has been started */
	bool stop_waits; /* for the end of the round */
	char line[OUTPUT_MAX];
	size_t length;
};

static int check(const void *from, struct error *e)
{
	const struct command_params *c = from;

	if (strchr(c->name, '/') || c->name[0] == '.')
		return error_field(e, "name", c->name, NAME_WANTED, "%s is not that", c->name);
	return 0;
}

/* Of its output the first line is kept; the rest is read so that nobody waits for us. */
static void keep_line(struct command_state *s, const char *from, size_t n)
{
	for (size_t i = 0; i < n && s->length < sizeof(s->line) - 1; i++) {
		if (s->length > 0 && s->line[s->length - 1] == '\n')
			return;
		s->line[s->length++] = from[i];
	}
}

/* What is there now, a pipe's worth at most: there may be more where that comes from. */
static bool read_output(struct command_state *s)
{
	char some[4096];
	ssize_t n = 1;

	for (int i = 0; i < 16 && n > 0; i++) {
		n = read(s->output_fd, some, sizeof(some));
		if (n > 0)
			keep_line(s, some, (size_t)n);
	}
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_output(uv_poll_t *poll, int status, int events)
{
	struct command_state *s = poll->data;

	if (status < 0 || !read_output(s))
		(void)uv_poll_stop(poll);
}

static void end_round(struct command_state *s)
{
	rounds_answered(&s->rounds);
	if (s->stop_waits)
		rounds_stop(&s->rounds);
}

/* The round ends when all that is open is closed. */
static void on_poll_closed(uv_handle_t *h)
{
	struct command_state *s = h->data;

	if (--s->polls > 0)
		return;
	if (s->pidfd >= 0)
		(void)close(s->pidfd);
	(void)close(s->output_fd);
	end_round(s);
}

static void close_polls(struct command_state *s)
{
	uv_close((uv_handle_t *)&s->output, on_poll_closed);
	if (s->pidfd >= 0)
		uv_close((uv_handle_t *)&s->exit, on_poll_closed);
}

static void judge(struct command_state *s, int status)
{
	struct probe *p = s->rounds.p;
	const struct command_params *c = p->params;
	char timeout[32];
	struct text t = TEXT(timeout);

	s->line[s->length] = '\0';
	s->line[strcspn(s->line, "\n")] = '\0';
	if (s->killed) {
		duration_print(c->timeout_ms, &t);
		probe_cannot_read(p, "%s: not done within %s, killed", s->path, timeout);
	} else if (WIFSIGNALED(status)) {
		probe_cannot_read(p, "%s: killed by %s", s->path, signal_name(WTERMSIG(status)));
	} else if (WEXITSTATUS(status) == 0) {
		probe_tell(p, PROBE_FINE, "%s: %s", c->name, s->line);
	} else if (s->line[0]) {
		probe_tell(p, PROBE_FIRED, "%s: %s", c->name, s->line);
	} else {
		probe_tell(p, PROBE_FIRED, "%s: status %d", c->name, WEXITSTATUS(status));
	}
}

/* Whatever it has left behind goes with it: until it is waited for, its number is that of its
 * group. */
static void on_exit_of(uv_poll_t *poll, int poll_status, int events)
{
	struct command_state *s = poll->data;
	int status = 0;
	pid_t pid;

	(void)kill(-s->pid, SIGKILL);
	pid = waitpid(s->pid, &status, WNOHANG);
	if (pid == 0)
		return;
	s->pid = 0;
	(void)uv_timer_stop(&s->rounds.timer);
	(void)read_output(s);
	if (pid > 0)
		judge(s, status);
	else
		probe_cannot_read(s->rounds.p, "%s: how it ended was not seen", s->path);
	close_polls(s);
}

/* One that does not die of it waits for the kernel: nobody waits for that. */
static void on_kill_timeout(uv_timer_t *timer)
{
	struct rounds *r = timer->data;
	struct command_state *s = r->p->state;

	log_warning("host:command: %s (pid %d) cannot be killed, leaving it alone", s->path,
		    (int)s->pid);
	s->pid = 0;
	probe_cannot_read(r->p, "%s: cannot be killed", s->path);
	close_polls(s);
}

static void kill_it(struct command_state *s)
{
	s->killed = true;
	(void)kill(-s->pid, SIGKILL);
	(void)uv_timer_start(&s->rounds.timer, on_kill_timeout, KILL_WAIT_MS, 0);
}

static void on_timeout(uv_timer_t *timer)
{
	struct rounds *r = timer->data;
	struct command_state *s = r->p->state;

	if (s->starting) {
		s->killed = true;
		probe_cannot_read(r->p, "%s: its disk does not answer", s->path);
	} else {
		kill_it(s);
	}
}

/* The first that the OOM killer takes, not us. Anyone may raise the score. */
static void offer_to_oom(pid_t pid)
{
	char path[64];
	_cleanup_close_ int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1000", 4) < 0)
		log_debug("host:command: %s: %s, ignoring", path, strerror(errno));
}

/* A pidfd with a poll on it. Returns 0 or a negative errno. */
static int watch_exit(struct command_state *s)
{
	struct proc_stat st;
	int r = proc_stat_read(s->pid, &st);

	if (r == 0)
		r = proc_open(s->pid, st.start);
	if (r < 0)
		return r;
	s->pidfd = r;
	r = uv_poll_init(s->rounds.timer.loop, &s->exit, s->pidfd);
	if (r == 0) {
		s->polls++;
		s->exit.data = s;
		return uv_poll_start(&s->exit, UV_READABLE, on_exit_of);
	}
	(void)close(s->pidfd);
	s->pidfd = -1;
	return r;
}

/* In a thread. */
static void start_program(uv_work_t *work)
{
	struct command_state *s = work->data;
	char *argv[] = {s->path, NULL};
	struct text why = TEXT(s->why);
	int r;

	if (!probe_program_is_trusted(s->directory, s->path, &why))
		return;
	r = spawn_program(s->path, argv, SPAWN_STRANGER, -1, s->pipe_fd, &s->pid);
	if (r == 0)
		return;
	s->pid = 0;
	text_add(&why, "%s: %s", s->path, strerror(-r));
}

/* Kills again what cannot be watched. */
static void give_up(struct command_state *s, int r)
{
	(void)kill(-s->pid, SIGKILL);
	(void)waitpid(s->pid, NULL, WNOHANG);
	s->pid = 0;
	(void)uv_timer_stop(&s->rounds.timer);
	probe_cannot_read(s->rounds.p, "%s: %s", s->path, strerror(-r));
	close_polls(s);
}

static void on_started(uv_work_t *work, int status)
{
	struct command_state *s = work->data;
	int r;

	s->starting = false;
	(void)close(s->pipe_fd);
	if (!s->pid) {
		(void)uv_timer_stop(&s->rounds.timer);
		if (!s->killed)
			probe_cannot_read(s->rounds.p, "%s", s->why);
		close_polls(s);
		return;
	}
	offer_to_oom(s->pid);
	r = watch_exit(s);
	if (r < 0)
		give_up(s, r);
	else if (s->killed)
		kill_it(s);
}

/* The pipe it writes to, its end to be closed by the caller. Returns 0 or a negative errno. */
static int open_output(struct command_state *s)
{
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r = uv_poll_init(s->rounds.timer.loop, &s->output, fds[0]); /* it does not block then */
	if (r < 0) {
		(void)close(fds[0]);
		(void)close(fds[1]);
		return r;
	}
	s->output_fd = fds[0];
	s->output.data = s;
	s->polls = 1;
	s->pipe_fd = fds[1];
	return uv_poll_start(&s->output, UV_READABLE, on_output);
}

static void ask(struct probe *p)
{
	struct command_state *s = p->state;
	const struct command_params *c = p->params;
	int r;

	s->killed = false;
	s->length = 0;
	s->pidfd = -1;
	s->why[0] = '\0';
	r = open_output(s);
	if (r < 0) {
		probe_cannot_read(p, "%s: %s", s->path, strerror(-r));
		end_round(s);
		return;
	}
	s->starting = true;
	(void)uv_queue_work(p->env->loop, &s->work, start_program, on_started);
	(void)uv_timer_start(&s->rounds.timer, on_timeout, c->timeout_ms, 0);
}

static int start(struct probe *p, struct error *e)
{
	const struct command_params *c = p->params;
	struct command_state *s = calloc(1, sizeof(*s));

	if (!s)
		return error_set(e, ERROR_FAILED, -ENOMEM, "host:command: out of memory");
	str_copy(s->directory, sizeof(s->directory), p->env->policy->fis.probe_dir);
	(void)snprintf(s->path, sizeof(s->path), "%s/%s", s->directory, c->name);
	s->work.data = s;
	p->state = s;
	rounds_start(&s->rounds, p, c->period_ms, ask);
	return 0;
}

/* What runs, or will in a moment, is killed, and the timer, which waits for its end, is closed
 * after that. */
static void stop(struct probe *p)
{
	struct command_state *s = p->state;

	if (s->starting) {
		s->killed = true;
		(void)uv_timer_stop(&s->rounds.timer);
		(void)uv_cancel((uv_req_t *)&s->work);
	} else if (s->pid) {
		kill_it(s);
	}
	if (s->rounds.asking)
		s->stop_waits = true;
	else
		rounds_stop(&s->rounds);
}

const struct probe_type probe_type_command = {
	.source = "host:command",
	.description = "A program out of fis.probeDir says that something is wrong.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct command_params),
	.check = check,
	.start = start,
	.stop = stop,
};
