/* SPDX-License-Identifier: Apache-2.0 */
#include "fault/guardian_link.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faultd/guardian.h"
#include "faultd/limits.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/proc.h"
#include "util/spawn.h"
#include "util/str.h"

#define RESPAWN_MS      500
#define GOODBYE_MS      1000
#define SOCKET_PATH_MAX 108

struct guardian_link {
	struct guardian_callbacks callbacks;
	char runtime_dir[96];
	char socket_path[SOCKET_PATH_MAX];

	int listen_fd;
	uv_poll_t listen_poll;

	int fd; /* of the connection, or -1 */
	uv_poll_t *poll;
	pid_t pid; /* of the connected guardian */
	bool greeted;
	uint32_t number;
	bool armed;
	uv_timer_t beat;
	uint64_t last_beat_boot_ns;

	char program[256]; /* "": a supervisor runs it */
	pid_t child;
	int child_pidfd;
	uv_poll_t *child_poll;
	uv_timer_t respawn;
	bool stopping;
};

static void free_handle(uv_handle_t *h)
{
	free(h);
}

static int send_message(const struct guardian_link *g, uint32_t type, uint32_t number)
{
	const struct guardian_message m = {type, number};

	return send(g->fd, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static void lose(struct guardian_link *g)
{
	bool was = g->greeted;

	if (g->fd < 0)
		return;
	uv_close((uv_handle_t *)g->poll, free_handle);
	g->poll = NULL;
	(void)close(steal_fd(&g->fd));
	g->greeted = false;
	g->pid = 0;
	if (was && !g->stopping) {
		log_warning("the guardian is gone: no new fault until it is back");
		g->callbacks.changed(false, g->callbacks.arg);
	}
}

static void on_message(uv_poll_t *poll, int status, int events)
{
	struct guardian_link *g = poll->data;
	struct guardian_message m;
	ssize_t n = recv(g->fd, &m, sizeof(m), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(m)) {
		lose(g);
		return;
	}
	if (m.type == GUARDIAN_HELLO && !g->greeted) {
		g->greeted = true;
		log_info("the guardian is connected (pid %d)", (int)g->pid);
		/* Always a word: it tells the guardian that it was taken, and what is true now. */
		if (g->armed)
			(void)guardian_link_arm(g);
		else
			(void)send_message(g, GUARDIAN_IDLE, 0);
		g->callbacks.changed(true, g->callbacks.arg);
	} else if (m.type == GUARDIAN_ACK) {
		g->callbacks.acked(m.number, g->callbacks.arg);
	}
}

/* One guardian only, and only of our own user or root. */
static bool is_welcome(const struct guardian_link *g, int fd, struct ucred *ret)
{
	socklen_t size = sizeof(*ret);

	return g->fd < 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret, &size) == 0 &&
	       (ret->uid == 0 || ret->uid == geteuid());
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct guardian_link *g = poll->data;
	_cleanup_close_ int fd = accept4(g->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	uv_poll_t *p;

	if (fd < 0 || !is_welcome(g, fd, &peer))
		return;
	p = calloc(1, sizeof(*p));
	if (!p || uv_poll_init(poll->loop, p, fd) < 0) {
		free(p);
		return;
	}
	p->data = g;
	g->poll = p;
	g->fd = steal_fd(&fd);
	g->pid = peer.pid;
	(void)uv_poll_start(p, UV_READABLE | UV_DISCONNECT, on_message);
}

static void on_beat(uv_timer_t *timer)
{
	struct guardian_link *g = timer->data;

	g->last_beat_boot_ns = boot_ns();
	if (g->fd >= 0)
		(void)send_message(g, GUARDIAN_BEAT, 0);
}

void guardian_link_beat(struct guardian_link *g)
{
	if (g->armed && boot_ns() - g->last_beat_boot_ns >= HEARTBEAT_MS * NSEC_PER_MSEC)
		on_beat(&g->beat);
}

static void on_respawn(uv_timer_t *timer);

static void on_child_exit(uv_poll_t *poll, int status, int events)
{
	struct guardian_link *g = poll->data;
	int how = 0;

	(void)waitpid(g->child, &how, WNOHANG);
	uv_close((uv_handle_t *)g->child_poll, free_handle);
	g->child_poll = NULL;
	(void)close(steal_fd(&g->child_pidfd));
	g->child = 0;
	if (g->stopping)
		return;
	log_warning("the guardian ended (%s %d): starting it again",
		    WIFSIGNALED(how) ? "signal" : "exit",
		    WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
	(void)uv_timer_start(&g->respawn, on_respawn, RESPAWN_MS, 0);
}

static int watch_child(struct guardian_link *g, uv_loop_t *loop)
{
	uv_poll_t *p;

	g->child_pidfd = (int)syscall(SYS_pidfd_open, g->child, 0);
	p = g->child_pidfd < 0 ? NULL : calloc(1, sizeof(*p));
	if (!p || uv_poll_init(loop, p, g->child_pidfd) < 0) {
		free(p);
		return -ENOMEM;
	}
	p->data = g;
	g->child_poll = p;
	(void)uv_poll_start(p, UV_READABLE, on_child_exit);
	return 0;
}

static int spawn_guardian(struct guardian_link *g)
{
	char *argv[] = {(char *)"faultd-guardian", (char *)"--watch", (char *)"--once",
			(char *)"--runtime-dir",   g->runtime_dir,    NULL};
	int r = spawn_program(g->program, argv, SPAWN_OWN_SESSION, -1, -1, &g->child);

	return r < 0 ? r : watch_child(g, g->beat.loop);
}

static void on_respawn(uv_timer_t *timer)
{
	struct guardian_link *g = timer->data;
	int r = g->child ? 0 : spawn_guardian(g);

	if (r == 0)
		return;
	log_error("cannot start the guardian %s: %s", g->program, strerror(-r));
	(void)uv_timer_start(timer, on_respawn, (uint64_t)RESPAWN_MS * 4, 0);
}

static int listen_at(struct guardian_link *g)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	mode_t mask;
	int r;

	if (!str_copy(at.sun_path, sizeof(at.sun_path), g->socket_path))
		return -ENAMETOOLONG;
	g->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (g->listen_fd < 0)
		return -errno;
	/* We hold the journal's lock, so no other faultd lives here: what is there is a dead one's.
	 */
	(void)unlink(g->socket_path);
	mask = umask(0177);
	r = bind(g->listen_fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
			    listen(g->listen_fd, 4) < 0
		    ? -errno
		    : 0;
	(void)umask(mask);
	return r;
}

static int init(struct guardian_link *g, uv_loop_t *loop, const char *runtime_dir)
{
	int r;

	g->fd = g->listen_fd = g->child_pidfd = -1;
	if (!str_copy(g->runtime_dir, sizeof(g->runtime_dir), runtime_dir))
		return -ENAMETOOLONG;
	if ((size_t)snprintf(g->socket_path, sizeof(g->socket_path), "%s/" GUARDIAN_SOCKET,
			     g->runtime_dir) >= sizeof(g->socket_path))
		return -ENAMETOOLONG;
	r = listen_at(g);
	if (r == 0)
		r = uv_poll_init(loop, &g->listen_poll, g->listen_fd);
	if (r < 0)
		return r;
	(void)uv_timer_init(loop, &g->beat);
	(void)uv_timer_init(loop, &g->respawn);
	g->listen_poll.data = g->beat.data = g->respawn.data = g;
	return uv_poll_start(&g->listen_poll, UV_READABLE, on_connection);
}

int guardian_link_start(uv_loop_t *loop, const char *runtime_dir, const char *program,
			const struct guardian_callbacks *callbacks, struct guardian_link **ret)
{
	struct guardian_link *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	g->callbacks = *callbacks;
	r = init(g, loop, runtime_dir);
	if (r < 0) {
		if (g->listen_fd >= 0)
			(void)close(g->listen_fd);
		free(g);
		return r;
	}
	*ret = g;
	if (program && str_copy(g->program, sizeof(g->program), program))
		on_respawn(&g->respawn);
	return 0;
}

void guardian_link_stop(struct guardian_link *g, bool all_undone)
{
	g->stopping = true;
	/* The door first: a guardian that has read the good-bye tries to connect at once. */
	uv_close((uv_handle_t *)&g->listen_poll, NULL);
	(void)close(g->listen_fd);
	(void)unlink(g->socket_path);
	/* With something not put back there is no good-bye: the guardian takes over. */
	if (g->fd >= 0 && all_undone)
		(void)send_message(g, GUARDIAN_BYE, 0);
	lose(g);
	uv_close((uv_handle_t *)&g->beat, NULL);
	uv_close((uv_handle_t *)&g->respawn, NULL);
	if (!g->child_poll)
		return;
	if (all_undone && proc_wait_exit(g->child_pidfd, GOODBYE_MS) != 1) {
		(void)proc_signal(g->child_pidfd, SIGTERM);
		(void)proc_wait_exit(g->child_pidfd, GOODBYE_MS);
	}
	(void)waitpid(g->child, NULL, WNOHANG);
	uv_close((uv_handle_t *)g->child_poll, free_handle);
	(void)close(g->child_pidfd);
}

void guardian_link_free(struct guardian_link *g)
{
	free(g);
}

bool guardian_link_connected(const struct guardian_link *g)
{
	return g->greeted;
}

pid_t guardian_link_pid(const struct guardian_link *g)
{
	return g->pid;
}

uint32_t guardian_link_arm(struct guardian_link *g)
{
	if (!g->armed)
		(void)uv_timer_start(&g->beat, on_beat, HEARTBEAT_MS, HEARTBEAT_MS);
	g->armed = true;
	if (!g->greeted)
		return 0;
	g->number++;
	if (g->number == 0)
		g->number++;
	return send_message(g, GUARDIAN_ARM, g->number) < 0 ? 0 : g->number;
}

void guardian_link_idle(struct guardian_link *g)
{
	if (!g->armed)
		return;
	g->armed = false;
	(void)uv_timer_stop(&g->beat);
	if (g->fd >= 0)
		(void)send_message(g, GUARDIAN_IDLE, 0);
}
