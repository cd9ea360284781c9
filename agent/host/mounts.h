/* SPDX-License-Identifier: Apache-2.0 */
/* From a path to the file system it is on, and to the disk behind that. Read only. Sources:
 * proc_pid_mountinfo(5), the kernel's filesystems/proc.rst and ABI/testing/sysfs-block. */
#ifndef FAULTD_HOST_MOUNTS_H
#define FAULTD_HOST_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mount_facts {
	char point[256]; /* the mount point the path is on, as the worker will see it */
	char type[32];   /* of the file system */
	uint64_t device; /* st_dev of the path */
	/* Of the file system as a whole: the same for all subvolumes of a btrfs, and for an overlay
	 * that of the file system which takes its writes, if that can be told. */
	uint64_t filesystem;
	uint64_t size, used, available; /* bytes, as statvfs(3): available without root's reserve */
	uint32_t block;                 /* bytes: what those are counted in */
	uint32_t major, minor; /* of the disk itself, of which it may be a partition; 0: none */
	bool read_only;
};

#define MOUNT_ANSWER_MS 500

/* Looks at the file system that `path` (absolute) is on, as process `pid` sees it; 0: as we do.
 * Links are followed, but not out of that process's root. Returns 0, -ENOENT and its like when
 * there is no such path, -EINVAL when it is not absolute, -ENAMETOOLONG, -ETIMEDOUT when the file
 * system does not answer within MOUNT_ANSWER_MS, or another negative errno. */
int mount_read(pid_t pid, const char *path, struct mount_facts *ret);

/* Why it could not, in words. */
const char *mount_strerror(int r);

/* The disk that a block device, which may be a partition, is or lies on: `major` and `minor`. */
void mount_find_disk(dev_t device, struct mount_facts *ret);

/* Is it no store of files, so that its space means nothing or is something else: proc, sysfs,
 * cgroups, devices, ramfs, huge pages? Pure. */
bool mount_is_pseudo(const struct mount_facts *m);

/* One line of mountinfo. */
struct mount_line {
	uint64_t id;
	uint32_t major, minor;
	char point[256];
	char type[32];
	char source[256];
	char upper[512]; /* overlay: the directory that takes the writes; "" */
};

/* Parses it, octal escapes included; what is longer than its room is -ENAMETOOLONG, what is no such
 * line -EBADMSG. Pure. */
int mount_line_parse(const char *line, struct mount_line *ret);

#endif
