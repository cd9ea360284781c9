/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands template, experiment and lever share: the words behind them, template files,
 * and how statuses look. */
#ifndef FAULTD_CTL_FIS_H
#define FAULTD_CTL_FIS_H

#include <cjson/cJSON.h>

#include "ctl/api.h"
#include "ctl/out.h"

struct subcommand {
	const char *name, *usage;
	command_fn *run; /* argv[0] is the subcommand */
};

/* Runs the one that argv[1] names; says what there is otherwise. */
int run_subcommand(struct ctl *ctl, const struct subcommand *table, size_t n, int argc,
		   char **argv);

/* The one argument of a subcommand. Returns 0, or EXIT_USAGE after saying what is missing. */
int take_one(int argc, char **argv, const char *what, const char **ret);

/* Reads a JSON object from a file, "-": stdin; a signal ends the waiting for it. Returns 0 and what
 * has to be deleted, or an exit code after the line that says why. */
int read_json_file(const struct ctl *ctl, const char *path, cJSON **ret);

/* A token that nobody else has: a request is sent once. To be freed. */
char *fresh_token(void);

/* Asks for all pages of a list. Returns 0 and an array, to be deleted, or an exit code. */
int ask_all(struct ctl *ctl, const char *path, const char *member, cJSON **ret);

/* POST of what cannot be taken back by not listening to the answer: the first signal sets
 * `*interrupted` and waits for the answer, the second one leaves. As ask() otherwise. */
int ask_to_the_end(struct ctl *ctl, const char *path, const char *body, bool *interrupted,
		   struct answer *ret);

/* Asks for all pages and prints them, `nothing` when there are none. Returns an exit code. */
int list_all(struct ctl *ctl, const char *path, const char *member, const char *nothing,
	     void (*print)(const cJSON *list));

/* Creates the template in the file; `interrupted` NULL: as ask(), else as ask_to_the_end(). Returns
 * 0 and its id (to be freed), or an exit code. */
int create_template(struct ctl *ctl, const char *path, bool *interrupted, char **ret_id);

/* The id in what was created, to be freed. Returns 0, or an exit code after the line that says that
 * there is none. */
int take_id(const struct ctl *ctl, const struct answer *a, const char *member, char **ret);
void print_id(const struct ctl *ctl, const char *id);

enum colour status_colour(const char *status);

/* Seconds since the epoch, or `fallback` where there are none, or none that a calendar has. */
double json_time(const cJSON *obj, const char *key, double fallback);

/* Seconds since the epoch, by now. */
double now_seconds(void);

/* "2026-01-31 12:00:00" out of seconds since the epoch, local time; "-": none. To be freed. */
char *local_time(double seconds);

#endif
