/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters as tables of rows. From one table come: reading and checking a JSON object into a
 * struct, writing the struct back, the defaults, the catalogue entry and the JSON Schema. Pure. */
#ifndef FAULTD_PLAN_SCHEMA_H
#define FAULTD_PLAN_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "plan/values.h"
#include "util/err.h"

enum row_type {
	ROW_INTEGER,  /* int64_t */
	ROW_NUMBER,   /* double */
	ROW_BOOLEAN,  /* bool */
	ROW_STRING,   /* char[size] */
	ROW_ENUM,     /* int, index into values */
	ROW_DURATION, /* uint64_t, milliseconds */
	ROW_PORTS,    /* struct port_list */
	ROW_PEERS,    /* struct peer_list */
	ROW_NAMES,    /* struct name_list */
	ROW_NUMBERS,  /* struct number_list */
	ROW_BYTES,    /* uint64_t: 512MiB, 2GB, 1000000 */
	ROW_QUANTITY, /* double: a number, bytes (2GiB), a duration (500us: 0.5 milliseconds) or a
			 rate (10mbit: in bits per second); with a unit only what it says */
	_ROW_TYPE_MAX,
};

#define UNIT_RATE "bit/s"
#define UNIT_MS   "ms"

struct row {
	const char *name; /* lowerCamelCase, as in JSON */
	enum row_type type;
	size_t offset;
	size_t size; /* of a ROW_STRING's array */
	bool required;
	const char *def;  /* the default as text, read like a given value; NULL: absent is zero */
	double min, max;  /* numbers, and durations in ms; both 0: unbounded */
	const char *unit; /* "%", "" … */
	const char *const *values; /* of a ROW_ENUM, NULL-terminated */
	const char *text;          /* one sentence */
	const char *in_place_of;   /* of a ramp's end: names of rows, words among others */
};

/* For row tables: offset, and size for strings. */
#define FIELD(type, member) .offset = offsetof(type, member)
#define FIELD_STRING(type, member) \
	.offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

/* Fills `ret` (zeroed first, then defaults) from the object `json` (NULL: all defaults). Unknown
 * and duplicate keys, wrong types, values out of range are refused; the error names them as
 * "PREFIX.key". Scalars may also come as strings, lists as arrays or one comma-separated string. */
int schema_parse(const struct row *rows, size_t n, const cJSON *json, const char *prefix, void *ret,
		 size_t ret_size, struct error *e);

/* Sets one row to its default, if it has one. */
int schema_set_default(const struct row *row, void *to, struct error *e);

/* The struct as a JSON object, absent optional values left out. NULL: out of memory. */
cJSON *schema_print(const struct row *rows, size_t n, const void *from);

/* The rows as the catalogue shows them (array), and as a JSON Schema object. NULL: out of memory.
 */
cJSON *schema_describe(const struct row *rows, size_t n);
cJSON *schema_json_schema(const struct row *rows, size_t n);

/* Reads text as JSON: well-formed UTF-8, at most JSON_DEPTH_MAX deep, nothing behind it, no NUL
 * inside a string, an object at the top. NULL and the error when it is not. */
cJSON *json_read(const char *text, size_t length, struct error *e);

const char *row_type_name(enum row_type type);

#endif
