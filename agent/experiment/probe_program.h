/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever may write a program that faultd runs may do what faultd may. */
#ifndef FAULTD_EXPERIMENT_PROBE_PROGRAM_H
#define FAULTD_EXPERIMENT_PROBE_PROGRAM_H

#include <stdbool.h>

#include "util/str.h"

/* Can nobody but root, or the user we run as, have made the directory and the regular file what
 * they are? Links are not followed. Reads the file system, which may take its time. false: `why`
 * says what is wrong. */
bool probe_program_is_trusted(const char *directory, const char *path, struct text *why);

#endif
