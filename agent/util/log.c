/* SPDX-License-Identifier: Apache-2.0 */
#include "util/log.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "util/str.h"

static const char *const level_names[] = {
	[LEVEL_ERROR] = "error", [LEVEL_WARNING] = "warning", [LEVEL_NOTICE] = "notice",
	[LEVEL_INFO] = "info",   [LEVEL_DEBUG] = "debug",
};

static enum log_level max_level = LEVEL_INFO;

/* Built on the stack and written once: no allocation, so it may be used while undoing. */
static void stderr_sink(enum log_level level, const char *fault, const char *action,
			const char *message)
{
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
	char line[1024];
	struct text t = TEXT(line);

	if (!isatty(STDERR_FILENO))
		text_add(&t, "<%d>", (int)level);
	if (fault[0])
		text_add(&t, "%s %s: ", fault, action);
	text_add_escaped(&t, message);
	if (t.cut)
		t.length -= 1;
	line[t.length] = '\n';
	/* A lost line is better than a daemon that waits for a reader. Not O_NONBLOCK: the file
	 * description is shared with others. What poll() calls writable takes PIPE_BUF bytes
	 * without waiting. */
	if (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT))
		return;
	if (write(STDERR_FILENO, line, t.length + 1) < 0)
		return;
}

static void stderr_record_sink(const char *experiment, const char *type, const char *details)
{
	stderr_sink(LEVEL_INFO, experiment, type, details);
}

static log_sink_fn current_sink = stderr_sink;
static log_record_sink_fn current_record_sink = stderr_record_sink;

void log_set_level(enum log_level level)
{
	max_level = level;
}

void log_set_sink(log_sink_fn sink)
{
	current_sink = sink;
}

void log_set_record_sink(log_record_sink_fn sink)
{
	current_record_sink = sink;
}

void log_record(const char *experiment, const char *type, const char *details)
{
	if (LEVEL_INFO <= max_level)
		current_record_sink(experiment, type, details);
}

int log_level_from_name(const char *name)
{
	for (size_t i = LEVEL_ERROR; i < ARRAY_SIZE(level_names); i++) {
		if (str_eq(level_names[i], name))
			return (int)i;
	}
	return -1;
}

void log_fault(enum log_level level, const char *fault, const char *action, const char *format, ...)
{
	char message[768];
	int saved = errno;
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, format);
	(void)vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	current_sink(level, fault, action, message);
	errno = saved;
}
