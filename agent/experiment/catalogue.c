/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/catalogue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/fis_parameters.h"
#include "experiment/identity.h"
#include "util/cleanup.h"
#include "util/str.h"

#define DESCRIPTION_MAX 513 /* FIS: at most 512 characters */

static struct {
	struct fis_action *action;
	size_t n, room;
} catalogue;

/* What our own actions can be aimed at: by the parameter that the type of resource is told by, when
 * they have it. An instance is the host: of everything, but of what has no target at all. */
static const struct {
	const char *key, *type;
} own_keys[] = {
	{"Cgroups", "host:cgroup"},
	{"Containers", "host:container"},
	{"Instances", "aws:ec2:instance"},
	{"Interfaces", "host:interface"},
	{"Mounts", "host:mount"},
	{"Pods", "aws:eks:pod"},
	{"Processes", "host:process"},
	{"Tasks", "aws:ecs:task"},
	{"Units", "host:unit"},
	{"Volumes", "aws:ec2:ebs-volume"},
};
_Static_assert(ARRAY_SIZE(own_keys) <= FIS_TARGET_KEYS_MAX, "an action may have all of them");

/* FIS's have the one of their service. */
static const struct {
	const char *prefix, *key, *type;
} fis_keys[] = {
	{"aws:ebs:", "Volumes", "aws:ec2:ebs-volume"},
	{"aws:ec2:", "Instances", "aws:ec2:instance"},
	{"aws:ecs:", "Tasks", "aws:ecs:task"},
	{"aws:eks:", "Pods", "aws:eks:pod"},
	{"aws:network:", "Subnets", "aws:ec2:subnet"},
	{"aws:ssm:", "Instances", "aws:ec2:instance"},
};

/* What FIS has and no action of ours carries. */
static const struct {
	const char *id, *description;
	enum fis_action_kind kind;
} others[] = {
	{"aws:cloudwatch:assert-alarm-state",
	 "Fail unless all of these CloudWatch alarms are in one of these states", FIS_ASSERT_ALARM},
	{"aws:ssm:send-command",
	 "Make the fault of one of the documents AWSFIS-Run-…, without the SSM agent",
	 FIS_SEND_COMMAND},
};

static bool has_row(const struct action *a, const char *name)
{
	for (size_t i = 0; i < a->n_rows; i++) {
		if (str_eq(a->rows[i].name, name))
			return true;
	}
	return false;
}

static void add_key(struct fis_action *a, const char *key, const char *type_name)
{
	const struct resource_type *type = resource_type_find(type_name);

	if (type)
		a->keys[a->n_keys++] = (struct fis_target_key){key, type};
}

static void add_own_keys(struct fis_action *a)
{
	for (size_t i = 0; a->kind == FIS_FAULT && i < ARRAY_SIZE(own_keys); i++) {
		const struct resource_type *type = resource_type_find(own_keys[i].type);

		if (type && (!type->fault_parameter || has_row(a->action, type->fault_parameter)))
			add_key(a, own_keys[i].key, own_keys[i].type);
	}
}

static void add_fis_key(struct fis_action *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(fis_keys); i++) {
		if (str_starts(a->id, fis_keys[i].prefix))
			add_key(a, fis_keys[i].key, fis_keys[i].type);
	}
	a->target_required = a->n_keys > 0;
}

/* A zeroed one, or NULL: out of memory. */
static struct fis_action *add(const char *prefix, const char *name, const char *description)
{
	struct fis_action *a;

	if (catalogue.n == catalogue.room) {
		size_t room = catalogue.room ? 2 * catalogue.room : 64;

		a = realloc(catalogue.action, room * sizeof(*a));
		if (!a)
			return NULL;
		catalogue.action = a;
		catalogue.room = room;
	}
	a = &catalogue.action[catalogue.n++];
	*a = (struct fis_action){.description = description};
	(void)snprintf(a->id, sizeof(a->id), "%s%s", prefix, name);
	return a;
}

