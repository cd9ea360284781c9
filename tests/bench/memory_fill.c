/* SPDX-License-Identifier: Apache-2.0 */
/* Plain ways to have memory that is really there, timed from within: how much, and how.
 *     memory_fill BYTES touch|memset|touch-huge|populate|populate-huge
 * prints nanoseconds from the mmap() until all is resident, and ends. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	size_t bytes = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
	const char *how = argc == 3 ? argv[2] : "";
	uint64_t start = now_ns();
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (bytes == 0 || p == MAP_FAILED)
		return 2;
	(void)madvise(p, bytes, strstr(how, "-huge") ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	if (strncmp(how, "touch", 5) == 0) {
		for (size_t at = 0; at < bytes; at += 4096)
			((volatile char *)p)[at] = 1;
	} else if (strncmp(how, "populate", 8) == 0) {
		if (madvise(p, bytes, MADV_POPULATE_WRITE) < 0)
			return 3;
	} else if (strcmp(how, "memset") == 0) {
		memset(p, 0x5a, bytes);
		__asm__ volatile("" : : "r"(p) : "memory");
	} else {
		return 2;
	}
	printf("%llu\n", (unsigned long long)(now_ns() - start));
	return 0;
}
