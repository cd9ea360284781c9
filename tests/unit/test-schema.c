/* SPDX-License-Identifier: Apache-2.0 */
/* plan/schema: every type of row, every boundary, and what the errors say. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "plan/schema.h"

struct all {
	int64_t integer, whole;
	double number, real;
	bool boolean;
	char string[8];
	int choice;
	uint64_t duration, span;
	struct port_list ports;
	struct peer_list peers;
	struct name_list names;
	struct number_list numbers;
};

static const char *const choices[] = {"one", "two", NULL};

static const struct row rows[] = {
	{.name = "integer",
	 .type = ROW_INTEGER,
	 FIELD(struct all, integer),
	 .min = 1,
	 .max = 100,
	 .text = "t"},
	{.name = "whole", .type = ROW_INTEGER, FIELD(struct all, whole), .text = "t"},
	{.name = "number",
	 .type = ROW_NUMBER,
	 FIELD(struct all, number),
	 .def = "7",
	 .min = 0.5,
	 .max = 99.5,
	 .unit = "%",
	 .text = "t"},
	{.name = "real", .type = ROW_NUMBER, FIELD(struct all, real), .text = "t"},
	{.name = "boolean",
	 .type = ROW_BOOLEAN,
	 FIELD(struct all, boolean),
	 .def = "true",
	 .text = "t"},
	{.name = "string", .type = ROW_STRING, FIELD_STRING(struct all, string), .text = "t"},
	{.name = "choice",
	 .type = ROW_ENUM,
	 FIELD(struct all, choice),
	 .def = "two",
	 .values = choices,
	 .text = "t"},
	{.name = "duration",
	 .type = ROW_DURATION,
	 FIELD(struct all, duration),
	 .min = 100,
	 .max = 60000,
	 .text = "t"},
	{.name = "span", .type = ROW_DURATION, FIELD(struct all, span), .text = "t"},
	{.name = "ports", .type = ROW_PORTS, FIELD(struct all, ports), .text = "t"},
	{.name = "peers", .type = ROW_PEERS, FIELD(struct all, peers), .text = "t"},
	{.name = "names", .type = ROW_NAMES, FIELD(struct all, names), .text = "t"},
	{.name = "numbers", .type = ROW_NUMBERS, FIELD(struct all, numbers), .text = "t"},
};

#define DEFAULTS "\"number\":7,\"boolean\":true,\"choice\":\"two\""

static int parse(const char *text, struct all *ret, struct error *e)
{
	cJSON *json = cJSON_Parse(text);
	int r;

	assert_non_null(json);
	memset(e, 0, sizeof(*e));
	r = schema_parse(rows, COUNT(rows), json, "p", ret, sizeof(*ret), e);
	cJSON_Delete(json);
	return r;
}

static char *print(const struct all *from)
{
	cJSON *json = schema_print(rows, COUNT(rows), from);
	char *text = cJSON_PrintUnformatted(json);

	assert_non_null(text);
	cJSON_Delete(json);
	return text;
}

/* Reads, compares what is printed, reads that again: it is the same struct. */
static void check_good(const char *text, const char *expected)
{
	struct all first, second;
	struct error e;
	char *printed;

	if (parse(text, &first, &e) != 0)
		fail_msg("%s: %s", text, e.message);
	printed = print(&first);
	assert_string_equal(printed, expected);
	assert_int_equal(parse(printed, &second, &e), 0);
	assert_memory_equal(&first, &second, sizeof(first));
	free(printed);
}

static void test_defaults(void **state)
{
	struct all a;
	struct error e;

	memset(&a, 'x', sizeof(a));
	assert_int_equal(schema_parse(rows, COUNT(rows), NULL, "p", &a, sizeof(a), &e), 0);
	assert_true(a.number == 7.0);
	assert_true(a.boolean);
	assert_int_equal(a.choice, 1);
	assert_true(a.integer == 0 && a.duration == 0 && a.string[0] == '\0' && a.names.n == 0);
	check_good("{}", "{" DEFAULTS "}");
}

