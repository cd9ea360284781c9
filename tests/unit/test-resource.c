/* SPDX-License-Identifier: Apache-2.0 */
/* experiment/resource and experiment/identity: the table of types, filters, the choice; and what is
 * found on a host that is made of files. */
#include "fake-host.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "experiment/container_files.h"
#include "experiment/resource_types.h"
#include "experiment/template.h"
#include "util/err.h"

#define ID_A "3f1c0a9be2d4576899aabbccddeeff00112233445566778899aabbccddeeff00"
#define ID_B "9aa10a9be2d4576899aabbccddeeff00112233445566778899aabbccddeeff00"
#define ID_C "c0c00a9be2d4576899aabbccddeeff00112233445566778899aabbccddeeff00"
#define TASK "0123456789abcdef0123456789abcdef"
#define UID  "8a3c2f1e-0b1d-4c5e-9f00-112233445566"
#define UID_ "8a3c2f1e_0b1d_4c5e_9f00_112233445566"

static struct identity identity;

/* Filters */

static void test_filters(void **state)
{
	static const char properties[] =
		"{\"State\":{\"Code\":16,\"Name\":\"running\"},\"InstanceId\":\"i-1\","
		"\"Up\":true,\"Down\":false,\"Nothing\":null,\"Share\":0.5,"
		"\"Tags\":[{\"Key\":\"Name\",\"Value\":\"web\"},{\"Key\":\"Stage\",\"Value\":\"test\"}],"
		"\"Addresses\":[\"10.0.0.5\",\"10.0.0.6\"],\"Deep\":[[{\"A\":{\"B\":[1,2]}}]],"
		"\"Labels\":{\"app.kubernetes.io/name\":\"web\",\"app\":\"x\"},\"\":{\"\":\"odd\"}}";
	static const struct {
		const char *path;
		const char *values[3];
		bool fits;
	} cases[] = {
		{"State.Name", {"running"}, true},
		{"State.Name", {"stopped", "running"}, true},
		{"State.Name", {"stopped"}, false},
		{"State.Name", {"Running"}, false},
		{"State.Name", {"run*"}, false},
		{"State.name", {"running"}, false},
		{"state.Name", {"running"}, false},
		{"State", {"running"}, false},
		{"State.", {"running"}, false},
		{"State..Name", {"running"}, false},
		{".State.Name", {"running"}, false},
		{"State.Name.", {"running"}, false},
		{"State.Name.More", {"running"}, false},
		{"State.Code", {"16"}, true},
		{"State.Code", {"16.0"}, false},
		{"Share", {"0.5"}, true},
		{"Up", {"true"}, true},
		{"Down", {"false"}, true},
		{"Down", {"true"}, false},
		{"Nothing", {"null"}, false},
		{"Nothing", {""}, false},
		{"Tags.Key", {"Stage"}, true},
		{"Tags.Value", {"prod", "test"}, true},
		{"Tags.Value", {"prod"}, false},
		{"Tags", {"web"}, false},
		{"Tags.0.Key", {"Name"}, false},
		{"Addresses", {"10.0.0.6"}, true},
		{"Addresses", {"10.0.0.7"}, false},
		{"Addresses.0", {"10.0.0.5"}, false},
		{"Deep.A.B", {"2"}, true},
		{"Deep.A.B", {"3"}, false},
		{"Labels.app.kubernetes.io/name", {"web"}, true},
		{"Labels.app", {"x"}, true},
		{"Labels.app", {"web"}, false},
		{"InstanceId", {"i-1"}, true},
		{"InstanceIdX", {"i-1"}, false},
		{"InstanceI", {"i-1"}, false},
		{"", {"i-1"}, false},
		{".", {"odd"}, false},
		{"Missing", {""}, false},
	};
	cJSON *json = cJSON_Parse(properties);

	assert_non_null(json);
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t n = 0;

		while (n < 3 && cases[i].values[n])
			n++;
		if (resource_filter_fits(json, cases[i].path, cases[i].values, n) != cases[i].fits)
			fail_msg("%s = %s", cases[i].path, cases[i].values[0]);
		assert_false(resource_filter_fits(json, cases[i].path, cases[i].values, 0));
	}
	assert_false(resource_filter_fits(NULL, "A", cases[0].values, 1));
	cJSON_Delete(json);
}

/* Whatever the path and the properties, it ends, and what it says of a path that is really there is
 * right. */
static void random_path(char *ret, size_t size, uint64_t *seed)
{
	static const char *const parts[] = {"A", "B",    "A.B", ".", "..",
					    "",  "\xff", "AA",  "*", "[0]"};
	size_t n = random_below(seed, 7), length = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < n && length + 8 < size; i++)
		length += (size_t)snprintf(ret + length, size - length, "%s%s",
					   i && random_below(seed, 4) ? "." : "",
					   parts[random_below(seed, COUNT(parts))]);
}

static cJSON *random_json(uint64_t *seed, int deep)
{
	static const char *const names[] = {"A", "B", "A.B", "", ".", "AA"};
	size_t kind = random_below(seed, deep > 5 ? 4 : 6), n = random_below(seed, 4);
	cJSON *json;

	if (kind == 0)
		return cJSON_CreateString("x");
	if (kind == 1)
		return cJSON_CreateNumber((double)n);
	if (kind == 2)
		return cJSON_CreateBool(n > 1);
	if (kind == 3)
		return cJSON_CreateNull();
	json = kind == 4 ? cJSON_CreateArray() : cJSON_CreateObject();
	for (size_t i = 0; i < n; i++) {
		cJSON *child = random_json(seed, deep + 1);

		if (kind == 4)
			assert_true(cJSON_AddItemToArray(json, child));
		else
			assert_true(cJSON_AddItemToObject(
				json, names[random_below(seed, COUNT(names))], child));
	}
	return json;
}

static void test_filter_fuzz(void **state)
{
	static const char *const values[] = {"x", "1", "true"};
	uint64_t seed = 20240917;
	size_t hits = 0;

	for (int i = 0; i < 100000; i++) {
		cJSON *json = random_json(&seed, 0), *around;
		char path[96], longer[112];
		bool fits;

		random_path(path, sizeof(path), &seed);
		fits = resource_filter_fits(json, path, values, COUNT(values));
		hits += fits;
		/* One level further in it is the same. */
		around = cJSON_CreateObject();
		assert_true(cJSON_AddItemToObject(around, "Q", json));
		(void)snprintf(longer, sizeof(longer), "Q%s%s", path[0] ? "." : "", path);
		assert_int_equal(resource_filter_fits(around, longer, values, COUNT(values)), fits);
		cJSON_Delete(around);
	}
	assert_true(hits > 100);
}

/* The choice: a type of the test's own */

static size_t there_are;
static bool backwards;

