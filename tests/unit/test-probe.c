/* SPDX-License-Identifier: Apache-2.0 */
/* Stop conditions on a real loop: how they stand at the start, what they tell later, what is wrong
 * with a value, and that they can be stopped at any moment. */
#include "test.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cloud/cloud.h"
#include "experiment/probe.h"
#include "experiment/prometheus.h"
#include "host/cgroups.h"
#include "host/units.h"
#include "plan/policy.h"
#include "util/log.h"

#define PATIENCE_MS 15000

/* A web server that answers all alike. */
struct server {
	uv_tcp_t tcp;
	unsigned port; /* 0: there is none */
	unsigned asked;
	unsigned status;
	const char *body;
	uint64_t delay_ms;
};

/* A loop, what was told on it, and who is watched. */
struct scene {
	uv_loop_t loop;
	struct server server;
	uv_timer_t patience;
	struct probe_env env;
	struct policy policy;
	struct probe *p;
	unsigned told, told_first;
	enum probe_state state;
	char reason[PROBE_REASON_MAX];
	uint64_t told_ns;
	bool stop_when_told, lost_patience;
};

static void set_scene(struct scene *s)
{
	struct cloud_setup setup = {.loop = &s->loop,
				    .metadata_endpoint = "http://169.254.169.254"};

	memset(s, 0, sizeof(*s));
	assert_int_equal(uv_loop_init(&s->loop), 0);
	assert_int_equal(uv_timer_init(&s->loop, &s->patience), 0);
	s->patience.data = s;
	s->env = (struct probe_env){.loop = &s->loop, .policy = &s->policy};
	assert_int_equal(cloud_start(&setup, &s->env.cloud), 0);
}

static void on_told(struct probe *p, enum probe_state state, const char *reason, bool first,
		    void *arg)
{
	struct scene *s = arg;

	assert_non_null(s->p); /* never from within probe_start() */
	assert_ptr_equal(p, s->p);
	s->told++;
	s->told_first += first;
	assert_true(first == (s->told == 1));
	assert_true(first || state == PROBE_FIRED);
	s->state = state;
	s->told_ns = uv_hrtime();
	uv_stop(&s->loop);
	(void)snprintf(s->reason, sizeof(s->reason), "%s", reason);
	if (s->stop_when_told) {
		probe_stop(s->p);
		s->p = NULL;
	}
}

static void watch(struct scene *s, const char *source, const char *value)
{
	const struct probe_type *t = probe_type_find(source);
	struct error e = {0};

	assert_non_null(t);
	if (probe_start(t, value, &s->env, on_told, s, &s->p, &e) < 0)
		fail_msg("%s %s: %s", source, value, e.message);
	assert_int_equal(s->told, 0);
}

static void on_impatient(uv_timer_t *timer)
{
	((struct scene *)timer->data)->lost_patience = true;
}

/* Until that much was told. */
static void await_told(struct scene *s, unsigned n)
{
	(void)uv_timer_start(&s->patience, on_impatient, PATIENCE_MS, 0);
	while (s->told < n && !s->lost_patience)
		(void)uv_run(&s->loop, UV_RUN_ONCE);
	if (s->told < n)
		fail_msg("%u told after %d s, not %u; the last: %s", s->told, PATIENCE_MS / 1000, n,
			 s->reason);
	(void)uv_timer_stop(&s->patience);
}

/* For so long, or until something is told. */
static void run_for(struct scene *s, uint64_t ms)
{
	unsigned before = s->told;

	s->lost_patience = false;
	(void)uv_timer_start(&s->patience, on_impatient, ms, 0);
	while (s->told == before && !s->lost_patience)
		(void)uv_run(&s->loop, UV_RUN_ONCE);
	(void)uv_timer_stop(&s->patience);
	s->lost_patience = false;
}

/* Stops what is watched; nothing may be left on the loop, and nothing told any more. */
static void clear_scene(struct scene *s)
{
	unsigned before = s->told;

	probe_stop(s->p);
	uv_close((uv_handle_t *)&s->patience, NULL);
	if (s->server.port)
		uv_close((uv_handle_t *)&s->server.tcp, NULL);
	/* The probe first: what it may use outlives it. */
	for (int i = 0; i < 3; i++)
		(void)uv_run(&s->loop, UV_RUN_NOWAIT);
	cloud_stop(s->env.cloud);
	(void)uv_run(&s->loop, UV_RUN_DEFAULT);
	cloud_free(s->env.cloud);
	assert_int_equal(s->told, before);
	assert_int_equal(uv_loop_close(&s->loop), 0);
}

static void assert_says(const struct scene *s, enum probe_state state, const char *reason)
{
	if (s->state != state || !strstr(s->reason, reason))
		fail_msg("told %d \"%s\", not %d \"%s\"", (int)s->state, s->reason, (int)state,
			 reason);
}

/* Starts it and looks at what is told first. */
static void assert_first(const char *source, const char *value, enum probe_state state,
			 const char *reason)
{
	struct scene s;

	set_scene(&s);
	watch(&s, source, value);
	await_told(&s, 1);
	assert_says(&s, state, reason);
	clear_scene(&s);
}

static void wrong(const char *source, const char *value, const char *expected)
{
	struct problems problems = {0};
	char all[2048] = "";
	int r = probe_parse(probe_type_find(source), value, "stopConditions[0].value", NULL,
			    &problems);

	for (size_t i = 0; i < problems.n; i++) {
		assert_string_equal(problems.problem[i].path, "stopConditions[0].value");
		(void)strncat(all, i ? "\n" : "", sizeof(all) - strlen(all) - 1);
		(void)strncat(all, problems.problem[i].text, sizeof(all) - strlen(all) - 1);
	}
	assert_string_equal(all, expected);
	assert_int_equal(r, expected[0] ? -EINVAL : 0);
	if (expected[0])
		assert_int_equal(problems.code, ERROR_VALIDATION);
	problems_done(&problems);
}

static void test_table(void **state)
{
	assert_null(probe_type_find("none"));
	assert_null(probe_type_find(""));
	assert_null(probe_type_find("host:"));
	for (size_t i = 0; i < n_probe_types; i++)
		assert_ptr_equal(probe_type_find(probe_types[i]->source), probe_types[i]);
}

#define PSI_NAMES "resource, kind, stall, window, cgroup, unreadable"

