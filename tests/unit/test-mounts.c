/* SPDX-License-Identifier: Apache-2.0 */
/* host/mounts: lines of mountinfo, and what this machine says of paths that are everywhere. */
#include "test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "host/mounts.h"

static void test_line(void **state)
{
	struct mount_line m;

	assert_int_equal(
		mount_line_parse("36 35 98:0 /root /mnt2 rw,noatime master:1 shared:2 - ext3 "
				 "/dev/root rw,errors=continue\n",
				 &m),
		0);
	assert_int_equal(m.id, 36);
	assert_int_equal(m.major, 98);
	assert_int_equal(m.minor, 0);
	assert_string_equal(m.point, "/mnt2");
	assert_string_equal(m.type, "ext3");
	assert_string_equal(m.source, "/dev/root");
	assert_string_equal(m.upper, "");
}

static void test_no_optional_fields(void **state)
{
	struct mount_line m;

	assert_int_equal(mount_line_parse("1 0 0:30 / / rw - tmpfs none rw", &m), 0);
	assert_string_equal(m.point, "/");
	assert_string_equal(m.type, "tmpfs");
	assert_string_equal(m.source, "none");
}

static void test_escapes(void **state)
{
	struct mount_line m;

	assert_int_equal(mount_line_parse("7 1 8:17 / /a\\040b\\134\\011\\012c rw - ext4 "
					  "/dev/disk\\040x rw",
					  &m),
			 0);
	assert_string_equal(m.point, "/a b\\\t\nc");
	assert_string_equal(m.source, "/dev/disk x");
	/* Not an escape: as it stands. */
	assert_int_equal(mount_line_parse("7 1 8:17 / /a\\04 rw - ext4 /dev/x rw", &m), 0);
	assert_string_equal(m.point, "/a\\04");
}

static void test_overlay(void **state)
{
	struct mount_line m;

	assert_int_equal(
		mount_line_parse("9 1 0:55 / / rw - overlay overlay "
				 "rw,lowerdir=/l/A:/l/B,upperdir=/o/a\\040b/diff,workdir=/w",
				 &m),
		0);
	assert_string_equal(m.upper, "/o/a b/diff");
	/* Not absolute: relative to a directory that nobody knows any more. */
	assert_int_equal(
		mount_line_parse("9 1 0:55 / / rw - overlay o rw,upperdir=d,workdir=/w", &m), 0);
	assert_string_equal(m.upper, "");
	/* Only overlays have one. */
	assert_int_equal(mount_line_parse("9 1 0:55 / / rw - ext4 o rw,upperdir=/d", &m), 0);
	assert_string_equal(m.upper, "");
	assert_int_equal(mount_line_parse("9 1 0:55 / / ro - overlay o ro,lowerdir=/a:/b", &m), 0);
	assert_string_equal(m.upper, "");
}

static void test_bad_lines(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"36",
		"36 35",
		"36 35 98",
		"36 35 98:0",
		"36 35 98:0 /",
		"36 35 98:0 / relative rw - ext4 /dev/x rw",
		"36 35 98:0 / /p rw",
		"36 35 98:0 / /p rw -",
		"36 35 98:0 / /p rw - ",
		"36 35 98:0 / /p rw - ext4",
	};
	struct mount_line m;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (mount_line_parse(bad[i], &m) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void test_long_lines(void **state)
{
	char line[1200], x[400];
	struct mount_line m;

	memset(x, 'x', sizeof(x) - 1);
	x[sizeof(x) - 1] = '\0';
	(void)snprintf(line, sizeof(line), "1 0 8:1 / /%s rw - ext4 /dev/x rw", x);
	assert_int_equal(mount_line_parse(line, &m), -ENAMETOOLONG);
	(void)snprintf(line, sizeof(line), "1 0 8:1 / / rw - %s /dev/x rw", x);
	assert_int_equal(mount_line_parse(line, &m), -ENAMETOOLONG);
	/* A source that long is no device. */
	(void)snprintf(line, sizeof(line), "1 0 0:9 / / rw - fuse %s rw", x);
	assert_int_equal(mount_line_parse(line, &m), 0);
	assert_string_equal(m.source, "");
}

/* The root of this host, and of ourselves by way of our process id, is the same. */
static void test_root(void **state)
{
	struct mount_facts here, there;
	struct statvfs v;
	struct stat st;

	assert_int_equal(mount_read(0, "/", &here), 0);
	assert_int_equal(mount_read(getpid(), "/", &there), 0);
	assert_int_equal(stat("/", &st), 0);
	assert_int_equal(statvfs("/", &v), 0);
	assert_string_equal(here.point, "/");
	assert_string_equal(there.point, "/");
	assert_string_equal(here.type, there.type);
	assert_int_equal(here.device, st.st_dev);
	assert_int_equal(here.device, there.device);
	assert_int_equal(here.filesystem, there.filesystem);
	assert_int_equal(here.size, (uint64_t)v.f_blocks * v.f_frsize);
	assert_true(here.used + here.available <= here.size);
	assert_false(mount_is_pseudo(&here));
}

static void test_pseudo(void **state)
{
	static const char *const paths[] = {"/proc", "/proc/self/stat", "/sys", "/dev/null"};
	struct mount_facts m;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_int_equal(mount_read(0, paths[i], &m), 0);
		if (!mount_is_pseudo(&m) && strcmp(m.type, "tmpfs") != 0)
			fail_msg("%s on %s", paths[i], m.type);
		assert_int_equal(m.major, 0);
	}
	assert_int_equal(mount_read(0, "/proc", &m), 0);
	assert_string_equal(m.point, "/proc");
	assert_string_equal(m.type, "proc");
}

static void test_no_such_path(void **state)
{
	struct mount_facts m;

	assert_int_equal(mount_read(0, "/no/such/path", &m), -ENOENT);
	assert_int_equal(mount_read(getpid(), "/no/such/path", &m), -ENOENT);
	assert_int_equal(mount_read(0, "tmp", &m), -EINVAL);
	assert_int_equal(mount_read(0, "", &m), -EINVAL);
	assert_int_equal(mount_read(0, "/dev/null/x", &m), -ENOTDIR);
	assert_int_equal(mount_read(0x7ffffff0, "/", &m), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),         cmocka_unit_test(test_no_optional_fields),
		cmocka_unit_test(test_escapes),      cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_bad_lines),    cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_root),         cmocka_unit_test(test_pseudo),
		cmocka_unit_test(test_no_such_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
