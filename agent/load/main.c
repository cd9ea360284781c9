/* SPDX-License-Identifier: Apache-2.0 */
/* faultd-load: one worker, one load. Started by faultd with a deadline and its own process id; it
 * ends at the one or with the other, whichever comes first. Only ever adds load: it changes nothing
 * that would have to be put back. */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faultd/limits.h"
#include "load/enter.h"
#include "load/hold.h"
#include "load/load.h"
#include "load/report.h"
#include "util/clock.h"

#define EXIT_USAGE 2

static const struct load_kind *const kinds[] = {
	&load_cpu,   &load_freeze,  &load_memory, &load_descriptors,
	&load_ports, &load_threads, &load_disk,   &load_io,
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct load_option common_options[] = {
	{"deadline-boot-ns", "D", "when to end: nanoseconds of CLOCK_BOOTTIME", LOAD_OPTION_UINT,
	 offsetof(struct hold, deadline_boot_ns), 0, (double)INT64_MAX, NULL},
	{"parent", "PID", "who started this: end when it ends", LOAD_OPTION_UINT,
	 offsetof(struct hold, parent), 1, INT_MAX, NULL},
	{"start-boot-ns", "S", "what ramps and waves count from: not given, now", LOAD_OPTION_UINT,
	 offsetof(struct hold, start_boot_ns), 0, (double)INT64_MAX, NULL, true},
	{0},
};

static const struct load_option place_options[] = {
	{"cgroup", "PATH", "run inside this cgroup, of every hierarchy that has it",
	 LOAD_OPTION_TEXT, offsetof(struct place, cgroup), 0, 0, NULL, true},
	{"enter", "PID:START", "see files and network as this process does", LOAD_OPTION_TEXT,
	 offsetof(struct place, process), 0, 0, NULL, true},
	{0},
};

/* getopt_long() returns FIRST_OPTION + the index into this. */
#define FIRST_OPTION 256

struct slot {
	const struct load_option *option;
	void *args; /* what option->offset is counted from */
	bool given;
};

static __attribute__((format(printf, 1, 2))) int usage_error(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vwarnx(format, ap);
	va_end(ap);
	return EXIT_USAGE;
}

static void print_options(const struct load_option *o)
{
	for (; o->name; o++) {
		char left[40];

		(void)snprintf(left, sizeof(left), "--%s %s", o->name, o->value);
		(void)printf("  %-22s %s", left, o->summary);
		if (o->type == LOAD_OPTION_NUMBER)
			(void)printf(", %g to %g", o->min, o->max);
		if (o->optional)
			(void)printf(" (optional)");
		(void)putchar('\n');
	}
}

static void print_help(const struct load_kind *only)
{
	(void)printf("faultd-load %s OPTION...\n", only ? only->name : "KIND");
	for (size_t i = 0; i < N_KINDS; i++) {
		if (only && kinds[i] != only)
			continue;
		(void)printf("\n%s: %s\n", kinds[i]->name, kinds[i]->summary);
		print_options(kinds[i]->options);
	}
	(void)printf("\nWith every kind:\n");
	print_options(common_options);
	print_options(place_options);
	(void)printf("\nExit status: 0 at the deadline or when the parent is gone, 1 if it could "
		     "not load, 2 on a bad option.\n");
}

static const struct load_kind *find_kind(const char *name)
{
	for (size_t i = 0; i < N_KINDS; i++) {
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	}
	return NULL;
}

/* Digits only (and a point, in a number): no sign, no space, no hexadecimal. */
static int store(const struct load_option *o, const char *value, void *args)
{
	void *to = (char *)args + o->offset;
	const char *digits = o->type == LOAD_OPTION_NUMBER ? "0123456789." : "0123456789";
	uint64_t integer;
	double number;
	char *end;

	if (o->type == LOAD_OPTION_TEXT) {
		*(const char **)to = value;
		return 0;
	}
	if (o->type == LOAD_OPTION_CHOICE) {
		for (int i = 0; o->choices[i]; i++) {
			if (strcmp(o->choices[i], value) == 0) {
				*(int *)to = i;
				return 0;
			}
		}
		return -EINVAL;
	}
	if (!isdigit((unsigned char)value[0]) || value[strspn(value, digits)] != '\0')
		return -EINVAL;

	errno = 0;
	integer = strtoull(value, &end, 10);
	number = o->type == LOAD_OPTION_NUMBER ? strtod(value, &end) : (double)integer;
	if (errno != 0 || *end != '\0' || number < o->min || number > o->max)
		return -ERANGE;
	if (o->type == LOAD_OPTION_NUMBER)
		*(double *)to = number;
	else
		*(uint64_t *)to = integer;
	return 0;
}

static int take(struct slot *slot, const char *value)
{
	const struct load_option *o = slot->option;

	if (slot->given)
		return usage_error("--%s is given twice", o->name);
	slot->given = true;
	if (store(o, value, slot->args) == 0)
		return 0;
	if (o->type == LOAD_OPTION_CHOICE)
		return usage_error("--%s: '%s' is none of its choices; see --help", o->name, value);
	return usage_error("--%s: '%s' is not a number from %.15g to %.15g", o->name, value, o->min,
			   o->max);
}

static size_t add_slots(struct slot *slots, size_t n, const struct load_option *o, void *args)
{
	for (; o->name && n < LOAD_OPTIONS_MAX; o++)
		slots[n++] = (struct slot){.option = o, .args = args};
	return n;
}

/* 0, or what to exit with; `ret_done` if there is nothing left to do. */
static int parse(int argc, char **argv, const struct load_kind *kind, struct hold *hold,
		 struct place *place, void *args, bool *ret_done)
{
	struct option longs[LOAD_OPTIONS_MAX + 2] = {{"help", no_argument, NULL, 'h'}};
	struct slot slots[LOAD_OPTIONS_MAX];
	size_t n;
	int c, r;

	n = add_slots(slots, 0, kind->options, args);
	n = add_slots(slots, n, common_options, hold);
	n = add_slots(slots, n, place_options, place);
	for (size_t i = 0; i < n; i++)
		longs[i + 1] = (struct option){slots[i].option->name, required_argument, NULL,
					       FIRST_OPTION + (int)i};

	optind = 2; /* after the kind */
	while ((c = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		if (c == 'h') {
			print_help(kind);
			*ret_done = true;
			return 0;
		}
		if (c == ':')
			return usage_error("%s needs a value", argv[optind - 1]);
		if (c == '?')
			return usage_error("bad option '%s'; see --help", argv[optind - 1]);
		r = take(&slots[c - FIRST_OPTION], optarg);
		if (r != 0)
			return r;
	}
	if (optind < argc)
		return usage_error("unexpected argument '%s'", argv[optind]);
	for (size_t i = 0; i < n; i++) {
		if (!slots[i].given && !slots[i].option->optional)
			return usage_error("--%s is required", slots[i].option->name);
	}
	/* No fault is longer: a mistake in the unit or the clock ends here. */
	if (hold->deadline_boot_ns > boot_ns() + DURATION_MAX_S * NSEC_PER_SEC)
		return usage_error("--deadline-boot-ns is more than %d hours away",
				   DURATION_MAX_S / 3600);
	return 0;
}

int main(int argc, char **argv)
{
	_Alignas(max_align_t) char args[LOAD_ARGS_MAX] = {0};
	const struct load_kind *kind;
	const char *what = NULL;
	struct hold hold = {.start_boot_ns = boot_ns()};
	struct place place = {0};
	bool done = false;
	int r;

	if (argc < 2)
		return usage_error("no kind of load given; see --help");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(NULL);
		return EXIT_SUCCESS;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("faultd-load %s\n", FAULTD_VERSION);
		return EXIT_SUCCESS;
	}
	kind = find_kind(argv[1]);
	if (!kind)
		return usage_error("no kind of load is called '%s'; see --help", argv[1]);

	r = parse(argc, argv, kind, &hold, &place, args, &done);
	if (r != 0 || done)
		return r;

	r = hold_tie(&hold, &what);
	if (r == HOLD_ORPHAN)
		return EXIT_SUCCESS;
	if (r < 0) {
		return report_failure("cannot %s: %s", what, strerror(-r));
	}
	report_open();
	r = place_enter(&place, &what);
	if (r < 0)
		return report_failure("cannot %s: %s", what, strerror(-r));
	return kind->run(&hold, args);
}