static void test_wrong_pairs(void **state)
{
	char *value = malloc(PROBE_VALUE_MAX + 2);
	struct problems problems = {0};

	wrong("host:psi", NULL, "required by host:psi and not given");
	wrong("host:psi", "", "required by host:psi and not given");
	wrong("host:psi", " \t",
	      "resource: required and not given; allowed: cpu, memory, io\n"
	      "stall: required and not given; allowed: 1ms to 10s");
	wrong("host:psi", "resource=cpu stall=1ms", "");
	wrong("host:psi", " resource=\"cpu\"\tstall=\"1ms\"\n", "");
	wrong("host:psi", "resource=cpu stall",
	      "stall: is not name=value\n"
	      "stall: required and not given; allowed: 1ms to 10s");
	wrong("host:psi", "resource=cpu stall=1ms =5", "=: is not name=value");
	wrong("host:psi", "resource=cpu stall=1ms colour=red",
	      "colour: unknown name; allowed: " PSI_NAMES);
	wrong("host:psi", "resource=cpu stall=1ms stall=2ms",
	      "stall: given twice; allowed: each name once");
	wrong("host:psi", "resource=\"cpu stall=1ms",
	      "resource: its quotes are not closed\n"
	      "resource: required and not given; allowed: cpu, memory, io\n"
	      "stall: required and not given; allowed: 1ms to 10s");
	wrong("host:psi", "resource=\"cpu\"x stall=1ms",
	      "resource: behind the closing quote there is no blank\n"
	      "resource: required and not given; allowed: cpu, memory, io");
	wrong("host:psi", "resource=cpu stall=1ms cgroup=",
	      "cgroup: an empty text is not a value; allowed: text of 1 to 319 bytes");
	/* All at once */
	wrong("host:psi", "resource=disk kind=most stall=5 window=1m unreadable=no x=1",
	      "x: unknown name; allowed: " PSI_NAMES "\n"
	      "resource: disk is not one of them; allowed: cpu, memory, io\n"
	      "kind: most is not one of them; allowed: some, full\n"
	      "stall: 5 has no unit; allowed: a number with its unit, such as 500ms, 30s, 5m, 1h, "
	      "1m30s or PT5M\n"
	      "window: 1m is out of range; allowed: 500ms to 10s\n"
	      "unreadable: no is not one of them; allowed: stop, ignore");
	memset(value, ' ', PROBE_VALUE_MAX + 1);
	value[PROBE_VALUE_MAX + 1] = '\0';
	wrong("host:psi", value, "2049 bytes are too long; allowed: 1 to 2048");
	memset(value, 'x', PROBE_VALUE_MAX);
	value[PROBE_VALUE_MAX] = '\0';
	assert_int_equal(probe_parse(probe_type_find("host:psi"), value, "", NULL, &problems),
			 -EINVAL);
	assert_int_equal(problems.n, 3);
	problems_done(&problems);
	free(value);
}

static void test_wrong_psi(void **state)
{
	wrong("host:psi", "resource=cpu kind=full stall=1ms",
	      "kind: of the whole host never all tasks wait for the CPU; allowed: some");
	wrong("host:psi", "resource=cpu kind=full stall=1ms cgroup=/a", "");
	wrong("host:psi", "resource=memory stall=2s",
	      "stall: 2s do not fit into the window; allowed: 1ms to 1s, the window");
}

/* A cgroup of v2 that is ours, so that its pressure is that of our own tasks. Skips when there can
 * be none. */
static void make_cgroup(char *directory, size_t size, char *path, size_t path_size)
{
	static unsigned count;
	struct cgroup_layout layout;

	assert_int_equal(cgroup_layout_read(&layout), 0);
	for (size_t i = 0; i < layout.n; i++) {
		if (!layout.hierarchy[i].v2)
			continue;
		(void)snprintf(path, path_size, "/faultd-test-probe-%d-%u", (int)getpid(), count++);
		(void)snprintf(directory, size, "%s%s", layout.hierarchy[i].mount, path);
		if (mkdir(directory, 0755) == 0) {
			char file[512];

			(void)snprintf(file, sizeof(file), "%s/cpu.pressure", directory);
			if (access(file, R_OK) == 0)
				return;
			(void)rmdir(directory);
		}
	}
	print_message("skipped: no cgroup of v2 with pressure can be made here\n");
	skip();
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
}

#define BUSY_MS 900

static void *be_busy(void *arg)
{
	uint64_t until = uv_hrtime() + BUSY_MS * 1000000ULL;

	while (uv_hrtime() < until)
		;
	return NULL;
}

/* Two threads on one CPU, in the cgroup if there is one, as soon as a byte comes: one of them
 * always waits. */
static pid_t start_hog(const char *directory, int start_fd)
{
	pid_t pid = fork();
	pthread_t thread;
	char file[512], byte;
	cpu_set_t one;

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)!nice(10); /* not to the cost of who watches */
	(void)snprintf(file, sizeof(file), "%s/cgroup.procs", directory ? directory : "");
	if (directory)
		put(file, "0");
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
	if (read(start_fd, &byte, 1) == 1 && pthread_create(&thread, NULL, be_busy, NULL) == 0)
		(void)be_busy(NULL);
	_exit(EXIT_SUCCESS);
}

#define STALL_MS 200

/* What the kernel says, read often, to know when it came to that. Not more often: what was stalled
 * between two reads is weighed by the ticks between them, and lost when there is none. */
#define METER_MS 20
struct meter {
	uv_timer_t timer;
	int fd;
	uint64_t first_us, crossed_ns;
};

static uint64_t read_total(int fd)
{
	char text[256] = "";
	uint64_t total = 0;
	const char *found;

	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	found = strstr(text, "total=");
	assert_non_null(found);
	assert_int_equal(sscanf(found, "total=%" SCNu64, &total), 1);
	return total;
}

static void on_meter(uv_timer_t *timer)
{
	struct meter *m = timer->data;

	if (!m->crossed_ns && read_total(m->fd) - m->first_us >= STALL_MS * 1000)
		m->crossed_ns = uv_hrtime();
}

/* Root of a user namespace has CAP_SYS_RESOURCE, and with it the kernel's triggers: where the test
 * itself has it not, that is how they are seen. */
static void become_privileged(void)
{
	if (unshare(CLONE_NEWUSER) < 0) {
		print_message("skipped: no user namespace can be made here\n");
		skip();
	}
	put("/proc/self/uid_map", "0 0 1");
}

static void on_turn(uv_prepare_t *turn)
{
	(*(unsigned *)turn->data)++;
}

/* How often the loop goes round while all is well. */
static unsigned count_turns(struct scene *s, uint64_t ms)
{
	unsigned turns = 0;
	uv_prepare_t turn;

	(void)uv_prepare_init(&s->loop, &turn);
	turn.data = &turns;
	(void)uv_prepare_start(&turn, on_turn);
	run_for(s, ms);
	uv_close((uv_handle_t *)&turn, NULL);
	(void)uv_run(&s->loop, UV_RUN_NOWAIT);
	return turns;
}

