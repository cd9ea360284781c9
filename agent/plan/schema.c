/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/schema.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/duration.h"

/* What reading one value needs to know. */
struct reading {
	const struct row *row;
	char path[96];
	void *to;
	struct error *e;
};

static void *at(const struct row *row, void *base)
{
	return (char *)base + row->offset;
}

static const void *at_const(const struct row *row, const void *base)
{
	return (const char *)base + row->offset;
}

static bool bounded(const struct row *row)
{
	return row->min != 0 || row->max != 0;
}

static void print_bound(double v, enum row_type type, struct text *t)
{
	if (type == ROW_DURATION)
		duration_print((uint64_t)v, t);
	else if (type == ROW_BYTES)
		bytes_print((uint64_t)v, t);
	else
		text_add(t, "%.15g", v);
}

/* "1 to 100", "add, total", "true or false" …: what an error says is allowed. */
static const char *allowed(const struct row *row, char *buffer, size_t size)
{
	struct text t = {.data = buffer, .size = size};
	static const char *const plain[_ROW_TYPE_MAX] = {
		[ROW_INTEGER] = "a whole number",
		[ROW_NUMBER] = "a number",
		[ROW_BOOLEAN] = "true or false",
		[ROW_DURATION] = DURATION_ALLOWED,
		[ROW_PORTS] = "ports from 1 to 65535, or ranges, such as 443,8000-8010",
		[ROW_PEERS] =
			"addresses, prefixes (10.0.0.0/8, 2001:db8::/32), names of hosts or sets, ALL",
		[ROW_NAMES] = "names of at most 255 bytes, separated by commas",
		[ROW_NUMBERS] = "whole numbers, separated by commas",
		[ROW_BYTES] = BYTES_ALLOWED,
		[ROW_QUANTITY] =
			"a number, bytes such as 2GiB, a duration such as 200ms, or a rate such as 10mbit",
	};

	buffer[0] = '\0';
	if (row->type == ROW_ENUM) {
		for (size_t i = 0; row->values[i]; i++)
			text_add(&t, "%s%s", i ? ", " : "", row->values[i]);
	} else if (row->type == ROW_STRING) {
		text_add(&t, "text of 1 to %zu bytes", row->size - 1);
	} else if (row->unit && str_eq(row->unit, UNIT_RATE)) {
		text_add(&t, "%s, ", RATE_ALLOWED);
		rate_print(row->min, &t);
		text_add(&t, " to ");
		rate_print(row->max, &t);
	} else if (bounded(row)) {
		print_bound(row->min, row->type, &t);
		text_add(&t, " to ");
		print_bound(row->max, row->type, &t);
		if (row->type == ROW_QUANTITY && row->unit)
			text_add(&t, " %s%s", row->unit,
				 str_eq(row->unit, UNIT_MS) ? ", or such as 500us, 200ms, 1.5s"
							    : "");
	} else {
		text_add(&t, "%s", plain[row->type]);
	}
	return buffer;
}

static int refuse(const struct reading *in, const char *value, const char *why)
{
	char buffer[160];
	char shown[64] = "";
	struct text t = TEXT(shown);

	text_add_escaped(&t, value);
	return error_field(in->e, in->path, shown, allowed(in->row, buffer, sizeof(buffer)),
			   "%s %s", shown[0] ? shown : "an empty text", why);
}

static int check_range(const struct reading *in, double v, const char *shown)
{
	if (bounded(in->row) && (v < in->row->min || v > in->row->max))
		return refuse(in, shown, "is out of range");
	return 0;
}

static int read_integer(const struct reading *in, const char *s)
{
	int64_t v;

	if (str_to_i64(s, &v) < 0)
		return refuse(in, s, "is not a whole number");
	*(int64_t *)in->to = v;
	return check_range(in, (double)v, s);
}

