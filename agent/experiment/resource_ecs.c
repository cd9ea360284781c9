/* SPDX-License-Identifier: Apache-2.0 */
/* aws:ecs:task: the tasks of ECS that run on this host. A task is its cgroup, "/ecs/ID",
 * "/ecs/CLUSTER/ID" or "ecstasks-ID.slice"; what more there is to know of it the agent has given to
 * Docker as labels of its containers. An agent that was told to make no cgroups for tasks
 * (ECS_ENABLE_TASK_CPU_MEM_LIMIT=false) has none that could be aimed at. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/container_files.h"
#include "experiment/resource_types.h"
#include "util/cleanup.h"

static const char *refuse_service(const char *value)
{
	return "which service a task belongs to is not told to its host; say cluster, filters or ARNs";
}

static const struct resource_parameter rows[] = {
	{.name = "cluster", .description = "Only tasks of this cluster: its name or its ARN"},
	{.name = "service",
	 .description = "Refused: which service a task belongs to is not told to its host",
	 .refuse = refuse_service},
	{0},
};

struct task {
	const struct owned_cgroup *cgroup;
	char arn[ARN_MAX], cluster[256];
	char family[256], version[16];
	cJSON *containers; /* as DescribeTasks shows them; owned */
};

static void task_done(struct task *t)
{
	cJSON_Delete(t->containers);
}

/* "arn:aws:ecs:us-east-1:000000000000:cluster/web" -> "web" */
static const char *last_part(const char *s)
{
	const char *slash = strrchr(s, '/');

	return slash ? slash + 1 : s;
}

/* An instance is in one cluster only, which its agent reads from here. */
static void read_cluster(const struct identity *id, char *ret, size_t size)
{
	_cleanup_fclose_ FILE *f = resource_open(id, "/etc/ecs/ecs.config");
	static const char key[] = "ECS_CLUSTER=";
	char line[512];

	ret[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		char *value = line + strlen(key);

		if (!str_starts(line, key))
			continue;
		value += strspn(value, "\"'");
		value[strcspn(value, "\"' \t\r\n")] = '\0';
		(void)str_copy(ret, size, last_part(value));
	}
	if (f && !ret[0])
		(void)str_copy(ret, size, "default"); /* as the agent does */
}

/* The CLUSTER of "/ecs/CLUSTER/ID". */
static void take_cluster_of_path(struct task *t)
{
	static const char root[] = "/ecs/";
	const char *from = strstr(t->cgroup->path, root), *end = strrchr(t->cgroup->path, '/');

	from = from ? from + strlen(root) : NULL;
	if (!from || end <= from || (size_t)(end - from) >= sizeof(t->cluster))
		return;
	memcpy(t->cluster, from, (size_t)(end - from));
	t->cluster[end - from] = '\0';
}

static void take_label(const cJSON *labels, const char *name, char *ret, size_t size)
{
	char key[64];
	const char *value;

	(void)snprintf(key, sizeof(key), "com.amazonaws.ecs.%s", name);
	value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(labels, key));
	if (value && value[0])
		(void)str_copy(ret, size, value);
}

static bool add_container(cJSON *list, const char *id, const char *name)
{
	cJSON *one = cJSON_CreateObject();

	if (!one || !cJSON_AddItemToArray(list, one)) {
		cJSON_Delete(one);
		return false;
	}
	return resource_set(one, "Name", name) && resource_set(one, "RuntimeId", id) &&
	       resource_set(one, "LastStatus", "RUNNING");
}

static int take_container(struct task *t, const char *container, const struct identity *id)
{
	__attribute__((cleanup(container_record_done))) struct container_record c;
	char name[256] = "", cluster[256] = "";

	if (container_record_read(id, container, &c) == -ENOMEM)
		return -ENOMEM;
	take_label(c.labels, "container-name", name, sizeof(name));
	take_label(c.labels, "task-arn", t->arn, sizeof(t->arn));
	take_label(c.labels, "cluster", cluster, sizeof(cluster));
	take_label(c.labels, "task-definition-family", t->family, sizeof(t->family));
	take_label(c.labels, "task-definition-version", t->version, sizeof(t->version));
	if (cluster[0])
		(void)str_copy(t->cluster, sizeof(t->cluster), last_part(cluster));
	return add_container(t->containers, container, name) ? 0 : -ENOMEM;
}

