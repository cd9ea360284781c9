/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uv.h>

#include "api/api.h"
#include "api/auth.h"
#include "experiment/experiments.h"
#include "fault/faults.h"
#include "host/processes.h"
#include "listen.h"
#include "util/cleanup.h"
#include "util/log.h"

#define CONFIG_MAX    (256 * 1024)
#define READY_POLL_MS 20
/* libuv lets at most half of them wait for a resolver. They begin with the first name. */
#define RESOLVER_THREADS "64"
/* For threads that wait for a resolver, a disk or systemd when all else is over. */
#define THREADS_WAIT_MS 1000
#define GUARDIAN_WAIT_MS \
	2000 /* READY is not said before the guardian is there, or this long passed */

struct daemon {
	const struct daemon_options *options;
	uv_loop_t loop;
	struct policy policy;
	struct faults *faults;
	struct experiments *experiments;
	struct api api;
	struct http *http, *remote; /* `remote` NULL: no TCP */
	int listen_fd, remote_fd;
	bool own_socket;
	char remote_name[LISTEN_NAME_MAX];
	uv_signal_t on_term, on_int, on_hup;
	uv_timer_t watchdog, ready, patience;
	struct fault_listener listener;
	char load_path[PATH_MAX], guardian_path[PATH_MAX];
	uint64_t waited_ms;
	bool stopping;
	int status;
};

/* Reads the whole file. Returns 0 with malloc'd text, or a negative errno. */
static int read_file(const char *path, char **ret, size_t *ret_length, mode_t *ret_mode)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_
	char *text = malloc(CONFIG_MAX);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	n = text ? read(fd, text, CONFIG_MAX) : -1;
	if (n < 0)
		return text ? -errno : -ENOMEM;
	if (n == CONFIG_MAX)
		return -EFBIG;
	*ret_length = (size_t)n;
	*ret_mode = st.st_mode & 0777;
	*ret = steal_pointer(text);
	return 0;
}

/* Secrets that others may read are none; what others may write is not our configuration. */
static int check_mode(const struct policy *p, mode_t mode, struct error *e)
{
	if (!access_has_secrets(p->access) || (mode & ~0640) == 0)
		return 0;
	return error_set(e, ERROR_FAILED, -EPERM,
			 "accessKeys: the file has secrets and mode %04o; allowed: mode 0640 or "
			 "stricter",
			 (unsigned)mode);
}

static int read_config(const struct daemon_options *o, struct policy *ret, struct error *e)
{
	_cleanup_free_
	char *text = NULL;
	const struct access_lookup lookup = {.user = user_lookup, .group = group_lookup};
	size_t length = 0;
	mode_t mode = 0;
	struct error inner;
	int r = read_file(o->config, &text, &length, &mode);

	if (r == -ENOENT && !o->config_required)
		return policy_parse(NULL, 0, NULL, ret, e);
	if (r < 0)
		return error_set(e, ERROR_FAILED, r, "--config: cannot read %s: %s", o->config,
				 strerror(-r));
	r = policy_parse(text, length, &lookup, ret, &inner);
	if (text)
		explicit_bzero(text, length);
	if (r == 0) {
		r = check_mode(ret, mode, &inner);
		if (r < 0)
			policy_done(ret);
	}
	return r < 0 ? error_set(e, ERROR_FAILED, r, "--config: %s: %s", o->config, inner.message)
		     : 0;
}

/* Finds a program of ours: beside this one (a build tree has each in its own folder), else
 * installed. */
static bool find_program(const char *folder, const char *name, char *ret)
{
	char self[PATH_MAX / 2];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t length = 0;

	self[n > 0 ? n : 0] = '\0';
	if (n > 0)
		length = (size_t)(strrchr(self, '/') - self);
	for (int i = 0; i < 4; i++) {
		if (i == 0)
			(void)snprintf(ret, PATH_MAX, "%.*s/%s", (int)length, self, name);
		else if (i == 1)
			(void)snprintf(ret, PATH_MAX, "%.*s/%s/%s", (int)length, self, folder,
				       name);
		else
			(void)snprintf(ret, PATH_MAX, "%s/%s",
				       i == 2 ? FAULTD_LIBEXECDIR : FAULTD_SBINDIR, name);
		if (access(ret, X_OK) == 0)
			return true;
	}
	return false;
}

