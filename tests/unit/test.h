/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test needs: cmocka with the headers it asks for, and numbers that look random. */
#ifndef FAULTD_TESTS_UNIT_TEST_H
#define FAULTD_TESTS_UNIT_TEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* splitmix64: the same seed gives the same test on every machine. */
static inline uint64_t next_random(uint64_t *seed)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* A number below `n`; 0 when `n` is 0. */
static inline size_t random_below(uint64_t *seed, size_t n)
{
	return n ? next_random(seed) % n : 0;
}

#endif
