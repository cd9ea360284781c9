/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of a CPU load: how long to work in the period ahead, so that the load owed and
 * the load given stay equal over time. Pure: no clock, no kernel. */
#ifndef FAULTD_LOAD_CPU_CONTROL_H
#define FAULTD_LOAD_CPU_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

/* Short, so that a part of a period at the edge of somebody's measurement weighs little. Its
 * multiples fall evenly over the tick of any usual HZ (100, 250, 300, 1000): a kernel that counts
 * load by ticks, as most do, then counts ours right. A round number would beat with the tick. */
#define CPU_PERIOD_NS 21164000ULL

struct cpu_control {
	double share;       /* wanted, 0 to 1 */
	uint64_t period_ns; /* CPU_PERIOD_NS, or a multiple if there is little to do */
	double limit_ns;
	double backlog_ns; /* owed; negative when too much was given */

	/* `total` only: what others take of the CPU */
	bool others_known;
	double others;      /* the share expected */
	double foreseen_ns; /* already counted on that expectation, since the last sample */
};

/* In `total`, others count towards the load. */
void cpu_control_init(struct cpu_control *c, double percent, bool total);

/* Aims at another load from now on. At 0 nothing is owed, nor made up for later. */
void cpu_control_set(struct cpu_control *c, double percent);

/* The time that has gone by, and how much of it was our own CPU time. */
void cpu_control_account(struct cpu_control *c, uint64_t elapsed_ns, uint64_t own_ns);

/* What others really took since the last sample; call after cpu_control_account(). */
void cpu_control_sample(struct cpu_control *c, uint64_t elapsed_ns, uint64_t busy_ns,
			uint64_t own_ns);

/* CPU time to use in the next `room_ns`: 0 to all of it. */
uint64_t cpu_control_burst(const struct cpu_control *c, uint64_t room_ns);

/* The first start of a period on this CPU after `now_ns`. CPUs take turns: side by side, their
 * periods are spread evenly without knowing of each other. */
uint64_t cpu_control_next(const struct cpu_control *c, unsigned cpu, uint64_t now_ns);

/* Idle time of one CPU, in clock ticks, out of the text of /proc/stat. Returns 0 or -ENOENT. */
int cpu_stat_idle(const char *text, unsigned cpu, uint64_t *ret_ticks)
	__attribute__((warn_unused_result));

#endif
