/* SPDX-License-Identifier: Apache-2.0 */
/* "arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE" in its parts. Pure. */
#ifndef FAULTD_EXPERIMENT_ARN_H
#define FAULTD_EXPERIMENT_ARN_H

struct arn {
	char partition[32], service[32], region[32], account[16]; /* region, account: may be "" */
	const char *resource;                                     /* in `text`; never "" */
};

/* Returns 0 or -EINVAL. */
int arn_parse(const char *text, struct arn *ret);

/* The resource of an ARN of this service (NULL: of any), whatever its partition, Region and account
 * are: the same template is to work everywhere. NULL: it is not such an ARN. Points into `text`. */
const char *arn_resource(const char *text, const char *service);

#endif
