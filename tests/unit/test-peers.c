/* SPDX-License-Identifier: Apache-2.0 */
/* Names among peers: sets out of a file, hosts whose addresses change. */
#include "test.h"

#include <stdlib.h>

#include "plan/peers.h"

static struct peer_list peers(const char *text)
{
	struct peer_list list = {0};
	char copy[512];

	assert_true(str_copy(copy, sizeof(copy), text));
	for (char *item = strtok(copy, ","); item; item = strtok(NULL, ","))
		assert_int_equal(peer_list_add(&list, item), 0);
	return list;
}

static struct resolved *names(const char *text, const char *spared_text)
{
	struct peer_list list = peers(text), spared = peers(spared_text);
	struct resolved *r = resolved_new((const struct peer_list *[]){&list}, 1, &spared);

	assert_non_null(r);
	(void)str_copy(r->sets_path, sizeof(r->sets_path), "/etc/sets.json");
	return r;
}

static void test_set_names(void **state)
{
	static const char *const yes[] = {"S3",
					  "s3",
					  "DYNAMODB",
					  "us-east-1a",
					  "us-gov-west-1b",
					  "eu-central-1c",
					  "ap-southeast-2a",
					  "use1-az1",
					  "apse2-az3",
					  "usgw1-az1",
					  "us-west-2-lax-1a",
					  "usw2-lax1-az1"};
	static const char *const no[] = {
		"s3.amazonaws.com",       "web",       "db-1a", "S33", "use1", "az1", "us-east-1",
		"us-east-1a.example.com", "my-db-east"};

	for (size_t i = 0; i < COUNT(yes); i++) {
		if (!is_set_name(yes[i]))
			fail_msg("%s is one", yes[i]);
	}
	for (size_t i = 0; i < COUNT(no); i++) {
		if (is_set_name(no[i]))
			fail_msg("%s is none", no[i]);
	}
}

static void test_collect(void **state)
{
	struct resolved *r = names("a,10.0.0.1,b,a,S3", "b,c,::1");

	assert_int_equal(r->n, 4);
	assert_int_equal(resolved_find(r, "a")->kind, NAMED_HOST);
	assert_int_equal(resolved_find(r, "S3")->kind, NAMED_RESERVED);
	assert_non_null(resolved_find(r, "c"));
	assert_null(resolved_find(r, "10.0.0.1"));
	assert_true(resolved_has_hosts(r));
	assert_int_equal(r->spared.cidrs.n, 1);
	free(r);
	r = names("S3,10.0.0.1", "");
	assert_false(resolved_has_hosts(r));
	free(r);
	assert_false(resolved_has_hosts(NULL));
}

static void test_sets(void **state)
{
	static const char text[] =
		"{\"S3\":[\"52.216.0.0/15\",\"2600::/32\"],\"mine\":[\"10.0.0.1\"],\"other\":[\"::1\"]}";
	struct resolved *r = names("S3,host,mine", "");
	struct error e;

	assert_int_equal(resolved_take_sets(r, NULL, 0, &e), 0);
	assert_int_equal(resolved_find(r, "S3")->kind, NAMED_RESERVED);
	assert_int_equal(resolved_take_sets(r, text, strlen(text), &e), 0);
	assert_int_equal(resolved_find(r, "S3")->kind, NAMED_SET);
	assert_int_equal(resolved_find(r, "S3")->list.n, 2);
	assert_int_equal(resolved_find(r, "mine")->kind, NAMED_SET);
	assert_int_equal(resolved_find(r, "host")->kind, NAMED_HOST);
	assert_null(resolved_find(r, "other"));
	free(r);
}

/* The whole file has to be right, also what was not asked for; the message names file and key. */
static void test_bad_sets(void **state)
{
	static const struct {
		const char *text, *key;
	} cases[] = {
		{"", ""},
		{"[]", ""},
		{"{\"S3\":[]", ""},
		{"{\"S3\":[]}", "S3"},
		{"{\"S3\":\"10.0.0.0/8\"}", "S3"},
		{"{\"S3\":{}}", "S3"},
		{"{\"S3\":[10]}", "S3"},
		{"{\"S3\":[null]}", "S3"},
		{"{\"S3\":[\"10.0.0.0/33\"]}", "S3"},
		{"{\"S3\":[\"example.com\"]}", "S3"},
		{"{\"x\":[\"::1\"],\"zone\":[\"10.0.0.1\",\"nowhere\"]}", "zone"},
		{"{\"a b\":[\"::1\"]}", "a b"},
		{"{\"10.0.0.1\":[\"::1\"]}", "10.0.0.1"},
		{"{\"x\":[\"::1\"],\"x\":[\"::1\"]}", "x"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct resolved *r = names("S3", "");
		struct error e = {0};

		assert_true(resolved_take_sets(r, cases[i].text, strlen(cases[i].text), &e) < 0);
		assert_non_null(strstr(e.message, "networkSets"));
		assert_non_null(strstr(e.message, "/etc/sets.json"));
		assert_non_null(strstr(e.message, cases[i].key));
		free(r);
	}
}

static bool answer(struct named_peer *p, const char *text)
{
	struct peer_list list = peers(text);

	return named_peer_answer(p, &list.cidrs);
}

static void test_answers(void **state)
{
	struct resolved *r = names("host", "");
	struct named_peer *p = &r->peer[0];

	assert_true(answer(p, "10.0.0.1,::1"));
	assert_false(answer(p, "::1,10.0.0.1"));
	named_peer_no_answer(p, "no such host");
	assert_int_equal(p->list.n, 2);
	assert_string_equal(p->why, "no such host");
	/* one goes, another comes */
	assert_true(answer(p, "::1,10.0.0.2"));
	assert_string_equal(p->why, "");
	assert_int_equal(p->list.n, 3);
	for (int i = 1; i < PEER_KEPT_ANSWERS; i++)
		assert_false(answer(p, "::1,10.0.0.2"));
	named_peer_no_answer(p, "no such host"); /* is no answer without it */
	assert_int_equal(p->list.n, 3);
	assert_true(answer(p, "::1,10.0.0.2"));
	assert_int_equal(p->list.n, 2);
	/* back in time: it counts from the beginning */
	assert_false(answer(p, "::1"));
	assert_false(answer(p, "10.0.0.2"));
	for (int i = 0; i < 2 * PEER_KEPT_ANSWERS; i++)
		assert_false(answer(p, i % 2 ? "::1" : "10.0.0.2"));
	free(r);
}

static void test_copy(void **state)
{
	struct resolved *r = names("a,b", "c"), *copy = resolved_copy(r);

	assert_memory_equal(r, copy, resolved_size(r));
	assert_null(resolved_copy(NULL));
	free(r);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_names), cmocka_unit_test(test_collect),
		cmocka_unit_test(test_sets),      cmocka_unit_test(test_bad_sets),
		cmocka_unit_test(test_answers),   cmocka_unit_test(test_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