static int read_number(const struct reading *in, const char *s)
{
	double v;

	if (str_to_double(s, &v) < 0)
		return refuse(in, s, "is not a number");
	*(double *)in->to = v;
	return check_range(in, v, s);
}

/* "True" and "False" are how SSM documents write it. */
static int read_boolean(const struct reading *in, const char *s)
{
	bool yes = str_eq(s, "true") || str_eq(s, "True");

	if (!yes && !str_eq(s, "false") && !str_eq(s, "False"))
		return refuse(in, s, "is neither");
	*(bool *)in->to = yes;
	return 0;
}

static int read_string(const struct reading *in, const char *s)
{
	if (s[0] == '\0' || !str_copy(in->to, in->row->size, s))
		return refuse(in, s, s[0] ? "is too long" : "is not a value");
	return 0;
}

static int read_enum(const struct reading *in, const char *s)
{
	for (int i = 0; in->row->values[i]; i++) {
		if (str_eq(in->row->values[i], s)) {
			*(int *)in->to = i;
			return 0;
		}
	}
	return refuse(in, s, "is not one of them");
}

static int read_duration(const struct reading *in, const char *s)
{
	uint64_t ms = 0, plain;
	int r = duration_parse(s, &ms);

	if (r < 0) {
		char shown[64] = "";
		struct text t = TEXT(shown);

		text_add_escaped(&t, s);
		return error_field(in->e, in->path, shown, DURATION_ALLOWED, "%s %s", shown,
				   r == -ERANGE                 ? "is too long"
				   : str_to_u64(s, &plain) == 0 ? "has no unit"
								: "is not a duration");
	}
	*(uint64_t *)in->to = ms;
	return check_range(in, (double)ms, s);
}

static int read_bytes(const struct reading *in, const char *s)
{
	uint64_t v = 0;
	int r = bytes_parse(s, &v);

	if (r < 0)
		return refuse(in, s, r == -ERANGE ? "is too much" : "is no size");
	*(uint64_t *)in->to = v;
	return check_range(in, (double)v, s);
}

static int read_ms(const char *s, double *ret)
{
	uint64_t us;

	if (duration_parse_us(s, &us) < 0)
		return -EINVAL;
	*ret = (double)us / 1000;
	return 0;
}

static int read_any(const char *s, double *ret)
{
	uint64_t bytes;

	if (read_ms(s, ret) == 0)
		return 0;
	if (bytes_parse(s, &bytes) < 0)
		return rate_parse(s, ret);
	*ret = (double)bytes;
	return 0;
}

/* In the unit of what it is compared with: bytes, milliseconds, percent, bits per second. */
static int read_quantity(const struct reading *in, const char *s)
{
	const char *unit = in->row->unit;
	double v;

	if (unit && str_eq(unit, UNIT_RATE)) {
		if (rate_parse(s, &v) < 0)
			return refuse(in, s, "is no rate");
	} else if (str_to_double(s, &v) < 0) {
		if (unit && str_eq(unit, UNIT_MS) && read_ms(s, &v) < 0)
			return refuse(in, s, "is no duration");
		if (unit && !str_eq(unit, UNIT_MS))
			return refuse(in, s, "is not a number");
		if (!unit && read_any(s, &v) < 0)
			return refuse(in, s, "is none of them");
	}
	*(double *)in->to = v;
	return check_range(in, v, s);
}

static int add_ports(const char *item, void *arg)
{
	return port_list_add(arg, item);
}

static int add_peers(const char *item, void *arg)
{
	return peer_list_add(arg, item);
}

static int add_names(const char *item, void *arg)
{
	return name_list_add(arg, item);
}

static int add_numbers(const char *item, void *arg)
{
	return number_list_add(arg, item);
}

static int (*const add_item[_ROW_TYPE_MAX])(const char *, void *) = {
	[ROW_PORTS] = add_ports,
	[ROW_PEERS] = add_peers,
	[ROW_NAMES] = add_names,
	[ROW_NUMBERS] = add_numbers,
};

