/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/fis_settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/str.h"

#define HOST_TAGS_MAX 50
#define TAG_KEY_MAX   128
#define TAG_VALUE_MAX 256

static const char *const metadata_values[] = {"auto", "off", NULL};

const struct row fis_settings_rows[] = {
	{.name = "partition",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, partition),
	 .text = "partition of ARNs, else the metadata service's, else aws"},
	{.name = "region",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, region),
	 .text = "region of ARNs and of what AWS is asked, else the metadata service's"},
	{.name = "account",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, account),
	 .text = "account of ARNs, else the metadata service's"},
	{.name = "instanceId",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, instance_id),
	 .text = "this host as an aws:ec2:instance, else the metadata service's"},
	{.name = "availabilityZone",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, availability_zone),
	 .text = "the zone this host is in, by its name"},
	{.name = "availabilityZoneId",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, availability_zone_id),
	 .text = "the zone this host is in, by its id"},
	{.name = "vpcId",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, vpc_id),
	 .text = "the VPC this host is in"},
	{.name = "subnetId",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, subnet_id),
	 .text = "the subnet this host is in"},
	{.name = "metadata",
	 .type = ROW_ENUM,
	 FIELD(struct fis_settings, metadata),
	 .def = "auto",
	 .values = metadata_values,
	 .text = "is the instance metadata service asked who this host is?"},
	{.name = "listen",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, listen),
	 .text = "loopback address and port that signed requests may come to, such as "
		 "127.0.0.1:7340"},
	{.name = "maxTemplates",
	 .type = ROW_INTEGER,
	 FIELD(struct fis_settings, templates_max),
	 .def = "500",
	 .min = 1,
	 .max = 10000,
	 .text = "experiment templates"},
	{.name = "maxActiveExperiments",
	 .type = ROW_INTEGER,
	 FIELD(struct fis_settings, active_experiments_max),
	 .def = "5",
	 .min = 1,
	 .max = 64,
	 .text = "experiments under way at the same time"},
	{.name = "maxKeptExperiments",
	 .type = ROW_INTEGER,
	 FIELD(struct fis_settings, experiments_kept_max),
	 .def = "1000",
	 .min = 1,
	 .max = 100000,
	 .text = "finished experiments that are remembered"},
	{.name = "retentionDays",
	 .type = ROW_INTEGER,
	 FIELD(struct fis_settings, retention_days),
	 .def = "120",
	 .min = 1,
	 .max = 3650,
	 .unit = "days",
	 .text = "how long finished experiments and their logs are kept"},
	{.name = "alarmPeriod",
	 .type = ROW_DURATION,
	 FIELD(struct fis_settings, alarm_period_ms),
	 .def = "5s",
	 .min = 1000,
	 .max = 60000,
	 .text = "how often CloudWatch is asked for the alarms of running experiments"},
	{.name = "cloudwatchEndpoint",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, cloudwatch_endpoint),
	 .text = "URL of CloudWatch, when it is not AWS's own"},
	{.name = "logsEndpoint",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, logs_endpoint),
	 .text = "URL of CloudWatch Logs, when it is not AWS's own"},
	{.name = "s3Endpoint",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, s3_endpoint),
	 .text = "URL of S3, when it is not AWS's own"},
	{.name = "metadataEndpoint",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, metadata_endpoint),
	 .def = "http://169.254.169.254",
	 .text = "URL of the instance metadata service"},
	{.name = "probeDir",
	 .type = ROW_STRING,
	 FIELD_STRING(struct fis_settings, probe_dir),
	 .def = "/etc/faultd/probes",
	 .text = "directory of the programs that stop conditions may run"},
};
const size_t n_fis_settings_rows = ARRAY_SIZE(fis_settings_rows);

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

/* Of texts that become part of an ARN or a URL: which characters they may have. */
static int check_characters(const char *path, const char *value, const char *characters,
			    const char *allowed, struct error *e)
{
	if (value[strspn(value, characters)] == '\0')
		return 0;
	return error_field(e, path, value, allowed, "%s is none", value);
}

static int check_names(const struct fis_settings *s, struct error *e)
{
	static const char name[] = LOWER DIGITS "-";
	static const char allowed[] = "lower case letters, digits and hyphens";
	const struct {
		const char *path, *value;
	} names[] = {
		{"fis.partition", s->partition},
		{"fis.region", s->region},
		{"fis.instanceId", s->instance_id},
		{"fis.availabilityZone", s->availability_zone},
		{"fis.availabilityZoneId", s->availability_zone_id},
		{"fis.vpcId", s->vpc_id},
		{"fis.subnetId", s->subnet_id},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names) && r == 0; i++)
		r = check_characters(names[i].path, names[i].value, name, allowed, e);
	if (r == 0 && s->account[0] &&
	    (strlen(s->account) != 12 || strspn(s->account, DIGITS) != 12))
		r = error_field(e, "fis.account", s->account, "12 digits", "%s is no account",
				s->account);
	if (r == 0 && s->instance_id[0] && !str_starts(s->instance_id, "i-"))
		r = error_field(e, "fis.instanceId", s->instance_id, "i- and hexadecimal digits",
				"%s is no instance's id", s->instance_id);
	return r;
}