static int look(struct task *t, const struct owned_list *l, const struct identity *id)
{
	const struct owned_cgroup *end = l->cgroup + l->n;
	int r = 0;

	t->containers = cJSON_CreateArray();
	if (!t->containers)
		return -ENOMEM;
	take_cluster_of_path(t);
	for (const struct owned_cgroup *o = t->cgroup + 1; o < end && r == 0; o++) {
		if (o->owner == CGROUP_OF_CONTAINER && resource_is_inside(o->path, t->cgroup->path))
			r = take_container(t, o->name, id);
	}
	if (r == 0 && !t->cluster[0])
		read_cluster(id, t->cluster, sizeof(t->cluster));
	return r;
}

static void complete_arn(struct task *t, const struct identity *id)
{
	char name[ARN_MAX];

	if (t->arn[0])
		return;
	/* Before there were long ARNs they had no cluster. */
	(void)snprintf(name, sizeof(name), "%s%s%s", t->cluster, t->cluster[0] ? "/" : "",
		       t->cgroup->name);
	(void)identity_aws_arn(id, "ecs", "task", name, t->arn);
}

static bool describe(struct resource *r, struct task *t, const struct identity *id)
{
	char arn[ARN_MAX], definition[300];
	cJSON *p = r->properties;

	(void)snprintf(definition, sizeof(definition), "%s:%s", t->family, t->version);
	if (!cJSON_AddItemToObject(p, "Containers", t->containers))
		return false;
	t->containers = NULL;
	return resource_set(p, "TaskArn", r->arn) &&
	       resource_set(p, "AvailabilityZone", id->availability_zone) &&
	       (!t->cluster[0] ||
		resource_set(p, "ClusterArn",
			     identity_aws_arn(id, "ecs", "cluster", t->cluster, arn))) &&
	       (!t->family[0] ||
		resource_set(p, "TaskDefinitionArn",
			     identity_aws_arn(id, "ecs", "task-definition", definition, arn))) &&
	       resource_set(p, "LastStatus", "RUNNING");
}

static int add_task(const struct owned_cgroup *cgroup, const struct owned_list *l,
		    const char *cluster, const struct identity *id, struct resource_list *ret,
		    struct error *e)
{
	__attribute__((cleanup(task_done))) struct task t = {.cgroup = cgroup};
	struct resource *r = NULL;
	int result;

	if (look(&t, l, id) < 0)
		return resource_no_memory(e);
	if (cluster[0] && !t.cluster[0])
		return error_set(
			e, ERROR_UNSUPPORTED, -EOPNOTSUPP,
			"parameters.cluster: which cluster this host is in is not known: it is "
			"neither in its containers' labels nor in /etc/ecs/ecs.config");
	if (cluster[0] && !str_eq(last_part(cluster), t.cluster))
		return 0;
	complete_arn(&t, id);
	result = resource_add(ret, t.arn, cgroup->name, &r, e);
	return r && result == 0 && !describe(r, &t, id) ? resource_no_memory(e) : result;
}

static int find(const cJSON *parameters, const struct identity *id, struct resource_list *ret,
		struct error *e)
{
	__attribute__((cleanup(owned_list_done))) struct owned_list l = {0};
	const char *cluster = resource_parameter(parameters, "cluster");
	int r = resource_owned_cgroups(id, &l, e);

	for (size_t i = 0; i < l.n && r == 0; i++) {
		if (l.cgroup[i].owner == CGROUP_OF_TASK)
			r = add_task(&l.cgroup[i], &l, cluster, id, ret, e);
	}
	return r;
}

/* A task's id is never given again, and the rest of an ARN may be made up here. */
static bool is_arn(const struct resource *r, const char *arn)
{
	return str_starts(arn, "arn:") && strstr(arn, ":ecs:") && strstr(arn, ":task/") &&
	       str_eq(last_part(arn), r->value);
}

const struct resource_type resource_ecs_task = {
	.name = "aws:ecs:task",
	.description =
		"The tasks of Amazon ECS that run on this host, each with all its containers. Their tags are "
		"not told to the host",
	.parameters = rows,
	.has_arns = true,
	.fault_parameter = "container",
	.find = find,
	.is_arn = is_arn,
};
