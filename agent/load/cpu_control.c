/* SPDX-License-Identifier: Apache-2.0 */
/* An integral controller around a feed-forward: the period ahead gets its plain share, and a part
 * of what is owed from before. Whatever the machine does to us (late wake-ups, preemption, the
 * cost of the loop itself) ends up in the backlog and is put right. The backlog is bounded, so
 * that a CPU that was long denied to us is not stormed when it comes free. */
#include "load/cpu_control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Paid off at this rate: quick beside any measurement, slow beside the grain of /proc/stat. */
#define PAY_OFF (1.0 / 4)

/* Bounds of the backlog, in periods. In `total` it must hold what others can do between two
 * samples, or bursts of theirs would be forgotten rather than made up for. */
#define LIMIT_ADD   4
#define LIMIT_TOTAL 8

/* To wake up costs some tens of microseconds: a small load wakes up less often, for a burst of
 * about this, but at least twice a second. */
#define BURST_MIN_NS 1000000
#define PERIODS_MAX  24

static double clamp(double value, double min, double max)
{
	return value < min ? min : value > max ? max : value;
}

void cpu_control_init(struct cpu_control *c, double percent, bool total)
{
	*c = (struct cpu_control){
		.limit_ns = (double)((total ? LIMIT_TOTAL : LIMIT_ADD) * CPU_PERIOD_NS),
	};
	cpu_control_set(c, percent);
}

void cpu_control_set(struct cpu_control *c, double percent)
{
	double periods = PERIODS_MAX - 1;

	if (percent > 0)
		periods = clamp(BURST_MIN_NS / (percent / 100 * CPU_PERIOD_NS), 0, periods);
	if (percent <= 0 || c->share <= 0)
		c->backlog_ns = c->foreseen_ns = 0;
	c->share = percent / 100;
	c->period_ns = (1 + (uint64_t)periods) * CPU_PERIOD_NS;
}

static void owe(struct cpu_control *c, double ns)
{
	c->backlog_ns = clamp(c->backlog_ns + ns, -c->limit_ns, c->limit_ns);
}

void cpu_control_account(struct cpu_control *c, uint64_t elapsed_ns, uint64_t own_ns)
{
	double elapsed = (double)elapsed_ns, foreseen = c->others * elapsed;

	owe(c, c->share * elapsed - foreseen - (double)own_ns);
	c->foreseen_ns += foreseen;
}

void cpu_control_sample(struct cpu_control *c, uint64_t elapsed_ns, uint64_t busy_ns,
			uint64_t own_ns)
{
	double taken = (double)busy_ns - (double)own_ns;
	double seen;

	if (elapsed_ns == 0)
		return;
	/* Idle time comes in steps of 10 ms, so `taken` can be below nothing: it evens out here,
	 * and would not if it were cut off. */
	owe(c, c->foreseen_ns - taken);
	c->foreseen_ns = 0;
	seen = clamp(taken / (double)elapsed_ns, 0, 1);
	c->others += (seen - c->others) / (c->others_known ? 2 : 1);
	c->others_known = true;
}

uint64_t cpu_control_burst(const struct cpu_control *c, uint64_t room_ns)
{
	double room = (double)room_ns;
	double burst = (c->share - c->others) * room + c->backlog_ns * PAY_OFF;

	return (uint64_t)clamp(burst, 0, room);
}

uint64_t cpu_control_next(const struct cpu_control *c, unsigned cpu, uint64_t now_ns)
{
	/* The fractions of the multiples of the golden ratio: any number of them, well spread. */
	double turns = cpu * 0.6180339887498949;
	uint64_t offset = (uint64_t)(turns * (double)c->period_ns) % c->period_ns;
	uint64_t into = (now_ns + c->period_ns - offset) % c->period_ns;

	return now_ns + c->period_ns - into;
}

int cpu_stat_idle(const char *text, unsigned cpu, uint64_t *ret_ticks)
{
	char name[sizeof("\ncpu4294967295 ")];
	const char *line;
	uint64_t idle, iowait;

	(void)snprintf(name, sizeof(name), "\ncpu%u ", cpu);
	line = strstr(text, name);
	if (!line)
		return -ENOENT;
	/* user nice system idle iowait ... */
	if (sscanf(line + strlen(name), "%*u %*u %*u %" SCNu64 " %" SCNu64, &idle, &iowait) != 2)
		return -ENOENT;
	*ret_ticks = idle + iowait;
	return 0;
}
