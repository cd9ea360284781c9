/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/arn.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "util/str.h"

/* Up to the next colon, and past it. */
static bool take_part(const char **s, char *to, size_t size)
{
	size_t n = strcspn(*s, ":");

	if ((*s)[n] != ':' || n >= size)
		return false;
	memcpy(to, *s, n);
	to[n] = '\0';
	*s += n + 1;
	return true;
}

int arn_parse(const char *text, struct arn *ret)
{
	const char *s = text + strlen("arn:");

	if (!str_starts(text, "arn:") || !take_part(&s, ret->partition, sizeof(ret->partition)) ||
	    !take_part(&s, ret->service, sizeof(ret->service)) ||
	    !take_part(&s, ret->region, sizeof(ret->region)) ||
	    !take_part(&s, ret->account, sizeof(ret->account)) || !*s || !ret->partition[0] ||
	    !ret->service[0])
		return -EINVAL;
	ret->resource = s;
	return 0;
}

const char *arn_resource(const char *text, const char *service)
{
	struct arn arn;

	if (arn_parse(text, &arn) < 0 || (service && !str_eq(arn.service, service)))
		return NULL;
	return arn.resource;
}
