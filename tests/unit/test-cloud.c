/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, credentials and metadata against tests/lib/cloud_server.py on loopback. Every test has
 * a loop of its own, which ends by itself when nothing is waited for: at rest nothing may be
 * active.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"
#include "test.h"

#include "cloud/cloud.h"
#include "util/clock.h"

static uv_loop_t loop;
static struct fetcher *fetcher;
static struct cloud *cloud;

struct got {
	int calls, r;
	unsigned status;
	size_t length;
	char body[512], message[256];
};

static void on_answer(const struct fetch_answer *a, void *arg)
{
	struct got *g = arg;

	g->calls++;
	g->r = a->r;
	g->status = a->status;
	g->length = a->length;
	(void)snprintf(g->body, sizeof(g->body), "%s", a->body);
	(void)snprintf(g->message, sizeof(g->message), "%s", a->message);
}

static struct fetch_request get(const char *path)
{
	return (struct fetch_request){
		.method = "GET", .url = url_of(path), .timeout_ms = 60000, .answer_max = 4096};
}

static struct got ask(const struct fetch_request *q)
{
	struct fetching *x;
	struct got g = {0};

	assert_int_equal(fetch(fetcher, q, on_answer, &g, &x), 0);
	assert_int_equal(g.calls, 0); /* never from within */
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(g.calls, 1);
	return g;
}

/* fetch.h */

static void test_nothing_is_loaded_at_rest(void **state)
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		assert_null(strstr(line, "libcurl"));
	(void)fclose(maps);
	assert_false(uv_loop_alive(&loop));
}

static void test_plain(void **state)
{
	const char *const headers[] = {"X-Test: some words", NULL};
	struct fetch_request q = get("/plain");
	struct got g;

	q.headers = headers;
	g = ask(&q);
	assert_int_equal(g.r, 0);
	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, "GET some words ");
	assert_string_equal(g.message, "");

	q.method = "POST";
	q.body = "a\0b";
	q.body_length = 3;
	g = ask(&q);
	assert_int_equal(g.length, strlen("POST some words a") + 2);
	q.method = "PUT";
	q.body = NULL;
	q.body_length = 0;
	g = ask(&q);
	assert_string_equal(g.body, "PUT some words ");
}

static void test_any_status_is_an_answer(void **state)
{
	struct fetch_request q = get("/status/503");
	struct got g = ask(&q);

	assert_int_equal(g.r, 0);
	assert_int_equal(g.status, 503);
	assert_string_equal(g.body, "as you wish");
	q = get("/moved");
	g = ask(&q);
	assert_int_equal(g.status, 302);
}

static void test_time_out(void **state)
{
	struct fetch_request q = get("/silent");
	struct got g;

	q.timeout_ms = 50;
	g = ask(&q);
	assert_int_equal(g.r, -ETIMEDOUT);
	assert_non_null(strstr(g.message, "timed out"));
}

/* A port that is bound by us and not listened on. */
static void test_refused(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(a);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char url[64];
	struct fetch_request q = get("/");
	struct got g;

	assert_int_equal(bind(s, (struct sockaddr *)&a, length), 0);
	assert_int_equal(getsockname(s, (struct sockaddr *)&a, &length), 0);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", ntohs(a.sin_port));
	q.url = url;
	g = ask(&q);
	assert_int_equal(g.r, -ECONNREFUSED);
	assert_true(g.message[0] != '\0');
	(void)close(s);
}

static void test_answer_too_large(void **state)
{
	struct fetch_request q = get("/large/4096");
	struct got g = ask(&q);

	assert_int_equal(g.r, 0);
	assert_int_equal(g.length, 4096);
	q = get("/large/4097");
	g = ask(&q);
	assert_int_equal(g.r, -EMSGSIZE);
	assert_string_equal(g.message, "the answer has more than 4096 bytes");
	q = get("/cut");
	g = ask(&q);
	assert_int_equal(g.r, -ECONNRESET);
}

