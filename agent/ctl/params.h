/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters an action takes, as options of a command line. Names come from the daemon's
 * catalogue alone: nothing here knows any action. */
#ifndef FAULTD_CTL_PARAMS_H
#define FAULTD_CTL_PARAMS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct param {
	const char *name; /* the catalogue's, lent */
	char *kebab;      /* source-ports for sourcePorts */
	bool boolean;
};

struct params {
	struct param *all;
	size_t count;
};

/* The parameters of a catalogue entry and, if it was asked for by an alias, the alias's own
 * names for them. Lives no longer than `action`; to be emptied with params_done(). */
void params_of(const cJSON *action, const char *typed, struct params *ret);
void params_done(struct params *p);

/* The parameter whose name or kebab spelling is the first len bytes of text, or NULL. */
const struct param *params_find(const struct params *p, const char *text, size_t len);

/* sourcePorts -> source-ports. To be freed. */
char *kebab(const char *name);

/* Keeps in *best the nearest candidate to text; start with *best NULL and *distance whatever. What
 * shares too little with text is not near. */
void nearest(const char *text, const char *candidate, const char **best, size_t *distance);

#endif
