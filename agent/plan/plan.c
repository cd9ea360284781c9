/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void plan_done(struct plan *p)
{
	free(p->steps);
	for (size_t i = 0; i < p->n_claims; i++)
		free(p->claims[i]);
	*p = (struct plan){0};
}

int plan_reserve(struct plan *p, size_t n)
{
	size_t room = p->room ? p->room : 1;
	struct step *steps;

	if (p->n + n > STEPS_MAX)
		return -E2BIG;
	if (p->n + n <= p->room)
		return 0;
	while (room < p->n + n)
		room *= 2;
	steps = reallocarray(p->steps, room, sizeof(*steps));
	if (!steps)
		return -ENOMEM;
	p->steps = steps;
	p->room = room;
	return 0;
}

struct step *plan_add(struct plan *p, enum step_kind kind)
{
	int r = plan_reserve(p, 1);
	struct step *s;

	if (r < 0) {
		errno = -r;
		return NULL;
	}
	s = &p->steps[p->n++];
	memset(s, 0, sizeof(*s));
	s->kind = kind;
	return s;
}

bool plan_has(const struct plan *p, const struct step *s)
{
	for (size_t i = 0; i < p->n; i++) {
		if (step_same(&p->steps[i], s))
			return true;
	}
	return false;
}

int plan_claim(struct plan *p, const char *format, ...)
{
	char text[CLAIM_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (p->n_claims == CLAIMS_MAX)
		return -E2BIG;
	p->claims[p->n_claims] = strdup(text);
	if (!p->claims[p->n_claims])
		return -ENOMEM;
	p->n_claims++;
	return 0;
}

const char *plan_conflict(const struct plan *a, const struct plan *b)
{
	for (size_t i = 0; i < a->n_claims; i++) {
		for (size_t k = 0; k < b->n_claims; k++) {
			if (str_eq(a->claims[i], b->claims[k]))
				return a->claims[i];
		}
	}
	return NULL;
}
