/* SPDX-License-Identifier: Apache-2.0 */
/* From what a template says of a target to the resources that are hit: found, those that were
 * meant, and the choice among them. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actions/target.h"
#include "experiment/resource_types.h"
#include "experiment/template.h"

/* Filters */

static bool has_text(const char *text, const char *const *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(text, values[i]))
			return true;
	}
	return false;
}

/* FIS's filter values are text, whatever the property is. */
static bool scalar_fits(const cJSON *item, const char *const *values, size_t n)
{
	char number[32];

	if (cJSON_IsString(item))
		return has_text(item->valuestring, values, n);
	if (cJSON_IsBool(item))
		return has_text(cJSON_IsTrue(item) ? "true" : "false", values, n);
	if (!cJSON_IsNumber(item))
		return false;
	(void)snprintf(number, sizeof(number), "%.15g", item->valuedouble);
	return has_text(number, values, n);
}

/* Names may have dots themselves (labels do), so each member is asked whether the path begins with
 * it. That goes no deeper than the properties do. */
bool resource_filter_fits(const cJSON *properties, const char *path, const char *const *values,
			  size_t n_values)
{
	const cJSON *item;

	if (!cJSON_IsArray(properties) && !cJSON_IsObject(properties))
		return properties && !path[0] && scalar_fits(properties, values, n_values);
	cJSON_ArrayForEach(item, properties)
	{
		const char *rest = path;

		if (cJSON_IsObject(properties)) {
			size_t length = strlen(item->string);

			if (!length || !str_starts(path, item->string) ||
			    (path[length] && path[length] != '.'))
				continue;
			rest = path + length;
			if (rest[0] == '.' && !*++rest)
				continue; /* "State." */
		}
		if (resource_filter_fits(item, rest, values, n_values))
			return true;
	}
	return false;
}

static bool fits_filters(const struct resource *r, const void *arg)
{
	const struct template_target *t = arg;

	for (size_t i = 0; i < t->n_filters; i++) {
		const struct template_filter *f = &t->filters[i];

		if (!resource_filter_fits(r->properties, f->path, f->values, f->n_values))
			return false;
	}
	return true;
}

/* An empty value is no wildcard. */
static bool has_tags(const struct resource *r, const void *arg)
{
	const struct template_target *t = arg;
	const cJSON *wanted;

	cJSON_ArrayForEach(wanted, t->tags)
	{
		const cJSON *tag = cJSON_GetObjectItemCaseSensitive(r->tags, wanted->string);

		if (!cJSON_IsString(tag) || !cJSON_IsString(wanted) ||
		    !str_eq(tag->valuestring, wanted->valuestring))
			return false;
	}
	return true;
}

/* ARNs */

static bool is_arn(const struct resource_type *type, const struct resource *r, const char *arn)
{
	return type->is_arn ? type->is_arn(r, arn) : str_eq(r->arn, arn);
}

static bool has_arn(const struct resource *r, const void *arg)
{
	const struct template_target *t = arg;

	for (size_t i = 0; i < t->n_arns; i++) {
		if (is_arn(t->type, r, t->arns[i]))
			return true;
	}
	return false;
}

static int not_here(const struct template_target *t, const struct resource_list *all,
		    const char *arn, struct error *e)
{
	char here[160] = "";
	struct text text = TEXT(here);

	for (size_t i = 0; i < all->n && i < 3 && !text.cut; i++)
		text_add(&text, "%s%s", i ? ", " : "; here are ", all->resource[i].arn);
	if (all->n > 3 || text.cut)
		here[0] = '\0';
	return error_set(e, ERROR_NOT_FOUND, -ENOENT,
			 "targets.%s.resourceArns: no %s on this host is %s%s", t->name,
			 t->type->name, arn, here);
}

static int take_arns(const struct template_target *t, struct resource_list *l, struct error *e)
{
	for (size_t i = 0; i < t->n_arns; i++) {
		bool found = false;

		for (size_t k = 0; k < l->n && !found; k++)
			found = is_arn(t->type, &l->resource[k], t->arns[i]);
		if (!found)
			return not_here(t, l, t->arns[i], e);
	}
	if (t->n_arns > 0)
		resource_list_keep(l, has_arn, t);
	return 0;
}