/* One field in, the same field out, where it has a place among the defaults. */
static void test_good(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"{\"integer\":1}", "{\"integer\":1," DEFAULTS "}"},
		{"{\"integer\":100}", "{\"integer\":100," DEFAULTS "}"},
		{"{\"integer\":\"42\"}", "{\"integer\":42," DEFAULTS "}"},
		{"{\"integer\":5.0}", "{\"integer\":5," DEFAULTS "}"},
		{"{\"integer\":1e1}", "{\"integer\":10," DEFAULTS "}"},
		{"{\"whole\":-999999999999999}", "{\"whole\":-999999999999999," DEFAULTS "}"},
		{"{\"whole\":\"0\"}", "{" DEFAULTS "}"},
		{"{\"number\":0.5}", "{\"number\":0.5,\"boolean\":true,\"choice\":\"two\"}"},
		{"{\"number\":99.5}", "{\"number\":99.5,\"boolean\":true,\"choice\":\"two\"}"},
		{"{\"number\":\"12.25\"}",
		 "{\"number\":12.25,\"boolean\":true,\"choice\":\"two\"}"},
		{"{\"real\":-0.001}",
		 "{\"number\":7,\"real\":-0.001,\"boolean\":true,\"choice\":\"two\"}"},
		{"{\"boolean\":false}", "{\"number\":7,\"boolean\":false,\"choice\":\"two\"}"},
		{"{\"boolean\":\"False\"}", "{\"number\":7,\"boolean\":false,\"choice\":\"two\"}"},
		{"{\"boolean\":\"true\"}", "{" DEFAULTS "}"},
		{"{\"boolean\":\"True\"}", "{" DEFAULTS "}"},
		{"{\"string\":\"1234567\"}",
		 "{\"number\":7,\"boolean\":true,\"string\":\"1234567\",\"choice\":\"two\"}"},
		{"{\"string\":\" \\u00e4\"}",
		 "{\"number\":7,\"boolean\":true,\"string\":\" \xc3\xa4\",\"choice\":\"two\"}"},
		{"{\"choice\":\"one\"}", "{\"number\":7,\"boolean\":true,\"choice\":\"one\"}"},
		{"{\"duration\":\"100ms\"}", "{" DEFAULTS ",\"duration\":\"100ms\"}"},
		{"{\"duration\":\"PT1M\"}", "{" DEFAULTS ",\"duration\":\"1m\"}"},
		{"{\"span\":\"366d\"}", "{" DEFAULTS ",\"span\":\"8784h\"}"},
		{"{\"ports\":443}", "{" DEFAULTS ",\"ports\":[\"443\"]}"},
		{"{\"ports\":\"443, 8000-8010\"}",
		 "{" DEFAULTS ",\"ports\":[\"443\",\"8000-8010\"]}"},
		{"{\"ports\":[443,\"1-2,5\"]}", "{" DEFAULTS ",\"ports\":[\"443\",\"1-2\",\"5\"]}"},
		{"{\"peers\":\"api.example.com,All,10.1.2.3\"}",
		 "{" DEFAULTS ",\"peers\":[\"10.1.2.3/32\",\"api.example.com\",\"ALL\"]}"},
		{"{\"peers\":[\"10.1.2.3/8\",\"::1\"]}",
		 "{" DEFAULTS ",\"peers\":[\"10.0.0.0/8\",\"::1/128\"]}"},
		{"{\"names\":\" a , b c\"}", "{" DEFAULTS ",\"names\":[\"a\",\"b c\"]}"},
		{"{\"names\":[\"a\",5]}", "{" DEFAULTS ",\"names\":[\"a\",\"5\"]}"},
		{"{\"numbers\":\"1,2\"}", "{" DEFAULTS ",\"numbers\":[1,2]}"},
		{"{\"numbers\":[0,\"2147483647\"]}", "{" DEFAULTS ",\"numbers\":[0,2147483647]}"},
		{"{\"numbers\":7}", "{" DEFAULTS ",\"numbers\":[7]}"},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_good(cases[i].in, cases[i].out);
}

struct bad {
	const char *in, *field, *value, *allowed;
};