static void tell_supervisor(struct daemon *d)
{
	size_t open = faults_count_open(d->faults), stuck = faults_count_stuck(d->faults);

	(void)sd_notifyf(0, "STATUS=%zu fault%s open%s%s", open, open == 1 ? "" : "s",
			 stuck ? ", SOME NOT PUT BACK: faultctl list" : "",
			 faults_guardian_connected(d->faults) ? "" : ", no guardian");
}

static void on_fault_event(struct fault *f, void *arg)
{
	tell_supervisor(arg);
}

static void on_guardian_event(void *arg)
{
	tell_supervisor(arg);
}

static void on_watchdog(uv_timer_t *t)
{
	const struct daemon *d = t->data;

	/* A loop that turns but does not end its faults is hung all the same: then no ping. */
	if (faults_healthy(d->faults))
		(void)sd_notify(0, "WATCHDOG=1");
}

static void say_ready(struct daemon *d)
{
	if (!faults_guardian_connected(d->faults))
		log_warning("no guardian is connected yet: no fault is accepted until one is");
	log_info("ready on %s",
		 d->own_socket ? d->options->socket : "the socket passed by the supervisor");
	if (d->remote)
		log_info("FIS API on http://%s", d->remote_name);
	(void)sd_notify(0, "READY=1");
	tell_supervisor(d);
}

/* Asked every 20 ms for at most GUARDIAN_WAIT_MS, at the start only. */
static void on_ready_timer(uv_timer_t *t)
{
	struct daemon *d = t->data;

	d->waited_ms += READY_POLL_MS;
	if (!faults_guardian_connected(d->faults) && d->waited_ms < GUARDIAN_WAIT_MS)
		return;
	say_ready(d);
	uv_close((uv_handle_t *)t, NULL);
}

