/* SPDX-License-Identifier: Apache-2.0 */
#include "host/features.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "host/cgroups.h"
#include "host/cpus.h"
#include "util/str.h"

/* enum bpf_attach_type since Linux 6.6; older headers do not name it. */
#define ATTACH_TCX_EGRESS 47
#define LOOPBACK_IFINDEX  1

bool feature_tcx(void)
{
	union bpf_attr attr = {0};

	/* A question, not a change: kernels without TCX refuse the attach type with EINVAL. */
	attr.query.target_fd = LOOPBACK_IFINDEX; /* target_ifindex in the same place */
	attr.query.attach_type = ATTACH_TCX_EGRESS;
	return syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) == 0 || errno == ENOENT;
}

bool feature_capability(int capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[capability / 32].effective & 1u << capability % 32;
}

bool feature_net_privilege(void)
{
	return feature_capability(CAP_NET_ADMIN) &&
	       (feature_capability(CAP_BPF) || feature_capability(CAP_SYS_ADMIN));
}

static struct check check_of(const char *name, bool good, enum check_status otherwise,
			     const char *yes, const char *no)
{
	struct check c = {.name = name, .status = good ? CHECK_OK : otherwise};

	(void)snprintf(c.detail, sizeof(c.detail), "%s", good ? yes : no);
	return c;
}

static struct check check_kernel(void)
{
	struct check c = {.name = "kernel", .status = CHECK_OK};
	struct utsname u;
	int major = 0, minor = 0;

	if (uname(&u) < 0 || sscanf(u.release, "%d.%d", &major, &minor) != 2)
		return check_of("kernel", false, CHECK_MISSING, "", "its version cannot be read");
	if (major < 5 || (major == 5 && minor < 10))
		c.status = CHECK_MISSING;
	(void)snprintf(c.detail, sizeof(c.detail), "Linux %d.%d on %.32s; 5.10 or later is needed",
		       major, minor, u.machine);
	return c;
}

static struct check check_cpus(void)
{
	struct check c = {.name = "cpus", .status = CHECK_OK};
	struct cpu_list cpus = {0};

	if (cpu_list_read(&cpus) < 0)
		c.status = CHECK_MISSING;
	(void)snprintf(c.detail, sizeof(c.detail), "%u CPUs to put load on", cpus.n);
	return c;
}

/* Of the guardian itself: as a unit of its own it has other capabilities than faultd. */
static bool memory_is_locked(pid_t pid)
{
	char path[32], line[128];
	unsigned long kib = 0;
	FILE *status;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	status = pid > 0 ? fopen(path, "re") : NULL;
	while (status && fgets(line, sizeof(line), status) && sscanf(line, "VmLck: %lu", &kib) != 1)
		;
	if (status)
		(void)fclose(status);
	return kib > 0;
}

/* Which control groups: it decides how loads are put into containers and what can be throttled. */
static struct check check_cgroups(void)
{
	static const char *const names[_CGROUP_CONTROLLER_MAX] = {"cpu", "cpuset", "memory",
								  "io",  "pids",   "freezer"};
	struct check c = {.name = "cgroups", .status = CHECK_OK};
	struct text t = TEXT(c.detail);
	struct cgroup_layout layout = {0};

	if (cgroup_layout_read(&layout) < 0 || layout.n == 0)
		return check_of("cgroups", false, CHECK_LIMITED, "",
				"no cgroups are mounted: faults can be aimed at the host only");
	for (unsigned i = 0; i < _CGROUP_CONTROLLER_MAX; i++) {
		const struct cgroup_hierarchy *h =
			cgroup_hierarchy_of(&layout, (enum cgroup_controller)i);

		text_add(&t, "%s%s: %s", i ? ", " : "", names[i],
			 !h      ? "none"
			 : h->v2 ? "v2"
				 : "v1");
		if (!h)
			c.status = CHECK_LIMITED;
	}
	return c;
}

/* CONFIG_PSI_DEFAULT_DISABLED: the file is there and cannot be read. */
static struct check check_pressure(void)
{
	char byte;
	int fd = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && read(fd, &byte, 1) == 1;