static int find_numbers(const cJSON *parameters, const struct identity *id,
			struct resource_list *ret, struct error *e)
{
	for (size_t i = 0; i < there_are; i++) {
		size_t number = backwards ? there_are - 1 - i : i;
		struct resource *r = resource_list_add(ret);

		assert_non_null(r);
		(void)snprintf(r->arn, sizeof(r->arn), "arn:test:%04zu", number);
		(void)snprintf(r->value, sizeof(r->value), "%zu", number);
		r->properties = cJSON_CreateObject();
		r->tags = cJSON_CreateObject();
		assert_non_null(cJSON_AddStringToObject(r->properties, "Parity",
							number % 2 ? "odd" : "even"));
		assert_non_null(
			cJSON_AddStringToObject(r->properties, "Third", number % 3 ? "no" : "yes"));
		assert_non_null(
			cJSON_AddStringToObject(r->tags, "Stage", number < 3 ? "" : "test"));
		assert_non_null(cJSON_AddStringToObject(r->tags, "Name", r->value));
	}
	return 0;
}

static const struct resource_type numbers = {
	.name = "test:number", .has_arns = true, .has_tags = true, .find = find_numbers};

static struct template_target target_of(const struct resource_type *type)
{
	static cJSON *none;

	if (!none)
		none = cJSON_CreateObject();
	return (struct template_target){.name = "some", .type = type, .parameters = none};
}

static size_t resolve_n(const struct template_target *t, uint64_t seed)
{
	struct resource_list l = {0};
	struct error e = {0};
	size_t n;

	assert_int_equal(resource_resolve(t, &identity, seed, &l, &e), 0);
	n = l.n;
	resource_list_done(&l);
	return n;
}

static void test_selection(void **state)
{
	static const struct {
		enum selection_kind kind;
		unsigned number;
		size_t there_are, expected;
	} cases[] = {
		{SELECT_ALL, 0, 0, 0},         {SELECT_ALL, 0, 5, 5},
		{SELECT_ALL, 0, 64, 64},       {SELECT_COUNT, 1, 5, 1},
		{SELECT_COUNT, 5, 5, 5},       {SELECT_COUNT, 6, 5, 5},
		{SELECT_COUNT, 3, 0, 0},       {SELECT_COUNT, 64, 4000, 64},
		{SELECT_PERCENT, 50, 5, 2},    {SELECT_PERCENT, 50, 1, 0},
		{SELECT_PERCENT, 1, 99, 0},    {SELECT_PERCENT, 1, 100, 1},
		{SELECT_PERCENT, 100, 5, 5},   {SELECT_PERCENT, 99, 5, 4},
		{SELECT_PERCENT, 33, 3, 0},    {SELECT_PERCENT, 34, 3, 1},
		{SELECT_PERCENT, 67, 3, 2},    {SELECT_PERCENT, 50, 0, 0},
		{SELECT_PERCENT, 1, 4096, 40},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct template_target t = target_of(&numbers);

		t.selection = cases[i].kind;
		t.selection_n = cases[i].number;
		there_are = cases[i].there_are;
		assert_int_equal(resolve_n(&t, 1), cases[i].expected);
	}
}

static void test_too_many(void **state)
{
	struct template_target t = target_of(&numbers);
	struct resource_list l = {0};
	struct error e = {0};

	there_are = 65;
	assert_int_equal(resource_resolve(&t, &identity, 1, &l, &e), -E2BIG);
	assert_int_equal(l.n, 0);
	assert_non_null(strstr(e.message, "65 resources"));
	assert_non_null(strstr(e.message, "COUNT(64)"));
	there_are = RESOURCES_MAX;
	t.selection = SELECT_PERCENT;
	t.selection_n = 2;
	assert_int_equal(resource_resolve(&t, &identity, 1, &l, &e), -E2BIG);
}

static void test_same_seed(void **state)
{
	struct template_target t = target_of(&numbers);
	struct resource_list a = {0}, b = {0}, c = {0};
	struct error e = {0};
	size_t same = 0;

	there_are = 1000;
	t.selection = SELECT_COUNT;
	t.selection_n = 10;
	assert_int_equal(resource_resolve(&t, &identity, 7, &a, &e), 0);
	backwards = true;
	assert_int_equal(resource_resolve(&t, &identity, 7, &b, &e), 0);
	backwards = false;
	assert_int_equal(resource_resolve(&t, &identity, 8, &c, &e), 0);
	for (size_t i = 0; i < 10; i++) {
		assert_string_equal(a.resource[i].arn, b.resource[i].arn);
		assert_true(i == 0 || strcmp(a.resource[i - 1].arn, a.resource[i].arn) < 0);
		same += strcmp(a.resource[i].arn, c.resource[i].arn) == 0;
	}
	assert_true(same < 10);
	resource_list_done(&a);
	resource_list_done(&b);
	resource_list_done(&c);
}

/* Each of ten is one of the three in 3 of 10 cases: 3000, with a deviation of 46. */
static void test_uniform(void **state)
{
	struct template_target t = target_of(&numbers);
	size_t hit[10] = {0};

	there_are = 10;
	t.selection = SELECT_COUNT;
	t.selection_n = 3;
	for (uint64_t seed = 1; seed <= 10000; seed++) {
		struct resource_list l = {0};
		struct error e = {0};

		assert_int_equal(resource_resolve(&t, &identity, seed, &l, &e), 0);
		for (size_t i = 0; i < l.n; i++)
			hit[strtoul(l.resource[i].value, NULL, 10)]++;
		resource_list_done(&l);
	}
	for (size_t i = 0; i < 10; i++)
		assert_in_range(hit[i], 2770, 3230);
}

static void test_arns(void **state)
{
	struct template_target t = target_of(&numbers);
	struct resource_list l = {0};
	struct error e = {0};

	there_are = 5;
	t.arns[0] = "arn:test:0003";
	t.arns[1] = "arn:test:0001";
	t.n_arns = 2;
	assert_int_equal(resource_resolve(&t, &identity, 1, &l, &e), 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.resource[0].value, "1");
	assert_string_equal(l.resource[1].value, "3");
	resource_list_done(&l);
	t.arns[1] = "arn:test:0005";
	assert_int_equal(resource_resolve(&t, &identity, 1, &l, &e), -ENOENT);
	assert_int_equal(e.code, ERROR_NOT_FOUND);
	assert_non_null(strstr(e.message, "arn:test:0005"));
	assert_non_null(strstr(e.message, "targets.some.resourceArns"));
	/* who is alone is named */
	there_are = 1;
	assert_int_equal(resource_resolve(&t, &identity, 1, &l, &e), -ENOENT);
	assert_non_null(strstr(e.message, "here are arn:test:0000"));
}

static size_t resolve_tags(const char *tags)
{
	struct template_target t = target_of(&numbers);
	cJSON *json = cJSON_Parse(tags);
	size_t n;

	t.tags = json;
	n = resolve_n(&t, 1);
	cJSON_Delete(json);
	return n;
}

static void test_tags(void **state)
{
	there_are = 10;
	assert_int_equal(resolve_tags("{}"), 10);
	assert_int_equal(resolve_tags("{\"Stage\":\"test\"}"), 7);
	assert_int_equal(resolve_tags("{\"Stage\":\"\"}"), 3); /* no wildcard */
	assert_int_equal(resolve_tags("{\"Stage\":\"test\",\"Name\":\"5\"}"), 1);
	assert_int_equal(resolve_tags("{\"Stage\":\"\",\"Name\":\"5\"}"), 0);
	assert_int_equal(resolve_tags("{\"stage\":\"test\"}"), 0);
	assert_int_equal(resolve_tags("{\"Missing\":\"\"}"), 0);
}

