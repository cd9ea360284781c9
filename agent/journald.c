/* SPDX-License-Identifier: Apache-2.0 */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "journald.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "util/log.h"

static void sink(enum log_level level, const char *fault, const char *action, const char *message)
{
	if (fault[0])
		(void)sd_journal_send("PRIORITY=%d", (int)level, "FAULTD_FAULT=%s", fault,
				      "FAULTD_ACTION=%s", action, "MESSAGE=%s %s: %s", fault,
				      action, message, NULL);
	else
		(void)sd_journal_send("PRIORITY=%d", (int)level, "MESSAGE=%s", message, NULL);
}

static void record_sink(const char *experiment, const char *type, const char *details)
{
	(void)sd_journal_send("PRIORITY=%d", (int)LEVEL_INFO, "EXPERIMENT_ID=%s", experiment,
			      "LOG_TYPE=%s", type, "MESSAGE=%s %s: %s", experiment, type, details,
			      NULL);
}

void journald_start(void)
{
	const char *stream =
		getenv("JOURNAL_STREAM"); /* "device:inode" of stderr, systemd.exec(5) */
	unsigned long long device, inode;
	struct stat st;

	if (stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode) {
		log_set_sink(sink);
		log_set_record_sink(record_sink);
	}
}
