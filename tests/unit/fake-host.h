/* SPDX-License-Identifier: Apache-2.0 */
/* A directory with the files of a host that is not there, for what reads below identity.root. */
#ifndef FAULTD_TESTS_UNIT_FAKE_HOST_H
#define FAULTD_TESTS_UNIT_FAKE_HOST_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static char host_root[64];

static inline int host_make(void **state)
{
	(void)strcpy(host_root, access("/dev/shm", W_OK) == 0 ? "/dev/shm/faultd-host-XXXXXX"
							      : "/tmp/faultd-host-XXXXXX");
	return mkdtemp(host_root) ? 0 : -1;
}

static inline int host_remove_one(const char *path, const struct stat *st, int type,
				  struct FTW *ftw)
{
	return remove(path);
}

static inline int host_remove(void **state)
{
	return nftw(host_root, host_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A file of `n` bytes below the root, with the directories it needs. */
static inline void host_write(const char *name, const char *content, size_t n)
{
	char path[4096];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", host_root, name);
	for (char *p = path + strlen(host_root) + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
		*p = '/';
	}
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(content, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static inline void host_put(const char *name, const char *content)
{
	host_write(name, content, strlen(content));
}

#endif
