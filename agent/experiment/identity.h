/* SPDX-License-Identifier: Apache-2.0 */
/* Who this host is in AWS's terms: from the configuration, else from instance metadata when it runs
 * on EC2, else made up once from the machine id. */
#ifndef FAULTD_EXPERIMENT_IDENTITY_H
#define FAULTD_EXPERIMENT_IDENTITY_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "plan/fis_settings.h"
#include "util/str.h"

#define ARN_MAX 512

struct identity {
	char partition[32], region[32], account[16];
	char instance_id[32];
	char instance_type[32], image_id[32];
	char availability_zone[32], availability_zone_id[32];
	char vpc_id[32], subnet_id[32];
	char private_ip[48];
	cJSON *tags; /* of the host: an object of strings; owned, never NULL */
};

/* From the settings alone; what they leave out is made from /etc/machine-id ("i-" and 17 digits) or
 * left "". Returns 0 or -ENOMEM. `ret` is filled anew. */
int identity_from_settings(const struct fis_settings *s, struct identity *ret);
void identity_done(struct identity *id);

/* "arn:aws:fis:us-east-1:000000000000:experiment/EXP…": kinds are "experiment",
 * "experiment-template", "action", "safety-lever". Returns `ret`. */
const char *identity_fis_arn(const struct identity *id, const char *kind, const char *name,
			     char ret[static ARN_MAX]);
/* "arn:aws:faultd:us-east-1:000000000000:process/i-…/4711": of what AWS has no ARN for. */
const char *identity_host_arn(const struct identity *id, const char *kind, const char *name,
			      char ret[static ARN_MAX]);
/* "arn:aws:ec2:us-east-1:000000000000:instance/i-…". */
const char *identity_instance_arn(const struct identity *id, char ret[static ARN_MAX]);

#endif
