/* SPDX-License-Identifier: Apache-2.0 */
/* With which keys calls are signed: those of the environment; of the ECS agent, or whoever else is
 * at AWS_CONTAINER_CREDENTIALS_FULL_URI; of the instance's role. The first of these that is
 * configured is the one: there is no going on to the next when it does not answer. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cloud/internal.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/str.h"

#define CONTAINER_AGENT      "http://169.254.170.2"
#define CONTAINER_TIMEOUT_MS 2000
#define ANSWER_MAX           32768
#define SPARE_S              300 /* so long before they expire new ones are asked for */
#define ROLE_PATH            "/latest/meta-data/iam/security-credentials/"

struct credentials_asking {
	struct cloud *c;
	struct fetching *fetching;        /* the container's */
	struct metadata_asking *metadata; /* the instance's */
	uint64_t deadline_boot_ns;
};

static void end(struct cloud *c, int r, const char *why)
{
	free(c->credentials_asking);
	c->credentials_asking = NULL;
	calls_have_credentials(c, r == 0 ? &c->credentials : NULL, r, why);
}

static void end_refused(struct cloud *c, const char *who, const struct fetch_answer *f)
{
	char why[CREDENTIALS_WHY_MAX];

	if (f->r < 0)
		(void)snprintf(why, sizeof(why), "no credentials from %s: %.160s", who, f->message);
	else
		(void)snprintf(why, sizeof(why), "no credentials from %s: HTTP status %u", who,
			       f->status);
	end(c, f->r < 0 ? f->r : -ENOKEY, why);
}

/* {"AccessKeyId", "SecretAccessKey", "Token", "Expiration": "2026-01-31T12:00:00Z"} */

static bool read_text(const cJSON *json, const char *name, char *to, size_t size)
{
	const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));

	return value && metadata_word(value, to, size) && str_eq(value, to);
}

static int64_t read_time(const cJSON *json)
{
	const char *value =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "Expiration"));
	struct tm tm = {0};

	if (!value || !strptime(value, "%Y-%m-%dT%H:%M:%S", &tm))
		return 0;
	return timegm(&tm);
}

static bool read_credentials(const char *text, struct credentials *ret)
{
	cJSON *json = cJSON_Parse(text);
	bool good;

	*ret = (struct credentials){0};
	good = json && read_text(json, "AccessKeyId", ret->access_key, sizeof(ret->access_key)) &&
	       read_text(json, "SecretAccessKey", ret->secret_key, sizeof(ret->secret_key)) &&
	       read_text(json, "Token", ret->session_token, sizeof(ret->session_token));
	if (good) {
		ret->expires_s = read_time(json);
		good = ret->expires_s != 0;
	}
	cJSON_Delete(json);
	if (!good)
		*ret = (struct credentials){0};
	return good;
}

static void take(struct cloud *c, const char *who, const char *body)
{
	char why[CREDENTIALS_WHY_MAX];

	if (read_credentials(body, &c->credentials)) {
		end(c, 0, "");
		return;
	}
	(void)snprintf(why, sizeof(why), "no credentials from %s: its answer makes no sense", who);
	end(c, -EBADMSG, why);
}

/* The container's */

static void on_container(const struct fetch_answer *f, void *arg)
{
	struct credentials_asking *a = arg;

	if (f->r < 0 || f->status != 200)
		end_refused(a->c, "the container's agent", f);
	else
		take(a->c, "the container's agent", f->body);
}

/* Keys must not travel in the clear: http only to this host and to the agents of ECS and EKS, as
 * AWS's SDKs have it. */
static bool may_carry_keys(const char *url)
{
	static const char *const hosts[] = {"127.0.0.1",     "localhost",      "[::1]",
					    "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};

	if (str_starts(url, "https://"))
		return true;
	if (!str_starts(url, "http://"))
		return false;
	url += strlen("http://");
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		size_t n = strlen(hosts[i]);

		if (str_starts(url, hosts[i]) && (url[n] == '\0' || strchr(":/?", url[n])))
			return true;
	}
	return false;
}

/* "Authorization: TOKEN", or "" when none is wanted. That in the file (EKS: on tmpfs, renewed
 * there) counts more. Returns 0 or a negative errno. */
static int container_header(char *to, size_t size)
{
	static const char name[] = "Authorization: ";
	const char *path = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	_cleanup_close_ int fd = -1;
	ssize_t n;

	to[0] = '\0';
	if (!path || !path[0])
		return token && (size_t)snprintf(to, size, "%s%s", name, token) >= size ? -E2BIG
											: 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	n = fd < 0 ? -1 : read(fd, to + strlen(name), size - strlen(name));
	if (n < 0)
		return -errno;
	if ((size_t)n == size - strlen(name))
		return -E2BIG;
	memcpy(to, name, strlen(name));
	to[strlen(name) + (size_t)n] = '\0';
	to[strcspn(to, "\r\n")] = '\0';
	return to[strlen(name)] ? 0 : -EINVAL;
}

