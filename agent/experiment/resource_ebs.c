/* SPDX-License-Identifier: Apache-2.0 */
/* aws:ec2:ebs-volume: the volumes that are attached to this host and have something mounted. On
 * instances of the Nitro kind they are NVMe disks whose serial number is the volume's id, without
 * its hyphen; the older ones (xvdf) say nothing of it. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "experiment/resource_types.h"
#include "util/cleanup.h"

static const struct resource_parameter rows[] = {
	{.name = "availabilityZoneIdentifier",
	 .description = "Only if this host is in this availability zone (us-east-1a or use1-az1)"},
	{0},
};

#define DEVICES_MAX 128 /* on one volume: partitions, and what device-mapper makes of them */
#define DEEP_MAX    4   /* device-mapper on device-mapper: encrypted, of a volume group … */

/* A block device that is the volume, or lies on it. */
struct device {
	uint32_t major, minor;
	uint64_t sectors; /* of 512 bytes */
};

struct volume {
	char disk[32]; /* "nvme1n1" */
	char id[32];   /* "vol-0123456789abcdef0" */
	uint64_t sectors;
	struct device device[DEVICES_MAX];
	size_t n;
};

static bool read_word(const struct identity *id, const char *path, char *ret, size_t size)
{
	_cleanup_fclose_ FILE *f = resource_open(id, path);

	if (!f || !fgets(ret, (int)size, f))
		return false;
	ret[strcspn(ret, " \t\n")] = '\0';
	return ret[0];
}

/* "vol0123456789abcdef0" -> "vol-0123456789abcdef0". Instance stores have serials as well, which
 * begin otherwise. */
static bool read_volume_id(const struct identity *id, const char *disk, char *ret, size_t size)
{
	char path[128], serial[32];

	(void)snprintf(path, sizeof(path), "/sys/block/%.64s/device/serial", disk);
	if (!read_word(id, path, serial, sizeof(serial)) || !str_starts(serial, "vol"))
		return false;
	(void)snprintf(ret, size, "vol-%s", serial + 3 + (serial[3] == '-'));
	return strspn(ret + 4, "0123456789abcdef") == strlen(ret + 4) && ret[4];
}

/* `at`: a directory of a block device in sysfs. Returns false when it is none. */
static bool add_device(struct volume *v, const struct identity *id, const char *at)
{
	char path[RESOURCE_PATH_MAX], word[32];
	struct device d = {0};

	(void)snprintf(path, sizeof(path), "%s/dev", at);
	if (v->n == DEVICES_MAX || !read_word(id, path, word, sizeof(word)) ||
	    sscanf(word, "%u:%u", &d.major, &d.minor) != 2)
		return false;
	(void)snprintf(path, sizeof(path), "%s/size", at);
	if (read_word(id, path, word, sizeof(word)))
		(void)str_to_u64(word, &d.sectors);
	v->device[v->n++] = d;
	return true;
}

static void add_devices(struct volume *v, const struct identity *id, const char *at, int deep);

/* What is made of a device: "holders" has links to it, by names of /sys/block. */
static void add_holders(struct volume *v, const struct identity *id, const char *at, int deep)
{
	char path[RESOURCE_PATH_MAX], full[RESOURCE_PATH_MAX];
	_cleanup_closedir_ DIR *dir = NULL;

	(void)snprintf(path, sizeof(path), "%s/holders", at);
	dir = opendir(resource_path(id, path, full));
	for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
		if (d->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/sys/block/%s", d->d_name);
		add_devices(v, id, path, deep + 1);
	}
}

/* A disk's partitions are directories in its own that have a file "partition". */
static void add_partitions(struct volume *v, const struct identity *id, const char *at, int deep)
{
	char path[RESOURCE_PATH_MAX], full[RESOURCE_PATH_MAX], word[16];
	_cleanup_closedir_ DIR *dir = opendir(resource_path(id, at, full));

	for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
		(void)snprintf(path, sizeof(path), "%.1024s/%s/partition", at, d->d_name);
		if (d->d_name[0] == '.' || !read_word(id, path, word, sizeof(word)))
			continue;
		(void)snprintf(path, sizeof(path), "%.1024s/%s", at, d->d_name);
		if (add_device(v, id, path))
			add_holders(v, id, path, deep);
	}
}

static void add_devices(struct volume *v, const struct identity *id, const char *at, int deep)
{
	if (deep > DEEP_MAX || !add_device(v, id, at))
		return;
	add_partitions(v, id, at, deep);
	add_holders(v, id, at, deep);
}

