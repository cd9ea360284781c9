/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of cloud/ share: the struct behind cloud.h, metadata, credentials. */
#ifndef FAULTD_CLOUD_INTERNAL_H
#define FAULTD_CLOUD_INTERNAL_H

#include "cloud/cloud.h"

#define METADATA_BUDGET_MS 2000 /* for all that is asked in one go */
#define METADATA_TIMEOUT_MS                                                  \
	1000 /* for one answer; the service is on this host's own hypervisor \
	      */
#define METADATA_ANSWER_MAX 16384
#define ENDPOINT_MAX        256
#define SESSION_TOKEN_MAX   8192

struct credentials {
	char access_key[129], secret_key[257];
	char session_token[SESSION_TOKEN_MAX];
	int64_t expires_s; /* CLOCK_REALTIME; 0: never */
};

struct endpoints {
	char metadata[ENDPOINT_MAX], monitoring[ENDPOINT_MAX], logs[ENDPOINT_MAX], s3[ENDPOINT_MAX];
};

struct cloud {
	uv_loop_t *loop;
	struct fetcher *fetcher;
	bool metadata, stopped;
	struct endpoints endpoints;
	char metadata_token[128];
	uint64_t metadata_token_until_ns; /* CLOCK_BOOTTIME */
	uv_timer_t later; /* tells at the next turn of the loop what failed at once */
	struct instance_asking *instances;
	struct cloud_calling *calls;
	struct credentials credentials;
	struct credentials_asking *credentials_asking; /* NULL: nobody asks */
};

/* metadata.c: GET of a path such as "/latest/meta-data/mac", with a token of IMDSv2. */

/* May it be asked, and is this EC2? Elsewhere anyone on the link could answer for 169.254.169.254,
 * and say who we are and with which keys we sign. */
bool metadata_may_be_asked(const struct cloud *c);

/* As fetch(). An answer is that of the path, or, when no token was given, what came instead. */
struct metadata_asking;
int metadata_get(struct cloud *c, const char *path, uint64_t deadline_boot_ns, fetch_fn done,
		 void *arg, struct metadata_asking **ret);
void metadata_cancel(struct metadata_asking *m);

/* The first line of an answer into a bounded buffer, when it is one word of printable ASCII. */
bool metadata_word(const char *body, char *to, size_t size);

/* cloud.c: calls instances_tell_failed() and the like at the next turn of the loop. */
void cloud_tell_later(struct cloud *c);

/* instance.c */
void instances_tell_failed(struct cloud *c);
void instances_stop(struct cloud *c);

/* credentials.c */

/* 0: `ret` has them, until the next turn of the loop; -EINPROGRESS: they are asked for, and
 * calls_have_credentials() will be told; else a negative errno and `why`, one line. */
#define CREDENTIALS_WHY_MAX 256
int credentials_get(struct cloud *c, const struct credentials **ret,
		    char why[static CREDENTIALS_WHY_MAX]);
/* They were refused: the next call asks for new ones. */
void credentials_forget(struct cloud *c);
void credentials_stop(struct cloud *c);

/* cloud.c: what waits goes on with them, or ends with `r` and `why` (`credentials` NULL). */
void calls_have_credentials(struct cloud *c, const struct credentials *credentials, int r,
			    const char *why);

#endif
