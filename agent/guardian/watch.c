/* SPDX-License-Identifier: Apache-2.0 */
/* The watching side of the rollback promise. After lock_down() in main.c nothing here allocates or
 * touches a file but the journals, and no call waits without a bound while there is something to
 * undo. */
#include "guardian/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "faultd/guardian.h"
#include "faultd/limits.h"
#include "steps/replay.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/proc.h"

#define RECONNECT_MS  5000 /* at the latest; a new socket is noticed at once */
#define LISTEN_MS     10   /* from bind() to listen() in a starting faultd, generously */
#define REFUSED_MS    100  /* for a faultd that ended our connection to be dead as well */
#define FENCE_WAIT_MS 1000
#define UNDO_TRIES    5
#define UNDO_PAUSE_MS 200

/* Beats are counted on CLOCK_MONOTONIC, which stands still in a suspend as faultd does; deadlines
 * are on CLOCK_BOOTTIME, and one that passed in a suspend leaves faultd the same grace as any
 * other. */
struct watched {
	int socket;
	int pidfd;
	pid_t pid;
	int dirfd;
	bool heard; /* faultd has spoken on this connection: it took us for its guardian */
	bool armed; /* faults are open: beats are due */
	uint64_t last_beat_mono_ns;
	uint64_t deadline_boot_ns; /* the earliest of the open faults; 0: none */
	uint64_t overdue_mono_ns;  /* since when that deadline is known to be past; 0: it is not */
};

static void pause_ms(unsigned ms)
{
	const struct timespec t = {ms / 1000, (long)(ms % 1000) * (long)NSEC_PER_MSEC};

	(void)nanosleep(&t, NULL);
}

int undo_all(int dirfd, int wait_ms, bool force)
{
	_cleanup_close_ int lock = journal_lock(dirfd, wait_ms);
	struct replay_result result = {0};
	unsigned bad = 0;
	int r;

	if (lock == -EWOULDBLOCK && force)
		log_warning(
			"the lock is held by a process that was killed and has not gone yet: undoing all the same");
	else if (lock < 0 && !force)
		return lock;
	for (int i = 0; i < UNDO_TRIES; i++) {
		r = replay_all(dirfd, &result);
		if (r < 0)
			return r;
		bad += result.bad;
		if (result.failed == 0 && result.unread == 0)
			return bad ? 1 : 0;
		pause_ms(UNDO_PAUSE_MS);
	}
	log_error(
		"%u steps could not be undone; their journals are kept, run faultd-guardian --all again",
		result.failed + result.unread);
	return 1;
}

/* The peer of a listening socket is who called listen(): faultd, or systemd when it passed the
 * socket. faultd binds this one itself. Returns 0 or a negative errno. */
static int identify(struct watched *w)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(w->socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	if (peer.uid != 0 && peer.uid != geteuid())
		return -EPERM;
	w->pid = peer.pid;
	w->pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	return w->pidfd < 0 ? -errno : 0;
}