static void test_what_cannot_be_asked(void **state)
{
	static const char *const urls[] = {"",
					   "/plain",
					   "ftp://127.0.0.1/",
					   "file:///etc/passwd",
					   "http://",
					   "http://user:word@127.0.0.1/"};
	const char *const headers[] = {"X-Test: a\r\nX-Other: b", NULL};
	struct fetch_request q = get("/plain");
	struct fetching *x;

	for (size_t i = 0; i < COUNT(urls); i++) {
		q.url = urls[i];
		assert_int_equal(fetch(fetcher, &q, on_answer, NULL, &x), -EINVAL);
	}
	q = get("/plain");
	q.method = "BREW";
	assert_int_equal(fetch(fetcher, &q, on_answer, NULL, &x), -EINVAL);
	q = get("/plain");
	q.timeout_ms = 0;
	assert_int_equal(fetch(fetcher, &q, on_answer, NULL, &x), -EINVAL);
	q = get("/plain");
	q.headers = headers;
	assert_int_equal(fetch(fetcher, &q, on_answer, NULL, &x), -EINVAL);
	q = get("/plain");
	q.method = "POST";
	q.body = "";
	q.body_length = FETCH_BODY_MAX + 1;
	assert_int_equal(fetch(fetcher, &q, on_answer, NULL, &x), -E2BIG);
	assert_false(uv_loop_alive(&loop));
}

/* The proxy of the environment leads nowhere: who did not ask for it does not notice. */
static void test_proxy_is_only_for_who_asks(void **state)
{
	struct fetch_request q = get("/plain");

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	assert_int_equal(ask(&q).r, 0);
	q.by_proxy = true;
	assert_int_equal(ask(&q).r, -ECONNREFUSED);
	unsetenv("http_proxy");
}

static void test_strangers_are_not_trusted(void **state)
{
	struct fetch_request q = get("/plain");
	char url[64];
	struct got g;

	if (!server.tls_port)
		skip();
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/plain", server.tls_port);
	q.url = url;
	g = ask(&q);
	assert_int_equal(g.r, -EPROTO);
	assert_non_null(strstr(g.message, "certificate"));
}

static void test_many_at_once(void **state)
{
	struct fetch_request q = get("/plain");
	struct got g[20] = {0};
	struct fetching *x;

	for (size_t i = 0; i < COUNT(g); i++)
		assert_int_equal(fetch(fetcher, &q, on_answer, &g[i], &x), 0);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	for (size_t i = 0; i < COUNT(g); i++) {
		assert_int_equal(g[i].calls, 1);
		assert_int_equal(g[i].status, 200);
	}
}

/* By the time /plain has answered, /silent is connected and waits for its answer. */
struct cancelling {
	struct fetching *silent;
	bool stop;
};

static void cancel_silent(const struct fetch_answer *a, void *arg)
{
	struct cancelling *c = arg;

	assert_int_equal(a->r, 0);
	if (c->stop)
		fetcher_stop(fetcher);
	else
		fetch_cancel(c->silent);
}

static void cancel_in_flight(bool stop)
{
	struct fetch_request silent = get("/silent"), plain = get("/plain");
	struct cancelling c = {.stop = stop};
	struct got g = {0};
	struct fetching *x;

	assert_int_equal(fetch(fetcher, &silent, on_answer, &g, &c.silent), 0);
	assert_int_equal(fetch(fetcher, &plain, cancel_silent, &c, &x), 0);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(g.calls, 0);
}

static void test_cancel_in_flight(void **state)
{
	cancel_in_flight(false);
}

static void test_stop_in_flight(void **state)
{
	struct fetch_request q = get("/plain");
	struct fetching *x;

	cancel_in_flight(true);
	assert_int_equal(fetch(fetcher, &q, on_answer, NULL, &x), -ESHUTDOWN);
}

static void test_cancel_before_it_began(void **state)
{
	struct fetch_request q = get("/plain");
	struct got g = {0};
	struct fetching *x;

	assert_int_equal(fetch(fetcher, &q, on_answer, &g, &x), 0);
	fetch_cancel(x);
	fetch_cancel(NULL);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(g.calls, 0);
}

static void test_stop_without_a_request(void **state)
{
	fetcher_stop(fetcher);
	fetcher_stop(fetcher);
	fetcher_stop(NULL);
}

static int open_loop(void **state)
{
	return uv_loop_init(&loop);
}

static int close_loop(void **state)
{
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&loop), 0);
	return 0;
}

static int open_fetcher(void **state)
{
	return open_loop(state) || fetcher_start(&loop, &fetcher);
}

static int close_fetcher(void **state)
{
	fetcher_stop(fetcher);
	(void)close_loop(state);
	fetcher_free(fetcher);
	return 0;
}

/* cloud.h */

static void start_cloud(const char *metadata)
{
	struct cloud_setup setup = {.loop = &loop,
				    .metadata = metadata,
				    .metadata_endpoint = metadata ? url_of(metadata) : ""};

	assert_int_equal(cloud_start(&setup, &cloud), 0);
}

