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

#include "experiment/probe.h"
#include "host/cgroups.h"
#include "plan/policy.h"
#include "util/log.h"

#define PATIENCE_MS 15000

/* A loop, what was told on it, and who is watched. */
struct scene {
	uv_loop_t loop;
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
	memset(s, 0, sizeof(*s));
	assert_int_equal(uv_loop_init(&s->loop), 0);
	assert_int_equal(uv_timer_init(&s->loop, &s->patience), 0);
	s->patience.data = s;
	s->env = (struct probe_env){.loop = &s->loop, .policy = &s->policy};
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
	(void)uv_run(&s->loop, UV_RUN_DEFAULT);
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

/* Two threads on one CPU, in the cgroup, as soon as a byte comes: one of them always waits. */
static pid_t start_hog(const char *directory, int start_fd)
{
	pid_t pid = fork();
	pthread_t thread;
	char file[512], byte;
	cpu_set_t one;

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)snprintf(file, sizeof(file), "%s/cgroup.procs", directory);
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

static void test_psi_reaction(void **state)
{
	char directory[512], path[CGROUP_PATH_MAX];

	for (size_t i = 0; i < COUNT(windows); i++) {
		make_cgroup(directory, sizeof(directory), path, sizeof(path));
		assert_true(measure_reaction(directory, path, windows[i], false) < 1000);
		assert_int_equal(rmdir(directory), 0);
	}
}

static char the_directory[512], the_path[CGROUP_PATH_MAX];
static const char *the_window;

static void test_psi_privileged(void **state)
{
	assert_true(measure_reaction(the_directory, the_path, the_window, true) < 1000);
}

/* In a process of its own, for which there is no way back. */
static void test_psi_triggers(void **state)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_psi_privileged)};

	for (size_t i = 0; i < COUNT(windows); i++) {
		int status = 0;
		pid_t pid;

		make_cgroup(the_directory, sizeof(the_directory), the_path, sizeof(the_path));
		the_window = windows[i];
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
		assert_int_equal(status, 0);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),           cmocka_unit_test(test_wrong_pairs),
		cmocka_unit_test(test_wrong_psi),       cmocka_unit_test(test_psi_first),
		cmocka_unit_test(test_psi_cgroup_goes), cmocka_unit_test(test_psi_reaction),
		cmocka_unit_test(test_psi_triggers),    cmocka_unit_test(test_psi_stops),
	};

	log_set_level(LEVEL_ERROR);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