static int read_list(const struct reading *in, const char *s)
{
	int r = s[0] ? str_each_item(s, add_item[in->row->type], in->to) : -EINVAL;

	if (r == -E2BIG)
		return refuse(in, s, "has too many items");
	if (r < 0)
		return refuse(in, s, r == -ERANGE ? "is out of range" : "is not a list of that");
	return 0;
}

static int (*const read_text[_ROW_TYPE_MAX])(const struct reading *, const char *) = {
	[ROW_INTEGER] = read_integer, [ROW_NUMBER] = read_number, [ROW_BOOLEAN] = read_boolean,
	[ROW_STRING] = read_string,   [ROW_ENUM] = read_enum,     [ROW_DURATION] = read_duration,
	[ROW_PORTS] = read_list,      [ROW_PEERS] = read_list,    [ROW_NAMES] = read_list,
	[ROW_NUMBERS] = read_list,    [ROW_BYTES] = read_bytes,   [ROW_QUANTITY] = read_quantity,
};

/* A JSON number as the text that a person would have written for it. */
static const char *number_text(double v, char *buffer, size_t size)
{
	if (v == floor(v) && fabs(v) < 9007199254740992.0) /* 2^53: exact in a double */
		(void)snprintf(buffer, size, "%.0f", v);
	else
		(void)snprintf(buffer, size, "%.15g", v);
	return buffer;
}

static int read_array(const struct reading *in, const cJSON *array)
{
	const cJSON *item;

	if (!add_item[in->row->type])
		return refuse(in, "an array", "is not a single value");
	if (cJSON_GetArraySize(array) == 0)
		return refuse(in, "", "has no items");
	cJSON_ArrayForEach(item, array)
	{
		char buffer[64];
		const char *s = cJSON_IsString(item) ? item->valuestring
				: cJSON_IsNumber(item)
					? number_text(item->valuedouble, buffer, sizeof(buffer))
					: NULL;
		int r = s && s[0] ? str_each_item(s, add_item[in->row->type], in->to) : -EINVAL;

		if (r < 0)
			return refuse(in, s ? s : "an item",
				      r == -E2BIG    ? "is one item too many"
				      : r == -ERANGE ? "is out of range"
						     : "is not one of them");
	}
	return 0;
}

static int read_value(const struct reading *in, const cJSON *json)
{
	char buffer[64];

	if (cJSON_IsString(json))
		return read_text[in->row->type](in, json->valuestring);
	if (cJSON_IsArray(json))
		return read_array(in, json);
	if (cJSON_IsBool(json))
		return in->row->type == ROW_BOOLEAN
			       ? read_boolean(in, cJSON_IsTrue(json) ? "true" : "false")
			       : refuse(in, cJSON_IsTrue(json) ? "true" : "false",
					"is not of the right type");
	if (cJSON_IsNumber(json) &&
	    (in->row->type == ROW_NUMBER || in->row->type == ROW_QUANTITY)) {
		*(double *)in->to = json->valuedouble;
		(void)snprintf(buffer, sizeof(buffer), "%.15g", json->valuedouble);
		return check_range(in, json->valuedouble, buffer);
	}
	if (cJSON_IsNumber(json)) {
		const char *s = number_text(json->valuedouble, buffer, sizeof(buffer));

		return in->row->type == ROW_BOOLEAN || in->row->type == ROW_STRING ||
				       in->row->type == ROW_ENUM
			       ? refuse(in, s, "is not of the right type")
			       : read_text[in->row->type](in, s);
	}
	return refuse(in, cJSON_IsNull(json) ? "null" : "an object", "is not of the right type");
}

static const struct row *find_row(const struct row *rows, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(rows[i].name, name))
			return &rows[i];
	}
	return NULL;
}

