/* SPDX-License-Identifier: Apache-2.0 */
/* FIS's own API, rest-json of 2020-12-01: what its operations have in common. Requests are read
 * strictly: what is not known is refused, with its name. Functions that return false, or NULL where
 * it says so, have answered the request. */
#ifndef FAULTD_API_FIS_H
#define FAULTD_API_FIS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/handlers.h"
#include "experiment/identity.h"
#include "plan/access.h"

/* Has the query no other parameters than these (ends with NULL; NULL: none at all), each once but
 * "tagKeys"? */
bool fis_query_is(struct http_request *q, const char *const *names);

/* The body as an object; no body is an empty one. The callee's to delete. NULL: answered. */
cJSON *fis_body(struct http_request *q);

/* Are these (ends with NULL) all the members it has, each once? `path` is the object's own, "" at
 * the top. */
bool fis_members_are(struct http_request *q, const cJSON *o, const char *const *names,
		     const char *path);

/* A text of `least` to `most` characters, without blanks unless `blanks`. `*ret` is NULL when it is
 * not there and not required. */
struct fis_text {
	const char *name, *path;
	size_t least, most;
	bool required, blanks;
};
bool fis_text(struct http_request *q, const cJSON *o, const struct fis_text *t, const char **ret);

/* Is it an object of tags that may be given to something? NULL is. */
bool fis_tags_are_good(struct http_request *q, const cJSON *tags);

/* May this caller? */
bool fis_may(struct api *api, struct http_request *q, const struct access_question *question);

/* The same for an operation and a resource: kinds of identity_fis_arn(), or NULL: no resource. */
bool fis_may_do(struct api *api, struct http_request *q, const char *action, const char *kind,
		const char *name, const cJSON *resource_tags);

void fis_not_found(struct http_request *q, const char *what, const char *name);
void fis_out_of_memory(struct http_request *q);
void fis_answer_problems(struct http_request *q, const struct problems *p);

/* One page of a list. A token says behind what the next one begins, so that it stays right while
 * the list changes; one of another list, or with another filter, is refused. */
#define FIS_PAGE_KEY_MAX 128
struct fis_page {
	size_t most;
	bool goes_on; /* behind the following, not at the beginning */
	int64_t order;
	char key[FIS_PAGE_KEY_MAX + 1];
	const char *list, *filter;
};
/* `filter` may be NULL. */
bool fis_page_read(struct http_request *q, const char *list, const char *filter,
		   struct fis_page *ret);
/* There is more behind this. */
void fis_page_more(const struct fis_page *page, cJSON *answer, const char *key, int64_t order);

/* Makes {NAME: item}. Takes `item` over; NULL: out of memory. */
cJSON *fis_wrap(const char *name, cJSON *item);

/* The line of an experiment, or NULL. */
const struct experiment_line *fis_find_line(struct api *api, const char *id);

/* What an operation is about, asking also whether this caller may. NULL: answered. */
struct template *fis_find_template(struct api *api, struct http_request *q, const char *operation,
				   const char *id);
const struct experiment_line *fis_find_experiment(struct api *api, struct http_request *q,
						  const char *operation, const char *id);

/* One change of a template at a time: another one would be made from what the first is replacing.
 * Does this request have to wait? It is then asked again, from its beginning, in its turn. */
typedef void (*fis_handler)(struct api *api, struct http_request *q, const char *id);
bool fis_template_is_busy(struct api *api, struct http_request *q, const char *template_id,
			  fis_handler again, const char *id);

/* Puts `t` in its predecessor's place and answers: with the template, or with {} (`tagging`). */
void fis_replace_template(struct api *api, struct http_request *q, struct template *t,
			  bool tagging);

/* fis_templates.c */
void create_experiment_template(struct api *api, struct http_request *q, const char *id);
void get_experiment_template(struct api *api, struct http_request *q, const char *id);
void list_experiment_templates(struct api *api, struct http_request *q, const char *id);
void update_experiment_template(struct api *api, struct http_request *q, const char *id);
void delete_experiment_template(struct api *api, struct http_request *q, const char *id);

/* fis_experiments.c */
void start_experiment(struct api *api, struct http_request *q, const char *id);
void stop_experiment(struct api *api, struct http_request *q, const char *id);
void get_experiment(struct api *api, struct http_request *q, const char *id);
void list_experiments(struct api *api, struct http_request *q, const char *id);
void list_resolved_targets(struct api *api, struct http_request *q, const char *id);

/* fis_catalogue.c */
void list_fis_actions(struct api *api, struct http_request *q, const char *id);
void get_fis_action(struct api *api, struct http_request *q, const char *id);
void list_resource_types(struct api *api, struct http_request *q, const char *id);
void get_resource_type(struct api *api, struct http_request *q, const char *id);

/* fis_lever.c */
void get_safety_lever(struct api *api, struct http_request *q, const char *id);
void update_safety_lever(struct api *api, struct http_request *q, const char *id);

/* fis_tags.c */
void list_tags(struct api *api, struct http_request *q, const char *arn);
void tag_resource(struct api *api, struct http_request *q, const char *arn);
void untag_resource(struct api *api, struct http_request *q, const char *arn);

/* fis_accounts.c */
void list_accounts(struct api *api, struct http_request *q, const char *id);
void get_account(struct api *api, struct http_request *q, const char *id);
void create_account(struct api *api, struct http_request *q, const char *id);
void update_account(struct api *api, struct http_request *q, const char *id);
void delete_account(struct api *api, struct http_request *q, const char *id);
void list_experiment_accounts(struct api *api, struct http_request *q, const char *id);
void get_experiment_account(struct api *api, struct http_request *q, const char *id);

#endif
