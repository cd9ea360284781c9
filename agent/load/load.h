/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of load. A kind is one file with one descriptor at its bottom, and one line in the
 * table of main.c; options, their ranges and the help text all come from the descriptor. */
#ifndef FAULTD_LOAD_LOAD_H
#define FAULTD_LOAD_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/grade.h"

struct hold;

#define LOAD_OPTIONS_MAX 24  /* of one kind, the common ones included */
#define LOAD_ARGS_MAX    256 /* bytes of one kind's parsed options */

enum load_option_type {
	LOAD_OPTION_UINT,   /* into a uint64_t */
	LOAD_OPTION_NUMBER, /* into a double */
	LOAD_OPTION_CHOICE, /* into an int: the index into `choices` */
	LOAD_OPTION_TEXT,   /* into a const char *, which is argv's */
};

/* Every option takes a value; each is required unless it says otherwise. */
struct load_option {
	const char *name;
	const char *value; /* what --help calls it */
	const char *summary;
	enum load_option_type type;
	size_t offset; /* of the value, in the kind's argument struct */
	double min, max;
	const char *const *choices; /* ends with NULL */
	bool optional;              /* not given: zero */
};

/* The options of a kind whose load can grow, and come and go: see util/grade.h. `member` is a
 * struct grade in the kind's argument struct. The value a ramp ends at is the kind's own option. */
#define LOAD_GRADE_OPTIONS(args, member)                                                       \
	{.name = "from",                                                                       \
	 .value = "V",                                                                         \
	 .summary = "where a ramp begins",                                                     \
	 .type = LOAD_OPTION_NUMBER,                                                           \
	 .offset = offsetof(args, member.from),                                                \
	 .max = 1e18,                                                                          \
	 .optional = true},                                                                    \
		{.name = "over-ms",                                                            \
		 .value = "MS",                                                                \
		 .summary = "how long a ramp takes",                                           \
		 .type = LOAD_OPTION_UINT,                                                     \
		 .offset = offsetof(args, member.over_ms),                                     \
		 .max = 1e9,                                                                   \
		 .optional = true},                                                            \
		{.name = "steps",                                                              \
		 .value = "N",                                                                 \
		 .summary = "in how many rises",                                               \
		 .type = LOAD_OPTION_UINT,                                                     \
		 .offset = offsetof(args, member.steps),                                       \
		 .max = 1e9,                                                                   \
		 .optional = true},                                                            \
		{.name = "every-ms",                                                           \
		 .value = "MS",                                                                \
		 .summary = "length of a wave",                                                \
		 .type = LOAD_OPTION_UINT,                                                     \
		 .offset = offsetof(args, member.every_ms),                                    \
		 .max = 1e9,                                                                   \
		 .optional = true},                                                            \
	{                                                                                      \
		.name = "for-ms", .value = "MS", .summary = "of which it is on",               \
		.type = LOAD_OPTION_UINT, .offset = offsetof(args, member.for_ms), .max = 1e9, \
		.optional = true                                                               \
	}

struct load_kind {
	const char *name;
	const char *summary;
	const struct load_option *options; /* ends with a NULL name */
	size_t args_size;

	/* Loads until the deadline of `hold`, to which the process is already tied, and in the
	 * cgroup and namespaces it was sent to. Calls report_ready() once its load has begun.
	 * Returns the exit status; what went wrong is told by report_failure() before that, later
	 * by one line on stderr. */
	int (*run)(const struct hold *hold, const void *args);
};

extern const struct load_kind load_cpu;
extern const struct load_kind load_freeze;
extern const struct load_kind load_memory;
extern const struct load_kind load_descriptors;
extern const struct load_kind load_ports;
extern const struct load_kind load_threads;
extern const struct load_kind load_disk;
extern const struct load_kind load_io;

#endif