static void test_urls(void **state)
{
	static const struct {
		const char *service, *partition, *region, *path, *url;
	} good[] = {
		{"monitoring", "aws", "eu-central-1", "/",
		 "https://monitoring.eu-central-1.amazonaws.com/"},
		{"s3", "aws-cn", "cn-north-1", "/a/b",
		 "https://s3.cn-north-1.amazonaws.com.cn/a/b"},
		{"logs", "aws-us-gov", "us-gov-west-1", "/",
		 "https://logs.us-gov-west-1.amazonaws.com/"},
	};
	static const char *const bad[] = {
		"", "eu-central-1.example.com/", "a/b", "eu_central", "EU", "-eu"};
	struct cloud_setup setup = {.loop = &loop, .logs_endpoint = "http://127.0.0.1:4566/"};
	char url[128], *long_url = calloc(1, 1000);

	start_cloud(NULL);
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(cloud_url(cloud, good[i].service, good[i].partition,
					   good[i].region, good[i].path, url, sizeof(url)),
				 0);
		assert_string_equal(url, good[i].url);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(cloud_url(cloud, "s3", "aws", bad[i], "/", url, sizeof(url)),
				 -EINVAL);
	assert_int_equal(cloud_url(cloud, "s3", "gcp", "a", "/", url, sizeof(url)), -EINVAL);
	assert_int_equal(cloud_url(cloud, "s3", "aws", "a", "/", url, 20), -ENAMETOOLONG);

	assert_int_equal(cloud_configure(cloud, &setup), 0);
	assert_int_equal(cloud_url(cloud, "logs", "aws", "a", "/b", url, sizeof(url)), 0);
	assert_string_equal(url, "http://127.0.0.1:4566/b");
	memset(long_url, 'x', 999);
	setup.logs_endpoint = long_url;
	assert_int_equal(cloud_configure(cloud, &setup), -ENAMETOOLONG);
	free(long_url);
}

static struct cloud_call call_of(const char *service, const char *method, const char *body)
{
	static const char *const headers[] = {"Content-Type: application/x-amz-json-1.1",
					      "X-Amz-Target: Some_20140328.Thing", NULL};

	return (struct cloud_call){.service = service,
				   .region = "eu-central-1",
				   .url = url_of("/signed/some%20path/%C3%A9"),
				   .method = method,
				   .headers = headers,
				   .body = body,
				   .body_length = strlen(body),
				   .timeout_ms = 60000,
				   .answer_max = 4096};
}

static struct got call(const struct cloud_call *q)
{
	struct cloud_calling *x;
	struct got g = {0};

	assert_int_equal(cloud_call(cloud, q, on_answer, &g, &x), 0);
	assert_int_equal(g.calls, 0);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(g.calls, 1);
	return g;
}

/* "METHOD KEY/DATE/REGION/SERVICE/aws4_request BODY", from a signature that was right. */
static void assert_signed(const struct got *g, const char *key, const char *tail)
{
	assert_int_equal(g->r, 0);
	if (g->status != 200)
		fail_msg("%u: %s", g->status, g->body);
	assert_non_null(strstr(g->body, key));
	assert_non_null(strstr(g->body, tail));
}

static void test_signed_by_the_environment(void **state)
{
	struct cloud_call q = call_of("logs", "POST", "{\"a\":1}");
	struct got g;

	start_cloud(NULL);
	setenv("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "environment/secret+key", 1);
	setenv("AWS_SESSION_TOKEN", "environment/session+token==", 1);
	g = call(&q);
	assert_signed(&g, "POST AKIDENVIRONMENT/", "/eu-central-1/logs/aws4_request {\"a\":1}");

	setenv("AWS_ACCESS_KEY_ID", "AKIDPLAIN", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "plain/secret+key", 1);
	unsetenv("AWS_SESSION_TOKEN");
	q = call_of("s3", "PUT", "line 1\nline 2\n");
	g = call(&q);
	assert_signed(&g, "PUT AKIDPLAIN/", "/eu-central-1/s3/aws4_request line 1\nline 2\n");
	q = call_of("monitoring", "GET", "");
	g = call(&q);
	assert_signed(&g, "GET AKIDPLAIN/", "/eu-central-1/monitoring/aws4_request ");

	/* What the server calls wrong is wrong. */
	setenv("AWS_SECRET_ACCESS_KEY", "another/secret+key", 1);
	g = call(&q);
	assert_int_equal(g.status, 403);
	assert_string_equal(g.body, "wrong signature");
}

static unsigned asked_for(const char *what)
{
	struct fetch_request q = get(what);
	struct fetching *x;
	struct got g = {0};

	assert_int_equal(fetch(cloud_fetcher(cloud), &q, on_answer, &g, &x), 0);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	return (unsigned)strtoul(g.body, NULL, 10);
}

static void test_signed_by_the_container(void **state)
{
	struct cloud_call q = call_of("logs", "POST", "{}");
	unsigned before;
	struct got g;

	start_cloud(NULL);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url_of("/container"), 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the container's token", 1);
	before = asked_for("/count/container");
	g = call(&q);
	assert_signed(&g, "AKIDCONTAINER/", "/logs/aws4_request {}");
	g = call(&q);
	assert_signed(&g, "AKIDCONTAINER/", "/logs/aws4_request {}");
	assert_int_equal(asked_for("/count/container"), before + 1); /* kept */
}

/* As EKS has it: the token is in a file, which counts more than the variable. */
static void test_the_container_s_token_in_a_file(void **state)
{
	struct cloud_call q = call_of("logs", "POST", "{}");
	char path[] = "/tmp/test-cloud-XXXXXX";
	int fd = mkstemp(path);
	struct got g;

	assert_true(fd >= 0);
	start_cloud(NULL);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url_of("/container"), 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "another token", 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1);
	g = call(&q);
	assert_int_equal(g.r, -EINVAL); /* it is empty */
	assert_int_equal(write(fd, "the container's token\n", 22), 22);
	g = call(&q);
	assert_signed(&g, "AKIDCONTAINER/", "/logs/aws4_request {}");
	(void)close(fd);
	(void)unlink(path);
}

