/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/make_id.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "util/clock.h"

#define RANDOM_PART 14

/* Without chance, which the kernel always has once it is up, the time has to do. */
static void fill(void *bytes, size_t size)
{
	uint64_t now = boot_ns();

	if (getrandom(bytes, size, 0) != (ssize_t)size)
		memcpy(bytes, &now, size < sizeof(now) ? size : sizeof(now));
}

void make_fis_id(const char *prefix, char ret[static FIS_ID_MAX])
{
	static const char digits[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
	uint8_t random[RANDOM_PART] = {0};
	size_t n = strlen(prefix);

	fill(random, sizeof(random));
	memcpy(ret, prefix, n);
	for (size_t i = 0; i < RANDOM_PART; i++)
		ret[n + i] = digits[random[i] % (sizeof(digits) - 1)];
	ret[n + RANDOM_PART] = '\0';
}

uint64_t make_seed(uint64_t most)
{
	uint64_t seed = 0;

	fill(&seed, sizeof(seed));
	seed &= most;
	return seed ? seed : 1;
}
