/* SPDX-License-Identifier: Apache-2.0 */
#include "fault/fault.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fault/internal.h"
#include "steps/classifier.h"
#include "util/clock.h"

#define SAMPLE_MIN_NS (900 * NSEC_PER_MSEC)

const char *fault_state_name(enum fault_state state)
{
	static const char *const names[_FAULT_STATE_MAX] = {
		"planned", "journaled", "applying", "active", "undoing", "stuck", "done", "failed"};
	return names[state];
}

bool fault_is_open(const struct fault *f)
{
	return f->state != FAULT_PLANNED && f->state != FAULT_DONE && f->state != FAULT_FAILED;
}

uint64_t fault_remaining_ms(const struct fault *f)
{
	uint64_t now = boot_ns();

	if (!fault_is_open(f) || f->deadline_boot_ns <= now)
		return 0;
	return (f->deadline_boot_ns - now) / NSEC_PER_MSEC;
}

/* Several steps may find the same. */
void fault_note(struct fault *f, const char *text)
{
	char *copy;

	for (unsigned i = 0; i < f->n_notes; i++) {
		if (str_eq(f->notes[i], text))
			return;
	}
	copy = f->n_notes < NOTES_MAX ? strdup(text) : NULL;
	if (copy)
		f->notes[f->n_notes++] = copy;
}

void fault_free(struct fault *f)
{
	if (!f)
		return;
	plan_done(&f->plan);
	for (unsigned i = 0; i < f->n_notes; i++)
		free(f->notes[i]);
	free(f->params);
	free(f->resolved);
	free(f->canonical);
	free(f);
}

/* Processor time of a process; 0 when it is gone. */
static uint64_t cpu_time_of(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) < 0)
		return 0;
	return timespec_ns(&ts);
}

/* What our workers used, and the whole host, since the last sample at least a second ago. */
static void sample_load(struct fault *f, unsigned n)
{
	uint64_t now = boot_ns(), cpu = 0, busy = 0, total = 0;

	if (f->sample_boot_ns && now - f->sample_boot_ns < SAMPLE_MIN_NS)
		return;
	for (size_t i = 0; i < f->plan.n; i++) {
		if (f->plan.steps[i].kind == STEP_CHILD && f->plan.steps[i].child.pid)
			cpu += cpu_time_of((pid_t)f->plan.steps[i].child.pid);
	}
	(void)cpu_times_read(&busy, &total);
	if (f->sample_boot_ns && cpu >= f->sample_cpu_ns)
		f->load = 100.0 * (double)(cpu - f->sample_cpu_ns) /
			  (double)(now - f->sample_boot_ns) / n;
	if (f->sample_boot_ns && total > f->sample_total)
		f->host_load =
			100.0 * (double)(busy - f->sample_busy) / (double)(total - f->sample_total);
	f->sample_boot_ns = now;
	f->sample_cpu_ns = cpu;
	f->sample_busy = busy;
	f->sample_total = total;
}

bool fault_rule_counters(const struct fault *f, const struct step *s, struct classify_counters *ret)
{
	if (s->kind != STEP_RULE || !f->owner)
		return false;
	/* Once cleared, what the rule had counted is kept in its step. */
	if (!classifier_rule_count(f->owner->env.classifiers, &s->rule, ret))
		*ret = s->rule.counted;
	return true;
}

static void add_rule(const struct classify_counters *from, struct classify_counters *to)
{
	to->matched += from->matched;
	to->dropped += from->dropped;
	to->shaped += from->shaped;
	to->answered += from->answered;
}

static void add_shaper(const struct shaper_counters *from, struct shaper_counters *to)
{
	to->sent += from->sent;
	to->dropped += from->dropped;
}

void fault_add_counts(const struct step *s, struct packet_counts *to)
{
	if (s->kind == STEP_RULE)
		add_rule(&s->rule.counted, &to->rules);
	if (s->kind == STEP_SHAPER)
		add_shaper(&s->shaper.counted, &to->shapers);
}

struct counted {
	struct load_report_sum workers;
	unsigned stopped, signalled, exited;
	struct packet_counts packets;
	uint64_t cut;
	bool has_packets, has_answers, has_shapers, has_processes, has_cuts;
};

