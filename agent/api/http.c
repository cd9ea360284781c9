/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/sigv4.h"
#include "faultd/limits.h"
#include "util/clock.h"
#include "util/log.h"

#define CONNECTION_MEMORY (16 * 1024) /* libmicrohttpd's pool per connection: headers must fit */
#define DESCRIPTORS_KEPT  192
#define BODY_READ_TIMES   16 /* the limit: too large, but read to its end before it is refused */
#define STREAM_BUFFER_MAX (1024 * 1024)
#define SWEEP_SLACK_MS    500 /* so that those who came close together go together */

/* A connection. */
struct client {
	struct client *next, **prev;
	int fd;
	uint64_t since_boot_ns; /* of the last complete request, or of the connection */
	bool served;            /* a request is complete and being answered: no time limit */
};

struct http {
	struct MHD_Daemon *mhd;
	struct http_service service;
	bool remote;
	size_t large_bodies;
	uv_poll_t poll;
	uv_timer_t timer; /* when libmicrohttpd wants to be called */
	uv_idle_t again;  /* at once, but after all others had their turn */
	uv_timer_t sweep;
	struct client *clients;
	bool stopping;
	struct exchange *exchanges;
};

/* What one request becomes inside. */
struct exchange {
	struct http_request request;
	struct exchange *next, **prev;
	struct http *http;
	struct MHD_Connection *connection;
	struct client *client;
	char *uri;
	bool begun; /* its headers are complete */
	char *body;
	size_t length;
	size_t body_max;
	bool large; /* counted in http.large_bodies */
	bool handled;
	bool suspended;
	/* The answer */
	unsigned status;
	const char *error_name;
	char *text;
	/* Or the stream */
	bool streams;
	bool ended;
	bool response_queued;
	char *buffer;
	size_t buffered;
	/* Tells that the client left: a suspended connection does not look at its socket. */
	uv_poll_t *hangup;
	int hangup_fd;
};

static void run(struct http *h);

static void on_timer(uv_timer_t *t)
{
	run(t->data);
}

static void on_again(uv_idle_t *i)
{
	(void)uv_idle_stop(i);
	run(i->data);
}

static void on_readable(uv_poll_t *p, int status, int events)
{
	run(p->data);
}

/* Soon, but not from within one of libmicrohttpd's own callbacks. Not by a timer either: libuv
 * before 1.48 runs one that its own callback starts again with 0 ms without end, and nothing else.
 */
static void kick(struct http *h)
{
	if (!h->stopping)
		(void)uv_idle_start(&h->again, on_again);
}

/* Lets libmicrohttpd do what it can now, and asks when it wants to be called again. */
static void run(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;

	(void)MHD_run(h->mhd);
	if (h->stopping)
		return;
	if (MHD_get_timeout(h->mhd, &ms) != MHD_YES)
		(void)uv_timer_stop(&h->timer);
	else if (ms > 0)
		(void)uv_timer_start(&h->timer, on_timer, ms, 0);
	else
		kick(h);
}

static void resume(struct exchange *x)
{
	if (!x->suspended)
		return;
	x->suspended = false;
	MHD_resume_connection(x->connection);
	kick(x->http);
}

static void suspend(struct exchange *x)
{
	x->suspended = true;
	MHD_suspend_connection(x->connection);
}

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void stop_hangup(struct exchange *x)
{
	if (!x->hangup)
		return;
	uv_close((uv_handle_t *)x->hangup, free_handle);
	(void)close(x->hangup_fd);
	x->hangup = NULL;
}

/* The client is gone: the handler hears it at once; libmicrohttpd finds out when it is resumed. */
static void on_hangup(uv_poll_t *p, int status, int events)
{
	struct exchange *x = p->data;

	stop_hangup(x);
	if (x->request.gone) {
		void (*gone)(struct http_request *) = x->request.gone;

		x->request.gone = NULL;
		gone(&x->request);
	}
	x->ended = true;
	resume(x);
}