static bool read_volume(const struct identity *id, const char *disk, struct volume *ret)
{
	char at[64];

	*ret = (struct volume){0};
	if (!str_starts(disk, "nvme") || !str_copy(ret->disk, sizeof(ret->disk), disk) ||
	    !read_volume_id(id, disk, ret->id, sizeof(ret->id)))
		return false;
	(void)snprintf(at, sizeof(at), "/sys/block/%.48s", disk);
	add_devices(ret, id, at, 0);
	if (ret->n > 0)
		ret->sectors = ret->device[0].sectors;
	return ret->n > 0;
}

/* The device of btrfs has a number the kernel made up; its source says which it is. */
static dev_t device_of(const struct mount_line *m, const struct identity *id)
{
	char path[RESOURCE_PATH_MAX];
	struct stat st;

	if (m->major == 0 && str_starts(m->source, "/dev/") &&
	    stat(resource_path(id, m->source, path), &st) == 0 && S_ISBLK(st.st_mode))
		return st.st_rdev;
	return makedev(m->major, m->minor);
}

static const struct device *find_device(const struct volume *v, dev_t device)
{
	for (size_t i = 0; i < v->n; i++) {
		if (makedev(v->device[i].major, v->device[i].minor) == device)
			return &v->device[i];
	}
	return NULL;
}

/* Of the largest file system on it the mount that came first; the others of it are bind mounts and
 * subvolumes. */
static const struct mount_line *find_mount(const struct volume *v, const struct mount_table *t,
					   const struct identity *id)
{
	const struct mount_line *best = NULL;
	uint64_t most = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct device *d = find_device(v, device_of(&t->mount[i], id));

		if (d && (!best || d->sectors > most)) {
			best = &t->mount[i];
			most = d->sectors;
		}
	}
	return best;
}

static bool set_attachment(cJSON *p, const struct volume *v, const struct identity *id)
{
	cJSON *list = cJSON_AddArrayToObject(p, "Attachments"), *one = cJSON_CreateObject();
	char device[48];

	if (!list || !one || !cJSON_AddItemToArray(list, one)) {
		cJSON_Delete(one);
		return false;
	}
	(void)snprintf(device, sizeof(device), "/dev/%s", v->disk);
	return resource_set(one, "InstanceId", id->instance_id) &&
	       resource_set(one, "Device", device) && resource_set(one, "State", "attached") &&
	       resource_set(one, "VolumeId", v->id);
}

static bool describe(struct resource *r, const struct volume *v, const struct identity *id)
{
	cJSON *p = r->properties;

	return resource_set(p, "VolumeId", v->id) && resource_set(p, "State", "in-use") &&
	       resource_set(p, "AvailabilityZone", id->availability_zone) &&
	       resource_set(p, "AvailabilityZoneId", id->availability_zone_id) &&
	       resource_set_number(p, "Size", (double)(v->sectors >> 21)) && /* GiB */
	       resource_set(p, "MountPoint", r->value) && set_attachment(p, v, id);
}

static int add_volume(const struct volume *v, const struct mount_table *t,
		      const struct identity *id, struct resource_list *ret, struct error *e)
{
	const struct mount_line *m = find_mount(v, t, id);
	struct resource *r = NULL;
	char arn[ARN_MAX];
	int result;

	if (!m)
		return 0;
	result = resource_add(ret, identity_aws_arn(id, "ec2", "volume", v->id, arn), m->point, &r,
			      e);
	return r && result == 0 && !describe(r, v, id) ? resource_no_memory(e) : result;
}

static int find(const cJSON *parameters, const struct identity *id, struct resource_list *ret,
		struct error *e)
{
	__attribute__((cleanup(mount_table_done))) struct mount_table t = {0};
	char path[RESOURCE_PATH_MAX];
	_cleanup_closedir_ DIR *dir = NULL;
	struct volume v;
	int r;

	if (!resource_is_in_zone(id, resource_parameter(parameters, "availabilityZoneIdentifier")))
		return 0;
	dir = opendir(resource_path(id, "/sys/block", path));
	r = dir ? resource_mounts(id, &t, e) : 0;
	for (struct dirent *d = dir ? readdir(dir) : NULL; d && r == 0; d = readdir(dir)) {
		if (read_volume(id, d->d_name, &v))
			r = add_volume(&v, &t, id, ret, e);
	}
	return r;
}

const struct resource_type resource_ebs_volume = {
	.name = "aws:ec2:ebs-volume",
	.description =
		"EBS volumes that are attached to this host as NVMe devices and mounted. A fault is aimed at "
		"the mount point; of several on one volume, at that of its largest partition",
	.parameters = rows,
	.has_arns = true,
	.fault_parameter = "path",
	.find = find,
};