static void test_filters_and(void **state)
{
	const char *even[] = {"even"}, *odd[] = {"odd"}, *both[] = {"even", "odd"},
		   *yes[] = {"yes"};
	struct template_filter filters[] = {
		{"Parity", even, 1}, {"Third", yes, 1}, {"Parity", odd, 1}};
	struct template_target t = target_of(&numbers);

	there_are = 12;
	t.filters = filters;
	t.n_filters = 1;
	assert_int_equal(resolve_n(&t, 1), 6);
	t.n_filters = 2;
	assert_int_equal(resolve_n(&t, 1), 2); /* 0 and 6 */
	t.n_filters = 3;                       /* the same path twice */
	assert_int_equal(resolve_n(&t, 1), 0);
	filters[0] = (struct template_filter){"Parity", both, 2};
	t.n_filters = 2;
	assert_int_equal(resolve_n(&t, 1), 4);
	/* and only then the share of what is left */
	t.selection = SELECT_PERCENT;
	t.selection_n = 50;
	assert_int_equal(resolve_n(&t, 1), 2);
}

/* The table */

static void test_table(void **state)
{
	struct resource_list l = {0};

	for (size_t i = 0; i < n_resource_types; i++) {
		const struct resource_type *t = resource_types[i];
		cJSON *full = resource_type_print(t, true),
		      *summary = resource_type_print(t, false);
		int n = 0;

		assert_true(i == 0 || strcmp(resource_types[i - 1]->name, t->name) < 0);
		assert_ptr_equal(resource_type_find(t->name), t);
		assert_null(resource_type_why_not(t->name));
		assert_non_null(t->find);
		assert_in_range(strlen(t->description), 10, 512);
		for (const struct resource_parameter *p = t->parameters; p && p->name; p++, n++) {
			assert_ptr_equal(resource_parameter_find(t, p->name), p);
			assert_in_range(strlen(p->description), 5, 512);
		}
		assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(full, "parameters")), n);
		assert_string_equal(
			cJSON_GetStringValue(cJSON_GetObjectItem(summary, "resourceType")),
			t->name);
		assert_int_equal(cJSON_GetArraySize(summary), 2);
		assert_null(resource_parameter_find(t, "nothing"));
		cJSON_Delete(full);
		cJSON_Delete(summary);
	}
	assert_null(resource_type_find("aws:rds:db"));
	assert_non_null(resource_type_why_not("aws:rds:db"));
	assert_null(resource_type_why_not("aws:rds:nothing"));
	for (size_t i = 0; i < RESOURCES_MAX; i++)
		assert_non_null(resource_list_add(&l));
	assert_null(resource_list_add(&l));
	assert_int_equal(errno, E2BIG);
	resource_list_done(&l);
}

/* Identity */

static void test_identity(void **state)
{
	struct cloud_tag tags[] = {{"Name", "theirs"}, {"Team", "a"}};
	struct cloud_instance instance = {.instance_id = "i-11111111111111111",
					  .instance_type = "m7g.large",
					  .region = "eu-west-1",
					  .account = "111122223333",
					  .partition = "aws-cn",
					  .private_ip = "10.0.0.5",
					  .tags = tags,
					  .n_tags = COUNT(tags)};
	struct fis_settings s = {.partition = "aws", .account = "999999999999"};
	char arn[ARN_MAX];
	struct identity id;

	assert_int_equal(identity_from_settings(&s, &id), 0);
	assert_string_equal(id.region, "us-east-1");
	assert_int_equal(strlen(id.instance_id), strlen("i-") + 17);
	assert_int_equal(strspn(id.instance_id + 2, "0123456789abcdef"), 17);
	assert_string_equal(identity_fis_arn(&id, "experiment", "EXP1", arn),
			    "arn:aws:fis:us-east-1:999999999999:experiment/EXP1");
	assert_string_equal(id.instance_type, "");
	assert_int_equal(cJSON_GetArraySize(id.tags), 0);
	assert_int_equal(identity_from_instance(&id, &instance), 0);
	assert_string_equal(id.account, "999999999999"); /* the settings said it */
	assert_string_equal(id.region, "eu-west-1");
	assert_string_equal(id.partition, "aws-cn");
	assert_string_equal(id.instance_type, "m7g.large");
	assert_string_equal(id.private_ip, "10.0.0.5");
	assert_string_equal(identity_instance_arn(&id, arn),
			    "arn:aws-cn:ec2:eu-west-1:999999999999:instance/i-11111111111111111");
	assert_string_equal(
		identity_host_arn(&id, "cgroup", "/a/b", arn),
		"arn:aws-cn:faultd:eu-west-1:999999999999:cgroup/i-11111111111111111/a/b");
	assert_int_equal(cJSON_GetArraySize(id.tags), 2);
	identity_done(&id);
	/* what is said by the settings stays, even if it is what would have been made up */
	s = (struct fis_settings){.region = "us-east-1", .instance_id = "i-0abc"};
	s.tags = cJSON_Parse("{\"Name\":\"ours\"}");
	assert_int_equal(identity_from_settings(&s, &id), 0);
	assert_int_equal(identity_from_instance(&id, &instance), 0);
	assert_string_equal(id.region, "us-east-1");
	assert_string_equal(id.instance_id, "i-0abc");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(id.tags, "Name")), "ours");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(id.tags, "Team")), "a");
	cJSON_Delete(s.tags);
	identity_done(&id);
}

static void test_made_up_id(void **state)
{
	char a[32], b[32], c[32];
	int different = 0;

	identity_make_id("0123456789abcdef0123456789abcdef", a);
	identity_make_id("0123456789abcdef0123456789abcdef", b);
	identity_make_id("0123456789abcdef0123456789abcdee", c);
	assert_string_equal(a, b);
	assert_int_equal(strlen(a), 19);
	for (size_t i = 3; i < 19; i++)
		different += a[i] != c[i];
	assert_true(different > 8);
	assert_null(strstr("0123456789abcdef0123456789abcdef", a + 3));
	identity_make_id("", a);
	assert_int_equal(strlen(a), 19);
}

/* A host of files */

static void put_table(const char *more)
{
	char text[2048];

	(void)snprintf(text, sizeof(text),
		       "22 1 259:1 / / rw shared:1 - ext4 /dev/nvme0n1p1 rw\n"
		       "23 22 0:5 / /proc rw - proc proc rw\n"
		       "40 23 0:40 / %s/cg rw,nosuid shared:40 - cgroup2 cgroup2 rw\n%s",
		       host_root, more);
	host_put("proc/self/mountinfo", text);
	host_put("proc/self/cgroup", "0::/system.slice/own.service\n");
	host_put("cg/cgroup.procs", "");
	host_put("cg/cgroup.controllers", "cpu memory\n");
}

static void put_cgroup(const char *path, const char *pids)
{
	char name[512];

	(void)snprintf(name, sizeof(name), "cg/%s/cgroup.procs", path);
	host_put(name, pids);
}