static int ask_container(struct credentials_asking *a, const char *url,
			 char why[static CREDENTIALS_WHY_MAX])
{
	char header[SESSION_TOKEN_MAX];
	const char *const headers[] = {header, NULL};
	struct fetch_request q = {
		.method = "GET",
		.url = url,
		.timeout_ms = CONTAINER_TIMEOUT_MS,
		.answer_max = ANSWER_MAX,
	};
	int r;

	if (!may_carry_keys(url)) {
		(void)snprintf(why, CREDENTIALS_WHY_MAX,
			       "AWS_CONTAINER_CREDENTIALS_FULL_URI: neither https nor this host");
		return -EINVAL;
	}
	r = container_header(header, sizeof(header));
	q.headers = header[0] ? headers : NULL;
	if (r == 0)
		r = fetch(a->c->fetcher, &q, on_container, a, &a->fetching);
	if (r < 0)
		(void)snprintf(why, CREDENTIALS_WHY_MAX,
			       "the container's agent cannot be asked for credentials: %s",
			       strerror(-r));
	return r;
}

/* The instance's role */

static void on_role_credentials(const struct fetch_answer *f, void *arg)
{
	struct credentials_asking *a = arg;

	if (f->r < 0 || f->status != 200)
		end_refused(a->c, "the instance's metadata", f);
	else
		take(a->c, "the instance's metadata", f->body);
}

static void on_role(const struct fetch_answer *f, void *arg)
{
	struct credentials_asking *a = arg;
	char path[256] = ROLE_PATH;
	int r;

	a->metadata = NULL;
	if (f->r == 0 && f->status == 404) {
		end(a->c, -ENOKEY, "no credentials: this instance has no role");
		return;
	}
	if (f->r < 0 || f->status != 200) {
		end_refused(a->c, "the instance's metadata", f);
		return;
	}
	if (!metadata_word(f->body, path + strlen(ROLE_PATH), sizeof(path) - strlen(ROLE_PATH)))
		r = -EBADMSG;
	else
		r = metadata_get(a->c, path, a->deadline_boot_ns, on_role_credentials, a,
				 &a->metadata);
	if (r < 0)
		end_refused(a->c, "the instance's metadata",
			    &(struct fetch_answer){.r = r, .message = strerror(-r)});
}

static int ask_instance(struct credentials_asking *a, char why[static CREDENTIALS_WHY_MAX])
{
	int r;

	if (!metadata_may_be_asked(a->c)) {
		(void)snprintf(why, CREDENTIALS_WHY_MAX,
			       "no credentials: neither AWS_ACCESS_KEY_ID nor "
			       "AWS_CONTAINER_CREDENTIALS_* is set, and %s",
			       a->c->metadata ? "this is no EC2 instance"
					      : "instance metadata is not to be asked");
		return -ENOKEY;
	}
	r = metadata_get(a->c, ROLE_PATH, a->deadline_boot_ns, on_role, a, &a->metadata);
	if (r < 0)
		(void)snprintf(why, CREDENTIALS_WHY_MAX,
			       "instance metadata cannot be asked for credentials: %s",
			       strerror(-r));
	return r;
}

/* All of them */

static bool from_environment(struct credentials *ret)
{
	const char *id = getenv("AWS_ACCESS_KEY_ID"), *key = getenv("AWS_SECRET_ACCESS_KEY");
	const char *token = getenv("AWS_SESSION_TOKEN");

	if (!id || !id[0] || !key || !key[0])
		return false;
	*ret = (struct credentials){0};
	return str_copy(ret->access_key, sizeof(ret->access_key), id) &&
	       str_copy(ret->secret_key, sizeof(ret->secret_key), key) &&
	       str_copy(ret->session_token, sizeof(ret->session_token), token ? token : "");
}

static int ask(struct credentials_asking *a, char why[static CREDENTIALS_WHY_MAX])
{
	const char *relative = getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	char url[512];

	if (relative && relative[0]) {
		struct text t = TEXT(url);

		text_add(&t, "%s%s%s", CONTAINER_AGENT, relative[0] == '/' ? "" : "/", relative);
		return ask_container(a, url, why);
	}
	if (full && full[0])
		return ask_container(a, full, why);
	return ask_instance(a, why);
}

static bool still_good(const struct credentials *k)
{
	return k->expires_s && time(NULL) < k->expires_s - SPARE_S;
}

int credentials_get(struct cloud *c, const struct credentials **ret,
		    char why[static CREDENTIALS_WHY_MAX])
{
	int r;

	if (c->credentials_asking)
		return -EINPROGRESS;
	*ret = &c->credentials;
	if (still_good(&c->credentials) || from_environment(&c->credentials))
		return 0;
	c->credentials_asking = calloc(1, sizeof(*c->credentials_asking));
	if (!c->credentials_asking) {
		(void)str_copy(why, CREDENTIALS_WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	c->credentials_asking->c = c;
	c->credentials_asking->deadline_boot_ns = boot_ns() + METADATA_BUDGET_MS * NSEC_PER_MSEC;
	r = ask(c->credentials_asking, why);
	if (r == 0)
		return -EINPROGRESS;
	free(c->credentials_asking);
	c->credentials_asking = NULL;
	return r;
}

void credentials_forget(struct cloud *c)
{
	c->credentials.expires_s = 0;
}

void credentials_stop(struct cloud *c)
{
	if (!c->credentials_asking)
		return;
	fetch_cancel(c->credentials_asking->fetching);
	metadata_cancel(c->credentials_asking->metadata);
	free(c->credentials_asking);
	c->credentials_asking = NULL;
}