static void row_path(const char *prefix, const char *name, char *path, size_t size)
{
	struct text t = {.data = path, .size = size};

	text_add(&t, "%s%s", prefix, prefix[0] ? "." : "");
	text_add_escaped(&t, name);
}

static int check_keys(const struct row *rows, size_t n, const cJSON *json, const char *prefix,
		      struct error *e)
{
	char path[96], known[160];
	struct text t = TEXT(known);

	for (size_t i = 0; i < n; i++)
		text_add(&t, "%s%s", i ? ", " : "", rows[i].name);
	for (const cJSON *c = json->child; c; c = c->next) {
		row_path(prefix, c->string, path, sizeof(path));
		if (!find_row(rows, n, c->string))
			return error_field(e, path, c->string, n ? known : "nothing",
					   "unknown field");
		for (const cJSON *d = json->child; d != c; d = d->next) {
			if (str_eq(d->string, c->string))
				return error_field(e, path, c->string, "each field once",
						   "given twice");
		}
	}
	return 0;
}

/* For a quantity zero is a value like any other: absent is not a number. */
static int set_default(const struct reading *in)
{
	if (in->row->type == ROW_QUANTITY && !in->row->def)
		*(double *)in->to = (double)NAN;
	return in->row->def ? read_text[in->row->type](in, in->row->def) : 0;
}

static int parse_row(struct reading *in, const cJSON *json)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, in->row->name);
	char buffer[160];

	if (value)
		return read_value(in, value);
	if (in->row->required)
		return error_field(in->e, in->path, "", allowed(in->row, buffer, sizeof(buffer)),
				   "required and not given");
	return set_default(in);
}

int schema_set_default(const struct row *row, void *to, struct error *e)
{
	struct reading in = {.row = row, .to = at(row, to), .e = e};

	row_path("", row->name, in.path, sizeof(in.path));
	return set_default(&in);
}

int schema_parse(const struct row *rows, size_t n, const cJSON *json, const char *prefix, void *ret,
		 size_t ret_size, struct error *e)
{
	int r = 0;

	memset(ret, 0, ret_size);
	if (json && !cJSON_IsObject(json))
		return error_field(e, prefix, "", "an object", "not an object");
	if (json)
		r = check_keys(rows, n, json, prefix, e);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct reading in = {.row = &rows[i], .to = at(&rows[i], ret), .e = e};

		row_path(prefix, rows[i].name, in.path, sizeof(in.path));
		r = parse_row(&in, json);
	}
	return r;
}

static cJSON *print_ports(const struct port_list *list)
{
	cJSON *array = cJSON_CreateArray();

	for (uint32_t i = 0; array && i < list->n; i++) {
		char buffer[16];
		struct text t = TEXT(buffer);

		port_range_print(&list->range[i], &t);
		cJSON_AddItemToArray(array, cJSON_CreateString(buffer));
	}
	return array;
}

static cJSON *print_peers(const struct peer_list *list)
{
	cJSON *array = cJSON_CreateArray();

	for (uint32_t i = 0; array && i < list->cidrs.n; i++) {
		char buffer[64];
		struct text t = TEXT(buffer);

		cidr_print(&list->cidrs.cidr[i], &t);
		cJSON_AddItemToArray(array, cJSON_CreateString(buffer));
	}
	for (uint32_t i = 0; array && i < list->names.n; i++)
		cJSON_AddItemToArray(array, cJSON_CreateString(list->names.name[i]));
	if (array && list->all)
		cJSON_AddItemToArray(array, cJSON_CreateString("ALL"));
	return array;
}

static cJSON *print_peers_unless_none(const struct peer_list *list)
{
	return list->cidrs.n || list->names.n || list->all ? print_peers(list) : NULL;
}

static cJSON *print_names(const struct name_list *list)
{
	cJSON *array = cJSON_CreateArray();

	for (uint32_t i = 0; array && i < list->n; i++)
		cJSON_AddItemToArray(array, cJSON_CreateString(list->name[i]));
	return array;
}