	if (fd >= 0)
		(void)close(fd);
	return check_of(
		"pressure", good, CHECK_LIMITED,
		"memory faults give way when others stall for memory",
		"no pressure information (psi=1 on the kernel's command line): memory faults go by what is available only");
}

static struct check check_privileges(void)
{
	static const struct {
		int capability;
		const char *without;
	} needs[] = {
		{CAP_SYS_ADMIN, "CAP_SYS_ADMIN (disk-freeze, namespaces of containers)"},
		{CAP_SYS_TIME, "CAP_SYS_TIME (clock-skew)"},
		{CAP_SYS_BOOT, "CAP_SYS_BOOT (host-reboot, host-shutdown by force)"},
		{CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE (limits of other users' processes)"},
	};
	struct check c = {.name = "privileges", .status = CHECK_OK};
	struct text t = TEXT(c.detail);

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if (feature_capability(needs[i].capability))
			continue;
		text_add(&t, "%s%s", c.status == CHECK_OK ? "without " : ", ", needs[i].without);
		c.status = CHECK_LIMITED;
	}
	if (c.status == CHECK_OK)
		text_add(&t, "all that actions on files, clock, limits and power need");
	return c;
}

static struct check check_shaping(void)
{
	const char *lacks = feature_shaping_lacks();
	struct check c = {.name = "shaping", .status = CHECK_OK};

	if (!feature_shaping_known())
		return check_of("shaping", false, CHECK_LIMITED, "",
				"cannot be tried without CAP_SYS_ADMIN and CAP_NET_ADMIN");
	if (lacks)
		c.status = CHECK_LIMITED;
	(void)snprintf(c.detail, sizeof(c.detail), "%s%s%s",
		       lacks ? "the kernel has no "
			     : "packets can be slowed down: ifb, mirred, tbf",
		       lacks ? lacks : "", lacks ? ": no network-rate, delays and the like" : "");
	return c;
}

static struct check check_netem(void)
{
	if (!feature_shaping_known())
		return check_of("netem", false, CHECK_LIMITED, "",
				"cannot be tried without CAP_SYS_ADMIN and CAP_NET_ADMIN");
	return check_of("netem", feature_netem(), CHECK_LIMITED,
			"packets can be delayed, corrupted, duplicated and reordered",
			"the kernel has no netem (sch_netem): no delays and the like");
}

size_t features_check(pid_t guardian, struct check *ret)
{
	size_t n = 0;
	bool net = feature_net_privilege();

	ret[n++] = check_kernel();
	ret[n++] = check_cpus();
	ret[n++] =
		check_of("processes", feature_capability(CAP_KILL), CHECK_LIMITED,
			 "processes of every user can be signalled",
			 "without CAP_KILL only processes of faultd's own user can be signalled");
	ret[n++] = check_of("classifier", net, CHECK_MISSING,
			    "packet classifiers can be loaded and attached",
			    "CAP_NET_ADMIN and CAP_BPF are missing: no network faults");
	ret[n++] = check_of(
		"tcx", feature_tcx(), CHECK_LIMITED,
		"network faults are held by the kernel: gone when faultd is",
		"no TCX (Linux 6.6, needs CAP_BPF to ask): network faults use clsact filters and the journal");
	ret[n++] = check_shaping();
	ret[n++] = check_netem();
	ret[n++] = check_cgroups();
	ret[n++] = check_pressure();
	ret[n++] = check_privileges();
	ret[n++] = check_of(
		"memory-lock", memory_is_locked(guardian), CHECK_LIMITED,
		"the guardian's memory is locked",
		"the guardian's memory is not locked (CAP_IPC_LOCK): it may be paged out when memory is short");
	ret[n++] = check_of(
		"oom-score", feature_capability(CAP_SYS_RESOURCE), CHECK_LIMITED,
		"faultd and its guardian can ask the OOM killer for others first",
		"without CAP_SYS_RESOURCE faultd cannot lower its OOM score below what it started with");
	return n;
}
