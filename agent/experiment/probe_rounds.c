/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/probe_rounds.h"

static void on_round(uv_timer_t *timer)
{
	struct rounds *r = timer->data;

	r->asked_ms = uv_now(timer->loop);
	r->asking = true;
	r->ask(r->p);
}

void rounds_start(struct rounds *r, struct probe *p, uint64_t period_ms,
		  void (*ask)(struct probe *p))
{
	*r = (struct rounds){.p = p, .ask = ask, .period_ms = period_ms};
	(void)uv_timer_init(p->env->loop, &r->timer);
	r->timer.data = r;
	(void)uv_timer_start(&r->timer, on_round, 0, 0);
}

void rounds_answered_again(struct rounds *r, uint64_t delay_ms)
{
	r->asking = false;
	if (r->closed)
		probe_gone(r->p);
	else if (!r->p->stopping && !r->p->fired)
		(void)uv_timer_start(&r->timer, on_round, delay_ms, 0);
}

void rounds_answered(struct rounds *r)
{
	uint64_t took_ms = uv_now(r->timer.loop) - r->asked_ms;

	rounds_answered_again(r, took_ms < r->period_ms ? r->period_ms - took_ms : 0);
}

static void on_closed(uv_handle_t *h)
{
	struct rounds *r = h->data;

	r->closed = true;
	if (!r->asking)
		probe_gone(r->p);
}

void rounds_stop(struct rounds *r)
{
	uv_close((uv_handle_t *)&r->timer, on_closed);
}