static cJSON *print_numbers(const struct number_list *list)
{
	cJSON *array = cJSON_CreateArray();

	for (uint32_t i = 0; array && i < list->n; i++)
		cJSON_AddItemToArray(array, cJSON_CreateNumber((double)list->number[i]));
	return array;
}

static cJSON *print_duration(uint64_t ms)
{
	char buffer[32];
	struct text t = TEXT(buffer);

	duration_print(ms, &t);
	return cJSON_CreateString(buffer);
}

/* NULL for a value that was not given: a zero that the row's range does not include. */
static cJSON *print_row(const struct row *row, const void *from)
{
	const void *v = at_const(row, from);
	bool zero_is_absent = !row->required && !row->def;

	switch (row->type) {
	case ROW_INTEGER:
		return *(const int64_t *)v == 0 && zero_is_absent
			       ? NULL
			       : cJSON_CreateNumber((double)*(const int64_t *)v);
	case ROW_NUMBER:
		return *(const double *)v == 0 && zero_is_absent
			       ? NULL
			       : cJSON_CreateNumber(*(const double *)v);
	case ROW_BOOLEAN:
		return cJSON_CreateBool(*(const bool *)v);
	case ROW_STRING:
		return *(const char *)v ? cJSON_CreateString(v) : NULL;
	case ROW_ENUM:
		return cJSON_CreateString(row->values[*(const int *)v]);
	case ROW_DURATION:
		return *(const uint64_t *)v == 0 && zero_is_absent
			       ? NULL
			       : print_duration(*(const uint64_t *)v);
	case ROW_BYTES:
		return *(const uint64_t *)v == 0 && zero_is_absent
			       ? NULL
			       : cJSON_CreateNumber((double)*(const uint64_t *)v);
	case ROW_QUANTITY:
		return isnan(*(const double *)v) ? NULL : cJSON_CreateNumber(*(const double *)v);
	case ROW_PORTS:
		return ((const struct port_list *)v)->n ? print_ports(v) : NULL;
	case ROW_PEERS:
		return print_peers_unless_none(v);
	case ROW_NAMES:
		return ((const struct name_list *)v)->n ? print_names(v) : NULL;
	case ROW_NUMBERS:
		return ((const struct number_list *)v)->n ? print_numbers(v) : NULL;
	case _ROW_TYPE_MAX:
		break;
	}
	return NULL;
}

cJSON *schema_print(const struct row *rows, size_t n, const void *from)
{
	cJSON *object = cJSON_CreateObject();

	for (size_t i = 0; object && i < n; i++) {
		cJSON *value = print_row(&rows[i], from);

		if (value)
			cJSON_AddItemToObject(object, rows[i].name, value);
	}
	return object;
}

const char *row_type_name(enum row_type type)
{
	static const char *const names[_ROW_TYPE_MAX] = {
		[ROW_INTEGER] = "integer", [ROW_NUMBER] = "number", [ROW_BOOLEAN] = "boolean",
		[ROW_STRING] = "string",   [ROW_ENUM] = "enum",     [ROW_DURATION] = "duration",
		[ROW_PORTS] = "ports",     [ROW_PEERS] = "peers",   [ROW_NAMES] = "list",
		[ROW_NUMBERS] = "list",    [ROW_BYTES] = "bytes",   [ROW_QUANTITY] = "quantity",
	};

	return names[type];
}

/* The default as the JSON value it stands for. */
static cJSON *default_value(const struct row *row)
{
	if (!row->def)
		return cJSON_CreateNull();
	if (row->type == ROW_BYTES) {
		uint64_t v = 0;

		(void)bytes_parse(row->def, &v);
		return cJSON_CreateNumber((double)v);
	}
	if (row->type == ROW_INTEGER || row->type == ROW_NUMBER || row->type == ROW_QUANTITY) {
		double v = 0;

		(void)str_to_double(row->def, &v);
		return cJSON_CreateNumber(v);
	}
	if (row->type == ROW_BOOLEAN)
		return cJSON_CreateBool(str_eq(row->def, "true"));
	return cJSON_CreateString(row->def);
}