/* From the moment it came to that to the moment it was told, in milliseconds. */
static int64_t measure_reaction(const char *directory, const char *path, const char *window,
				bool privileged)
{
	char value[512], file[512];
	struct scene s;
	struct meter m = {0};
	int fds[2];
	pid_t hog;

	assert_int_equal(pipe(fds), 0);
	hog = start_hog(directory, fds[0]);
	assert_true(hog > 0);
	if (privileged)
		become_privileged();
	(void)snprintf(file, sizeof(file), "%s/cpu.pressure", directory);
	m.fd = open(file, O_RDONLY | O_CLOEXEC);
	assert_true(m.fd >= 0);
	set_scene(&s);
	(void)snprintf(value, sizeof(value), "resource=cpu stall=%dms window=%s cgroup=%s",
		       STALL_MS, window, path);
	watch(&s, "host:psi", value);
	await_told(&s, 1);
	assert_says(&s, PROBE_FINE, "");
	assert_in_range(count_turns(&s, 400), 1, privileged ? 3 : 12);
	m.first_us = read_total(m.fd);
	(void)uv_timer_init(&s.loop, &m.timer);
	m.timer.data = &m;
	(void)uv_timer_start(&m.timer, on_meter, 0, METER_MS);
	assert_int_equal(write(fds[1], "g", 1), 1);
	await_told(&s, 2);
	assert_says(&s, PROBE_FIRED, "cpu of /faultd-test-probe-");
	uv_close((uv_handle_t *)&m.timer, NULL);
	clear_scene(&s);
	(void)close(m.fd);
	(void)close(fds[0]);
	(void)close(fds[1]);
	assert_int_equal(waitpid(hog, NULL, 0), hog);
	print_message("window %s%s: told %" PRId64 " ms after it was so: %s\n", window,
		      privileged ? ", privileged" : "",
		      m.crossed_ns ? ((int64_t)s.told_ns - (int64_t)m.crossed_ns) / 1000000 : 0,
		      s.reason);
	return m.crossed_ns ? ((int64_t)s.told_ns - (int64_t)m.crossed_ns) / 1000000 : 0;
}

static const char *const windows[] = {"500ms", "1s", "5s"};

/* Once in so many times a busy machine leaves us the CPU in time. */
#define TRIES       5
#define REACTION_MS 100

static void test_psi_reaction(void **state)
{
	char directory[512], path[CGROUP_PATH_MAX];

	for (size_t i = 0; i < COUNT(windows); i++) {
		int64_t took = INT64_MAX;

		for (int tries = 0; tries < TRIES && took >= REACTION_MS; tries++) {
			make_cgroup(directory, sizeof(directory), path, sizeof(path));
			took = measure_reaction(directory, path, windows[i], false);
			assert_int_equal(rmdir(directory), 0);
		}
		assert_true(took < REACTION_MS);
	}
}

static char the_directory[512], the_path[CGROUP_PATH_MAX];
static const char *the_window;

static void test_psi_privileged(void **state)
{
	assert_true(measure_reaction(the_directory, the_path, the_window, true) < REACTION_MS);
}

/* In a process of its own, for which there is no way back. Returns how many tests failed. */
static int run_privileged(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_psi_privileged)};
	int status = 0;
	pid_t pid;

	make_cgroup(the_directory, sizeof(the_directory), the_path, sizeof(the_path));
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		cmocka_set_test_filter(NULL);
		status = cmocka_run_group_tests(tests, NULL, NULL);
		(void)fflush(stdout);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(rmdir(the_directory), 0);
	return status;
}

static void test_psi_triggers(void **state)
{
	for (size_t i = 0; i < COUNT(windows); i++) {
		int failed = 1;

		the_window = windows[i];
		for (int tries = 0; tries < TRIES && failed; tries++)
			failed = run_privileged();
		assert_int_equal(failed, 0);
	}
}

static void test_psi_first(void **state)
{
	assert_first("host:psi", "resource=memory kind=full stall=10s window=10s", PROBE_FINE, "");
	assert_first("host:psi", "resource=cpu stall=1ms cgroup=/faultd-no-such", PROBE_FIRED,
		     "cannot be told: /faultd-no-such: no such cgroup");
	assert_first("host:psi", "resource=cpu stall=1ms cgroup=/faultd-no-such unreadable=ignore",
		     PROBE_UNREADABLE, "cannot be told: /faultd-no-such: no such cgroup");
}

/* Of the whole host, which may have been under such pressure before. */
static void test_psi_host(void **state)
{
	struct scene s;
	int fds[2];
	pid_t hog;

	assert_int_equal(pipe(fds), 0);
	hog = start_hog(NULL, fds[0]);
	assert_true(hog > 0);
	set_scene(&s);
	watch(&s, "host:psi", "resource=cpu stall=5ms window=500ms");
	await_told(&s, 1);
	if (s.state == PROBE_FIRED) {
		assert_says(&s, PROBE_FIRED, " % of the last 10 s; allowed: less than 1 %");
	} else {
		assert_says(&s, PROBE_FINE, "/proc/pressure/cpu");
		assert_int_equal(write(fds[1], "g", 1), 1);
		await_told(&s, 2);
		assert_says(&s, PROBE_FIRED, "cpu: some tasks stalled ");
	}
	clear_scene(&s);
	(void)close(fds[0]);
	(void)close(fds[1]);
	(void)kill(hog, SIGKILL);
	assert_int_equal(waitpid(hog, NULL, 0), hog);
}

static void test_psi_cgroup_goes(void **state)
{
	char directory[512], path[CGROUP_PATH_MAX], value[512];
	struct scene s;

	make_cgroup(directory, sizeof(directory), path, sizeof(path));
	set_scene(&s);
	(void)snprintf(value, sizeof(value), "resource=io stall=500ms cgroup=%s", path);
	watch(&s, "host:psi", value);
	await_told(&s, 1);
	assert_says(&s, PROBE_FINE, "");
	assert_int_equal(rmdir(directory), 0);
	await_told(&s, 2);
	assert_says(&s, PROBE_FIRED, "io.pressure: the cgroup is gone");
	clear_scene(&s);
}

/* At a moment between the start and what is told, and from within the callback. */
static void stop_at_any_moment(const char *source, const char *value, unsigned times)
{
	uint64_t seed = 5;

	for (unsigned i = 0; i < times; i++) {
		struct scene s;

		set_scene(&s);
		watch(&s, source, value);
		s.stop_when_told = i % 3 == 0;
		for (size_t turns = random_below(&seed, 4); turns > 0 && s.p; turns--)
			(void)uv_run(&s.loop, UV_RUN_NOWAIT);
		if (i % 2 && s.p)
			run_for(&s, random_below(&seed, 30));
		clear_scene(&s);
	}
}

static void test_psi_stops(void **state)
{
	stop_at_any_moment("host:psi", "resource=cpu stall=500ms window=500ms", 60);
	stop_at_any_moment("host:psi", "resource=cpu stall=500ms window=500ms cgroup=/no-such", 6);
}

/* One that asks. */
struct client {
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_write_t write;
	struct server *server;
	unsigned open;
	size_t n;
	char in[4096], out[8192];
};

static void on_client_closed(uv_handle_t *h)
{
	struct client *c = h->data;

	if (--c->open == 0)
		free(c);
}

