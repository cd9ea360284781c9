/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration's part "fis": who this host is to AWS, quotas, where AWS is asked. Pure. */
#ifndef FAULTD_PLAN_FIS_SETTINGS_H
#define FAULTD_PLAN_FIS_SETTINGS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan/schema.h"
#include "util/err.h"

enum metadata_use { METADATA_AUTO, METADATA_OFF };

struct fis_settings {
	char partition[32], region[32], account[16]; /* "" region or account: metadata, else ours */
	char instance_id[32];
	char availability_zone[32], availability_zone_id[32];
	char vpc_id[32], subnet_id[32];
	int metadata;          /* enum metadata_use: is 169.254.169.254 asked who we are? */
	char listen[64];       /* "127.0.0.1:7340" or "[::1]:7340"; "": no TCP. Loopback only */
	int64_t templates_max; /* 500 */
	int64_t active_experiments_max; /* 5 */
	int64_t experiments_kept_max;   /* finished ones; the oldest go first */
	int64_t retention_days;         /* 120 */
	uint64_t alarm_period_ms;       /* 5 s: how often CloudWatch is asked */
	char cloudwatch_endpoint[256], logs_endpoint[256], s3_endpoint[256]; /* "": AWS's own */
	char metadata_endpoint[256]; /* "http://169.254.169.254" */
	char probe_dir[256];         /* where host:command may run programs from */
	cJSON *tags;                 /* of the host: an object of strings; owned, NULL: none */
};

extern const struct row fis_settings_rows[];
extern const size_t n_fis_settings_rows;

/* Reads the object at "fis" (NULL: all defaults). Returns 0 and settings to be released, or a
 * negative errno and the error. */
int fis_settings_parse(cJSON *json, struct fis_settings *ret, struct error *e);
void fis_settings_done(struct fis_settings *s);

/* What is read at the start only (ARNs of what there is would change, a socket is open) stays as it
 * was. Returns the name of one that was to change, or NULL. */
const char *fis_settings_keep(struct fis_settings *fresh, const struct fis_settings *old);

#endif