static int add_action(const struct action *action)
{
	struct fis_action *a = add("host:", action->name, action->summary);

	if (!a)
		return -ENOMEM;
	a->kind = str_eq(action->name, "wait") ? FIS_WAIT : FIS_FAULT;
	a->action = action;
	add_own_keys(a);
	for (const struct alias *alias = action->aliases; alias && alias->name; alias++) {
		if (!str_starts(alias->name, "aws:"))
			continue;
		a = add("", alias->name, action->summary);
		if (!a)
			return -ENOMEM;
		a->kind = str_eq(action->name, "wait") ? FIS_WAIT : FIS_FAULT;
		a->action = action;
		a->alias = alias;
		add_fis_key(a);
	}
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct fis_action *)a)->id, ((const struct fis_action *)b)->id);
}

int catalogue_make(void)
{
	int r = 0;

	catalogue_free();
	for (size_t i = 0; r == 0 && i < n_actions; i++)
		r = add_action(actions[i]);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(others); i++) {
		struct fis_action *a = add("", others[i].id, others[i].description);

		if (!a) {
			r = -ENOMEM;
			break;
		}
		a->kind = others[i].kind;
		add_fis_key(a);
	}
	if (r < 0)
		catalogue_free();
	else
		qsort(catalogue.action, catalogue.n, sizeof(*catalogue.action), by_id);
	return r;
}

void catalogue_free(void)
{
	free(catalogue.action);
	catalogue.action = NULL;
	catalogue.n = catalogue.room = 0;
}

size_t catalogue_size(void)
{
	return catalogue.n;
}

const struct fis_action *catalogue_at(size_t i)
{
	return &catalogue.action[i];
}

static int compare_id(const void *id, const void *a)
{
	return strcmp(id, ((const struct fis_action *)a)->id);
}

const struct fis_action *catalogue_find(const char *id)
{
	return catalogue.n ? bsearch(id, catalogue.action, catalogue.n, sizeof(*catalogue.action),
				     compare_id)
			   : NULL;
}

const struct resource_type *fis_action_key(const struct fis_action *a, const char *key)
{
	for (size_t i = 0; i < a->n_keys; i++) {
		if (str_eq(a->keys[i].key, key))
			return a->keys[i].type;
	}
	return NULL;
}

/* Printing. Every function that makes a tree returns NULL when memory is short. */

static cJSON *print_parameters(const struct fis_action *a)
{
	struct fis_parameter parameter[FIS_PARAMETERS_MAX];
	size_t n = fis_action_parameters(a, parameter);
	cJSON *all = cJSON_CreateObject();

	for (size_t i = 0; all && i < n; i++) {
		cJSON *o = cJSON_AddObjectToObject(all, parameter[i].name);
		char description[DESCRIPTION_MAX];

		(void)str_copy(description, sizeof(description), parameter[i].description);
		if (!cJSON_AddStringToObject(o, "description", description) ||
		    !cJSON_AddBoolToObject(o, "required", parameter[i].required)) {
			cJSON_Delete(all);
			return NULL;
		}
	}
	return all;
}

static cJSON *print_targets(const struct fis_action *a)
{
	cJSON *all = cJSON_CreateObject();

	for (size_t i = 0; all && i < a->n_keys; i++) {
		cJSON *o = cJSON_AddObjectToObject(all, a->keys[i].key);

		if (!cJSON_AddStringToObject(o, "resourceType", a->keys[i].type->name)) {
			cJSON_Delete(all);
			return NULL;
		}
	}
	return all;
}

/* Takes `item` over in any case. */
static bool add_item(cJSON *o, const char *name, cJSON *item)
{
	if (item && cJSON_AddItemToObject(o, name, item))
		return true;
	cJSON_Delete(item);
	return false;
}

cJSON *catalogue_print_summary(const struct fis_action *a, const struct identity *id)
{
	char arn[ARN_MAX];
	cJSON *o = cJSON_CreateObject();

	if (cJSON_AddStringToObject(o, "id", a->id) &&
	    cJSON_AddStringToObject(o, "arn", identity_fis_arn(id, "action", a->id, arn)) &&
	    cJSON_AddStringToObject(o, "description", a->description) &&
	    add_item(o, "targets", print_targets(a)) && cJSON_AddObjectToObject(o, "tags"))
		return o;
	cJSON_Delete(o);
	return NULL;
}

cJSON *catalogue_print(const struct fis_action *a, const struct identity *id)
{
	cJSON *o = catalogue_print_summary(a, id);

	if (o && add_item(o, "parameters", print_parameters(a)))
		return o;
	cJSON_Delete(o);
	return NULL;
}