static void close_client(struct client *c)
{
	if (uv_is_closing((uv_handle_t *)&c->tcp))
		return;
	uv_close((uv_handle_t *)&c->tcp, on_client_closed);
	uv_close((uv_handle_t *)&c->timer, on_client_closed);
}

static void on_written(uv_write_t *w, int status)
{
	close_client(w->data);
}

static void answer(uv_timer_t *timer)
{
	struct client *c = timer->data;
	const struct server *s = c->server;
	uv_buf_t b;

	(void)snprintf(c->out, sizeof(c->out),
		       "HTTP/1.1 %u Some\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
		       s->status, strlen(s->body), s->body);
	b = uv_buf_init(c->out, (unsigned)strlen(c->out));
	c->write.data = c;
	(void)uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written);
}

static void give_room(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
	struct client *c = h->data;

	*ret = uv_buf_init(c->in + c->n, (unsigned)(sizeof(c->in) - c->n - 1));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
	struct client *c = stream->data;

	if (n < 0) {
		close_client(c);
		return;
	}
	c->n += (size_t)n;
	c->in[c->n] = '\0';
	if (!strstr(c->in, "\r\n\r\n"))
		return;
	c->n = 0;
	c->server->asked++;
	(void)uv_timer_start(&c->timer, answer, c->server->delay_ms, 0);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct client *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->server = stream->data;
	(void)uv_tcp_init(stream->loop, &c->tcp);
	(void)uv_timer_init(stream->loop, &c->timer);
	c->tcp.data = c->timer.data = c;
	c->open = 2;
	assert_int_equal(uv_accept(stream, (uv_stream_t *)&c->tcp), 0);
	(void)uv_read_start((uv_stream_t *)&c->tcp, give_room, on_read);
}

static void serve(struct scene *s, unsigned status, const char *body)
{
	struct sockaddr_in a;
	int size = sizeof(a);

	s->server.status = status;
	s->server.body = body;
	s->server.tcp.data = &s->server;
	(void)uv_tcp_init(&s->loop, &s->server.tcp);
	s->server.tcp.data = &s->server;
	assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &a), 0);
	assert_int_equal(uv_tcp_bind(&s->server.tcp, (struct sockaddr *)&a, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&s->server.tcp, 8, on_connection), 0);
	assert_int_equal(uv_tcp_getsockname(&s->server.tcp, (struct sockaddr *)&a, &size), 0);
	s->server.port = ntohs(a.sin_port);
}

/* Watches what the server shows. */
static void watch_server(struct scene *s, const char *source, const char *more)
{
	char value[512];

	(void)snprintf(value, sizeof(value), "url=http://127.0.0.1:%u/some/path?q=1 %s",
		       s->server.port, more);
	watch(s, source, value);
}

static void test_http(void **state)
{
	struct scene s;

	set_scene(&s);
	serve(&s, 200, "well");
	watch_server(&s, "host:http", "period=100ms latency=2s");
	await_told(&s, 1);
	assert_says(&s, PROBE_FINE, ": status 200");
	run_for(&s, 250);
	assert_int_equal(s.told, 1);
	assert_true(s.server.asked >= 2 &&
		    s.server.asked <= 4); /* no more often than every 100 ms */
	s.server.status = 503;
	await_told(&s, 2);
	assert_says(&s, PROBE_FIRED, "/some/path?q=1: status 503; allowed: 200-399");
	s.server.asked = 0;
	run_for(&s, 250);
	assert_int_equal(s.server.asked, 0); /* all is said */
	clear_scene(&s);
}

static void test_http_failures(void **state)
{
	struct scene s;

	set_scene(&s);
	serve(&s, 204, "");
	watch_server(&s, "host:http", "period=100ms failures=3 status=200,204-206");
	await_told(&s, 1);
	assert_says(&s, PROBE_FINE, "status 204");
	s.server.status = 207;
	s.server.asked = 0;
	await_told(&s, 2);
	assert_says(&s, PROBE_FIRED, "status 207; allowed: 200,204-206 (3 times in a row)");
	assert_true(s.server.asked >= 3);
	clear_scene(&s);

	/* Before the start one look counts. */
	set_scene(&s);
	serve(&s, 500, "");
	watch_server(&s, "host:http", "failures=3");
	await_told(&s, 1);
	assert_says(&s, PROBE_FIRED, "status 500");
	assert_int_equal(s.server.asked, 1);
	clear_scene(&s);
}

static void test_http_too_late(void **state)
{
	struct scene s;
	char value[128];

	set_scene(&s);
	serve(&s, 200, "");
	s.server.delay_ms = 100;
	watch_server(&s, "host:http", "latency=20ms");
	await_told(&s, 1);
	assert_says(&s, PROBE_FIRED, ": answered after 1");
	assert_says(&s, PROBE_FIRED, "; allowed: 20ms");
	clear_scene(&s);

	set_scene(&s);
	serve(&s, 200, "");
	s.server.delay_ms = 60000;
	watch_server(&s, "host:http", "timeout=50ms unreadable=ignore");
	await_told(&s, 1);
	assert_says(&s, PROBE_FIRED, "timed out");
	clear_scene(&s);

	set_scene(&s);
	serve(&s, 200, "");
	(void)snprintf(value, sizeof(value), "url=http://127.0.0.1:%u/", s.server.port);
	uv_close((uv_handle_t *)&s.server.tcp, NULL);
	(void)uv_run(&s.loop, UV_RUN_NOWAIT);
	s.server.port = 0;
	watch(&s, "host:http", value);
	await_told(&s, 1);
	assert_says(&s, PROBE_FIRED, "http://127.0.0.1:");
	clear_scene(&s);
}

static void test_wrong_http(void **state)
{
	wrong("host:http", "status=200",
	      "url: required and not given; allowed: text of 1 to 1023 bytes");
	wrong("host:http", "url=ftp://a/",
	      "url: ftp://a/ is no such URL; allowed: http://HOST[:PORT]/… or https://…");
	wrong("host:http", "url=http://:80/",
	      "url: http://:80/ is no such URL; allowed: http://HOST[:PORT]/… or https://…");
	wrong("host:http", "url=http://me:word@a/",
	      "url: a user and a password do not belong into a URL; allowed: http://HOST[:PORT]/… or "
	      "https://…");
	wrong("host:http", "url=\"http://a/ b\"",
	      "url: what is not printable ASCII must be written as %NN; allowed: "
	      "http://HOST[:PORT]/… or https://…");
	wrong("host:http", "url=http://a/ status=99",
	      "status: 99 is not a list of that; allowed: statuses from 100 to 599, or ranges, such "
	      "as 200,300-399");
	wrong("host:http", "url=http://a/ status=300-200",
	      "status: 300-200 is not a list of that; allowed: statuses from 100 to 599, or ranges, "
	      "such as 200,300-399");
	wrong("host:http", "url=http://a/ failures=0 period=1ms",
	      "period: 1ms is out of range; allowed: 100ms to 1h\n"
	      "failures: 0 is out of range; allowed: 1 to 1000");
	wrong("host:http", "url=https://a:8443/b?c=d status=200 latency=1s period=2s timeout=3s",
	      "");
}