static void put_docker(const char *id, const char *name, const char *labels)
{
	char path[256], text[1024];

	(void)snprintf(path, sizeof(path), "var/lib/docker/containers/%s/config.v2.json", id);
	(void)snprintf(text, sizeof(text),
		       "{\"Name\":\"/%s\",\"Config\":{\"Image\":\"nginx\",\"Labels\":{%s}}}", name,
		       labels);
	host_put(path, text);
}

static int find_result;
static struct error find_error;

/* Of the type, with parameters as JSON. The caller releases it. */
static struct resource_list find(const char *type, const char *parameters)
{
	struct resource_list l = {0};
	cJSON *json = cJSON_Parse(parameters);
	struct template_target t = target_of(resource_type_find(type));

	assert_non_null(t.type);
	assert_non_null(json);
	t.parameters = json;
	find_error = (struct error){0};
	find_result = resource_resolve(&t, &identity, 1, &l, &find_error);
	cJSON_Delete(json);
	return l;
}

static const char *property(const struct resource *r, const char *name)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r->properties, name));

	return s ? s : "";
}

static void expect_values(const char *type, const char *parameters, const char *expected)
{
	struct resource_list l = find(type, parameters);
	char got[2048] = "";
	size_t n = 0;

	if (find_result < 0)
		fail_msg("%s %s: %s", type, parameters, find_error.message);
	for (size_t i = 0; i < l.n; i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%s", i ? " " : "",
				      l.resource[i].value);
	if (strcmp(got, expected) != 0)
		fail_msg("%s %s: got %s, not %s", type, parameters, got, expected);
	resource_list_done(&l);
}

static void expect_refusal(const char *type, const char *parameters, int r, const char *text)
{
	struct resource_list l = find(type, parameters);

	assert_int_equal(l.n, 0);
	if (find_result != r || !strstr(find_error.message, text))
		fail_msg("%s %s: %d %s", type, parameters, find_result, find_error.message);
	assert_non_null(strstr(find_error.message, "targets.some"));
}

static void test_instance(void **state)
{
	struct resource_list l = find("aws:ec2:instance", "{}");
	static const char *const running[] = {"running"}, *const us[] = {"us-east-1a"},
				 *const name[] = {"web"};

	assert_int_equal(l.n, 1);
	assert_string_equal(l.resource[0].value, "");
	assert_string_equal(
		cJSON_GetStringValue(cJSON_GetObjectItem(l.resource[0].information, "arn")),
		l.resource[0].arn);
	assert_true(resource_filter_fits(l.resource[0].properties, "State.Name", running, 1));
	assert_true(resource_filter_fits(l.resource[0].properties, "Placement.AvailabilityZone", us,
					 1));
	assert_true(resource_filter_fits(l.resource[0].properties, "Tags.Value", name, 1));
	resource_list_done(&l);
	expect_refusal("aws:ec2:instance", "{\"x\":\"1\"}", -EINVAL, "parameters.x");
}

static void test_cgroups(void **state)
{
	put_table("");
	put_cgroup("system.slice", "");
	put_cgroup("other.slice", "");
	put_cgroup("system.slice/web-1.service", "10\n");
	put_cgroup("system.slice/web-1.service/inner", "10\n");
	put_cgroup("system.slice/web-2.service", "11\n");
	put_cgroup("system.slice/own.service", "12\n");
	put_cgroup("system.slice/own.service/worker", "13\n");
	put_cgroup("system.slice/faultd-guardian.service", "14\n");
	expect_values("host:cgroup", "{}",
		      "/other.slice /system.slice/web-1.service /system.slice/web-1.service/inner "
		      "/system.slice/web-2.service");
	expect_values("host:cgroup", "{\"path\":\"/system.slice/*\"}",
		      "/system.slice/web-1.service /system.slice/web-2.service");
	expect_values("host:cgroup", "{\"path\":\"system.slice/web-1.service\"}",
		      "/system.slice/web-1.service");
	expect_values("host:cgroup", "{\"path\":\"/system.slice/own.service\"}", "");
	expect_values("host:cgroup", "{\"path\":\"/nowhere\"}", "");
	expect_refusal("host:cgroup", "{\"path\":\"/a/../b\"}", -EINVAL, "parameters.path");
}

static void test_containers(void **state)
{
	struct resource_list l;

	put_table("");
	put_cgroup("docker", "");
	put_cgroup("docker/" ID_A, "10\n");
	put_cgroup("docker/" ID_A "/docker/" ID_C, "11\n"); /* in the other one */
	put_cgroup("system.slice/docker-" ID_B ".scope", "12\n");
	put_cgroup("docker/" ID_C, ""); /* nobody lives there any more */
	put_cgroup("lxc.payload.old", "13\n");
	put_cgroup("some/thing", "14\n"); /* no bundle of that name */
	put_cgroup("ns/bare", "15\n");
	host_put("run/containerd/io.containerd.runtime.v2.task/ns/bare/config.json", "{}");
	put_docker(ID_A, "web-1", "\"app\":\"web\",\"n\":1");
	put_docker(ID_B, "db", "");
	expect_values("host:container", "{}", ID_A " " ID_B " container://bare container://old");
	expect_values("host:container", "{\"name\":\"web-*\"}", ID_A);
	expect_values("host:container", "{\"name\":\"old\"}", "container://old");
	l = find("host:container", "{\"name\":\"web-1\"}");
	assert_int_equal(l.n, 1);
	assert_string_equal(property(&l.resource[0], "Name"), "web-1");
	assert_string_equal(property(&l.resource[0], "Image"), "nginx");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(l.resource[0].tags, "app")),
			    "web");
	assert_int_equal(cJSON_GetArraySize(l.resource[0].tags), 1); /* only text is a label */
	resource_list_done(&l);
	/* the one that faultd runs in is none */
	host_put("proc/self/cgroup", "0::/docker/" ID_A "/inner\n");
	expect_values("host:container", "{\"name\":\"web-*\"}", "");
	l = find("host:container", "{\"name\":\"old\"}");
	assert_null(l.resource[0].tags); /* not known is none */
	resource_list_done(&l);
}

static void test_damaged_records(void **state)
{
	static const char good[] =
		"{\"Name\":\"/w\",\"Config\":{\"Labels\":{\"io.kubernetes.pod.name\":\"p\",\"a\":\"b\"}},"
		"\"annotations\":{\"io.kubernetes.cri-o.Labels\":\"{\\\"a\\\":\\\"b\\\"}\","
		"\"io.kubernetes.cri.container-name\":\"c\"}}";
	static const char *const files[] = {
		"var/lib/docker/containers/" ID_A "/config.v2.json",
		"run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID_B "/config.json",
		"run/containers/storage/overlay-containers/" ID_C "/userdata/config.json"};
	static const char *const ids[] = {ID_A, ID_B, ID_C};
	uint64_t seed = 5;

	for (int i = 0; i < 3000; i++) {
		struct container_record c;
		char text[sizeof(good)];
		size_t n = random_below(&seed, sizeof(good)), k = (size_t)i % 3;

		memcpy(text, good, sizeof(good));
		for (size_t times = random_below(&seed, 4); times > 0; times--)
			text[random_below(&seed, sizeof(text) - 1)] = (char)next_random(&seed);
		host_write(files[k], text, i % 2 ? n : sizeof(text) - 1);
		if (container_record_read(&identity, ids[k], &c) == 0)
			container_record_done(&c);
		assert_null(c.labels);
	}
	/* no path in an id's place */
	{
		struct container_record c;

		assert_int_equal(container_record_read(&identity, "../../x", &c), -ENOENT);
	}
	/* and no way out of the container's directory */
	{
		struct container_record c;
		char from[RESOURCE_PATH_MAX], to[RESOURCE_PATH_MAX];

		host_put("elsewhere", good);
		(void)resource_path(&identity, "/elsewhere", to);
		(void)resource_path(&identity, "/var/lib/docker/containers/" ID_A "/config.v2.json",
				    from);
		assert_int_equal(unlink(from), 0);
		assert_int_equal(symlink(to, from), 0);
		assert_int_equal(container_record_read(&identity, ID_A, &c), -ENOENT);
	}
}

