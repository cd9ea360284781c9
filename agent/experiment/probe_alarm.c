/* SPDX-License-Identifier: Apache-2.0 */
/* aws:cloudwatch:alarm: an alarm is in ALARM. Asked once every alarm_period_ms of the
 * configuration, counted from the answer before. What may pass is tried again (alarm_read.h), for
 * a fault on the network may well hit the way to CloudWatch; then not to know is a reason to stop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/alarm_read.h"
#include "experiment/probe.h"
#include "plan/policy.h"
#include "util/str.h"

#define ALARMS_MAX 100 /* asked for together; FIS allows 5 */

/* The stop condition */

struct alarm_watch {
	struct probe *p;
	uv_timer_t next;
	struct alarm_reading *reading;
};

static void on_next(uv_timer_t *timer);

static void on_state(const char *state, const char *why, void *arg)
{
	struct alarm_watch *w = arg;
	struct probe *p = w->p;
	const char *name = alarm_arn_name(p->params);

	w->reading = NULL;
	if (!state)
		probe_cannot_read(p, "%s", why);
	else if (str_eq(state, "ALARM"))
		probe_tell(p, PROBE_FIRED, "alarm %s is in state ALARM", name);
	else
		probe_tell(p, PROBE_FINE, "alarm %s is in state %s", name, state);
	if (!p->stopping && !p->fired)
		(void)uv_timer_start(&w->next, on_next, p->env->policy->fis.alarm_period_ms, 0);
}

static int read_now(struct alarm_watch *w)
{
	return alarm_read(w->p->env->loop, w->p->env->cloud, w->p->params, on_state, w,
			  &w->reading);
}

static void on_next(uv_timer_t *timer)
{
	struct alarm_watch *w = timer->data;
	int r = read_now(w);

	if (r < 0)
		on_state(NULL, strerror(-r), w);
}

static void on_closed(uv_handle_t *h)
{
	probe_gone(((struct alarm_watch *)h->data)->p);
}

static int check_alarm(const void *params, struct error *e)
{
	return alarm_arn_check(params, e);
}

/* Its timer is closed before it is known that there is something to watch with. */
static void on_failed(uv_handle_t *h)
{
	free(h->data);
}

static int start_alarm(struct probe *p, struct error *e)
{
	struct alarm_watch *w;
	int r;

	if (!p->env->cloud)
		return error_set(e, ERROR_UNSUPPORTED, -ENOTSUP, "AWS is not asked by this faultd");
	w = calloc(1, sizeof(*w));
	if (!w)
		return error_set(e, ERROR_FAILED, -ENOMEM, "%s: out of memory", p->type->source);
	w->p = p;
	(void)uv_timer_init(p->env->loop, &w->next);
	w->next.data = w;
	r = read_now(w);
	if (r < 0) {
		uv_close((uv_handle_t *)&w->next, on_failed);
		return error_set(e, ERROR_FAILED, r, "%s: %s", p->type->source, strerror(-r));
	}
	p->state = w;
	return 0;
}

static void stop_alarm(struct probe *p)
{
	struct alarm_watch *w = p->state;

	alarm_reading_cancel(w->reading);
	w->reading = NULL;
	uv_close((uv_handle_t *)&w->next, on_closed);
}

const struct probe_type probe_type_alarm = {
	.source = "aws:cloudwatch:alarm",
	.description = "A CloudWatch alarm, metric or composite, by its ARN, is in state ALARM.",
	.check = check_alarm,
	.start = start_alarm,
	.stop = stop_alarm,
};

/* The question of aws:cloudwatch:assert-alarm-state */

struct alarm_asked {
	struct alarm_asking *of;
	struct alarm_reading *reading;
	char name[256];
};

struct alarm_asking {
	alarm_fn done;
	void *arg;
	size_t n, left;
	const char **states;
	struct alarm_asked asked[];
};

static void free_asking(struct alarm_asking *a)
{
	free(a->states);
	free(a);
}

void alarm_cancel(struct alarm_asking *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->n; i++)
		alarm_reading_cancel(a->asked[i].reading);
	free_asking(a);
}

static void on_one(const char *state, const char *why, void *arg)
{
	struct alarm_asked *one = arg;
	struct alarm_asking *a = one->of;
	alarm_fn done = a->done;
	void *of_done = a->arg;
	size_t n = a->n;
	struct error e;

	one->reading = NULL;
	if (!state) {
		error_set_text(&e, ERROR_FAILED, "alarm %s: %s", one->name, why);
		alarm_cancel(a);
		done(NULL, n, &e, of_done);
		return;
	}
	a->states[one - a->asked] = state;
	if (--a->left > 0)
		return;
	done(a->states, n, NULL, of_done);
	free_asking(a);
}

int alarm_ask(const struct probe_env *env, const char *const *alarms, size_t n, alarm_fn done,
	      void *arg, struct alarm_asking **ret)
{
	struct alarm_asking *a;

	if (!env->cloud)
		return -ENOTSUP;
	if (n == 0 || n > ALARMS_MAX)
		return -EINVAL;
	a = calloc(1, sizeof(*a) + n * sizeof(a->asked[0]));
	if (!a)
		return -ENOMEM;
	a->states = calloc(n, sizeof(a->states[0]));
	if (!a->states) {
		free(a);
		return -ENOMEM;
	}
	a->done = done;
	a->arg = arg;
	a->n = a->left = n;
	for (size_t i = 0; i < n; i++) {
		struct alarm_asked *one = &a->asked[i];
		int r = alarm_read(env->loop, env->cloud, alarms[i], on_one, one, &one->reading);

		if (r < 0) {
			alarm_cancel(a);
			return r;
		}
		one->of = a;
		(void)str_copy(one->name, sizeof(one->name), alarm_arn_name(alarms[i]));
	}
	*ret = a;
	return 0;
}