/* The choice */

/* Pods have no ARN, and are what their value says. */
static uint64_t place_of(const struct resource *r, uint64_t seed)
{
	return random_place(seed, str_hash(r->arn[0] ? r->arn : r->value));
}

static int by_name(const void *a, const void *b)
{
	const struct resource *x = a, *y = b;
	int r = strcmp(x->arn, y->arn);

	return r ? r : strcmp(x->value, y->value);
}

/* For qsort_r(): the last argument is the seed. */
static int by_chance(const void *a, const void *b, void *seed)
{
	uint64_t x = place_of(a, *(const uint64_t *)seed), y = place_of(b, *(const uint64_t *)seed);

	return x < y ? -1 : x > y ? 1 : by_name(a, b);
}

/* FIS rounds a share down, to none if need be; it does not say what a count of more than there are
 * comes to: here to all. */
static size_t how_many(const struct template_target *t, size_t n)
{
	switch (t->selection) {
	case SELECT_COUNT:
		return t->selection_n < n ? t->selection_n : n;
	case SELECT_PERCENT:
		return n * (t->selection_n < 100 ? t->selection_n : 100) / 100;
	case SELECT_ALL:
		break;
	}
	return n;
}

static int choose(const struct template_target *t, uint64_t seed, struct resource_list *l,
		  struct error *e)
{
	size_t n = how_many(t, l->n);

	if (n > RESOURCES_USED_MAX)
		return error_set(
			e, ERROR_QUOTA, -E2BIG,
			"targets.%s: %zu resources of type %s are chosen out of %zu; allowed: at "
			"most %d, such as selectionMode COUNT(%d)",
			t->name, n, t->type->name, l->n, RESOURCES_USED_MAX, RESOURCES_USED_MAX);
	if (n < l->n)
		qsort_r(l->resource, l->n, sizeof(*l->resource), by_chance, &seed);
	resource_list_cut(l, n);
	if (l->n > 1)
		qsort(l->resource, l->n, sizeof(*l->resource), by_name);
	return 0;
}

/* A template that was kept by an older faultd, or put together by hand. */
static int check(const struct template_target *t, struct error *e)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, t->parameters)
	{
		const struct resource_parameter *known =
			resource_parameter_find(t->type, p->string);
		const char *value = cJSON_GetStringValue(p);
		const char *why = known && value && known->refuse ? known->refuse(value) : NULL;

		if (known && value && !why)
			continue;
		return error_set(e, ERROR_VALIDATION, -EINVAL, "targets.%s.parameters.%s: %s",
				 t->name, p->string,
				 why     ? why
				 : known ? "it is not text"
					 : "there is no such parameter");
	}
	if ((t->n_arns > 0 && !t->type->has_arns) ||
	    (cJSON_GetArraySize(t->tags) > 0 && !t->type->has_tags))
		return error_set(e, ERROR_VALIDATION, -EINVAL,
				 "targets.%s.%s: this host does not know those of %s", t->name,
				 t->n_arns > 0 && !t->type->has_arns ? "resourceArns"
								     : "resourceTags",
				 t->type->name);
	return 0;
}

/* What a type refuses is told with whose parameter it is. */
static int find(const struct template_target *t, const struct identity *id,
		struct resource_list *ret, struct error *e)
{
	char why[sizeof(e->message)];
	int r = t->type->find(t->parameters, id, ret, e);

	if (r == 0)
		return 0;
	(void)str_copy(why, sizeof(why), e->message);
	(void)snprintf(e->message, sizeof(e->message), "targets.%.64s: %.430s", t->name, why);
	return r;
}

int resource_resolve(const struct template_target *t, const struct identity *id, uint64_t seed,
		     struct resource_list *ret, struct error *e)
{
	struct resource_list l = {0};
	int r = check(t, e);

	if (r == 0)
		r = find(t, id, &l, e);
	if (r == 0)
		r = take_arns(t, &l, e);
	if (r == 0) {
		resource_list_keep(&l, has_tags, t);
		resource_list_keep(&l, fits_filters, t);
		r = choose(t, seed, &l, e);
	}
	if (r < 0) {
		resource_list_done(&l);
		return r;
	}
	*ret = l;
	return 0;
}
