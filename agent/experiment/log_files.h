/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the experiments' logs, seen from their thread: everything here may block. Files are
 * opened for each run of records and closed after it, so that their number costs nothing. A line is
 * there whole or not at all. */
#ifndef FAULTD_EXPERIMENT_LOG_FILES_H
#define FAULTD_EXPERIMENT_LOG_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define LOG_FILE_MAX \
	(8u << 20) /* bytes; then it becomes ID.ndjson.1, and takes the place of that */

struct log_files;

struct log_files *log_files_new(const char *state_dir); /* NULL: out of memory */
void log_files_free(struct log_files *f);

/* Letters, digits, '-' and '_': may this be the name of a file? */
bool log_files_can_be_called(const char *id);

/* Appends one line, for which its newline is added. Not synced: what the kernel has survives
 * faultd, not the host. The file stays open until log_files_rest(). Return 0 or a negative errno.
 */
int log_files_append(struct log_files *f, const char *id, const char *line, size_t length);
void log_files_rest(struct log_files *f);

/* All there is of one, oldest first: malloc'd and terminated, "" when there is nothing. */
int log_files_read(struct log_files *f, const char *id, char **ret, size_t *ret_length);

/* Deletes those of one. */
int log_files_delete(struct log_files *f, const char *id);

/* Deletes the files of those whose last record is older than this. */
int log_files_prune(struct log_files *f, time_t before);

#endif
