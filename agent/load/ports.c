/* SPDX-License-Identifier: Apache-2.0 */
/* Ephemeral ports of the network namespace, each taken by a socket that is bound to it on all
 * addresses and shares it with nobody: bind() and connect() of others pass over such a port
 * (__inet_hash_connect() and inet_csk_find_open_port() of the kernel). A port that has a connection
 * of someone else cannot be taken; it can still serve for connections to other peers. */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load/fill.h"
#include "load/report.h"
#include "load/tables.h"
#include "util/cleanup.h"

enum protocol { PROTOCOL_TCP, PROTOCOL_UDP };

struct ports_args {
	struct fill_args fill; /* first */
	int protocol;
};

struct ports {
	struct fill fill; /* first */
	struct tables tables;
	int type;                  /* SOCK_STREAM, SOCK_DGRAM */
	bool ipv4;                 /* there is no IPv6 */
	uint64_t ours[PORT_BITS];  /* held */
	uint64_t range[PORT_BITS]; /* those there are */
	unsigned next;             /* where to look for a free one */
};

static int make_socket(const struct ports *p)
{
	int fd = socket(p->ipv4 ? AF_INET : AF_INET6, p->type | SOCK_CLOEXEC, 0), off = 0;

	if (fd < 0)
		return -errno;
	/* Both families at once. */
	if (!p->ipv4 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}

static int bind_port(const struct ports *p, int fd, unsigned port)
{
	const struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
					.sin6_port = htons((uint16_t)port)};
	int r = p->ipv4 ? bind(fd, (const struct sockaddr *)&v4, sizeof(v4))
			: bind(fd, (const struct sockaddr *)&v6, sizeof(v6));

	return r < 0 ? -errno : 0;
}

static unsigned bound_port(int fd)
{
	/* The port is at the same place in both. */
	struct sockaddr_in6 a = {0};
	socklen_t n = sizeof(a);

	_Static_assert(offsetof(struct sockaddr_in, sin_port) ==
			       offsetof(struct sockaddr_in6, sin6_port),
		       "one port for both families");
	return getsockname(fd, (struct sockaddr *)&a, &n) < 0 ? 0 : ntohs(a.sin6_port);
}

/* In the thread whose table it is for. One socket tries until a port is free; -EADDRINUSE: none is.
 */
static int open_one(void *arg)
{
	struct ports *p = arg;
	_cleanup_close_ int fd = make_socket(p);

	if (fd < 0)
		return fd;
	for (unsigned tried = 0; tried < 65536; tried++) {
		unsigned port = p->next++ % 65536;
		int r;

		if (!bit_get(p->range, port) || bit_get(p->ours, port))
			continue;
		r = bind_port(p, fd, port);
		if (r == -EADDRINUSE)
			continue;
		if (r < 0)
			return r;
		bit_set(p->ours, port);
		return steal_fd(&fd);
	}
	return -EADDRINUSE;
}

static void closing(void *arg, int fd)
{
	struct ports *p = arg;

	bit_clear(p->ours, bound_port(fd));
}

/* Whether a port is free only bind() can tell: it is bound for a moment. */
static int count_others(const struct ports *p, uint64_t *ret)
{
	_cleanup_close_ int fd = -1;

	*ret = 0;
	for (unsigned port = 0; port < 65536; port++) {
		int r;

		if (!bit_get(p->range, port) || bit_get(p->ours, port))
			continue;
		if (fd < 0)
			fd = make_socket(p);
		if (fd < 0)
			return fd;
		r = bind_port(p, fd, port);
		if (r == -EADDRINUSE) {
			(*ret)++;
			continue;
		}
		if (r < 0)
			return r;
		(void)close(fd);
		fd = -1;
	}
	return 0;
}

static int want(struct fill *f, const struct share *share, uint64_t *ret)
{
	struct ports *p = (struct ports *)f;
	int n = gauge_ports_read(p->range);
	struct gauge g = {.limit = n < 0 ? 0 : (uint64_t)n};
	int r = n < 0 ? n : count_others(p, &g.used);

	if (r < 0)
		return r;
	g.used += f->held;
	*ret = share_want(share, &g, f->held);
	return 0;
}

static int take(struct fill *f, uint64_t n)
{
	struct ports *p = (struct ports *)f;
	uint64_t taken;
	int r = tables_take(&p->tables, n, &taken);

	f->held += taken;
	return r;
}

static void give(struct fill *f, uint64_t n)
{
	struct ports *p = (struct ports *)f;

	tables_give(&p->tables, n);
	f->held -= n;
}

static int ports_run(const struct hold *hold, const void *args)
{
	static struct ports p = {
		.fill = {.what = "take ports", .want = want, .take = take, .give = give},
		.tables = {.open = open_one, .closing = closing, .arg = &p},
	};
	const struct ports_args *a = args;
	int r = tables_init(&p.tables), fd;

	if (r < 0)
		return report_failure("cannot raise the limit of open files: %s", strerror(-r));
	p.type = a->protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM;
	fd = make_socket(&p);
	p.ipv4 = fd == -EAFNOSUPPORT;
	if (fd >= 0)
		(void)close(fd);
	return fill_run(hold, &a->fill, &p.fill);
}

static const char *const protocols[] = {[PROTOCOL_TCP] = "tcp", [PROTOCOL_UDP] = "udp", NULL};

static const struct load_option ports_options[] = {
	FILL_OPTIONS,
	{"protocol", "PROTOCOL", "tcp or udp", LOAD_OPTION_CHOICE,
	 offsetof(struct ports_args, protocol), 0, 0, protocols},
	{0},
};

const struct load_kind load_ports = {
	.name = "ports",
	.summary = "keep ephemeral ports bound",
	.options = ports_options,
	.args_size = sizeof(struct ports_args),
	.run = ports_run,
};
