/* SPDX-License-Identifier: Apache-2.0 */
/* Sources of stop conditions that watch nothing. */
#include <string.h>

#include "experiment/probe.h"

static const struct probe_type probes[] = {{.source = "aws:cloudwatch:alarm"},
					   {.source = "host:psi"}};

const struct probe_type *const probe_types[] = {&probes[0], &probes[1]};
const size_t n_probe_types = 2;

const struct probe_type *probe_type_find(const char *source)
{
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		if (strcmp(probes[i].source, source) == 0)
			return &probes[i];
	}
	return NULL;
}

int probe_parse(const struct probe_type *t, const char *value, const char *path, void **ret,
		struct problems *problems)
{
	const char *begins = t == &probes[0] ? "arn:aws:cloudwatch:" : "resource=";

	if (strncmp(value, begins, strlen(begins)) == 0)
		return 0;
	problems_add(problems, ERROR_VALIDATION, path, "does not begin with %s", begins);
	return -EINVAL;
}