static void test_tasks(void **state)
{
	struct resource_list l;
	struct template_target t = target_of(resource_type_find("aws:ecs:task"));
	static const char *const family[] =
		{"arn:aws:ecs:us-east-1:000000000000:task-definition/shop:7"},
				 *const name[] = {"app"};

	put_table("");
	put_cgroup("ecstasks.slice", "");
	put_cgroup("ecstasks.slice/ecstasks-" TASK ".slice", "");
	expect_values("aws:ecs:task", "{}", ""); /* nothing runs in it */
	put_cgroup("ecstasks.slice/ecstasks-" TASK ".slice/docker-" ID_A ".scope", "10\n");
	expect_values("aws:ecs:task", "{}", TASK);
	expect_refusal("aws:ecs:task", "{\"cluster\":\"shop\"}", -EOPNOTSUPP, "cluster");
	expect_refusal("aws:ecs:task", "{\"service\":\"a\"}", -EINVAL, "service");
	host_put("etc/ecs/ecs.config", "ECS_LOGLEVEL=debug\n");
	expect_values("aws:ecs:task", "{\"cluster\":\"default\"}", TASK);
	host_put("etc/ecs/ecs.config", "ECS_LOGLEVEL=debug\nECS_CLUSTER=\"shop\"\n");
	expect_values("aws:ecs:task", "{\"cluster\":\"shop\"}", TASK);
	expect_values("aws:ecs:task", "{\"cluster\":\"default\"}", "");
	put_docker(
		ID_A, "ecs-x",
		"\"com.amazonaws.ecs.cluster\":\"main\",\"com.amazonaws.ecs.container-name\":\"app\","
		"\"com.amazonaws.ecs.task-arn\":\"arn:aws:ecs:eu-west-1:111122223333:task/main/" TASK
		"\",\"com.amazonaws.ecs.task-definition-family\":\"shop\","
		"\"com.amazonaws.ecs.task-definition-version\":\"7\"");
	expect_values("aws:ecs:task",
		      "{\"cluster\":\"arn:aws:ecs:eu-west-1:111122223333:cluster/main\"}", TASK);
	l = find("aws:ecs:task", "{}");
	assert_int_equal(l.n, 1);
	assert_string_equal(l.resource[0].arn,
			    "arn:aws:ecs:eu-west-1:111122223333:task/main/" TASK);
	assert_true(resource_filter_fits(l.resource[0].properties, "TaskDefinitionArn", family, 1));
	assert_true(resource_filter_fits(l.resource[0].properties, "Containers.Name", name, 1));
	resource_list_done(&l);
	t.arns[0] = "arn:aws:ecs:eu-west-1:111122223333:task/main/" TASK;
	t.arns[1] = "arn:aws:ecs:eu-west-1:111122223333:task/" TASK; /* the short form */
	t.n_arns = 2;
	assert_int_equal(resolve_n(&t, 1), 1);
	t.arns[1] = "arn:aws:ecs:eu-west-1:111122223333:task/main/0123456789abcdef";
	assert_int_equal(resource_resolve(&t, &identity, 1, &l, &find_error), -ENOENT);
}

static void test_tasks_v1(void **state)
{
	put_table("");
	put_cgroup("ecs", "");
	put_cgroup("ecs/blue", "");
	put_cgroup("ecs/blue/" TASK, "");
	put_cgroup("ecs/blue/" TASK "/" ID_A, "10\n");
	expect_values("aws:ecs:task", "{\"cluster\":\"blue\"}", TASK);
	expect_values("aws:ecs:task", "{\"cluster\":\"green\"}", "");
}

#define POD "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice"
#define PODS(type, value, more)                                                           \
	"{\"clusterIdentifier\":\"prod\",\"namespace\":\"shop\",\"selectorType\":\"" type \
	"\",\"selectorValue\":\"" value "\"" more "}"

static void put_pod(void)
{
	put_table("");
	put_cgroup("kubepods.slice", "");
	put_cgroup("kubepods.slice/kubepods-burstable.slice", "");
	put_cgroup(POD, "");
	put_cgroup(POD "/cri-containerd-" ID_A ".scope", "10\n");
	put_cgroup(POD "/cri-containerd-" ID_B ".scope", "11\n"); /* the sandbox */
}

static void test_pods(void **state)
{
	struct resource_list l;

	put_pod();
	expect_refusal("aws:eks:pod", PODS("podName", "x", ""), -EOPNOTSUPP, "clusterIdentifier");
	host_put("var/lib/kubelet/kubeconfig",
		 "users:\n- name: kubelet\n  user:\n    exec:\n      command: aws\n      args:\n"
		 "        - \"eks\"\n        - \"get-token\"\n        - \"--cluster-name\"\n"
		 "        - \"prod\"\n");
	expect_refusal("aws:eks:pod", PODS("podName", "web-7d9f8b6c5d-x2x4z", ""), -EOPNOTSUPP,
		       "/var/log/pods");
	host_put("var/log/pods/shop_web-7d9f8b6c5d-x2x4z_" UID "/app/0.log", "");
	expect_refusal("aws:eks:pod", PODS("podName", "web-7d9f8b6c5d-x2x4z", ""), -EOPNOTSUPP,
		       "/var/log/containers");
	host_put("var/log/containers/web-7d9f8b6c5d-x2x4z_shop_app-" ID_A ".log", "");
	expect_values("aws:eks:pod", PODS("podName", "web-7d9f8b6c5d-x2x4z", ""), ID_A);
	expect_values("aws:eks:pod", PODS("podName", "web", ""), "");
	expect_values("aws:eks:pod", PODS("deploymentName", "web", ""), ID_A);
	expect_values("aws:eks:pod", PODS("deploymentName", "we", ""), "");
	expect_values("aws:eks:pod", PODS("deploymentName", "web-7d9f8b6c5d", ""), "");
	expect_values("aws:eks:pod",
		      PODS("deploymentName", "web", ",\"targetContainerName\":\"app\""), ID_A);
	expect_values("aws:eks:pod",
		      PODS("deploymentName", "web", ",\"availabilityZoneIdentifier\":\"use1-az1\""),
		      ID_A);
	expect_values(
		"aws:eks:pod",
		PODS("deploymentName", "web", ",\"availabilityZoneIdentifier\":\"us-east-1b\""),
		"");
	expect_refusal("aws:eks:pod",
		       PODS("deploymentName", "web", ",\"targetContainerName\":\"other\""), -EINVAL,
		       "no such container");
	expect_refusal("aws:eks:pod", PODS("labelSelector", "app=web", ""), -EOPNOTSUPP, "labels");
	expect_refusal("aws:eks:pod", PODS("other", "x", ""), -EINVAL, "selectorType");
	expect_refusal("aws:eks:pod", PODS("labelSelector", "app in (a)", ""), -EINVAL,
		       "selectorValue");
	l = find("aws:eks:pod", PODS("deploymentName", "web", ""));
	assert_string_equal(l.resource[0].arn, "");
	assert_string_equal(
		cJSON_GetStringValue(cJSON_GetObjectItem(l.resource[0].information, "cluster_arn")),
		"arn:aws:eks:us-east-1:000000000000:cluster/prod");
	assert_int_equal(cJSON_GetArraySize(l.resource[0].information), 4);
	resource_list_done(&l);
	/* with a second container it is not known which is the first */
	put_cgroup(POD "/cri-containerd-" ID_C ".scope", "12\n");
	host_put("var/log/containers/web-7d9f8b6c5d-x2x4z_shop_proxy-" ID_C ".log", "");
	expect_refusal("aws:eks:pod", PODS("deploymentName", "web", ""), -EINVAL, "app, proxy");
	expect_values("aws:eks:pod",
		      PODS("deploymentName", "web", ",\"targetContainerName\":\"proxy\""), ID_C);
	/* another cluster's node */
	host_put("var/lib/kubelet/kubeconfig", "args:\n- token\n- -i\n- test\n");
	expect_values("aws:eks:pod", PODS("deploymentName", "web", ""), "");
}