void http_watch_client(struct http_request *q)
{
	struct exchange *x = (struct exchange *)q;

	x->hangup_fd = fcntl(x->client->fd, F_DUPFD_CLOEXEC, 0);
	x->hangup = x->hangup_fd < 0 ? NULL : calloc(1, sizeof(*x->hangup));
	if (!x->hangup || uv_poll_init(x->http->poll.loop, x->hangup, x->hangup_fd) < 0) {
		/* Without it a dead client is noticed only at the next line that cannot be sent. */
		free(x->hangup);
		x->hangup = NULL;
		if (x->hangup_fd >= 0)
			(void)close(x->hangup_fd);
		return;
	}
	x->hangup->data = x;
	(void)uv_poll_start(x->hangup, UV_DISCONNECT, on_hangup);
}

void http_unwatch_client(struct http_request *q)
{
	stop_hangup((struct exchange *)q);
}

static ssize_t read_stream(void *cls, uint64_t pos, char *to, size_t max)
{
	struct exchange *x = cls;
	size_t n = x->buffered < max ? x->buffered : max;

	if (n > 0) {
		memcpy(to, x->buffer, n);
		memmove(x->buffer, x->buffer + n, x->buffered - n);
		x->buffered -= n;
		return (ssize_t)n;
	}
	if (x->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	suspend(x);
	return 0;
}

static enum MHD_Result queue(struct exchange *x, unsigned status, struct MHD_Response *response,
			     const char *type)
{
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (x->error_name)
		(void)MHD_add_response_header(response, "x-amzn-ErrorType", x->error_name);
	r = MHD_queue_response(x->connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result send_answer(struct exchange *x)
{
	static const char type[] = "application/json";
	char *text = x->text;

	x->text = NULL;
	return queue(x, x->status,
		     MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE),
		     type);
}

static enum MHD_Result send_stream(struct exchange *x)
{
	x->response_queued = true;
	return queue(
		x, MHD_HTTP_OK,
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_stream, x, NULL),
		"application/x-ndjson");
}

void http_answer(struct http_request *q, unsigned status, const char *error_name, char *text)
{
	struct exchange *x = (struct exchange *)q;

	if (x->text || x->streams) {
		free(text);
		return;
	}
	x->status = text ? status : MHD_HTTP_INTERNAL_SERVER_ERROR;
	x->error_name = error_name;
	x->text =
		text ? text
		     : strdup("{\"code\":\"FaultFailedException\",\"message\":\"out of memory\"}");
	resume(x);
}

void http_stream_begin(struct http_request *q)
{
	struct exchange *x = (struct exchange *)q;

	x->streams = true;
	resume(x);
}

bool http_stream_add(struct http_request *q, const char *line)
{
	struct exchange *x = (struct exchange *)q;
	size_t n = strlen(line);
	char *more;

	if (x->ended)
		return false;
	/* One that is longer alone is taken: a whole log at once. */
	more = x->buffered && x->buffered + n + 1 > STREAM_BUFFER_MAX
		       ? NULL
		       : realloc(x->buffer, x->buffered + n + 1);
	if (!more) {
		x->ended = true;
		resume(x);
		return false;
	}
	x->buffer = more;
	memcpy(more + x->buffered, line, n);
	more[x->buffered + n] = '\n';
	x->buffered += n + 1;
	resume(x);
	return true;
}

void http_stream_end(struct http_request *q)
{
	struct exchange *x = (struct exchange *)q;

	x->ended = true;
	resume(x);
}

/* libmicrohttpd's value for a request, made with its first line: it decodes the URI in place after
 * this. What is returned comes as `context` to the callbacks below. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct exchange *x = calloc(1, sizeof(*x));
	struct http *h = cls;
	char *query;

	if (x)
		x->uri = strdup(uri);
	if (!x || !x->uri || !info || !info->socket_context) {
		if (x)
			free(x->uri);
		free(x);
		return NULL;
	}
	query = strchr(x->uri, '?');
	if (query)
		*query++ = '\0';
	x->http = h;
	x->connection = c;
	x->client = info->socket_context;
	x->request.raw_path = x->uri;
	x->request.raw_query = query ? query : "";
	x->next = h->exchanges;
	x->prev = &h->exchanges;
	if (x->next)
		x->next->prev = &x->next;
	h->exchanges = x;
	return x;
}

/* Its headers are complete. */
static void begin(struct exchange *x, const char *method, const char *path)
{
	struct ucred peer = {.uid = (uid_t)-1, .gid = (gid_t)-1};
	socklen_t size = sizeof(peer);

	x->begun = true;
	x->request.method = method;
	x->request.path = path;
	x->request.fd = x->client->fd;
	x->request.remote = x->http->remote;
	if (!x->request.remote)
		(void)getsockopt(x->client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	x->request.caller = (struct caller){.uid = peer.uid, .gid = peer.gid, .pid = peer.pid};
	x->body_max = x->http->service.body_max(path);
}

struct query_search {
	const char *name;
	size_t skip;
	const char *found;
	void (*each)(const char *name, const char *value, void *arg);
	void *arg;
};

static enum MHD_Result find_query(void *cls, enum MHD_ValueKind kind, const char *name,
				  const char *value)
{
	struct query_search *s = cls;

	if (strcmp(name, s->name) != 0 || s->skip-- > 0)
		return MHD_YES;
	s->found = value ? value : "";
	return MHD_NO;
}

const char *http_query(struct http_request *q, const char *name, size_t i)
{
	struct query_search s = {.name = name, .skip = i};

	(void)MHD_get_connection_values(((struct exchange *)q)->connection, MHD_GET_ARGUMENT_KIND,
					find_query, &s);
	return s.found;
}

static enum MHD_Result pass_query(void *cls, enum MHD_ValueKind kind, const char *name,
				  const char *value)
{
	struct query_search *s = cls;

	s->each(name, value ? value : "", s->arg);
	return MHD_YES;
}

void http_each_query(struct http_request *q,
		     void (*each)(const char *name, const char *value, void *arg), void *arg)
{
	struct query_search s = {.each = each, .arg = arg};

	(void)MHD_get_connection_values(((struct exchange *)q)->connection, MHD_GET_ARGUMENT_KIND,
					pass_query, &s);
}

struct header_list {
	struct sigv4_header *to;
	size_t room, n;
};

static enum MHD_Result add_header(void *cls, enum MHD_ValueKind kind, const char *name,
				  const char *value)
{
	struct header_list *l = cls;

	if (l->n < l->room)
		l->to[l->n] = (struct sigv4_header){.name = name, .value = value ? value : ""};
	l->n++;
	return MHD_YES;
}

size_t http_headers(struct http_request *q, struct sigv4_header *ret, size_t room)
{
	struct header_list l = {.to = ret, .room = room};

	(void)MHD_get_connection_values(((struct exchange *)q)->connection, MHD_HEADER_KIND,
					add_header, &l);
	return l.n;
}

static bool announces_too_much(struct MHD_Connection *c, size_t body_max)
{
	const char *s =
		MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	uint64_t n;

	return s && (str_to_u64(s, &n) < 0 || n > BODY_READ_TIMES * body_max);
}

/* A decoded NUL would end the text before its end: what is checked would not be what was sent. */
static bool has_nul(const char *uri)
{
	return strstr(uri, "%00") != NULL;
}

static void drop_body(struct exchange *x)
{
	free(x->body);
	x->body = NULL;
	x->length = 0;
	if (x->large)
		x->http->large_bodies--;
	x->large = false;
}

/* The rest is read to its end and dropped, so that the client gets the answer. */
static void refuse(struct exchange *x, enum error_code code)
{
	drop_body(x);
	x->request.refused = code;
}

/* Beyond REQUEST_BODY_MAX only so many at once, and memory for all that may come is asked for once.
 */
static bool make_large(struct exchange *x)
{
	char *body;

	if (x->http->large_bodies >= LARGE_BODIES_MAX)
		return false;
	body = realloc(x->body, x->body_max + 1);
	if (!body)
		return false;
	x->body = body;
	x->large = true;
	x->http->large_bodies++;
	return true;
}

static bool make_room(struct exchange *x, size_t n)
{
	char *body;

	if (x->large)
		return true;
	if (x->length + n > REQUEST_BODY_MAX)
		return make_large(x);
	body = realloc(x->body, x->length + n + 1);
	if (body)
		x->body = body;
	return body != NULL;
}

static void take_body(struct exchange *x, const char *data, size_t n)
{
	if (x->request.refused != ERROR_NONE)
		return;
	if (n > x->body_max - x->length) {
		refuse(x, ERROR_TOO_LARGE);
		return;
	}
	if (!make_room(x, n)) {
		refuse(x, ERROR_UNAVAILABLE);
		return;
	}
	memcpy(x->body + x->length, data, n);
	x->length += n;
	x->body[x->length] = '\0'; /* for parsers that look one byte ahead */
}

static enum MHD_Result handle(struct exchange *x)
{
	if (!x->handled) {
		x->handled = true;
		x->request.body = x->body ? x->body : "";
		x->request.body_length = x->length;
		x->http->service.handle(&x->request, x->http->service.arg);
	}
	if (x->text)
		return send_answer(x);
	if (x->streams)
		return send_stream(x);
	if (x->ended)
		return MHD_NO; /* the client left while we were at it */
	suspend(x);
	return MHD_YES;
}

/* libmicrohttpd calls this with the headers, then with each piece of the body, then at its end, and
 * again whenever the connection is resumed before an answer was queued. */
static enum MHD_Result on_access(void *cls, struct MHD_Connection *c, const char *path,
				 const char *method, const char *version, const char *data,
				 size_t *size, void **context)
{
	struct exchange *x = *context;

	if (!x)
		return MHD_NO;
	if (!x->begun) {
		begin(x, method, path);
		if (has_nul(x->request.raw_path) || has_nul(x->request.raw_query))
			x->request.refused = ERROR_VALIDATION;
		if (!announces_too_much(c, x->body_max))
			return MHD_YES;
		x->request.refused = ERROR_TOO_LARGE;
		return handle(x);
	}
	if (*size > 0) {
		take_body(x, data, *size);
		*size = 0;
		return MHD_YES;
	}
	x->client->served = true;
	return handle(x);
}

static void on_sweep(uv_timer_t *t);

/* For the client whose time is up first; none of them has any time limit: not at all. */
static void set_sweep(struct http *h)
{
	uint64_t first = UINT64_MAX, now = boot_ns();

	for (const struct client *c = h->clients; c; c = c->next) {
		if (!c->served && c->since_boot_ns < first)
			first = c->since_boot_ns;
	}
	if (first == UINT64_MAX || h->stopping)
		return;
	first += CONNECTION_IDLE_S * NSEC_PER_SEC;
	(void)uv_timer_start(&h->sweep, on_sweep,
			     first > now ? (first - now) / NSEC_PER_MSEC + SWEEP_SLACK_MS : 0, 0);
}

/* Whoever has not delivered a whole request in time is disconnected, however busily it drips. */
static void on_sweep(uv_timer_t *t)
{
	struct http *h = t->data;
	uint64_t now = boot_ns();

	for (struct client *c = h->clients; c; c = c->next) {
		if (c->served || now - c->since_boot_ns <= CONNECTION_IDLE_S * NSEC_PER_SEC)
			continue;
		c->served = true; /* not again: what is left is libmicrohttpd's to clean up */
		(void)shutdown(c->fd, SHUT_RDWR);
	}
	set_sweep(h);
}

static void on_completed(void *cls, struct MHD_Connection *c, void **context,
			 enum MHD_RequestTerminationCode code)
{
	struct exchange *x = *context;

	if (!x)
		return;
	*context = NULL;
	stop_hangup(x);
	x->client->served = false;
	x->client->since_boot_ns = boot_ns();
	if (!uv_is_active((uv_handle_t *)&x->http->sweep))
		set_sweep(x->http);
	if (x->request.gone)
		x->request.gone(&x->request);
	*x->prev = x->next;
	if (x->next)
		x->next->prev = x->prev;
	drop_body(x);
	free(x->uri);
	free(x->text);
	free(x->buffer);
	free(x);
}

static void client_add(struct http *h, struct MHD_Connection *c, void **socket_context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct client *client = info ? calloc(1, sizeof(*client)) : NULL;

	if (!client)
		return; /* its request will be refused */
	client->fd = info->connect_fd;
	client->since_boot_ns = boot_ns();
	client->next = h->clients;
	client->prev = &h->clients;
	if (client->next)
		client->next->prev = &client->next;
	h->clients = client;
	*socket_context = client;
	if (!uv_is_active((uv_handle_t *)&h->sweep))
		set_sweep(h);
}

static void on_connection(void *cls, struct MHD_Connection *c, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct client *client = *socket_context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		client_add(cls, c, socket_context);
	} else if (client) {
		*client->prev = client->next;
		if (client->next)
			client->next->prev = client->prev;
		free(client);
		*socket_context = NULL;
	}
}

__attribute__((format(printf, 2, 0))) static void on_mhd_log(void *cls, const char *format,
							     va_list ap)
{
	char line[256];

	(void)vsnprintf(line, sizeof(line), format, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("http: %s", line);
}

/* Each may take two descriptors; what undoing and new faults need is left over. Who comes over TCP
 * gets an eighth at most: the socket by which faults are ended stays open to others. */
static unsigned connection_limit(bool remote)
{
	rlim_t most = remote ? REMOTE_CONNECTIONS_MAX : CONNECTIONS_MAX, n = 16;
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return (unsigned)most;
	if (l.rlim_cur > 2 * DESCRIPTORS_KEPT)
		n = (l.rlim_cur - DESCRIPTORS_KEPT) / 2 * (remote ? 1 : 7) / 8;
	return (unsigned)(n < most ? n : most);
}

static int start_mhd(struct http *h, int listen_fd)
{
	h->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
				  NULL, NULL, on_access, h, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log,
				  NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd,
				  MHD_OPTION_CONNECTION_LIMIT, connection_limit(h->remote),
				  MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_IDLE_S,
				  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
				  MHD_OPTION_URI_LOG_CALLBACK, on_uri, h,
				  MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
				  MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_END);
	return h->mhd ? 0 : -EIO;
}

static bool is_remote(int listen_fd)
{
	int domain = 0;
	socklen_t size = sizeof(domain);

	return getsockopt(listen_fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
	       domain != AF_UNIX;
}

int http_start(uv_loop_t *loop, int listen_fd, const struct http_service *service,
	       struct http **ret)
{
	struct http *h = calloc(1, sizeof(*h));
	const union MHD_DaemonInfo *info;
	int r;

	if (!h)
		return -ENOMEM;
	h->service = *service;
	h->remote = is_remote(listen_fd);
	r = start_mhd(h, listen_fd);
	if (r < 0) {
		free(h);
		return r;
	}
	info = MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	r = info ? uv_poll_init(loop, &h->poll, info->epoll_fd) : -EIO;
	if (r < 0) {
		MHD_stop_daemon(h->mhd);
		free(h);
		return r;
	}
	(void)uv_timer_init(loop, &h->timer);
	(void)uv_idle_init(loop, &h->again);
	(void)uv_timer_init(loop, &h->sweep);
	h->poll.data = h->timer.data = h->again.data = h->sweep.data = h;
	(void)uv_poll_start(&h->poll, UV_READABLE, on_readable);
	*ret = h;
	return 0;
}

void http_stop(struct http *h)
{
	/* Suspended connections must be resumed first; what is buffered goes out if it fits. */
	for (struct exchange *x = h->exchanges; x; x = x->next) {
		x->ended = true;
		resume(x);
	}
	for (int i = 0; i < 4; i++)
		(void)MHD_run(h->mhd);
	h->stopping = true;
	for (struct exchange *x = h->exchanges; x; x = x->next) {
		x->ended = true;
		resume(x);
	}
	MHD_stop_daemon(h->mhd);
	uv_close((uv_handle_t *)&h->poll, NULL);
	uv_close((uv_handle_t *)&h->timer, NULL);
	uv_close((uv_handle_t *)&h->again, NULL);
	uv_close((uv_handle_t *)&h->sweep, NULL);
}

void http_free(struct http *h)
{
	free(h);
}
