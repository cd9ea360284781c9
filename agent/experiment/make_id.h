/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_EXPERIMENT_MAKE_ID_H
#define FAULTD_EXPERIMENT_MAKE_ID_H

#include <stdint.h>

#define FIS_ID_MAX 32

/* "EXT" or "EXP" (three characters) and 14 more, by chance, as FIS's look. */
void make_fis_id(const char *prefix, char ret[static FIS_ID_MAX]);

/* From 1 to `most`, which is one less than a power of two. */
uint64_t make_seed(uint64_t most);

#endif