static void test_http_stops(void **state)
{
	uint64_t seed = 7;

	for (unsigned i = 0; i < 40; i++) {
		struct scene s;

		set_scene(&s);
		serve(&s, i % 4 ? 200 : 500, "");
		s.server.delay_ms = i % 5;
		watch_server(&s, i % 2 ? "host:http" : "host:metric",
			     i % 2 ? "period=100ms" : "sample=up above=1");
		s.stop_when_told = i % 3 == 0;
		for (size_t turns = random_below(&seed, 12); turns > 0 && s.p; turns--)
			(void)uv_run(&s.loop, UV_RUN_NOWAIT);
		clear_scene(&s);
	}
}

static void test_prometheus(void **state)
{
	static const char text[] = "# HELP up Is it?\n"
				   "# TYPE up gauge\n"
				   "up{job=\"a\",instance=\"x:1\"} 1\n"
				   "up{job=\"b\", instance=\"x }\\\"2\",} 0 1700000000000\n"
				   "\n"
				   "up_total 7e3\n"
				   "inf{a=\"b\"} +Inf\n"
				   "nan NaN\n"
				   "empty\n"
				   "half 12half\n"
				   "open{a=\"b 1\n"
				   "last -0.5";
	static const struct {
		const char *sample;
		int r;
		double value;
	} table[] = {
		{"up", -ENOTUNIQ, 0},
		{"up{job=\"a\"}", 0, 1},
		{"up{instance=\"x:1\",job=\"a\"}", 0, 1},
		{"up{job=\"b\"}", 0, 0},
		{"up{instance=\"x }\\\"2\"}", 0, 0},
		{"up{job=\"c\"}", -ENOENT, 0},
		{"up{colour=\"a\"}", -ENOENT, 0},
		{"up_total", 0, 7000},
		{"up_tota", -ENOENT, 0},
		{"last", 0, -0.5},
		{"empty", -EBADMSG, 0},
		{"half", -EBADMSG, 0},
		{"open", -EBADMSG, 0},
		{"", -EINVAL, 0},
		{"1up", -EINVAL, 0},
		{"up{", -EINVAL, 0},
		{"up{job}", -EINVAL, 0},
		{"up{job=a}", -EINVAL, 0},
		{"up{job=\"a\"} 1", -EINVAL, 0},
	};
	double value;

	for (size_t i = 0; i < COUNT(table); i++) {
		int r = prometheus_find(text, table[i].sample, &value);

		if (r != table[i].r || (r == 0 && value != table[i].value))
			fail_msg("%s: %d, %g", table[i].sample, r, value);
	}
	assert_int_equal(prometheus_find(text, "inf", &value), 0);
	assert_true(value > 1e300);
	assert_int_equal(prometheus_find(text, "nan", &value), 0);
	assert_true(value != value);
	assert_int_equal(prometheus_find("", "up", &value), -ENOENT);
}

static void test_sample(void **state)
{
	struct scene s;

	set_scene(&s);
	serve(&s, 200, "queue{name=\"in box\"} 5\nqueue{name=\"out\"} 50\n");
	watch_server(&s, "host:metric",
		     "sample=queue{name=\"in box\"} above=10 below=1 period=100ms for=300ms");
	await_told(&s, 1);
	assert_says(&s, PROBE_FINE, "");
	s.server.body = "queue{name=\"in box\"} 10.5\n";
	run_for(&s, 150);
	s.server.body = "queue{name=\"in box\"} 10\n"; /* not long enough */
	run_for(&s, 300);
	assert_int_equal(s.told, 1);
	s.server.body = "queue{name=\"in box\"} 0.5\n";
	s.server.asked = 0;
	await_told(&s, 2);
	assert_says(&s, PROBE_FIRED, "queue{name=\"in box\"}: 0.5 for 300ms; allowed: at least 1");
	assert_true(s.server.asked >= 3);
	clear_scene(&s);
}

/* With `ignore` it goes on, and still fires when it can be told again. */
static void test_sample_unreadable(void **state)
{
	static const struct {
		unsigned status;
		const char *body, *reason;
	} table[] = {
		{200, "other 1\n", "path?q=1: up: no such sample"},
		{200, "up{a=\"b\"} 1\nup 2\n", "up: more than one series; give more labels"},
		{200, "up NaN\n", "up: not a number"},
		{200, "up one\n", "up: the answer cannot be understood"},
		{404, "up 1\n", "path?q=1: status 404"},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct scene s;

		set_scene(&s);
		serve(&s, table[i].status, table[i].body);
		watch_server(&s, "host:metric", "sample=up below=1");
		await_told(&s, 1);
		assert_says(&s, PROBE_FIRED, "cannot be told: http://127.0.0.1:");
		assert_says(&s, PROBE_FIRED, table[i].reason);
		clear_scene(&s);

		set_scene(&s);
		serve(&s, table[i].status, table[i].body);
		watch_server(&s, "host:metric", "sample=up below=1 unreadable=ignore period=100ms");
		await_told(&s, 1);
		assert_says(&s, PROBE_UNREADABLE, table[i].reason);
		s.server.status = 200;
		s.server.body = "up 1\n";
		s.server.asked = 0;
		run_for(&s, 250);
		assert_int_equal(s.told, 1);
		s.server.body = "up 0\n";
		await_told(&s, 2);
		assert_says(&s, PROBE_FIRED, "up: 0; allowed: at least 1");
		clear_scene(&s);
	}
}

static void test_metrics(void **state)
{
	assert_first("host:metric", "metric=load1 above=100000", PROBE_FINE, "");
	assert_first("host:metric", "metric=load5 above=-1 for=1h", PROBE_FIRED, "load5: ");
	assert_first("host:metric", "metric=load15 above=-1", PROBE_FIRED, "; allowed: at most -1");
	assert_first("host:metric", "metric=memoryAvailable below=1", PROBE_FINE, "");
	assert_first("host:metric", "metric=memoryAvailable below=100%", PROBE_FIRED,
		     " %); allowed: at least 100%");
	assert_first("host:metric", "metric=memoryAvailable above=1MiB", PROBE_FIRED,
		     "; allowed: at most 1MiB");
	assert_first("host:metric", "metric=diskFree below=0%", PROBE_FINE, "");
	assert_first("host:metric", "metric=diskFree path=/ above=0", PROBE_FIRED,
		     "diskFree of /: ");
	assert_first("host:metric", "metric=diskFree path=/no/such below=1%", PROBE_FIRED,
		     "cannot be told: /no/such: ");
	assert_first("host:metric", "metric=diskFree path=/no/such below=1% unreadable=ignore",
		     PROBE_UNREADABLE, "/no/such: ");
	assert_first("host:metric", "metric=steal above=100% period=1h", PROBE_FINE, "");
	assert_first("host:metric", "metric=cpu above=100 period=100ms", PROBE_FINE, "");
}

