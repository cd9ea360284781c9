/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of load. A kind is one file with one descriptor at its bottom, and one line in the
 * table of main.c; options, their ranges and the help text all come from the descriptor. */
#ifndef FAULTD_LOAD_LOAD_H
#define FAULTD_LOAD_LOAD_H

#include <stdbool.h>
#include <stddef.h>

struct hold;

#define LOAD_OPTIONS_MAX 16  /* of one kind, the common ones included */
#define LOAD_ARGS_MAX    256 /* bytes of one kind's parsed options */

enum load_option_type {
	LOAD_OPTION_UINT,   /* into a uint64_t */
	LOAD_OPTION_NUMBER, /* into a double */
	LOAD_OPTION_CHOICE, /* into an int: the index into `choices` */
};

/* Every option is required and takes a value. */
struct load_option {
	const char *name;
	const char *value; /* what --help calls it */
	const char *summary;
	enum load_option_type type;
	size_t offset; /* of the value, in the kind's argument struct */
	double min, max;
	const char *const *choices; /* ends with NULL */
};

struct load_kind {
	const char *name;
	const char *summary;
	const struct load_option *options; /* ends with a NULL name */
	size_t args_size;

	/* Loads until the deadline of `hold`, to which the process is already tied. Returns the
	 * exit status, after one line on stderr if it is not 0. */
	int (*run)(const struct hold *hold, const void *args);
};

extern const struct load_kind load_cpu;

#endif