static void test_the_container_refuses(void **state)
{
	struct cloud_call q = call_of("logs", "POST", "{}");
	struct got g;

	start_cloud("/imds");
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url_of("/container"), 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "another token", 1);
	g = call(&q);
	assert_int_equal(g.r, -ENOKEY);
	assert_string_equal(g.message,
			    "no credentials from the container's agent: HTTP status 401");
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/keys", 1);
	g = call(&q);
	assert_int_equal(g.r, -EINVAL);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1.example.com/keys", 1);
	g = call(&q);
	assert_int_equal(g.r, -EINVAL);
}

static void test_signed_by_the_role(void **state)
{
	struct cloud_call q = call_of("logs", "POST", "{}");
	struct cloud_calling *x;
	struct got g[3] = {0};

	start_cloud("/imds");
	for (size_t i = 0; i < COUNT(g); i++)
		assert_int_equal(cloud_call(cloud, &q, on_answer, &g[i], &x), 0);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	for (size_t i = 0; i < COUNT(g); i++)
		assert_signed(&g[i], "AKIDROLE/", "/logs/aws4_request {}");
}

static void test_no_credentials(void **state)
{
	struct cloud_call q = call_of("logs", "POST", "{}");
	struct got g;

	start_cloud(NULL);
	g = call(&q);
	assert_int_equal(g.r, -ENOKEY);
	assert_non_null(strstr(g.message, "instance metadata is not to be asked"));
	cloud_stop(cloud);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cloud_free(cloud);

	start_cloud("/no-role");
	g = call(&q);
	assert_int_equal(g.r, -ENOKEY);
	assert_string_equal(g.message, "no credentials: this instance has no role");
}

static void test_call_cancelled(void **state)
{
	struct cloud_call q = call_of("logs", "POST", "{}");
	struct cloud_calling *x;
	struct got g = {0};

	start_cloud("/imds"); /* while it waits for credentials */
	assert_int_equal(cloud_call(cloud, &q, on_answer, &g, &x), 0);
	cloud_call_cancel(x);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	setenv("AWS_ACCESS_KEY_ID", "AKIDPLAIN", 1); /* while it is under way */
	setenv("AWS_SECRET_ACCESS_KEY", "plain/secret+key", 1);
	assert_int_equal(cloud_call(cloud, &q, on_answer, &g, &x), 0);
	cloud_call_cancel(x);
	cloud_call_cancel(NULL);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(g.calls, 0);
}

struct got_instance {
	int calls;
	bool there;
	struct cloud_instance i;
	struct cloud_tag tag[4];
};

static void on_instance(const struct cloud_instance *i, void *arg)
{
	struct got_instance *g = arg;

	g->calls++;
	g->there = i;
	if (!i)
		return;
	g->i = *i;
	for (size_t k = 0; k < i->n_tags && k < COUNT(g->tag); k++)
		g->tag[k] = i->tags[k];
}

