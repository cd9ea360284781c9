/* SPDX-License-Identifier: Apache-2.0 */
/* actions/: the registry, the rows of every action, the aliases. */
#include "test.h"

#include <ctype.h>
#include <stdlib.h>

#include "actions/action.h"

static bool lower_words(const char *s)
{
	for (; *s; s++) {
		if (!islower((unsigned char)*s) && *s != '-')
			return false;
	}
	return true;
}

static bool lower_camel(const char *s)
{
	if (!islower((unsigned char)*s))
		return false;
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s))
			return false;
	}
	return true;
}

/* A sentence for people: there, one line, no full stop. */
static void check_text(const char *text)
{
	assert_non_null(text);
	assert_true(text[0]);
	assert_null(strchr(text, '\n'));
	assert_int_not_equal(text[strlen(text) - 1], '.');
}

static void test_registry(void **state)
{
	assert_true(n_actions > 0);
	for (size_t i = 0; i < n_actions; i++) {
		const struct action *a = actions[i];

		assert_true(lower_words(a->name));
		assert_true(strlen(a->name) < ACTION_NAME_MAX);
		check_text(a->summary);
		assert_true(a->description && a->description[0]);
		assert_true(a->hold < _HOLD_MAX);
		assert_true(a->look && a->plan && a->describe);
		assert_true(a->params_size > 0);
		assert_int_equal(action_is_irreversible(a), a->hold == HOLD_NONE);
	}
}

/* Every name and alias leads to its own action: so they are unique. */
static void test_names(void **state)
{
	const struct alias *found;

	for (size_t i = 0; i < n_actions; i++) {
		assert_ptr_equal(action_find(actions[i]->name, &found), actions[i]);
		assert_null(found);
		for (const struct alias *a = actions[i]->aliases; a && a->name; a++) {
			assert_true(strlen(a->name) < ACTION_NAME_MAX);
			assert_ptr_equal(action_find(a->name, &found), actions[i]);
			assert_ptr_equal(found, a);
		}
	}
	assert_null(action_find("", &found));
	assert_null(action_find("no-such-action", &found));
	assert_null(action_find("CPU-STRESS", &found));
}

static size_t size_of(const struct row *row)
{
	static const size_t sizes[_ROW_TYPE_MAX] = {
		[ROW_INTEGER] = sizeof(int64_t),
		[ROW_NUMBER] = sizeof(double),
		[ROW_BOOLEAN] = sizeof(bool),
		[ROW_ENUM] = sizeof(int),
		[ROW_DURATION] = sizeof(uint64_t),
		[ROW_PORTS] = sizeof(struct port_list),
		[ROW_PEERS] = sizeof(struct peer_list),
		[ROW_NAMES] = sizeof(struct name_list),
		[ROW_NUMBERS] = sizeof(struct number_list),
		[ROW_BYTES] = sizeof(uint64_t),
		[ROW_QUANTITY] = sizeof(double),
	};

	return row->type == ROW_STRING ? row->size : sizes[row->type];
}

static void check_row(const struct action *a, const struct row *row)
{
	assert_true(lower_camel(row->name));
	check_text(row->text);
	assert_true(row->min <= row->max);
	assert_false(row->required && row->def);
	assert_int_equal(row->type == ROW_STRING, row->size != 0);
	assert_int_equal(row->type == ROW_ENUM, row->values != NULL);
	/* Absent is zero, and the first value would be a silent default. */
	assert_true(row->type != ROW_ENUM || row->required || row->def);
	assert_true(row->offset + size_of(row) <= a->params_size);
}

/* No two rows share a name or memory. */
static void check_pair(const struct row *a, const struct row *b)
{
	assert_string_not_equal(a->name, b->name);
	assert_true(a->offset + size_of(a) <= b->offset || b->offset + size_of(b) <= a->offset);
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < n_actions; i++) {
		const struct action *a = actions[i];

		for (size_t k = 0; k < a->n_rows; k++) {
			check_row(a, &a->rows[k]);
			for (size_t m = 0; m < k; m++)
				check_pair(&a->rows[m], &a->rows[k]);
		}
	}
}

/* Only what has to be given. */
static cJSON *least(const struct action *a)
{
	cJSON *json = cJSON_CreateObject();

	for (size_t i = 0; i < a->n_rows; i++) {
		const struct row *row = &a->rows[i];

		if (row->required && row->values)
			cJSON_AddStringToObject(json, row->name, row->values[0]);
		else if (row->required && row->type == ROW_STRING)
			cJSON_AddStringToObject(json, row->name, "x");
		else if (row->required && row->type == ROW_PEERS)
			cJSON_AddStringToObject(json, row->name, "10.0.0.1");
		else if (row->required)
			cJSON_AddNumberToObject(json, row->name, row->min);
	}
	return json;
}