static void count_worker(const struct step_child *c, struct load_report_sum *sum)
{
	sum->workers += c->pid != 0;
	for (size_t i = 0; i < _LOAD_COUNTER_MAX; i++) {
		sum->counter[i] += c->report ? atomic_load_explicit(&c->report->counter[i],
								    memory_order_relaxed)
					     : c->counted[i];
	}
}

static void count_shaper(const struct step *s, struct counted *c)
{
	struct shaper_counters one = s->shaper.counted;

	if (s->state == STEP_APPLIED)
		(void)shaper_read(s, &one);
	c->has_shapers = true;
	add_shaper(&one, &c->packets.shapers);
	c->packets.shapers.waiting += one.waiting;
}

static void count_step(const struct fault *f, const struct step *s, struct counted *c)
{
	struct classify_counters one;

	if (s->kind == STEP_CHILD)
		count_worker(&s->child, &c->workers);
	c->has_processes |= s->kind == STEP_SIGNAL || s->kind == STEP_KILL;
	if (s->kind == STEP_SIGNAL && s->state == STEP_APPLIED && !s->process.was_stopped &&
	    !s->process.gone)
		c->stopped++;
	if (s->kind == STEP_KILL && s->state == STEP_APPLIED && !s->process.gone)
		c->signalled++;
	if (s->kind == STEP_KILL && s->process.exited_after_ms)
		c->exited++;
	if (fault_rule_counters(f, s, &one)) {
		c->has_packets = true;
		c->has_answers |= s->rule.rule.verdict == VERDICT_RESET ||
				  s->rule.rule.verdict == VERDICT_ANSWER;
		add_rule(&one, &c->packets.rules);
	}
	if (s->kind == STEP_SHAPER)
		count_shaper(s, c);
	if (s->kind == STEP_CUT) {
		c->has_cuts = true;
		c->cut += s->cut.cut;
	}
}

static double active_seconds(const struct fault *f)
{
	uint64_t until = f->ending_boot_ns ? f->ending_boot_ns : boot_ns();

	return until > f->start_boot_ns ? (double)(until - f->start_boot_ns) / NSEC_PER_SEC : 0;
}

/* A shaper drops what does not fit into its queue as well. */
static size_t packet_figures(const struct counted *c, struct figure *ret)
{
	const struct classify_counters *r = &c->packets.rules;
	const struct shaper_counters *s = &c->packets.shapers;
	size_t n = 0;

	ret[n++] = (struct figure){"matched", (double)r->matched, "packets", "matched"};
	ret[n++] = (struct figure){"dropped", (double)r->dropped, "packets", "dropped"};
	if (c->has_answers)
		ret[n++] = (struct figure){"answered", (double)r->answered, "packets", "answered"};
	if (!c->has_shapers)
		return n;
	ret[n++] = (struct figure){"shaped", (double)r->shaped, "packets", "shaped"};
	ret[n++] = (struct figure){"lost", (double)s->dropped, "packets", "lost"};
	ret[n++] = (struct figure){"waiting", (double)s->waiting, "packets", "waiting"};
	return n;
}

size_t fault_figures(struct fault *f, struct figure *ret)
{
	struct counted c = {.packets = f->past};
	size_t n = 0;

	for (size_t i = 0; f->owner && i < f->plan.n; i++)
		count_step(f, &f->plan.steps[i], &c);
	if (f->action->figures && f->applied_ns)
		return f->action->figures(&c.workers, active_seconds(f), ret, FIGURES_MAX);
	if (c.workers.workers)
		sample_load(f, c.workers.workers);
	if (f->action->hold == HOLD_CHILD && f->applied_ns) {
		ret[n++] = (struct figure){"load", f->load, "%", "load of each worker"};
		ret[n++] = (struct figure){"hostLoad", f->host_load, "%", "load of the host"};
	}
	if (c.has_packets)
		n += packet_figures(&c, ret + n);
	if (c.has_cuts)
		ret[n++] = (struct figure){"cut", (double)c.cut, "connections", "cut"};
	if (c.has_processes && f->action->hold == HOLD_JOURNAL)
		ret[n++] = (struct figure){"paused", c.stopped, "", "processes paused"};
	if (c.has_processes && f->action->hold == HOLD_NONE) {
		ret[n++] = (struct figure){"signalled", c.signalled, "", "processes signalled"};
		ret[n++] = (struct figure){"exited", c.exited, "", "exited"};
	}
	return n;
}