static void test_instance(void **state)
{
	struct got_instance *g = calloc(1, sizeof(*g));

	start_cloud("/imds");
	assert_int_equal(cloud_instance(cloud, on_instance, g), 0);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(g->calls, 1);
	assert_true(g->there);
	assert_string_equal(g->i.instance_id, "i-0123456789abcdef0");
	assert_string_equal(g->i.instance_type, "m7i.large");
	assert_string_equal(g->i.image_id, "ami-0123456789abcdef0");
	assert_string_equal(g->i.region, "eu-central-1");
	assert_string_equal(g->i.account, "123456789012");
	assert_string_equal(g->i.partition, "aws");
	assert_string_equal(g->i.availability_zone, "eu-central-1b");
	assert_string_equal(g->i.availability_zone_id, "euc1-az3");
	assert_string_equal(g->i.vpc_id, "vpc-0123456789abcdef0");
	assert_string_equal(g->i.subnet_id, "subnet-0123456789abcdef0");
	assert_string_equal(g->i.private_ip, "10.1.2.3");
	assert_int_equal(g->i.n_tags, 2);
	assert_string_equal(g->tag[0].key, "Name");
	assert_string_equal(g->tag[0].value, "web 1");
	assert_string_equal(g->tag[1].key, "té:am");
	assert_string_equal(g->tag[1].value, "påyments");
	free(g);
}

/* Silent, none there, off: told soon, and as none. The bound is for a machine that is busy. */
static void test_no_instance(void **state)
{
	static const char *const endpoints[] = {"/silent", "/no-imds", NULL};

	for (size_t i = 0; i < COUNT(endpoints); i++) {
		struct got_instance g = {0};
		uint64_t began = boot_ns();

		start_cloud(endpoints[i]);
		assert_int_equal(cloud_instance(cloud, on_instance, &g), 0);
		assert_int_equal(g.calls, 0);
		assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
		assert_int_equal(g.calls, 1);
		assert_false(g.there);
		assert_true(boot_ns() - began < 20 * NSEC_PER_SEC);
		if (i + 1 < COUNT(endpoints)) {
			cloud_stop(cloud);
			assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
			cloud_free(cloud);
		}
	}
}

static void test_stop_with_all_under_way(void **state)
{
	struct cloud_call q = call_of("logs", "POST", "{}");
	struct cloud_calling *x;
	struct got_instance i = {0};
	struct got g = {0};

	start_cloud("/imds");
	assert_int_equal(cloud_call(cloud, &q, on_answer, &g, &x), 0);
	assert_int_equal(cloud_instance(cloud, on_instance, &i), 0);
	for (int turns = 0; turns < 3; turns++)
		(void)uv_run(&loop, UV_RUN_ONCE);
	cloud_stop(cloud);
	assert_int_equal(cloud_call(cloud, &q, on_answer, &g, &x), -ESHUTDOWN);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(g.calls, 0);
	assert_int_equal(i.calls, 0);
}

static int close_cloud(void **state)
{
	cloud_stop(cloud);
	(void)close_loop(state);
	cloud_free(cloud);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_SESSION_TOKEN");
	unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	return 0;
}

#define FETCH_TEST(name) cmocka_unit_test_setup_teardown(name, open_fetcher, close_fetcher)
#define CLOUD_TEST(name) cmocka_unit_test_setup_teardown(name, open_loop, close_cloud)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FETCH_TEST(test_nothing_is_loaded_at_rest), /* first */
		FETCH_TEST(test_stop_without_a_request),
		FETCH_TEST(test_plain),
		FETCH_TEST(test_any_status_is_an_answer),
		FETCH_TEST(test_time_out),
		FETCH_TEST(test_refused),
		FETCH_TEST(test_answer_too_large),
		FETCH_TEST(test_what_cannot_be_asked),
		FETCH_TEST(test_proxy_is_only_for_who_asks),
		FETCH_TEST(test_strangers_are_not_trusted),
		FETCH_TEST(test_many_at_once),
		FETCH_TEST(test_cancel_in_flight),
		FETCH_TEST(test_stop_in_flight),
		FETCH_TEST(test_cancel_before_it_began),
		CLOUD_TEST(test_urls),
		CLOUD_TEST(test_signed_by_the_environment),
		CLOUD_TEST(test_signed_by_the_container),
		CLOUD_TEST(test_the_container_s_token_in_a_file),
		CLOUD_TEST(test_the_container_refuses),
		CLOUD_TEST(test_signed_by_the_role),
		CLOUD_TEST(test_no_credentials),
		CLOUD_TEST(test_call_cancelled),
		CLOUD_TEST(test_instance),
		CLOUD_TEST(test_no_instance),
		CLOUD_TEST(test_stop_with_all_under_way),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
