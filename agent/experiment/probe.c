/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "util/str.h"

const struct probe_type *const probe_types[] = {
	&probe_type_alarm, &probe_type_psi,  &probe_type_metric,
	&probe_type_http,  &probe_type_unit, &probe_type_command,
};
const size_t n_probe_types = ARRAY_SIZE(probe_types);

const char *const probe_unreadable_values[] = {"stop", "ignore", NULL};

const struct probe_type *probe_type_find(const char *source)
{
	for (size_t i = 0; i < n_probe_types; i++) {
		if (str_eq(probe_types[i]->source, source))
			return probe_types[i];
	}
	return NULL;
}

/* A value while it is read. */
struct reading {
	const struct probe_type *type;
	const char *path;
	struct problems *problems;
	cJSON *pairs; /* what has a row and came once */
	bool bad;
};

static void refuse(struct reading *in, const char *text)
{
	problems_add(in->problems, ERROR_VALIDATION, in->path, "%s", text);
	in->bad = true;
}

static void refuse_field(struct reading *in, const char *name, const char *allowed,
			 const char *what)
{
	struct error e;
	char shown[64] = "";
	struct text t = TEXT(shown);

	text_add_escaped(&t, name);
	error_set_field(&e, shown, NULL, allowed, "%s", what);
	refuse(in, e.message);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Reads up to the closing quote, of which `*s` is the character behind the opening one. Returns
 * false when there is none. */
static bool take_quoted(const char **s, char **to)
{
	for (; **s && **s != '"'; (*s)++) {
		if (**s == '\\' && ((*s)[1] == '"' || (*s)[1] == '\\'))
			(*s)++;
		*(*to)++ = **s;
	}
	if (!**s)
		return false;
	(*s)++;
	return true;
}

/* As it stands, quotes included, in which a backslash takes its meaning from the next character. */
static bool take_plain(const char **s, char **to)
{
	bool quoted = false;

	for (; **s && (quoted || !is_blank(**s)); (*s)++) {
		if (quoted && **s == '\\' && (*s)[1])
			*(*to)++ = *(*s)++;
		else if (**s == '"')
			quoted = !quoted;
		*(*to)++ = **s;
	}
	return !quoted;
}

static const struct row *find_row(const struct probe_type *t, const char *name)
{
	for (size_t i = 0; i < t->n_rows; i++) {
		if (str_eq(t->rows[i].name, name))
			return &t->rows[i];
	}
	return NULL;
}

static int add_pair(struct reading *in, const char *name, const char *value)
{
	char known[160] = "";
	struct text t = TEXT(known);

	if (!find_row(in->type, name)) {
		for (size_t i = 0; i < in->type->n_rows; i++)
			text_add(&t, "%s%s", i ? ", " : "", in->type->rows[i].name);
		refuse_field(in, name, known, "unknown name");
		return 0;
	}
	if (cJSON_GetObjectItemCaseSensitive(in->pairs, name)) {
		refuse_field(in, name, "each name once", "given twice");
		return 0;
	}
	return cJSON_AddStringToObject(in->pairs, name, value) ? 0 : -ENOMEM;
}

/* Reads one pair. What cannot be one is told and passed over. */
static int take_pair(struct reading *in, const char **s)
{
	char name[PROBE_VALUE_MAX + 1], value[PROBE_VALUE_MAX + 1], *to = name;
	bool closed;

	for (; **s && **s != '=' && !is_blank(**s); (*s)++)
		*to++ = **s;
	*to = '\0';
	if (**s != '=' || to == name) {
		refuse_field(in, **s == '=' ? "=" : name, NULL, "is not name=value");
		while (**s && !is_blank(**s))
			(*s)++;
		return 0;
	}
	(*s)++;
	to = value;
	if (**s == '"') {
		(*s)++;
		closed = take_quoted(s, &to);
	} else {
		closed = take_plain(s, &to);
	}
	*to = '\0';
	if (!closed) {
		refuse_field(in, name, NULL, "its quotes are not closed");
		return 0;
	}
	if (**s && !is_blank(**s)) {
		refuse_field(in, name, NULL, "behind the closing quote there is no blank");
		while (**s && !is_blank(**s))
			(*s)++;
		return 0;
	}
	return add_pair(in, name, value);
}

static int take_pairs(struct reading *in, const char *s)
{
	int r = 0;

	while (r == 0) {
		while (is_blank(*s))
			s++;
		if (!*s)
			break;
		r = take_pair(in, &s);
	}
	return r;
}

static bool drop_row(struct row *rows, size_t *n, const char *name)
{
	for (size_t i = 0; i < *n; i++) {
		if (!str_eq(rows[i].name, name))
			continue;
		memmove(&rows[i], &rows[i + 1], (*n - i - 1) * sizeof(*rows));
		(*n)--;
		return true;
	}
	return false;
}

/* The schema stops at the first mistake: what it was about is taken out, and the rest read again.
 */
static int read_rows(struct reading *in, void *ret)
{
	size_t n = in->type->n_rows;
	_cleanup_free_
	struct row *rows = calloc(n, sizeof(*rows));
	struct error e;

	if (!rows)
		return -ENOMEM;
	memcpy(rows, in->type->rows, n * sizeof(*rows));
	while (schema_parse(rows, n, in->pairs, "", ret, in->type->params_size, &e) < 0) {
		refuse(in, e.message);
		cJSON_DeleteItemFromObjectCaseSensitive(in->pairs, e.field);
		if (!drop_row(rows, &n, e.field))
			break;
	}
	return 0;
}

static int read_pairs(struct reading *in, const char *value, void *ret)
{
	int r;

	in->pairs = cJSON_CreateObject();
	if (!in->pairs)
		return -ENOMEM;
	r = take_pairs(in, value);
	if (r == 0)
		r = read_rows(in, ret);
	cJSON_Delete(in->pairs);
	return r;
}

static bool has_good_length(struct reading *in, const char *value)
{
	char text[96];
	size_t length = value ? strlen(value) : 0;

	if (length > 0 && length <= PROBE_VALUE_MAX)
		return true;
	if (length == 0)
		(void)snprintf(text, sizeof(text), "required by %s and not given",
			       in->type->source);
	else
		(void)snprintf(text, sizeof(text), "%zu bytes are too long; allowed: 1 to %d",
			       length, PROBE_VALUE_MAX);
	refuse(in, text);
	return false;
}

int probe_parse(const struct probe_type *t, const char *value, const char *path, void **ret,
		struct problems *problems)
{
	struct reading in = {.type = t, .path = path, .problems = problems};
	_cleanup_free_
	void *params = NULL;
	struct error e = {0};
	int r = 0;

	if (!has_good_length(&in, value))
		return -EINVAL;
	params = t->rows ? calloc(1, t->params_size) : strdup(value);
	if (!params)
		return -ENOMEM;
	if (t->rows)
		r = read_pairs(&in, value, params);
	if (r == 0 && !in.bad && t->check && t->check(params, &e) < 0)
		refuse(&in, e.message);
	if (r < 0 || in.bad)
		return r < 0 ? r : -EINVAL;
	if (ret)
		*ret = steal_pointer(params);
	return 0;
}

static void tell_now(struct probe *p, enum probe_state state, const char *reason)
{
	bool first = !p->told_first;

	p->told_first = true;
	p->fired = state == PROBE_FIRED;
	(void)uv_timer_stop(&p->first);
	p->tell(p, state, reason, first, p->arg);
}

/* What is learned within probe_start() waits for the loop; there, only worse news replace it. */
static void take(struct probe *p, enum probe_state state, const char *reason)
{
	if (p->stopping || p->fired || (p->told_first && state != PROBE_FIRED))
		return;
	if (!p->starting && !p->waiting) {
		tell_now(p, state, reason);
		return;
	}
	if (p->waiting && p->next == PROBE_FIRED)
		return;
	p->waiting = true;
	p->next = state;
	str_copy(p->next_reason, sizeof(p->next_reason), reason);
}

void probe_tell(struct probe *p, enum probe_state state, const char *format, ...)
{
	char reason[PROBE_REASON_MAX];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(reason, sizeof(reason), format, ap);
	va_end(ap);
	str_make_line(reason);
	p->unreadable = false;
	take(p, state, reason);
}

void probe_cannot_read(struct probe *p, const char *format, ...)
{
	char why[PROBE_REASON_MAX - 32], reason[PROBE_REASON_MAX];
	bool again = p->unreadable;
	va_list ap;

	if (p->stopping || p->fired)
		return;
	va_start(ap, format);
	(void)vsnprintf(why, sizeof(why), format, ap);
	va_end(ap);
	str_make_line(why);
	p->unreadable = true;
	(void)snprintf(reason, sizeof(reason), "cannot be told: %s", why);
	if (!p->stop_when_unreadable && !again)
		log_warning("%s: stop condition %s, ignoring", p->type->source, reason);
	take(p, p->stop_when_unreadable ? PROBE_FIRED : PROBE_UNREADABLE, reason);
}

static void on_first(uv_timer_t *timer)
{
	struct probe *p = timer->data;

	if (p->waiting) {
		p->waiting = false;
		tell_now(p, p->next, p->next_reason);
	} else {
		probe_cannot_read(p, "nothing was learned within %d s", PROBE_FIRST_MS / 1000);
	}
}

static bool stops_when_unreadable(const struct probe *p)
{
	const struct row *row = p->type->rows ? find_row(p->type, PROBE_UNREADABLE_NAME) : NULL;

	const void *chosen = row ? (const char *)p->params + row->offset : NULL;

	return !chosen || *(const int *)chosen == 0;
}

static int parse_alone(const struct probe_type *t, const char *value, void **ret, struct error *e)
{
	struct problems problems = {0};
	int r = probe_parse(t, value, "value", ret, &problems);

	if (r == -EINVAL)
		problems_error(&problems, e);
	else if (r < 0)
		(void)error_set(e, ERROR_FAILED, r, "%s: %s", t->source, strerror(-r));
	problems_done(&problems);
	return r;
}

static void on_timer_closed(uv_handle_t *h)
{
	probe_gone(h->data);
}

int probe_start(const struct probe_type *t, const char *value, const struct probe_env *env,
		probe_fn tell, void *arg, struct probe **ret, struct error *e)
{
	void *params = NULL;
	struct probe *p;
	int r = parse_alone(t, value, &params, e);

	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p) {
		free(params);
		return error_set(e, ERROR_FAILED, -ENOMEM, "%s: out of memory", t->source);
	}
	*p = (struct probe){.type = t, .env = env, .params = params, .tell = tell, .arg = arg};
	p->stop_when_unreadable = stops_when_unreadable(p);
	p->open = 1;
	p->starting = true;
	(void)uv_timer_init(env->loop, &p->first);
	p->first.data = p;
	r = t->start(p, e);
	p->starting = false;
	if (r < 0) {
		p->stopping = true;
		uv_close((uv_handle_t *)&p->first, on_timer_closed);
		return r;
	}
	p->open++;
	(void)uv_timer_start(&p->first, on_first, p->waiting ? 0 : PROBE_FIRST_MS, 0);
	*ret = p;
	return 0;
}

void probe_stop(struct probe *p)
{
	if (!p || p->stopping)
		return;
	p->stopping = true;
	uv_close((uv_handle_t *)&p->first, on_timer_closed);
	p->type->stop(p);
}

void probe_gone(struct probe *p)
{
	if (--p->open > 0)
		return;
	free(p->params);
	free(p->state);
	free(p);
}
