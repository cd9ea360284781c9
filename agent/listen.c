/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/str.h"

#define BACKLOG 1024

static int passed_socket(struct error *e)
{
	int n = sd_listen_fds(1);

	if (n <= 0)
		return -ENOENT;
	if (n != 1 || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0)
		return error_set(e, ERROR_FAILED, -EINVAL,
				 "LISTEN_FDS: not one listening Unix stream socket");
	(void)fcntl(SD_LISTEN_FDS_START, F_SETFL, O_NONBLOCK); /* close-on-exec it is already */
	return SD_LISTEN_FDS_START;
}

/* Returns 0 when nothing is in the way any more. */
static int clear_path(const struct sockaddr_un *at, struct error *e)
{
	_cleanup_close_ int probe = -1;
	struct stat st;

	if (lstat(at->sun_path, &st) < 0)
		return errno == ENOENT ? 0
				       : error_set(e, ERROR_FAILED, -errno, "--socket: %s: %s",
						   at->sun_path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(e, ERROR_FAILED, -EEXIST,
				 "--socket: %s exists and is not a socket", at->sun_path);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return error_set(e, ERROR_FAILED, -errno, "cannot make a socket: %s",
				 strerror(errno));
	if (connect(probe, (const struct sockaddr *)at, sizeof(*at)) == 0 || errno == EAGAIN)
		return error_set(e, ERROR_FAILED, -EADDRINUSE,
				 "--socket: another program listens on %s", at->sun_path);
	if (errno != ECONNREFUSED || unlink(at->sun_path) < 0)
		return error_set(e, ERROR_FAILED, -errno, "--socket: %s: %s", at->sun_path,
				 strerror(errno));
	return 0;
}

static int bind_at(const struct sockaddr_un *at, gid_t gid, struct error *e)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0177); /* nobody else's from its first moment */
	int r = fd < 0 || bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 ? -errno : 0;

	(void)umask(mask);
	/* Without the privilege it stays its owner's. */
	if (r == 0 && gid != (gid_t)-1 && chown(at->sun_path, (uid_t)-1, gid) < 0 && errno != EPERM)
		r = -errno;
	if (r == 0 && (chmod(at->sun_path, 0660) < 0 || listen(fd, BACKLOG) < 0))
		r = -errno;
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "--socket: cannot listen on %s: %s",
				 at->sun_path, strerror(-r));
	return steal_fd(&fd);
}

int listen_open(const char *path, gid_t gid, bool *ret_own, struct error *e)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int r = passed_socket(e);

	*ret_own = false;
	if (r != -ENOENT)
		return r;
	if (!str_copy(at.sun_path, sizeof(at.sun_path), path))
		return error_set(e, ERROR_FAILED, -ENAMETOOLONG,
				 "--socket: longer than %zu bytes: %s", sizeof(at.sun_path) - 1,
				 path);
	r = clear_path(&at, e);
	if (r < 0)
		return r;
	r = bind_at(&at, gid, e);
	*ret_own = r >= 0;
	return r;
}