/* A default is read as if it had been given, so it is in range; printed and read it is the same. */
static void test_defaults(void **state)
{
	for (size_t i = 0; i < n_actions; i++) {
		const struct action *a = actions[i];
		void *first = malloc(a->params_size), *second = malloc(a->params_size);
		char what[1024] = "";
		struct text t = TEXT(what);
		uint64_t ms = 77;
		struct error e = {0};
		cJSON *json = least(a);

		assert_true(first && second);
		if (schema_parse(a->rows, a->n_rows, json, "parameters", first, a->params_size,
				 &e) != 0)
			fail_msg("%s: %s", a->name, e.message);
		cJSON_Delete(json);
		json = schema_print(a->rows, a->n_rows, first);
		assert_int_equal(action_parse(a, NULL, json, second, &ms, &e), 0);
		assert_memory_equal(first, second, a->params_size);
		assert_int_equal(ms, 77);
		a->describe(first, &t);
		check_text(what);
		cJSON_Delete(json);
		free(first);
		free(second);
	}
}

static void test_print(void **state)
{
	for (size_t i = 0; i < n_actions; i++) {
		cJSON *full = action_print(actions[i], true),
		      *brief = action_print(actions[i], false);

		assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(full, "name")),
				    actions[i]->name);
		assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(full, "parameters")),
				 (int)actions[i]->n_rows);
		assert_true(cJSON_IsObject(cJSON_GetObjectItem(full, "schema")));
		assert_false(cJSON_HasObjectItem(brief, "schema"));
		assert_true(cJSON_IsArray(cJSON_GetObjectItem(brief, "aliases")));
		cJSON_Delete(full);
		cJSON_Delete(brief);
	}
}

static const struct row *row_of(const struct action *a, const char *name)
{
	for (size_t i = 0; i < a->n_rows; i++) {
		if (strcmp(a->rows[i].name, name) == 0)
			return &a->rows[i];
	}
	return NULL;
}

static void check_alias_row(const struct action *a, const struct alias *alias,
			    const struct alias_row *r)
{
	if (!row_of(a, r->row) && strcmp(r->row, "duration") != 0 && strcmp(r->row, "") != 0)
		fail_msg("%s: %s is for the row %s, which %s does not have", alias->name, r->name,
			 r->row, a->name);
	assert_false(r->required && r->def);
	assert_true(r->from || !r->to);
	for (const struct alias_row *other = alias->rows; other != r; other++) {
		assert_string_not_equal(other->name, r->name);
		/* Lists are added up. */
		assert_true(strcmp(r->row, "") == 0 || strcmp(other->row, r->row) != 0 ||
			    row_of(a, r->row)->type == ROW_PEERS);
	}
}

/* What of an action is shown under the names of a dialect: all of it, with a text. */
static void check_shown(const struct action *a, const struct alias *alias)
{
	struct row rows[ACTION_ROWS_MAX];
	size_t size, n = action_rows(a, alias, rows, &size), k = 0;

	assert_true(n <= ACTION_ROWS_MAX && size >= a->params_size);
	for (const struct alias_row *r = alias ? alias->rows : NULL; r && r->name; r++, k++)
		assert_string_equal(rows[k].name, r->name);
	assert_int_equal(n, alias ? k : a->n_rows);
	for (k = 0; k < n; k++)
		check_text(rows[k].text);
}

static void test_shown_rows(void **state)
{
	for (size_t i = 0; i < n_actions; i++) {
		check_shown(actions[i], NULL);
		for (const struct alias *a = actions[i]->aliases; a && a->name; a++)
			check_shown(actions[i], a);
	}
}

static void test_alias_rows(void **state)
{
	for (size_t i = 0; i < n_actions; i++) {
		for (const struct alias *a = actions[i]->aliases; a && a->name; a++) {
			for (const struct alias_row *r = a->rows; r->name; r++)
				check_alias_row(actions[i], a, r);
		}
	}
}

/* Parses through the alias. Returns what the action's own rows print for it, or NULL and the error.
 */
static char *parse(const char *alias_name, const char *parameters, uint64_t *ms, struct error *e)
{
	const struct alias *alias;
	const struct action *a = action_find(alias_name, &alias);
	cJSON *json = cJSON_Parse(parameters), *printed;
	void *params = calloc(1, a->params_size);
	char *text = NULL;

	assert_true(alias && json && params);
	memset(e, 0, sizeof(*e));
	*ms = 0;
	if (action_parse(a, alias, json, params, ms, e) == 0) {
		printed = schema_print(a->rows, a->n_rows, params);
		text = cJSON_PrintUnformatted(printed);
		cJSON_Delete(printed);
	}
	cJSON_Delete(json);
	free(params);
	return text;
}