static void be_idle(uv_idle_t *idle)
{
}

static void test_metric_cpu(void **state)
{
	struct scene s;
	uv_idle_t idle;

	set_scene(&s);
	(void)uv_idle_init(&s.loop, &idle);
	(void)uv_idle_start(&idle, be_idle); /* the loop turns all the time */
	watch(&s, "host:metric", "metric=cpu above=0 period=200ms");
	await_told(&s, 1);
	assert_says(&s, PROBE_FIRED, " %; allowed: at most 0");
	uv_close((uv_handle_t *)&idle, NULL);
	clear_scene(&s);
}

static void test_wrong_metric(void **state)
{
	wrong("host:metric", "metric=load above=1",
	      "metric: load is not one of them; allowed: sample, load1, load5, load15, "
	      "memoryAvailable, diskFree, cpu, steal");
	wrong("host:metric", "metric=load1",
	      "above: required and not given; allowed: above=, below= or both");
	wrong("host:metric", "metric=load1 above=10%",
	      "above: 10% is not that; allowed: a number such as 8 or 0.5");
	wrong("host:metric", "metric=cpu above=101",
	      "above: 101 is not that; allowed: 0 to 100, percent");
	wrong("host:metric", "metric=memoryAvailable above=1 below=lots",
	      "below: lots is not that; allowed: percent such as 10%, or bytes such as 1000000, "
	      "512MiB or 2GB");
	wrong("host:metric", "above=1",
	      "url: required for a sample and not given; allowed: an URL, or a metric of this host");
	wrong("host:metric", "above=1 url=http://a/",
	      "sample: required with an URL and not given; allowed: NAME or NAME{LABEL=\"VALUE\",…}");
	wrong("host:metric", "above=1 url=http://a/ sample=up{",
	      "sample: up{ is not that; allowed: NAME or NAME{LABEL=\"VALUE\",…}");
	wrong("host:metric", "above=1 metric=cpu url=http://a/",
	      "url: not with metric=cpu; allowed: with metric=sample");
	wrong("host:metric", "above=1 metric=cpu path=/",
	      "path: not with metric=cpu; allowed: with metric=diskFree");
	wrong("host:metric", "above=1 metric=diskFree path=here",
	      "path: here is not absolute; allowed: an absolute path");
	wrong("host:metric", "above=1 url=http://a/ sample=\"up{job=\\\"a b\\\"}\"", "");
	wrong("host:metric", "above=1 url=http://a/ sample=up{job=\"a b\"}", "");
}

static void test_metric_stops(void **state)
{
	stop_at_any_moment("host:metric", "metric=load1 above=100000 period=100ms", 20);
	stop_at_any_moment("host:metric", "metric=cpu above=100 period=100ms", 20);
	stop_at_any_moment("host:metric", "metric=diskFree below=0% period=100ms", 30);
}

/* systemd, as the test wants it. */
static _Atomic int units_r;
static _Atomic(const char *) units_active; /* NULL: not loaded */
static _Atomic unsigned units_asked, units_delay_us;

int __wrap_units_find(const char *const *names, size_t n, struct unit_list *ret);
int __wrap_units_find(const char *const *names, size_t n, struct unit_list *ret)
{
	const char *active = units_active;

	units_asked++;
	if (units_delay_us)
		(void)usleep(units_delay_us);
	if (units_r < 0 || !active || n != 1)
		return units_r;
	ret->unit = calloc(1, sizeof(*ret->unit));
	if (!ret->unit)
		return -ENOMEM;
	ret->n = 1;
	(void)snprintf(ret->unit->name, sizeof(ret->unit->name), "%s", names[0]);
	(void)snprintf(ret->unit->active, sizeof(ret->unit->active), "%s", active);
	return 0;
}

static void test_unit(void **state)
{
	struct scene s;

	units_r = 0;
	units_active = "active";
	set_scene(&s);
	watch(&s, "host:unit", "unit=nginx period=100ms unreadable=ignore");
	await_told(&s, 1);
	assert_says(&s, PROBE_FINE, "nginx.service: active");
	units_asked = 0;
	run_for(&s, 250);
	assert_true(units_asked >= 1 && units_asked <= 3);
	units_active = "reloading";
	run_for(&s, 250);
	units_r = -ETIMEDOUT;
	run_for(&s, 250);
	assert_int_equal(s.told, 1);
	units_r = 0;
	units_active = "failed";
	await_told(&s, 2);
	assert_says(&s, PROBE_FIRED, "nginx.service: failed; allowed: active");
	clear_scene(&s);
}

static void test_unit_first(void **state)
{
	units_active = NULL;
	assert_first("host:unit", "unit=a.socket", PROBE_FIRED,
		     "a.socket: inactive; allowed: active");
	assert_first("host:unit", "unit=a state=inactive", PROBE_FINE, "");
	units_active = "activating";
	assert_first("host:unit", "unit=a", PROBE_FIRED, "a.service: activating");
	units_r = -ENOTCONN;
	assert_first("host:unit", "unit=a", PROBE_FIRED,
		     "cannot be told: a.service: systemd is not the init system here");
	assert_first("host:unit", "unit=a unreadable=ignore", PROBE_UNREADABLE,
		     "cannot be told: a.service: systemd is not the init system here");
	units_r = -ETIMEDOUT;
	assert_first("host:unit", "unit=a", PROBE_FIRED, "a.service: systemd does not answer");
	units_r = 0;
}

static void test_wrong_unit(void **state)
{
	wrong("host:unit", "state=active",
	      "unit: required and not given; allowed: text of 1 to 255 bytes");
	wrong("host:unit", "unit=web-* state=on",
	      "state: on is not one of them; allowed: active, inactive, failed, activating, "
	      "deactivating, maintenance");
	wrong("host:unit", "unit=web-*",
	      "unit: web-* is a pattern or a path; allowed: the name of one unit");
}

static void test_unit_stops(void **state)
{
	units_active = "active";
	units_delay_us = 3000;
	stop_at_any_moment("host:unit", "unit=a period=100ms", 40);
	units_delay_us = 0;
}

/* A directory for programs. */
static char *make_probes(struct scene *s)
{
	(void)snprintf(s->policy.fis.probe_dir, sizeof(s->policy.fis.probe_dir),
		       "/tmp/faultd-test-probe-XXXXXX");
	assert_non_null(mkdtemp(s->policy.fis.probe_dir));
	return s->policy.fis.probe_dir;
}

static void probe_path(const struct scene *s, const char *name, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%s/%s", s->policy.fis.probe_dir, name);
}

static void write_probe(const struct scene *s, const char *text)
{
	char path[320];

	probe_path(s, "check", path, sizeof(path));
	put(path, text);
	assert_int_equal(chmod(path, 0700), 0);
}

