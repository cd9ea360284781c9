/* SPDX-License-Identifier: Apache-2.0 */
/* Who this instance is: the identity document, which must be there; then, one after the other, what
 * it leaves out; then the tags. All on one connection, within the budget: what has not been told by
 * then is left empty. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/internal.h"
#include "util/clock.h"
#include "util/str.h"

#define TAGS_MAX      50   /* EC2 allows no more */
#define META_PATH_MAX 1280 /* a tag's key, percent-encoded */

struct instance_asking {
	struct instance_asking *next;
	struct cloud *c;
	struct metadata_asking *metadata;
	cloud_instance_fn done;
	void *arg;
	uint64_t deadline_boot_ns;
	bool failed;       /* to be told at the next turn of the loop */
	size_t field, tag; /* which is asked for */
	bool tags_listed;
	char mac[32];
	struct cloud_tag *tags;
	struct cloud_instance i;
};

struct document_field {
	const char *name;
	size_t offset, size;
};
#define DOCUMENT(name, member)                                          \
	{                                                               \
		name, offsetof(struct cloud_instance, member),          \
			sizeof(((struct cloud_instance *)NULL)->member) \
	}

static const struct document_field document_fields[] = {
	DOCUMENT("instanceId", instance_id), DOCUMENT("instanceType", instance_type),
	DOCUMENT("imageId", image_id),       DOCUMENT("region", region),
	DOCUMENT("accountId", account),      DOCUMENT("availabilityZone", availability_zone),
	DOCUMENT("privateIp", private_ip),
};

struct meta_field {
	const char *name; /* below /latest/meta-data/, or below the interface */
	bool of_interface;
	size_t offset, size; /* in struct instance_asking */
};
#define META(name, of_interface, member)                                      \
	{                                                                     \
		name, of_interface, offsetof(struct instance_asking, member), \
			sizeof(((struct instance_asking *)NULL)->member)      \
	}

static const struct meta_field meta_fields[] = {
	META("services/partition", false, i.partition),
	META("placement/availability-zone-id", false, i.availability_zone_id),
	META("mac", false, mac),
	META("vpc-id", true, i.vpc_id),
	META("subnet-id", true, i.subnet_id),
};

static void ask_next(struct instance_asking *a);

static void end(struct instance_asking *a, const struct cloud_instance *i)
{
	for (struct instance_asking **p = &a->c->instances; *p; p = &(*p)->next)
		if (*p == a) {
			*p = a->next;
			break;
		}
	metadata_cancel(a->metadata);
	if (a->done)
		a->done(i, a->arg);
	free(a->tags);
	free(a);
}

static void ask(struct instance_asking *a, const char *path, fetch_fn done)
{
	if (metadata_get(a->c, path, a->deadline_boot_ns, done, a, &a->metadata) < 0)
		end(a, a->i.instance_id[0] ? &a->i : NULL);
}

/* Was it answered? There is nothing here of what was asked (404), which is an answer too: "". After
 * anything worse the rest is not asked for. */
static bool answered(struct instance_asking *a, const struct fetch_answer *f, const char **body)
{
	a->metadata = NULL;
	*body = f->status == 200 ? f->body : "";
	if (f->r == 0 && (f->status == 200 || f->status == 404))
		return true;
	end(a, a->i.instance_id[0] ? &a->i : NULL);
	return false;
}

/* Tags */

static void on_tag(const struct fetch_answer *f, void *arg)
{
	struct instance_asking *a = arg;
	const char *body;

	if (!answered(a, f, &body))
		return;
	if (str_is_utf8(body, f->length) && !strpbrk(body, "\r\n"))
		(void)str_copy(a->tags[a->tag].value, sizeof(a->tags[0].value), body);
	a->tag++;
	ask_next(a);
}

static void ask_tag(struct instance_asking *a)
{
	char path[META_PATH_MAX];
	struct text t = TEXT(path);

	text_add(&t, "/latest/meta-data/tags/instance/");
	for (const unsigned char *p = (const unsigned char *)a->tags[a->tag].key; *p; p++)
		text_add(&t, "%%%02X", *p);
	ask(a, path, on_tag);
}