static void close_handle(uv_handle_t *h, void *arg)
{
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void on_patience_over(uv_timer_t *t)
{
	uv_stop(t->loop);
}

static void stop(struct daemon *d, const char *why)
{
	size_t left;

	if (d->stopping)
		return;
	d->stopping = true;
	(void)sd_notify(0, "STOPPING=1");
	log_notice("stopping: %s", why);
	faults_close(d->faults);
	faults_stop_all(d->faults, "faultd is stopping");
	left = faults_finish(d->faults);
	if (left > 0) {
		log_error("%zu faults could not be put back; the guardian tries again", left);
		d->status = 3;
	}
	faults_unlisten(d->faults, &d->listener);
	http_stop(d->http);
	if (d->remote)
		http_stop(d->remote);
	experiments_stop(d->experiments, "faultd was stopped");
	if (d->own_socket)
		(void)unlink(d->options->socket);
	faults_release(d->faults);
	uv_close((uv_handle_t *)&d->on_term, NULL);
	uv_close((uv_handle_t *)&d->on_int, NULL);
	uv_close((uv_handle_t *)&d->on_hup, NULL);
	if (!uv_is_closing((uv_handle_t *)&d->watchdog))
		uv_close((uv_handle_t *)&d->watchdog, NULL);
	if (!uv_is_closing((uv_handle_t *)&d->ready))
		uv_close((uv_handle_t *)&d->ready, NULL);
	(void)uv_timer_start(&d->patience, on_patience_over, THREADS_WAIT_MS, 0);
}

static void on_stop_signal(uv_signal_t *s, int signum)
{
	stop(s->data, signum == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void take_policy(struct daemon *d, struct policy *fresh)
{
	struct policy old = d->policy;
	const char *fixed = fis_settings_keep(&fresh->fis, &old.fis);

	if (fixed)
		log_warning("fis.%s stays as it is until faultd is started anew", fixed);
	/* Open faults share their hooks with new ones. */
	if (faults_count_open(d->faults) > 0 && fresh->hook != old.hook) {
		log_warning("classifierHook stays as it is while faults are open");
		fresh->hook = old.hook;
	}
	d->policy = *fresh;
	/* Nobody keeps anything of a policy from one turn of the loop to the next. */
	policy_done(&old);
}

/* A broken configuration changes nothing: the old one stays. */
static void on_reload(uv_signal_t *s, int signum)
{
	struct daemon *d = s->data;
	struct policy fresh;
	struct error e;

	(void)sd_notify(0, "RELOADING=1");
	if (read_config(d->options, &fresh, &e) < 0) {
		log_error("not reloaded, the old configuration stays: %s", e.message);
	} else {
		take_policy(d, &fresh);
		experiments_reload(d->experiments);
		log_info("reloaded %s", d->options->config);
	}
	(void)sd_notify(0, "READY=1");
}

static void start_signals(struct daemon *d)
{
	const struct {
		uv_signal_t *handle;
		int signum;
		uv_signal_cb callback;
	} signals[] = {{&d->on_term, SIGTERM, on_stop_signal},
		       {&d->on_int, SIGINT, on_stop_signal},
		       {&d->on_hup, SIGHUP, on_reload}};

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		(void)uv_signal_init(&d->loop, signals[i].handle);
		signals[i].handle->data = d;
		(void)uv_signal_start(signals[i].handle, signals[i].callback, signals[i].signum);
	}
}

static void start_timers(struct daemon *d)
{
	uint64_t watchdog_us = 0;

	(void)uv_timer_init(&d->loop, &d->watchdog);
	(void)uv_timer_init(&d->loop, &d->ready);
	(void)uv_timer_init(&d->loop, &d->patience);
	uv_unref((uv_handle_t *)&d->patience); /* it holds up nothing itself */
	d->watchdog.data = d->ready.data = d;
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		(void)uv_timer_start(&d->watchdog, on_watchdog, 0, watchdog_us / 2000);
	(void)uv_timer_start(&d->ready, on_ready_timer, READY_POLL_MS, READY_POLL_MS);
}

/* Each connection takes a descriptor or two; the soft limit is often 1024. */
static void raise_descriptor_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max < 65536 ? l.rlim_max : 65536;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

/* Faults must not starve the one who ends them. What is not permitted is done without. */
static void raise_priority(void)
{
	static const char score[] = "-900";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, score, strlen(score)) < 0)
		log_debug("cannot lower the OOM score: %s; going on without", strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	if (setpriority(PRIO_PROCESS, 0, -10) < 0)
		log_debug("cannot raise the priority: %s; going on without", strerror(errno));
}

static int make_dir(const char *path, const char *option, struct error *e)
{
	struct stat st;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return error_set(e, ERROR_FAILED, -errno, "%s: cannot make %s: %s", option, path,
				 strerror(errno));
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return error_set(e, ERROR_FAILED, -ENOTDIR, "%s: %s is not a directory", option,
				 path);
	return 0;
}

static int start_faults(struct daemon *d, struct error *e)
{
	/* Under a supervisor the guardian is a unit of its own: in our cgroup it would be killed
	 * with us. */
	bool supervised = getenv("NOTIFY_SOCKET") != NULL;
	struct faults_setup setup = {.loop = &d->loop,
				     .runtime_dir = d->options->runtime_dir,
				     .state_dir = d->options->state_dir,
				     .load_path = d->load_path,
				     .guardian_path = supervised ? NULL : d->guardian_path,
				     .policy = &d->policy};

	if (!find_program("load", "faultd-load", d->load_path))
		return error_set(e, ERROR_FAILED, -ENOENT,
				 "faultd-load is neither beside faultd nor in %s",
				 FAULTD_LIBEXECDIR);
	if (!supervised && !find_program("guardian", "faultd-guardian", d->guardian_path)) {
		log_error(
			"faultd-guardian is neither beside faultd nor in %s: no fault will be accepted",
			FAULTD_LIBEXECDIR);
		setup.guardian_path = NULL;
	}
	return faults_start(&setup, &d->faults, e);
}

/* Before anything is started that would inherit a passed socket, or would have to be stopped again
 * when the path is taken. Who connects now is served when all is put back and ready. */
static int open_socket(struct daemon *d, struct error *e)
{
	gid_t gid = (gid_t)-1;

	(void)group_lookup(d->policy.group, &gid);
	d->listen_fd = listen_open(d->options->socket, gid, &d->own_socket, e);
	if (d->listen_fd < 0 || !d->policy.fis.listen[0])
		return d->listen_fd < 0 ? d->listen_fd : 0;
	d->remote_fd = listen_loopback(d->policy.fis.listen, d->remote_name, e);
	return d->remote_fd < 0 ? d->remote_fd : 0;
}

static int start_api(struct daemon *d, struct error *e)
{
	const struct http_service service = {
		.handle = api_handle, .body_max = api_body_max, .arg = &d->api};
	int r;

	d->api = (struct api){.faults = d->faults,
			      .experiments = d->experiments,
			      .policy = &d->policy,
			      .identity = experiments_identity(d->experiments)};
	r = http_start(&d->loop, d->listen_fd, &service, &d->http);
	if (r == 0 && d->policy.fis.listen[0])
		r = http_start(&d->loop, d->remote_fd, &service, &d->remote);
	return r < 0 ? error_set(e, ERROR_FAILED, r, "cannot start the HTTP server: %s",
				 strerror(-r))
		     : 0;
}

static int start_experiments(struct daemon *d, struct error *e)
{
	const struct experiments_setup setup = {.loop = &d->loop,
						.faults = d->faults,
						.policy = &d->policy,
						.state_dir = d->options->state_dir};

	return experiments_start(&setup, &d->experiments, e);
}

static int start(struct daemon *d, struct error *e)
{
	int r = read_config(d->options, &d->policy, e);

	if (r == 0)
		r = make_dir(d->options->runtime_dir, "--runtime-dir", e);
	if (r == 0)
		r = make_dir(d->options->state_dir, "--state-dir", e);
	if (r == 0)
		r = open_socket(d, e);
	if (r == 0)
		r = start_faults(d, e);
	if (r == 0)
		r = start_experiments(d, e);
	if (r == 0)
		r = start_api(d, e);
	if (r < 0)
		return r;
	d->listener = (struct fault_listener){
		.event = on_fault_event, .guardian = on_guardian_event, .arg = d};
	faults_listen(d->faults, &d->listener);
	start_signals(d);
	start_timers(d);
	return 0;
}

int daemon_run(const struct daemon_options *options)
{
	struct daemon d = {.options = options};
	struct error e;

	raise_descriptor_limit();
	raise_priority();
	(void)setenv("UV_THREADPOOL_SIZE", RESOLVER_THREADS, 0);
	if (uv_loop_init(&d.loop) < 0) {
		log_error("cannot make an event loop");
		return 1;
	}
	if (start(&d, &e) < 0) {
		log_error("%s", e.message);
		if (d.own_socket)
			(void)unlink(options->socket);
		(void)uv_loop_close(&d.loop); /* open handles, if any, go with the process */
		policy_done(&d.policy);
		return 1;
	}
	(void)uv_run(&d.loop, UV_RUN_DEFAULT);
	/* A thread hangs, and libuv would wait for it; everything else is done. */
	if (uv_loop_alive(&d.loop))
		_exit(d.status);
	uv_walk(&d.loop, close_handle, NULL);
	(void)uv_run(&d.loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&d.loop);
	http_free(d.http);
	http_free(d.remote);
	experiments_free(d.experiments);
	faults_free(d.faults);
	policy_done(&d.policy);
	return d.status;
}