static int check_urls(const struct fis_settings *s, struct error *e)
{
	const struct {
		const char *path, *value;
	} urls[] = {
		{"fis.cloudwatchEndpoint", s->cloudwatch_endpoint},
		{"fis.logsEndpoint", s->logs_endpoint},
		{"fis.s3Endpoint", s->s3_endpoint},
		{"fis.metadataEndpoint", s->metadata_endpoint},
	};

	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		if (urls[i].value[0] && !str_starts(urls[i].value, "http://") &&
		    !str_starts(urls[i].value, "https://"))
			return error_field(e, urls[i].path, urls[i].value,
					   "a URL that begins with http:// or https://",
					   "%s is none", urls[i].value);
	}
	if (s->probe_dir[0] != '/')
		return error_field(e, "fis.probeDir", s->probe_dir, "an absolute path",
				   "%s is not absolute", s->probe_dir);
	return 0;
}

static bool is_loopback(const char *address)
{
	struct in_addr four;
	struct in6_addr six;

	if (inet_pton(AF_INET, address, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* A signature protects who asks, not what is answered: nothing but loopback is listened on. */
static int check_listen(const char *listen, struct error *e)
{
	char address[64];
	const char *colon = strrchr(listen, ':');
	uint64_t port = 0;
	size_t n;

	if (!listen[0])
		return 0;
	(void)str_copy(address, sizeof(address), listen);
	n = colon ? (size_t)(colon - listen) : 0;
	address[n] = '\0';
	if (n > 2 && address[0] == '[' && address[n - 1] == ']') {
		address[n - 1] = '\0';
		memmove(address, address + 1, n - 1);
	} else if (strchr(address, ':')) {
		address[0] = '\0'; /* IPv6 wants its brackets */
	}
	if (colon && str_to_u64(colon + 1, &port) == 0 && port <= 65535 && is_loopback(address))
		return 0;
	return error_field(e, "fis.listen", listen,
			   "a loopback address and a port: 127.0.0.1:7340 or [::1]:7340",
			   "%s is none", listen);
}

static int check_tags(const cJSON *tags, struct error *e)
{
	int n = 0;

	if (!tags)
		return 0;
	if (!cJSON_IsObject(tags))
		return error_field(e, "fis.tags", "", "an object of texts", "not an object");
	for (const cJSON *t = tags->child; t; t = t->next) {
		char path[96];
		struct text p = TEXT(path);

		text_add(&p, "fis.tags.");
		text_add_escaped(&p, t->string);
		if (!cJSON_IsString(t) || strlen(t->valuestring) > TAG_VALUE_MAX)
			return error_field(e, path, "", "a text of at most 256 bytes", "is none");
		if (!t->string[0] || strlen(t->string) > TAG_KEY_MAX)
			return error_field(e, path, t->string, "1 to 128 bytes", "no key of a tag");
		for (const cJSON *d = tags->child; d != t; d = d->next) {
			if (str_eq(d->string, t->string))
				return error_field(e, path, t->string, "each key once",
						   "given twice");
		}
		if (++n > HOST_TAGS_MAX)
			return error_field(e, "fis.tags", "", "50 tags", "there are more");
	}
	return 0;
}

static int check(const struct fis_settings *s, struct error *e)
{
	int r = check_names(s, e);

	if (r == 0)
		r = check_urls(s, e);
	if (r == 0)
		r = check_listen(s->listen, e);
	return r == 0 ? check_tags(s->tags, e) : r;
}

int fis_settings_parse(cJSON *json, struct fis_settings *ret, struct error *e)
{
	cJSON *tags = NULL;
	int r;

	if (json && cJSON_IsObject(json))
		tags = cJSON_DetachItemFromObjectCaseSensitive(json, "tags");
	*ret = (struct fis_settings){0};
	if (tags && cJSON_GetObjectItemCaseSensitive(json, "tags"))
		r = error_field(e, "fis.tags", "", "each field once", "given twice");
	else
		r = schema_parse(fis_settings_rows, n_fis_settings_rows, json, "fis", ret,
				 sizeof(*ret), e);
	ret->tags = tags;
	if (r == 0)
		r = check(ret, e);
	if (r < 0)
		fis_settings_done(ret);
	return r;
}

void fis_settings_done(struct fis_settings *s)
{
	cJSON_Delete(s->tags);
	s->tags = NULL;
}

const char *fis_settings_keep(struct fis_settings *fresh, const struct fis_settings *old)
{
	const char *changed = NULL;
	const struct {
		const char *name;
		char *to;
		const char *from;
		size_t size;
	} kept[] = {
		{"partition", fresh->partition, old->partition, sizeof(old->partition)},
		{"region", fresh->region, old->region, sizeof(old->region)},
		{"account", fresh->account, old->account, sizeof(old->account)},
		{"instanceId", fresh->instance_id, old->instance_id, sizeof(old->instance_id)},
		{"listen", fresh->listen, old->listen, sizeof(old->listen)},
		{"metadataEndpoint", fresh->metadata_endpoint, old->metadata_endpoint,
		 sizeof(old->metadata_endpoint)},
	};

	if (fresh->metadata != old->metadata)
		changed = "metadata";
	fresh->metadata = old->metadata;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (!str_eq(kept[i].to, kept[i].from))
			changed = kept[i].name;
		memcpy(kept[i].to, kept[i].from, kept[i].size);
	}
	return changed;
}