static void check_bad(const struct bad *b)
{
	struct all a;
	struct error e;

	if (parse(b->in, &a, &e) != -EINVAL)
		fail_msg("%s was accepted", b->in);
	assert_int_equal(e.code, ERROR_VALIDATION);
	assert_string_equal(e.field, b->field);
	assert_string_equal(e.value, b->value);
	assert_string_equal(e.allowed, b->allowed);
	assert_true(strncmp(e.message, b->field, strlen(b->field)) == 0);
	assert_non_null(strstr(e.message, b->value));
	assert_non_null(strstr(e.message, b->allowed));
}

#define WHOLE     "a whole number"
#define PORTS     "ports from 1 to 65535, or ranges, such as 443,8000-8010"
#define PEERS     "addresses, prefixes (10.0.0.0/8, 2001:db8::/32), names of hosts or sets, ALL"
#define NAMES     "names of at most 255 bytes, separated by commas"
#define NUMBERS   "whole numbers, separated by commas"
#define DURATIONS "a number with its unit, such as 500ms, 30s, 5m, 1h, 1m30s or PT5M"
#define KNOWN                                                                                   \
	"integer, whole, number, real, boolean, string, choice, duration, span, ports, peers, " \
	"names, numbers"

static void test_bad_scalars(void **state)
{
	static const struct bad cases[] = {
		{"{\"integer\":0}", "p.integer", "0", "1 to 100"},
		{"{\"integer\":101}", "p.integer", "101", "1 to 100"},
		{"{\"integer\":\"101\"}", "p.integer", "101", "1 to 100"},
		{"{\"integer\":-1}", "p.integer", "-1", "1 to 100"},
		{"{\"integer\":1.5}", "p.integer", "1.5", "1 to 100"},
		{"{\"integer\":\"\"}", "p.integer", "", "1 to 100"},
		{"{\"integer\":\"5 \"}", "p.integer", "5 ", "1 to 100"},
		{"{\"integer\":\"0x5\"}", "p.integer", "0x5", "1 to 100"},
		{"{\"integer\":true}", "p.integer", "true", "1 to 100"},
		{"{\"integer\":null}", "p.integer", "null", "1 to 100"},
		{"{\"integer\":{}}", "p.integer", "an object", "1 to 100"},
		{"{\"integer\":[5]}", "p.integer", "an array", "1 to 100"},
		{"{\"whole\":1e300}", "p.whole", "1e+300", WHOLE},
		{"{\"whole\":9007199254740993}", "p.whole", "9.00719925474099e+15", WHOLE},
		{"{\"whole\":\"9223372036854775808\"}", "p.whole", "9223372036854775808", WHOLE},
		{"{\"number\":0.49}", "p.number", "0.49", "0.5 to 99.5"},
		{"{\"number\":\"99.50001\"}", "p.number", "99.50001", "0.5 to 99.5"},
		{"{\"number\":\"1e1\"}", "p.number", "1e1", "0.5 to 99.5"},
		{"{\"number\":\"nan\"}", "p.number", "nan", "0.5 to 99.5"},
		{"{\"real\":\"inf\"}", "p.real", "inf", "a number"},
		{"{\"real\":false}", "p.real", "false", "a number"},
		{"{\"boolean\":1}", "p.boolean", "1", "true or false"},
		{"{\"boolean\":\"yes\"}", "p.boolean", "yes", "true or false"},
		{"{\"boolean\":\"TRUE\"}", "p.boolean", "TRUE", "true or false"},
		{"{\"boolean\":[true]}", "p.boolean", "an array", "true or false"},
		{"{\"string\":\"\"}", "p.string", "", "text of 1 to 7 bytes"},
		{"{\"string\":\"12345678\"}", "p.string", "12345678", "text of 1 to 7 bytes"},
		{"{\"string\":5}", "p.string", "5", "text of 1 to 7 bytes"},
		{"{\"string\":[\"a\"]}", "p.string", "an array", "text of 1 to 7 bytes"},
		{"{\"string\":\"123456\\n\\u001b\"}", "p.string", "123456\\x0a\\x1b",
		 "text of 1 to 7 bytes"},
		{"{\"choice\":\"three\"}", "p.choice", "three", "one, two"},
		{"{\"choice\":\"One\"}", "p.choice", "One", "one, two"},
		{"{\"choice\":\"\"}", "p.choice", "", "one, two"},
		{"{\"choice\":0}", "p.choice", "0", "one, two"},
		{"{\"duration\":\"99ms\"}", "p.duration", "99ms", "100ms to 1m"},
		{"{\"duration\":\"60001ms\"}", "p.duration", "60001ms", "100ms to 1m"},
		{"{\"duration\":\"367d\"}", "p.duration", "367d", DURATIONS},
		{"{\"duration\":30}", "p.duration", "30", DURATIONS},
		{"{\"duration\":\"30\"}", "p.duration", "30", DURATIONS},
		{"{\"duration\":\"soon\"}", "p.duration", "soon", DURATIONS},
		{"{\"duration\":\"\"}", "p.duration", "", DURATIONS},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_bad(&cases[i]);
}

static void test_bad_lists(void **state)
{
	static const struct bad cases[] = {
		{"{\"ports\":\"\"}", "p.ports", "", PORTS},
		{"{\"ports\":\"80,\"}", "p.ports", "80,", PORTS},
		{"{\"ports\":\"http\"}", "p.ports", "http", PORTS},
		{"{\"ports\":0}", "p.ports", "0", PORTS},
		{"{\"ports\":65536}", "p.ports", "65536", PORTS},
		{"{\"ports\":[]}", "p.ports", "", PORTS},
		{"{\"ports\":80.5}", "p.ports", "80.5", PORTS},
		{"{\"ports\":true}", "p.ports", "true", PORTS},
		{"{\"ports\":{}}", "p.ports", "an object", PORTS},
		{"{\"ports\":[[80]]}", "p.ports", "an item", PORTS},
		{"{\"ports\":[null]}", "p.ports", "an item", PORTS},
		{"{\"ports\":[\"\"]}", "p.ports", "", PORTS},
		{"{\"ports\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "p.ports", "17", PORTS},
		{"{\"ports\":\"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\"}", "p.ports",
		 "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", PORTS},
		{"{\"peers\":\"10.0.0.0/33\"}", "p.peers", "10.0.0.0/33", PEERS},
		{"{\"peers\":[\"::1\",\"-nowhere\"]}", "p.peers", "-nowhere", PEERS},
		{"{\"peers\":\"10.0.0.256\"}", "p.peers", "10.0.0.256", PEERS},
		{"{\"peers\":10}", "p.peers", "10", PEERS},
		{"{\"names\":\"a,,b\"}", "p.names", "a,,b", NAMES},
		{"{\"names\":[true]}", "p.names", "an item", NAMES},
		{"{\"numbers\":\"1,x\"}", "p.numbers", "1,x", NUMBERS},
		{"{\"numbers\":-1}", "p.numbers", "-1", NUMBERS},
		{"{\"numbers\":[1.5]}", "p.numbers", "1.5", NUMBERS},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_bad(&cases[i]);
}

static void test_bad_keys(void **state)
{
	static const struct bad cases[] = {
		{"{\"colour\":1}", "p.colour", "colour", KNOWN},
		{"{\"Integer\":1}", "p.Integer", "Integer", KNOWN},
		{"{\"\":1}", "p.", "", KNOWN},
		{"{\"integer\":1,\"integer\":1}", "p.integer", "integer", "each field once"},
		{"{\"integer\":1,\"real\":2,\"integer\":null}", "p.integer", "integer",
		 "each field once"},
	};
	struct all a;
	struct error e;

	for (size_t i = 0; i < COUNT(cases); i++)
		check_bad(&cases[i]);
	assert_int_equal(parse("{\"a\\nb\":1}", &a, &e), -EINVAL);
	assert_string_equal(e.field, "p.a\\x0ab");
}

static void test_not_an_object(void **state)
{
	struct all a;
	struct error e;

	assert_int_equal(parse("[]", &a, &e), -EINVAL);
	assert_string_equal(e.field, "p");
	assert_int_equal(parse("5", &a, &e), -EINVAL);
	assert_int_equal(parse("null", &a, &e), -EINVAL);
}

static void test_long_values_are_cut(void **state)
{
	char text[2200];
	struct all a;
	struct error e;

	(void)snprintf(text, sizeof(text), "{\"string\":\"%01000d\"}", 7);
	assert_int_equal(parse(text, &a, &e), -EINVAL);
	assert_true(strlen(e.value) >= 60 && strlen(e.value) < sizeof(e.value));
	assert_non_null(strstr(e.message, "text of 1 to 7 bytes"));
	(void)snprintf(text, sizeof(text), "{\"%01000d\":1}", 7);
	assert_int_equal(parse(text, &a, &e), -EINVAL);
	assert_int_equal(strlen(e.field), sizeof(e.field) - 1);
	assert_non_null(strstr(e.message, "allowed: integer"));
}

static void test_required(void **state)
{
	struct error e;
	char to[8];
	static const struct row one[] = {
		{.name = "must", .type = ROW_STRING, .size = 8, .required = true, .text = "t"}};

	assert_int_equal(schema_parse(one, 1, NULL, "", to, sizeof(to), &e), -EINVAL);
	assert_string_equal(e.field, "must");
	assert_string_equal(e.message,
			    "must: required and not given; allowed: text of 1 to 7 bytes");
}

static void test_no_rows(void **state)
{
	cJSON *json = cJSON_Parse("{\"any\":1}");
	struct error e;
	char to[1];

	assert_int_equal(schema_parse(NULL, 0, NULL, "", to, sizeof(to), &e), 0);
	assert_int_equal(schema_parse(NULL, 0, json, "", to, sizeof(to), &e), -EINVAL);
	assert_string_equal(e.message, "any: unknown field; allowed: nothing");
	cJSON_Delete(json);
}

static void test_describe(void **state)
{
	cJSON *array = schema_describe(rows, COUNT(rows));
	const cJSON *o;

	assert_int_equal(cJSON_GetArraySize(array), COUNT(rows));
	for (size_t i = 0; i < COUNT(rows); i++) {
		o = cJSON_GetArrayItem(array, (int)i);
		assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "name")),
				    rows[i].name);
		assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "type")),
				    row_type_name(rows[i].type));
		assert_true(cJSON_IsBool(cJSON_GetObjectItem(o, "required")));
		assert_true(cJSON_HasObjectItem(o, "default"));
		assert_true(cJSON_IsString(cJSON_GetObjectItem(o, "unit")));
		assert_true(cJSON_IsArray(cJSON_GetObjectItem(o, "values")));
		assert_true(cJSON_IsString(cJSON_GetObjectItem(o, "description")));
		assert_int_equal(cJSON_HasObjectItem(o, "minimum"), rows[i].min != 0);
		assert_int_equal(cJSON_HasObjectItem(o, "maximum"), rows[i].max != 0);
	}
	o = cJSON_GetArrayItem(array, 2);
	assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(o, "default")) == 7);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "unit")), "%");
	o = cJSON_GetArrayItem(array, 7);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "maximum")), "1m");
	cJSON_Delete(array);
}

static void test_json_schema(void **state)
{
	cJSON *schema = schema_json_schema(rows, COUNT(rows));
	const cJSON *properties = cJSON_GetObjectItem(schema, "properties");

	assert_int_equal(cJSON_GetArraySize(properties), COUNT(rows));
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(schema, "additionalProperties")));
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(schema, "required")), 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const cJSON *o = cJSON_GetObjectItemCaseSensitive(properties, rows[i].name);

		assert_true(cJSON_IsString(cJSON_GetObjectItem(o, "type")));
	}
	assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(
				 cJSON_GetObjectItem(properties, "string"), "maxLength")),
			 7);
	cJSON_Delete(schema);
}

static void test_type_names(void **state)
{
	for (unsigned i = 0; i < _ROW_TYPE_MAX; i++)
		assert_true(row_type_name((enum row_type)i)[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad_scalars),
		cmocka_unit_test(test_bad_lists),
		cmocka_unit_test(test_bad_keys),
		cmocka_unit_test(test_not_an_object),
		cmocka_unit_test(test_long_values_are_cut),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_no_rows),
		cmocka_unit_test(test_describe),
		cmocka_unit_test(test_json_schema),
		cmocka_unit_test(test_type_names),
	};

	return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
