/* SPDX-License-Identifier: Apache-2.0 */
#include "api/fis.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiment/template.h"
#include "plan/policy.h"
#include "util/str.h"

#define PAGE_MAX  100 /* also what one is when nobody asks for less: FIS does not say */
#define TOKEN_MAX 1024

#define refuse(q, ...)                                    \
	do {                                              \
		struct error refusal;                     \
		(void)error_field(&refusal, __VA_ARGS__); \
		answer_error(q, &refusal);                \
	} while (0)

static bool is_listed(const char *const *names, const char *name)
{
	for (size_t i = 0; names && names[i]; i++) {
		if (str_eq(names[i], name))
			return true;
	}
	return false;
}

static void list_names(const char *const *names, struct text *t)
{
	for (size_t i = 0; names && names[i]; i++)
		text_add(t, "%s%s", i ? ", " : "", names[i]);
	if (t->length == 0)
		text_add(t, "none");
}

struct query_check {
	struct http_request *q;
	const char *const *names;
	const char *wrong, *why;
};

static void check_parameter(const char *name, const char *value, void *arg)
{
	struct query_check *c = arg;

	if (c->wrong)
		return;
	if (!is_listed(c->names, name))
		c->why = "unknown query parameter";
	else if (!str_eq(name, "tagKeys") && http_query(c->q, name, 1))
		c->why = "given twice";
	if (c->why)
		c->wrong = name;
}

bool fis_query_is(struct http_request *q, const char *const *names)
{
	struct query_check c = {.q = q, .names = names};
	char all[160] = "";
	struct text t = TEXT(all);

	http_each_query(q, check_parameter, &c);
	if (!c.wrong)
		return true;
	list_names(names, &t);
	refuse(q, c.wrong, "", all, "%s", c.why);
	return false;
}

cJSON *fis_body(struct http_request *q)
{
	struct error e;
	cJSON *json;

	if (q->body_length == 0) {
		json = cJSON_CreateObject();
		if (!json)
			fis_out_of_memory(q);
		return json;
	}
	json = json_read(q->body, q->body_length, &e);
	if (!json)
		answer_error(q, &e);
	return json;
}

static const char *path_of(const char *path, const char *name, char ret[static 160])
{
	struct text t = {.data = ret, .size = 160};

	text_add(&t, "%s%s", path, path[0] ? "." : "");
	text_add_escaped(&t, name);
	return ret;
}

bool fis_members_are(struct http_request *q, const cJSON *o, const char *const *names,
		     const char *path)
{
	char at[160], all[160] = "";
	struct text t = TEXT(all);

	list_names(names, &t);
	if (!cJSON_IsObject(o)) {
		refuse(q, path, "", "an object", "not an object");
		return false;
	}
	for (const cJSON *c = o->child; c; c = c->next) {
		if (!is_listed(names, c->string)) {
			refuse(q, path_of(path, c->string, at), "", all, "unknown member");
			return false;
		}
		for (const cJSON *d = o->child; d != c; d = d->next) {
			if (!str_eq(d->string, c->string))
				continue;
			refuse(q, path_of(path, c->string, at), "", "each member once",
			       "given twice");
			return false;
		}
	}
	return true;
}

bool fis_text(struct http_request *q, const cJSON *o, const struct fis_text *t, const char **ret)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, t->name);
	const char *s = v && cJSON_IsString(v) ? v->valuestring : NULL;
	char at[160], allowed[64];
	size_t n = s ? str_characters(s) : 0;

	*ret = NULL;
	path_of(t->path ? t->path : "", t->name, at);
	(void)snprintf(allowed, sizeof(allowed), "%zu to %zu characters%s", t->least, t->most,
		       t->blanks ? "" : " without blanks");
	if (!v) {
		if (t->required)
			refuse(q, at, "", allowed, "required and not given");
		return !t->required;
	}
	if (!s)
		refuse(q, at, "", "a text", "not a text");
	else if (n < t->least || n > t->most)
		refuse(q, at, "", allowed, "%zu characters", n);
	else if (!t->blanks && strpbrk(s, " \t\r\n\v\f"))
		refuse(q, at, "", allowed, "has a blank in it");
	else
		*ret = s;
	return *ret;
}

bool fis_tags_are_good(struct http_request *q, const cJSON *tags)
{
	struct problems problems = {0};
	bool good;

	template_check_tags(tags, "tags", &problems);
	good = problems_count(&problems) == 0;
	if (!good)
		fis_answer_problems(q, &problems);
	problems_done(&problems);
	return good;
}

bool fis_may(struct api *api, struct http_request *q, const struct access_question *question)
{
	struct error e;

	if (access_check_caller(api->policy->access, &q->caller, geteuid(), question, &e) == 0)
		return true;
	answer_error(q, &e);
	return false;
}

