/* SPDX-License-Identifier: Apache-2.0 */
/* Whom names among peers mean: once for a request, and again and again while its fault is active.
 * libuv asks the resolver in threads of its own, which cannot be called off: a lookup is given up
 * by taking its owner away, and frees itself when it comes back. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault/internal.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

#define RESOLVE_DEADLINE_MS 5000
#define SETS_FILE_MAX       (256 * 1024)

struct lookup {
	uv_getaddrinfo_t req;
	struct resolving *of; /* NULL: nobody waits for it any more */
	size_t i;
};

struct answer {
	struct lookup *lookup; /* NULL: it is back, or there was none */
	struct cidr_list list;
	int status; /* of libuv */
};

struct resolving {
	struct resolved *resolved; /* gets the answers; the caller's */
	resolve_fn done;
	void *arg;
	uv_timer_t *deadline;
	size_t waiting;
	struct answer answer[]; /* one for each of resolved->peer */
};

static void free_handle(uv_handle_t *h)
{
	free(h);
}

void resolve_cancel(struct resolving *r)
{
	for (size_t i = 0; r && i < r->resolved->n; i++) {
		if (!r->answer[i].lookup)
			continue;
		r->answer[i].lookup->of = NULL;
		(void)uv_cancel((uv_req_t *)&r->answer[i].lookup->req);
	}
	if (r && r->deadline)
		uv_close((uv_handle_t *)r->deadline, free_handle);
	free(r);
}

static const char *why_not(int status)
{
	if (status == UV_ETIMEDOUT)
		return "no answer within 5 s";
	return status == UV_EAI_NONAME || status == UV_EAI_NODATA ? "no such host"
								  : uv_strerror(status);
}

static void take_answers(const struct resolving *r)
{
	for (size_t i = 0; i < r->resolved->n; i++) {
		struct named_peer *p = &r->resolved->peer[i];
		const struct answer *a = &r->answer[i];

		if (p->kind != NAMED_HOST)
			continue;
		if (a->status == 0 && a->list.n > 0)
			(void)named_peer_answer(p, &a->list);
		else
			named_peer_no_answer(p, why_not(a->status ? a->status : UV_EAI_NONAME));
	}
}

static void finish(struct resolving *r)
{
	resolve_fn done = r->done;
	void *arg = r->arg;

	take_answers(r);
	resolve_cancel(r);
	done(arg);
}

static void on_deadline(uv_timer_t *t)
{
	finish(t->data);
}

static void add_address(const struct sockaddr *from, struct cidr_list *to)
{
	char text[INET6_ADDRSTRLEN] = "";
	struct cidr_list one = {0};

	if (from->sa_family == AF_INET)
		(void)uv_ip4_name((const struct sockaddr_in *)(const void *)from, text,
				  sizeof(text));
	else if (from->sa_family == AF_INET6)
		(void)uv_ip6_name((const struct sockaddr_in6 *)(const void *)from, text,
				  sizeof(text));
	if (cidr_list_add(&one, text) == 0 && to->n < CIDRS_MAX && !cidr_list_has(to, &one.cidr[0]))
		to->cidr[to->n++] = one.cidr[0];
}

static void on_answer(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
	struct lookup *l = req->data;
	struct resolving *r = l->of;
	struct answer *a = r ? &r->answer[l->i] : NULL;

	for (const struct addrinfo *i = found; a && i; i = i->ai_next)
		add_address(i->ai_addr, &a->list);
	uv_freeaddrinfo(found);
	free(l);
	if (!a)
		return;
	a->lookup = NULL;
	a->status = status;
	if (--r->waiting == 0)
		finish(r);
}

/* Both families, whatever this host has itself. */
static void look_up(struct faults *all, struct resolving *r, size_t i)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct answer *a = &r->answer[i];
	struct lookup *l = calloc(1, sizeof(*l));

	a->status = l ? 0 : UV_ENOMEM;
	if (!l)
		return;
	*l = (struct lookup){.of = r, .i = i, .req = {.data = l}};
	a->status = uv_getaddrinfo(all->loop, &l->req, on_answer, r->resolved->peer[i].name, NULL,
				   &hints);
	if (a->status < 0) {
		free(l);
		return;
	}
	a->status = UV_ETIMEDOUT; /* until it is back */
	a->lookup = l;
	r->waiting++;
}