static void remove_probes(const struct scene *s)
{
	static const char *const names[] = {"check", "other", "pid"};
	char path[320];

	for (size_t i = 0; i < COUNT(names); i++) {
		probe_path(s, names[i], path, sizeof(path));
		(void)unlink(path);
	}
	assert_int_equal(rmdir(s->policy.fis.probe_dir), 0);
}

static void assert_program(const char *text, const char *more, enum probe_state state,
			   const char *reason)
{
	struct scene s;
	char value[128];

	set_scene(&s);
	(void)make_probes(&s);
	write_probe(&s, text);
	(void)snprintf(value, sizeof(value), "name=check %s", more);
	watch(&s, "host:command", value);
	await_told(&s, 1);
	assert_says(&s, state, reason);
	clear_scene(&s);
	remove_probes(&s);
}

static void test_command(void **state)
{
	assert_program("#!/bin/sh\necho all is well\n", "", PROBE_FINE, "check: all is well");
	assert_program("#!/bin/sh\necho a queue is full\necho of what\nexit 1\n", "", PROBE_FIRED,
		       "check: a queue is full");
	assert_program("#!/bin/sh\nexit 3\n", "unreadable=ignore", PROBE_FIRED, "check: status 3");
	assert_program("#!/bin/sh\nkill -9 $$\n", "", PROBE_FIRED, "/check: killed by SIGKILL");
	assert_program("#!/bin/sh\necho to nowhere >&2; exec sleep 60\n",
		       "timeout=100ms unreadable=ignore", PROBE_UNREADABLE,
		       "/check: not done within 100ms, killed");
	assert_program("#!/no/such/interpreter\n", "", PROBE_FIRED,
		       "/check: No such file or directory");
	/* Nothing of ours: no environment, no arguments; more than a pipe holds does not stop it.
	 */
	assert_program("#!/bin/sh\ntest -s /proc/$$/environ && echo an environment\n"
		       "test $# = 0 || echo arguments\n"
		       "test /proc/$$/fd/2 -ef /dev/null || echo our errors\nexit 1\n",
		       "", PROBE_FIRED, "check: status 1");
	assert_program("#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' x\nexit 1\n", "timeout=9s",
		       PROBE_FIRED, "check: xxxxxxxx");
	assert_program("#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9; do\n"
		       "read x </proc/$$/oom_score_adj; test $x = 1000 && break\nsleep 0.1\ndone\n"
		       "echo $x; exit 1\n",
		       "", PROBE_FIRED, "check: 1000");
}

static void test_command_later(void **state)
{
	struct scene s;
	char path[320];

	set_scene(&s);
	(void)make_probes(&s);
	write_probe(&s, "#!/bin/sh\ntest ! -e ${0%check}other || { echo it is there; exit 1; }\n");
	watch(&s, "host:command", "name=check period=100ms");
	await_told(&s, 1);
	assert_says(&s, PROBE_FINE, "check");
	run_for(&s, 300);
	assert_int_equal(s.told, 1);
	probe_path(&s, "other", path, sizeof(path));
	put(path, "");
	await_told(&s, 2);
	assert_says(&s, PROBE_FIRED, "check: it is there");
	clear_scene(&s);
	remove_probes(&s);
}

static void test_command_not_trusted(void **state)
{
	struct scene s;
	char path[320], other[320];
	static const char *const why[] = {
		"/check: No such file or directory", "/check: Permission denied",
		"/check may be written by others",   "/check is no regular file",
		" may be written by others",         "/check belongs to neither root nor the user",
	};

	for (size_t i = 0; i < COUNT(why); i++) {
		if (i == 5 && geteuid() != 0)
			continue;
		set_scene(&s);
		(void)make_probes(&s);
		probe_path(&s, "check", path, sizeof(path));
		probe_path(&s, "other", other, sizeof(other));
		write_probe(&s, "#!/bin/sh\n");
		if (i == 0)
			assert_int_equal(unlink(path), 0);
		if (i == 1)
			assert_int_equal(chmod(path, 0600), 0);
		if (i == 2)
			assert_int_equal(chmod(path, 0720), 0);
		if (i == 3) {
			assert_int_equal(rename(path, other), 0);
			assert_int_equal(symlink(other, path), 0);
		}
		if (i == 4)
			assert_int_equal(chmod(s.policy.fis.probe_dir, 0777), 0);
		if (i == 5)
			assert_int_equal(chown(path, 65534, 65534), 0);
		watch(&s, "host:command", "name=check");
		await_told(&s, 1);
		assert_says(&s, PROBE_FIRED, "cannot be told: /tmp/faultd-test-probe-");
		assert_says(&s, PROBE_FIRED, why[i]);
		clear_scene(&s);
		remove_probes(&s);
	}
}

/* Is there such a process, and is it alive? One that nobody waited for is not. */
static bool is_alive(pid_t pid)
{
	char path[64], text[256] = "";
	const char *name_end;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	(void)close(fd);
	name_end = strrchr(text, ')');
	return name_end && name_end[2] != 'Z' && name_end[2] != 'X';
}

/* What a program has started goes with it, when its time is over and when nobody asks any more. */
static void test_command_takes_all_along(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct scene s;
		char path[320], text[32] = "";
		int fd;

		set_scene(&s);
		(void)make_probes(&s);
		write_probe(&s, "#!/bin/sh\nsleep 300 &\necho $! >${0%check}pid; echo; wait\n");
		probe_path(&s, "pid", path, sizeof(path));
		watch(&s, "host:command", i ? "name=check timeout=1s" : "name=check timeout=9s");
		for (int turns = 0; turns < 800 && text[0] == '\0'; turns++) {
			run_for(&s, 5);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 2)
				text[0] = '\0';
			if (fd >= 0)
				(void)close(fd);
		}
		assert_true(atoi(text) > 1);
		if (i)
			await_told(&s, 1);
		else
			assert_true(is_alive(atoi(text)));
		clear_scene(&s);
		for (int turns = 0; turns < 400 && is_alive(atoi(text)); turns++)
			(void)usleep(5000);
		assert_false(is_alive(atoi(text)));
		remove_probes(&s);
	}
}

static void test_wrong_command(void **state)
{
	wrong("host:command", "name=../true",
	      "name: ../true is not that; allowed: the name of a program in fis.probeDir, without "
	      "slashes");
	wrong("host:command", "name=.hidden",
	      "name: .hidden is not that; allowed: the name of a program in fis.probeDir, without "
	      "slashes");
	wrong("host:command", "name=a arguments=b timeout=10s",
	      "arguments: unknown name; allowed: name, period, timeout, unreadable\n"
	      "timeout: 10s is out of range; allowed: 10ms to 9s");
}