#define NETWORK_ROWS_REST                                                   \
	"\"resolveEvery\":\"10s\",\"connections\":\"all\",\"flows\":100,"   \
	"\"selectionMode\":\"ALL\",\"emptyTargetResolutionMode\":\"fail\"," \
	"\"allowLockout\":false,\"visible\":false"
#define NETWORK_REST NETWORK_ROWS_REST "}"
#define LOSS_REST    NETWORK_ROWS_REST ",\"steps\":10}"

static void test_aliases(void **state)
{
	static const struct {
		const char *alias, *parameters, *expected;
		uint64_t ms;
	} cases[] = {
		{"AWSFIS-Run-CPU-Stress",
		 "{\"LoadPercent\":\"50\",\"CPU\":\"0\",\"DurationSeconds\":\"60\",\"InstallDependencies\":\"True\"}",
		 "{\"percent\":50,\"cpus\":\"all\",\"mode\":\"add\",\"steps\":10,\"selectionMode\":\"ALL\",\"emptyTargetResolutionMode\":\"fail\"}",
		 60000},
		{"AWSFIS-Run-CPU-Stress", "{\"DurationSeconds\":\"43200\"}",
		 "{\"percent\":100,\"cpus\":\"all\",\"mode\":\"add\",\"steps\":10,\"selectionMode\":\"ALL\",\"emptyTargetResolutionMode\":\"fail\"}",
		 43200000},
		{"AWSFIS-Run-CPU-Stress", "{\"CPU\":\"2\",\"DurationSeconds\":1}",
		 "{\"percent\":100,\"cpus\":\"2\",\"mode\":\"add\",\"steps\":10,\"selectionMode\":\"ALL\",\"emptyTargetResolutionMode\":\"fail\"}",
		 1000},
		{"AWSFIS-Run-CPU-Stress", "{\"CPU\":0,\"DurationSeconds\":\"1\"}",
		 "{\"percent\":100,\"cpus\":\"all\",\"mode\":\"add\",\"steps\":10,\"selectionMode\":\"ALL\",\"emptyTargetResolutionMode\":\"fail\"}",
		 1000},
		{"aws:ecs:task-cpu-stress", "{\"percent\":\"80\",\"workers\":\"0\"}",
		 "{\"percent\":80,\"cpus\":\"all\",\"mode\":\"add\",\"steps\":10,\"selectionMode\":\"ALL\",\"emptyTargetResolutionMode\":\"fail\"}",
		 0},
		{"aws:ecs:task-cpu-stress", "{}",
		 "{\"percent\":100,\"cpus\":\"all\",\"mode\":\"add\",\"steps\":10,\"selectionMode\":\"ALL\",\"emptyTargetResolutionMode\":\"fail\"}",
		 0},
		{"AWSFIS-Run-Kill-Process", "{\"ProcessName\":\"nginx\",\"Signal\":\"SIGKILL\"}",
		 "{\"name\":\"nginx\",\"all\":false,\"order\":\"random\",\"selectionMode\":\"ALL\",\"emptyTargetResolutionMode\":\"fail\",\"signal\":\"SIGKILL\"}",
		 0},
		{"aws:ecs:task-kill-process", "{\"processName\":\"nginx\"}",
		 "{\"name\":\"nginx\",\"all\":false,\"order\":\"random\",\"selectionMode\":\"ALL\",\"emptyTargetResolutionMode\":\"fail\",\"signal\":\"SIGTERM\"}",
		 0},
		{"AWSFIS-Run-Network-Blackhole-Port",
		 "{\"Protocol\":\"tcp\",\"Port\":\"8080\",\"TrafficType\":\"egress\",\"DurationSeconds\":\"30\"}",
		 "{\"interface\":[\"ALL\"],\"direction\":\"egress\",\"protocol\":\"tcp\",\"ports\":[\"8080\"]," NETWORK_REST,
		 30000},
		{"AWSFIS-Run-Network-Packet-Loss",
		 "{\"DurationSeconds\":\"30\",\"LossPercent\":\"15\"}",
		 "{\"percent\":15,\"model\":\"bernoulli\",\"interface\":[\"DEFAULT\"],\"direction\":\"egress\",\"protocol\":\"any\"," LOSS_REST,
		 30000},
		{"AWSFIS-Run-Network-Packet-Loss-Sources",
		 "{\"DurationSeconds\":\"30\",\"Sources\":\"ALL\"}",
		 "{\"percent\":7,\"model\":\"bernoulli\",\"interface\":[\"DEFAULT\"],\"direction\":\"ingress\",\"protocol\":\"any\","
		 "\"peers\":[\"ALL\"]," LOSS_REST,
		 30000},
		{"AWSFIS-Run-Network-Packet-Loss-Sources",
		 "{\"DurationSeconds\":\"30\",\"Sources\":\"10.0.0.1,S3,www.example.com,2001:db8::/32\",\"TrafficType\":\"egress\"}",
		 "{\"percent\":7,\"model\":\"bernoulli\",\"interface\":[\"DEFAULT\"],\"direction\":\"egress\",\"protocol\":\"any\","
		 "\"peers\":[\"10.0.0.1/32\",\"2001:db8::/32\",\"S3\",\"www.example.com\"]," LOSS_REST,
		 30000},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct error e;
		uint64_t ms;
		char *text = parse(cases[i].alias, cases[i].parameters, &ms, &e);

		if (!text)
			fail_msg("%s %s: %s", cases[i].alias, cases[i].parameters, e.message);
		assert_string_equal(text, cases[i].expected);
		assert_int_equal(ms, cases[i].ms);
		free(text);
	}
}

