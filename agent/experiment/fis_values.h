/* SPDX-License-Identifier: Apache-2.0 */
/* One object of parameters against the rows it is meant for: of an action of FIS's, or of a
 * document. All that is wrong is told, not the first only. */
#ifndef FAULTD_EXPERIMENT_FIS_VALUES_H
#define FAULTD_EXPERIMENT_FIS_VALUES_H

#include <cjson/cJSON.h>

#include "experiment/catalogue.h"
#include "util/str.h"

#define FIS_SPECIAL_MAX 4

/* Where the object is, and what of it the rows do not say. */
struct fis_reading {
	const struct fis_action *action;
	const char *path; /* "actions.stress.parameters" */
	struct problems *problems;
	bool document;                        /* values may be arrays of texts */
	const char *special[FIS_SPECIAL_MAX]; /* parameters that are no row's: read elsewhere */
	size_t n_special;
};

/* The rows, of an action or through an alias. */
struct fis_dialect {
	const struct action *action; /* NULL: no rows */
	const struct alias *alias;
	const struct resource_type
		*target; /* what it is aimed at, which says one of them; or NULL */
	struct row rows[ACTION_ROWS_MAX];
	size_t n, size;
	void *params; /* `size` bytes; the action's own struct, when fis_check_values() told nothing
		       */
};

/* Returns 0 or -ENOMEM. */
int fis_dialect_open(struct fis_dialect *d, const struct action *a, const struct alias *alias);
void fis_dialect_close(struct fis_dialect *d);

/* Tells all that is wrong with the rows' values, and of the special ones the form. `ret_ms`: a
 * duration that is among the rows. Returns 0 or -ENOMEM. */
int fis_check_values(const struct fis_reading *in, const struct fis_dialect *d, const cJSON *values,
		     uint64_t *ret_ms);

/* A special parameter. NULL: it is not there, which is told when it is required (`required`: what
 * is allowed), or not text, which has been told. */
const char *fis_text_of(const struct fis_reading *in, const cJSON *values, const char *name,
			const char *required);

/* Tells a problem of the parameter `name`. */
void fis_tell(const struct fis_reading *in, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "a, b, c", or as many as fit. */
void fis_add_name(struct text *t, const char *name);

#endif
