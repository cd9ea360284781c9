/* SPDX-License-Identifier: Apache-2.0 */
/* host/cgroups and host/containers: trees made of plain files stand for v1, v2 and hybrid hosts;
 * paths of every runtime for the rest. Where this host lets us, cgroups of our own as well. */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/cgroups.h"
#include "util/str.h"

#define ID_A  "3f1c0a9be2d4576899aabbccddeeff00112233445566778899aabbccddeeff00"
#define ID_B  "3f1cffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define TASK  "0123456789abcdef0123456789abcdef"
#define UID   "8a3c2f1e-0b1d-4c5e-9f00-112233445566"
#define UID_  "8a3c2f1e_0b1d_4c5e_9f00_112233445566"
#define SHORT "/dev/shm/faultd-cg-XXXXXX"

/* A tree */

static char root[sizeof(SHORT)];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int make_root(void **state)
{
	/* ten thousand directories take long on a disk */
	(void)strcpy(root, access("/dev/shm", W_OK) == 0 ? SHORT : "/tmp/faultd-cg-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A file below the root, with the directories it needs. */
static void put(const char *name, const char *content)
{
	char path[4096];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *p = path + strlen(root) + 1; *p; p++) {
		if (*p == '/') {
			*p = '\0';
			assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
			*p = '/';
		}
	}
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(content, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* `text` is a mountinfo in which @ stands for the root of the tree. */
static struct cgroup_layout layout_of(const char *text)
{
	char buffer[8192];
	struct cgroup_layout l;
	struct text t = TEXT(buffer);
	FILE *f;

	for (const char *p = text; *p; p++)
		*p == '@' ? text_add(&t, "%s", root) : text_add(&t, "%c", *p);
	assert_false(t.cut);
	f = fmemopen(buffer, t.length, "r");
	assert_non_null(f);
	assert_int_equal(cgroup_layout_parse(f, &l), 0);
	(void)fclose(f);
	return l;
}

static const char *mount_of(const struct cgroup_layout *l, enum cgroup_controller c)
{
	const struct cgroup_hierarchy *h = cgroup_hierarchy_of(l, c);

	return h ? h->mount + strlen(root) : "";
}

#define V1(n, dir, options) \
	"3" #n " 23 0:3" #n " / @/" dir " rw,nosuid shared:1" #n " - cgroup cgroup rw," options "\n"
#define V2(dir) "40 23 0:40 / @/" dir " rw,nosuid shared:40 - cgroup2 cgroup2 rw,nsdelegate\n"

static struct cgroup_layout make_v2(void)
{
	put("cgroup.procs", "1\n2\n");
	put("cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n");
	put("cgroup.subtree_control", "cpu memory pids\n");
	put("system.slice/cgroup.procs", "");
	put("system.slice/cgroup.subtree_control", "memory pids\n");
	put("system.slice/cpu.max", "max 100000\n");
	put("system.slice/memory.max", "1073741824\n");
	put("system.slice/memory.current", "500000000\n");
	put("system.slice/pids.max", "100\n");
	put("system.slice/pids.current", "42\n");
	put("system.slice/cpuset.cpus.effective", "0-1,4\n");
	put("system.slice/web.service/cgroup.procs", "4711\n11\n4712\n0\n");
	put("system.slice/web.service/cgroup.subtree_control", "\n");
	put("system.slice/web.service/cpu.max", "150000 100000\n");
	put("system.slice/web.service/memory.max", "max\n");
	put("system.slice/web.service/memory.current", "1000\n");
	put("system.slice/web.service/pids.max", "100\n");
	put("system.slice/web.service/pids.current", "3\n");
	put("system.slice/web.service/deep/cgroup.procs", "99\n4711\n");
	put("system.slice/web.service/deep/cpu.max", "400000 100000\n");
	put("system.slice/web.service/deep/memory.max", "2147483648\n");
	put("system.slice/web.service/deep/memory.current", "7\n");
	put("user.slice/cgroup.procs", "");
	put("user.slice/memory.current", "77\n");
	return layout_of("22 1 0:20 / / rw - ext4 /dev/root rw\n" V2(""));
}

static struct cgroup_layout make_v1(void)
{
	static const char *const dirs[] = {"cpu,cpuacct", "memory", "pids",
					   "cpuset",      "blkio",  "systemd"};

	for (size_t i = 0; i < COUNT(dirs); i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "%s/cgroup.procs", dirs[i]);
		put(name, "1\n");
	}
	put("memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("memory/memory.usage_in_bytes", "8000000000\n");
	put("memory/docker/memory.limit_in_bytes", "9223372036854771712\n");
	put("memory/docker/memory.usage_in_bytes", "6000\n");
	put("memory/docker/a/memory.limit_in_bytes", "268435456\n");
	put("memory/docker/a/memory.usage_in_bytes", "5000\n");
	put("memory/docker/a/cgroup.procs", "5\n7\n");
	put("memory/only/cgroup.procs", "8\n");
	put("cpu,cpuacct/docker/cpu.cfs_quota_us", "50000\n");
	put("cpu,cpuacct/docker/cpu.cfs_period_us", "100000\n");
	put("cpu,cpuacct/docker/a/cpu.cfs_quota_us", "-1\n");
	put("cpu,cpuacct/docker/a/cpu.cfs_period_us", "100000\n");
	put("cpu,cpuacct/docker/a/cgroup.procs", "7\n5\n5\n");
	put("pids/docker/a/pids.max", "max\n");
	put("pids/docker/a/pids.current", "2\n");
	put("cpuset/docker/cpuset.effective_cpus", "2-3\n");
	put("cpuset/docker/a/cpuset.effective_cpus", "\n");
	put("systemd/docker/b/cgroup.procs", "6\n");
	return layout_of(V1(0, "systemd", "xattr,name=systemd") V1(1, "cpu,cpuacct", "cpu,cpuacct")
				 V1(2, "memory", "memory") V1(3, "pids", "pids")
					 V1(4, "cpuset", "cpuset") V1(5, "blkio", "blkio"));
}

/* Hierarchies */

static void test_v2_layout(void **state)
{
	struct cgroup_layout l = make_v2();

	assert_int_equal(l.n, 1);
	assert_true(l.hierarchy[0].v2);
	for (int c = 0; c < _CGROUP_CONTROLLER_MAX; c++)
		assert_ptr_equal(cgroup_hierarchy_of(&l, (enum cgroup_controller)c),
				 &l.hierarchy[0]);
	put("cgroup.controllers", "cpu\n");
	l = layout_of(V2(""));
	assert_non_null(cgroup_hierarchy_of(&l, CGROUP_CPU));
	assert_null(cgroup_hierarchy_of(&l, CGROUP_CPUSET));
	assert_null(cgroup_hierarchy_of(&l, CGROUP_MEMORY));
	assert_non_null(cgroup_hierarchy_of(&l, CGROUP_FREEZER));
}

static void test_v1_layout(void **state)
{
	struct cgroup_layout l = make_v1();

	assert_int_equal(l.n, 6);
	assert_string_equal(mount_of(&l, CGROUP_CPU), "/cpu,cpuacct");
	assert_string_equal(mount_of(&l, CGROUP_CPUSET), "/cpuset");
	assert_string_equal(mount_of(&l, CGROUP_MEMORY), "/memory");
	assert_string_equal(mount_of(&l, CGROUP_IO), "/blkio");
	assert_string_equal(mount_of(&l, CGROUP_PIDS), "/pids");
	assert_null(cgroup_hierarchy_of(&l, CGROUP_FREEZER));
	assert_int_equal(l.hierarchy[0].controllers, 0);
}

static void test_hybrid_layout(void **state)
{
	struct cgroup_layout l;

	put("memory/cgroup.procs", "");
	put("freezer/cgroup.procs", "");
	put("unified/cgroup.procs", "");
	put("unified/cgroup.controllers", "hugetlb\n");
	l = layout_of(V2("unified") V1(1, "memory", "memory") V1(2, "freezer", "freezer"));
	assert_int_equal(l.n, 3);
	assert_string_equal(mount_of(&l, CGROUP_MEMORY), "/memory");
	assert_string_equal(mount_of(&l, CGROUP_FREEZER), "/freezer");
	assert_null(cgroup_hierarchy_of(&l, CGROUP_CPU));
	/* without a v1 freezer v2's is the one */
	l = layout_of(V2("unified") V1(1, "memory", "memory"));
	assert_string_equal(mount_of(&l, CGROUP_FREEZER), "/unified");
	/* the controllers are in v2, and a v1 freezer was mounted beside it */
	put("unified/cgroup.controllers", "cpu memory pids\n");
	l = layout_of(V1(2, "freezer", "freezer") V2("unified"));
	assert_string_equal(mount_of(&l, CGROUP_FREEZER), "/unified");
	assert_string_equal(mount_of(&l, CGROUP_MEMORY), "/unified");
}

static void test_mounts(void **state)
{
	static const char part[] = "50 23 0:31 /docker/x @/part rw - cgroup cgroup rw,memory\n";
	struct cgroup_layout l;

	put("memory/cgroup.procs", "");
	put("part/cgroup.procs", "");
	put("again/cgroup.procs", "");
	put("named/cgroup.procs", "");
	put("a b\\c/cgroup.procs", "");
	put("hidden/x", "");

	/* bind mounts, before and after */
	l = layout_of(V1(1, "memory", "memory"));
	assert_int_equal(l.n, 1);
	for (int after = 0; after < 2; after++) {
		char text[512];

		(void)snprintf(text, sizeof(text), "%s%s%s", after ? "" : part,
			       V1(1, "memory", "memory") V1(1, "again", "memory"),
			       after ? part : "");
		l = layout_of(text);
		assert_int_equal(l.n, 1);
		assert_string_equal(mount_of(&l, CGROUP_MEMORY), "/memory");
	}
	l = layout_of(part); /* better than nothing */
	assert_string_equal(mount_of(&l, CGROUP_MEMORY), "/part");
	/* hierarchies without a controller we know are told apart by their device */
	l = layout_of(V1(1, "memory", "name=systemd") V1(2, "named", "name=other")
			      V1(2, "again", "name=other"));
	assert_int_equal(l.n, 2);
	/* escaped, hidden by another mount, not there, too long, cut */
	l = layout_of("50 23 0:31 / @/a\\040b\\134c rw - cgroup cgroup rw,memory\n");
	assert_int_equal(l.n, 1);
	assert_string_equal(l.hierarchy[0].mount + strlen(root), "/a b\\c");
	l = layout_of(V1(1, "hidden", "memory") V1(1, "again", "memory") V2("nowhere"));
	assert_int_equal(l.n, 1);
	assert_string_equal(mount_of(&l, CGROUP_MEMORY), "/again");
	l = layout_of(
		"50 23 0:31 / @/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"
		"0123456789/0123456789/0123456789/0123456789/0123456789 rw - cgroup cgroup rw,cpu\n"
		"50\n\n50 23 0:31 /\n50 23 0:31 / @/memory rw\n50 23 0:31 / @/memory rw -\n"
		"50 23 0:31 / @/memory rw - cgroup\n50 23 0:31 / @/memory rw - cgroup cgroup\n"
		"50 23 0:31 / @/memory rw - cgroup3 cgroup rw,memory");
	assert_int_equal(l.n, 0);
	l = layout_of("50 23 0:31 / @/memory rw - cgroup cgroup rw,memory");
	assert_int_equal(l.n, 1);
}

static void test_many_mounts(void **state)
{
	char text[8192];
	struct text t = TEXT(text);
	struct cgroup_layout l;

	put("memory/cgroup.procs", "");
	for (int i = 0; i < 60; i++)
		text_add(&t, "50 23 0:%d / @/memory rw - cgroup cgroup rw,name=n%d\n", i, i);
	assert_false(t.cut);
	l = layout_of(text);
	assert_int_equal(l.n, CGROUP_HIERARCHIES_MAX);
}

static void test_file_path(void **state)
{
	struct cgroup_hierarchy h = {.mount = "/sys/fs/cgroup"};
	char path[32];

	assert_int_equal(cgroup_file_path(&h, "/a/b", "cpu.max", path, sizeof(path)), 0);
	assert_string_equal(path, "/sys/fs/cgroup/a/b/cpu.max");
	assert_int_equal(cgroup_file_path(&h, "/", "cpu.max", path, sizeof(path)), 0);
	assert_string_equal(path, "/sys/fs/cgroup/cpu.max");
	assert_int_equal(cgroup_file_path(&h, "/a", "", path, sizeof(path)), 0);
	assert_string_equal(path, "/sys/fs/cgroup/a");
	assert_int_equal(cgroup_file_path(&h, "/a/b/c/d/e", "cpu.max", path, sizeof(path)),
			 -ENAMETOOLONG);
}

/* Walking */

struct seen {
	char text[2048];
	struct text t;
	int n, stop_at;
};

static int note(const char *path, void *arg)
{
	struct seen *s = arg;

	text_add(&s->t, "%s ", path);
	return ++s->n == s->stop_at ? -ECANCELED : 0;
}

static void test_each(void **state)
{
	struct seen s = {.t = TEXT(s.text)};
	struct cgroup_layout l = make_v1();

	assert_int_equal(cgroup_each(&l, note, &s), 0);
	assert_string_equal(s.text, "/docker /docker/a /docker/b /only ");
	s = (struct seen){.t = TEXT(s.text), .stop_at = 2};
	assert_int_equal(cgroup_each(&l, note, &s), -ECANCELED);
	assert_int_equal(s.n, 2);
	l.n = 0;
	s = (struct seen){.t = TEXT(s.text)};
	assert_int_equal(cgroup_each(&l, note, &s), 0);
	assert_int_equal(s.n, 0);
}

static int count(const char *path, void *arg)
{
	(*(int *)arg)++;
	return 0;
}

/* A path that is too long is left out, with what is below it. */
static void test_each_deep(void **state)
{
	char name[1024] = "";
	struct text t = TEXT(name);
	struct cgroup_layout l;
	int n = 0;

	put("cgroup.procs", "");
	for (int i = 0; i < 40; i++)
		text_add(&t, "0123456789/");
	text_add(&t, "cgroup.procs");
	put(name, "");
	l = layout_of(V2(""));
	assert_int_equal(cgroup_each(&l, count, &n), 0);
	assert_int_equal(n, (CGROUP_PATH_MAX - 1) / 11);
}

static void test_each_many(void **state)
{
	struct cgroup_layout l;
	char path[128];
	int n = 0;

	put("memory/cgroup.procs", "");
	put("pids/cgroup.procs", "");
	for (int i = 0; i < 10000; i++) {
		if (i % 100 == 0) {
			(void)snprintf(path, sizeof(path), "memory/%03d/cgroup.procs", i / 100);
			put(path, "");
			(void)snprintf(path, sizeof(path), "pids/%03d/cgroup.procs", i / 100);
			put(path, "");
		}
		(void)snprintf(path, sizeof(path), "%s/memory/%03d/%03d", root, i / 100, i % 100);
		assert_int_equal(mkdir(path, 0755), 0);
		(void)snprintf(path, sizeof(path), "%s/pids/%03d/%03d", root, i / 100, i % 100);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	l = layout_of(V1(1, "memory", "memory") V1(2, "pids", "pids"));
	assert_int_equal(cgroup_each(&l, count, &n), 0);
	assert_int_equal(n, 10100);
}

static void test_find(void **state)
{
	static const struct {
		const char *path; /* @: the root */
		int r;
		const char *plain;
	} cases[] = {
		{"/docker/a", 0, "/docker/a"},
		{"docker/a", 0, "/docker/a"},
		{"//docker///a//", 0, "/docker/a"},
		{"/", 0, "/"},
		{"@/memory", 0, "/"},
		{"@/memory/docker/a", 0, "/docker/a"},
		{"@/cpu,cpuacct/docker/", 0, "/docker"},
		{"/only", 0, "/only"},         /* in one hierarchy */
		{"/docker/b", 0, "/docker/b"}, /* in that of systemd */
		{"@/memoryx/docker", -ENOENT, NULL},
		{"/docker/c", -ENOENT, NULL},
		{"/docker/a/cgroup.procs", -ENOENT, NULL},
		{"", -EINVAL, NULL},
		{"..", -EINVAL, NULL},
		{"/docker/../docker", -EINVAL, NULL},
		{"/docker/./a", -EINVAL, NULL},
		{"@/memory/..", -EINVAL, NULL},
		{"/docker/...", -ENOENT, NULL},
	};
	struct cgroup_layout l = make_v1();
	char path[1024], plain[CGROUP_PATH_MAX];

	for (size_t i = 0; i < COUNT(cases); i++) {
		bool full = cases[i].path[0] == '@';

		(void)snprintf(path, sizeof(path), "%s%s", full ? root : "", cases[i].path + full);
		memset(plain, 'x', sizeof(plain));
		assert_int_equal(cgroup_find(&l, path, plain), cases[i].r);
		if (cases[i].r == 0)
			assert_string_equal(plain, cases[i].plain);
		else
			assert_int_equal(plain[0], 'x');
	}
	memset(path, 'a', sizeof(path));
	path[CGROUP_PATH_MAX - 1] = '\0';
	assert_int_equal(cgroup_find(&l, path, plain), -EINVAL);
	path[CGROUP_PATH_MAX - 2] = '\0'; /* with the slash as long as can be */
	assert_int_equal(cgroup_find(&l, path, plain), -ENOENT);
}

static void check_pids(const struct cgroup_layout *l, const char *path, bool deep,
		       const pid_t *expected, size_t n)
{
	pid_t *pids = NULL;
	size_t found = 0;

	assert_int_equal(cgroup_pids(l, path, deep, &pids, &found), 0);
	assert_int_equal(found, n);
	if (n > 0)
		assert_memory_equal(pids, expected, n * sizeof(*pids));
	free(pids);
}

static void test_pids(void **state)
{
	struct cgroup_layout l = make_v2();
	pid_t *none = NULL;
	size_t n = 0;

	check_pids(&l, "/system.slice/web.service", false, (pid_t[]){11, 4711, 4712}, 3);
	check_pids(&l, "/system.slice/web.service", true, (pid_t[]){11, 99, 4711, 4712}, 4);
	check_pids(&l, "/system.slice", false, NULL, 0);
	check_pids(&l, "/system.slice", true, (pid_t[]){11, 99, 4711, 4712}, 4);
	assert_int_equal(cgroup_pids(&l, "/nowhere", true, &none, &n), -ENOENT);
	assert_null(none);
}

static void test_pids_v1(void **state)
{
	struct cgroup_layout l = make_v1();

	check_pids(&l, "/docker/a", false, (pid_t[]){5, 7}, 2);
	check_pids(&l, "/docker", true, (pid_t[]){5, 6, 7}, 3);
	check_pids(&l, "/", true, (pid_t[]){1, 5, 6, 7, 8}, 5);
}

/* More than fits one read. */
static void test_many_pids(void **state)
{
	struct cgroup_layout l;
	static char text[200000];
	struct text t = TEXT(text);
	static pid_t expected[20000];

	for (int i = 0; i < 20000; i++) {
		text_add(&t, "%d\n", 30000 - i);
		expected[19999 - i] = 30000 - i;
	}
	put("cgroup.procs", text);
	l = layout_of(V2(""));
	check_pids(&l, "/", false, expected, COUNT(expected));
}

/* Limits */

static struct cgroup_limits limits_of(const struct cgroup_layout *l, const char *path)
{
	struct cgroup_limits ret;

	assert_int_equal(cgroup_limits_read(l, path, &ret), 0);
	return ret;
}

static void test_limits_v2(void **state)
{
	struct cgroup_layout l = make_v2();
	struct cgroup_limits web = limits_of(&l, "/system.slice/web.service");
	struct cgroup_limits deep = limits_of(&l, "/system.slice/web.service/deep");
	struct cgroup_limits user = limits_of(&l, "/user.slice");

	assert_true(web.cpus == 1.5 && deep.cpus == 1.5 && user.cpus == 0);
	assert_int_equal(web.memory, 1073741824);
	assert_int_equal(web.memory_used, 500000000);
	assert_int_equal(deep.memory, 1073741824);
	assert_int_equal(deep.memory_used, 500000000);
	assert_int_equal(web.pids, 100);
	assert_int_equal(web.pids_used, 42); /* of equal ones the upper one */
	assert_true(user.memory == CGROUP_NO_LIMIT && user.pids == CGROUP_NO_LIMIT);
	assert_int_equal(user.memory_used, 77);
	assert_int_equal(user.pids_used, 0);
	put("system.slice/web.service/cpu.max", "20000 100000\n");
	put("system.slice/web.service/memory.max", "0\n");
	web = limits_of(&l, "/system.slice/web.service");
	assert_true(web.cpus == 0.2);
	assert_int_equal(web.memory, 0);
	assert_int_equal(web.memory_used, 1000);
}

static void test_limits_v1(void **state)
{
	struct cgroup_layout l = make_v1();
	struct cgroup_limits a = limits_of(&l, "/docker/a"), only = limits_of(&l, "/only");

	assert_true(a.cpus == 0.5);
	assert_int_equal(a.memory, 268435456);
	assert_int_equal(a.memory_used, 5000);
	assert_true(a.pids == CGROUP_NO_LIMIT);
	assert_int_equal(a.pids_used, 2);
	assert_true(only.cpus == 0 && only.memory == CGROUP_NO_LIMIT);
	l.n = 0;
	a = limits_of(&l, "/docker/a");
	assert_true(a.cpus == 0 && a.memory == CGROUP_NO_LIMIT && a.pids == CGROUP_NO_LIMIT);
}

static void test_malformed_limits(void **state)
{
	static const char *const bad[] = {"",
					  "\n",
					  "max",
					  "100",
					  "x 100000",
					  "-5 6",
					  "100 x",
					  "100000 0",
					  " 1 2",
					  "1  2",
					  "max x",
					  "1 2 3",
					  "99999999999999999999 1",
					  "0x10 5"};
	struct cgroup_layout l = make_v2();

	for (size_t i = 0; i < COUNT(bad); i++) {
		put("user.slice/cpu.max", bad[i]);
		put("user.slice/memory.max", bad[i][0] == '1' ? "x" : bad[i]);
		assert_true(limits_of(&l, "/user.slice").cpus == 0);
		assert_true(limits_of(&l, "/user.slice").memory == CGROUP_NO_LIMIT);
	}
}

static const struct cpu_list five = {.n = 5, .cpu = {0, 1, 2, 3, 4}};

static void check_cpus(const struct cgroup_layout *l, const char *path, const char *expected)
{
	struct cpu_list cpus;
	char shown[64];
	struct text t = TEXT(shown);

	assert_int_equal(cgroup_cpus_read(l, path, &five, &cpus), 0);
	shown[0] = '\0';
	for (uint32_t i = 0; i < cpus.n; i++)
		text_add(&t, "%u", cpus.cpu[i]);
	assert_string_equal(shown, expected);
}

static void test_cpus(void **state)
{
	struct cgroup_layout l = make_v2();

	check_cpus(&l, "/system.slice/web.service/deep", "014");
	check_cpus(&l, "/user.slice", "01234");
	put("user.slice/cpuset.cpus.effective", "3,1,900-1023\n");
	check_cpus(&l, "/user.slice", "13");
	put("user.slice/cpuset.cpus.effective", "9\n");
	check_cpus(&l, "/user.slice", "");
	put("user.slice/cpuset.cpus.effective", "1,x,2\n");
	check_cpus(&l, "/user.slice", "1");
}

static void test_cpus_v1(void **state)
{
	struct cgroup_layout l = make_v1();

	check_cpus(&l, "/docker/a", "23");
	check_cpus(&l, "/only", "01234");
	check_cpus(&l, "/docker", "23");
	l.n = 0;
	check_cpus(&l, "/docker", "01234");
}

static void test_inner(void **state)
{
	struct cgroup_layout l = make_v2();

	assert_true(cgroup_is_inner(&l, "/system.slice"));
	assert_false(cgroup_is_inner(&l, "/"));
	assert_false(cgroup_is_inner(&l, "/system.slice/web.service"));
	assert_false(cgroup_is_inner(&l, "/nowhere"));
	(void)remove_root(NULL);
	(void)make_root(NULL);
	l = make_v1();
	assert_false(cgroup_is_inner(&l, "/docker"));
}

/* Whose it is */

static const char *const paths[] = {
	"/docker/" ID_A,
	"/system.slice/docker-" ID_A ".scope",
	"/my-parent/" ID_A,
	"/default/" ID_A,
	"/kubepods/burstable/pod" UID "/" ID_A,
	"/kubepods/burstable/pod" UID "/crio-" ID_A,
	"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
	".slice/cri-containerd-" ID_A ".scope",
	"/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID_A ".scope",
	"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" UID_
	".slice/cri-containerd-" ID_A ".scope",
	"/system.slice/containerd.service/kubepods-burstable-pod" UID_
	".slice:cri-containerd:" ID_A,
	"/machine.slice/libpod-" ID_A ".scope",
	"/libpod_parent/libpod-" ID_A,
	"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID_A ".scope",
	"/ecs/" TASK "/" ID_A,
	"/ecs/cluster/" TASK "/" ID_A,
	"/ecstasks.slice/ecstasks-" TASK ".slice/docker-" ID_A ".scope",
	"/system.slice/nerdctl-" ID_A ".scope",
};

static void test_container_ids(void **state)
{
	for (size_t i = 0; i < COUNT(paths); i++) {
		const char *path = paths[i];

		assert_true(cgroup_is_container(path, ID_A));
		assert_true(cgroup_is_container(path, "3f1c"));
		assert_true(cgroup_is_container(path, "3f1c0a9be2d4"));
		assert_true(cgroup_is_container(path, "docker://" ID_A));
		assert_true(cgroup_is_container(path, "containerd://3f1c0a9b"));
		assert_false(cgroup_is_container(path, "3f1"));
		assert_false(cgroup_is_container(path, ""));
		assert_false(cgroup_is_container(path, "docker://"));
		assert_false(cgroup_is_container(path, "3F1C"));
		assert_false(cgroup_is_container(path, "f1c0"));
		assert_false(cgroup_is_container(path, "1c0a9be2d4"));
		assert_false(cgroup_is_container(path, ID_B));
		assert_false(cgroup_is_container(path, ID_A "0"));
		assert_false(cgroup_is_container(path, UID)); /* the pod is the one above */
		assert_false(cgroup_is_container(path, TASK));
		assert_false(cgroup_is_container(path, "docker"));
		assert_false(cgroup_is_container(path, "arn:aws:ecs:eu-west-1:1:task/" ID_A));
	}
}

static void test_owner(void **state)
{
	static const struct {
		const char *path;
		enum cgroup_owner owner;
		const char *name;
	} cases[] = {
		{"/", CGROUP_OF_NOBODY, ""},
		{"/system.slice", CGROUP_OF_NOBODY, ""},
		{"/system.slice/ssh.service", CGROUP_OF_NOBODY, ""},
		{"/kubepods/burstable/pod" UID, CGROUP_OF_POD, UID},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice",
		 CGROUP_OF_POD, UID},
		{"/ecs/" TASK, CGROUP_OF_TASK, TASK},
		{"/ecs/blue/" TASK, CGROUP_OF_TASK, TASK},
		{"/ecstasks.slice/ecstasks-" TASK ".slice", CGROUP_OF_TASK, TASK},
		{"/lxc.payload.web", CGROUP_OF_NAMED, "web"},
		{"/machine.slice/machine-my\\x2dhost.scope", CGROUP_OF_NAMED, "my-host"},
	};
	char name[CGROUP_PATH_MAX];

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(cgroup_owner(cases[i].path, name), cases[i].owner);
		assert_string_equal(name, cases[i].name);
	}
	for (size_t i = 0; i < COUNT(paths); i++) {
		assert_int_equal(cgroup_owner(paths[i], name), CGROUP_OF_CONTAINER);
		assert_string_equal(name, ID_A);
	}
}

static const struct {
	const char *path, *wanted;
	bool is;
} containers[] = {
	/* names, as they are, and whole */
	{"/lxc.payload.web", "web", true},
	{"/lxc.payload.web-1", "web", true},
	{"/lxc.payload.web", "lxc://web", true},
	{"/lxc.payload.web-1", "lxc://web", false},
	{"/lxc.payload.web-1", "lxc://", false},
	/* pods */
	{"/kubepods/burstable/pod" UID, UID, true},
	{"/kubepods/pod" UID, "8a3c", true},
	{"/kubepods/pod" UID, "8a3c2f1e-0b1d", true},
	{"/kubepods/pod" UID, "8a3", false},
	{"/kubepods/pod" UID, UID_, false},
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice", UID,
	 true},
	{"/kubepods.slice/kubepods-pod" UID_ ".slice", "8a3c2f1e-0b1d", true},
	{"/kubelet.slice/kubelet-kubepods-besteffort-pod" UID_ ".slice", UID, true},
	{"/kubepods/besteffort/pod" TASK, "01234567", true}, /* a static pod's */
	{"/kubepods.slice/kubepods-burstable.slice", "burstable", false},
	{"/kubepods/burstable", "burstable", false},
	{"/kubepods", "kubepods", false},
	{"/other/pod" UID, UID, false},
	{"/kubepods.slice/kubepods-pod" UID_ ".slice", "arn:aws:ecs:eu-west-1:1:task/" UID, false},
	/* ECS tasks */
	{"/ecs/" TASK, TASK, true},
	{"/ecs/" TASK, "0123", true},
	{"/ecs/cluster/" TASK, TASK, true},
	{"/ecs/cluster/" UID, UID, true},
	{"/ecs/" UID, "arn:aws:ecs:us-east-1:123456789012:task/" UID, true},
	{"/ecs/cluster/" TASK, "arn:aws:ecs:eu-west-1:123456789012:task/cluster/" TASK, true},
	{"/ecs/" TASK, "arn:aws-cn:ecs:cn-north-1:123456789012:task/" TASK, true},
	{"/ecstasks.slice/ecstasks-" TASK ".slice", TASK, true},
	{"/ecstasks.slice/ecstasks-" TASK ".slice",
	 "arn:aws:ecs:eu-west-1:123456789012:task/cluster/" TASK, true},
	{"/ecs/" TASK, "arn:aws:ecs:eu-west-1:123456789012:task/cluster/0123", false},
	{"/ecs/" TASK, "arn:aws:ecs:eu-west-1:123456789012:task/cluster/", false},
	{"/ecs/" TASK, "arn:aws:ecs:eu-west-1:123456789012:task/cluster", false},
	{"/ecs/" TASK, "arn:aws:ecs:eu-west-1:123456789012:cluster/" TASK, false},
	{"/ecs/" TASK, "arn:aws:ssm:eu-west-1:123456789012:task/" TASK, false},
	{"/ecs/cluster", "cluster", false},
	{"/ecstasks.slice", "ecstasks", false},
	/* monitors */
	{"/system.slice/crio-conmon-" ID_A ".scope", ID_A, false},
	{"/machine.slice/libpod-conmon-" ID_A ".scope", "3f1c", false},
	{"/lxc.monitor.web", "web", false},
	{"/lxc.monitor/web", "web", false},
	/* LXC */
	{"/lxc.payload.web-1", "web-1", true},
	{"/lxc.payload.web-1", "web", true},
	{"/lxc.payload.web-12", "web-1", false},
	{"/lxc.payload.web-12", "web-", true},
	{"/lxc.payload.webhook", "web", false},
	{"/lxc.payload.web.1", "web", true},
	{"/lxc.payload.web", "web", true},
	{"/lxc.payload.web", "webhook", false},
	{"/lxc.payload.web", "", false},
	{"/lxc.payload.web", "eb", false},
	{"/lxc.payload/web", "web", true},
	{"/lxc/101", "101", true},
	{"/lxc/101", "10", false},
	{"/machine/lxc/web", "web", true},
	{"/lxc/101/ns", "ns", false},
	{"/lxc/101/init.scope", "init", false},
	{"/notlxc/x/web", "web", false},
	/* nspawn */
	{"/machine.slice/machine-web.scope", "web", true},
	{"/machine.slice/machine-web\\x2d1.scope", "web-1", true},
	{"/machine.slice/machine-web\\x2d1.scope", "web", true},
	{"/machine.slice/machine-web\\x2d12.scope", "web-1", false},
	{"/machine.slice/machine-a\\x2.scope", "a\\x2", true},
	{"/machine.slice/machine-.scope", "", false},
	{"/machine.slice/machine-web.scope/payload", "payload", false},
	/* containerd */
	{"/default/web", "web", true},
	{"/default/web-1", "web", true},
	{"/default/webhook", "web", false},
	{"/default/web/init", "init", false},
	{"/default", "default", false},
	/* others */
	{"/system.slice/nginx.service", "nginx", false},
	{"/system.slice/nginx.service", "nginx.service", false},
	{"/user.slice/user-1000.slice", "user", false},
	{"/docker/buildkit", "buildkit", false},
	{"/init.scope", "init", false},
	{"/", "", false},
	{"/", "abcd", false},
	{"", "abcd", false},
	{"/.scope", "abcd", false},
	{"/x/.slice", "abcd", false},
	{"/docker/3f1c", "3f1c", false},
	{"/a/b/docker-3f1c.scope", "3f1c", false},
};

static void test_containers(void **state)
{
	for (size_t i = 0; i < COUNT(containers); i++) {
		const char *path = containers[i].path, *wanted = containers[i].wanted;

		if (cgroup_is_container(path, wanted) != containers[i].is)
			fail_msg("%s, %s: expected %d", path, wanted, containers[i].is);
	}
}

static void test_units(void **state)
{
	assert_true(cgroup_is_unit("/system.slice/web.service", "web.service"));
	assert_true(cgroup_is_unit("/system.slice/_memory.service", "memory.service"));
	assert_true(cgroup_is_unit("/system.slice", "system.slice"));
	assert_true(cgroup_is_unit("/system.slice/system-getty.slice/getty@tty1.service",
				   "getty@tty1.service"));
	assert_false(cgroup_is_unit("/system.slice/web.service", "web"));
	assert_false(cgroup_is_unit("/system.slice/web.service/deep", "web.service"));
	assert_false(cgroup_is_unit("/system.slice/other-web.service", "web.service"));
	assert_false(cgroup_is_unit("/", ""));
}

/* Any path and any wish: no more than an answer. */
static void test_odd_names(void **state)
{
	static const char alphabet[] = "/-._:\\x20abdlcprosk8";
	uint64_t seed = 1;

	for (int i = 0; i < 200000; i++) {
		char path[48] = "/", wanted[12];
		size_t n = random_below(&seed, sizeof(path) - 2);

		for (size_t k = 1; k <= n; k++)
			path[k] = alphabet[random_below(&seed, sizeof(alphabet) - 1)];
		path[n + 1] = '\0';
		n = random_below(&seed, sizeof(wanted));
		for (size_t k = 0; k < n; k++)
			wanted[k] = alphabet[random_below(&seed, sizeof(alphabet) - 1)];
		wanted[n] = '\0';
		(void)cgroup_is_container(path, wanted);
		(void)cgroup_is_unit(path, wanted);
	}
}

/* This host */

static const char *own_cgroup(const struct cgroup_layout *l, enum cgroup_controller c, char *ret,
			      size_t size)
{
	static char path[64];
	const struct cgroup_hierarchy *h = cgroup_hierarchy_of(l, c);

	(void)snprintf(path, sizeof(path), "/faultd-test-%d", (int)getpid());
	if (!h || cgroup_file_path(h, path, "", ret, size) < 0 || mkdir(ret, 0755) < 0)
		return NULL;
	return path;
}

static pid_t sleeper_in(const struct cgroup_layout *l, enum cgroup_controller c, const char *path)
{
	char file[512];
	pid_t pid = fork();
	FILE *f;

	if (pid == 0) {
		for (;;)
			(void)pause();
	}
	assert_int_equal(cgroup_file_path(cgroup_hierarchy_of(l, c), path, "cgroup.procs", file,
					  sizeof(file)),
			 0);
	f = fopen(file, "w");
	if (f) {
		(void)fprintf(f, "%d\n", (int)pid);
		(void)fclose(f);
	}
	return pid;
}

static int find_path(const char *path, void *arg)
{
	return strcmp(path, arg) == 0;
}

static void remove_soon(const char *dir)
{
	for (int i = 0; i < 1000 && rmdir(dir) < 0 && errno == EBUSY; i++)
		(void)usleep(1000);
}

static void test_this_host(void **state)
{
	char dir[512], plain[CGROUP_PATH_MAX];
	struct cgroup_layout l;
	const char *path;
	pid_t pid, *pids = NULL;
	size_t n = 0;
	int found, each, read;

	assert_int_equal(cgroup_layout_read(&l), 0);
	path = own_cgroup(&l, CGROUP_PIDS, dir, sizeof(dir));
	if (!path) {
		print_message("no cgroup can be made here\n");
		skip();
	}
	pid = sleeper_in(&l, CGROUP_PIDS, path);
	found = cgroup_find(&l, dir, plain);
	each = cgroup_each(&l, find_path, (void *)path);
	read = cgroup_pids(&l, path, true, &pids, &n);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	remove_soon(dir);
	assert_int_equal(found, 0);
	assert_string_equal(plain, path);
	assert_int_equal(each, 1);
	assert_int_equal(read, 0);
	assert_int_equal(n, 1);
	assert_int_equal(pids[0], pid);
	free(pids);
	assert_int_equal(cgroup_find(&l, dir, plain), -ENOENT);
	assert_int_equal(cgroup_each(&l, find_path, (void *)path), 0);
}

static void test_real_limits(void **state)
{
	static const struct {
		const char *file, *value;
	} v1[] = {{"cpu.cfs_quota_us", "50000"}}, v2[] = {{"cpu.max", "50000 100000"}};
	const struct cgroup_hierarchy *h;
	char dir[512], file[512];
	struct cgroup_limits limits;
	struct cgroup_layout l;
	const char *path;
	FILE *f;

	assert_int_equal(cgroup_layout_read(&l), 0);
	path = own_cgroup(&l, CGROUP_CPU, dir, sizeof(dir));
	if (!path)
		skip();
	h = cgroup_hierarchy_of(&l, CGROUP_CPU);
	(void)cgroup_file_path(h, path, h->v2 ? v2->file : v1->file, file, sizeof(file));
	f = fopen(file, "w");
	if (f) {
		(void)fputs(h->v2 ? v2->value : v1->value, f);
		(void)fclose(f);
	}
	(void)cgroup_limits_read(&l, path, &limits);
	remove_soon(dir);
	if (f)
		assert_true(limits.cpus == 0.5);
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TREE(test_v2_layout),
		IN_TREE(test_v1_layout),
		IN_TREE(test_hybrid_layout),
		IN_TREE(test_mounts),
		IN_TREE(test_many_mounts),
		cmocka_unit_test(test_file_path),
		IN_TREE(test_each),
		IN_TREE(test_each_deep),
		IN_TREE(test_each_many),
		IN_TREE(test_find),
		IN_TREE(test_pids),
		IN_TREE(test_pids_v1),
		IN_TREE(test_many_pids),
		IN_TREE(test_limits_v2),
		IN_TREE(test_limits_v1),
		IN_TREE(test_malformed_limits),
		IN_TREE(test_cpus),
		IN_TREE(test_cpus_v1),
		IN_TREE(test_inner),
		cmocka_unit_test(test_container_ids),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_containers),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_this_host),
		cmocka_unit_test(test_real_limits),
	};

	return cmocka_run_group_tests_name("cgroups", tests, NULL, NULL);
}
