/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"

#define MACHINE_ID "/etc/machine-id"

#define NOWHERE SIZE_MAX

/* What an identity has, and where settings and metadata say it. */
static const struct field {
	size_t to, size, settings, instance;
	const char *def;
} fields[] = {
#define IN_ALL(name, def)                                                              \
	{                                                                              \
		offsetof(struct identity, name), sizeof(((struct identity *)0)->name), \
			offsetof(struct fis_settings, name),                           \
			offsetof(struct cloud_instance, name), (def)                   \
	}
#define IN_INSTANCE(name)                                                                       \
	{                                                                                       \
		offsetof(struct identity, name), sizeof(((struct identity *)0)->name), NOWHERE, \
			offsetof(struct cloud_instance, name), ""                               \
	}
	IN_ALL(partition, "aws"),
	IN_ALL(region, "us-east-1"),
	IN_ALL(account, "000000000000"),
	IN_ALL(instance_id, NULL), /* out of the machine id */
	IN_ALL(availability_zone, ""),
	IN_ALL(availability_zone_id, ""),
	IN_ALL(vpc_id, ""),
	IN_ALL(subnet_id, ""),
	IN_INSTANCE(instance_type),
	IN_INSTANCE(image_id),
	IN_INSTANCE(private_ip),
};

static void set(struct identity *id, const struct field *f, const char *text)
{
	(void)str_copy((char *)id + f->to, f->size, text);
}

void identity_make_id(const char *machine_id, char ret[static 32])
{
	char text[160];
	uint64_t h;

	(void)snprintf(text, sizeof(text), "faultd: this host's instance id: %s", machine_id);
	h = str_hash(text);
	/* splitmix64's end: FNV alone leaves ids of alike hosts alike */
	h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ULL;
	h = (h ^ (h >> 27)) * 0x94d049bb133111ebULL;
	h ^= h >> 31;
	(void)snprintf(ret, 32, "i-0%016llx", (unsigned long long)h);
}

/* A host without a machine id (a container, an image at its first boot) is told by its name. */
static void read_machine_id(char *ret, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen(MACHINE_ID, "re");

	if (!f || !fgets(ret, (int)size, f))
		ret[0] = '\0';
	ret[strcspn(ret, " \n")] = '\0';
	if (!ret[0] && gethostname(ret, size) < 0)
		ret[0] = '\0';
	ret[size - 1] = '\0';
}

int identity_from_settings(const struct fis_settings *s, struct identity *ret)
{
	char machine_id[128], made_up[32];

	*ret = (struct identity){.root = ""};
	read_machine_id(machine_id, sizeof(machine_id));
	identity_make_id(machine_id, made_up);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[i];
		const char *def = f->def ? f->def : made_up;
		const char *said = f->settings == NOWHERE ? "" : (const char *)s + f->settings;

		/* Of the partition the settings have a default already, which metadata may correct.
		 */
		if (said[0] &&
		    !(f->to == offsetof(struct identity, partition) && str_eq(said, def)))
			ret->given |= 1U << i;
		set(ret, f, said[0] ? said : def);
	}
	ret->tags = s->tags ? cJSON_Duplicate(s->tags, true) : cJSON_CreateObject();
	return ret->tags ? 0 : -ENOMEM;
}

int identity_from_instance(struct identity *id, const struct cloud_instance *i)
{
	for (size_t k = 0; k < ARRAY_SIZE(fields); k++) {
		const char *said = (const char *)i + fields[k].instance;

		if (said[0] && !(id->given & 1U << k))
			set(id, &fields[k], said);
	}
	for (size_t k = 0; k < i->n_tags; k++) {
		if (cJSON_GetObjectItemCaseSensitive(id->tags, i->tags[k].key))
			continue;
		if (!cJSON_AddStringToObject(id->tags, i->tags[k].key, i->tags[k].value))
			return -ENOMEM;
	}
	return 0;
}

void identity_done(struct identity *id)
{
	cJSON_Delete(id->tags);
	id->tags = NULL;
}

const char *identity_aws_arn(const struct identity *id, const char *service, const char *kind,
			     const char *name, char ret[static ARN_MAX])
{
	(void)snprintf(ret, ARN_MAX, "arn:%s:%s:%s:%s:%s/%s", id->partition, service, id->region,
		       id->account, kind, name);
	str_make_line(ret);
	return ret;
}

const char *identity_fis_arn(const struct identity *id, const char *kind, const char *name,
			     char ret[static ARN_MAX])
{
	return identity_aws_arn(id, "fis", kind, name, ret);
}

const char *identity_instance_arn(const struct identity *id, char ret[static ARN_MAX])
{
	return identity_aws_arn(id, "ec2", "instance", id->instance_id, ret);
}

const char *identity_host_arn(const struct identity *id, const char *kind, const char *name,
			      char ret[static ARN_MAX])
{
	char full[ARN_MAX];

	(void)snprintf(full, sizeof(full), "%s/%s", id->instance_id,
		       name[0] == '/' ? name + 1 : name);
	return identity_aws_arn(id, "faultd", kind, full, ret);
}