static bool set_deadline(struct faults *all, struct resolving *r)
{
	r->deadline = calloc(1, sizeof(*r->deadline));
	if (!r->deadline)
		return false;
	(void)uv_timer_init(all->loop, r->deadline);
	r->deadline->data = r;
	/* At once when there is nothing to wait for: nobody is called from within resolve_start().
	 */
	(void)uv_timer_start(r->deadline, on_deadline, r->waiting ? RESOLVE_DEADLINE_MS : 0, 0);
	return true;
}

struct resolving *resolve_start(struct faults *all, struct resolved *resolved, resolve_fn done,
				void *arg)
{
	struct resolving *r = calloc(1, sizeof(*r) + resolved->n * sizeof(r->answer[0]));

	if (!r)
		return NULL;
	*r = (struct resolving){.resolved = resolved, .done = done, .arg = arg};
	for (size_t i = 0; i < resolved->n; i++) {
		if (resolved->peer[i].kind == NAMED_HOST)
			look_up(all, r, i);
	}
	if (set_deadline(all, r))
		return r;
	resolve_cancel(r);
	return NULL;
}

/* Returns 0 with malloc'd text, NULL when there is no file; or a negative errno. */
static int read_sets(const char *path, char **ret, size_t *ret_length)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_
	char *text = NULL;
	ssize_t n;

	*ret = NULL;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	text = malloc(SETS_FILE_MAX);
	n = text ? read(fd, text, SETS_FILE_MAX) : -1;
	if (n < 0)
		return text ? -errno : -ENOMEM;
	if (n == SETS_FILE_MAX)
		return -EFBIG;
	*ret_length = (size_t)n;
	*ret = steal_pointer(text);
	return 0;
}

static int take_sets(const struct policy *policy, struct resolved *r, struct error *e)
{
	_cleanup_free_
	char *text = NULL;
	size_t length = 0;
	int got;

	(void)str_copy(r->sets_path, sizeof(r->sets_path), policy->network_sets);
	if (r->n == 0)
		return 0;
	got = read_sets(r->sets_path, &text, &length);
	if (got < 0)
		return error_set(e, ERROR_CONFLICT, got, "networkSets: cannot read %s: %s",
				 r->sets_path, strerror(-got));
	return resolved_take_sets(r, text, length, e);
}

/* The names among the parameters, and among whom all spare that have allowLockout; NULL when the
 * action is not about the network. */
static struct resolved *collect(const struct action *a, const void *params,
				const struct policy *policy, bool *ret_any)
{
	const struct peer_list *lists[8];
	size_t n = 0;

	*ret_any = false;
	for (size_t i = 0; i < a->n_rows && n < ARRAY_SIZE(lists); i++) {
		*ret_any |= str_eq(a->rows[i].name, "allowLockout");
		if (a->rows[i].type == ROW_PEERS)
			lists[n++] = (const void *)((const char *)params + a->rows[i].offset);
	}
	return *ret_any ? resolved_new(lists, n, &policy->network_spared) : NULL;
}

/* What is wrong with a request beside its names, faults_request() tells. */
static int collect_of(const struct faults *all, const struct request *q, struct resolved **ret,
		      struct error *e)
{
	const struct alias *alias;
	const struct action *a = action_find(q->action, &alias);
	_cleanup_free_
	void *params = a ? calloc(1, a->params_size) : NULL;
	uint64_t ms;
	bool any = false;
	int r = 0;

	*ret = NULL;
	if (!params || action_parse(a, alias, q->parameters, params, &ms, e) < 0)
		return 0;
	*ret = collect(a, params, all->policy, &any);
	if (any && !*ret)
		return error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
	if (*ret)
		r = take_sets(all->policy, *ret, e);
	if (r < 0) {
		free(*ret);
		*ret = NULL;
	}
	return r;
}

int faults_resolve(struct faults *all, struct request *q, resolve_fn done, void *arg,
		   struct resolving **ret, struct error *e)
{
	int r;

