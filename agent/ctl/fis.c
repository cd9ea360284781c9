/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/fis.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "ctl/exit.h"
#include "util/clock.h"

#define FILE_MAX (1024 * 1024) /* as faultd takes it */

int run_subcommand(struct ctl *ctl, const struct subcommand *table, size_t n, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < n; i++) {
		if (strcmp(table[i].name, argv[1]) == 0)
			return table[i].run(ctl, argc - 1, argv + 1);
	}
	if (argc > 1)
		out_error("%s has no \"%s\"; there is:", argv[0], argv[1]);
	else
		out_error("%s what? there is:", argv[0]);
	for (size_t i = 0; i < n; i++)
		out_note("  faultctl %s %s %s", argv[0], table[i].name, table[i].usage);
	return EXIT_USAGE;
}

int take_one(int argc, char **argv, const char *what, const char **ret)
{
	if (argc > 2)
		return unexpected(argv[0], argv[2]);
	if (argc < 2 || !*argv[1] || (argv[1][0] == '-' && argv[1][1])) {
		out_error("%s: which %s?", argv[0], what);
		return EXIT_USAGE;
	}
	*ret = argv[1];
	return 0;
}

static int read_all(FILE *f, char **ret, size_t *ret_length)
{
	char *text = must(malloc(FILE_MAX + 1));

	*ret_length = fread(text, 1, FILE_MAX + 1, f);
	*ret = text;
	if (ferror(f))
		return -errno;
	return *ret_length > FILE_MAX ? -EFBIG : 0;
}

/* Where it is not JSON any more, for people: "line 3". */
static int line_of(const char *text, const char *at)
{
	int line = 1;

	for (; text < at; text++)
		line += *text == '\n';
	return line;
}

int read_json_file(const char *path, cJSON **ret)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *f = standard ? stdin : fopen(path, "re");
	_cleanup_(freep) char *text = NULL;
	const char *end = NULL;
	size_t length = 0;
	int r = f ? read_all(f, &text, &length) : -errno;

	if (f && !standard)
		(void)fclose(f);
	if (r < 0) {
		out_error("cannot read %s: %s", path, strerror(-r));
		return EXIT_USAGE;
	}
	text[length] = '\0';
	*ret = cJSON_ParseWithLengthOpts(text, length + 1, &end, true);
	if (cJSON_IsObject(*ret))
		return 0;
	if (*ret)
		out_error("%s: not a JSON object", path);
	else
		out_error("%s: line %d: not JSON", path, line_of(text, end ? end : text));
	cJSON_Delete(*ret);
	return EXIT_USAGE;
}

char *fresh_token(void)
{
	uint64_t random[2] = {0};

	if (getrandom(random, sizeof(random), 0) < 0)
		random[0] = clock_ns(CLOCK_REALTIME);
	return textf("faultctl-%016llx%016llx", (unsigned long long)random[0],
		     (unsigned long long)random[1]);
}

static void move_items(cJSON *from, const char *member, cJSON *to)
{
	cJSON *list = cJSON_GetObjectItemCaseSensitive(from, member), *item;

	while (cJSON_IsArray(list) && (item = cJSON_DetachItemFromArray(list, 0)))
		cJSON_AddItemToArray(to, item);
}

int ask_all(struct ctl *ctl, const char *path, const char *member, cJSON **ret)
{
	_cleanup_(freep) char *next = textf("%s?maxResults=100", path);
	cJSON *all = must(cJSON_CreateArray());

	while (next) {
		struct answer a = {0};
		int r = ask(ctl, "GET", next, NULL, &a);
		const char *token;

		if (r) {
			cJSON_Delete(all);
			return r;
		}
		move_items(a.json, member, all);
		token = json_text(a.json, "nextToken");
		free(next);
		next = NULL;
		if (*token) {
			_cleanup_(freep) char *begin = textf("%s?maxResults=100&nextToken=", path);

			next = must(http_path(begin, token, ""));
		}
		answer_done(&a);
	}
	*ret = all;
	return 0;
}

int create_template(struct ctl *ctl, const char *path, char **ret_id)
{
	_cleanup_(json_freep) cJSON *json = NULL;
	_cleanup_(freep) char *token = fresh_token();
	struct answer a = {0};
	int r = read_json_file(path, &json);

	if (r)
		return r;
	if (!cJSON_HasObjectItem(json, "clientToken"))
		cJSON_AddStringToObject(json, "clientToken", token);
	_cleanup_(freep) char *body = must(cJSON_PrintUnformatted(json));
	r = ask(ctl, "POST", "/experimentTemplates", body, &a);
	if (r)
		return r;
	*ret_id = textf("%s", json_text(json_object(a.json, "experimentTemplate"), "id"));
	answer_done(&a);
	return 0;
}

enum colour status_colour(const char *status)
{
	static const struct {
		const char *status;
		enum colour colour;
	} colours[] = {{"initiating", GREEN}, {"running", GREEN},    {"stopping", YELLOW},
		       {"stopped", YELLOW},   {"failed", RED},       {"engaged", RED},
		       {"engaging", RED},     {"cancelled", YELLOW}, {"pending", DIM},
		       {"skipped", DIM}};

	for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++) {
		if (strcmp(colours[i].status, status) == 0)
			return colours[i].colour;
	}
	return PLAIN;
}

double now_seconds(void)
{
	return (double)clock_ns(CLOCK_REALTIME) / 1e9;
}

char *local_time(double seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	char text[32];

	if (seconds <= 0 || !localtime_r(&t, &tm) ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return textf("-");
	return textf("%s", text);
}
