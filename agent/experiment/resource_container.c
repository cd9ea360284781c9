/* SPDX-License-Identifier: Apache-2.0 */
/* host:container: the containers that run on this host, of any runtime. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/container_files.h"
#include "experiment/resource_types.h"

static const struct resource_parameter rows[] = {
	{.name = "name",
	 .description =
		 "Only containers of this name (a pattern such as web-*), where it is known"},
	{0},
};

static bool is_container(enum cgroup_owner owner)
{
	return owner == CGROUP_OF_CONTAINER || owner == CGROUP_OF_NAMED;
}

/* Containers in containers (Docker in Docker) belong to the outer one. */
static bool is_outermost(const struct owned_list *l, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (is_container(l->cgroup[i].owner) &&
		    resource_is_inside(l->cgroup[at].path, l->cgroup[i].path))
			return false;
	}
	return true;
}

static bool describe(struct resource *r, const struct owned_cgroup *o, struct container_record *c)
{
	cJSON *p = r->properties;
	bool ok = resource_set(p, "Id", o->name) && resource_set(p, "Name", c->name) &&
		  resource_set(p, "Runtime", c->runtime) && resource_set(p, "Image", c->image) &&
		  resource_set(p, "PodName", c->pod_name) &&
		  resource_set(p, "PodNamespace", c->pod_namespace) &&
		  resource_set(p, "Cgroup", o->path);

	if (ok && c->labels) {
		r->tags = cJSON_Duplicate(c->labels, true);
		ok = r->tags && cJSON_AddItemToObject(p, "Labels", c->labels);
		if (ok)
			c->labels = NULL;
	}
	return ok;
}

static int add_container(const struct owned_cgroup *o, const char *name, const struct identity *id,
			 struct resource_list *ret, struct error *e)
{
	__attribute__((cleanup(container_record_done))) struct container_record c;
	struct resource *r = NULL;
	char arn[ARN_MAX], value[CGROUP_PATH_MAX + 16];
	int result = container_record_read(id, o->name, &c);

	if (result == -ENOMEM)
		return resource_no_memory(e);
	if (o->owner == CGROUP_OF_NAMED)
		(void)str_copy(c.name, sizeof(c.name), o->name);
	/* A sandbox holds nothing but the pod's namespaces. */
	if (c.sandbox || (name[0] && !resource_fits_pattern(c.name, name)))
		return 0;
	/* A name alone would mean others that begin so as well. */
	(void)snprintf(value, sizeof(value), "%s%s",
		       o->owner == CGROUP_OF_NAMED ? "container://" : "", o->name);
	result = resource_add(ret, identity_host_arn(id, "container", o->name, arn), value, &r, e);
	if (r && result == 0 && !describe(r, o, &c))
		result = resource_no_memory(e);
	return result;
}

static int find(const cJSON *parameters, const struct identity *id, struct resource_list *ret,
		struct error *e)
{
	__attribute__((cleanup(owned_list_done))) struct owned_list l = {0};
	const char *name = resource_parameter(parameters, "name");
	int r = resource_owned_cgroups(id, &l, e);

	for (size_t i = 0; i < l.n && r == 0; i++) {
		if (is_container(l.cgroup[i].owner) && is_outermost(&l, i))
			r = add_container(&l.cgroup[i], name, id, ret, e);
	}
	return r;
}

const struct resource_type resource_host_container = {
	.name = "host:container",
	.description =
		"The containers that run on this host. Their tags are the labels that Docker and CRI-O, and the "
		"annotations that containerd, keep in files; of others there are none",
	.parameters = rows,
	.has_arns = true,
	.has_tags = true,
	.fault_parameter = "container",
	.find = find,
};
