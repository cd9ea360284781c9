/* SPDX-License-Identifier: Apache-2.0 */
/* Load on one CPU. Each period begins with a burst of work and ends asleep; the controller says
 * how long the burst is. Bursts are measured in this thread's own CPU time, so being preempted
 * makes one longer, never smaller.
 *
 * `total` looks at the idle time of the CPU rather than at who was busy: a kernel that samples
 * the busy columns of /proc/stat by ticks still keeps the idle ones by the clock, and only cuts
 * them to 10 ms when it prints them. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "faultd/limits.h"
#include "load/cpu_control.h"
#include "load/hold.h"
#include "load/load.h"
#include "load/report.h"
#include "util/clock.h"

/* Others are looked at this often, and on a host with so many CPUs that reading /proc/stat takes
 * long, so seldom that it is no load of its own. */
#define SAMPLE_NS       (100 * NSEC_PER_MSEC)
#define SAMPLE_COST_MAX 200 /* at most one part in this many */

#define STAT_MAX (CPUS_MAX * 128) /* only the pages read are ever touched */

enum cpu_mode { MODE_ADD, MODE_TOTAL };

struct cpu_args {
	uint64_t cpu;
	double percent;
	int mode;
	struct grade grade;
};

/* Everything `total` knows of the CPU. */
struct sampler {
	int fd; /* /proc/stat, or -1 in `add` */
	unsigned cpu;
	uint64_t tick_ns;
	uint64_t at_ns, idle_ns, own_ns; /* of the last sample */
	uint64_t next_ns;
};

static uint64_t own_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int read_idle(const struct sampler *s, uint64_t *ret_ns)
{
	static char text[STAT_MAX];
	ssize_t n = pread(s->fd, text, sizeof(text) - 1, 0);
	uint64_t ticks;
	int r;

	if (n < 0)
		return -errno;
	text[n] = '\0';
	r = cpu_stat_idle(text, s->cpu, &ticks);
	if (r < 0)
		return r;
	*ret_ns = ticks * s->tick_ns;
	return 0;
}

static int sampler_open(struct sampler *s, unsigned cpu)
{
	long hz = sysconf(_SC_CLK_TCK);

	*s = (struct sampler){.cpu = cpu, .tick_ns = NSEC_PER_SEC / (hz > 0 ? (uint64_t)hz : 100)};
	s->fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	if (s->fd < 0)
		return -errno;
	s->at_ns = boot_ns();
	s->own_ns = own_cpu_ns();
	s->next_ns = s->at_ns + SAMPLE_NS;
	return read_idle(s, &s->idle_ns);
}

/* Idle time that seems to run backwards (iowait can) is left for the next sample. */
static void sampler_feed(struct sampler *s, uint64_t now, uint64_t own, struct cpu_control *control)
{
	uint64_t idle = 0, cost;

	if (s->fd < 0 || now < s->next_ns)
		return;
	if (read_idle(s, &idle) == 0 && idle >= s->idle_ns) {
		uint64_t elapsed = now - s->at_ns;

		cpu_control_sample(control, elapsed, elapsed - min_u64(elapsed, idle - s->idle_ns),
				   own - s->own_ns);
		s->at_ns = now;
		s->idle_ns = idle;
		s->own_ns = own;
	}
	cost = (own_cpu_ns() - own) * SAMPLE_COST_MAX;
	s->next_ns = now + (cost > SAMPLE_NS ? cost : SAMPLE_NS);
}

/* Some microseconds of integer and floating-point work, all of it in registers. */
static void work(void)
{
	static volatile double sink;
	uint64_t bits = 0x9e3779b97f4a7c15ULL;
	double sum = sink;

	for (int i = 0; i < 2000; i++) {
		bits ^= bits << 13;
		bits ^= bits >> 7;
		bits ^= bits << 17;
		sum = sum * 0.999 + (double)(int64_t)bits;
	}
	sink = sum;
}

/* Uses that much CPU time, but not beyond `until_ns`. */
static void burst(uint64_t cpu_ns, uint64_t until_ns)
{
	uint64_t end = own_cpu_ns() + cpu_ns, now = boot_ns(), own;

	while (now < until_ns && (own = own_cpu_ns()) < end) {
		uint64_t stop = min_u64(until_ns, now + (end - own));

		do {
			work();
			now = boot_ns();
		} while (now < stop);
	}
}

static int pin(unsigned cpu)
{
	cpu_set_t set;

	_Static_assert(CPUS_MAX <= CPU_SETSIZE, "a cpu_set_t holds every CPU");
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

static int cpu_run(const struct hold *hold, const void *args)
{
	const struct cpu_args *a = args;
	unsigned cpu = (unsigned)a->cpu;
	struct sampler sampler = {.fd = -1};
	struct cpu_control control;
	struct grade_point point;
	uint64_t now, last, own, own_last, until, change_ns;
	int r;

	r = pin(cpu);
	if (r < 0)
		return report_failure("cannot run on CPU %u: %s", cpu, strerror(-r));
	if (a->mode == MODE_TOTAL) {
		r = sampler_open(&sampler, cpu);
		if (r < 0)
			return report_failure("cannot read the load of CPU %u: %s", cpu,
					      strerror(-r));
	}
	(void)prctl(PR_SET_TIMERSLACK, 1UL); /* cannot fail */

	hold_grade(hold, &a->grade, a->percent, &point, &change_ns);
	cpu_control_init(&control, point.on ? point.value : 0, a->mode == MODE_TOTAL);
	report_ready();
	last = boot_ns();
	own_last = own_cpu_ns();
	until = cpu_control_next(&control, cpu, last);

	while (hold_sleep(hold, until)) {
		/* So the kernel does when the CPU goes offline or the cpuset loses it. */
		if (sched_getcpu() != (int)cpu) {
			warnx("moved off CPU %u by the kernel", cpu);
			return EXIT_FAILURE;
		}
		now = boot_ns();
		own = own_cpu_ns();
		cpu_control_account(&control, now - last, own - own_last);
		sampler_feed(&sampler, now, own, &control);
		last = now;
		own_last = own;
		if (now >= change_ns) {
			hold_grade(hold, &a->grade, a->percent, &point, &change_ns);
			cpu_control_set(&control, point.on ? point.value : 0);
		}

		until = min_u64(cpu_control_next(&control, cpu, now), hold->deadline_boot_ns);
		if (now < until)
			burst(cpu_control_burst(&control, until - now), until);
	}
	return EXIT_SUCCESS;
}

static const char *const modes[] = {[MODE_ADD] = "add", [MODE_TOTAL] = "total", NULL};

static const struct load_option cpu_options[] = {
	{"cpu", "N", "the CPU to load", LOAD_OPTION_UINT, offsetof(struct cpu_args, cpu), 0,
	 CPUS_MAX - 1, NULL},
	{"percent", "P", "how busy", LOAD_OPTION_NUMBER, offsetof(struct cpu_args, percent), 0.1,
	 100, NULL},
	{"mode", "MODE",
	 "of this process alone (add), or of the CPU with all that runs on it (total)",
	 LOAD_OPTION_CHOICE, offsetof(struct cpu_args, mode), 0, 0, modes},
	LOAD_GRADE_OPTIONS(struct cpu_args, grade),
	{0},
};

const struct load_kind load_cpu = {
	.name = "cpu",
	.summary = "keep one CPU busy to a percentage",
	.options = cpu_options,
	.args_size = sizeof(struct cpu_args),
	.run = cpu_run,
};
