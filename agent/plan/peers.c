/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/peers.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "plan/schema.h"

bool is_set_name(const char *name)
{
	static const char pattern[] =
		"^(s3|s3express|dynamodb|vpc|availability-zone|pl-[0-9a-f]+|[a-z]{3,5}[0-9]-([a-z]+[0-9]+-)*az[0-9]+|"
		"[a-z]{2}(-[a-z]+)?-(central|north|south|east|west|"
		"(north|south)(east|west))-[0-9]+(-[a-z0-9]+)*[a-z])$";
	regex_t r;
	bool yes;

	if (regcomp(&r, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0)
		return false;
	yes = regexec(&r, name, 0, NULL, 0) == 0;
	regfree(&r);
	return yes;
}

static struct named_peer *find(struct resolved *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++) {
		if (strcasecmp(r->peer[i].name, name) == 0)
			return &r->peer[i];
	}
	return NULL;
}

const struct named_peer *resolved_find(const struct resolved *r, const char *name)
{
	return find((struct resolved *)r, name);
}

static void add_names(struct resolved *r, const struct name_list *names)
{
	for (uint32_t i = 0; i < names->n; i++) {
		struct named_peer *p = &r->peer[r->n];

		if (find(r, names->name[i]))
			continue;
		(void)str_copy(p->name, sizeof(p->name), names->name[i]);
		p->kind = is_set_name(p->name) ? NAMED_RESERVED : NAMED_HOST;
		r->n++;
	}
}

struct resolved *resolved_new(const struct peer_list *const *lists, size_t n,
			      const struct peer_list *spared)
{
	size_t room = spared->names.n;
	struct resolved *r;

	for (size_t i = 0; i < n; i++)
		room += lists[i]->names.n;
	r = calloc(1, sizeof(*r) + room * sizeof(r->peer[0]));
	if (!r)
		return NULL;
	r->spared = *spared;
	for (size_t i = 0; i < n; i++)
		add_names(r, &lists[i]->names);
	add_names(r, &spared->names);
	return r;
}

size_t resolved_size(const struct resolved *r)
{
	return sizeof(*r) + r->n * sizeof(r->peer[0]);
}

struct resolved *resolved_copy(const struct resolved *r)
{
	struct resolved *copy = r ? malloc(resolved_size(r)) : NULL;

	if (copy)
		memcpy(copy, r, resolved_size(r));
	return copy;
}

static int read_prefixes(const cJSON *array, struct cidr_list *ret)
{
	const cJSON *item;
	int r = cJSON_IsArray(array) && array->child ? 0 : -EINVAL;

	cJSON_ArrayForEach(item, array)
	{
		if (r == 0)
			r = cJSON_IsString(item) ? cidr_list_add(ret, item->valuestring) : -EINVAL;
	}
	return r;
}

static int take_set(struct resolved *r, const cJSON *json, const cJSON *set, struct error *e)
{
	struct cidr_list list = {0};
	struct named_peer *p = find(r, set->string);
	char name[64] = "", field[96];
	struct text t = TEXT(name), f = TEXT(field);
	int got = read_prefixes(set, &list);

	text_add_escaped(&t, set->string);
	text_add(&f, "networkSets: %s", name);
	if (!is_host_name(set->string))
		return error_field(e, field, r->sets_path, "letters, digits, - and _",
				   "%s: %s is no name", r->sets_path, name);
	if (got < 0)
		return error_field(e, field, r->sets_path,
				   "an array of 1 to 128 addresses or prefixes", "%s: %s is %s",
				   r->sets_path, name, got == -E2BIG ? "too long" : "not that");
	for (const cJSON *o = json->child; o != set; o = o->next) {
		if (strcasecmp(o->string, set->string) == 0)
			return error_field(e, field, r->sets_path, "each name once",
					   "%s: %s is given twice", r->sets_path, name);
	}
	if (!p)
		return 0;
	p->kind = NAMED_SET;
	p->list = list;
	return 0;
}

int resolved_take_sets(struct resolved *r, const char *text, size_t length, struct error *e)
{
	struct error inner;
	cJSON *json;
	int got = 0;

	if (!text)
		return 0;
	json = json_read(text, length, &inner);
	if (!json)
		return error_set(e, ERROR_CONFLICT, -EINVAL, "networkSets: %s: %s", r->sets_path,
				 inner.message);
	for (const cJSON *set = json->child; set && got == 0; set = set->next)
		got = take_set(r, json, set, e);
	cJSON_Delete(json);
	if (got < 0)
		e->code = ERROR_CONFLICT; /* the file is wrong, not the request */
	return got;
}

bool resolved_has_hosts(const struct resolved *r)
{
	for (size_t i = 0; r && i < r->n; i++) {
		if (r->peer[i].kind == NAMED_HOST)
			return true;
	}
	return false;
}

/* Returns whether it is still there. */
static bool keep(struct named_peer *p, uint32_t i, const struct cidr_list *answer)
{
	if (cidr_list_has(answer, &p->list.cidr[i]))
		p->missed[i] = 0;
	else
		p->missed[i]++;
	return p->missed[i] <= PEER_KEPT_ANSWERS;
}

bool named_peer_answer(struct named_peer *p, const struct cidr_list *answer)
{
	uint32_t before = p->list.n, n = 0;
	bool changed;

	for (uint32_t i = 0; i < before; i++) {
		if (!keep(p, i, answer))
			continue;
		p->list.cidr[n] = p->list.cidr[i];
		p->missed[n++] = p->missed[i];
	}
	changed = n != before;
	p->list.n = n;
	for (uint32_t i = 0; i < answer->n && p->list.n < CIDRS_MAX; i++) {
		if (cidr_list_has(&p->list, &answer->cidr[i]))
			continue;
		p->missed[p->list.n] = 0;
		p->list.cidr[p->list.n++] = answer->cidr[i];
		changed = true;
	}
	p->why[0] = '\0';
	return changed;
}

void named_peer_no_answer(struct named_peer *p, const char *why)
{
	(void)str_copy(p->why, sizeof(p->why), why);
}
