/* SPDX-License-Identifier: Apache-2.0 */
/* Who this host is in AWS's terms: from the configuration, else from instance metadata when it runs
 * on EC2, else made up once from the machine id. */
#ifndef FAULTD_EXPERIMENT_IDENTITY_H
#define FAULTD_EXPERIMENT_IDENTITY_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/cloud.h"
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
	cJSON *tags;      /* of the host: an object of strings; owned, never NULL */
	uint32_t given;   /* which of them the settings said; identity.c's own */
	const char *root; /* where the host's files are read: "", or a directory in tests */
};

/* From the settings alone. What they leave out: partition "aws", region "us-east-1", account
 * "000000000000", the instance's id made of /etc/machine-id ("i-" and 17 digits, see
 * identity_make_id()), and "". Returns 0 or -ENOMEM. `ret` is filled anew. */
int identity_from_settings(const struct fis_settings *s, struct identity *ret);
void identity_done(struct identity *id);

/* Adds what the settings left out and instance metadata says; what the settings said stays, of tags
 * each for itself. Returns 0, or -ENOMEM, and then tags may be missing. */
int identity_from_instance(struct identity *id, const struct cloud_instance *i);

/* "i-" and 17 hexadecimal digits, the first of them 0, out of a machine id: the same for the same
 * host, and no way back to the machine id, which is to be kept secret (machine-id(5)). A mixed hash
 * of 64 bits, not a cryptographic one: it hides 128 bits in 64, and nobody is let in by it. Pure.
 */
void identity_make_id(const char *machine_id, char ret[static 32]);

/* "arn:aws:fis:us-east-1:000000000000:experiment/EXP…": kinds are "experiment",
 * "experiment-template", "action", "safety-lever". Returns `ret`. */
const char *identity_fis_arn(const struct identity *id, const char *kind, const char *name,
			     char ret[static ARN_MAX]);
/* "arn:aws:faultd:us-east-1:000000000000:process/i-…/4711": of what AWS has no ARN for. A name's
 * first slash is left out: "cgroup/i-…/system.slice". */
const char *identity_host_arn(const struct identity *id, const char *kind, const char *name,
			      char ret[static ARN_MAX]);
/* "arn:aws:ec2:us-east-1:000000000000:instance/i-…", and of other services and kinds. */
const char *identity_aws_arn(const struct identity *id, const char *service, const char *kind,
			     const char *name, char ret[static ARN_MAX]);
const char *identity_instance_arn(const struct identity *id, char ret[static ARN_MAX]);

#endif
