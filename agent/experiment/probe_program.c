/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/probe_program.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_ours_alone(const char *path, mode_t type, const char *not_the_type, struct text *why)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		text_add(why, "%s: %s", path, strerror(errno));
	else if ((st.st_mode & S_IFMT) != type)
		text_add(why, "%s %s", path, not_the_type);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		text_add(why, "%s belongs to neither root nor the user that faultd runs as", path);
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		text_add(why, "%s may be written by others", path);
	else
		return true;
	return false;
}

bool probe_program_is_trusted(const char *directory, const char *path, struct text *why)
{
	return is_ours_alone(directory, S_IFDIR, "is no directory", why) &&
	       is_ours_alone(path, S_IFREG, "is no regular file", why);
}
