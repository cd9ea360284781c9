/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/grade.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "util/duration.h"

static int check_bound(const char *field, double v, double min, double max, struct error *e)
{
	char shown[32], allowed[64];

	if (isnan(v) || (v >= min && v <= max))
		return 0;
	(void)snprintf(shown, sizeof(shown), "%.15g", v);
	(void)snprintf(allowed, sizeof(allowed), "%.15g to %.15g", min, max);
	return error_field(e, field, shown, allowed, "%s is out of range", shown);
}

static int check_wave(const struct grading *g, struct error *e)
{
	char shown[32], allowed[64];
	struct text t = TEXT(shown), a = TEXT(allowed);

	if (!g->every_ms && !g->for_ms)
		return 0;
	if (!g->every_ms || !g->for_ms)
		return error_field(e, g->every_ms ? "parameters.for" : "parameters.every", "",
				   "both, such as every 30s for 10s", "required with %s",
				   g->every_ms ? "every" : "for");
	if (g->for_ms < g->every_ms)
		return 0;
	duration_print(g->for_ms, &t);
	text_add(&a, "less than ");
	duration_print(g->every_ms, &a);
	return error_field(e, "parameters.for", shown, allowed, "%s leaves no time off", shown);
}

int grading_check(const struct grading *g, double min, double max, struct error *e)
{
	int r;

	if (!g->over_ms && (!isnan(g->from) || !isnan(g->to)))
		return error_field(e, "parameters.over", "", "a duration such as 5m",
				   "required with %s", isnan(g->from) ? "to" : "from");
	r = check_bound("parameters.from", g->from, 0, max, e);
	if (r == 0)
		r = check_bound("parameters.to", g->to, isnan(g->from) ? min : 0, max, e);
	return r < 0 ? r : check_wave(g, e);
}

double grading_end(const struct grading *g, double value)
{
	return isnan(g->to) ? value : g->to;
}

bool grading_of(const struct grading *g, double value, struct grade *ret, double *ret_to)
{
	*ret = (struct grade){.from = isnan(g->from) ? 0 : g->from,
			      .over_ms = g->over_ms,
			      .steps = (uint64_t)g->steps,
			      .every_ms = g->every_ms,
			      .for_ms = g->for_ms};
	*ret_to = grading_end(g, value);
	return !grade_is_flat(ret);
}

/* Workers read digits and a point, no exponent. */
static bool add_number(struct step *s, const char *option, double v)
{
	char text[48];

	(void)snprintf(text, sizeof(text), v < 1e-4 && v > 0 ? "%.12f" : "%.15g", v);
	return step_load_add(s, option) && step_load_add(s, text);
}

bool grading_add_load(const struct grading *g, struct step *s)
{
	struct grade grade;
	double to;
	bool fits = true;

	(void)grading_of(g, 0, &grade, &to);
	if (grade.over_ms)
		fits = add_number(s, "--from", grade.from) &&
		       add_number(s, "--over-ms", (double)grade.over_ms) &&
		       add_number(s, "--steps", (double)grade.steps);
	if (grade.every_ms)
		fits = fits && add_number(s, "--every-ms", (double)grade.every_ms) &&
		       add_number(s, "--for-ms", (double)grade.for_ms);
	return fits;
}

void grading_describe(const struct grading *g, struct text *t)
{
	if (g->over_ms) {
		text_add(t, ", from %.10g in %" PRId64 " step%s over ",
			 isnan(g->from) ? 0 : g->from, g->steps, g->steps == 1 ? "" : "s");
		duration_print(g->over_ms, t);
	}
	if (g->every_ms) {
		text_add(t, ", on for ");
		duration_print(g->for_ms, t);
		text_add(t, " every ");
		duration_print(g->every_ms, t);
	}
}
