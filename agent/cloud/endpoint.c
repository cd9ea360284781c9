/* SPDX-License-Identifier: Apache-2.0 */
/* Where a service is. Regions come from ARNs that anybody may have written into a template, and the
 * name that is made of one gets a request with a session token: so it must be no more than a name,
 * and the domain is one of AWS's own. */
#include <errno.h>
#include <string.h>

#include "cloud/internal.h"
#include "util/str.h"

#define REGION_MAX 32

static const struct {
	const char *partition, *domain;
} partitions[] = {
	{"aws", "amazonaws.com"},        {"aws-cn", "amazonaws.com.cn"},
	{"aws-us-gov", "amazonaws.com"}, {"aws-iso", "c2s.ic.gov"},
	{"aws-iso-b", "sc2s.sgov.gov"},  {"aws-iso-e", "cloud.adc-e.uk"},
	{"aws-iso-f", "csp.hci.ic.gov"}, {"aws-eusc", "amazonaws.eu"},
};

static const char *domain_of(const char *partition)
{
	for (size_t i = 0; i < ARRAY_SIZE(partitions); i++)
		if (str_eq(partitions[i].partition, partition))
			return partitions[i].domain;
	return NULL;
}

static bool is_region(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= REGION_MAX && name[n] == '\0' && name[0] != '-';
}

static const char *configured(const struct cloud *c, const char *service)
{
	if (str_eq(service, "monitoring"))
		return c->endpoints.monitoring;
	if (str_eq(service, "logs"))
		return c->endpoints.logs;
	return str_eq(service, "s3") ? c->endpoints.s3 : "";
}

int cloud_url(const struct cloud *c, const char *service, const char *partition, const char *region,
	      const char *path, char *ret, size_t size)
{
	const char *domain = domain_of(partition), *own = configured(c, service);
	struct text t = {.data = ret, .size = size};

	if (!domain || !is_region(region))
		return -EINVAL;
	if (own[0])
		text_add(&t, "%s%s", own, path);
	else
		text_add(&t, "https://%s.%s.%s%s", service, region, domain, path);
	return t.cut ? -ENAMETOOLONG : 0;
}
