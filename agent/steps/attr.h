/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing one kernel attribute, for both sides of that step. Allocates nothing. */
#ifndef FAULTD_STEPS_ATTR_H
#define FAULTD_STEPS_ATTR_H

#include "plan/step.h"

#define ATTR_VALUE_MAX sizeof(((struct step_attr *)0)->was)

/* The present value, in the words in which it would be written: blanks made single; of a line of
 * "name=value" words only the names that `want` has; "no limit" when there is no line for `key`
 * ("name=max", or 0); "FROZEN" or "THAWED" for what a v1 freezer was told itself, whatever those
 * above it were. Returns 0, -ENOENT or -ENODEV when the cgroup or the device is gone, -EFBIG when
 * it is longer than a step can keep, or another negative errno. */
int attr_read(const struct step_attr *a, char ret[static ATTR_VALUE_MAX]);

/* Returns 0 or a negative errno. */
int attr_write(const struct step_attr *a, const char *value);

/* "PATH" or "KEY of PATH". */
void attr_name(const struct step_attr *a, struct text *t);

/* The file FILE in the directory of the attribute. Returns 0 or -ENAMETOOLONG. */
int attr_sibling(const struct step_attr *a, const char *file, char *ret, size_t size);

/* A whole small file as text. Returns 0, -EFBIG or another negative errno. */
int attr_read_file(const char *path, char *ret, size_t size);

/* Is the last part of its path this file? */
bool attr_is_file(const struct step_attr *a, const char *file);

#endif