static int send_message(const struct watched *w, uint32_t type, uint32_t number)
{
	const struct guardian_message m = {type, number};

	return send(w->socket, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static void disconnect(struct watched *w)
{
	if (w->socket >= 0)
		(void)close(w->socket);
	if (w->pidfd >= 0)
		(void)close(w->pidfd);
	if (w->dirfd >= 0)
		(void)close(w->dirfd);
	w->socket = w->pidfd = w->dirfd = -1;
}

static uint64_t mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* Returns 0, or a negative errno when the journals cannot all be read. */
static int set_deadline(struct watched *w)
{
	w->overdue_mono_ns = 0;
	return replay_earliest_deadline(w->dirfd, &w->deadline_boot_ns);
}

static int try_connect(const char *runtime_dir, struct watched *w)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int r;

	*w = (struct watched){.socket = -1, .pidfd = -1, .dirfd = -1};
	if ((size_t)snprintf(to.sun_path, sizeof(to.sun_path), "%s/" GUARDIAN_SOCKET,
			     runtime_dir) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	w->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (w->socket < 0)
		return -errno;
	r = connect(w->socket, (const struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : identify(w);
	/* Opened anew for each faultd, which may have made the directory anew. */
	if (r == 0) {
		w->dirfd = journal_dir_open(runtime_dir, false);
		r = w->dirfd < 0 ? w->dirfd : 0;
	}
	/* What is open already is watched from now on: faultd may be hanging, and never say so. */
	if (r == 0) {
		(void)set_deadline(w);
		w->armed = w->deadline_boot_ns != 0;
		w->last_beat_mono_ns = mono_ns();
	}
	if (r == 0)
		r = send_message(w, GUARDIAN_HELLO, (uint32_t)getpid());
	if (r < 0)
		disconnect(w);
	return r;
}

static int ms_until(uint64_t at, uint64_t now)
{
	return at <= now ? 0 : (int)((at - now) / NSEC_PER_MSEC) + 1;
}

static bool deadline_is_past(const struct watched *w)
{
	return w->deadline_boot_ns && boot_ns() >= w->deadline_boot_ns;
}

/* Milliseconds until something has to be looked at; -1: nothing. */
static int patience_ms(const struct watched *w)
{
	int beat, deadline;

	if (!w->armed)
		return -1;
	beat = ms_until(w->last_beat_mono_ns + HEARTBEAT_LOST_MS * NSEC_PER_MSEC, mono_ns());
	if (!w->deadline_boot_ns)
		return beat;
	if (w->overdue_mono_ns)
		deadline = ms_until(w->overdue_mono_ns + OVERDUE_MS * NSEC_PER_MSEC, mono_ns());
	else
		deadline = ms_until(w->deadline_boot_ns, boot_ns());
	return beat < deadline ? beat : deadline;
}

/* NULL: all is well, so far. */
static const char *overdue(struct watched *w)
{
	uint64_t now = mono_ns();

	if (!w->armed)
		return NULL;
	if (now >= w->last_beat_mono_ns + HEARTBEAT_LOST_MS * NSEC_PER_MSEC)
		return "its heartbeat is missing";
	if (!deadline_is_past(w))
		return NULL;
	if (!w->overdue_mono_ns) {
		/* The fault may have been undone in the meantime: what counts is what is still on
		 * record. */
		(void)set_deadline(w);
		if (deadline_is_past(w))
			w->overdue_mono_ns = now;
		return NULL;
	}
	if (now < w->overdue_mono_ns + OVERDUE_MS * NSEC_PER_MSEC)
		return NULL;
	(void)set_deadline(w);
	return deadline_is_past(w) ? "a fault is past its deadline" : NULL;
}

/* Returns NULL to go on, or why faultd is lost; "" when it said good-bye. */
static const char *take_message(struct watched *w)
{
	struct guardian_message m;
	ssize_t n = recv(w->socket, &m, sizeof(m), MSG_DONTWAIT);

	/* ECONNRESET comes before what is still queued, a good-bye perhaps, and once only. */
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET))
		return NULL;
	if (n <= 0)
		return "its connection ended";
	if (n != sizeof(m))
		return NULL;
	w->heard = true;
	w->last_beat_mono_ns = mono_ns();
	switch (m.type) {
	case GUARDIAN_ARM:
		w->armed = true;
		/* The number is a promise to undo it: none without having read a journal. */
		if (set_deadline(w) < 0 || !w->deadline_boot_ns)
			m.number = 0;
		(void)send_message(w, GUARDIAN_ACK, m.number);
		return NULL;
	case GUARDIAN_BEAT:
		return NULL;
	case GUARDIAN_IDLE:
		w->armed = false;
		w->deadline_boot_ns = 0;
		return NULL;
	case GUARDIAN_BYE:
		return "";
	default:
		return NULL;
	}
}

static const char *watch_connected(struct watched *w)
{
	for (;;) {
		struct pollfd p[2] = {{.fd = w->socket, .events = POLLIN},
				      {.fd = w->pidfd, .events = POLLIN}};
		const char *lost;

		if (poll(p, 2, patience_ms(w)) < 0 && errno != EINTR)
			return "poll failed";
		/* Messages first: a good-bye is read before the end that follows it. */
		if (p[0].revents) {
			lost = take_message(w);
			if (lost)
				return lost;
		} else if (p[1].revents) {
			return "it is dead";
		}
		lost = overdue(w);
		if (lost)
			return lost;
	}
}

/* Fence, then undo: two parties never change the same thing. A killed process that has not gone yet
 * (uninterruptible sleep) runs no more code of its own, so after a while that is not waited for. */
static int fence_and_undo(struct watched *w, const char *why)
{
	sigset_t all, before;
	int r;

	/* Whoever stops the guardian now stops it after this. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &before);
	(void)proc_signal(w->pidfd, SIGKILL);
	r = proc_wait_exit(w->pidfd, FENCE_WAIT_MS);
	/* One that is dead holds no lock: then it is a living one's, who undoes. */
	r = undo_all(w->dirfd, FENCE_WAIT_MS, r != 1);
	/* Only now: a log may be what does not answer. */
	log_notice("faultd (pid %d) was lost: %s; fenced it, then undid from its journals",
		   (int)w->pid, why);
	if (r < 0)
		log_error("cannot read the journals: %s", strerror(-r));
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return r != 0;
}

/* The connection ended before faultd had said anything on it: it is dead, or it has a guardian and
 * did not take us. One that lives is left alone. Returns 1 when something could not be undone. */
static int undo_if_dead(const struct watched *w)
{
	int r;

	if (proc_wait_exit(w->pidfd, REFUSED_MS) != 1)
		return 0;
	r = undo_all(w->dirfd, FENCE_WAIT_MS, false);
	return r != 0 && r != -EWOULDBLOCK;
}

/* Watches the runtime directory, or while there is none the one it will be made in. The watch comes
 * before the attempt to connect, so that no socket appears unseen in between. */
static void watch_for_socket(int inotify, const char *runtime_dir)
{
	char parent[256];
	char *slash;

	if (inotify_add_watch(inotify, runtime_dir, IN_CREATE | IN_MOVED_TO) >= 0)
		return;
	(void)str_copy(parent, sizeof(parent), runtime_dir);
	slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = '\0';
		(void)inotify_add_watch(inotify, parent, IN_CREATE | IN_MOVED_TO);
	}
}

static void wait_for_socket(int inotify)
{
	struct pollfd p = {.fd = inotify, .events = POLLIN};
	char events[4096];

	if (poll(&p, 1, RECONNECT_MS) > 0 && read(inotify, events, sizeof(events)) > 0)
		pause_ms(LISTEN_MS);
}

/* Nobody listens. If nobody holds the lock either, what is on record is a dead faultd's: an earlier
 * guardian's undo failed, or it died itself. */
static void undo_leftovers(const char *runtime_dir)
{
	_cleanup_close_ int dirfd = journal_dir_open(runtime_dir, false);
	size_t n;

	if (dirfd >= 0 && replay_count(dirfd, &n) == 0 && n > 0)
		(void)undo_all(dirfd, 0, false);
}

int watch(const char *runtime_dir, bool once)
{
	struct watched w = {.socket = -1, .pidfd = -1, .dirfd = -1};
	_cleanup_close_ int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	const char *lost;
	bool turned_away;
	int r;

	for (;;) {
		watch_for_socket(inotify, runtime_dir);
		r = try_connect(runtime_dir, &w);
		if (r < 0 && once)
			return r;
		if (r < 0) {
			undo_leftovers(runtime_dir);
			wait_for_socket(inotify);
			continue;
		}
		lost = watch_connected(&w);
		if (!lost[0])
			r = 0;
		else if (!w.heard && !overdue(&w))
			r = undo_if_dead(&w);
		else
			r = fence_and_undo(&w, lost);
		turned_away = lost[0] && !w.heard;
		disconnect(&w);
		if (once)
			return r;
		if (turned_away)
			wait_for_socket(inotify);
	}
}