/* Without the kubelet's directories, and with labels: CRI-O. */
static void test_pods_crio(void **state)
{
	static const char *const yes[] = {"app=web", "app==web,tier!=test", "app",
					  "!tier",   "app=web,!tier",       "tier!=x"};
	static const char *const no[] = {"app=webx", "app!=web", "tier", "!app",
					 "app=web,tier=test"};

	put_pod();
	host_put("var/lib/kubelet/kubeconfig", "args:\n- token\n- -i\n- prod\n");
	host_put("run/containers/storage/overlay-containers/" ID_A "/userdata/config.json",
		 "{\"annotations\":{\"io.kubernetes.cri-o.Labels\":\"{}\","
		 "\"io.kubernetes.container.name\":\"app\",\"io.kubernetes.pod.name\":\"web-0\","
		 "\"io.kubernetes.pod.namespace\":\"shop\"}}");
	host_put("run/containers/storage/overlay-containers/" ID_B "/userdata/config.json",
		 "{\"annotations\":{\"io.kubernetes.cri-o.Labels\":\"{\\\"app\\\":\\\"web\\\"}\","
		 "\"io.kubernetes.cri-o.ContainerType\":\"sandbox\","
		 "\"io.kubernetes.container.name\":\"POD\",\"io.kubernetes.pod.name\":\"web-0\","
		 "\"io.kubernetes.pod.namespace\":\"shop\"}}");
	expect_values("aws:eks:pod", PODS("podName", "web-0", ""), ID_A);
	for (size_t i = 0; i < COUNT(yes); i++) {
		char parameters[512];

		(void)snprintf(parameters, sizeof(parameters), PODS("labelSelector", "%s", ""),
			       yes[i]);
		expect_values("aws:eks:pod", parameters, ID_A);
	}
	for (size_t i = 0; i < COUNT(no); i++) {
		char parameters[512];

		(void)snprintf(parameters, sizeof(parameters), PODS("labelSelector", "%s", ""),
			       no[i]);
		expect_values("aws:eks:pod", parameters, "");
	}
	/* the sandbox is no container of the user's */
	expect_values("host:container", "{}", ID_A);
}

/* What a deployment has made, by its pods' names. */
static void test_deployments(void **state)
{
	static const struct {
		const char *pod;
		bool is;
	} cases[] = {
		{"web-7d9f8b6c5d-x2x4z", true},
		{"web-6d4b75cb6d-hwmvz", true},
		{"web-9c-x2x4z", true},
		{"web-7d9f8b6c5d-x2x4", false},
		{"web-7d9f8b6c5d-x2x4zz", false},
		{"web-x2x4z", false},
		{"web-0", false},
		{"web", false},
		{"web-", false},
		{"web--x2x4z", false},
		{"web-api-7d9f8b6c5d-x2x4z", false},
		{"web-7d9f8b6c5dff-x2x4z", false},
		{"web-7a9f8b6c5d-x2x4z", false},
		{"web-7d9f8b6c5d-x2x4e", false},
		{"webs-7d9f8b6c5d-x2x4z", false},
		{"my-web-7d9f8b6c5d-x2x4z", false},
		{"web-job-x2x4z", false},
		{"web-7d9f8b6c5d-x2x4z-1", false},
	};

	put_pod();
	host_put("var/lib/kubelet/kubeconfig", "args:\n- token\n- -i\n- prod\n");
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[512];

		(void)snprintf(text, sizeof(text),
			       "{\"annotations\":{\"io.kubernetes.cri.container-name\":\"app\","
			       "\"io.kubernetes.cri.sandbox-name\":\"%s\","
			       "\"io.kubernetes.cri.sandbox-namespace\":\"shop\"}}",
			       cases[i].pod);
		host_put("run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID_A "/config.json",
			 text);
		(void)snprintf(text, sizeof(text), PODS("podName", "%s", ""), cases[i].pod);
		expect_values("aws:eks:pod", text, ID_A);
		expect_values("aws:eks:pod", PODS("deploymentName", "web", ""),
			      cases[i].is ? ID_A : "");
	}
	expect_refusal(
		"aws:eks:pod",
		PODS("deploymentName", "a-name-so-long-that-names-of-its-pods-are-cut-off", ""),
		-EINVAL, "selectorValue");
}

static void test_kubelet_names(void **state)
{
	struct kubelet_pod p;
	struct kubelet_container c;
	char text[300];
	uint64_t seed = 9;

	assert_true(kubelet_pod_parse("kube-system_coredns-5d78_" UID, &p));
	assert_string_equal(p.namespace, "kube-system");
	assert_string_equal(p.name, "coredns-5d78");
	assert_string_equal(p.uid, UID);
	assert_false(kubelet_pod_parse(".", &p));
	assert_false(kubelet_pod_parse("a_b", &p));
	assert_false(kubelet_pod_parse("a__c", &p));
	assert_false(kubelet_pod_parse("_b_c", &p));
	assert_false(kubelet_pod_parse("a_b_", &p));
	assert_false(kubelet_pod_parse("a_b_c_d", &p));
	assert_true(kubelet_container_parse("web-1_shop_my-app-" ID_A ".log", &c));
	assert_string_equal(c.name, "my-app");
	assert_string_equal(c.id, ID_A);
	assert_false(kubelet_container_parse("web-1_shop_" ID_A ".log", &c));
	assert_false(kubelet_container_parse("web-1_shop_-" ID_A ".log", &c));
	assert_false(kubelet_container_parse("web-1_shop_app-" ID_A ".lo", &c));
	assert_false(kubelet_container_parse("web-1_shop_app-" ID_A, &c));
	for (int i = 0; i < 100000; i++) {
		size_t n = (size_t)snprintf(text, sizeof(text), "web-1_shop_my-app-" ID_A ".log");

		for (size_t k = random_below(&seed, 4); k > 0; k--)
			text[random_below(&seed, n)] = "_-.a0\xff/"[random_below(&seed, 7)];
		text[random_below(&seed, n + 1)] = random_below(&seed, 2) ? '\0' : '_';
		(void)kubelet_pod_parse(text, &p);
		if (kubelet_container_parse(text, &c))
			assert_int_equal(strlen(c.id), 64);
	}
}

