/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text -> tree. What cJSON leaves open is closed here, before it sees the text: nesting (its
 * limit is 1000), bytes that are not UTF-8, \u0000 (it would cut the string), a tail. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "plan/schema.h"

/* Returns the deepest nesting; braces inside strings do not count. */
static size_t json_depth(const char *s, size_t n)
{
	size_t depth = 0, most = 0;
	bool string = false;

	for (size_t i = 0; i < n; i++) {
		if (string && s[i] == '\\')
			i++;
		else if (s[i] == '"')
			string = !string;
		else if (!string && (s[i] == '{' || s[i] == '['))
			most = ++depth > most ? depth : most;
		else if (!string && (s[i] == '}' || s[i] == ']') && depth > 0)
			depth--;
	}
	return most;
}

static bool is_escape(const char *s, size_t n)
{
	if (n < 4 || memcmp(s, "0000", 4) == 0)
		return false;
	for (size_t i = 0; i < 4; i++) {
		if (!isxdigit((unsigned char)s[i]))
			return false;
	}
	return true;
}

/* A NUL, as a byte or as \u0000, would cut a string; so would \uzzzz, which cJSON takes for one. */
static bool has_nul(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\0')
			return true;
		if (s[i] != '\\')
			continue;
		i++;
		if (i < n && s[i] == 'u' && !is_escape(s + i + 1, n - i - 1))
			return true;
	}
	return false;
}

static bool finite_numbers(const cJSON *json)
{
	if (cJSON_IsNumber(json) && !isfinite(json->valuedouble))
		return false;
	for (const cJSON *c = json->child; c; c = c->next) {
		if (!finite_numbers(c))
			return false;
	}
	return true;
}

cJSON *json_read(const char *text, size_t length, struct error *e)
{
	const char *end = NULL;
	cJSON *json;

	if (!str_is_utf8(text, length) || has_nul(text, length)) {
		(void)error_set(e, ERROR_VALIDATION, 0,
				"body: not UTF-8 text without NUL and wrong \\u escapes");
		return NULL;
	}
	if (json_depth(text, length) > JSON_DEPTH_MAX) {
		(void)error_set(e, ERROR_VALIDATION, 0, "body: nested deeper than %d",
				JSON_DEPTH_MAX);
		return NULL;
	}
	json = cJSON_ParseWithLengthOpts(text, length, &end, false);
	if (json && end) {
		while (end < text + length && strchr(" \t\r\n", *end))
			end++;
	}
	if (!json || end != text + length) {
		size_t at = end && end >= text ? (size_t)(end - text) : 0;

		cJSON_Delete(json);
		(void)error_set(e, ERROR_VALIDATION, 0, "body: not JSON (at byte %zu of %zu)", at,
				length);
		return NULL;
	}
	if (!finite_numbers(json) || !cJSON_IsObject(json)) {
		bool object = cJSON_IsObject(json);

		cJSON_Delete(json);
		(void)error_set(e, ERROR_VALIDATION, 0,
				object ? "body: a number is too large to be one"
				       : "body: not a JSON object");
		return NULL;
	}
	return json;
}
