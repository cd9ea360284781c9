/* SPDX-License-Identifier: Apache-2.0 */
/* The same curves as iproute2's tables of these names, from their inverses. */
#include "steps/distribution.h"

#include <math.h>

/* The first x at or above `from` with normal_cdf(x) = p, for p > 0.5. There the curve bends down,
 * so that Newton's method comes nearer from below with each step. */
static double normal_above(double p, double from)
{
	double x = from;

	for (unsigned i = 0; i < 8; i++) {
		double cdf = 0.5 * erfc(-x * M_SQRT1_2);
		double density = exp(-x * x / 2) * M_2_SQRTPI * M_SQRT1_2 / 2;

		x += (p - cdf) / density;
	}
	return x;
}

static void fill_normal(double value[DISTRIBUTION_SIZE])
{
	double x = 0;

	for (unsigned i = DISTRIBUTION_SIZE / 2; i < DISTRIBUTION_SIZE; i++) {
		x = normal_above((i + 0.5) / DISTRIBUTION_SIZE, x);
		value[i] = x;
		value[DISTRIBUTION_SIZE - 1 - i] = -x;
	}
}

/* Of shape 3: its mean is 1.5. Its tail is cut where an entry ends, at four times the jitter. */
static double pareto(unsigned i)
{
	double p = 1 - (double)i / DISTRIBUTION_SIZE;

	return (pow(p, -1.0 / 3) - 1.5) * 4 / 3;
}

static int16_t entry(double deviation)
{
	double v = rint(deviation * DISTRIBUTION_SCALE);

	return (int16_t)fmax(INT16_MIN, fmin(INT16_MAX, v));
}

void distribution_fill(enum netem_distribution shape, int16_t table[DISTRIBUTION_SIZE])
{
	double normal[DISTRIBUTION_SIZE];

	if (shape != DISTRIBUTION_PARETO)
		fill_normal(normal);
	for (unsigned i = 0; i < DISTRIBUTION_SIZE; i++) {
		if (shape == DISTRIBUTION_PARETO)
			table[i] = entry(pareto(i));
		else if (shape == DISTRIBUTION_PARETONORMAL)
			table[i] = entry(0.25 * normal[i] + 0.75 * pareto(i));
		else
			table[i] = entry(normal[i]);
	}
}
