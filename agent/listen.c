/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
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

union address {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
};

/* Cuts "ADDRESS:PORT", an IPv6 address in brackets. False: it is not of this form. */
static bool cut(const char *at, char *address, size_t size, in_port_t *ret_port)
{
	const char *colon = strrchr(at, ':');
	uint64_t port;
	size_t n;

	if (!colon || str_to_u64(colon + 1, &port) < 0 || port > UINT16_MAX)
		return false;
	n = (size_t)(colon - at);
	if (n > 2 && at[0] == '[' && at[n - 1] == ']') {
		at++;
		n -= 2;
	} else if (memchr(at, ':', n)) {
		return false;
	}
	if (n >= size)
		return false;
	memcpy(address, at, n);
	address[n] = '\0';
	*ret_port = htons((in_port_t)port);
	return true;
}

/* Returns its length, or 0: not a loopback address and a port. */
static socklen_t read_loopback(const char *at, union address *ret)
{
	char text[INET6_ADDRSTRLEN];
	in_port_t port;

	*ret = (union address){0};
	if (!cut(at, text, sizeof(text), &port))
		return 0;
	if (at[0] != '[' && inet_pton(AF_INET, text, &ret->four.sin_addr) == 1 &&
	    ntohl(ret->four.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET) {
		ret->four.sin_family = AF_INET;
		ret->four.sin_port = port;
		return sizeof(ret->four);
	}
	if (at[0] == '[' && inet_pton(AF_INET6, text, &ret->six.sin6_addr) == 1 &&
	    IN6_IS_ADDR_LOOPBACK(&ret->six.sin6_addr)) {
		ret->six.sin6_family = AF_INET6;
		ret->six.sin6_port = port;
		return sizeof(ret->six);
	}
	return 0;
}

static int print_name(int fd, char ret[static LISTEN_NAME_MAX])
{
	char text[INET6_ADDRSTRLEN];
	union address a = {0};
	socklen_t size = sizeof(a);

	if (getsockname(fd, &a.any, &size) < 0)
		return -errno;
	if (a.any.sa_family == AF_INET)
		(void)snprintf(ret, LISTEN_NAME_MAX, "%s:%u",
			       inet_ntop(AF_INET, &a.four.sin_addr, text, sizeof(text)),
			       ntohs(a.four.sin_port));
	else
		(void)snprintf(ret, LISTEN_NAME_MAX, "[%s]:%u",
			       inet_ntop(AF_INET6, &a.six.sin6_addr, text, sizeof(text)),
			       ntohs(a.six.sin6_port));
	return 0;
}

int listen_loopback(const char *at, char ret_name[static LISTEN_NAME_MAX], struct error *e)
{
	static const int one = 1;
	_cleanup_close_ int fd = -1;
	union address a = {0};
	socklen_t size = read_loopback(at, &a);
	int r = 0;

	if (size == 0)
		return error_field(e, "fis.listen", at,
				   "a loopback address and a port: 127.0.0.1:7340 or [::1]:7340",
				   "%.64s is none", at);
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* An earlier faultd's connections that linger must not keep it from its address. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, &a.any, size) < 0 || listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r == 0)
		r = print_name(fd, ret_name);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "fis.listen: cannot listen on %s: %s", at,
				 strerror(-r));
	return steal_fd(&fd);
}