bool fis_may_do(struct api *api, struct http_request *q, const char *action, const char *kind,
		const char *name, const cJSON *resource_tags)
{
	char arn[ARN_MAX] = "*";
	const struct access_question question = {
		.action = action, .resource = arn, .resource_tags = resource_tags};

	if (kind)
		(void)identity_fis_arn(experiments_identity(api->experiments), kind, name, arn);
	return fis_may(api, q, &question);
}

void fis_not_found(struct http_request *q, const char *what, const char *name)
{
	struct error e;

	(void)error_set(&e, ERROR_NOT_FOUND, -ENOENT, "no %s %.128s", what, name);
	answer_error(q, &e);
}

void fis_out_of_memory(struct http_request *q)
{
	http_answer(q, 500, NULL, NULL);
}

/* That this host cannot do something is FIS's client's mistake, too: with a 5xx it would try again
 * and again. */
void fis_answer_problems(struct http_request *q, const struct problems *p)
{
	enum error_code code = p->code == ERROR_UNSUPPORTED ? ERROR_VALIDATION : p->code;
	cJSON *o = problems_print(p);
	char *text = o ? cJSON_PrintUnformatted(o) : NULL;

	cJSON_Delete(o);
	http_answer(q, error_code_status(code), error_code_name(code), text);
}

/* Tokens are KEY, ORDER and a seal over these, the list and its filter, in hexadecimal: opaque, not
 * secret. The seal is for mistakes; nothing can be had by a forged one. */
static uint64_t seal_of(const struct fis_page *p, const char *text)
{
	char all[TOKEN_MAX + 256];

	(void)snprintf(all, sizeof(all), "%s\n%s\n%s", p->list, p->filter ? p->filter : "", text);
	return str_hash(all);
}

static bool read_hex(const char *hex, char *to, size_t size)
{
	size_t n = strlen(hex) / 2;

	if (strlen(hex) % 2 || n >= size || hex[strspn(hex, "0123456789abcdef")])
		return false;
	for (size_t i = 0; i < n; i++) {
		const char digits[] = {hex[2 * i], hex[2 * i + 1], '\0'};

		to[i] = (char)strtoul(digits, NULL, 16);
	}
	to[n] = '\0';
	return true;
}

static bool read_token(const char *token, struct fis_page *ret)
{
	char text[TOKEN_MAX], *rest;
	char *end;
	uint64_t seal;

	if (!read_hex(token, text, sizeof(text)))
		return false;
	seal = strtoull(text, &rest, 16);
	if (*rest != ' ' || seal != seal_of(ret, rest + 1))
		return false;
	ret->order = strtoll(rest + 1, &end, 10);
	return *end == ' ' && str_copy(ret->key, sizeof(ret->key), end + 1);
}

bool fis_page_read(struct http_request *q, const char *list, const char *filter,
		   struct fis_page *ret)
{
	const char *most = http_query(q, "maxResults", 0);
	const char *token = http_query(q, "nextToken", 0);
	uint64_t n = PAGE_MAX;

	*ret = (struct fis_page){.list = list, .filter = filter, .goes_on = token};
	if (most && (str_to_u64(most, &n) < 0 || n < 1 || n > PAGE_MAX)) {
		refuse(q, "maxResults", most, "1 to 100", "not such a number");
		return false;
	}
	ret->most = (size_t)n;
	if (token && !read_token(token, ret)) {
		refuse(q, "nextToken", "", "one that this list has answered with",
		       "not a token of this list");
		return false;
	}
	return true;
}

void fis_page_more(const struct fis_page *page, cJSON *answer, const char *key, int64_t order)
{
	char plain[FIS_PAGE_KEY_MAX + 32], text[sizeof(plain) + 24], token[2 * sizeof(text)];

	(void)snprintf(plain, sizeof(plain), "%" PRId64 " %s", order, key);
	(void)snprintf(text, sizeof(text), "%016" PRIx64 " %s", seal_of(page, plain), plain);
	for (size_t i = 0; text[i]; i++)
		(void)snprintf(token + 2 * i, 3, "%02x", (unsigned char)text[i]);
	cJSON_AddStringToObject(answer, "nextToken", token);
}

cJSON *fis_wrap(const char *name, cJSON *item)
{
	cJSON *o = item ? cJSON_CreateObject() : NULL;

	if (o && cJSON_AddItemToObject(o, name, item))
		return o;
	cJSON_Delete(item);
	cJSON_Delete(o);
	return NULL;
}

const struct experiment_line *fis_find_line(struct api *api, const char *id)
{
	const struct experiment_line *line;

	for (size_t i = 0; (line = experiments_line(api->experiments, i)); i++) {
		if (str_eq(line->id, id))
			return line;
	}
	return NULL;
}