	*ret = NULL;
	if (!q->dry_run && fault_with_token(all, q->client_token))
		return 0; /* it will be answered with that fault */
	r = collect_of(all, q, &q->resolved, e);
	if (r < 0 || !resolved_has_hosts(q->resolved))
		return r;
	*ret = resolve_start(all, q->resolved, done, arg);
	return *ret ? 1 : error_set(e, ERROR_FAILED, -ENOMEM, "out of memory");
}

/* The row that all network actions have; its value is in milliseconds. */
static uint64_t resolve_every_ms(const struct fault *f)
{
	for (size_t i = 0; i < f->action->n_rows; i++) {
		const struct row *row = &f->action->rows[i];

		if (str_eq(row->name, "resolveEvery"))
			return *(const uint64_t *)(const void *)((const char *)f->params +
								 row->offset);
	}
	return 0;
}

void fault_set_resolve(struct fault *f)
{
	uint64_t ms = resolved_has_hosts(f->resolved) ? resolve_every_ms(f) : 0;

	f->resolve_boot_ns = ms ? boot_ns() + ms * NSEC_PER_MSEC : 0;
}

static void tell(struct fault *f, const char *text)
{
	log_fault(LEVEL_NOTICE, f->id, f->action->name, "%s", text);
	fault_note(f, text);
}

static void add_addresses(const struct cidr_list *list, struct text *t)
{
	for (uint32_t i = 0; i < list->n; i++) {
		char one[64];
		struct text o = TEXT(one);

		cidr_print(&list->cidr[i], &o);
		one[strcspn(one, "/")] = '\0';
		text_add(t, "%s%s", i ? "," : "", one);
	}
}

/* Of a host that does not resolve any more it is told when it begins, not each time. */
static void tell_host(struct fault *f, const struct named_peer *was, const struct named_peer *is)
{
	char text[TEXT_MAX];
	struct text t = TEXT(text);

	if (is->why[0] && !was->why[0]) {
		text_add(&t, "%s does not resolve: %s; what it was is kept", is->name, is->why);
		tell(f, text);
	}
	if (memcmp(&was->list, &is->list, sizeof(is->list)) == 0)
		return;
	t = TEXT(text);
	text_add(&t, "%s is now ", is->name);
	add_addresses(&is->list, &t);
	text_add(&t, ", was ");
	add_addresses(&was->list, &t);
	tell(f, text);
}

/* What cannot be had is let be: the fault goes on with what it had. */
static void use_answers(struct fault *f, struct resolved *fresh)
{
	struct resolved *was = f->resolved;
	bool changed = false;
	struct error e = {0};

	for (size_t i = 0; i < fresh->n; i++)
		changed |= memcmp(&was->peer[i].list, &fresh->peer[i].list,
				  sizeof(fresh->peer[i].list)) != 0;
	f->resolved = fresh;
	if (changed && fault_plan_anew(f, &e) < 0) {
		f->resolved = was;
		free(fresh);
		fault_note_once(f, e.message);
		return;
	}
	for (size_t i = 0; i < fresh->n; i++)
		tell_host(f, &was->peer[i], &fresh->peer[i]);
	free(was);
}

static void on_resolved_again(void *arg)
{
	struct fault *f = arg;
	struct resolved *fresh = f->fresh;

	f->resolving = NULL;
	f->fresh = NULL;
	use_answers(f, fresh);
	fault_set_resolve(f);
	alarm_set(f->owner);
}

void fault_resolve_again(struct fault *f)
{
	f->resolve_boot_ns = 0;
	f->fresh = resolved_copy(f->resolved);
	f->resolving = f->fresh ? resolve_start(f->owner, f->fresh, on_resolved_again, f) : NULL;
	if (f->resolving)
		return;
	fault_stop_resolving(f);
	fault_set_resolve(f); /* no memory now: another time */
}

void fault_stop_resolving(struct fault *f)
{
	resolve_cancel(f->resolving);
	free(f->fresh);
	f->resolving = NULL;
	f->fresh = NULL;
	f->resolve_boot_ns = 0;
}
