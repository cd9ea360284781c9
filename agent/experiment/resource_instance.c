/* SPDX-License-Identifier: Apache-2.0 */
/* aws:ec2:instance: this host. */
#include "experiment/resource_types.h"

static bool set_state(cJSON *p)
{
	cJSON *state = cJSON_AddObjectToObject(p, "State");

	return state && resource_set_number(state, "Code", 16) &&
	       resource_set(state, "Name", "running");
}

static bool set_placement(cJSON *p, const struct identity *id)
{
	cJSON *placement = cJSON_AddObjectToObject(p, "Placement");

	return placement && resource_set(placement, "AvailabilityZone", id->availability_zone) &&
	       resource_set(placement, "AvailabilityZoneId", id->availability_zone_id);
}

static bool set_tags(cJSON *p, const cJSON *tags)
{
	cJSON *list = cJSON_AddArrayToObject(p, "Tags");
	const cJSON *tag;

	cJSON_ArrayForEach(tag, tags)
	{
		cJSON *pair = cJSON_CreateObject();

		if (!cJSON_AddItemToArray(list, pair)) {
			cJSON_Delete(pair);
			return false;
		}
		if (!cJSON_AddStringToObject(pair, "Key", tag->string) ||
		    !cJSON_AddStringToObject(pair, "Value", cJSON_GetStringValue(tag)))
			return false;
	}
	return list;
}

static bool describe(cJSON *p, const struct identity *id)
{
	return resource_set(p, "InstanceId", id->instance_id) &&
	       resource_set(p, "InstanceType", id->instance_type) &&
	       resource_set(p, "ImageId", id->image_id) && resource_set(p, "VpcId", id->vpc_id) &&
	       resource_set(p, "SubnetId", id->subnet_id) &&
	       resource_set(p, "PrivateIpAddress", id->private_ip) && set_state(p) &&
	       set_placement(p, id) && set_tags(p, id->tags);
}

static int find(const cJSON *parameters, const struct identity *id, struct resource_list *ret,
		struct error *e)
{
	char arn[ARN_MAX];
	struct resource *r;
	int result = resource_add(ret, identity_instance_arn(id, arn), "", &r, e);

	if (result < 0 || !r)
		return result;
	r->tags = cJSON_Duplicate(id->tags, true);
	return r->tags && describe(r->properties, id) ? 0 : resource_no_memory(e);
}

const struct resource_type resource_ec2_instance = {
	.name = "aws:ec2:instance",
	.description =
		"This host, by its ARN, its tags (of the configuration, or of the instance) or filters",
	.has_arns = true,
	.has_tags = true,
	.find = find,
};
