/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/fis.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "ctl/exit.h"
#include "ctl/http.h"
#include "util/clock.h"

#define FILE_MAX  (1024 * 1024) /* as faultd takes it */
#define PAGES_MAX 1000
#define TIME_MAX  4102444800.0 /* 2100-01-01 */

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

/* What is read may be typed, or come through a pipe. Returns 0 or a negative errno; -EINTR: a
 * signal came. */
static int await(int fd, int signal_fd)
{
	struct pollfd waits[] = {{.fd = fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
	int r;

	do
		r = poll(waits, 2, -1);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return waits[1].revents ? -EINTR : 0;
}

static int read_all(int fd, int signal_fd, char *text, size_t *ret_length)
{
	ssize_t n = 1;

	for (*ret_length = 0; n > 0 && *ret_length <= FILE_MAX; *ret_length += (size_t)n) {
		int r = await(fd, signal_fd);

		if (r < 0)
			return r;
		n = read(fd, text + *ret_length, FILE_MAX + 1 - *ret_length);
		if (n < 0)
			return -errno;
	}
	return *ret_length > FILE_MAX ? -EFBIG : 0;
}

/* A FIFO nobody writes to yet is waited for by await(), which a signal ends. */
static int open_and_read(const struct ctl *ctl, const char *path, char *text, size_t *ret_length)
{
	bool standard = strcmp(path, "-") == 0;
	int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int r = fd < 0 ? -errno : read_all(fd, ctl->signal_fd, text, ret_length);

	if (fd >= 0 && !standard)
		(void)close(fd);
	if (r < 0)
		out_error("cannot read %s: %s", path, r == -EINTR ? "interrupted" : strerror(-r));
	return r == -EINTR ? EXIT_INTERRUPTED : r < 0 ? EXIT_USAGE : 0;
}

/* Where it is not JSON any more, for people: "line 3". */
static int line_of(const char *text, const char *at)
{
	int line = 1;

	for (; text < at; text++)
		line += *text == '\n';
	return line;
}

int read_json_file(const struct ctl *ctl, const char *path, cJSON **ret)
{
	_cleanup_(freep) char *text = must(malloc(FILE_MAX + 1));
	const char *end = NULL;
	size_t length = 0;
	int r = open_and_read(ctl, path, text, &length);

	if (r)
		return r;
	text[length] = '\0';
	*ret = cJSON_ParseWithLengthOpts(text, length + 1, &end, true);
	if (cJSON_IsObject(*ret) && !memchr(text, '\0', length))
		return 0;
	if (*ret && !cJSON_IsObject(*ret))
		out_error("%s: not a JSON object", path);
	else
		out_error("%s: line %d: not JSON", path, line_of(text, end ? end : text));
	json_freep(ret);
	*ret = NULL; /* the caller's to delete, too */
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

	for (size_t page = 0; next && page < PAGES_MAX; page++) {
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

struct posting {
	bool *interrupted;
	char *text; /* of the answer */
	size_t length;
};

static int on_answer(void *data, const char *line, size_t len)
{
	struct posting *p = data;

	free(p->text);
	p->text = textf("%s", line);
	p->length = len;
	return 0;
}

static int on_signal(void *data, int number)
{
	const struct posting *p = data;

	if (*p->interrupted)
		return -EINTR;
	*p->interrupted = true;
	out_note("waiting for faultd's answer (once more to leave without it)");
	return 0;
}

static int take_posted(struct ctl *ctl, const struct posting *p, struct answer *a)
{
	if (a->raw.status >= 400)
		return api_refusal(ctl, &a->raw);
	a->json = json_parse(p->text, p->length);
	return cJSON_IsObject(a->json) ? 0 : api_unreachable(ctl, -EBADMSG);
}

int ask_to_the_end(struct ctl *ctl, const char *path, const char *body, bool *interrupted,
		   struct answer *ret)
{
	struct posting p = {.interrupted = interrupted};
	const struct http_watcher watcher = {on_answer, on_signal, NULL, &p};
	struct answer a = {0};
	int r = http_stream(ctl->http, "POST", path, body, &watcher, &a.raw);

	r = r < 0 ? api_unreachable(ctl, r) : take_posted(ctl, &p, &a);
	free(p.text);
	if (r)
		answer_done(&a);
	else
		*ret = a;
	return r;
}

int take_id(const struct ctl *ctl, const struct answer *a, const char *member, char **ret)
{
	const char *id = json_text(json_object(a->json, member), "id");

	if (!*id)
		return api_unreachable(ctl, -EBADMSG);
	*ret = textf("%s", id);
	return 0;
}

void print_id(const struct ctl *ctl, const char *id)
{
	_cleanup_(json_freep) cJSON *json = must(cJSON_CreateObject());
	_cleanup_(freep) char *text = NULL;

	if (!ctl->json) {
		out_line(PLAIN, "%s", id);
		return;
	}
	cJSON_AddStringToObject(json, "id", id);
	text = must(cJSON_PrintUnformatted(json));
	out_json(text, strlen(text));
}

int list_all(struct ctl *ctl, const char *path, const char *member, const char *nothing,
	     void (*print)(const cJSON *list))
{
	_cleanup_(json_freep) cJSON *all = NULL;
	int r = ask_all(ctl, path, member, &all);

	if (r)
		return r;
	if (ctl->json) {
		_cleanup_(freep) char *text = must(cJSON_PrintUnformatted(all));

		out_json(text, strlen(text));
	} else if (cJSON_GetArraySize(all) == 0) {
		out_line(PLAIN, "%s", nothing);
	} else {
		print(all);
	}
	return EXIT_DONE;
}

int create_template(struct ctl *ctl, const char *path, bool *interrupted, char **ret_id)
{
	_cleanup_(json_freep) cJSON *json = NULL;
	_cleanup_(freep) char *token = fresh_token();
	struct answer a = {0};
	int r = read_json_file(ctl, path, &json);

	if (r)
		return r;
	if (!cJSON_HasObjectItem(json, "clientToken"))
		cJSON_AddStringToObject(json, "clientToken", token);
	_cleanup_(freep) char *body = must(cJSON_PrintUnformatted(json));
	if (interrupted)
		r = ask_to_the_end(ctl, "/experimentTemplates", body, interrupted, &a);
	else
		r = ask(ctl, "POST", "/experimentTemplates", body, &a);
	if (r)
		return r;
	r = take_id(ctl, &a, "experimentTemplate", ret_id);
	answer_done(&a);
	return r;
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

double json_time(const cJSON *obj, const char *key, double fallback)
{
	double t = json_number(obj, key, 0);

	return t > 0 && t < TIME_MAX ? t : fallback;
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

	if (!(seconds > 0) || !localtime_r(&t, &tm) ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return textf("-");
	return textf("%s", text);
}