static void test_bad_aliases(void **state)
{
	static const struct {
		const char *alias, *parameters, *field;
	} cases[] = {
		{"AWSFIS-Run-CPU-Stress", "{}", "parameters.DurationSeconds"},
		{"AWSFIS-Run-CPU-Stress", "{\"DurationSeconds\":\"0\"}",
		 "parameters.DurationSeconds"},
		{"AWSFIS-Run-CPU-Stress", "{\"DurationSeconds\":\"43201\"}",
		 "parameters.DurationSeconds"},
		{"AWSFIS-Run-CPU-Stress", "{\"DurationSeconds\":\"60s\"}",
		 "parameters.DurationSeconds"},
		{"AWSFIS-Run-CPU-Stress", "{\"DurationSeconds\":\"1\",\"DurationSeconds\":\"2\"}",
		 "parameters.DurationSeconds"},
		{"AWSFIS-Run-CPU-Stress", "{\"DurationSeconds\":\"1\",\"LoadPercent\":\"101\"}",
		 "parameters.LoadPercent"},
		{"AWSFIS-Run-CPU-Stress", "{\"DurationSeconds\":\"1\",\"percent\":\"10\"}",
		 "parameters.percent"},
		{"AWSFIS-Run-CPU-Stress",
		 "{\"DurationSeconds\":\"1\",\"mode\":\"total\",\"steps\":10,\"selectionMode\":\"ALL\",\"emptyTargetResolutionMode\":\"fail\"}",
		 "parameters.mode"},
		{"AWSFIS-Run-CPU-Stress", "{\"DurationSeconds\":\"1\",\"CPU\":\"0\",\"CPU\":\"0\"}",
		 "parameters.CPU"},
		{"AWSFIS-Run-Kill-Process", "{}", "parameters.ProcessName"},
		{"AWSFIS-Run-Kill-Process", "{\"ProcessName\":\"\"}", "parameters.ProcessName"},
		{"AWSFIS-Run-Kill-Process", "{\"ProcessName\":\"a\",\"signal\":\"SIGKILL\"}",
		 "parameters.signal"},
		{"AWSFIS-Run-Network-Blackhole-Port", "{\"DurationSeconds\":\"1\",\"Port\":\"80\"}",
		 "parameters.Protocol"},
		{"AWSFIS-Run-Network-Blackhole-Port",
		 "{\"DurationSeconds\":\"1\",\"Protocol\":\"tcp\"}", "parameters.Port"},
		{"AWSFIS-Run-Network-Packet-Loss-Sources",
		 "{\"DurationSeconds\":\"1\",\"Sources\":\"10.0.0.256\"}", "parameters.Sources"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct error e;
		uint64_t ms;

		if (parse(cases[i].alias, cases[i].parameters, &ms, &e))
			fail_msg("%s %s was accepted", cases[i].alias, cases[i].parameters);
		assert_int_equal(e.code, ERROR_VALIDATION);
		assert_string_equal(e.field, cases[i].field);
	}
}

/* The request is the caller's: reading it through an alias leaves it as it was. */
static void test_alias_changes_nothing(void **state)
{
	const struct alias *alias;
	const struct action *a = action_find("AWSFIS-Run-CPU-Stress", &alias);
	cJSON *json = cJSON_Parse(
		"{\"CPU\":\"0\",\"DurationSeconds\":\"60\",\"InstallDependencies\":\"True\"}");
	cJSON *copy = cJSON_Duplicate(json, true);
	void *params = malloc(a->params_size);
	struct error e;
	uint64_t ms;

	assert_int_equal(action_parse(a, alias, json, params, &ms, &e), 0);
	assert_true(cJSON_Compare(json, copy, true));
	cJSON_Delete(json);
	cJSON_Delete(copy);
	free(params);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registry),    cmocka_unit_test(test_names),
		cmocka_unit_test(test_rows),        cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_print),       cmocka_unit_test(test_alias_rows),
		cmocka_unit_test(test_shown_rows),  cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_bad_aliases), cmocka_unit_test(test_alias_changes_nothing),
	};

	return cmocka_run_group_tests_name("actions", tests, NULL, NULL);
}
