/* SPDX-License-Identifier: Apache-2.0 */
/* For stop conditions that ask again and again: one round after the other, no more often than the
 * period says. */
#ifndef FAULTD_EXPERIMENT_PROBE_ROUNDS_H
#define FAULTD_EXPERIMENT_PROBE_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "experiment/probe.h"

/* In a type's state. */
struct rounds {
	uv_timer_t timer; /* while a round is asking, it is the type's to use */
	struct probe *p;
	void (*ask)(struct probe *p); /* ends in rounds_answered(), from within or later */
	uint64_t period_ms, asked_ms;
	bool asking, closed;
};

/* The first round begins with the loop. */
void rounds_start(struct rounds *r, struct probe *p, uint64_t period_ms,
		  void (*ask)(struct probe *p));

/* The round is over: the next one when it is time, none when the probe has fired. When the probe is
 * being stopped this may free it. */
void rounds_answered(struct rounds *r);

/* The same, with the next one in so much time. */
void rounds_answered_again(struct rounds *r, uint64_t delay_ms);

/* For a type's stop(): no round begins any more, and probe_gone() is called when none is asking.
 * One that is asking must come to its end. */
void rounds_stop(struct rounds *r);

#endif