static void test_command_stops(void **state)
{
	uint64_t seed = 3;

	for (unsigned i = 0; i < 30; i++) {
		struct scene s;

		set_scene(&s);
		(void)make_probes(&s);
		write_probe(&s, i % 2 ? "#!/bin/sh\nexit 1\n" : "#!/bin/sh\nsleep 60\n");
		s.stop_when_told = i % 3 == 0;
		watch(&s, "host:command", "name=check timeout=20ms period=100ms unreadable=ignore");
		for (size_t turns = random_below(&seed, 6); turns > 0 && s.p; turns--)
			(void)uv_run(&s.loop, UV_RUN_NOWAIT);
		if (i % 4 && s.p)
			run_for(&s, random_below(&seed, 60));
		clear_scene(&s);
		remove_probes(&s);
	}
}

/* What the engine does with what a type says: this one says it within its start. */
struct play {
	enum probe_state state[4];
	size_t n;
	int r;
};
static struct play the_play;

static int start_play(struct probe *p, struct error *e)
{
	if (the_play.r < 0)
		return error_set(e, ERROR_FAILED, the_play.r, "not today");
	for (size_t i = 0; i < the_play.n; i++) {
		if (the_play.state[i] == PROBE_UNREADABLE)
			probe_cannot_read(p, "scene %zu", i);
		else
			probe_tell(p, the_play.state[i], "scene %zu\n", i);
	}
	return 0;
}

static void stop_play(struct probe *p)
{
	probe_gone(p);
}

static const struct probe_type play_type = {
	.source = "test:play", .start = start_play, .stop = stop_play};

static void play(struct scene *s)
{
	struct error e = {0};

	set_scene(s);
	assert_int_equal(probe_start(&play_type, "some text", &s->env, on_told, s, &s->p, &e),
			 the_play.r);
	assert_int_equal(s->told, 0);
	if (the_play.r < 0)
		assert_string_equal(e.message, "not today");
	else
		assert_string_equal(s->p->params, "some text");
}

static void test_first_is_told_from_the_loop(void **state)
{
	struct scene s;

	the_play = (struct play){.state = {PROBE_FINE, PROBE_FIRED, PROBE_FINE}, .n = 3};
	play(&s);
	await_told(&s, 1);
	assert_says(&s, PROBE_FIRED, "scene 1?");
	probe_tell(s.p, PROBE_FIRED, "again");
	assert_int_equal(s.told, 1);
	clear_scene(&s);

	the_play = (struct play){.state = {PROBE_FINE}, .n = 1};
	play(&s);
	probe_tell(s.p, PROBE_FIRED, "before the loop");
	await_told(&s, 1);
	assert_says(&s, PROBE_FIRED, "before the loop");
	clear_scene(&s);

	the_play = (struct play){.state = {PROBE_FINE}, .n = 1};
	play(&s);
	await_told(&s, 1);
	probe_tell(s.p, PROBE_FINE, "still");
	assert_int_equal(s.told, 1);
	probe_cannot_read(s.p, "gone");
	assert_says(&s, PROBE_FIRED, "cannot be told: gone");
	assert_int_equal(s.told, 2);
	probe_stop(s.p);
	probe_tell(s.p, PROBE_FIRED, "too late");
	s.p = NULL;
	clear_scene(&s);
	assert_int_equal(s.told, 2);

	the_play = (struct play){.r = -EIO};
	play(&s);
	clear_scene(&s);
	assert_int_equal(s.told, 0);
}

/* Values with something else in them: each is taken, or told what is wrong. */
static void test_mangled_values(void **state)
{
	static const char *const values[] = {
		"resource=memory kind=some stall=150ms window=1s cgroup=/a unreadable=stop",
		"url=http://a:1/ sample=up{job=\"a b\",x=\"\\\"\"} above=-1 below=5 for=1s",
		"metric=diskFree path=\"/a b\" below=10% period=5s above=1GiB",
		"url=https://a:8443/b?c=d status=200,300-399 latency=1s timeout=3s failures=2",
		"unit=nginx.service state=active period=1s",
		"name=check timeout=2s period=5s",
	};
	static const char pieces[] = " =\"\\{},-%0A9\n\t\xc3\xa4./:x";
	uint64_t seed = 11;

	for (unsigned i = 0; i < 30000; i++) {
		const struct probe_type *t =
			probe_types[1 + random_below(&seed, n_probe_types - 1)];
		struct problems problems = {0};
		void *params = NULL;
		char value[256];
		int r;

		(void)snprintf(value, sizeof(value), "%s",
			       values[random_below(&seed, COUNT(values))]);
		for (size_t n = random_below(&seed, 5); n > 0; n--)
			value[random_below(&seed, strlen(value))] =
				pieces[random_below(&seed, sizeof(pieces) - 1)];
		if (random_below(&seed, 4) == 0)
			value[random_below(&seed, strlen(value))] = '\0';
		r = probe_parse(t, value, "stopConditions[0].value", &params, &problems);
		assert_true((r == 0) == (params != NULL));
		assert_true((r == -EINVAL) == (problems.n > 0));
		free(params);
		problems_done(&problems);
	}
}

static void test_nothing_is_learned(void **state)
{
	struct scene s;
	uint64_t from = uv_hrtime();

	the_play = (struct play){.n = 0};
	play(&s);
	await_told(&s, 1);
	assert_says(&s, PROBE_FIRED, "cannot be told: nothing was learned within 10 s");
	assert_true(s.told_ns - from >= (PROBE_FIRST_MS - 10) * 1000000ULL);
	clear_scene(&s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_wrong_pairs),
		cmocka_unit_test(test_first_is_told_from_the_loop),
		cmocka_unit_test(test_nothing_is_learned),
		cmocka_unit_test(test_wrong_psi),
		cmocka_unit_test(test_psi_first),
		cmocka_unit_test(test_psi_host),
		cmocka_unit_test(test_psi_cgroup_goes),
		cmocka_unit_test(test_mangled_values),
		cmocka_unit_test(test_psi_reaction),
		cmocka_unit_test(test_psi_triggers),
		cmocka_unit_test(test_psi_stops),
		cmocka_unit_test(test_http),
		cmocka_unit_test(test_http_failures),
		cmocka_unit_test(test_http_too_late),
		cmocka_unit_test(test_wrong_http),
		cmocka_unit_test(test_http_stops),
		cmocka_unit_test(test_prometheus),
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_sample_unreadable),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_metric_cpu),
		cmocka_unit_test(test_wrong_metric),
		cmocka_unit_test(test_metric_stops),
		cmocka_unit_test(test_unit),
		cmocka_unit_test(test_unit_first),
		cmocka_unit_test(test_wrong_unit),
		cmocka_unit_test(test_unit_stops),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_command_later),
		cmocka_unit_test(test_command_not_trusted),
		cmocka_unit_test(test_command_takes_all_along),
		cmocka_unit_test(test_wrong_command),
		cmocka_unit_test(test_command_stops),
	};

	log_set_level(LEVEL_ERROR);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
