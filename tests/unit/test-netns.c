/* SPDX-License-Identifier: Apache-2.0 */
/* util/netns: namespaces of our own, found, entered, found no more. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/netns.h"

#define HERE "/proc/thread-self/ns/net"

static ino_t inode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

/* A process in a new namespace, and its file. */
static pid_t start_holder(char path[static 48])
{
	int ready[2];
	char byte;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		(void)pause();
		_exit(0);
	}
	(void)close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) { /* not permitted here */
		(void)waitpid(pid, NULL, 0);
		(void)close(ready[0]);
		skip();
	}
	(void)close(ready[0]);
	(void)snprintf(path, 48, "/proc/%d/ns/net", (int)pid);
	return pid;
}

static void end_holder(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_own(void **state)
{
	struct netns n;

	memset(&n, 0xff, sizeof(n));
	assert_int_equal(netns_read(NETNS_OWN, &n), 0);
	assert_int_equal(n.inode, 0);
	assert_string_equal(n.path, "");
}

static void test_no_namespace(void **state)
{
	char longer[300];
	struct netns n;

	memset(longer, 'x', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(netns_read("/nothing/there", &n), -ENOENT);
	assert_int_equal(netns_read("/dev/null", &n), -EINVAL);
	assert_int_equal(netns_read("/", &n), -EINVAL);
	assert_int_equal(netns_read("/proc/self/ns/mnt", &n), -EINVAL);
	assert_int_equal(netns_read("/proc/self/ns/user", &n), -EINVAL);
	assert_int_equal(netns_read(longer, &n), -ENAMETOOLONG);
}

static int read_inode(void *arg)
{
	*(ino_t *)arg = inode_of(HERE);
	return 7;
}

/* In the main thread, or not at all. */
static int read_inode_myself(void *arg)
{
	return gettid() == getpid() ? read_inode(arg) : -1;
}

static void test_work_inside(void **state)
{
	char path[48];
	pid_t pid = start_holder(path);
	ino_t here = inode_of(HERE), seen = 0;
	struct netns n;
	int result = 0;

	assert_int_equal(netns_read(path, &n), 0);
	assert_int_equal(n.inode, inode_of(path));
	assert_string_equal(n.path, path);
	assert_true(n.inode != here);

	assert_int_equal(netns_run(&n, read_inode, &seen, &result), 0);
	assert_true(seen == n.inode && result == 7 && inode_of(HERE) == here);

	seen = 0;
	result = 0;
	assert_int_equal(netns_visit(&n, read_inode, &seen, &result), 0);
	assert_true(seen == n.inode && result == 7 && inode_of(HERE) == here);

	assert_int_equal(netns_run_empty(read_inode, &seen, &result), 0);
	assert_true(seen != n.inode && seen != here && inode_of(HERE) == here);
	end_holder(pid);
}

/* Stacks that no address space has room for: pthread_create() fails as it does when the host is out
 * of threads. */
static void set_stack_size(size_t size)
{
	pthread_attr_t attr;

	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstacksize(&attr, size), 0);
	assert_int_equal(pthread_setattr_default_np(&attr), 0);
	assert_int_equal(pthread_attr_destroy(&attr), 0);
}

static void test_without_a_thread(void **state)
{
	char path[48];
	pid_t pid = start_holder(path);
	ino_t here = inode_of(HERE), seen = 0;
	struct netns n;
	int result = 0;

	assert_int_equal(netns_read(path, &n), 0);
	set_stack_size(SIZE_MAX / 2 & ~0xffffUL);
	assert_int_equal(netns_run(&n, read_inode_myself, &seen, &result), 0);
	assert_true(seen == n.inode && result == 7 && inode_of(HERE) == here);
	assert_int_equal(netns_run_empty(read_inode_myself, &seen, &result), 0);
	assert_true(seen != n.inode && seen != here && inode_of(HERE) == here);
	set_stack_size(1 << 20);
	end_holder(pid);
}

static void test_found_without_its_path(void **state)
{
	char path[48];
	pid_t pid = start_holder(path);
	struct netns n;
	int fd;

	assert_int_equal(netns_read(path, &n), 0);
	(void)snprintf(n.path, sizeof(n.path), "/proc/self/ns/net"); /* another one */
	fd = netns_open(&n);
	assert_true(fd >= 0);
	(void)close(fd);
	n.path[0] = '\0';
	fd = netns_open(&n);
	assert_true(fd >= 0);
	(void)close(fd);
	end_holder(pid);
}

static void test_gone(void **state)
{
	char path[48];
	pid_t pid = start_holder(path);
	struct netns n;
	ino_t seen = 0;
	int result = 0;

	assert_int_equal(netns_read(path, &n), 0);
	end_holder(pid);
	assert_int_equal(netns_open(&n), -ENOENT);
	assert_int_equal(netns_run(&n, read_inode, &seen, &result), -ENOENT);
	assert_int_equal(netns_visit(&n, read_inode, &seen, &result), -ENOENT);
	assert_true(seen == 0 && result == 0);
}

/* The number is the same, the namespace is not: as when the kernel has used the number again. */
static void test_another_of_the_same_number(void **state)
{
	char path[48];
	pid_t pid = start_holder(path);
	ino_t here = inode_of(HERE), seen = 0;
	struct netns n;
	int result = 0;

	assert_int_equal(netns_read(path, &n), 0);
	if (n.cookie == 0) { /* Linux before 5.14 */
		end_holder(pid);
		skip();
	}
	n.cookie++;
	assert_int_equal(netns_run(&n, read_inode, &seen, &result), -ENOENT);
	assert_int_equal(netns_visit(&n, read_inode, &seen, &result), -ENOENT);
	assert_true(seen == 0 && result == 0 && inode_of(HERE) == here);
	end_holder(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_no_namespace),
		cmocka_unit_test(test_work_inside),
		cmocka_unit_test(test_without_a_thread),
		cmocka_unit_test(test_found_without_its_path),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_another_of_the_same_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