static int add_tag(struct instance_asking *a, const char *key, size_t length)
{
	struct cloud_tag *more;

	if (length == 0 || length >= sizeof(more->key) || a->i.n_tags == TAGS_MAX ||
	    !str_is_utf8(key, length))
		return 0;
	more = reallocarray(a->tags, a->i.n_tags + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	a->i.tags = a->tags = more;
	more += a->i.n_tags++;
	*more = (struct cloud_tag){0};
	memcpy(more->key, key, length);
	return 0;
}

/* One key a line. 404: they are not allowed in the metadata, or there are none. */
static void on_tags(const struct fetch_answer *f, void *arg)
{
	struct instance_asking *a = arg;
	const char *body;

	if (!answered(a, f, &body))
		return;
	a->tags_listed = true;
	while (*body) {
		size_t n = strcspn(body, "\r\n");

		if (add_tag(a, body, n) < 0)
			break;
		body += n;
		body += strspn(body, "\r\n");
	}
	ask_next(a);
}

/* Single values */

static void on_field(const struct fetch_answer *f, void *arg)
{
	struct instance_asking *a = arg;
	const struct meta_field *field = &meta_fields[a->field];
	const char *body;

	if (!answered(a, f, &body))
		return;
	(void)metadata_word(body, (char *)a + field->offset, field->size);
	a->field++;
	if (!a->mac[0])
		while (a->field < ARRAY_SIZE(meta_fields) && meta_fields[a->field].of_interface)
			a->field++;
	ask_next(a);
}

static void ask_field(struct instance_asking *a)
{
	const struct meta_field *field = &meta_fields[a->field];
	char path[META_PATH_MAX];
	struct text t = TEXT(path);

	text_add(&t, "/latest/meta-data/");
	if (field->of_interface)
		text_add(&t, "network/interfaces/macs/%s/", a->mac);
	text_add(&t, "%s", field->name);
	ask(a, path, on_field);
}

static void ask_next(struct instance_asking *a)
{
	if (a->field < ARRAY_SIZE(meta_fields))
		ask_field(a);
	else if (!a->tags_listed)
		ask(a, "/latest/meta-data/tags/instance", on_tags);
	else if (a->tag < a->i.n_tags)
		ask_tag(a);
	else
		end(a, &a->i);
}

/* The document */

static bool read_document(struct cloud_instance *i, const char *text)
{
	cJSON *json = cJSON_Parse(text);

	for (size_t k = 0; json && k < ARRAY_SIZE(document_fields); k++) {
		const struct document_field *d = &document_fields[k];
		const char *value =
			cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, d->name));

		if (value)
			(void)metadata_word(value, (char *)i + d->offset, d->size);
	}
	cJSON_Delete(json);
	return i->instance_id[0];
}

static void on_document(const struct fetch_answer *f, void *arg)
{
	struct instance_asking *a = arg;
	const char *body;

	if (!answered(a, f, &body))
		return;
	if (read_document(&a->i, body))
		ask_next(a);
	else
		end(a, NULL);
}

int cloud_instance(struct cloud *c, cloud_instance_fn done, void *arg)
{
	struct instance_asking *a;

	if (c->stopped)
		return -ESHUTDOWN;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = (struct instance_asking){.next = c->instances, .c = c, .done = done, .arg = arg};
	a->deadline_boot_ns = boot_ns() + METADATA_BUDGET_MS * NSEC_PER_MSEC;
	c->instances = a;
	if (!metadata_may_be_asked(c) ||
	    metadata_get(c, "/latest/dynamic/instance-identity/document", a->deadline_boot_ns,
			 on_document, a, &a->metadata) < 0) {
		a->failed = true;
		cloud_tell_later(c);
	}
	return 0;
}

static struct instance_asking *first_failed(struct cloud *c)
{
	struct instance_asking *a = c->instances;

	while (a && !a->failed)
		a = a->next;
	return a;
}

/* One a turn: its callback may ask again, and fail again. */
void instances_tell_failed(struct cloud *c)
{
	struct instance_asking *a = first_failed(c);

	if (a)
		end(a, NULL);
	if (first_failed(c))
		cloud_tell_later(c);
}

void instances_stop(struct cloud *c)
{
	while (c->instances) {
		c->instances->done = NULL;
		end(c->instances, NULL);
	}
}