static void put_disk(const char *name, const char *serial, const char *dev, const char *sectors)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "sys/block/%s/device/serial", name);
	host_put(path, serial);
	(void)snprintf(path, sizeof(path), "sys/block/%s/dev", name);
	host_put(path, dev);
	(void)snprintf(path, sizeof(path), "sys/block/%s/size", name);
	host_put(path, sectors);
}

static void test_volumes(void **state)
{
	struct resource_list l;
	static const char *const attached[] = {"attached"}, *const eight[] = {"8"};

	put_table("30 22 259:2 / /boot rw - vfat /dev/nvme0n1p128 rw\n"
		  "31 22 253:0 / /data rw - xfs /dev/mapper/vg-data rw\n"
		  "32 22 253:0 /x /srv/x rw - xfs /dev/mapper/vg-data rw\n"
		  "33 22 259:9 / /scratch rw - ext4 /dev/nvme9n1 rw\n");
	expect_values("aws:ec2:ebs-volume", "{}", "");
	put_disk("nvme0n1", "vol0123456789abcdef0", "259:0\n", "16777216\n");
	host_put("sys/block/nvme0n1/nvme0n1p1/partition", "1\n");
	host_put("sys/block/nvme0n1/nvme0n1p1/dev", "259:1\n");
	host_put("sys/block/nvme0n1/nvme0n1p1/size", "16000000\n");
	host_put("sys/block/nvme0n1/nvme0n1p128/partition", "128\n");
	host_put("sys/block/nvme0n1/nvme0n1p128/dev", "259:2\n");
	host_put("sys/block/nvme0n1/nvme0n1p128/size", "20480\n");
	put_disk("nvme1n1", "vol0fedcba9876543210   \n", "259:5\n", "2097152\n");
	host_put("sys/block/nvme1n1/holders/dm-0", "");
	host_put("sys/block/dm-0/dev", "253:0\n");
	host_put("sys/block/dm-0/size", "2097152\n");
	put_disk("nvme2n1", "vol0aaaaaaaaaaaaaaaa", "259:7\n", "2097152\n"); /* not mounted */
	put_disk("nvme9n1", "AWS0123456789", "259:9\n", "2097152\n");        /* an instance store */
	put_disk("nvme8n1", "vol0../../etc", "259:8\n", "1\n");
	expect_values("aws:ec2:ebs-volume", "{}", "/ /data");
	expect_values("aws:ec2:ebs-volume", "{\"availabilityZoneIdentifier\":\"us-east-1b\"}", "");
	l = find("aws:ec2:ebs-volume", "{\"availabilityZoneIdentifier\":\"us-east-1a\"}");
	assert_int_equal(l.n, 2);
	assert_string_equal(l.resource[0].arn,
			    "arn:aws:ec2:us-east-1:000000000000:volume/vol-0123456789abcdef0");
	assert_true(
		resource_filter_fits(l.resource[0].properties, "Attachments.State", attached, 1));
	assert_true(resource_filter_fits(l.resource[0].properties, "Size", eight, 1));
	resource_list_done(&l);
}

static void test_mounts(void **state)
{
	struct resource_list l;

	put_table("30 22 8:1 / /data/a rw - ext4 /dev/sda1 rw\n"
		  "31 22 8:2 / /data/with\\040blank rw - xfs /dev/sdb rw\n"
		  "32 22 0:30 / /run rw - tmpfs tmpfs rw\n"
		  "33 22 8:3 / /data/a rw - btrfs /dev/sdc rw\n" /* over the first */
		  "nonsense\n"
		  "35 22 0:31 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
		  "34 22 8:4 / /data/\xff rw - ext4 /dev/sdd rw\n");
	expect_values("host:mount", "{}", "/ /data/a /data/with blank /run");
	expect_values("host:mount", "{\"path\":\"/data/*\"}", "/data/a /data/with blank");
	expect_values("host:mount", "{\"type\":\"x?s\"}", "/data/with blank");
	expect_values("host:mount", "{\"type\":\"proc\"}", "/proc");
	expect_values("host:mount", "{\"path\":\"/sys/fs/cgroup\"}", "/sys/fs/cgroup");
	expect_values("host:mount", "{\"path\":\"/data/a\",\"type\":\"ext4\"}", "");
	l = find("host:mount", "{\"path\":\"/data/a\"}");
	assert_string_equal(property(&l.resource[0], "Device"), "8:3");
	resource_list_done(&l);
}

/* Memory is short at any one moment: nothing is lost, nothing is half there. */

static long allocations_left;

static void *allocate_some(size_t size)
{
	return allocations_left-- == 0 ? NULL : malloc(size);
}

/* Returns how often it was tried until it needed no more than there was. */
static long resolve_short(const char *type, const char *parameters)
{
	cJSON_Hooks hooks = {.malloc_fn = allocate_some, .free_fn = free};
	struct template_target t = target_of(resource_type_find(type));
	cJSON *json = cJSON_Parse(parameters);
	struct resource_list whole = {0};
	struct error e = {0};
	long tries = 0, left;

	t.parameters = json;
	assert_int_equal(resource_resolve(&t, &identity, 1, &whole, &e), 0);
	assert_true(whole.n > 0);
	do {
		struct resource_list l = {0};
		int r;

		e = (struct error){0};
		allocations_left = tries++;
		cJSON_InitHooks(&hooks);
		r = resource_resolve(&t, &identity, 1, &l, &e);
		left = allocations_left;
		cJSON_InitHooks(NULL);
		assert_true(r <= 0);
		assert_true(r == 0 || (l.n == 0 && e.message[0]));
		for (size_t i = 0; i < l.n; i++)
			assert_true(l.resource[i].properties && l.resource[i].information);
		resource_list_done(&l);
	} while (left < 0);
	resource_list_done(&whole);
	cJSON_Delete(json);
	return tries;
}

