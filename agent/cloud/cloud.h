/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of AWS: who this instance is (IMDSv2), with which credentials it may ask
 * (environment, ECS, instance role), and signed calls. One for the daemon. */
#ifndef FAULTD_CLOUD_CLOUD_H
#define FAULTD_CLOUD_CLOUD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "cloud/fetch.h"
#include "util/err.h"

struct cloud;

struct cloud_setup {
	uv_loop_t *loop;
	bool metadata;                 /* may 169.254.169.254 be asked? */
	const char *metadata_endpoint; /* "http://169.254.169.254"; copied */
	/* Where services are asked instead of at AWS, as URLs; copied. NULL or "": at AWS. */
	const char *monitoring_endpoint, *logs_endpoint, *s3_endpoint;
};

/* Returns 0, -ENOMEM or -ENAMETOOLONG. */
int cloud_start(const struct cloud_setup *setup, struct cloud **ret);
/* The configuration was read anew: for what is asked from here on. Returns 0 or -ENAMETOOLONG, and
 * then nothing is changed. */
int cloud_configure(struct cloud *c, const struct cloud_setup *setup);
/* Cancels all; free after the loop has run once more. Who has calls or requests under way stops
 * before: what it could cancel them by is gone. NULL: nothing. */
void cloud_stop(struct cloud *c);
void cloud_free(struct cloud *c);
struct fetcher *cloud_fetcher(struct cloud *c);
uv_loop_t *cloud_loop(struct cloud *c);

struct cloud_tag {
	char key[385], value[1025]; /* EC2: 128 and 256 characters, in UTF-8 */
};

/* What instance metadata says of this host; "" what it does not. */
struct cloud_instance {
	char instance_id[32], instance_type[32], image_id[32];
	char region[32], account[16], partition[32];
	char availability_zone[32], availability_zone_id[32];
	char vpc_id[32], subnet_id[32], private_ip[48];
	const struct cloud_tag *tags; /* when the instance allows them in its metadata */
	size_t n_tags;
};

/* Asks it all; `i` is NULL when there is no metadata service (or none is to be asked, or this is no
 * EC2 instance: 169.254.169.254 is asked only where the firmware says so), and that is told within
 * 2 s. Valid during the callback, which is called on the loop, never from within this, and not
 * after cloud_stop(). Returns 0 or a negative errno. */
typedef void (*cloud_instance_fn)(const struct cloud_instance *i, void *arg);
int cloud_instance(struct cloud *c, cloud_instance_fn done, void *arg);

/* The URL of a path ("/…") of a service ("monitoring", "logs", "s3"): of the endpoint that is
 * configured, else "https://SERVICE.REGION.DOMAIN", by the partition's domain. Returns 0, -EINVAL
 * (an unknown partition, or no name of a region) or -ENAMETOOLONG. */
int cloud_url(const struct cloud *c, const char *service, const char *partition, const char *region,
	      const char *path, char *ret, size_t size);

/* A signed call. Credentials are those of the environment (AWS_ACCESS_KEY_ID …), of the ECS agent
 * (AWS_CONTAINER_CREDENTIALS_*) or of the instance's role, in this order, kept until five minutes
 * before they expire. The time that is signed is CLOCK_REALTIME: AWS refuses what is more than five
 * minutes off, also where it is a fault of ours that has set the clock. */
struct cloud_call {
	const char *service; /* "monitoring", "logs", "s3": as it is signed */
	const char *region;
	const char *url;
	const char *method;
	const char *const *headers; /* NULL-terminated, at most 16; may be NULL. All are signed */
	const char *body;
	size_t body_length;
	uint64_t timeout_ms; /* for all of it; asking for credentials may take 2 s more */
	size_t answer_max;
};
struct cloud_calling;
/* As fetch(): what the call says is copied, `done` is never called from within this. A call that
 * cannot be signed is told through `done` (-ENOKEY and such), with why. Returns 0 or a negative
 * errno: -ENOMEM, -E2BIG, -ESHUTDOWN. */
int cloud_call(struct cloud *c, const struct cloud_call *call, fetch_fn done, void *arg,
	       struct cloud_calling **ret);
void cloud_call_cancel(struct cloud_calling *c); /* NULL: nothing; `done` is not called */

#endif
