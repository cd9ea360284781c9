/* SPDX-License-Identifier: Apache-2.0 */
/* One line per event: fault id first when there is one, then the action, then what and why.
 * Lines go to stderr with an sd-daemon level prefix when stderr is not a terminal, or to a sink
 * (journald with fields) that the daemon installs. Writing never blocks on a full pipe for the
 * programs that set stderr non-blocking; a line that cannot be written is lost, not waited for. */
#ifndef FAULTD_UTIL_LOG_H
#define FAULTD_UTIL_LOG_H

#include <stdarg.h>

/* As in syslog(3) */
enum log_level {
	LEVEL_ERROR = 3,
	LEVEL_WARNING = 4,
	LEVEL_NOTICE = 5,
	LEVEL_INFO = 6,
	LEVEL_DEBUG = 7,
};

/* `fault` and `action` are "" when the line is about no fault. */
typedef void (*log_sink_fn)(enum log_level level, const char *fault, const char *action,
			    const char *message);

void log_set_level(enum log_level level);
void log_set_sink(log_sink_fn sink);

/* "error warning notice info debug" -> level; -1 for anything else. */
int log_level_from_name(const char *name);

void log_fault(enum log_level level, const char *fault, const char *action, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* A record of an experiment's log: to stderr like any other line (LEVEL_INFO), or to a sink of its
 * own. `details` is JSON, of any length. */
typedef void (*log_record_sink_fn)(const char *experiment, const char *type, const char *details);
void log_set_record_sink(log_record_sink_fn sink);
void log_record(const char *experiment, const char *type, const char *details);

#define log_error(...)   log_fault(LEVEL_ERROR, "", "", __VA_ARGS__)
#define log_warning(...) log_fault(LEVEL_WARNING, "", "", __VA_ARGS__)
#define log_notice(...)  log_fault(LEVEL_NOTICE, "", "", __VA_ARGS__)
#define log_info(...)    log_fault(LEVEL_INFO, "", "", __VA_ARGS__)
#define log_debug(...)   log_fault(LEVEL_DEBUG, "", "", __VA_ARGS__)

#endif