static cJSON *enum_values(const struct row *row)
{
	cJSON *array = cJSON_CreateArray();

	for (size_t i = 0; array && row->values && row->values[i]; i++)
		cJSON_AddItemToArray(array, cJSON_CreateString(row->values[i]));
	return array;
}

static cJSON *bound_value(const struct row *row, double v)
{
	return row->type == ROW_DURATION ? print_duration((uint64_t)v) : cJSON_CreateNumber(v);
}

cJSON *schema_describe(const struct row *rows, size_t n)
{
	cJSON *array = cJSON_CreateArray();

	for (size_t i = 0; array && i < n; i++) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "name", rows[i].name);
		cJSON_AddStringToObject(o, "type", row_type_name(rows[i].type));
		cJSON_AddBoolToObject(o, "required", rows[i].required);
		cJSON_AddItemToObject(o, "default", default_value(&rows[i]));
		if (bounded(&rows[i])) {
			cJSON_AddItemToObject(o, "minimum", bound_value(&rows[i], rows[i].min));
			cJSON_AddItemToObject(o, "maximum", bound_value(&rows[i], rows[i].max));
		}
		cJSON_AddStringToObject(o, "unit", rows[i].unit ? rows[i].unit : "");
		cJSON_AddItemToObject(o, "values", enum_values(&rows[i]));
		cJSON_AddStringToObject(o, "description", rows[i].text);
		cJSON_AddItemToArray(array, o);
	}
	return array;
}

/* Lists are also taken as one string, numbers also as strings: the schema says the JSON-native
 * form. */
static cJSON *json_schema_row(const struct row *row)
{
	static const char *const types[_ROW_TYPE_MAX] = {
		[ROW_INTEGER] = "integer", [ROW_NUMBER] = "number", [ROW_BOOLEAN] = "boolean",
		[ROW_STRING] = "string",   [ROW_ENUM] = "string",   [ROW_DURATION] = "string",
		[ROW_PORTS] = "array",     [ROW_PEERS] = "array",   [ROW_NAMES] = "array",
		[ROW_NUMBERS] = "array",   [ROW_BYTES] = "integer", [ROW_QUANTITY] = "number",
	};
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "type", types[row->type]);
	cJSON_AddStringToObject(o, "description", row->text);
	if (row->type == ROW_ENUM)
		cJSON_AddItemToObject(o, "enum", enum_values(row));
	if (bounded(row) && row->type != ROW_DURATION) {
		cJSON_AddNumberToObject(o, "minimum", row->min);
		cJSON_AddNumberToObject(o, "maximum", row->max);
	}
	if (row->type == ROW_STRING)
		cJSON_AddNumberToObject(o, "maxLength", (double)row->size - 1);
	if (row->def && !add_item[row->type])
		cJSON_AddItemToObject(o, "default", default_value(row));
	return o;
}

cJSON *schema_json_schema(const struct row *rows, size_t n)
{
	cJSON *schema = cJSON_CreateObject();
	cJSON *properties = cJSON_AddObjectToObject(schema, "properties");
	cJSON *required = cJSON_AddArrayToObject(schema, "required");

	cJSON_AddStringToObject(schema, "$schema", "https://json-schema.org/draft/2020-12/schema");
	cJSON_AddStringToObject(schema, "type", "object");
	cJSON_AddBoolToObject(schema, "additionalProperties", false);
	for (size_t i = 0; i < n; i++) {
		cJSON_AddItemToObject(properties, rows[i].name, json_schema_row(&rows[i]));
		if (rows[i].required)
			cJSON_AddItemToArray(required, cJSON_CreateString(rows[i].name));
	}
	return schema;
}