static void test_short_of_memory(void **state)
{
	put_pod();
	put_cgroup("ecstasks.slice", "");
	put_cgroup("ecstasks.slice/ecstasks-" TASK ".slice", "");
	put_cgroup("ecstasks.slice/ecstasks-" TASK ".slice/docker-" ID_C ".scope", "12\n");
	put_docker(ID_C, "web-1", "\"app\":\"web\"");
	host_put("var/lib/kubelet/kubeconfig", "args:\n- token\n- -i\n- prod\n");
	host_put("var/log/pods/shop_web-0_" UID "/app/0.log", "");
	host_put("var/log/containers/web-0_shop_app-" ID_A ".log", "");
	put_disk("nvme0n1", "vol0123456789abcdef0", "259:1\n", "16777216\n");
	assert_true(resolve_short("aws:ec2:instance", "{}") > 10);
	assert_true(resolve_short("aws:ec2:ebs-volume", "{}") > 10);
	assert_true(resolve_short("aws:ecs:task", "{}") > 10);
	assert_true(resolve_short("aws:eks:pod", PODS("podName", "web-0", "")) > 10);
	assert_true(resolve_short("host:cgroup", "{}") > 5);
	assert_true(resolve_short("host:container", "{}") > 10);
	assert_true(resolve_short("host:interface", "{\"name\":\"lo\"}") > 10);
	assert_true(resolve_short("host:mount", "{}") > 5);
}

/* This host itself */

static void test_interfaces(void **state)
{
	struct resource_list l;
	static const char *const local[] = {"127.0.0.1/8"};

	expect_values("host:interface", "{\"name\":\"lo\"}", "lo");
	expect_values("host:interface", "{\"name\":\"no-such\"}", "");
	l = find("host:interface", "{}");
	for (size_t i = 0; i < l.n; i++)
		assert_string_not_equal(l.resource[i].value, "lo");
	resource_list_done(&l);
	l = find("host:interface", "{\"name\":\"lo\"}");
	assert_true(resource_filter_fits(l.resource[0].properties, "Addresses", local, 1));
	resource_list_done(&l);
}

static void test_subnet(void **state)
{
	struct identity before = identity;
	struct resource_list l;

	expect_values("aws:ec2:subnet", "{}", ""); /* not known */
	(void)strcpy(identity.subnet_id, "subnet-1");
	(void)strcpy(identity.vpc_id, "vpc-1");
	(void)strcpy(identity.private_ip, "127.0.0.1");
	expect_values("aws:ec2:subnet", "{}", "lo");
	expect_values("aws:ec2:subnet", "{\"vpc\":\"vpc-1\"}", "lo");
	expect_values("aws:ec2:subnet",
		      "{\"vpc\":\"arn:aws:ec2:us-east-1:000000000000:vpc/vpc-1\"}", "lo");
	expect_values("aws:ec2:subnet", "{\"vpc\":\"vpc-2\"}", "");
	expect_values("aws:ec2:subnet", "{\"availabilityZoneIdentifier\":\"use1-az2\"}", "");
	l = find("aws:ec2:subnet", "{}");
	assert_string_equal(l.resource[0].arn,
			    "arn:aws:ec2:us-east-1:000000000000:subnet/subnet-1");
	resource_list_done(&l);
	identity = before;
}

/* What it says of real units is the matter of tests/vm. */
static void test_units(void **state)
{
	if (access("/run/systemd/system", F_OK) == 0)
		skip();
	expect_refusal("host:unit", "{\"unit\":\"cron\"}", -ENOTCONN, "systemd is not");
}

/* A process of the name that is no child of ours: those of faultd are its workers. */
static pid_t start_victim(const char *name, int *ret_hold)
{
	int pids[2], hold[2];
	pid_t child, victim = 0;

	assert_int_equal(pipe(pids), 0);
	assert_int_equal(pipe(hold), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		victim = fork();
		if (victim == 0) {
			char c;

			(void)prctl(PR_SET_NAME, name);
			(void)close(hold[1]);
			victim = getpid();
			if (write(pids[1], &victim, sizeof(victim)) < 0)
				_exit(1);
			(void)!read(hold[0], &c, 1); /* until the test is over */
		}
		_exit(0);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(read(pids[0], &victim, sizeof(victim)), (int)sizeof(victim));
	(void)close(pids[0]);
	(void)close(pids[1]);
	(void)close(hold[0]);
	*ret_hold = hold[1];
	return victim;
}

static void test_processes(void **state)
{
	char expected[16];
	struct resource_list l;
	int hold, own;
	pid_t victim = start_victim("resource-mark", &hold);
	pid_t worker = start_victim("faultd-mark", &own);

	(void)snprintf(expected, sizeof(expected), "%d", (int)victim);
	expect_values("host:process", "{\"name\":\"resource-mark\"}", expected);
	expect_values("host:process", "{\"name\":\"resource-mark\",\"user\":\"4000000000\"}", "");
	expect_values("host:process", "{\"name\":\"faultd-mark\"}", "");
	expect_values("host:process", "{\"name\":\"kthreadd\"}", "");
	expect_values("host:process", "{\"name\":\"test-resource\"}", ""); /* faultd itself */
	expect_refusal("host:process", "{\"user\":\"no-such-user\"}", -EINVAL, "parameters.user");
	expect_refusal("host:process", "{\"pattern\":\"(\"}", -EINVAL, "pattern");
	expect_refusal("host:process", "{\"pattern\":\"a{3}\"}", -EINVAL, "pattern");
	expect_refusal("host:process", "{\"name\":\"much-too-long-a-name\"}", -EINVAL, "name");
	l = find("host:process", "{\"name\":\"resource-mark\"}");
	assert_non_null(strstr(l.resource[0].arn, ":process/i-"));
	assert_int_equal(
		(int)cJSON_GetNumberValue(cJSON_GetObjectItem(l.resource[0].properties, "Pid")),
		victim);
	resource_list_done(&l);
	assert_true(worker > 0);
	(void)close(hold);
	(void)close(own);
}

static int make_identity(void **state)
{
	struct fis_settings s = {.availability_zone = "us-east-1a",
				 .availability_zone_id = "use1-az1",
				 .instance_id = "i-0123456789abcdef0"};

	s.tags = cJSON_Parse("{\"Name\":\"web\"}");
	assert_int_equal(identity_from_settings(&s, &identity), 0);
	cJSON_Delete(s.tags);
	identity.root = host_root;
	return 0;
}

static int drop_identity(void **state)
{
	identity_done(&identity);
	return 0;
}

#define ON_HOST(test) cmocka_unit_test_setup_teardown(test, host_make, host_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_filter_fuzz),
		cmocka_unit_test(test_selection),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_same_seed),
		cmocka_unit_test(test_uniform),
		cmocka_unit_test(test_arns),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_filters_and),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_made_up_id),
		cmocka_unit_test(test_instance),
		ON_HOST(test_cgroups),
		ON_HOST(test_containers),
		ON_HOST(test_damaged_records),
		ON_HOST(test_tasks),
		ON_HOST(test_tasks_v1),
		ON_HOST(test_pods),
		ON_HOST(test_pods_crio),
		ON_HOST(test_deployments),
		cmocka_unit_test(test_kubelet_names),
		ON_HOST(test_volumes),
		ON_HOST(test_mounts),
		ON_HOST(test_short_of_memory),
		cmocka_unit_test(test_interfaces),
		cmocka_unit_test(test_subnet),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_processes),
	};

	return cmocka_run_group_tests(tests, make_identity, drop_identity);
}
